"""The recordings of a dataset as `consolidate` sees them: what a run left of each, and what people said of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from au3dmm.errors import SchemaError, SessionError
from au3dmm.io.annotations import annotations_schema, read_annotations
from au3dmm.io.hashing import quick_hash, sha256_file, sha256_json
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.session import Session
from au3dmm.io.sessions_index import IndexRow, index_order
from au3dmm.io.tables import read_table

_ANNOTATION_ROWS = 65_536
_UNSAID = "none"


@dataclass(frozen=True)
class Entry:
    """One recording of a dataset, as a run found and left it.

    Attributes
    ----------
    session : Session or None
        The recording; None if its `session.toml` cannot be used.
    folder : Path
        Where the run wrote its files.
    failure : str or None
        Why it has no labels, in one line; None if it has them.
    name : str, optional
        What to call it, if there is no session.
    """

    session: Session | None
    folder: Path
    failure: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Recording:
    """What is put together of one recording; `said` reads what people said of it."""

    row: IndexRow
    folder: Path
    said_mark: str
    said: Callable[[], pa.Table] = field(compare=False)

    @property
    def labels(self) -> Path | None:
        """Where its labels are; None if it has none."""
        return self.folder / "labels.parquet" if self.row.status == "ok" else None


def find_recordings(entries: Iterable[Entry]) -> list[Recording]:
    """Describe recordings by their manifests, sorted by subject and name.

    Raises
    ------
    SchemaError
        If two have one name.
    """
    found = []
    for entry in entries:
        if entry.session is None:
            row = IndexRow(
                entry.name or entry.folder.name, None, status="failed", failure=entry.failure or "session.toml is wrong"
            )
            found.append(Recording(row, entry.folder, _UNSAID, annotations_schema().empty_table))
            continue
        session, about = entry.session, entry.session.manifest.session
        row = IndexRow(
            session.session_id,
            session.subject_id,
            about.au,
            about.task,
            about.run,
            about.simulated_events,
            status="ok" if entry.failure is None else "failed",
            failure=entry.failure,
        )
        found.append(Recording(row, entry.folder, _said_mark(session), _said(session)))
    found.sort(key=lambda recording: index_order(recording.row))
    twice = [name for name, n in Counter(r.row.session_id for r in found if r.row.subject_id).items() if n > 1]
    if twice:
        raise SchemaError(f"session_id {twice[0]!r} occurs twice; expected a name of its own for each recording")
    return found


def kept_recordings(out: RunFolder, rows: Iterable[IndexRow], metadata: Mapping[str, Any]) -> list[Recording]:
    """Describe recordings by the index and the annotations that a run left, without the raw data.

    Raises
    ------
    SchemaError
        If there are no annotations of that run.
    """
    said = _kept_annotations(out, metadata)
    return [
        Recording(_bare(row), out.session(row.session_id), row.annotations_sha256 or _UNSAID, said(row.session_id))
        for row in rows
    ]


def session_ledger(folder: Path) -> dict[str, Any]:
    """Return the stages in a session's `stage.json`; none if it cannot be read."""
    try:
        data = json.loads((folder / LEDGER).read_text())
        stages = data["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return stages if isinstance(stages, dict) else {}


def labels_sha256(path: Path | None) -> str | None:
    """Return what the session's `stage.json` says of its labels, which whoever wrote them has checked."""
    if path is None:
        return None
    said = session_ledger(path.parent).get("align", {}).get("outputs", {}).get("labels", {})
    if said.get("file") == path.name and "sha256" in said:
        return str(said["sha256"])
    return sha256_file(path) if path.is_file() else None


def coefficients_sha256(folder: Path) -> str | None:
    """Return what a session's `stage.json` says of its coefficients, which the index tells of."""
    said = session_ledger(folder).get("fit", {}).get("outputs", {}).get("coefficients", {})
    return str(said["sha256"]) if "sha256" in said else None


def _said(session: Session) -> Callable[[], pa.Table]:
    return lambda: read_annotations(session)


def _said_mark(session: Session) -> str:
    """Fingerprint what people said of a recording: the manifest's part, and the files that it names."""
    about = session.manifest.session
    files = {}
    for one in session.manifest.annotations:
        if one.file is not None:
            try:
                files[one.file] = quick_hash(session.file(one.file))
            except SessionError as err:  # it is told when it is read
                files[one.file] = str(err)
    values = [one.model_dump(mode="json") for one in session.manifest.annotations]
    return sha256_json({"au": about.au, "annotations": values, "files": files})


def _kept_annotations(out: RunFolder, metadata: Mapping[str, Any]) -> Callable[[str], Callable[[], pa.Table]]:
    """Return what gives, for a recording, what reads what was said of it when the dataset was put together."""
    table = read_table(out.annotations, "annotations")
    problems = metadata.get("annotation_problems") or {}
    at: dict[str, list[int]] = {}
    for i, name in enumerate(table["session_id"].to_pylist()):
        at.setdefault(name, []).append(i)

    def of(session_id: str) -> Callable[[], pa.Table]:
        def read() -> pa.Table:
            if session_id in problems:
                raise SessionError(str(problems[session_id]))
            return table.take(pa.array(at.get(session_id, []), pa.int64()))

        return read

    return of


def _bare(row: IndexRow) -> IndexRow:
    """Return what `_recordings` knows of a recording."""
    names = ("session_id", "subject_id", "au", "task", "run", "simulated_events", "status", "failure")
    return IndexRow(**{name: getattr(row, name) for name in names})


class Annotations:
    """Reads what people said of all recordings, in pieces of a row group; a file that cannot be read is told."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self.rows = 0
        self.problems: dict[str, str] = {}

    def batches(self) -> Iterator[pa.Table]:
        """Yield tables of some ten thousand rows, in the order of the recordings."""
        waiting: list[pa.Table] = []
        n = 0
        for recording in self._recordings:
            try:
                waiting.append(recording.said())
            except SessionError as err:
                self.problems[recording.row.session_id] = str(err)
                continue
            n += len(waiting[-1])
            if n >= _ANNOTATION_ROWS:
                self.rows += n
                yield _joined(waiting)
                waiting, n = [], 0
        if n:
            self.rows += n
            yield _joined(waiting)

    def warnings(self) -> list[str]:
        """Say what could not be read; call it after `batches`."""
        return [f"annotations of {name} are left out: {text}" for name, text in self.problems.items()]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    # the words of each dictionary anew: one that no row uses may be the name of somebody who has withdrawn
    columns = [
        column.cast(column.type.value_type).combine_chunks().dictionary_encode().cast(column.type)
        if pa.types.is_dictionary(column.type)
        else column.combine_chunks()
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, schema=table.schema)
