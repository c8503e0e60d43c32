"""Write EVT2 RAW files, block by block or at once: the inverse of `evt2`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events.raw_writer import CONFIRM, SLACK, Columns, RawWriter, write_whole

_WRAP_US = 1 << 34
_STEPS = 10_000_000 >> 6  # of 64 us, up to which (10 s, 0.6 MB) each is written, as cameras do
_STRIDE = 4096 >> 6  # of them, by which the clock goes on in longer pauses (1 kB for each second): by more, it is a gap

_HIGH = 0


class Evt2Writer(RawWriter):
    """Writes EVT2; see `EventWriter`. Its clock has 34 bits: recordings start within its first 4 h 46 min."""

    format = "EVT2"
    version = "2.0"
    word = "<u4"
    step_us = 64
    last_input = 31

    def _start(self, start_us: int) -> NDArray[np.int64]:
        """See `RawWriter`."""
        if not 0 <= start_us < _WRAP_US:
            raise SessionError(
                f"{self.path}: starts at {start_us} us; EVT2 clocks start between 0 and {_WRAP_US - 1} us"
            )
        # the first time word is believed if those that follow stay with it
        high = start_us >> 6
        words = np.full(CONFIRM, 0x80000000 | high, np.uint32)
        assert self._file is not None
        self._file.write(words.astype(self.word).tobytes())
        self.words += CONFIRM
        return np.array([high], np.int64)

    def _encode(
        self, events: Columns, triggers: Columns, i: int, k: int, state: NDArray[np.int64], words: NDArray[Any]
    ) -> tuple[int, int, int]:
        """See `RawWriter`."""
        (t, x, y, p), (at, inputs, edges) = events, triggers
        n, i, k = _encode(t, x, y, p, at, inputs, edges, i, k, state, words)
        return int(n), int(i), int(k)


def write_evt2(
    path: Path,
    events: NDArray[np.void],
    triggers: NDArray[np.void],
    *,
    width: int,
    height: int,
    header_extra: Mapping[str, str] | None = None,
) -> int:
    """Write events and triggers as an EVT2 file that reads back exactly, in the same order.

    Parameters
    ----------
    path : Path
        The file to write; written whole or not at all.
    events : (N,) structured array
        Fields t (us on the unshifted camera clock), x, y (px) and p (0 or 1), in order of time.
    triggers : (M,) structured array
        Fields t, id (0 to 31) and p (1 rising, 0 falling), in order of time.
    width, height : int
        Sensor, px; stated in the header.
    header_extra : mapping, optional
        More header lines by key.

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
    return write_whole(Evt2Writer, path, events, triggers, (width, height), header_extra)


@njit(cache=True, nogil=True)
def _encode(et, ex, ey, ep, tt, ti, tp, i, k, state, words):  # type: ignore[no-untyped-def]
    """Fill words as far as there is room; return how many, and the numbers of the next event and the next trigger."""
    n = 0
    room = words.shape[0] - SLACK
    high = state[_HIGH]
    while n < room and (i < et.shape[0] or k < tt.shape[0]):
        trigger = k < tt.shape[0] and (i == et.shape[0] or tt[k] <= et[i])
        now = tt[k] if trigger else et[i]
        target = now >> 6
        while high != target and n < room:
            step = target - high
            if 0 < step <= _STEPS:
                high += 1
                words[n] = 0x80000000 | (high & 0xFFFFFFF)
                n += 1
            elif step > 0:
                high += _STRIDE
                words[n] = 0x80000000 | (high & 0xFFFFFFF)
                n += 1
            else:
                high = target
                for _ in range(CONFIRM):
                    words[n] = 0x80000000 | (high & 0xFFFFFFF)
                    n += 1
        if high != target:
            break
        low = (now & 63) << 22
        if trigger:
            words[n] = 0xA0000000 | low | (np.int64(ti[k]) << 8) | np.int64(tp[k])
            k += 1
        else:
            words[n] = (np.int64(ep[i]) << 28) | low | (np.int64(ex[i]) << 11) | np.int64(ey[i])
            i += 1
        n += 1
    state[_HIGH] = high
    return n, i, k
