"""Cut recordings and convert them to other formats, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.atomic import file_lock
from au3dmm.io.events.evt2_writer import Evt2Writer
from au3dmm.io.events.evt3_writer import Evt3Writer
from au3dmm.io.events.instant import Instant
from au3dmm.io.events.npz_writer import NpzWriter
from au3dmm.io.events.open import open_events
from au3dmm.io.events.ordering import Ordering
from au3dmm.io.events.raw_writer import LONGEST_US, RawWriter
from au3dmm.io.events.reading import SETTLED_US, is_past, within
from au3dmm.io.events.report import EventFileReport
from au3dmm.io.events.stream import Chunk, EventFile, EventStream
from au3dmm.io.events.writer import EventWriter

Format = Literal["evt3", "evt2", "npz"]
FORMATS: tuple[Format, ...] = ("evt3", "evt2", "npz")
Progress = Callable[[int, int], None]
"""Called with how many bytes of the file have been read, and how many there are; of containers about as many."""

_WRITERS: dict[Format, type[EventWriter]] = {"evt3": Evt3Writer, "evt2": Evt2Writer, "npz": NpzWriter}
_EVT3_TURN, _EVT2_TURN = 1 << 24, 1 << 34  # us


@dataclass(frozen=True)
class Edit:
    """What was written.

    Attributes
    ----------
    path : Path
    format : str
    events, triggers : int
        In the file that was written.
    t_first_us, t_last_us : int
        Its earliest and latest event, us on its clock.
    t_shift_us : int
        What readers that shift times subtract from them.
    rebased_us : int
        What was subtracted from all times.
    source : EventFileReport
        Of the file that was read, as far as that was necessary.
    """

    path: Path
    format: str
    events: int
    triggers: int
    t_first_us: int
    t_last_us: int
    t_shift_us: int
    rebased_us: int
    source: EventFileReport


def cut_events(
    file: EventFile,
    target: Path,
    start: Instant | None = None,
    end: Instant | None = None,
    *,
    to: Format | None = None,
    rebase: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Edit:
    """Write the events and triggers of a recording in ``[start, end)``; times and header stay as they are.

    A damaged recording is cut, too: what can be read of it is written, in order of time as far as the format needs it
    (`Ordering`), so that the new file is free of damage.

    Parameters
    ----------
    file : EventFile
        See `open_events`.
    target : Path
        The file to write, whole or not at all.
    start, end : Instant, optional
        By default from the beginning, to the end.
    to : str, optional
        ``evt3``, ``evt2`` or ``npz``; by default what the suffix of `target` says, for .raw the format of `file`.
    rebase : bool
        Subtract from all times what does not fit into a RAW file, and say so in its header, as ``rebased_us``. Needed
        where a recording begins later than `LONGEST_US`, for example with times since 1970, or before 0.
    force : bool
        Replace a file that is there.
    progress : callable, optional
        See `Progress`.

    Raises
    ------
    ConfigError
        If the span is empty or holds no event, times do not fit, a file is there, or the format cannot be written.
    SessionError
        If the recording cannot be read, or its order or values do not fit the format.
    OutputError
        If the file cannot be written.
    """
    chosen = _format(file, target, to)
    _check_target(file, target, force)
    first = first_event_us(file)
    start_us, end_us = (None if t is None else t.on_clock(first) for t in (start, end))
    if start_us is not None and end_us is not None and start_us >= end_us:
        raise ConfigError(f"{file.path}: a cut from {start_us} us to {end_us} us, expected an end after the start")
    offset = _offset(file, chosen, first, rebase)
    return _copy(file, target, chosen, start_us, end_us, offset, progress, whole=False)


def convert_events(
    file: EventFile,
    target: Path,
    *,
    to: Format | None = None,
    rebase: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Edit:
    """Write a recording in another format; times and header stay as they are.

    Parameters
    ----------
    file, target, rebase, force, progress
        See `cut_events`.
    to : str, optional
        ``evt3``, ``evt2`` or ``npz``; by default what the suffix of `target` says, for .raw EVT3.

    Raises
    ------
    ConfigError
        If times do not fit, a file is there, or the format cannot be written.
    SessionError
        If the recording cannot be read, is too damaged, or its order or values do not fit the format.
    OutputError
        If the file cannot be written.
    """
    chosen = _format(file, target, to or ("evt3" if target.suffix.lower() == ".raw" else None))
    _check_target(file, target, force)
    offset = _offset(file, chosen, first_event_us(file), rebase)
    return _copy(file, target, chosen, None, None, offset, progress, whole=True)


def read_through(stream: EventStream, file: EventFile, progress: Progress | None = None) -> Iterator[Chunk]:
    """Yield the chunks of a stream, and tell the progress."""
    for chunk in stream:
        yield chunk
        if progress is not None:
            total = file.path.stat().st_size
            progress(max(total - stream.bytes_left, 0), total)


def first_event_us(file: EventFile) -> int:
    """Return the time of the first event, us on the unshifted camera clock: the earliest of the first chunk with any.

    Raises
    ------
    SessionError
        If there is none.
    """
    stream = file.stream()
    for chunk in stream:
        if len(chunk.events):
            return int(chunk.events.run_us[np.diff(chunk.events.run_at) > 0].min())
    stream.report.check(file.path)
    raise AssertionError("a report without events is refused")


def _copy(
    file: EventFile,
    target: Path,
    to: Format,
    start_us: int | None,
    end_us: int | None,
    offset_us: int,
    progress: Progress | None,
    *,
    whole: bool,
) -> Edit:
    stream = file.stream()
    header = dict(file.header)
    if offset_us:
        header["rebased_us"] = str(offset_us)
    clock = None if offset_us else _clock_start(file, to)
    ends: list[int] = []  # earliest and latest event of each chunk
    stopped = False  # before the end of the file
    kind = _WRITERS[to]
    order = Ordering(kind.step_us, SETTLED_US) if issubclass(kind, RawWriter) else None
    writer = kind(target, width=file.width, height=file.height, header=header, clock_start_us=clock)
    with file_lock(target), writer as out:
        for chunk in read_through(stream, file, progress):
            events = within(chunk.events, start_us, end_us).unpack()
            triggers = _span(chunk.triggers, start_us, end_us)
            events["t"] -= offset_us
            triggers["t"] -= offset_us
            out.append(*((events, triggers) if order is None else order.add(events, triggers)))
            if len(events):
                ends = [min([*ends[:1], int(events["t"].min())]), max([*ends[1:], int(events["t"].max())])]
            if is_past(chunk.events, end_us):
                stopped = True
                break
        if order is not None:
            out.append(*order.rest())
        report = stream.report
        if whole:
            report.check(file.path)
        elif wrong := report.wrong_size():
            raise SessionError(f"{file.path}: {wrong}")
        elif not out.events:
            limits = (f"{word} {t} us" for word, t in (("from", start_us), ("to", end_us)) if t is not None)
            last = "" if stopped else f", and its last at {report.t_last_us} us"
            raise ConfigError(
                f"{file.path}: no events {' '.join(limits)}; its first event is at {report.t_first_us} us{last}"
            )
    shift = open_events(target).t_shift_us
    return Edit(target, out.format, out.events, out.triggers, ends[0], ends[1], shift, offset_us, report)


def _span(triggers: NDArray[np.void], start_us: int | None, end_us: int | None) -> NDArray[np.void]:
    inside = np.ones(len(triggers), bool)
    if start_us is not None:
        inside &= triggers["t"] >= start_us
    if end_us is not None:
        inside &= triggers["t"] < end_us
    return triggers[inside]


def _offset(file: EventFile, to: Format, first_us: int, rebase: bool) -> int:
    """Return what has to be subtracted from all times: turns of the shortest clock, so that the rest stays as it is."""
    if 0 <= first_us < LONGEST_US or (to == "npz" and first_us >= 0):
        return 0
    offset = first_us // _EVT3_TURN * _EVT3_TURN
    if not rebase:
        if first_us < 0:
            raise ConfigError(
                f"{file.path}: its first event is at {first_us} us, but files are written from 0 us on: --rebase adds"
                f" {-offset} us to all times"
            )
        raise ConfigError(
            f"{file.path}: its first event is at {first_us} us, but RAW files have to begin before {LONGEST_US} us (19"
            f" hours): --rebase subtracts {offset} us from all times; or write .npz, which holds any"
        )
    return offset


def _clock_start(file: EventFile, to: Format) -> int:
    """Return what the new file is to state as the start of its clock, so that it is shifted by what the old one is."""
    shift = file.t_shift_us
    if to == "evt3":
        # readers subtract the time word before the first one; a clock that has gone round begins at 0 again
        return shift + 4096 if 0 < shift < _EVT3_TURN - 4096 else 0
    return shift if to == "npz" or 0 <= shift < _EVT2_TURN else 0


def _format(file: EventFile, target: Path, stated: Format | None) -> Format:
    if stated is not None:
        return stated
    suffix = target.suffix.lower()
    if suffix == ".npz":
        return "npz"
    if suffix == ".raw":
        return "evt2" if file.format in ("EVT2", "EVT2.1") else "evt3"
    raise ConfigError(
        f"{target}: cannot be written as {suffix or 'a file without suffix'}, expected .raw (EVT3, EVT2) or .npz; or"
        f" say --format {', '.join(FORMATS)}"
    )


def _check_target(file: EventFile, target: Path, force: bool) -> None:
    if target.is_symlink() and not (target.exists() and target.samefile(file.path)):
        raise ConfigError(
            f"{target}: a link to {os.readlink(target)}, which is neither followed nor replaced; name the file itself,"
            " or remove the link"
        )
    if not target.exists():
        return
    if target.is_dir():
        raise ConfigError(f"{target}: a folder; expected the name of a file to write")
    if not target.is_file():
        raise ConfigError(f"{target}: a pipe or a device; expected the name of a file to write")
    if target.samefile(file.path):
        raise ConfigError(f"{target}: the recording itself, which is never written to; choose another name")
    if not force:
        raise ConfigError(f"{target}: there already; --force replaces it")
