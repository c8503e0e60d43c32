"""Write EVT3 RAW files, block by block or at once: the inverse of `evt3`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events.raw_writer import CONFIRM, SLACK, Columns, RawWriter, write_whole

_REPEAT_US = 16  # cameras repeat TIME_HIGH this often
_WRAP_US = 1 << 24

_HIGH, _LOW, _ROW, _REPEATED = range(4)


class Evt3Writer(RawWriter):
    """Writes EVT3; see `EventWriter`.

    The 24 bits of its clock wrap every 16.8 s. A recording that begins later keeps its times if `clock_start_us` is
    given, which must lie in the first turn: the time words in between are written, 488 bytes for each second.
    """

    format = "EVT3"
    version = "3.0"
    word = "<u2"
    step_us = 4096
    last_input = 15
    back_us = step_us  # by more, the clock may be two steps behind: readers drop that

    def _start(self, start_us: int) -> NDArray[np.int64]:
        """See `RawWriter`."""
        if not 0 <= start_us < _WRAP_US:
            raise SessionError(
                f"{self.path}: starts at {start_us} us; EVT3 clocks start between 0 and {_WRAP_US - 1} us"
            )
        return np.array([(start_us >> 12) - 1, -1, -1, -1], np.int64)

    def _encode(
        self, events: Columns, triggers: Columns, i: int, k: int, state: NDArray[np.int64], words: NDArray[Any]
    ) -> tuple[int, int, int]:
        """See `RawWriter`."""
        (t, x, y, p), (at, inputs, edges) = events, triggers
        n, i, k = _encode(t, x, y, p, at, inputs, edges, i, k, state, words)
        return int(n), int(i), int(k)


def write_evt3(
    path: Path,
    events: NDArray[np.void],
    triggers: NDArray[np.void],
    *,
    width: int,
    height: int,
    header_extra: Mapping[str, str] | None = None,
) -> int:
    """Write events and triggers as an EVT3 file that reads back exactly, in the same order.

    Parameters
    ----------
    path : Path
        The file to write; written whole or not at all.
    events : (N,) structured array
        Fields t (us on the unshifted camera clock), x, y (px) and p (0 or 1), in order of time.
    triggers : (M,) structured array
        Fields t, id (0 to 15) and p (1 rising, 0 falling), in order of time.
    width, height : int
        Sensor, px; stated in the header.
    header_extra : mapping, optional
        More header lines by key, for example ``{"serial_number": "00050123"}``.

    Returns
    -------
    int
        Words written.

    Raises
    ------
    SessionError
        If times go backwards or do not start in the clock's first turn, or a value does not fit.
    OutputError
        If the file cannot be written.
    """
    return write_whole(Evt3Writer, path, events, triggers, (width, height), header_extra)


@njit(cache=True, nogil=True)
def _encode(et, ex, ey, ep, tt, ti, tp, i, k, state, words):  # type: ignore[no-untyped-def]
    """Fill words as far as there is room; return how many, and the numbers of the next event and the next trigger."""
    n = 0
    room = words.shape[0] - SLACK
    high, low, row, repeated = state[_HIGH], state[_LOW], state[_ROW], state[_REPEATED]
    while n < room and (i < et.shape[0] or k < tt.shape[0]):
        now = et[i] if k == tt.shape[0] or (i < et.shape[0] and et[i] < tt[k]) else tt[k]
        target = now >> 12
        if target == high and now - repeated >= _REPEAT_US:
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
            repeated = now
        if target < high:
            high = target
            for _ in range(CONFIRM):
                words[n] = 0x8000 | (high & 0xFFF)
                n += 1
            low = -1
            repeated = now
        while high < target and n < room:  # every step is written, so that a reader never meets a jump
            high += 1
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
            low = -1
            repeated = now
        if high < target:
            break
        if now & 0xFFF != low:
            low = now & 0xFFF
            words[n] = 0x6000 | low
            n += 1
        while n < room and k < tt.shape[0] and tt[k] == now:
            words[n] = 0xA000 | (np.int64(ti[k]) << 8) | np.int64(tp[k])
            n += 1
            k += 1
        if k < tt.shape[0] and tt[k] == now:
            break
        while n < room and i < et.shape[0] and et[i] == now:
            x, p = np.int64(ex[i]), np.int64(ep[i])
            if ey[i] != row:
                row = np.int64(ey[i])
                words[n] = row
                n += 1
            mask = np.int64(1)
            last = x
            j = i + 1
            while j < et.shape[0] and et[j] == now and ey[j] == row and ep[j] == p and last < ex[j] < x + 32:
                last = np.int64(ex[j])
                mask |= np.int64(1) << (last - x)
                j += 1
            if j - i >= 3:
                # always the whole triple: some readers assume it
                words[n] = 0x3000 | (p << 11) | x
                words[n + 1] = 0x4000 | (mask & 0xFFF)
                words[n + 2] = 0x4000 | ((mask >> 12) & 0xFFF)
                words[n + 3] = 0x5000 | (mask >> 24)
                n += 4
                i = j
            else:
                words[n] = 0x2000 | (p << 11) | x
                n += 1
                i += 1
    state[_HIGH], state[_LOW], state[_ROW], state[_REPEATED] = high, low, row, repeated
    return n, i, k
