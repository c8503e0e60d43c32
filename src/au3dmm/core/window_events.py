"""Cut a stream of packed events into the windows of event frames, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.core.painting import NOT_YET
from au3dmm.errors import FitError

T = TypeVar("T", bound=np.generic)

MOST_EVENTS = 1 << 25
"""Events that are held at most where windows overlap; with their times about 1 GiB."""


@dataclass(frozen=True)
class Part:
    """A stretch of a stream: runs ``[first_run, end_run)`` of `events`, before which the running time is `now_us`."""

    events: PackedEvents
    first_run: int
    end_run: int
    now_us: int = NOT_YET

    def __len__(self) -> int:
        return int(self.events.run_at[self.end_run]) - self.first_event

    @property
    def first_event(self) -> int:
        """Number of its first event."""
        return int(self.events.run_at[self.first_run])


def whole(events: PackedEvents) -> Part:
    """Return all of `events` as the first part of a stream."""
    return Part(events, 0, len(events.run_us))


class EventCursor:
    """A place in a stream that only goes on.

    An event that is earlier than the one before it (cameras step back by a few us) counts at the time of that one.

    Examples
    --------
    >>> from au3dmm.core.packed_events import pack
    >>> zeros = np.zeros(4, int)
    >>> cursor = EventCursor([pack(np.array([1, 5, 4, 9]), zeros, zeros, zeros)])
    >>> [sum(map(len, cursor.take(until))) for until in (5, 6, 100)]
    [1, 2, 1]
    """

    def __init__(self, chunks: Iterable[PackedEvents]) -> None:
        self._chunks = iter(chunks)
        self._events: PackedEvents | None = None
        self._run = 0
        self._now = NOT_YET

    def take(self, until_us: int) -> Iterator[Part]:
        """Go on to the first event at or after `until_us`, and yield what is passed; use each part before the next."""
        while True:
            if self._events is None:
                self._events, self._run = next(self._chunks, None), 0
                if self._events is None:
                    return
            first, now = self._run, self._now
            run_us, run_at = self._events.run_us, self._events.run_at
            self._run, self._now = _first_run_at(run_us, run_at, first, now, until_us)
            if self._run > first:
                yield Part(self._events, first, self._run, now)
            if self._run < len(run_us):
                return
            self._events = None


class EventBuffer:
    """The last events of a stream, from some time on, as they are needed where windows overlap.

    Examples
    --------
    >>> from au3dmm.core.packed_events import pack
    >>> zeros = np.zeros(3, int)
    >>> buffer = EventBuffer()
    >>> buffer.append(whole(pack(np.array([1, 5, 9]), zeros, zeros, zeros)))
    >>> buffer.forget_before(5)
    >>> len(buffer.part())
    2
    """

    def __init__(self, most_events: int = MOST_EVENTS) -> None:
        self._most = most_events
        self._words = np.empty(1 << 12, np.uint32)
        self._run_us = np.empty(1 << 10, np.int64)
        self._run_at = np.zeros((1 << 10) + 1, np.int64)
        self._first_run = self._n_runs = 0

    def append(self, part: Part) -> None:
        """Copy the events of `part`.

        Raises
        ------
        FitError
            If that would be more than this may hold.
        """
        events = part.events
        runs = self._n_runs - self._first_run + part.end_run - part.first_run
        begin = int(self._run_at[self._first_run])
        size = int(self._run_at[self._n_runs]) - begin + len(part)
        if size > self._most:
            raise FitError(
                f"event frames: more than {self._most} events in one window, expected fewer where windows overlap;"
                " choose a shorter accumulation_us"
            )
        room = min(len(self._run_us), len(self._run_at) - 1)
        full = self._n_runs + part.end_run - part.first_run > room
        if full or int(self._run_at[self._n_runs]) + len(part) > len(self._words):
            live = slice(begin, int(self._run_at[self._n_runs]))
            self._words = _to_front(self._words, live, size)
            self._run_at[self._first_run : self._n_runs + 1] -= begin
            self._run_at = _to_front(self._run_at, slice(self._first_run, self._n_runs + 1), runs + 1)
            self._run_us = _to_front(self._run_us, slice(self._first_run, self._n_runs), runs)
            self._first_run, self._n_runs = 0, self._n_runs - self._first_run
        self._n_runs = int(
            _append(
                events.words, events.run_us, events.run_at, part.first_run, part.end_run, part.now_us,
                self._words, self._run_us, self._run_at, self._n_runs,
            )
        )  # fmt: skip

    def forget_before(self, t_us: int) -> None:
        """Forget the events before `t_us`."""
        self._first_run += int(np.searchsorted(self._run_us[self._first_run : self._n_runs], t_us))

    def part(self) -> Part:
        """Return what is held; use it before the next `append`."""
        events = PackedEvents(self._words, self._run_us, self._run_at)
        return Part(events, self._first_run, self._n_runs)


def _to_front(values: NDArray[T], live: slice, size: int) -> NDArray[T]:
    """Move what is live to the front of an array with at least twice the room for `size`, the same one if it has.

    Twice, so that moving costs no more than filling.
    """
    room = values if 2 * size <= len(values) else np.empty(2 * size, values.dtype)
    room[: live.stop - live.start] = values[live]
    return room


@njit(cache=True, nogil=True)
def _first_run_at(run_us, run_at, run, now, until):  # type: ignore[no-untyped-def]
    """Return the first run with events whose running time is not before `until`, and the running time before it."""
    while run < run_us.shape[0]:
        if run_at[run] < run_at[run + 1]:
            at = max(now, run_us[run])
            if at >= until:
                break
            now = at
        run += 1
    return run, now


@njit(cache=True, nogil=True)
def _append(words, run_us, run_at, run, end, now, to_words, to_us, to_at, n):  # type: ignore[no-untyped-def]
    to = to_at[n]
    for r in range(run, end):
        if run_at[r] < run_at[r + 1]:
            now = max(now, run_us[r])
            for i in range(run_at[r], run_at[r + 1]):
                to_words[to] = words[i]
                to += 1
            to_us[n] = now
            n += 1
            to_at[n] = to
    return n
