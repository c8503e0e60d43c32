"""Check the events of a container one after the other, and pack those that are kept: compiled code of `arrays`.

Arrays have no time words: every event states its own time, and is a time word of its own.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import STRIDE
from au3dmm.io.events.damage import UNKNOWN_US, note
from au3dmm.io.events.report import LATE, LATE_US, LATEST_US, OUTSIDE_SENSOR, TIME_GAP, TIME_GLITCH, UNKNOWN_WORD

GAP_US = 10_000
"""How far the clock may go on past what is lost without it being told, us."""

LOOKAHEAD = 1 << 13
"""Events by which a jump of more than `LATE_US` is judged; blocks are larger, so that they decide nothing."""

_NEAR = 16  # of them, all of these are looked at
_FAR = 64  # and this many of the rest
_SPARSE_US = 600_000_000  # how far each of the near ones may go on from those before it
_ALONE_US = 1 << 18  # how far a last event, which nothing follows, may go on (0.26 s)
_PAUSES = 4  # or by so many times the longest pause so far: in sparse recordings the last event, too, stands alone
_FEW = 16  # events, after which nothing is known of how sparse a recording is

# what becomes of an event; of one that waits only more events can tell
_WAIT, _DROP, _WRONG_TIME, _KEEP = range(4)

# state between blocks: times of the latest and of the earliest event, us; longest pause so far, us; events kept
# (up to `_FEW`); whether one with a wrong time was dropped since; place of the last one; largest column and row outside
TOP, FIRST, PAUSE, KEPT, DROPPED, PLACE, COLUMN, ROW = range(8)


def new_state() -> NDArray[np.int64]:
    """Return the state before the first event."""
    state = np.zeros(8, np.int64)
    state[[TOP, FIRST, PLACE]] = UNKNOWN_US
    state[[COLUMN, ROW]] = -1
    return state


@njit(cache=True, nogil=True)
def check_and_pack(t, x, y, p, place, final, holes, state, rows, counts, width, height, words, run_us, run_at):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill words and runs; return how many events were used, packed, and in how many runs.

    Parameters
    ----------
    t, x, y, p, place : (N,) arrays
        See `columns.Columns`.
    final : bool
        Whether the file ends with them; otherwise those about which only more events can tell are left.
    holes : (H,) int64 array
        Places at which a stretch of the file is lost.
    state : (8,) int64 array
        Updated; see `new_state`.
    rows, counts : arrays
        Of a `DamageLog`; updated.
    width, height : int
        Sensor, px.
    words, run_us, run_at : arrays
        To be filled, at least N, N and N + 1 values: see `PackedEvents`.
    """
    n = np.uint64(t.shape[0])
    one = np.uint64(1)  # unsigned: numba would test signed indices for being negative
    i, e, s = np.uint64(0), np.uint64(0), np.uint64(0)
    top, first = state[TOP], state[FIRST]
    before, kept, dropped = top, state[KEPT], state[DROPPED] == 1
    run_at[0] = 0
    while i < n:
        now = t[i]
        inside = (x[i] >= 0) & (x[i] < width) & (y[i] >= 0) & (y[i] < height) & (p[i] <= 1)
        if not inside or top == UNKNOWN_US or now < top - LATE_US or now > top + LATE_US:
            state[KEPT] = min(kept + np.int64(e), _FEW)
            verdict = _judge(
                t, x, y, p, place, np.int64(i), top, final, dropped, holes, state, rows, counts, width, height
            )
            if verdict == _WAIT:
                break
            if verdict != _KEEP:
                dropped |= verdict == _WRONG_TIME
                i += one
                continue
            if top == UNKNOWN_US:
                top = first = now
        # whether a run goes on cannot be predicted: its end is written again with each event, rather than asked for
        s += np.uint64((s == 0) | (now != before))
        run_us[s - one] = now
        words[e] = (y[i] << 12) | (x[i] << 1) | (p[i] > 0)
        e += one
        run_at[s] = e
        top, first, before, dropped = max(top, now), min(first, now), now, False
        i += one
    state[TOP], state[FIRST] = top, first
    state[KEPT], state[DROPPED] = min(kept + np.int64(e), _FEW), np.int64(dropped)
    if i > 0:
        state[PLACE] = place[i - one]
    return np.int64(i), np.int64(e), np.int64(s)


@njit(cache=True, nogil=True)
def _judge(t, x, y, p, place, i, top, final, dropped, holes, state, rows, counts, width, height):  # type: ignore[no-untyped-def]
    """Return what becomes of an event that is not plain, and note what is wrong with it."""
    now, here = t[i], place[i]
    if p[i] > 1:
        note(rows, counts, UNKNOWN_WORD, here, here + 1, top, top, 1)
        return _DROP
    if x[i] < 0 or x[i] >= width or y[i] < 0 or y[i] >= height:
        if x[i] < STRIDE and y[i] < STRIDE:
            state[COLUMN], state[ROW] = max(state[COLUMN], x[i]), max(state[ROW], y[i])
        note(rows, counts, OUTSIDE_SENSOR, here, here + 1, top, top, 1)
        return _DROP
    if top != UNKNOWN_US and now < top - LATE_US:
        note(rows, counts, LATE, here, here + 1, top, top, 1)
        return _WRONG_TIME
    verdict = _believed(t, i, top, final, state)
    if verdict == _WRONG_TIME:
        note(rows, counts, TIME_GLITCH, here, here + 1, top, top, 1)
    elif verdict == _KEEP and top != UNKNOWN_US:
        # without anything lost before it, a jump is silence: arrays say how many events there should be
        if now > top + GAP_US and (dropped or _hole_before(place, i, holes, state)):
            note(rows, counts, TIME_GAP, here, here + 1, top, now, 1)
        state[PAUSE] = max(state[PAUSE], now - top)
    return verdict


@njit(cache=True, nogil=True)
def _hole_before(place, i, holes, state):  # type: ignore[no-untyped-def]
    """Return whether something is lost between event `i` and the one before it."""
    last = place[i - 1] if i > 0 else state[PLACE]
    found = False
    for hole in holes:
        found |= last < hole <= place[i]
    return found


@njit(cache=True, nogil=True)
def _believed(t, i, top, final, state):  # type: ignore[no-untyped-def]
    """Return whether the events after number `i` stay with its time."""
    now = t[i]
    left = t.shape[0] - i - 1
    if now > LATEST_US or now < -LATEST_US:
        return _WRONG_TIME
    if left < LOOKAHEAD and not final:
        return _WAIT
    if left == 0:
        alone = _SPARSE_US if state[KEPT] < _FEW else max(_ALONE_US, _PAUSES * state[PAUSE])
        return _KEEP if top == UNKNOWN_US or now <= top + alone else _WRONG_TIME
    near = min(left, _NEAR)
    sparse = max(_SPARSE_US, _PAUSES * state[PAUSE])
    wrong, reached = 0, now
    for j in range(i + 1, i + 1 + near):
        if t[j] < now - LATE_US or t[j] > reached + sparse:
            wrong += 1
        else:
            reached = max(reached, t[j])
    if 8 * wrong > near:
        return _WRONG_TIME
    step = max(1, min(left, LOOKAHEAD) // _FAR)
    found = wrong = 0
    for j in range(i + step, i + 1 + min(left, LOOKAHEAD), step):
        found += 1
        if t[j] < now - LATE_US:
            wrong += 1
    return _WRONG_TIME if 8 * wrong > found else _KEEP
