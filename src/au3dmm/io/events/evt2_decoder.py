"""The EVT2 state machine: 32-bit words, or the 64-bit words of EVT2.1, to packed events.

The formats are described at https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html and evt21.html. A word's
upper four bits are its kind, the next six the low bits of its time; TIME_HIGH words hold the other 28. A word of EVT2.1
is a word of EVT2 (its upper half) and a mask of 32 neighbouring columns (its lower half).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.io.events.damage import UNKNOWN_US, note
from au3dmm.io.events.report import (
    BEFORE_START,
    LATE,
    LATE_US,
    OUTSIDE_SENSOR,
    TIME_GAP,
    TIME_GLITCH,
    UNKNOWN_WORD,
)
from au3dmm.io.events.time_words import FOLLOWING, ahead, believed

LOOKAHEAD = 1 << 15
"""Words in which the time words after a jump are looked for; blocks are larger, so that they decide nothing."""

# state between words: TIME_HIGH with its wraps undone and the first one, -1 before it is known; time words so far;
# whether anything has been delivered; earliest and latest event, us
HIGH, FIRST_HIGH, TIME_WORDS, BEGUN, T_FIRST, T_LAST = range(6)

_TURN = 1 << 28  # steps of 64 us
_SPARSE = 1 << 20  # steps (67 s) that a writer may leave out
_ALONE = 1 << 12  # steps (0.26 s) that a last time word, which nothing follows, may go on by
_GAP = 4096 >> 6  # steps beyond which time that was left out is told

U, N = np.uint32, np.uint64  # unsigned: numba would test each signed index for being negative


@njit(cache=True, nogil=True)
def decode(  # type: ignore[no-untyped-def]
    words, masks, final, at_byte, state, rows, counts, width, height, packed, run_us, run_at, triggers, following
):  # fmt: skip
    """Decode words until they run out, or more of them are needed to tell the time.

    Events outside the sensor are never written; nor are events and triggers that are more than `report.LATE_US` behind
    the latest event. A TIME_HIGH that is neither the present one nor the next is held until the `FOLLOWING` time words
    after it, within `LOOKAHEAD` words, agree with it (`time_words.believed`); so is the first one of all. It is a gap
    if, after the first event or trigger, the clock goes back by it, or on by more than 4096 us.

    Parameters
    ----------
    words : (W,) uint32 array
        What is left of the stream, as far as it has been read; of EVT2.1 the upper halves.
    masks : (W,) uint32 array or None
        The lower halves of EVT2.1.
    final : bool
        Whether that is all of the stream.
    at_byte : int
        Where the first of them is in the file.
    state : (6,) int64 array
        Updated; see `HIGH` and the names after it.
    rows, counts : arrays
        Of a `DamageLog`; updated.
    width, height : int
        Sensor, px.
    packed, run_us, run_at : arrays
        To be filled: room for W + 1 (EVT2) or 32 W + 1 (EVT2.1) events, W + 1 and W + 2 values. Run 0 is left out.
    triggers : (W, 3) int64 array
        To be filled: time, input, edge.
    following : (FOLLOWING,) int64 array
        Scratch.

    Returns
    -------
    int, int, int, int
        Words used, events, runs but for run 0, triggers.
    """
    n = words.shape[0]
    size = 4 if masks is None else 8
    reach = U(0) if masks is None else U(31)  # from the first to the last column of a word
    e, s = N(0), N(0)
    k = 0
    at = UNKNOWN_US  # time of the present run
    high = state[HIGH]
    earliest, latest = state[T_FIRST], state[T_LAST]
    i = 0
    while i < n:
        word = U(words[i])
        kind = word >> U(28)
        if kind <= U(1):
            x = (word >> U(11)) & U(0x7FF)
            y = word & U(0x7FF)
            mask = U(1) if masks is None else U(masks[i])
            now = (high << 6) | np.int64((word >> U(22)) & U(63))
            inside = high >= 0 and y < U(height) and x + reach < U(width)
            if not inside or mask == 0 or now + LATE_US < latest:
                here = at_byte + size * i
                mask = _keep(mask, x, y, now, high, latest, here, size, width, height, rows, counts)
            if mask:
                run_us[s + N(1)] = now
                run_at[s + N(1)] = e
                s += N(now != at)
                at = now
                latest = max(latest, now)
                if now < earliest or earliest == UNKNOWN_US:
                    earliest = now
                event = (y << U(12)) | (x << U(1)) | kind
                if masks is None:
                    packed[e] = event
                    e += N(1)
                else:
                    while mask:
                        packed[e] = event
                        e += N(mask & U(1))
                        event += U(2)
                        mask >>= U(1)
        elif kind == U(0x8):
            value = np.int64(word & U(_TURN - 1))
            step = ahead(high & (_TURN - 1), value, _TURN) if high >= 0 else -1
            if step == 0 or step == 1:
                high += step
            else:
                here = at_byte + size * i
                found = _next_times(words, i, following)
                if found < FOLLOWING and n - 1 - i <= LOOKAHEAD and not final:
                    break  # decided with more words
                present = high & (_TURN - 1) if high >= 0 else -1
                before = high << 6 if high >= 0 else UNKNOWN_US
                if not believed(present, value, following, found, _TURN, 0, 1, _SPARSE, _ALONE):
                    note(rows, counts, TIME_GLITCH, here, here + size, before, before, 1)
                elif high < 0:
                    high = state[FIRST_HIGH] = value
                else:
                    high += step if high + step >= 0 else step + _TURN
                    if (step > _GAP or step < 0) and (state[BEGUN] or e > 0):
                        note(rows, counts, TIME_GAP, here, here + size, before, high << 6, 1)
            state[TIME_WORDS] += 1
        elif kind == U(0xA):
            here = at_byte + size * i
            now = (high << 6) | np.int64((word >> U(22)) & U(63))
            if high < 0:
                note(rows, counts, BEFORE_START, here, here + size, UNKNOWN_US, UNKNOWN_US, 1)
            elif now + LATE_US < latest:
                note(rows, counts, LATE, here, here + size, now, now, 1)
            else:
                triggers[k, 0] = now
                triggers[k, 1] = (word >> U(8)) & U(0x1F)
                triggers[k, 2] = word & U(1)
                k += 1
                state[BEGUN] = 1
        elif kind < U(0xD):  # 0xD to 0xF: inertial, OTHERS and CONTINUED, nothing for us; what is left is reserved
            here = at_byte + size * i
            now = high << 6 if high >= 0 else UNKNOWN_US
            note(rows, counts, UNKNOWN_WORD, here, here + size, now, now, 1)
        i += 1
    state[HIGH] = high
    state[T_FIRST], state[T_LAST] = earliest, latest
    if e > 0:
        state[BEGUN] = 1
    run_at[s + N(1)] = e
    return i, np.int64(e), np.int64(s), k


@njit(cache=True, nogil=True)
def _keep(mask, x, y, now, high, latest, here, size, width, height, rows, counts):  # type: ignore[no-untyped-def]
    """Note which events of a word are dropped, and return the mask of the others."""
    kept = U(0)
    if high < 0:
        note(rows, counts, BEFORE_START, here, here + size, UNKNOWN_US, UNKNOWN_US, _ones(mask))
    elif now + LATE_US < latest and y < U(height) and x < U(width):
        note(rows, counts, LATE, here, here + size, now, now, _ones(mask))
    elif y < U(height) and x < U(width):
        room = U(width) - x
        kept = mask & ((U(1) << room) - U(1)) if room < U(32) else mask
        note(rows, counts, OUTSIDE_SENSOR, here, here + size, now, now, _ones(mask ^ kept))
    else:
        note(rows, counts, OUTSIDE_SENSOR, here, here + size, now, now, _ones(mask))
    return kept


@njit(cache=True, nogil=True)
def _next_times(words, i, following):  # type: ignore[no-untyped-def]
    """Fill in the time words that come after word `i`; return how many there are."""
    found = 0
    j = i + 1
    n = min(words.shape[0], i + 1 + LOOKAHEAD)
    while j < n and found < FOLLOWING:
        word = U(words[j])
        if word >> U(28) == U(0x8):
            following[found] = word & U(_TURN - 1)
            found += 1
        j += 1
    return found


@njit(cache=True, nogil=True)
def _ones(mask):  # type: ignore[no-untyped-def]
    """Count the bits that are set."""
    n = 0
    while mask:
        mask &= mask - U(1)
        n += 1
    return n
