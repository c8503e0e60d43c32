"""Events that a container holds as arrays of t, x, y and p: checked block by block, and packed.

A container's file (`ArrayFile`) yields blocks of its arrays; one stream for all of them applies the policy on damage
(`au3dmm.io.events.report`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.io.events.array_checks import COLUMN, FIRST, GAP_US, LOOKAHEAD, PLACE, ROW, TOP, check_and_pack, new_state
from au3dmm.io.events.columns import BLOCK, Columns, Lost, coordinates, polarities, times
from au3dmm.io.events.damage import UNKNOWN_US, DamageLog, note
from au3dmm.io.events.report import EventFileReport, Unit
from au3dmm.io.events.stream import TRIGGER_DTYPE, Chunk, EventFile, EventStream

__all__ = [
    "BLOCK",
    "GAP_US",
    "LOOKAHEAD",
    "ArrayFile",
    "ArrayStream",
    "Columns",
    "Lost",
    "coordinates",
    "polarities",
    "times",
]

_TRIGGERS_AHEAD = 4096  # so many later ones are read, so that one with a wrong time holds up none


class ArrayFile(EventFile):
    """An event file that is a container of arrays: a base class.

    Attributes
    ----------
    unit : str
        Of the places in its report: ``events`` (their numbers in the arrays) or ``bytes``.
    end_place : int
        Where its last event ends, in this unit.
    """

    unit: Unit = "events"
    end_place: int

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


class ArrayStream(EventStream):
    """One pass over a container of arrays.

    An event is dropped if its polarity is none, if it lies outside the sensor, or if it comes later than `LATE_US`
    behind the latest one. An event that goes on by more than `LATE_US` is believed if the next 16 events, but for one
    in eight, stay with it (no more than `LATE_US` before it, and at most ten minutes from one to the next), and of
    those within the next 8192 no more than one in eight return to before it; otherwise it is a glitch and is dropped.
    So a single wrong time never moves the clock, nor does a page of them. The last event of a file, which nothing
    follows, may go on by a quarter of a second or four times the longest pause so far; after less than 16 events, by
    ten minutes.

    If an event that is believed goes on by more than `GAP_US`, and something before it is lost (it cannot be decoded,
    or its time was wrong), that is a gap. If nothing is lost, it is silence: a container says how many events it
    should hold, so none is missing.
    """

    def __init__(self, file: ArrayFile) -> None:
        self.width = file.width
        self._file = file
        self._source = file.columns()
        self._kept = Columns.none()
        self._words = np.empty(0, np.uint32)
        self._run_us, self._run_at = np.empty(0, np.int64), np.zeros(1, np.int64)
        self._state = new_state()
        self._holes: list[int] = []  # where the file is lost, ahead of what has been checked
        self._reached = 0
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
            triggers = self._triggers_until(None if block is None else int(self._state[TOP]))
            if n or len(triggers):
                return Chunk(PackedEvents(self._words[:n], self._run_us[:s], self._run_at[: s + 1]), triggers)
        raise StopIteration

    @property
    def report(self) -> EventFileReport:
        """What was found so far; see `EventStream`."""
        file = self._file
        first, last = (None if t == UNKNOWN_US else int(t) for t in self._state[[FIRST, TOP]])
        column, row = self._state[[COLUMN, ROW]].tolist()
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
            spans=self._damage.spans(file.unit),
            container=True,
            assumed_size=file.assumed_size,
            outside_up_to=(column, row) if column >= 0 else None,
        )

    @property
    def bytes_left(self) -> int:
        """About how much of the file has not been read, by the place of what has; see `EventStream`."""
        if self._ended:
            return 0
        n_bytes = self._file.path.stat().st_size
        return n_bytes - n_bytes * self._reached // max(self._file.end_place, 1)

    def _next_block(self) -> Columns | None:
        """Return what is left and what the file yields next, None at its end; note what is lost in between."""
        for item in self._source:
            if isinstance(item, Columns):
                if len(item.place):
                    self._reached = int(item.place[-1])
                return self._kept.join(item)
            self._holes.append(item.first)
            top = int(self._state[TOP])
            note(self._damage.rows, self._damage.counts, item.kind, item.first, item.end, top, top, item.count)
        return None

    def _pack(self, block: Columns) -> tuple[int, int]:
        """Pack a block, and keep the rest of it about which only more events can tell; return events and runs."""
        n = len(block.t_us)
        if n > len(self._words):
            self._words = np.empty(n, np.uint32)
            self._run_us, self._run_at = np.empty(n, np.int64), np.empty(n + 1, np.int64)
        used, e, s = check_and_pack(
            block.t_us, block.x, block.y, block.p, block.place, self._ended, np.array(self._holes, np.int64),
            self._state, self._damage.rows, self._damage.counts, self._file.width, self._file.height,
            self._words, self._run_us, self._run_at,
        )  # fmt: skip
        self._kept = block.after(used)
        self._holes = [hole for hole in self._holes if hole > self._state[PLACE]]
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
