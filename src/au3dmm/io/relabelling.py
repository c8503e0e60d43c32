"""A run with other coefficients: everything as another run has it, but for `alpha_au` of its labels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import ConfigError, OutputError, SchemaError, os_reason
from au3dmm.io.atomic import folder_lock
from au3dmm.io.hashing import fingerprint, sha256_file
from au3dmm.io.intensity_columns import sparse_vector_array
from au3dmm.io.label_dataset import LabelSource, label_parts, read_label_table, write_label_parts
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.sessions_index import IndexRow, read_index, write_index
from au3dmm.io.table_schemas import INTENSITIES
from au3dmm.io.tables import read_metadata, read_table, vector_array, vectors, write_table

STAGE, VERSION = "refine", 1
_STAGES = ("bases", "detect", "identity", "fit", "sync", "frames", "align")
_OF_A_TABLE = ("table", "schema_version", "package")


def check_target(source: RunFolder, out: RunFolder) -> None:
    """Refuse a folder that must not be written to.

    Raises
    ------
    ConfigError
        If it is the run itself, within it, or has a run whose labels are not refined.
    """
    here, there = out.path.resolve(), source.path.resolve()
    if here == there or there in here.parents:
        raise ConfigError(f"{out.path}: is the run that is refined, or within it; expected another folder")
    if out.exists and (not out.index.is_file() or read_metadata(out.index).get("source") != "refined"):
        raise ConfigError(f"{out.path}: has a run whose labels are not refined ones; expected a folder of its own")


def relabelled_mark(source: RunFolder, about: Mapping[str, Any]) -> str:
    """Return the fingerprint of the labels that `write_relabelled` would write."""
    read = {"labels": str(read_metadata(source.index).get("fingerprint"))}
    return fingerprint(STAGE, VERSION, dict(about), read)


def write_relabelled(
    source: RunFolder,
    out: RunFolder,
    alpha: Mapping[str, NDArray[np.floating]],
    about: Mapping[str, Any],
    bases: Bases,
) -> int:
    """Write a run that is another one with other coefficients.

    Files that stay the same are linked, or copied where that cannot be. In ``labels.parquet`` of each recording and in
    the consolidated labels ``alpha_au`` is replaced, and ``au_intensity`` read off it; the metadata says ``source =
    "refined"`` and, in ``refined``, `about`. All other columns are those of the fit. ``stage.json`` says which
    files these are, so that `au3dmm validate` passes. Equal inputs give equal bytes.

    Parameters
    ----------
    source, out : RunFolder
        The run, and where the other one goes; see `check_target`.
    alpha : mapping of str to (n, K) arrays
        By recording; rows that have no values in the run are not read.
    about : mapping
        How they were made: plain values.
    bases : Bases
        Of the labels.

    Returns
    -------
    int
        Rows with values.

    Raises
    ------
    ConfigError
        If `out` must not be written to.
    SchemaError
        If a file of the run is missing or damaged, or is of other frames.
    OutputError
        If a file cannot be written.
    """
    check_target(source, out)
    rows, metadata = read_index(source.index)
    mark = relabelled_mark(source, about)
    told = {"source": "refined", "refined": dict(about), "stage": STAGE, "stage_version": VERSION, "fingerprint": mark}
    out.dataset.mkdir(parents=True, exist_ok=True)
    with folder_lock(out.dataset):
        ledger = Ledger(out.dataset / LEDGER, ("consolidate",))
        ledger.forget("consolidate", out.dataset)  # who reads while this is written must see that it is not whole
        _same(source.subjects, out.subjects)
        if source.failures.is_file():
            _link(source.failures, out.failures)
        written, sources, n_intensity, k_au = [], [], 0, bases.k_au
        for row in rows:
            if row.status != "failed":
                _same(source.session(row.session_id), out.session(row.session_id), but=("labels.parquet", LEDGER))
            if row.status != "ok":
                written.append(row)
                if row.status != "failed":
                    _link(source.session(row.session_id) / LEDGER, out.session(row.session_id) / LEDGER)
                continue
            path = out.session(row.session_id) / "labels.parquet"
            n_intensity = max(n_intensity, _relabel(source, row, path, alpha.get(row.session_id), told, bases))
            written.append(replace(row, labels_sha256=sha256_file(path)))
            about_rows = (row.session_id, row.subject_id or "", row.au, row.task, row.split, row.fold)
            sources.append(LabelSource(path, row.frames_event, *about_rows))
        common = {**{key: value for key, value in metadata.items() if key not in _OF_A_TABLE}, **told}
        parts = write_label_parts(out.labels, sources, k_au, common, n_intensity=n_intensity)
        said = {key: value for key, value in common.items() if key != "annotation_problems"}
        write_table(out.annotations, "annotations", read_table(source.annotations, "annotations"), said)
        write_index(out.index, written, common)
        made = Ledger(source.dataset / LEDGER, ("consolidate",)).entries.get("consolidate", {})
        files = {"sessions": out.index, "annotations": out.annotations}
        files |= {f"labels/{path.name}": path for path in label_parts(out.labels)}
        assert len(parts) == len(files) - 2, "older parts are removed"
        version, params = int(made.get("version", 0)), made.get("params", {})
        ledger.record("consolidate", version, mark, files, made.get("summary", {}), params, _of_refined(made, about))
    return sum(row.frames_labelled for row in written if row.status == "ok")


def _relabel(
    source: RunFolder,
    row: IndexRow,
    path: Path,
    alpha: NDArray[np.floating] | None,
    told: Mapping[str, Any],
    bases: Bases,
) -> int:
    """Write the labels of one recording, and its `stage.json`; return how many intensities they have."""
    before = source.session(row.session_id)
    table, metadata = read_label_table(before / "labels.parquet")
    n = len(table)
    if alpha is None or alpha.shape != (n, bases.k_au):
        found = "none" if alpha is None else str(alpha.shape)
        raise SchemaError(f"{before / 'labels.parquet'}: {n} rows, but coefficients {found}; run au3dmm run again")
    _, ok = vectors(table, "alpha_au")
    if not np.isfinite(alpha[ok]).all():
        raise SchemaError(f"{before / 'labels.parquet'}: coefficients that are not finite in rows that have values")
    values = np.where(ok[:, None], alpha, 0)
    columns = {"alpha_au": vector_array(values, ok)}
    n_intensity = 0
    if INTENSITIES[0] in table.column_names:
        shown, _ = vectors(table, INTENSITIES[0])
        n_intensity = shown.shape[1]
        if bases.intensities is not None and ok.any():
            known = np.asarray(np.isfinite(shown[ok]).all(0))
            columns[INTENSITIES[0]] = sparse_vector_array(bases.intensities.read(values), ok, known)
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), column)
    inputs = {**(metadata.get("inputs") or {}), "checkpoint": str(told["refined"].get("checkpoint_sha256"))}
    kept = {key: value for key, value in metadata.items() if key not in _OF_A_TABLE}
    write_table(path, "labels", table.replace_schema_metadata(None), {**kept, **told, "inputs": inputs})
    ledger = Ledger(before / LEDGER, _STAGES)
    made = ledger.entries.get("align", {})
    ledger.path = path.parent / LEDGER
    ok_rows = {"frames": n, **_counts(table)}
    read = _of_refined(made, told["refined"])
    ledger.record(
        "align",
        int(made.get("version", 0)),
        told["fingerprint"],
        {"labels": path},
        ok_rows,
        made.get("params", {}),
        read,
    )
    return n_intensity


def _of_refined(made: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, str]:
    """Return what a stage read, with inputs that no run has: so `au3dmm run` says why it would make it anew."""
    by = f"refined by {str(about.get('checkpoint_sha256'))[:12]}"
    read = {str(key): str(value) for key, value in (made.get("inputs") or {}).items()}
    return {**read, **{key: by for key in ("coefficients", "sessions") if key in read}}


def _counts(table: pa.Table) -> dict[str, int]:
    found = pc.value_counts(table["status"].cast(pa.string())).to_pylist()
    return {"ok": 0, **{str(one["values"]): int(one["counts"]) for one in sorted(found, key=lambda o: o["values"])}}


def _same(source: Path, out: Path, but: tuple[str, ...] = ()) -> None:
    """Link all files of a folder, but for hidden ones: locks, and what was half written."""
    if not source.is_dir():
        return
    for path in sorted(source.rglob("*")):
        below = path.relative_to(source)
        if path.is_file() and below.as_posix() not in but and not any(part.startswith(".") for part in below.parts):
            _link(path, out / below)


def _link(source: Path, out: Path) -> None:
    # tables are replaced whole, never written into: whoever changes the one file leaves the other as it is
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            if os.path.samefile(source, out):
                return
            out.unlink()
        try:
            os.link(source, out)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, out)
    except OSError as err:
        raise OutputError(f"{out}: cannot be written: {os_reason(err)}") from err
