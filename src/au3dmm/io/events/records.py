"""One pass over a file of records of one size: blocks of it to chunks of events, in bounded memory."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.damage import UNKNOWN_US, DamageLog, note
from au3dmm.io.events.report import TRUNCATED, EventFileReport
from au3dmm.io.events.stream import TRIGGER_DTYPE, Chunk, EventFile, EventStream


class RecordStream(EventStream):
    """A stream whose format says in `decode` what records mean.

    Parameters
    ----------
    file : EventFile
        Whose bytes these are.
    first_byte : int
        Where its records begin.
    record_bytes : int
        Size of one.
    block_records : int
        Records to read at once; more than any of them is decided by.
    events_per_record : int
        At most.
    """

    def __init__(
        self, file: EventFile, first_byte: int, record_bytes: int, block_records: int, events_per_record: int = 1
    ) -> None:
        self.file = file
        self.width = file.width
        self.damage = DamageLog()
        self.t_first_us = self.t_last_us = UNKNOWN_US
        self.time_words = 0
        self._size = record_bytes
        self._at_byte = first_byte
        try:
            self._bytes = file.path.open("rb", buffering=0)
            # a recording that is still being written is read as far as it has come
            self._left = max(self._bytes.seek(0, 2) - first_byte, 0)
            self._bytes.seek(first_byte)
        except OSError as err:
            raise SessionError(f"{file.path}: cannot be read: {os_reason(err)}") from err
        self._block = np.empty(block_records * record_bytes, np.uint8)
        self._start = self._stop = 0  # what is left of the block
        self._over = 0  # bytes at the end of the file that make no record
        # as many as a block can hold; only what is filled takes memory
        self._packed = np.empty(block_records * events_per_record + 1, np.uint32)
        self._run_us, self._run_at = np.empty(block_records + 2, np.int64), np.empty(block_records + 3, np.int64)
        self._edges = np.empty((block_records, 3), np.int64)  # time (us), input and edge of triggers
        self._n_events = self._n_triggers = 0

    def __del__(self) -> None:
        if hasattr(self, "_bytes"):
            self._bytes.close()

    @abstractmethod
    def decode(self, block: NDArray[np.uint8], final: bool, at_byte: int) -> tuple[int, int, int, int]:
        """Decode records into `_packed`, `_run_us` and `_run_at` (a `PackedEvents`, beginning with run 1) and `_edges`.

        `damage`, `t_first_us`, `t_last_us` and `time_words` are kept up to date.

        Parameters
        ----------
        block : uint8 array
            Whole records, as far as they have been read.
        final : bool
            Whether the file ends with them; otherwise the last of them may be left for the next call.
        at_byte : int
            Where the first of them is in the file.

        Returns
        -------
        int, int, int, int
            Bytes used, events, runs, triggers.
        """

    def __next__(self) -> Chunk:
        """Decode the next block; see `EventStream`."""
        while self._fill():
            block, final, at_byte = self._unread()
            used, e, s, k = self.decode(block, final, at_byte)
            assert used or final, "a block decides more than its last records"
            self._advance(used, e, k)
            if e or k:
                triggers = np.empty(k, TRIGGER_DTYPE)
                for column, name in enumerate(("t", "id", "p")):
                    triggers[name] = self._edges[:k, column]
                events = PackedEvents(self._packed[:e], self._run_us[1 : s + 1], self._run_at[1 : s + 2])
                return Chunk(events, triggers)
        raise StopIteration

    @property
    def report(self) -> EventFileReport:
        """What was found so far; see `EventStream`."""
        file = self.file
        return EventFileReport(
            format=file.format,
            width=file.width,
            height=file.height,
            events=self._n_events,
            triggers=self._n_triggers,
            t_first_us=self.t_first_us if self._n_events else None,
            t_last_us=self.t_last_us if self._n_events else None,
            t_shift_us=file.t_shift_us,
            counts=self.damage.by_kind(),
            time_words=self.time_words,
            spans=self.damage.spans(),
        )

    @property
    def bytes_left(self) -> int:
        """How much of the file has not been read."""
        return self._left

    def first_known(self, state: NDArray[np.int64], index: int) -> int:
        """Decode until an entry of the state that `decode` keeps is no longer negative, and return it.

        Raises
        ------
        SessionError
            If it never is: the stream does not say its time.
        """
        n_bytes = self._left
        while state[index] < 0 and next(self, None) is not None:
            pass
        if state[index] < 0:
            raise SessionError(
                f"{self.file.path}: no events: {n_bytes} byte{'' if n_bytes == 1 else 's'} after the header without any"
                f" time word; expected an {self.file.format} stream"
            )
        return int(state[index])

    def _unread(self) -> tuple[NDArray[np.uint8], bool, int]:
        """Return what is left of the block, whether the file ends with it, and where it is in the file."""
        return self._block[self._start : self._stop], self._left == 0, self._at_byte

    def _advance(self, used: int, n_events: int, n_triggers: int) -> None:
        """Go on by the bytes that have been decoded."""
        self._start += used
        self._at_byte += used
        self._n_events += n_events
        self._n_triggers += n_triggers

    def _fill(self) -> bool:
        """Read as many records as there is room for; return whether there are any."""
        if self._left:
            kept = self._stop - self._start
            self._block[:kept] = self._block[self._start : self._stop].copy()
            room = min(len(self._block) - kept, self._left)
            got = self._read(self._block[kept : kept + room])
            self._left = self._left - got if got == room else 0  # less: the file has become shorter meanwhile
            self._start, self._stop = 0, kept + got
            if self._left == 0:
                self._over = self._stop % self._size
                self._stop -= self._over
        if self._stop > self._start:
            return True
        # told when all else has been decoded: the clock that goes with it must not depend on blocks
        end, clock = self._at_byte, self.t_last_us
        note(self.damage.rows, self.damage.counts, TRUNCATED, end, end + self._over, clock, clock, self._over)
        self._over = 0
        return False

    def _read(self, target: NDArray[np.uint8]) -> int:
        got = 0
        try:
            while got < len(target) and (n := self._bytes.readinto(target[got:].data)):
                got += n
        except OSError as err:
            raise SessionError(f"{self.file.path}: cannot be read: {os_reason(err)}") from err
        return got
