"""Read EVT2.1 RAW files (Prophesee): 64-bit words, each with a row of up to 32 neighbouring events.

Cameras differ in which half of a word comes first (https://docs.prophesee.ai/stable/data/encoding_formats/evt21.html):
``legacy`` is the order of IMX636 and older sensors, upper half first; ``little`` is that of GenX320, lower half first.
Each half is little-endian in both. In ``big`` the whole word is big-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.evt2 import Evt2File, Order
from au3dmm.io.events.header import RawHeader, stated_order, steps_evenly

_LOOK_BYTES = 1 << 16


class Evt21File(Evt2File):
    """An EVT2.1 file; `au3dmm.io.events.open_events` makes it.

    Attributes
    ----------
    order : str
        ``little``, ``legacy`` or ``big``: the order in which the clock of the first words advances evenly. Where that
        does not tell, it is what the header says; where that does not either, ``little``.
    """

    format = "EVT2.1"
    lanes = 2

    def describe(self) -> dict[str, Any]:
        """Return what the file says of itself; see `EventFile.describe`."""
        return {**super().describe(), "order": self.order}

    def _order(self, header: RawHeader) -> Order:
        try:
            with self.path.open("rb") as f:
                f.seek(header.n_bytes)
                data = f.read(_LOOK_BYTES)
        except OSError as err:
            raise SessionError(f"{self.path}: cannot be read: {os_reason(err)}") from err
        halves = np.frombuffer(data[: len(data) // 8 * 8], "<u4").reshape(-1, 2)
        upper: dict[Order, NDArray[np.uint32]] = {
            "little": halves[:, 1],
            "legacy": halves[:, 0],
            "big": halves[:, 0].byteswap(),
        }
        found: list[Order] = [order for order, words in upper.items() if steps_evenly(words)]
        stated = stated_order(self.path, header)
        if len(found) == 1:
            return found[0]
        return stated if stated is not None else "little"
