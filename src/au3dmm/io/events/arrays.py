"""Events that a container holds as arrays of t, x, y and p: checked block by block, and packed.

A container's file (`ArrayFile`) yields blocks of its arrays; one stream for all of them applies the policy on damage
(`au3dmm.io.events.report`). Arrays have no time words: every event states its own time, and is a time word of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import STRIDE, PackedEvents
from au3dmm.io.events.damage import UNKNOWN_US, DamageLog, note
from au3dmm.io.events.report import (
    LATE,
    LATE_US,
    OUTSIDE_SENSOR,
    TIME_GAP,
    TIME_GLITCH,
    UNKNOWN_WORD,
    EventFileReport,
)
from au3dmm.io.events.stream import TRIGGER_DTYPE, Chunk, EventFile, EventStream

BLOCK = 1 << 17
"""Events that a file should yield at once: about 3 MiB of arrays."""

GAP_US = 10_000
"""How far the clock may go on from one event to the next without it being told, us."""

LOOKAHEAD = 1 << 13
"""Events by which a jump of more than `LATE_US` is judged; blocks are larger, so that they decide nothing."""

_NEAR = 16  # of them, all of these are looked at
_FAR = 64  # and this many of the rest
_SPARSE_US = 600_000_000  # how far the near ones may go on
_ALONE_US = 1 << 18  # how far a last event, which nothing follows, may go on (0.26 s)
_TRIGGERS_AHEAD = 4096  # so many later ones are read, so that one with a wrong time holds up none
_ENDLESS = 1 << 61  # us; times beyond it are nonsense, and would overflow

# state between blocks, us: times of the latest and of the earliest event
_TOP, _FIRST = range(2)


@dataclass(frozen=True)
class Columns:
    """N events of a container, in its order.

    Attributes
    ----------
    t_us : (N,) int64 array
        Unshifted camera clock; see `times`.
    x, y : (N,) int32 arrays
        px; see `coordinates`.
    p : (N,) int8 array
        1 brighter, 0 or -1 darker, 2 neither; see `polarities`.
    place : (N,) int64 array
        Where each is: what `DamageSpan.first_byte` says of it.
    """

    t_us: NDArray[np.int64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    p: NDArray[np.int8]
    place: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """Return no events."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing.astype(np.int32), nothing.astype(np.int32), nothing.astype(np.int8), nothing)

    def join(self, other: Columns) -> Columns:
        """Return these events and then the others."""
        if not len(self.t_us):
            return other
        return Columns(
            np.concatenate([self.t_us, other.t_us]),
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.p, other.p]),
            np.concatenate([self.place, other.place]),
        )

    def after(self, n: int) -> Columns:
        """Return a copy without the first `n`."""
        return Columns(
            self.t_us[n:].copy(), self.x[n:].copy(), self.y[n:].copy(), self.p[n:].copy(), self.place[n:].copy()
        )


@dataclass(frozen=True)
class Lost:
    """A stretch of a container that holds no events: it cannot be decoded, or the file ends before it.

    Attributes
    ----------
    kind : int
        `report.UNKNOWN_WORD` (cannot be decoded) or `report.TRUNCATED` (the file ends).
    first, end : int
        Where, the end excluded.
    count : int
        Events lost, as far as is known; at least 1.
    """

    kind: int
    first: int
    end: int
    count: int


def times(values: NDArray[Any], offset_us: int = 0) -> NDArray[np.int64]:
    """Return times in us plus `offset_us` as int64; what is beyond all sense stays so, without overflow.

    Examples
    --------
    >>> times(np.array([1, 2**64 - 1], np.uint64), 10).tolist() == [11, 2**61 + 10]
    True
    """
    wide = values.dtype.kind == "u" and values.dtype.itemsize == 8
    t = np.minimum(values, np.uint64(_ENDLESS)).astype(np.int64) if wide else values.astype(np.int64)
    if values.dtype.itemsize == 8 and not wide:
        np.clip(t, -_ENDLESS, _ENDLESS, out=t)
    t += offset_us
    return t


def coordinates(values: NDArray[Any]) -> NDArray[np.int32]:
    """Return columns or rows in px as int32; what no sensor has becomes -1 or `STRIDE`."""
    if values.dtype.itemsize >= 4:
        values = np.clip(values, -1 if values.dtype.kind == "i" else 0, STRIDE)
    return values.astype(np.int32)


def polarities(values: NDArray[Any]) -> NDArray[np.int8]:
    """Return polarities as int8: booleans, 0 and 1, or -1 and 1 as they are, 2 for anything else.

    Examples
    --------
    >>> polarities(np.array([-1, 1, 255, 0]))
    array([-1,  1,  2,  0], dtype=int8)
    """
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    p = np.where(values <= 1, values, 2)
    return np.where(p >= -1, p, 2).astype(np.int8)


class ArrayFile(EventFile):
    """An event file that is a container of arrays: a base class.

    Places in its report are numbers of events, not bytes, unless its class says so; `describe` tells which.
    """

    places = "event numbers"

    @abstractmethod
    def columns(self) -> Iterator[Columns | Lost]:
        """Yield the events from the start, about `BLOCK` at once.

        Raises
        ------
        SessionError
            If the file cannot be read.
        """

    def trigger_blocks(self) -> Iterator[NDArray[np.void]]:
        """Yield the triggers, arrays of TRIGGER_DTYPE, in the order of the file."""
        yield from ()

    def stream(self) -> ArrayStream:
        """Read the file from its start; see `EventFile.stream`."""
        return ArrayStream(self)

    def triggers(self) -> NDArray[np.void]:
        """Return all triggers of the file, (M,) array of TRIGGER_DTYPE; does not read the events."""
        return np.concatenate([np.zeros(0, TRIGGER_DTYPE), *self.trigger_blocks()])

    def describe(self) -> dict[str, Any]:
        """Return what the file says of itself; see `EventFile.describe`."""
        return {**super().describe(), "damage_places": self.places}


class ArrayStream(EventStream):
    """One pass over a container of arrays.

    An event is dropped if its polarity is none, if it lies outside the sensor, or if it comes later than `LATE_US`
    behind the latest one. An event that goes on by more than `LATE_US` is believed if the next 16 events, but for one
    in eight, stay with it (from `LATE_US` before to ten minutes after), and of those within the next 8192 no more than
    one in eight return to before it; otherwise it is a glitch and is dropped. So a single wrong time never moves the
    clock, nor does a page of them. If it is believed and goes on by more than `GAP_US`, that is a gap; a scene in which
    nothing moves gives such gaps too. The last event of a file may go on by a quarter of a second.
    """

    def __init__(self, file: ArrayFile) -> None:
        self.width = file.width
        self._file = file
        self._source = file.columns()
        self._kept = Columns.none()
        self._words = np.empty(0, np.uint32)
        self._run_us, self._run_at = np.empty(0, np.int64), np.zeros(1, np.int64)
        self._state = np.full(2, UNKNOWN_US, np.int64)
        self._damage = DamageLog()
        self._n_events = self._n_triggers = self._n_seen = 0
        self._ended = False
        self._trigger_source = file.trigger_blocks()
        self._pending = np.zeros(0, TRIGGER_DTYPE)

    def __next__(self) -> Chunk:
        """Check and pack the next block; see `EventStream`."""
        while not self._ended:
            block = self._next_block()
            self._ended = block is None
            n, s = self._pack(block or self._kept)
            triggers = self._triggers_until(None if block is None else int(self._state[_TOP]))
            if n or len(triggers):
                return Chunk(PackedEvents(self._words[:n], self._run_us[:s], self._run_at[: s + 1]), triggers)
        raise StopIteration

    @property
    def report(self) -> EventFileReport:
        """What was found so far; see `EventStream`."""
        file = self._file
        first, last = (None if t == UNKNOWN_US else int(t) for t in (self._state[_FIRST], self._state[_TOP]))
        return EventFileReport(
            format=file.format,
            width=file.width,
            height=file.height,
            events=self._n_events,
            triggers=self._n_triggers,
            t_first_us=first,
            t_last_us=last,
            t_shift_us=file.t_shift_us,
            counts=self._damage.by_kind(),
            time_words=self._n_seen,
            spans=self._damage.spans(),
        )

    def _next_block(self) -> Columns | None:
        """Return what is left and what the file yields next, None at its end; note what is lost in between."""
        for item in self._source:
            if isinstance(item, Columns):
                return self._kept.join(item)
            top = int(self._state[_TOP])
            note(self._damage.rows, self._damage.counts, item.kind, item.first, item.end, top, top, item.count)
        return None

    def _pack(self, block: Columns) -> tuple[int, int]:
        """Pack a block, and keep the rest of it about which only more events can tell; return events and runs."""
        n = len(block.t_us)
        if n > len(self._words):
            self._words = np.empty(n, np.uint32)
            self._run_us, self._run_at = np.empty(n, np.int64), np.empty(n + 1, np.int64)
        used, e, s = _check_and_pack(
            block.t_us, block.x, block.y, block.p, block.place, self._ended, self._state,
            self._damage.rows, self._damage.counts, self._file.width, self._file.height,
            self._words, self._run_us, self._run_at,
        )  # fmt: skip
        self._kept = block.after(used)
        self._n_seen += used
        self._n_events += e
        return e, s

    def _triggers_until(self, t_us: int | None) -> NDArray[np.void]:
        """Return the triggers up to a time, or all that are left."""
        while t_us is None or np.count_nonzero(self._pending["t"] > t_us) < _TRIGGERS_AHEAD:
            block = next(self._trigger_source, None)
            if block is None:
                break
            self._pending = np.concatenate([self._pending, block])
        due = np.ones(len(self._pending), bool) if t_us is None else self._pending["t"] <= t_us
        triggers, self._pending = self._pending[due], self._pending[~due]
        self._n_triggers += len(triggers)
        return triggers


@njit(cache=True, nogil=True)
def _check_and_pack(t, x, y, p, place, final, state, rows, counts, width, height, words, run_us, run_at):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill words and runs; return how many events were used, packed, and in how many runs."""
    n = np.uint64(t.shape[0])
    one = np.uint64(1)  # unsigned: numba would test signed indices for being negative
    i, e, s = np.uint64(0), np.uint64(0), np.uint64(0)
    top, first = state[_TOP], state[_FIRST]
    before = top
    run_at[0] = 0
    while i < n:
        now = t[i]
        inside = (x[i] >= 0) & (x[i] < width) & (y[i] >= 0) & (y[i] < height) & (p[i] <= 1)
        if not inside or top == UNKNOWN_US or now < top - LATE_US or now > top + LATE_US:
            verdict = _judge(t, np.int64(i), x[i], y[i], p[i], place[i], top, final, rows, counts, width, height)
            if verdict < 0:
                break
            if verdict == 0:
                i += one
                continue
            if top == UNKNOWN_US:
                top = first = now
        # whether a run goes on cannot be predicted: its end is written again with each event, rather than asked for
        s += np.uint64((s == 0) | (now != before))
        run_us[s - one] = now
        words[e] = (y[i] << 12) | (x[i] << 1) | (p[i] > 0)
        e += one
        run_at[s] = e
        top, first, before = max(top, now), min(first, now), now
        i += one
    state[_TOP], state[_FIRST] = top, first
    return np.int64(i), np.int64(e), np.int64(s)


@njit(cache=True, nogil=True)
def _judge(t, i, x, y, p, place, top, final, rows, counts, width, height):  # type: ignore[no-untyped-def]
    """Return whether an event that is not plain is kept: 1 yes, 0 no, -1 cannot tell yet; note what is wrong."""
    now = t[i]
    if p > 1:
        note(rows, counts, UNKNOWN_WORD, place, place + 1, top, top, 1)
        return 0
    if x < 0 or x >= width or y < 0 or y >= height:
        note(rows, counts, OUTSIDE_SENSOR, place, place + 1, top, top, 1)
        return 0
    if top != UNKNOWN_US and now < top - LATE_US:
        note(rows, counts, LATE, place, place + 1, top, top, 1)
        return 0
    verdict = _believed(t, i, top, final)
    if verdict == 0:
        note(rows, counts, TIME_GLITCH, place, place + 1, top, top, 1)
    elif verdict == 1 and top != UNKNOWN_US and now > top + GAP_US:
        note(rows, counts, TIME_GAP, place, place + 1, top, now, 1)
    return verdict


@njit(cache=True, nogil=True)
def _believed(t, i, top, final):  # type: ignore[no-untyped-def]
    """Return whether the events after number `i` stay with its time: 1 yes, 0 no, -1 cannot tell yet."""
    now = t[i]
    left = t.shape[0] - i - 1
    if now > _ENDLESS // 2 or now < -_ENDLESS // 2:
        return 0
    if left < LOOKAHEAD and not final:
        return -1
    if left == 0:
        return 1 if top == UNKNOWN_US or now <= top + _ALONE_US else 0
    near = min(left, _NEAR)
    wrong = 0
    for j in range(i + 1, i + 1 + near):
        if t[j] < now - LATE_US or t[j] > now + _SPARSE_US:
            wrong += 1
    if 8 * wrong > near:
        return 0
    step = max(1, min(left, LOOKAHEAD) // _FAR)
    found = wrong = 0
    for j in range(i + step, i + 1 + min(left, LOOKAHEAD), step):
        found += 1
        if t[j] < now - LATE_US:
            wrong += 1
    return 0 if 8 * wrong > found else 1
