"""Read EVT2 RAW files (Prophesee, 32-bit words), and the part that EVT2.1 has in common with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.events.damage import UNKNOWN_US
from au3dmm.io.events.evt2_decoder import FIRST_HIGH, LOOKAHEAD, T_FIRST, T_LAST, TIME_WORDS, decode
from au3dmm.io.events.header import RawHeader, sensor_size, stated_order
from au3dmm.io.events.records import RecordStream
from au3dmm.io.events.stream import EventFile
from au3dmm.io.events.time_words import FOLLOWING

_WORDS = 1 << 16  # read at once
assert _WORDS > LOOKAHEAD, "blocks must not decide what is decoded"

Order = Literal["little", "big", "legacy"]


class Evt2File(EventFile):
    """An EVT2 file; `au3dmm.io.events.open_events` makes it.

    `t_shift_us` is the first TIME_HIGH * 64: what the vendor's SDK subtracts from all times.
    """

    format = "EVT2"
    lanes = 1
    order: Order

    def __init__(self, path: Path, header: RawHeader, width: int | None, height: int | None) -> None:
        self.path = path
        self.header: Mapping[str, str] = header.fields
        self.width, self.height = sensor_size(path, header, width, height)
        self.data_starts = header.n_bytes
        self.order = self._order(header)
        self.t_shift_us = 0
        self.t_shift_us = self.stream().first_high() << 6

    def _order(self, header: RawHeader) -> Order:
        return "big" if stated_order(self.path, header) == "big" else "little"

    def stream(self) -> Evt2Stream:
        """Read the file from its start; see `EventFile.stream`."""
        return Evt2Stream(self)


class Evt2Stream(RecordStream):
    """One pass over an EVT2 or EVT2.1 file."""

    def __init__(self, file: Evt2File) -> None:
        super().__init__(file, file.data_starts, 4 * file.lanes, _WORDS, 32 if file.lanes == 2 else 1)
        self._lanes = file.lanes
        self._swapped = file.order == "big"
        self._upper = 1 if file.lanes == 2 and file.order == "little" else 0
        self._state = np.array([-1, -1, 0, 0, UNKNOWN_US, UNKNOWN_US], np.int64)
        self._following = np.zeros(FOLLOWING, np.int64)

    def decode(self, block: NDArray[np.uint8], final: bool, at_byte: int) -> tuple[int, int, int, int]:
        """Decode words; see `RecordStream`."""
        halves = block[: len(block) // (4 * self._lanes) * 4 * self._lanes].view("<u4").reshape(-1, self._lanes)
        if self._swapped:
            halves = halves.byteswap()
        words = halves[:, self._upper]
        masks = halves[:, 1 - self._upper] if self._lanes == 2 else None
        used, e, s, k = decode(
            words, masks, final, at_byte, self._state, self.damage.rows, self.damage.counts,
            self.file.width, self.file.height, self._packed, self._run_us, self._run_at, self._edges,
            self._following,
        )  # fmt: skip
        self.t_first_us, self.t_last_us = int(self._state[T_FIRST]), int(self._state[T_LAST])
        self.time_words = int(self._state[TIME_WORDS])
        return 4 * self._lanes * int(used), int(e), int(s), int(k)

    def first_high(self) -> int:
        """Return the first TIME_HIGH; see `RecordStream.first_known`."""
        return self.first_known(self._state, FIRST_HIGH)
