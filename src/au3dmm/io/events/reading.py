"""Read a recording into arrays: all of it, a span of time, its triggers, or slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.errors import ConfigError
from au3dmm.io.arguments import whole_number
from au3dmm.io.events.open import open_events
from au3dmm.io.events.records import RecordStream
from au3dmm.io.events.report import LATE_US
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE, EventFile, EventStream

SETTLED_US = 2 * LATE_US
"""After an event that is later than a time by this much, no event before that time comes any more."""

_MUCH = 1 << 28  # events (4 GiB), beyond which a first guess is not trusted
_NEVER = int(np.iinfo(np.int64).min)


def read_events(
    path: Path | str,
    start_us: int | None = None,
    end_us: int | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
) -> NDArray[np.void]:
    """Return the events of a recording, or those in ``[start_us, end_us)``.

    Parameters
    ----------
    path : Path or str
        The file; see `open_events` for the formats.
    start_us, end_us : int, optional
        us on the unshifted camera clock. Of a file that is read up to `end_us` only what comes before is checked.
    width, height : int, optional
        Sensor, px; needed where the file does not say.

    Returns
    -------
    (N,) array of EVENT_DTYPE
        Fields t (us), x, y (px), p (1 brighter, 0 darker), in the order of the file: times may step back by a few us.

    Raises
    ------
    ConfigError
        If a time is no whole number.
    SessionError
        If the file cannot be read, holds no events, or is too damaged (`EventFileReport.check`).

    Warns
    -----
    EventFileWarning
        If the file is damaged, but less than that: in one sentence, what is missing from the answer. Where it is
        missing, and all else that is known of the file, is in the report of a stream that has been read to its end::

            stream = open_events(path).stream()
            for chunk in stream:
                ...
            stream.report
    """
    start_us, end_us = _span(start_us, end_us)
    file = open_events(path, width, height)
    stream = file.stream()
    found = np.empty(0, EVENT_DTYPE)
    n = 0

    def room(at_least: int) -> NDArray[np.void]:
        nonlocal found
        if n + at_least > len(found):
            # `resize` would copy as well, and fill the rest with zeros
            larger = np.empty(_room(stream, file.path, n, at_least), EVENT_DTYPE)
            # numpy copies structured values field by field, and words of 64 bits at once
            larger[:n].view(np.uint64)[:] = found[:n].view(np.uint64)
            found = larger
        return found[n:]

    everything = start_us is None and end_us is None
    for events in stream.arrays(room) if everything else _cut(stream, start_us, end_us, room):
        n += len(events)
    stream.report.check(file.path)
    stream.report.warn(file.path)
    return found[:n]


def _span(start_us: int | None, end_us: int | None) -> tuple[int | None, int | None]:
    return (
        None if start_us is None else whole_number("start_us", start_us),
        None if end_us is None else whole_number("end_us", end_us),
    )


def _cut(
    stream: EventStream, start_us: int | None, end_us: int | None, room: Callable[[int], NDArray[np.void]]
) -> Iterator[NDArray[np.void]]:
    for chunk in stream:
        events = within(chunk.events, start_us, end_us)
        yield events.unpack(room(len(events)))
        if is_past(chunk.events, end_us):
            return


def _room(stream: EventStream, path: Path, n: int, at_least: int) -> int:
    """Return how many events to make room for, given that there are `n` so far and up to `at_least` come next.

    As many as there are going to be if the file goes on like this, so that they are seldom copied: room that is not
    used takes no memory.
    """
    grown = (n + at_least) * 3 // 2
    if n == 0 or not isinstance(stream, RecordStream):
        return grown
    size = path.stat().st_size
    expected = at_least + int(1.25 * n * size / max(size - stream.bytes_left, 1))
    return min(max(expected, grown), max(16 * (n + at_least), _MUCH))


def read_triggers(path: Path | str, *, width: int | None = None, height: int | None = None) -> NDArray[np.void]:
    """Return the edges of a recording's trigger inputs.

    Parameters
    ----------
    path, width, height
        See `read_events`.

    Returns
    -------
    (M,) array of TRIGGER_DTYPE
        Fields t (us on the unshifted camera clock), id (input), p (1 rising, 0 falling).

    Raises
    ------
    SessionError
        If the file cannot be read, or is too damaged (`EventFileReport.check`).

    Warns
    -----
    EventFileWarning
        If the file is damaged, but less than that; see `read_events`.
    """
    file = open_events(path, width, height)
    stream = file.stream()
    found = [chunk.triggers for chunk in stream]
    if stream.report.events:  # triggers alone are a recording, too
        stream.report.check(file.path)
    stream.report.warn(file.path)
    return np.concatenate(found) if found else np.zeros(0, TRIGGER_DTYPE)


def slice_events(
    path: Path | str,
    step_us: int,
    start_us: int | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
) -> Iterator[tuple[int, NDArray[np.void]]]:
    """Yield a recording slice by slice: of one length, without gaps, also those in which nothing happened.

    Memory is bounded by the largest slice, however long the recording is.

    Parameters
    ----------
    path, width, height
        See `read_events`.
    step_us : int
        Length of a slice, us.
    start_us : int, optional
        Start of the first one, us on the unshifted camera clock; events before are left out. By default the multiple of
        `step_us` at or before the first event.

    Yields
    ------
    t_start_us : int
        Start of the slice, which ends before ``t_start_us + step_us``.
    events : (N,) array of EVENT_DTYPE
        An event that is earlier than the one before it (cameras step back by a few us) is in the slice of that one.

    Raises
    ------
    ConfigError
        If a slice is shorter than 1 us, or a time is no whole number.
    SessionError
        If the file cannot be read; at its end, if it holds no events or is too damaged.

    Warns
    -----
    EventFileWarning
        At the end of the file, if it is damaged, but less than that; see `read_events`.
    """
    step_us = whole_number("step_us", step_us)
    start_us = _span(start_us, None)[0]
    if step_us < 1:
        raise ConfigError(f"slices of {step_us} us, expected 1 us or longer")
    file = open_events(path, width, height)
    return _slices(file, step_us, start_us)


def _slices(file: EventFile, step_us: int, start_us: int | None) -> Iterator[tuple[int, NDArray[np.void]]]:
    stream = file.stream()
    now = _NEVER
    begin = start_us
    waiting: list[NDArray[np.void]] = []
    for chunk in stream:
        events = chunk.events.unpack()
        running = np.maximum.accumulate(np.r_[now, events["t"]])[1:]
        if not len(events):
            continue
        now = int(running[-1])
        if begin is None:
            begin = int(running[0]) // step_us * step_us
        at = int(np.searchsorted(running, begin)) if not waiting else 0
        while now >= begin + step_us:
            stop = int(np.searchsorted(running, begin + step_us))
            yield begin, _joined([*waiting, events[at:stop]])
            waiting, at, begin = [], stop, begin + step_us
        if at < len(events):
            waiting.append(events[at:].copy())
    stream.report.check(file.path)
    stream.report.warn(file.path)
    if waiting:
        assert begin is not None, "the first event sets it"
        yield begin, _joined(waiting)


def _joined(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)


def within(events: PackedEvents, start_us: int | None, end_us: int | None) -> PackedEvents:
    """Return those of the events that are in ``[start_us, end_us)``, in their order; all if neither is given.

    Examples
    --------
    >>> from au3dmm.core.packed_events import pack
    >>> within(pack([5, 5, 7, 9], [0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 1, 1]), 6, 9).unpack()["x"]
    array([2], dtype=uint16)
    """
    t = events.run_us
    inside = np.ones(len(t), bool)
    if start_us is not None:
        inside &= t >= start_us
    if end_us is not None:
        inside &= t < end_us
    if inside.all():
        return events
    lengths = np.diff(events.run_at)
    kept = lengths[inside]
    return PackedEvents(events.words[np.repeat(inside, lengths)], t[inside], np.r_[0, np.cumsum(kept)])


def is_past(events: PackedEvents, end_us: int | None) -> bool:
    """Whether no event before `end_us` comes after these."""
    if end_us is None:
        return False
    times = events.run_us[np.diff(events.run_at) > 0]
    return len(times) > 0 and int(times.max()) >= end_us + SETTLED_US
