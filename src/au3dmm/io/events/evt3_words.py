"""Every kind of EVT3 word, and what is made of damaged ones; see `au3dmm.io.events.report` for the policy."""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.core.painting import GUARD
from au3dmm.io.events.damage import UNKNOWN_US, note
from au3dmm.io.events.report import BEFORE_START, LATE, OUTSIDE_SENSOR, TIME_GAP, TIME_GLITCH, UNKNOWN_WORD
from au3dmm.io.events.time_words import FOLLOWING, ahead, believed

LOOKAHEAD = 1 << 15
"""Words in which the time words after a jump are looked for; blocks are larger, so that they decide nothing."""

# state between words (-1: not yet known): high time in steps of 4096 us, wraps undone, and low time; row; base and sign
# of vectors; first and highest high time; times of the first and the last event; how many time words there were
HIGH, LOW, ROW, BASE, SIGN, START, TOP, FIRST, LAST, TIME_WORDS = range(10)
NOT_YET = -1

_TURN = 1 << 12  # steps of 4096 us after which the high time begins again
_SPARSE = 64  # steps (0.26 s) by which a time word may follow another in a stream that leaves idle time out
_ALONE = 256  # steps (1 s) that the last time word of a stream may be ahead
_BACK = 256  # steps within which the clock is believed to have gone back, rather than once round
_HAND_BACK = 16  # words after which it is tried again whether they are plain


@njit(cache=True, nogil=True)
def time_of(state):  # type: ignore[no-untyped-def]
    """Return the clock, us."""
    return (state[HIGH] << 12) | state[LOW]


@njit(cache=True, nogil=True, boundscheck=False)
def decode_carefully(  # type: ignore[no-untyped-def]
    words, i0, final, at_byte, state, counts, spans, width, height, until, frame, packed, run_us, run_at, e, s, edges, k
):  # fmt: skip
    """Decode up to 16 words of any kind; see `evt3_decoder.decode` for the arrays.

    Returns
    -------
    int, int, int, int, bool, bool
        The place of the next word, events, runs, triggers; whether it stopped before an event that is not before
        `until`, or at a time word about which the words that have been read so far cannot tell.
    """
    stop = min(words.shape[0], i0 + _HAND_BACK)
    for i in range(i0, stop):
        word = np.int64(words[i])
        kind = word >> 12
        now = time_of(state)
        here = at_byte + 2 * i
        if kind == 0x2 or kind == 0x4 or kind == 0x5:
            if kind == 0x2:
                x, mask, p = word & 0x7FF, np.int64(1), (word >> 11) & 1
            else:
                x, mask, p = state[BASE], word & (0xFFF if kind == 0x4 else 0xFF), state[SIGN]
                if x != NOT_YET:
                    # each vector word stands for itself: groups of 12, 12 and 8 may come incomplete
                    state[BASE] += 12 if kind == 0x4 else 8
            y = state[ROW]
            if state[HIGH] == NOT_YET or y == NOT_YET or x == NOT_YET:
                note(spans, counts, BEFORE_START, here, here + 2, UNKNOWN_US, UNKNOWN_US, _bits(mask))
            elif y >= height:
                note(spans, counts, OUTSIDE_SENSOR, here, here + 2, now, now, _bits(mask))
            elif state[HIGH] < state[TOP] - 1:
                note(spans, counts, LATE, here, here + 2, now, now, _bits(mask))
            elif mask:
                if now >= until and x < width and mask & ((1 << min(width - x, 12)) - 1):  # one that is not dropped
                    if kind != 0x2:
                        state[BASE] = x
                    return i, e, s, k, True, False
                if frame is None and packed.ndim == 1 and run_us[s] != now:
                    s += 1
                    run_us[s] = now
                    run_at[s] = e
                while mask:
                    if mask & 1:
                        if x >= width:
                            note(spans, counts, OUTSIDE_SENSOR, here, here + 2, now, now, 1)
                        else:
                            if frame is not None:
                                frame[GUARD + y * width + x] = 255 * p
                            elif packed.ndim == 2:
                                packed[e, 0] = now
                                packed[e, 1] = (y << 16) | x | (p << 32)
                            else:
                                packed[e] = (y << 12) | (x << 1) | p
                            e += 1
                            if state[FIRST] == NOT_YET:
                                state[FIRST] = now
                            state[LAST] = now
                    mask >>= 1
                    x += 1
        elif kind == 0x6:
            state[LOW] = word & 0xFFF
        elif kind == 0x0:
            state[ROW] = word & 0x7FF
        elif kind == 0x3:
            state[BASE] = word & 0x7FF
            state[SIGN] = (word >> 11) & 1
        elif kind == 0x8:
            if not _tell_time(words, i, final, here, state, counts, spans):
                return i, e, s, k, False, True
        elif kind == 0xA:
            if state[HIGH] == NOT_YET:
                note(spans, counts, BEFORE_START, here, here + 2, UNKNOWN_US, UNKNOWN_US, 1)
            elif state[HIGH] < state[TOP] - 1:
                note(spans, counts, LATE, here, here + 2, now, now, 1)
            else:
                edges[k, 0] = now
                edges[k, 1] = (word >> 8) & 0xF
                edges[k, 2] = word & 1
                k += 1
        elif kind != 0x7 and kind != 0xE and kind != 0xF:  # CONTINUED and OTHERS: monitoring, nothing for us
            note(spans, counts, UNKNOWN_WORD, here, here + 2, now, now, 1)
    return stop, e, s, k, False, False


@njit(cache=True, nogil=True)
def _bits(mask):  # type: ignore[no-untyped-def]
    n = 0
    while mask:
        n += mask & 1
        mask >>= 1
    return n


@njit(cache=True, nogil=True)
def _tell_time(words, i, final, here, state, counts, spans):  # type: ignore[no-untyped-def]
    """Take the high time of word `i`, or ignore it; return False if more words are needed to tell."""
    value = np.int64(words[i]) & 0xFFF
    high = state[HIGH]
    step = ahead(high & 0xFFF, value, _TURN)
    if high == NOT_YET or not 0 <= step <= 1:
        following = np.empty(FOLLOWING, np.int64)
        found = 0
        j = i + 1
        while j < words.shape[0] and j <= i + LOOKAHEAD and found < FOLLOWING:
            if words[j] >> 12 == 0x8:
                following[found] = np.int64(words[j]) & 0xFFF
                found += 1
            j += 1
        if found < FOLLOWING and j == words.shape[0] and j <= i + LOOKAHEAD and not final:
            return False
        before = time_of(state)
        present = NOT_YET if high == NOT_YET else high & 0xFFF
        if not believed(present, value, following, found, _TURN, 0, 1, _SPARSE, _ALONE):
            if high == NOT_YET:
                before = UNKNOWN_US
            note(spans, counts, TIME_GLITCH, here, here + 2, before, before, 1)
            return True
        if high == NOT_YET:
            state[HIGH] = state[START] = value
        else:
            state[HIGH] = high + step if -min(_BACK, high) <= step else high + step + _TURN
            note(spans, counts, TIME_GAP, here, here + 2, before, state[HIGH] << 12, 1)
        state[LOW] = 0
    elif step == 1:
        state[HIGH] = high + 1
        state[LOW] = 0
    state[TOP] = max(state[TOP], state[HIGH])
    return True
