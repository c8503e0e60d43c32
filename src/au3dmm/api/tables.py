"""Read the labels of a session."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from au3dmm.errors import SchemaError
from au3dmm.io.tables import read_table


def read_labels(path: str | Path) -> pa.Table:
    """Read `labels.parquet`, or the one in a session's output folder.

    Returns
    -------
    pyarrow.Table
        One row per event frame. Read vectors with `au3dmm.vectors(table, "alpha_au")`, which keeps null rows;
        ``.to_pandas()`` and ``polars.from_arrow(table)`` work too.

    Raises
    ------
    SchemaError
        If there is no labels table.
    """
    file = Path(path)
    if file.is_dir() and not (file / "labels.parquet").exists():
        inside = sorted(file.glob("**/labels.parquet"))
        hint = f"; did you mean {inside[0].parent}?" if inside else ""
        raise SchemaError(f"{file}: no labels.parquet in it{hint}")
    return read_table(file / "labels.parquet" if file.is_dir() else file, "labels")
