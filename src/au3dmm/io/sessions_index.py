"""`sessions.parquet`: one row per recording of a dataset, the failed ones included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from au3dmm.io.tables import read_metadata, read_table, write_table

KIND = "sessions"
Outcome = Literal["ok", "no_events", "failed"]


@dataclass(frozen=True)
class IndexRow:
    """What became of one recording.

    Attributes
    ----------
    session_id : str
        Its name; the folder's, if its `session.toml` cannot be read.
    subject_id : str or None
        Who; None if `session.toml` cannot be read.
    au, task, run
        What was asked for, as `session.toml` says.
    simulated_events : bool
        The events were computed, not recorded.
    status : {"ok", "no_events", "failed"}
        ``ok``: it has labels, of its event frames or, without events, of its RGB frames (`has_events`); ``no_events``:
        it has coefficients only, as runs of older versions left recordings without events.
    failure : str or None
        Why it failed, in one line.
    split : str or None
        ``train``, ``val``, ``test``.
    fold : int or None
        0 to k - 1, in k-fold.
    frames_rgb, frames_face : int or None
        RGB frames, and those in which a face was fitted.
    frames_event, frames_labelled : int
        Rows of labels, and those with values (status ok): event frames, or RGB frames of a recording without events.
    label_rate : float or None
        ``frames_labelled / frames_event``.
    rmse_px_median : float or None
        Reprojection error, px.
    clock_method, clock_offset_us, clock_uncertainty_us
        As in `clock.json`; None of a recording without events.
    first_row : int or None
        Where its rows begin in the consolidated labels, counted over all parts.
    labels_sha256 : str or None
        Of the `labels.parquet` that those rows were taken from.
    annotations_sha256 : str or None
        Of what people said of it: the manifest's part and the files that it names.
    """

    session_id: str
    subject_id: str | None
    au: str | None = None
    task: str | None = None
    run: int | None = None
    simulated_events: bool = False
    status: Outcome = "ok"
    failure: str | None = None
    split: str | None = None
    fold: int | None = None
    frames_rgb: int | None = None
    frames_face: int | None = None
    frames_event: int = 0
    frames_labelled: int = 0
    label_rate: float | None = None
    rmse_px_median: float | None = None
    clock_method: str | None = None
    clock_offset_us: float | None = None
    clock_uncertainty_us: float | None = None
    first_row: int | None = None
    labels_sha256: str | None = None
    annotations_sha256: str | None = None

    @property
    def has_events(self) -> bool:
        """Whether its labels are of event frames: they have a clock then; else they are of its RGB frames."""
        return self.clock_method is not None


def sessions_schema() -> pa.Schema:
    """Row per recording."""
    kinds = {
        "session_id": (pa.string(), False),
        "subject_id": (pa.string(), True),
        "au": (pa.string(), True),
        "task": (pa.string(), True),
        "run": (pa.int32(), True),
        "simulated_events": (pa.bool_(), False),
        "status": (pa.string(), False),
        "failure": (pa.string(), True),
        "split": (pa.string(), True),
        "fold": (pa.int8(), True),
        "frames_rgb": (pa.int32(), True),
        "frames_face": (pa.int32(), True),
        "frames_event": (pa.int32(), False),
        "frames_labelled": (pa.int32(), False),
        "label_rate": (pa.float32(), True),
        "rmse_px_median": (pa.float32(), True),
        "clock_method": (pa.string(), True),
        "clock_offset_us": (pa.float64(), True),
        "clock_uncertainty_us": (pa.float64(), True),
        "first_row": (pa.int64(), True),
        "labels_sha256": (pa.string(), True),
        "annotations_sha256": (pa.string(), True),
    }
    assert list(kinds) == [field.name for field in fields(IndexRow)]
    return pa.schema([pa.field(name, kind, nullable=nullable) for name, (kind, nullable) in kinds.items()])


def index_order(row: IndexRow) -> tuple[str, str]:
    """Sort recordings as their labels are sorted: by subject, then by name."""
    return row.subject_id or "", row.session_id


def index_table(rows: Sequence[IndexRow]) -> pa.Table:
    """Return the index as a table."""
    schema = sessions_schema()
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def write_index(path: Path, rows: Iterable[IndexRow], metadata: Mapping[str, Any]) -> None:
    """Write the index atomically.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_table(path, KIND, index_table(list(rows)), metadata)


def read_index(path: Path) -> tuple[list[IndexRow], dict[str, Any]]:
    """Read the index, and what its file says of the whole dataset.

    Raises
    ------
    SchemaError
        If the file is missing or not an index.
    """
    metadata = read_metadata(path)
    table = read_table(path, KIND)
    return [IndexRow(**values) for values in table.to_pylist()], metadata


def outcome_counts(rows: Sequence[IndexRow]) -> dict[str, int]:
    """Count recordings by what became of them, subjects, and rows.

    ``ok`` have labels; ``no_events`` of them, and of older runs those without labels, have no events.

    Examples
    --------
    >>> outcome_counts([IndexRow("a", "p", frames_event=3, frames_labelled=2), IndexRow("b", "q", status="failed")])
    {'sessions': 2, 'ok': 1, 'no_events': 1, 'failed': 1, 'subjects': 2, 'rows': 3, 'rows_ok': 2}
    """
    return {
        "sessions": len(rows),
        "ok": sum(row.status == "ok" for row in rows),
        "no_events": sum(row.status == "no_events" or (row.status == "ok" and not row.has_events) for row in rows),
        "failed": sum(row.status == "failed" for row in rows),
        "subjects": len({row.subject_id for row in rows if row.subject_id is not None}),
        "rows": sum(row.frames_event for row in rows),
        "rows_ok": sum(row.frames_labelled for row in rows),
    }


def frame_word(rows: Sequence[IndexRow]) -> str:
    """Say what rows of labels are.

    Examples
    --------
    >>> frame_word([IndexRow("a", "p", clock_method="trigger"), IndexRow("b", "q")])
    'frames'
    """
    kinds = {row.has_events for row in rows if row.status == "ok"}
    return "frames" if len(kinds) > 1 else "RGB frames" if kinds == {False} else "event frames"


@dataclass(frozen=True)
class Tally:
    """Counts over some recordings.

    Attributes
    ----------
    name : str
        What they have in common.
    sessions, failed, subjects : int
        Recordings, those of them that failed, and people.
    rows, rows_ok : int
        Event frames with a row of labels, and those with values.
    """

    name: str
    sessions: int
    failed: int
    subjects: int
    rows: int
    rows_ok: int


def tally(rows: Iterable[IndexRow], key: Callable[[IndexRow], str | None]) -> list[Tally]:
    """Count recordings by what `key` says of each, sorted as people count; None is left out.

    Examples
    --------
    >>> rows = [IndexRow("a", "p", "AU12"), IndexRow("b", "p", "AU2"), IndexRow("c", "q", "AU2", status="failed")]
    >>> [(t.name, t.sessions, t.failed, t.subjects) for t in tally(rows, lambda row: row.au)]
    [('AU2', 2, 1, 2), ('AU12', 1, 0, 1)]
    """
    groups: dict[str, list[IndexRow]] = {}
    for row in rows:
        name = key(row)
        if name is not None:
            groups.setdefault(name, []).append(row)
    counted = []
    for name in sorted(groups, key=_counting_order):
        n = outcome_counts(groups[name])
        counted.append(Tally(name, n["sessions"], n["failed"], n["subjects"], n["rows"], n["rows_ok"]))
    return counted


def part_of(row: IndexRow) -> str | None:
    """Name the part of the split that a recording is in."""
    if row.split is None:
        return None if row.fold is None else f"fold {row.fold}"
    return row.split


def asked_for(row: IndexRow) -> str:
    """Name what was asked for: the action unit, else the task."""
    return row.au or row.task or "nothing in particular"


_SPLITS = {"train": "0", "val": "1", "test": "2"}  # in this order, not in that of the alphabet


def _counting_order(name: str) -> list[tuple[int, int, str]]:
    pieces = re.split(r"(\d+)", _SPLITS.get(name, name))
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
