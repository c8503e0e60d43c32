"""A small labelled session for tests of pages: a rendered-size head, a few components, planted coefficients."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from au3dmm.core.basis import Bases
from au3dmm.io.bases import basis_metadata, write_bases
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.table_schemas import coefficients_schema, identity_schema, labels_schema
from au3dmm.io.tables import write_table
from demo_basis import few_components

N = 60
SHIFT_US = 5_000_000
STATUS = {"no_face": slice(20, 24), "low_confidence": slice(40, 41)}


@dataclass
class Labelled:
    """Where it is, and what was planted."""

    folder: Path
    bases_file: Path
    bases: Bases
    alpha: np.ndarray
    status: list[str]


def column(schema, name, values, valid):
    """A column of the schema's own type, null where not valid."""
    kind = schema.field(name).type
    if pa.types.is_fixed_size_list(kind):
        rows = [row.tolist() if ok else None for row, ok in zip(np.asarray(values), valid, strict=True)]
        return pa.array(rows, kind)
    rows = [v if ok else None for v, ok in zip(np.asarray(values).tolist(), valid, strict=True)]
    return (
        pa.array(rows, pa.string()).dictionary_encode().cast(kind)
        if pa.types.is_dictionary(kind)
        else pa.array(rows, kind)
    )


def filled(schema, n, given, valid):
    """A table of the schema: what is given, and something harmless elsewhere."""
    columns = []
    for field in schema:
        if field.name in given:
            ok = valid if field.nullable else np.ones(n, bool)
            columns.append(column(schema, field.name, given[field.name], ok))
        elif field.nullable:
            columns.append(pa.nulls(n, field.type))
        elif pa.types.is_list(field.type) and not pa.types.is_fixed_size_list(field.type):
            columns.append(pa.array([[]] * n, field.type))
        else:
            raise AssertionError(f"give {field.name}: {field.type}")
    return pa.Table.from_arrays(columns, schema=schema)


def planted(names, n=N):
    """Coefficients that come and go, one after the other, and never below 0."""
    phase = np.linspace(0, 2 * np.pi, n)[:, None] - np.arange(len(names)) * 0.8
    return np.maximum(np.sin(phase), 0) * (3 - 0.5 * np.arange(len(names)))


def write_labelled(
    run, session_id="s01", n=N, names=("AU1", "AU12_left", "AU12_right"), bases=None, subject="p01", status=None
):
    """Write ``run/sessions/<session_id>`` and ``run/bases.npz``."""
    bases = few_components(names) if bases is None else bases
    file = run / "bases.npz"
    run.mkdir(parents=True, exist_ok=True)
    write_bases(file, bases)
    folder = run / "sessions" / session_id
    folder.mkdir(parents=True)
    alpha = planted(bases.names_au, n)
    if status is None:
        status = ["ok"] * n
        for word, rows in STATUS.items():
            status[rows] = [word] * len(status[rows])
    ok = np.array([word == "ok" for word in status])
    t_us = 33_333 * np.arange(n)
    about = {"subject_id": subject, "basis": basis_metadata(file, bases), "fingerprint": "f" * 64}
    schema = coefficients_schema(bases.k_au)
    k = bases.k_au
    vectors = {
        "alpha_au": alpha, "alpha_au_std": np.full((n, k), 0.25), "rotation_vector": np.zeros((n, 3)),
        "scale_px_per_m": np.full(n, 1500.0), "translation_px": np.zeros((n, 2)), "rmse_px": np.linspace(0.5, 1.5, n),
        "rmse_iod": np.full(n, 0.01), "confidence": np.full(n, 0.6),
    }  # fmt: skip
    given = {"frame_index": np.arange(n), "t_rgb_us": t_us, "status": status, **vectors}
    write_table(folder / "coefficients.parquet", "coefficients", filled(schema, n, given, ok), about)
    schema = labels_schema(k)
    start = t_us + SHIFT_US - 16_000
    given = {
        "session_id": [session_id] * n, "subject_id": [subject] * n, "event_frame_index": np.arange(n),
        "t_start_us": start, "t_end_us": start + 33_000, "n_events": 1000 + 500 * np.arange(n),
        "t_label_us": start + 16_500,
        "status": status, "align": ["linear" if one else "none" for one in ok], **vectors,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if name in schema.names}
    write_table(
        folder / "labels.parquet", "labels", filled(schema, n, given, ok), about | {"params": {"method": "linear"}}
    )
    clock = Clock("trigger", float(SHIFT_US), 12.5, 0.3, 0.05, n, n, 2 * n, 0, 0, SHIFT_US + int(t_us[-1]), 0.02, 0.01)
    evidence = {
        "kind": "trigger", "t_rgb_us": t_us.tolist(), "residual_us": np.sin(np.arange(n)).tolist(),
        "edge": ["exposure_start"] * n, "missing_t_rgb_us": [], "spurious_t_us": [], "n_missing": 0, "n_spurious": 0,
    }  # fmt: skip
    write_clock(folder / "clock.json", clock, {"stage": "sync"}, evidence)
    write_identity(folder, subject, bases.k_id, about)
    return Labelled(folder, file, bases, alpha, status)


def write_identity(folder, subject, k_id, about):
    """The person's identity: the first coefficients are 1.5 and -1."""
    alpha_id = np.resize([1.5, -1.0], (1, k_id))
    marks = np.zeros((1, 204))
    given = {
        "subject_id": [subject], "status": ["ok"], "alpha_id": alpha_id, "alpha_id_std": alpha_id, "session_ids": None,
        "neutral_landmarks_m": marks, "offset_m": marks, "rmse_px": [0.5], "rmse_iod": [0.01],
        "neutral_trust": ["poor"], "neutral_confidence": [0.18], "neutral_looked_at": [30], "neutral_recordings": [1],
    }  # fmt: skip
    schema = identity_schema(k_id)
    given = {name: value for name, value in given.items() if value is not None and name in schema.names}
    write_table(folder / "identity.parquet", "identity", filled(schema, 1, given, np.ones(1, bool)), about)
