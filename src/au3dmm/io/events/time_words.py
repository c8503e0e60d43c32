"""Whether a time that neither repeats nor follows the one before it is to be believed: what comes next decides."""

from __future__ import annotations

from numba import njit

FOLLOWING = 8
"""Time words after a jump that decide about it."""


@njit(cache=True, nogil=True)
def ahead(one, other, turn):  # type: ignore[no-untyped-def]
    """Return how far `other` is ahead of `one` on a clock that wraps at `turn`: from -turn/2 to turn/2.

    Examples
    --------
    >>> ahead(95, 3, 100), ahead(3, 95, 100)
    (8, -8)
    """
    return (other - one + turn // 2) % turn - turn // 2


@njit(cache=True, nogil=True)
def believed(present, candidate, following, found, turn, back, steady, sparse, alone):  # type: ignore[no-untyped-def]
    """Return whether the clock, which reads `present`, is to be set to `candidate`.

    Two accounts of the times that follow are compared: they go on from the candidate, or from the present. A time goes
    on if it is close (`steady`, as from a camera, which repeats its time words) or at least not too far ahead
    (`sparse`, as from a writer that leaves idle time out), whichever account of the two holds for more of them. The
    candidate is believed if more than half of those that follow agree with it, and as many as go on from the present;
    if it goes back, only if all but one follow it closely, and most do not go on from the present. A single wrong time
    never moves the clock, whichever of its bits are wrong; a jump that the stream stays with does.

    Parameters
    ----------
    present : int
        The clock, from 0 to `turn`; -1 before it is known.
    candidate : int
        The time that jumps, from 0 to `turn`.
    following : (FOLLOWING,) int64 array
        Times that come next.
    found : int
        How many of them there are.
    turn : int
        Where the clock wraps.
    back, steady : int
        How far a time may be behind the one before it, and ahead of it, in a steady stream.
    sparse : int
        How far it may be ahead in a sparse stream.
    alone : int
        How far the candidate may be ahead of the present where nothing follows it.

    Examples
    --------
    >>> import numpy as np
    >>> def ask(candidate, *following):
    ...     return believed(100, candidate, np.array(following), len(following), 1 << 28, 0, 1, 65536, 4096)
    >>> ask(5000, 5000, 5001, 5001, 5002), ask(5000, 101, 101, 102, 102), ask(98, 101, 102, 103, 104)
    (True, False, False)
    """
    if found == 0:
        return present < 0 or 0 <= ahead(present, candidate, turn) <= alone
    needed = found // 2 + 1 if found >= 3 else found
    for_candidate = _agreeing(candidate, following, found, turn, back, steady, sparse, steady)
    if for_candidate < needed:
        return False
    if present < 0:
        # cameras repeat their time words, and then only a close one can be the first; writers may leave idle time out
        repeats = 0
        for k in range(1, found):
            repeats += following[k] == following[k - 1]
        if 2 * repeats >= found:
            return _agreeing(candidate, following, found, turn, back, steady, 0, steady) >= needed
        return True
    # the candidate stands where a time that follows the present should be
    for_present = _agreeing(present, following, found, turn, back, steady, sparse, 2 * steady)
    if ahead(present, candidate, turn) > 0:
        return for_candidate >= for_present
    # no stream that leaves idle time out goes back
    steadily = _agreeing(candidate, following, found, turn, back, steady, 0, steady)
    return steadily >= (found - 1 if found >= 3 else found) and for_present < needed


@njit(cache=True, nogil=True)
def _agreeing(start, following, found, turn, back, steady, sparse, first):  # type: ignore[no-untyped-def]
    """Count the times that go on from `start`; the first of them may be up to `first` ahead in a steady stream."""
    near = far = 0
    one = other = start
    reach = first
    for k in range(found):
        time = following[k]
        if -back <= ahead(one, time, turn) <= reach:
            near += 1
            one = time
            reach = steady
        elif near:
            reach = 2 * steady  # one that does not go on stands where another should be
        if -back <= ahead(other, time, turn) <= sparse:
            far += 1
            other = time
    return max(near, far)
