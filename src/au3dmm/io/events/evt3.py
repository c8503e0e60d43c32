"""Read EVT3 RAW files (Prophesee): blocks of the file to chunks of events, or straight into frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.events.evt3_decoder import decode
from au3dmm.io.events.evt3_words import FIRST, LAST, LOOKAHEAD, LOW, NOT_YET, START, TIME_WORDS
from au3dmm.io.events.header import RawHeader, sensor_size
from au3dmm.io.events.records import RecordStream
from au3dmm.io.events.stream import EventFile, own_room

_WORDS = 1 << 17  # read at once: 256 KiB
_PER_WORD = 12  # events of a vector word
_FOREVER = int(np.iinfo(np.int64).max)
assert _WORDS > 2 * LOOKAHEAD, "blocks must not decide what is decoded"


class Evt3File(EventFile):
    """An EVT3 file; `au3dmm.io.events.open_events` makes it.

    `t_shift_us` is (first TIME_HIGH - 1) * 4096, or 0 if that is 0: what the vendor's SDK subtracts from all times.
    """

    format = "EVT3"

    def __init__(self, path: Path, header: RawHeader, width: int | None, height: int | None) -> None:
        self.path = path
        self.header: Mapping[str, str] = header.fields
        self.width, self.height = sensor_size(path, header, width, height)
        self._data_starts = header.n_bytes
        self.t_shift_us = 0
        self.t_shift_us = max(self.stream().first_high() - 1, 0) << 12

    def stream(self) -> Evt3Stream:
        """Read the file from its start; see `EventFile.stream`."""
        return Evt3Stream(self, self._data_starts)


class Evt3Stream(RecordStream):
    """One pass over an EVT3 file."""

    def __init__(self, file: EventFile, first_byte: int) -> None:
        super().__init__(file, first_byte, 2, _WORDS, events_per_record=_PER_WORD)
        self._state = np.full(10, NOT_YET, np.int64)
        self._state[[LOW, TIME_WORDS]] = 0

    def decode(self, block: NDArray[np.uint8], final: bool, at_byte: int) -> tuple[int, int, int, int]:
        """Decode words; see `RecordStream.decode`."""
        used, e, s, k, _ = self._run(block, final, at_byte, _FOREVER, None, self._packed)
        return used, e, s, k

    def arrays(self, room: Callable[[int], NDArray[np.void]] | None = None) -> Iterator[NDArray[np.void]]:
        """Decode straight into arrays; see `EventStream.arrays`. Triggers are counted, not kept."""
        room = room or own_room()
        most = _PER_WORD * _WORDS
        while self._fill():
            out = room(most)[:most]
            used, e, _, k, _ = self._run(*self._unread(), _FOREVER, None, out.view(np.uint64).reshape(most, 2))
            self._advance(used, e, k)
            if e:
                yield out[:e]

    def paint(self, buffer: NDArray[np.uint8], until_us: int) -> int:
        """Decode straight into a frame of polarities; see `EventStream.paint`. Triggers are counted, not kept."""
        painted, stop = 0, False
        while not stop and self._fill():
            used, e, _, k, stop = self._run(*self._unread(), until_us, buffer, self._packed)
            self._advance(used, e, k)
            painted += e
        return painted

    def first_high(self) -> int:
        """Return the first TIME_HIGH; see `RecordStream.first_known`."""
        return self.first_known(self._state, START)

    def _run(
        self,
        block: NDArray[np.uint8],
        final: bool,
        at_byte: int,
        until: int,
        frame: NDArray[np.uint8] | None,
        out: NDArray[np.uint32] | NDArray[np.uint64],
    ) -> tuple[int, int, int, int, bool]:
        used, e, s, k, stop = decode(
            block.view("<u2"), final, at_byte, self._state, self.damage.counts, self.damage.rows,
            self.file.width, self.file.height, until, frame, out, self._run_us, self._run_at, self._edges,
        )  # fmt: skip
        self.t_first_us, self.t_last_us = int(self._state[FIRST]), int(self._state[LAST])
        self.time_words = int(self._state[TIME_WORDS])
        return 2 * used, e, s, k, stop
