"""Events as one 32-bit word each and runs of equal time: what decoders fill and event frames are made of.

A word is ``y << 12 | x << 1 | p``. It holds sensors up to 2048 x 2048 px, needs no multiplication, and shifted by one
it is an index into an image with rows of 2048 (`STRIDE`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError

STRIDE = 2048
"""Columns of the images that words index, and the largest width and height of a sensor, px."""

EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)], align=True)
"""t: us on the unshifted camera clock; x, y: px, (0, 0) top left; p: 1 brighter, 0 darker."""
# compiled code writes an event as two words of 64 bits: t, and x, y, p from the lowest bit on
assert EVENT_DTYPE.fields is not None
assert [EVENT_DTYPE.fields[name][1] for name in "txyp"] == [0, 8, 10, 12], "events are 16 bytes"
assert sys.byteorder == "little", "au3dmm reads events on little-endian machines only"


@dataclass(frozen=True)
class PackedEvents:
    """N events in S runs of equal time.

    Attributes
    ----------
    words : (N,) uint32 array
        ``y << 12 | x << 1 | p`` of each event, in the order of the stream.
    run_us : (S,) int64 array
        Time of each run, us on the unshifted camera clock. Times may step back by a few us where the camera's do.
    run_at : (S + 1,) int64 array
        Number of the first event of each run, and N.

    Examples
    --------
    >>> events = pack([5, 5, 7], [3, 4, 3], [1, 1, 0], [1, 0, 1])
    >>> events.run_us, events.run_at
    (array([5, 7]), array([0, 2, 3]))
    >>> events.unpack()["y"]
    array([1, 1, 0], dtype=uint16)
    """

    words: NDArray[np.uint32]
    run_us: NDArray[np.int64]
    run_at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    def unpack(self, out: NDArray[np.void] | None = None) -> NDArray[np.void]:
        """Return the events as an (N,) array of EVENT_DTYPE, in `out` if that is given (contiguous, N or more)."""
        n = len(self.words)
        out = np.empty(n, EVENT_DTYPE) if out is None else out[:n]
        _unpack(self.words, self.run_us, self.run_at, out.view(np.uint64).reshape(n, 2))
        return out


def pack(
    t_us: NDArray[np.int64], x: NDArray[np.integer], y: NDArray[np.integer], p: NDArray[np.integer]
) -> PackedEvents:
    """Pack events that are given as one array per field.

    Parameters
    ----------
    t_us, x, y, p : (N,) arrays
        Time, us; column and row, px, 0 to 2047; 1 brighter, 0 darker.

    Raises
    ------
    FitError
        If lengths differ, or a coordinate or p is out of range.
    """
    t, x, y, p = np.asarray(t_us, np.int64), np.asarray(x), np.asarray(y), np.asarray(p)
    if not t.shape == x.shape == y.shape == p.shape or t.ndim != 1:
        raise FitError(f"events: t {t.shape}, x {x.shape}, y {y.shape}, p {p.shape}, expected four (N,) arrays")
    for name, values, end in (("x", x, STRIDE), ("y", y, STRIDE), ("p", p, 2)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < end:
            raise FitError(f"events: {name} from {values.min()} to {values.max()}, expected 0 to {end - 1}")
    first = np.flatnonzero(np.r_[True, t[1:] != t[:-1]]) if len(t) else np.zeros(0, np.int64)
    words = (y.astype(np.uint32) << np.uint32(12)) + (x.astype(np.uint32) << np.uint32(1)) + p.astype(np.uint32)
    return PackedEvents(np.asarray(words, np.uint32), t[first], np.r_[first, len(t)])


@njit(cache=True, nogil=True)
def _unpack(words, run_us, run_at, out):  # type: ignore[no-untyped-def]
    """Fill the events as pairs of 64 bits: t, and x, y and p from the lowest on."""
    for k in range(run_us.shape[0]):
        t = np.uint64(run_us[k])
        for i in range(run_at[k], run_at[k + 1]):
            word = np.uint64(words[i])
            x = (word >> np.uint64(1)) & np.uint64(0x7FF)
            y = word >> np.uint64(12)
            out[i, 0] = t
            out[i, 1] = x | (y << np.uint64(16)) | ((word & np.uint64(1)) << np.uint64(32))
