"""Write RAW files block by block: header, and words of one size; what the writers of EVT3 and EVT2 have in common."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE
from au3dmm.io.events.writer import EventWriter

LONGEST_US = 1 << 36
"""The latest time that a RAW file begins with, and the longest pause in one: 19 h, for which EVT3 needs 34 MB."""

CONFIRM = 9
"""A time word that jumps is written so often: readers look at the eight that follow."""

SLACK = 64
"""Words for which encoders keep room, more than they write between two looks at it."""

_HELD = 1 << 16  # events of one time that wait for more of it
_ROOM = 1 << 18  # words that are encoded at once
# lines of a header that each format states itself
_OWN_FIELDS = ("evt", "format", "geometry", "endianness", "end", "Data", "Version", "Width", "Height")

Columns = list[NDArray[Any]]
"""One array per field: t, x, y, p of events; t, id, p of triggers."""


class RawWriter(EventWriter):
    """A writer of RAW files; a format says in `_encode` which words they hold.

    Events and triggers are merged by their times; where those are equal, triggers come first.

    Attributes
    ----------
    words : int
        Written so far.
    """

    version: ClassVar[str]
    word: ClassVar[str]
    step_us: ClassVar[int]
    """How much time goes by from one time word to the next."""

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        header: Mapping[str, str] | None = None,
        clock_start_us: int | None = None,
    ) -> None:
        super().__init__(path, width=width, height=height, header=header, clock_start_us=clock_start_us)
        self.words = 0
        self._file: BinaryIO | None = None
        self._state: NDArray[np.int64] | None = None
        self._room = np.empty(_ROOM, self.word)
        self._latest: int | None = None
        self._events = np.zeros(0, EVENT_DTYPE)
        self._triggers = np.zeros(0, TRIGGER_DTYPE)

    @abstractmethod
    def _start(self, start_us: int) -> NDArray[np.int64]:
        """Return the state of the encoder before the first time word, which is to say this time, us."""

    @abstractmethod
    def _encode(
        self, events: Columns, triggers: Columns, i: int, k: int, state: NDArray[np.int64], words: NDArray[Any]
    ) -> tuple[int, int, int]:
        """Fill words, as far as there is room, with events from number `i` on and triggers from number `k` on.

        Returns
        -------
        int, int, int
            Words, and the numbers of the event and the trigger that are next.
        """

    def _begin(self, path: Path) -> None:
        """Write the header; see `EventWriter`."""
        fields = {
            **{key: value for key, value in self.header.items() if key not in _OWN_FIELDS and _fits(key, value)},
            "evt": self.version,
            "format": f"{self.format};height={self.height};width={self.width}",
            "geometry": f"{self.width}x{self.height}",
        }
        lines = [f"% {key} {fields[key]}\n" for key in sorted(fields)]
        self._file = path.open("wb")
        self._file.write("".join([*lines, "% end\n"]).encode("ascii"))

    def _write(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        """Encode what is not going to be mixed with what comes next; see `EventWriter`."""
        self._check_times(events, triggers)
        self._events = np.concatenate([self._events, events])
        self._triggers = np.concatenate([self._triggers, triggers])
        if len(self._events):
            now = self._events["t"][-1]
            others = np.flatnonzero(self._events["t"] != now)
            n = int(others[-1]) + 1 if len(others) else 0
            if len(self._events) - n > _HELD:
                n = len(self._events)
            self._put(n, int((np.maximum.accumulate(self._triggers["t"]) < now).sum()))
        elif len(self._triggers) > _HELD:
            self._put(0, len(self._triggers))

    def _complete(self) -> None:
        """Encode what is left; see `EventWriter`."""
        self._put(len(self._events), len(self._triggers))
        self._release()

    def _release(self) -> None:
        """Close the file; see `EventWriter`."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _put(self, n_events: int, n_triggers: int) -> None:
        assert self._file is not None, "append within the context"
        events, self._events = self._events[:n_events], self._events[n_events:].copy()
        triggers, self._triggers = self._triggers[:n_triggers], self._triggers[n_triggers:].copy()
        if not n_events and not n_triggers:
            return
        if self._state is None:
            first = min(int(stream["t"][0]) for stream in (events, triggers) if len(stream))
            start = first if self.clock_start_us is None else min(self.clock_start_us, first)
            if first - start > LONGEST_US:
                raise SessionError(
                    f"{self.path}: starts at {first} us, {self.format} files are written up to {LONGEST_US} us after"
                    f" the start of their clock, {start} us; write .npz, which holds any time"
                )
            self._state = self._start(start)
        columns = [events[name] for name in ("t", "x", "y", "p")]
        edges = [triggers[name] for name in ("t", "id", "p")]
        i = k = 0
        while i < n_events or k < n_triggers:
            n, i, k = self._encode(columns, edges, i, k, self._state, self._room)
            self._file.write(self._room[:n].tobytes())
            self.words += n

    def _check_times(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        """Refuse steps back and pauses that readers would not believe."""
        start = self._latest
        for name, stream in (("events", events), ("triggers", triggers)):
            if not len(stream):
                continue
            t = stream["t"]
            before = int(t[0]) if start is None else start
            latest = np.maximum.accumulate(np.r_[before, t])
            back, pause = latest[1:] - t, np.diff(latest)
            if back.max() > self.back_us:
                i = int(np.argmax(back > self.back_us))
                raise SessionError(
                    f"{self.path}: {name} go back in time by {back[i]} us at {t[i]} us, {self.format} holds steps back"
                    f" of at most {self.back_us} us; sort them by t"
                )
            if pause.max() > LONGEST_US:
                i = int(np.argmax(pause))
                raise SessionError(
                    f"{self.path}: nothing for {pause[i] / 1e6:.0f} s before {t[i]} us, {self.format} holds pauses"
                    f" of at most {LONGEST_US / 1e6:.0f} s; cut the recording there"
                )
            self._latest = max(int(latest[-1]), self._latest or 0)


def write_whole(
    writer: type[RawWriter],
    path: Path,
    events: NDArray[np.void],
    triggers: NDArray[np.void],
    size: tuple[int, int],
    header: Mapping[str, str] | None,
) -> int:
    """Write events and triggers, all in order of time, as one file; return how many words it has.

    Parameters
    ----------
    writer : class
        Of the format.
    path, events, triggers
        See `EventWriter`.
    size : (int, int)
        Width and height of the sensor, px.
    header : mapping or None
        More header lines by key.

    Raises
    ------
    SessionError
        If times go backwards or do not start in the clock's first turn, or a value does not fit.
    OutputError
        If the file cannot be written.
    """
    with writer(path, width=size[0], height=size[1], header=header) as out:
        for name, stream in (("events", events), ("triggers", triggers)):
            back = np.flatnonzero(np.diff(stream["t"]) < 0)
            if len(back):
                raise SessionError(f"{path}: {name} go back in time at number {back[0] + 1}; sort them by t")
        out.append(events, triggers)
    return out.words


def _fits(key: str, value: str) -> bool:
    """Whether a line of the header reads back as this."""
    plain = value.isascii() and value.isprintable() and value == value.strip()
    return re.fullmatch(r"[!-~]+", key) is not None and plain and len(key) + len(value) < 1000
