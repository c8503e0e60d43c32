"""The EVT3 state machine: 16-bit words to packed events, or straight into a frame of polarities.

The format is described at https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html. A word's upper four bits
are its kind; time, row and vector base are state that later words build on.

Two functions share the work. `_plain` knows rows, columns, vectors, low times and repeated high times, all of them
within bounds. It asks one table per word whether the word is plain, and does not branch on rows, columns and low times,
since which of them comes next cannot be predicted. It stops before the first word that is anything else.
`evt3_words.decode_carefully` knows every word and all of the policy on damage, and hands back after a few words.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import STRIDE
from au3dmm.core.painting import GUARD
from au3dmm.io.events.evt3_words import (
    BASE,
    FIRST,
    HIGH,
    LAST,
    LOW,
    NOT_YET,
    ROW,
    SIGN,
    TIME_WORDS,
    TOP,
    decode_carefully,
    time_of,
)

U, N = np.uint32, np.uint64  # unsigned throughout: numba would test each signed index for being negative
_NO_BASE = U(1 << 30)  # past every width


def _by_kind(value: int, **kinds: int) -> NDArray[np.uint32]:
    """Make a table of 16 values by kind of word; keys are ``k2`` for kind 2."""
    table = np.full(16, value, np.uint32)
    for kind, special in kinds.items():
        table[int(kind[1:])] = special
    return table


_IS_EVENT = _by_kind(0, k2=1)
_IS_TIME = _by_kind(0, k6=1)
_TIME_MASK = _by_kind(0, k6=0xFFF)
_TIME_KEEP = np.array([0xFFFF_FFFF_FFFF_F000 if kind == 6 else 0xFFFF_FFFF_FFFF_FFFF for kind in range(16)], np.uint64)
_VALUE_MASK = _by_kind(0x7FF, k8=0xFFF)
_EVENT_MASK = _by_kind(0, k2=0xFFFFFFFF)
_ROW_MASK = _by_kind(0, k0=0x7FF)
_ROW_KEEP = _by_kind(0xFFFFFFFF, k0=0)


def _vector_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the places of each mask's set bits, the first again in lanes left over, and how many there are."""
    places = np.zeros((4096, 16), np.uint8)
    for mask in range(1, 4096):
        bits = [bit for bit in range(12) if mask >> bit & 1]
        places[mask] = bits + [bits[0]] * (16 - len(bits))
    return places, np.array([mask.bit_count() for mask in range(4096)], np.uint8)


_PLACES, _BITS = _vector_tables()


@njit(cache=True, nogil=True, boundscheck=False)
def decode(words, final, at_byte, state, counts, spans, width, height, until, frame, packed, run_us, run_at, edges):  # type: ignore[no-untyped-def]  # fmt: skip
    """Decode words until they or the time run out.

    Parameters
    ----------
    words : (W,) uint16 array
        What is left of the stream, as far as it has been read.
    final : bool
        Whether that is all of it.
    at_byte : int
        Where the first of them is in the file, for the places of damage.
    state : (10,) int64 array
        Updated; see `evt3_words`.
    counts, spans : arrays
        Of a `DamageLog`; updated.
    width, height : int
        Sensor, px.
    until : int
        Stop before the first event at this time or later, us.
    frame : (GUARD + height * width,) uint8 array or None
        To be painted: 255 and 0 for brighter and darker, at ``GUARD + y * width + x``.
    packed, run_us, run_at : arrays
        To be filled if `frame` is None: at least 12 W, W + 2 and W + 3 values; runs begin with number 1. If `packed` is
        (12 W, 2) uint64, it gets events as arrays of EVENT_DTYPE hold them (time; x, y and p), and there are no runs.
    edges : (W, 3) int64 array
        To be filled: time, input and edge of triggers.

    Returns
    -------
    int, int, int, int, bool
        Words used, events, runs, triggers, and whether it stopped for the time.
    """
    n = words.shape[0]
    i = e = s = k = 0
    stop = wait = False
    run_us[0] = NOT_YET
    run_at[0] = 0
    while i < n and not stop and not wait:
        # the first event, and whatever is late, is left to the careful one
        placed = state[FIRST] != NOT_YET and 0 <= state[ROW] < height
        if placed and state[HIGH] >= state[TOP] - 1:
            if frame is None and packed.ndim == 1 and run_us[s] != time_of(state):
                s += 1
                run_us[s] = time_of(state)
                run_at[s] = e
            i, e, s = _plain(words, i, state, width, height, until, frame, packed, run_us, run_at, e, s)
        i, e, s, k, stop, wait = decode_carefully(
            words, i, final, at_byte, state, counts, spans, width, height, until, frame, packed, run_us, run_at, e, s,
            edges, k,
        )  # fmt: skip
    run_at[s + 1] = e
    time_words = np.uint32(0)
    for j in range(i):
        time_words += np.uint32(words[j] >> 12 == 0x8)
    state[TIME_WORDS] += np.int64(time_words)
    return i, e, s, k, stop


@njit(cache=True, nogil=True, boundscheck=False)
def _plain(words, i0, state, width, height, until, frame, packed, run_us, run_at, e0, s0):  # type: ignore[no-untyped-def]  # fmt: skip
    """Decode plain words; return the place of the first that is not, events and runs so far."""
    high = U(state[HIGH] & 0xFFF)
    hi = state[HIGH] << 12
    if frame is not None:
        stride = U(width)
    elif packed.ndim == 2:
        stride = U(1 << 16)
    else:
        stride = U(STRIDE)
    now = np.uint64(time_of(state))
    row = U(state[ROW]) * stride
    base = U(state[BASE]) if state[BASE] != NOT_YET else _NO_BASE
    sign = U(state[SIGN])
    # a word is plain if its lower 11 bits are below the limit of its kind
    near_end = until <= hi + 0xFFF  # low times matter to a frame only then
    limit = np.zeros(16, np.uint32)
    limit[0] = height
    limit[2] = width if time_of(state) < until else 0
    limit[6] = 0 if near_end else 0x800
    limit[8] = 1  # of the difference from the high time so far
    same = np.zeros(16, np.uint32)
    same[8] = high
    end = U(limit[2])
    n = N(words.shape[0])
    i, e, s = N(i0), N(e0), N(s0)
    while i < n:
        word = U(words[i])
        kind = word >> U(12)
        value = (word ^ same[kind]) & _VALUE_MASK[kind]
        if value < limit[kind]:
            p = (word >> U(11)) & U(1)
            if frame is not None:
                # words that are no event write into the guard
                frame[(row + value + U(GUARD)) & _EVENT_MASK[kind]] = np.uint8(0) - np.uint8(p)
            elif packed.ndim == 2:
                packed[e, 0] = now
                packed[e, 1] = np.uint64(row + value) | (np.uint64(p) << N(32))
                now = np.uint64(word & _TIME_MASK[kind]) | (now & _TIME_KEEP[kind])
            else:
                packed[e] = ((row | value) << U(1)) | p
                run_us[s + N(1)] = hi | np.int64(word & U(0xFFF))
                run_at[s + N(1)] = e
                s += N(_IS_TIME[kind])
            e += N(_IS_EVENT[kind])
            row = (word & _ROW_MASK[kind]) * stride + (row & _ROW_KEEP[kind])
        elif kind == U(4) or kind == U(5):
            lanes = U(12) if kind == U(4) else U(8)
            if base + lanes > end:
                break
            mask = word & ((U(1) << lanes) - U(1))
            # lanes left over repeat the first, which costs less than to leave them out
            if frame is not None:
                at = row + base + U(GUARD) if mask != U(0) else U(0)
                for j in range(12):
                    frame[at + U(_PLACES[mask, j])] = np.uint8(0) - np.uint8(sign)
            elif packed.ndim == 2:
                fields = np.uint64(row + base) | (np.uint64(sign) << N(32))
                for j in range(12):
                    packed[e + N(j), 0] = now
                    packed[e + N(j), 1] = fields + np.uint64(_PLACES[mask, j])
            else:
                at = ((row + base) << U(1)) | sign
                for j in range(12):
                    packed[e + N(j)] = at + (U(_PLACES[mask, j]) << U(1))
            e += N(_BITS[mask])
            base += lanes
        elif kind == U(3):
            base = value
            sign = (word >> U(11)) & U(1)
            if frame is not None and i + N(3) < n and base + U(32) <= end:
                one, two, three = U(words[i + N(1)]), U(words[i + N(2)]), U(words[i + N(3)])
                if one >> U(12) == U(4) and two >> U(12) == U(4) and three >> U(12) == U(5):
                    mask = (one & U(0xFFF)) | ((two & U(0xFFF)) << U(12)) | ((three & U(0xFF)) << U(24))
                    first = N(row + base + U(GUARD))
                    for j in range(32):  # all of the row at once: compiled to a few wide instructions
                        old = frame[first + N(j)]
                        frame[first + N(j)] = np.uint8(0) - np.uint8(sign) if (mask >> U(j)) & U(1) else old
                    e += N(_BITS[one & U(0xFFF)]) + N(_BITS[two & U(0xFFF)]) + N(_BITS[three & U(0xFF)])
                    base += U(32)
                    i += N(3)
        elif kind == U(6):  # close to the end of the time
            over = (hi | np.int64(word & U(0xFFF))) >= until
            limit[2] = 0 if over else width
            end = U(0) if over else U(width)
        else:
            break
        i += N(1)
    low = state[LOW]
    if e > N(e0):
        state[LAST] = hi | _last_low(words, i0, np.int64(i), low, True)
    state[LOW] = _last_low(words, i0, np.int64(i), low, False)
    state[ROW] = np.int64(row // stride)
    state[BASE] = np.int64(base) if base < _NO_BASE else NOT_YET
    state[SIGN] = np.int64(sign)
    return np.int64(i), np.int64(e), np.int64(s)


@njit(cache=True, nogil=True)
def _last_low(words, start, stop, low, of_event):  # type: ignore[no-untyped-def]
    """Return the low time at the end of plain words, or at the last event of them, given the one before them."""
    seen = not of_event
    for i in range(stop - 1, start - 1, -1):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == 2 or (kind == 4 and word & 0xFFF) or (kind == 5 and word & 0xFF):
            seen = True
        elif kind == 6 and seen:
            return word & 0xFFF
    return low
