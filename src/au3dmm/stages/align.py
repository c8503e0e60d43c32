"""Stage align: put the coefficients of the RGB frames at the times of the event frames. Its table is the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import AlignParams
from au3dmm.core.alignment import (
    Alignment,
    align,
    carry_pchip,
    carry_rotations,
    carry_std,
    carry_values,
    label_times,
)
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.clock import read_clock, read_clock_metadata
from au3dmm.io.intensity_columns import sparse_vector_array
from au3dmm.io.session import Session, read_session
from au3dmm.io.table_schemas import APERTURES, FLAGS, INTENSITIES, labels_schema
from au3dmm.io.tables import read_metadata, read_table, scalar_array, vector_array, vectors, word_array, write_table

READS = ("session:session", "coefficients", "clock", "event_frames")
WRITES = ("labels",)
VERSION = 4  # 3: apertures; 4: confidence, action unit intensities

_SCALARS = ("landmark_score", "scale_px_per_m", "rmse_px", "rmse_iod", "dof", *APERTURES, "confidence")
_INTERPOLATED = ("linear", "pchip")


def run(
    *,
    session: Path,
    coefficients: Path,
    clock: Path,
    event_frames: Path,
    labels: Path,
    params: AlignParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Write `labels.parquet`, one row per event frame.

    Returns
    -------
    dict
        ``frames``, ``ok``, and the number of rows of each other status.

    Raises
    ------
    SchemaError
        If an input is not what it should be.
    """
    recording = read_session(session)
    found = read_clock(clock)
    frames = read_table(coefficients, "coefficients")
    windows = read_table(
        event_frames, "event_frames", ["event_frame_index", "t_start_us", "t_end_us", "n_events", "status"]
    )
    status = frames["status"].to_pylist()
    t_frame = found.model.to_event_us(frames["t_rgb_us"].to_numpy())
    no_events = np.array([word != "ok" for word in windows["status"].to_pylist()], bool)
    t_label = label_times(windows["t_start_us"].to_numpy(), windows["t_end_us"].to_numpy(), params.label_at)
    try:
        alignment = align(t_label, t_frame, status, params.method, params.max_gap_us, no_events)
    except FitError as err:
        raise SchemaError(f"{coefficients}: {err}") from err
    table = label_table(recording, frames, windows, alignment, t_frame, params)
    assert len(table) == len(windows), "one label row per event frame"
    made = read_metadata(coefficients)
    counts = status_counts(alignment)
    metadata = {
        "stage": "align",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        **made_with(made),
        "clock": found.summary(),
        "event_file": read_clock_metadata(clock).get("event_file", {}),
        "windows": read_metadata(event_frames).get("windows"),
        "units": f"times: us on the unshifted event clock; {made.get('units', '')}",
        "counts": counts,
    }
    write_table(labels, "labels", table, metadata)
    if progress:
        progress(len(table), len(table))
    return {"frames": len(table), "ok": 0, **counts}


def made_with(coefficients: Mapping[str, Any]) -> dict[str, Any]:
    """Return what labels say of how their coefficients were made, out of the metadata of these."""
    return {
        "basis": coefficients.get("basis"),
        **({"intensity": coefficients["intensity"]} if "intensity" in coefficients else {}),
        "detector": coefficients.get("detector"),
        "landmark_scheme": coefficients.get("landmark_scheme"),
        "uncertainty": coefficients.get("uncertainty"),
    }


def status_counts(alignment: Alignment) -> dict[str, int]:
    """Count labels by status."""
    return {str(word): int(n) for word, n in zip(*np.unique(alignment.status, return_counts=True), strict=True)}


def label_table(
    session: Session,
    frames: pa.Table,
    windows: pa.Table,
    alignment: Alignment,
    t_frame: NDArray[np.int64],
    params: AlignParams,
) -> pa.Table:
    """Carry coefficients over to labels, a row for each window; see `core.alignment`."""
    n, ok = len(windows), alignment.ok
    usable = np.array([word == "ok" for word in frames["status"].to_pylist()], bool)

    def carried(values: NDArray[np.floating]) -> NDArray[np.float64]:
        if params.method == "pchip":
            return carry_pchip(alignment, values, t_frame, usable, params.max_gap_us)
        return carry_values(alignment, values)

    def scalar(name: str) -> pa.Array:
        column = frames[name].to_numpy(zero_copy_only=False).astype(np.float64)
        value = carried(column[:, None]) if name == "scale_px_per_m" else carry_values(alignment, column[:, None])
        return scalar_array(np.nan_to_num(value[:, 0]), np.isfinite(value[:, 0]), pa.float32())

    alpha, _ = vectors(frames, "alpha_au")
    columns = {
        "alpha_au": vector_array(carried(alpha), ok),
        "alpha_au_std": vector_array(carry_std(alignment, vectors(frames, "alpha_au_std")[0]), ok),
        "rotation_vector": vector_array(carry_rotations(alignment, vectors(frames, "rotation_vector")[0]), ok),
        "translation_px": vector_array(carried(vectors(frames, "translation_px")[0]), ok),
        **{name: scalar(name) for name in _SCALARS},
    }
    n_intensity = 0
    if INTENSITIES[0] in frames.column_names:
        shown, there = vectors(frames, INTENSITIES[0])
        std, _ = vectors(frames, INTENSITIES[1])
        n_intensity = shown.shape[1]
        known = np.asarray(np.isfinite(shown[there]).all(0))
        shown, std = (np.where(known, values, 0) for values in (shown, std))
        columns["au_intensity"] = sparse_vector_array(np.nan_to_num(carried(shown)), ok, known)
        # a reading's errors are the same in the next frame: a mean of two is no surer
        columns["au_intensity_std"] = sparse_vector_array(np.nan_to_num(carry_values(alignment, std)), ok, known)
    near = alignment.nearest >= 0
    frame_index = frames["frame_index"].to_numpy()
    columns |= {
        "session_id": word_array([session.session_id] * n),
        "subject_id": word_array([session.subject_id] * n),
        "t_label_us": pa.array(alignment.t_label_us, pa.int64()),
        "rgb_frame_index": scalar_array(
            frame_index[alignment.nearest] if len(frame_index) else np.zeros(n, np.int32), near, pa.int32()
        ),
        "dt_us": scalar_array(alignment.dt_us, near, pa.int64()),
        "align": word_array(alignment.how.tolist()),
        "status": word_array(alignment.status.tolist()),
        "flags": pa.array(_flags(frames, alignment), pa.list_(pa.string())),
        **{name: windows[name] for name in ("event_frame_index", "t_start_us", "t_end_us", "n_events")},
    }
    schema = labels_schema(alpha.shape[1], n_intensity=n_intensity)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _flags(frames: pa.Table, alignment: Alignment) -> list[list[str]]:
    """Union of the flags of the frames a label comes from, and whether it lies between them."""
    of_frame = frames["flags"].to_pylist()
    rows = []
    for left, right, how, status in zip(
        alignment.left.tolist(), alignment.right.tolist(), alignment.how, alignment.status, strict=True
    ):
        near = () if status in ("gap", "no_rgb", "no_events") else (left, right)
        found = {flag for row in near for flag in of_frame[row]}
        if how in _INTERPOLATED:
            found.add("interpolated")
        rows.append(sorted(found, key=FLAGS.index))
    return rows
