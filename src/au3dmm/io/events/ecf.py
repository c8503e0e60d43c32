"""Decode ECF, the compression of Prophesee's HDF5 event files (filter 0x8ECF): one chunk of a data set to arrays.

A chunk is, in this order and little endian throughout:

- a 32-bit word: the number of events, at most 65535, in its upper 30 bits; bit 1 says that y, x and p are packed
  together, bit 0 that x and p are;
- times: 64 bits with the first, then bytes of a step (upper half) and how many events follow at that time (lower half;
  15: the next 16 bits say). A step of 15 is no step: the lower halves of such bytes in a row are a longer one, lowest
  first;
- if y, x and p are packed: 24 bits per event (y 11 bits, x 11, p 1), four events in three 32-bit words. The first word
  has the first event in its upper bits; a value that does not fit into the rest of a word leaves its lower bits there,
  and has the others at the top of the next word;
- else rows: 16-bit words of y (upper 11 bits) and how many events have it (lower 5; 31: the next 16 bits say). Then
  either 12 bits per event (x 11, p 1), four events in three 16-bit words, split as above; or 16-bit words of x (upper
  11 bits) and of which of the five next columns follow it (lower 5, the nearest in the highest bit), and after those
  bytes of p (upper bit) and how many events have it (lower 7; 127: the next 16 bits say).

Facts from Prophesee's hdf5_ecf (Apache-2.0); every read and write here is within bounds whatever the bytes are.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FILTER = 0x8ECF

MOST_EVENTS = 65535
"""In a chunk."""

_HEADER = 12  # bytes: the first word and the first time
_LONGEST_STEP = 15  # bytes of a step: 60 bits


def decode_chunk(
    data: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]] | None:
    """Decode a chunk.

    Parameters
    ----------
    data : (B,) uint8 array
        The chunk as it is stored.

    Returns
    -------
    t, x, y, p : (N,) arrays, or None
        us, px, px, 0 or 1; None if the chunk is damaged: it ends early, or its parts disagree about how many events
        there are.

    Examples
    --------
    >>> head, first, steps = [2 << 2 | 2, 0, 0, 0], [100, 0, 0, 0, 0, 0, 0, 0], [0x02]
    >>> words = [8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    >>> [column.tolist() for column in decode_chunk(np.array(head + first + steps + words, np.uint8))]
    [[100, 100], [3, 4], [0, 0], [1, 0]]
    """
    if len(data) < _HEADER:
        return None
    head = int(data[:4].copy().view("<u4")[0])
    n = head >> 2
    if n > MOST_EVENTS:
        return None
    t, x, y, p = np.zeros(n, np.int64), np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int8)
    first = np.int64(data[4:12].copy().view("<i8")[0])
    return (t, x, y, p) if _decode(data, first, head & 3, t, x, y, p) else None


@njit(cache=True, nogil=True)
def _decode(data, first, packing, t, x, y, p):  # type: ignore[no-untyped-def]
    """Fill t, x, y and p; return whether the chunk has all of them."""
    at = _times(data, first, t)
    if at < 0:
        return False
    if packing & 2:
        return _rows_columns_signs(data, at, x, y, p)
    at = _rows(data, at, y)
    if at < 0:
        return False
    if packing & 1:
        return _columns_signs(data, at, x, p)
    at = _columns(data, at, x)
    return at >= 0 and _signs(data, at, p)


@njit(cache=True, nogil=True)
def _word(data, at):  # type: ignore[no-untyped-def]
    """Return the 16 bits at a byte, or -1 past the end."""
    if at + 2 > data.shape[0]:
        return np.int64(-1)
    return np.int64(data[at]) | (np.int64(data[at + 1]) << 8)


@njit(cache=True, nogil=True)
def _times(data, first, t):  # type: ignore[no-untyped-def]
    """Fill t; return where the rest begins, -1 if the chunk is damaged."""
    n = t.shape[0]
    at = _HEADER
    now = first
    i = 0
    while i < n:
        if at >= data.shape[0]:
            return -1
        step = data[at] >> 4
        count = int(data[at] & 15)
        at += 1
        if step == 15:
            now += count
            for j in range(1, _LONGEST_STEP + 1):
                if at >= data.shape[0] or j == _LONGEST_STEP:
                    return -1
                if data[at] >> 4 != 15:
                    break
                now += np.int64(data[at] & 15) << (4 * j)
                at += 1
            continue
        now += step
        if count == 15:
            count = _word(data, at)
            at += 2
        if count < 0 or count > n - i:
            return -1
        t[i : i + count] = now
        i += count
    return at


@njit(cache=True, nogil=True)
def _rows(data, at, y):  # type: ignore[no-untyped-def]
    """Fill y; return where the rest begins, -1 if the chunk is damaged."""
    n = y.shape[0]
    i = 0
    while i < n:
        word = _word(data, at)
        at += 2
        if word < 0:
            return -1
        count = word & 31
        if count == 31:
            count = _word(data, at)
            at += 2
        if count < 0 or count > n - i:
            return -1
        y[i : i + count] = word >> 5
        i += count
    return at


@njit(cache=True, nogil=True)
def _columns(data, at, x):  # type: ignore[no-untyped-def]
    """Fill x; return where the rest begins, -1 if the chunk is damaged."""
    n = x.shape[0]
    i = 0
    while i < n:
        word = _word(data, at)
        at += 2
        if word < 0:
            return -1
        x[i] = word >> 5
        i += 1
        for j in range(5):
            # the last word may name columns beyond the last event: the encoder looks at what lies behind them
            if word & (16 >> j) and i < n:
                x[i] = (word >> 5) + j + 1
                i += 1
    return at


@njit(cache=True, nogil=True)
def _signs(data, at, p):  # type: ignore[no-untyped-def]
    """Fill p; return whether the chunk has all of it."""
    n = p.shape[0]
    i = 0
    while i < n:
        if at >= data.shape[0]:
            return False
        sign = data[at] >> 7
        count = int(data[at] & 127)
        at += 1
        if count == 127:
            count = _word(data, at)
            at += 2
        if count < 0 or count > n - i:
            return False
        p[i : i + count] = sign
        i += count
    return True


@njit(cache=True, nogil=True)
def _columns_signs(data, at, x, p):  # type: ignore[no-untyped-def]
    """Fill x and p; return whether the chunk has all of them."""
    n = x.shape[0]
    for i in range(0, n, 4):
        a, b, c = _word(data, at), _word(data, at + 2), _word(data, at + 4)
        at += 6
        if c < 0:
            return False
        for j in range(min(4, n - i)):
            if j == 0:
                value = a >> 4
            elif j == 1:
                value = ((b >> 8) << 4) | (a & 0xF)
            elif j == 2:
                value = ((c >> 12) << 8) | (b & 0xFF)
            else:
                value = c & 0xFFF
            x[i + j] = value >> 1
            p[i + j] = value & 1
    return True


@njit(cache=True, nogil=True)
def _rows_columns_signs(data, at, x, y, p):  # type: ignore[no-untyped-def]
    """Fill x, y and p; return whether the chunk has all of them."""
    n = x.shape[0]
    for i in range(0, n, 4):
        if at + 12 > data.shape[0]:
            return False
        a, b, c = (
            _word(data, at) | (_word(data, at + 2) << 16),
            _word(data, at + 4) | (_word(data, at + 6) << 16),
            _word(data, at + 8) | (_word(data, at + 10) << 16),
        )
        at += 12
        for j in range(min(4, n - i)):
            if j == 0:
                value = a >> 8
            elif j == 1:
                value = ((b >> 16) << 8) | (a & 0xFF)
            elif j == 2:
                value = ((c >> 24) << 16) | (b & 0xFFFF)
            else:
                value = c & 0xFFFFFF
            y[i + j] = (value >> 12) & 0x7FF
            x[i + j] = (value >> 1) & 0x7FF
            p[i + j] = value & 1
    return True
