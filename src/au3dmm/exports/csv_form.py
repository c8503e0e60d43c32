"""CSV: `labels.csv`, `sessions.csv`, `annotations.csv`; a column per coefficient, empty where there is no value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from au3dmm.exports.flat import flattened
from au3dmm.exports.selection import Selection

Progress = Callable[[int, int | None], None]


def write_csv(selection: Selection, folder: Path, progress: Progress | None = None) -> int:
    """Write the files; return the number of rows of labels."""
    total = sum(row.frames_event for row in selection.rows)
    rows = _stream(folder / "labels.csv", _labels(selection), lambda n: progress(n, total) if progress else None)
    _stream(folder / "sessions.csv", [selection.sessions_table()])
    _stream(folder / "annotations.csv", [selection.annotations_table()])
    if selection.options.identity:
        _stream(folder / "identity.csv", [flattened(selection.identities(), [])])
    if selection.options.landmarks:
        for row in selection.rows:
            if row.status != "failed":
                _stream(folder / "landmarks" / f"{row.session_id}.csv", [flattened(selection.landmarks(row), [])])
    return rows


def _labels(selection: Selection) -> Iterable[pa.Table]:
    for table in selection.labels():
        yield flattened(table, selection.names_au, selection.names_intensity)


def _stream(path: Path, tables: Iterable[pa.Table], tell: Callable[[int], object] | None = None) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    writer: pacsv.CSVWriter | None = None
    try:
        for table in tables:
            if writer is None:
                writer = pacsv.CSVWriter(path, table.schema, write_options=pacsv.WriteOptions(quoting_style="needed"))
            writer.write_table(table)
            rows += len(table)
            if tell is not None:
                tell(rows)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        path.write_text("")
    return rows
