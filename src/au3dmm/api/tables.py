"""Read the labels of a session, or of a whole dataset."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from au3dmm.errors import SchemaError
from au3dmm.io.label_dataset import label_parts, read_labels_dataset
from au3dmm.io.run_folder import DERIVATIVES, RunFolder
from au3dmm.io.runs import one_run
from au3dmm.io.table_schemas import LATER
from au3dmm.io.tables import read_table


def read_labels(path: str | Path, split: str | None = None) -> pa.Table:
    """Read the labels of a session or of a dataset.

    Parameters
    ----------
    path : path
        `labels.parquet`, a session's output folder, a dataset that was run, or the folder of its run.
    split : str, optional
        Of a dataset: only this part, ``train``, ``val`` or ``test``.

    Returns
    -------
    pyarrow.Table
        One row per event frame. Read vectors with `au3dmm.vectors(table, "alpha_au")`, which keeps null rows;
        ``.to_pandas()`` and ``polars.from_arrow(table)`` work too. Numbers that the version which made the file did not
        have are null.

    Raises
    ------
    SchemaError
        If there is no labels table, or no such part of it.
    """
    folder = Path(path)
    consolidated = _consolidated(folder)
    if consolidated is not None:
        return _part(read_labels_dataset(consolidated), split, consolidated)
    if split is not None:
        raise SchemaError(f"{folder}: labels of one session; only those of a dataset have splits")
    if folder.is_dir() and not (folder / "labels.parquet").exists():
        inside = sorted(folder.glob("**/labels.parquet"))
        hint = f"; did you mean {inside[0].parent}?" if inside else ""
        raise SchemaError(f"{folder}: no labels.parquet in it{hint}")
    return _with_later_columns(read_table(folder / "labels.parquet" if folder.is_dir() else folder, "labels"))


def _with_later_columns(table: pa.Table) -> pa.Table:
    """Add, full of nulls, the columns of numbers that an older version of the table did not have."""
    for name in LATER:
        if name not in table.column_names:
            table = table.append_column(pa.field(name, pa.float32()), pa.nulls(len(table), pa.float32()))
    return table


def _consolidated(folder: Path) -> Path | None:
    """Return where the labels of a dataset are, if `folder` is one, a run of one, or the place itself."""
    if not folder.is_dir() or (folder / "labels.parquet").exists():
        return None
    if label_parts(folder):
        return folder
    if label_parts(RunFolder(folder).labels):
        return RunFolder(folder).labels
    has_runs = (folder / DERIVATIVES).is_dir() and any((folder / DERIVATIVES).glob("*/dataset/labels"))
    return one_run(folder).labels if has_runs else None


def _part(table: pa.Table, split: str | None, folder: Path) -> pa.Table:
    if split is None:
        return table
    chosen = table.filter(pc.equal(table["split"], split))
    if not len(chosen):
        there = sorted(word for word in pc.unique(table["split"]).to_pylist() if word)
        raise SchemaError(f"{folder}: no rows of split {split!r}; expected one of {', '.join(there) or 'none'}")
    return chosen
