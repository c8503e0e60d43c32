"""Label sources: what people said of a recording, one row per statement, beside what is fitted and apart from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.annotation_files import canonical_label, read_frame_codes
from au3dmm.io.frames import natural_key
from au3dmm.io.session import AnnotationSection, Session, image_files
from au3dmm.io.timestamps import read_timestamps
from au3dmm.io.video import packet_times

_WORD = pa.dictionary(pa.int32(), pa.string())  # int32: tables of many sessions are joined
_TOP = {"frame_occurrence": 1, "frame_intensity": 5}


def annotations_schema() -> pa.Schema:
    """Row per statement.

    ``session_id``, ``subject_id``; ``source``: who or what says so; ``kind``: ``video_class``, ``segment``,
    ``frame_occurrence`` or ``frame_intensity``; ``origin``: ``instructed``, ``reported``, ``coder``, ``derived`` or
    ``simulated``; ``vocabulary``: ``au``, ``emotion``, ...; ``label``; ``frame_index``: of frame_*, the RGB frame;
    ``t_start_us``, ``t_apex_us``, ``t_end_us``: of segment, us on the RGB clock; ``value``: of frame_*, occurrence 0 or
    1, or intensity 0 to 5, null where it was not coded.
    """
    word = [pa.field(name, _WORD, nullable=False) for name in ("session_id", "subject_id", "source", "kind")]
    word += [pa.field(name, _WORD, nullable=False) for name in ("origin", "vocabulary", "label")]
    times = [pa.field(name, pa.int64()) for name in ("t_start_us", "t_apex_us", "t_end_us")]
    return pa.schema([*word, pa.field("frame_index", pa.int32()), *times, pa.field("value", pa.float32())])


def read_annotations(session: Session) -> pa.Table:
    """Read everything that is said of a recording: ``[session] au`` and ``[[annotations]]``, in this order.

    ``[session] au`` is the short form of a ``video_class`` with origin ``instructed``. Frame-level files are read and
    laid beside the RGB frames; a label that was coded in no frame gives no rows.

    Returns
    -------
    pyarrow.Table
        See `annotations_schema`; empty if nothing is said.

    Raises
    ------
    SessionError
        If a file is missing or of another form, or its rows are not those of the RGB frames.
    """
    parts = [_statements(session)]
    wanted = [one for one in session.manifest.annotations if one.file is not None]
    if wanted:
        n_frames = count_frames(session)
        parts += [_frames(session, one, n_frames) for one in wanted]
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks()


def count_frames(session: Session) -> int:
    """Return the number of RGB frames of a session, without decoding any.

    Raises
    ------
    SessionError
        If timestamps, folder or video cannot be read.
    """
    rgb = session.manifest.rgb
    if rgb.timestamps is not None:
        return len(read_timestamps(session.file(rgb.timestamps)).pts_us)
    assert rgb.file is not None  # the manifest refuses a folder without timestamps
    return len(packet_times(session.file(rgb.file)))  # what a container says of itself is a guess in some


def _statements(session: Session) -> pa.Table:
    """Return the rows of annotations that are written in the manifest itself, each once."""
    about, rows = session.manifest.session, []
    if about.au is not None:
        short = AnnotationSection(kind="video_class", origin="instructed", label=about.au)
        rows.append(_row(short, "session"))
    for one in session.manifest.annotations:
        row = _row(one, one.source or session.path.name)
        # who spells out [session] au has said it once
        if one.file is None and not any(row[1:] == other[1:] for other in rows):
            rows.append(row)
    columns = list(zip(*rows, strict=True)) or [()] * 8
    n = len(rows)
    return _table(session, columns[:5], pa.nulls(n, pa.int32()), columns[5:], pa.nulls(n, pa.float32()))


def _row(one: AnnotationSection, source: str) -> tuple[str | int | None, ...]:
    label = canonical_label(one.label or "", one.vocabulary)
    return (source, one.kind, one.origin, one.vocabulary, label, one.onset_us, one.apex_us, one.offset_us)


def _frames(session: Session, one: AnnotationSection, n_frames: int) -> pa.Table:
    path = session.file(str(one.file))
    codes = read_frame_codes(path, one.format, one.label, one.vocabulary, _TOP[one.kind])
    frame = _frame_of(session, codes.number, codes.counts_from)
    inside = (frame >= 0) & (frame < n_frames)
    if one.coverage == "all":
        _check_all(session, path, codes.number, frame, inside, n_frames)
    elif not inside.any():
        raise SessionError(
            f"{path}: rows for frames {codes.number[0]} to {codes.number[-1]}, none of which is among the {n_frames}"
            f" of {session.path}; is it another recording's?"
        )
    values, frame = codes.values[inside], frame[inside]
    used = np.flatnonzero(~np.isnan(values).all(0))  # BP4D's matrices have 99 columns, most of them never coded
    n = len(frame)
    labels = [codes.labels[i] for i in used]
    value = values[:, used].T.ravel()
    missing = np.isnan(value)
    words = [one.source or path.name, one.kind, one.origin, one.vocabulary]
    return _table(
        session,
        [*([word] * n * len(used) for word in words), np.repeat(np.array(labels, object), n).tolist()],
        pa.array(np.tile(frame, len(used)), pa.int32()),
        [[None] * n * len(used)] * 3,
        pa.array(np.where(missing, np.float32(0), value), pa.float32(), mask=missing),
    )


def _frame_of(session: Session, number: NDArray[np.int64], counts_from: int) -> NDArray[np.int64]:
    """Return the frame_index of each number, -1 if there is none.

    Of a folder of images, whoever counts from 1 means the numbers in the images' names, where each has one of its own.
    """
    folder = session.manifest.rgb.folder
    if counts_from == 0 or folder is None:
        return number - counts_from
    files = sorted(image_files(session.file(folder)), key=lambda path: (natural_key(path.name), path.name))
    names = [re.findall(r"\d+", path.stem) for path in files]
    numbers = [int(found[-1]) for found in names if found]
    if len(numbers) != len(files) or len(set(numbers)) != len(numbers):
        return number - counts_from
    place = {value: index for index, value in enumerate(numbers)}
    return np.array([place.get(int(value), -1) for value in number], np.int64)


def _check_all(
    session: Session,
    path: Path,
    number: NDArray[np.int64],
    frame: NDArray[np.int64],
    inside: NDArray[np.bool_],
    n_frames: int,
) -> None:
    problems = []
    if not inside.all():
        outside = number[~inside]
        problems.append(f"{_some(outside)} of the file (frame {_span(outside)}) have no RGB frame")
    lacking = np.setdiff1d(np.arange(n_frames), frame)
    if len(lacking):
        problems.append(f"{len(lacking)} RGB frames (frame_index {_span(lacking)}) have no row")
    if problems:
        raise SessionError(
            f"{path}: {len(number)} rows for {n_frames} RGB frames of {session.path}: {' and '.join(problems)};"
            " expected a row for every frame; coverage = 'overlap' takes those that match"
        )


def _some(values: NDArray[np.int64]) -> str:
    return f"{len(values)} row" + ("" if len(values) == 1 else "s")


def _span(values: NDArray[np.int64]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _table(
    session: Session,
    words: Sequence[Sequence[object]],
    frame: pa.Array,
    times: Sequence[Sequence[object]],
    value: pa.Array,
) -> pa.Table:
    n = len(frame)
    about = [[session.session_id] * n, [session.subject_id] * n, *words]
    columns = [pa.array(list(column), pa.string()).dictionary_encode().cast(_WORD) for column in about]
    columns += [frame, *(pa.array(list(column), pa.int64()) for column in times), value]
    return pa.Table.from_arrays(columns, schema=annotations_schema())
