"""The long tables of a dataset's page, as data that its script sorts, filters and shows a part of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.sessions_index import IndexRow, asked_for, part_of, tally
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.dataset_charts import clock_unit

Kind = Literal["text", "count", "percent", "number", "range"]
LABELLED, FAILED, UNFINISHED = "labelled", "failed", "not finished"


def outcome(row: IndexRow, unfinished: Mapping[str, str]) -> str:
    """Say what became of a recording.

    Examples
    --------
    >>> outcome(IndexRow("a", "p", status="failed"), {}), outcome(IndexRow("a", "p"), {"a": "not finished: ..."})
    ('failed', 'not finished')
    """
    if row.status == "failed":
        return FAILED
    if row.session_id in unfinished:
        return UNFINISHED if unfinished[row.session_id].startswith(UNFINISHED) else f"{LABELLED}, apart"
    if row.status == "no_events":
        return "no events"
    return LABELLED if row.has_events else f"{LABELLED}, RGB only"


def session_table(
    rows: Sequence[IndexRow],
    *,
    numbers: Mapping[str, StageNumbers],
    unfinished: Mapping[str, str],
    why: Mapping[str, str],
    failures: Mapping[str, str],
    pages: Collection[str],
    frames: str,
    report: str,
) -> dict[str, Any]:
    """Return the table of recordings: columns of values, without those that are empty.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every recording.
    numbers, unfinished, why, failures : mapping
        By recording: what stages reported, how far it has come, why to look at it, why it failed.
    pages : collection of str
        Recordings that have a page.
    frames : str
        What labels are of.
    report : str
        The command that makes a page, up to the name.
    """
    said = [numbers.get(row.session_id, StageNumbers()) for row in rows]
    unit, us = clock_unit(rows)
    rgb = [row.frames_rgb for row in rows]
    faces = [row.frames_face for row in rows]
    labelled = [row.status == "ok" and row.label_rate is not None for row in rows]
    columns = [
        _column("session", "text", [row.session_id for row in rows]),
        _column("subject", "text", [row.subject_id or "unknown" for row in rows]),
        _column("asked for", "text", [asked_for(row) for row in rows]),
        _column("outcome", "text", [outcome(row, unfinished) for row in rows], choose=True),
        _column("part", "text", [part_of(row) or "" for row in rows], choose=True),
        _column("RGB frames", "count", rgb),
        _column("faces", "percent", [k / n if n and k is not None else None for k, n in zip(faces, rgb, strict=True)]),
        _column(frames, "count", [row.frames_event if ok else None for row, ok in zip(rows, labelled, strict=True)]),
        _column("with values", "percent", [row.label_rate for row in rows]),
        _column("error, px", "number", [row.rmse_px_median for row in rows]),
        _column("of eye dist.", "percent", [one.rmse_iod for one in said]),
        _column("clock", "text", [row.clock_method or "" for row in rows], choose=True),
        _column(f"\u00b1 {unit}", "number", [_in(row.clock_uncertainty_us, us) for row in rows]),
    ]
    more = [
        "; ".join(part for part in (failures.get(name, ""), unfinished.get(name, ""), why.get(name, "")) if part)
        for name in (row.session_id for row in rows)
    ]
    return {
        "id": "sessions",
        "things": "sessions",
        "sizes": [25, 100],
        "columns": [column for column in columns if column is not None],
        "more": _worded(more),
        "suspect": [i for i, row in enumerate(rows) if row.session_id in why],
        "pages": [i for i, row in enumerate(rows) if row.session_id in pages],
        "paged": [i for i, row in enumerate(rows) if row.status != "failed"],
        "report": report,
        "bad": FAILED,
    }


def subject_table(
    rows: Sequence[IndexRow], neutral: Sequence[NeutralRow], suspects: Collection[str], frames: str
) -> dict[str, Any]:
    """Return the table of people: how many recordings, how well they went, and whether the neutral face is in doubt."""
    theirs: dict[str, list[IndexRow]] = {}
    for row in rows:
        if row.subject_id is not None:
            theirs.setdefault(row.subject_id, []).append(row)
    faces: dict[str, list[NeutralRow]] = {}
    for one in neutral:
        faces.setdefault(one.subject_id, []).append(one)
    found = tally(rows, lambda row: row.subject_id)
    names = [one.name for one in found]
    errors = [[row.rmse_px_median for row in theirs[name] if row.rmse_px_median is not None] for name in names]
    columns = [
        _column("subject", "text", names),
        _column("part", "text", [_parts(theirs[name]) for name in names], choose=True),
        _column("sessions", "count", [one.sessions for one in found]),
        _column("failed", "count", [one.failed for one in found]),
        _column("to look at", "count", [sum(row.session_id in suspects for row in theirs[name]) for name in names]),
        _column(frames, "count", [one.rows for one in found]),
        _column("with values", "percent", [one.rows_ok / one.rows if one.rows else None for one in found]),
        _column("error, px: least, median, largest", "range", [_range(values) for values in errors]),
        _column("neutral face", "text", [_neutral(faces.get(name, ())) for name in names], choose=True),
    ]
    return {
        "id": "people",
        "things": "subjects",
        "sizes": [15, 60],
        "columns": [column for column in columns if column is not None],
    }


def tally_table(
    name: str, things: str, column: str, rows: Sequence[IndexRow], key: Callable[[IndexRow], str | None], frames: str
) -> dict[str, Any]:
    """Return the table of what recordings have in common: counts, and rows with values as bars."""
    found = tally(rows, key)
    columns = [
        _column(column, "text", [one.name for one in found]),
        _column("sessions", "count", [one.sessions for one in found]),
        _column("failed", "count", [one.failed for one in found]),
        _column("subjects", "count", [one.subjects for one in found]),
        _column(frames, "count", [one.rows for one in found]),
        _column("with values", "bar", [one.rows_ok for one in found]),
    ]
    return {"id": name, "things": things, "sizes": [15, 60], "columns": [one for one in columns if one is not None]}


def _column(name: str, kind: str, values: Sequence[Any], *, choose: bool = False) -> dict[str, Any] | None:
    """Return a column; None if there is nothing in it."""
    if values and all(value is None or value == "" for value in values):
        return None
    made: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "text":
        made |= _worded([str(value) for value in values])
        return made | ({"choose": True} if choose and 1 < len(made["words"]) <= 30 else {})
    return made | {"values": [_short(value) for value in values]}


def _worded(values: Sequence[str]) -> dict[str, Any]:
    """Return texts as numbers of words, each word once."""
    words = list(dict.fromkeys(values))
    at = {word: i for i, word in enumerate(words)}
    return {"words": words, "at": [at[value] for value in values]}


def _short(value: Any) -> Any:
    """Round what nobody sees."""
    if isinstance(value, tuple):
        return [_short(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _range(values: Sequence[float]) -> tuple[float, float, float] | None:
    return (min(values), float(np.median(values)), max(values)) if values else None


def _in(us: float | None, unit_us: float) -> float | None:
    return None if us is None else us / unit_us


def _parts(rows: Sequence[IndexRow]) -> str:
    return ", ".join(sorted({part for row in rows if (part := part_of(row))}))


_ORDER = ("poor", "unsure", "untested", "unknown", "good")


def _neutral(faces: Sequence[NeutralRow]) -> str:
    """Return the worst word, with the number of faces where a person has several."""
    if not faces:
        return ""
    counts = Counter(one.trust for one in faces)
    worst = min(counts, key=lambda word: _ORDER.index(word) if word in _ORDER else len(_ORDER))
    two = ", two people?" if any(one.two_people for one in faces) else ""
    return (worst if len(faces) == 1 else f"{worst}: {counts[worst]} of {len(faces)}") + two
