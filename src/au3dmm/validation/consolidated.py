"""Compare consolidated labels with those of the sessions that they were put together from: every row, every value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from au3dmm.errors import SchemaError
from au3dmm.io.label_dataset import LabelSource, iter_labels, label_parts, plain, read_label_table, with_constants
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow

_MOST = 20


def compare_labels(run: RunFolder, rows: Sequence[IndexRow]) -> Iterator[tuple[Path, str, str]]:
    """Yield where consolidated labels differ from the sessions': the file, what was found, what was expected.

    Holds one row group, and the labels of one session, at a time.
    """
    labelled = [row for row in rows if row.status == "ok"]
    expected = sum(row.frames_event for row in labelled)
    if expected and not label_parts(run.labels):
        yield run.labels, "no part-*.parquet", f"{expected} rows of {len(labelled)} sessions"
        return
    try:
        yield from _compared(run, labelled, expected)
    except SchemaError as err:
        yield run.labels, str(err).removeprefix(f"{run.labels}: "), "consolidated labels"


def _compared(run: RunFolder, rows: Sequence[IndexRow], expected: int) -> Iterator[tuple[Path, str, str]]:
    cursor = _Cursor(run.labels)
    told = 0
    for row in rows:
        there = cursor.take(row.frames_event)
        if told >= _MOST:
            continue
        path = run.session(row.session_id) / "labels.parquet"
        try:
            table, _ = read_label_table(path)
            about = (row.session_id, row.subject_id or "", row.au, row.task, row.split, row.fold)
            own = plain(with_constants(LabelSource(path, row.frames_event, *about), table, there.schema))
        except SchemaError as err:
            told += 1
            yield path, str(err).removeprefix(f"{path}: ").split("; ")[0], f"the {row.frames_event} rows of the index"
            continue
        there = plain(there)
        if not there.equals(own):
            told += 1
            wrong = [name for name in own.column_names if len(there) != len(own) or there[name] != own[name]]
            what = f"the rows of {row.session_id} differ in {', '.join(wrong[:4])}" + (", ..." if wrong[4:] else "")
            yield run.labels, what, f"those of {path.parent.name}/{path.name}"
    rest = cursor.rest()
    if cursor.taken != expected or rest:
        yield run.labels, f"{cursor.taken + rest} rows", f"{expected}, the sum over {len(rows)} sessions"


class _Cursor:
    """Reads rows one after another, a row group at a time."""

    def __init__(self, folder: Path) -> None:
        self._groups = iter_labels(folder)
        self._here: pa.Table | None = None
        self.taken = 0

    def take(self, n: int) -> pa.Table:
        """Return the next n rows, or what is left of them."""
        pieces: list[pa.Table] = []
        missing = n
        while missing:
            if self._here is None or not len(self._here):
                group = next(self._groups, None)
                if group is None:
                    break
                self._here = group
                continue
            piece = self._here.slice(0, missing)
            self._here = self._here.slice(len(piece))
            pieces.append(piece)
            missing -= len(piece)
        self.taken += n - missing
        if pieces:
            return pa.concat_tables(pieces)
        return self._empty()

    def _empty(self) -> pa.Table:
        if self._here is None:
            self._here = next(self._groups)
        return self._here.slice(0, 0)

    def rest(self) -> int:
        """Return how many rows are left."""
        return (0 if self._here is None else len(self._here)) + sum(len(group) for group in self._groups)
