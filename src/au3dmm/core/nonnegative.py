"""Exact non-negative least squares of eight frames side by side, on the matrix that `lane_equations` has reduced."""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.core.lane_equations import SPARE_ROWS, factor_lanes, substitute_lanes
from au3dmm.core.lanes import LANES, add_product, any_nonzero, divide, load, maximum, splat, store, subtract_product

_TOLERANCE = 1e-11
_SINGULAR = 1e-14
_PATIENCE = 3
_SWEEPS = 8


@njit(cache=True)
def nonnegative_scratch(k):  # type: ignore[no-untyped-def]
    """Return what `nonnegative_lanes` works in for k components: supports, lists of them, and small equations."""
    n = k + k % 2
    small = np.zeros((n + SPARE_ROWS) * n * LANES)
    vectors = np.zeros((2, n * LANES))
    return (
        np.zeros((LANES, k), np.bool_),
        np.zeros((LANES, k), np.int64),
        np.zeros((4, LANES), np.int64),
        small,
        vectors,
    )


@njit(cache=True)
def nonnegative_lanes(q, n, p, k, l1, count, again, scratch, x, slope):  # type: ignore[no-untyped-def]
    """Minimise ``1/2 a'S a - (y - l1)'a`` over a >= 0, with S and y in rows and columns p to p + k of `q`.

    Coordinate descent from the solution of the frame before these eight finds most of the support. Block principal
    pivoting (Portugal, Judice & Vicente 1994) finishes it: solve on the support, take out what came out negative, let
    in what would lower the objective, until nothing is left to exchange; where exchanging all of it at once does not
    get nearer, only the last one is (Murty's rule, which ends). The solution on a support has the same bits on every
    way to it.

    `l1` (8 k,) are the l1 weights of each component in each frame, `count` how many of the eight there are, `scratch`
    comes from `nonnegative_scratch`; `again` says that the same eight frames were solved just before, with other
    weights. The solutions are written to `x` from vector p on, and those of the call before, or zeros,
    are expected there; ``y - S a`` to `slope`. Returns the lane of a frame whose equations are singular, or -1.
    """
    support, inside, state, small, vectors = scratch
    size, fewest, patience, active = state
    pivots, found = vectors
    tolerance = np.full(LANES, 1e-300)
    for s in range(LANES):
        for i in range(k):
            tolerance[s] = max(tolerance[s], _TOLERANCE * abs(q[(n * n + p + i) * LANES + s] - l1[i * LANES + s]))
        if not again:
            for i in range(k):
                x[(p + i) * LANES + s] = x[(p + i) * LANES + LANES - 1]
        fewest[s], patience[s], active[s] = k + 1, _PATIENCE, s < count
    _descend(q, n, p, k, l1, found, x, slope)
    for s in range(LANES):
        for i in range(k):
            support[s, i] = x[(p + i) * LANES + s] > 0.0
    for _ in range(100 * k + 100):
        largest = 0
        for s in range(LANES):
            size[s] = 0
            if active[s]:
                for i in range(k):
                    if support[s, i]:
                        inside[s, size[s]] = i
                        size[s] += 1
                largest = max(largest, size[s])
        m = largest + largest % 2
        _gather(q, n, p, l1, inside, size, m, small)
        factor_lanes(small, m, 0, m, pivots)
        substitute_lanes(small, m, m, found)
        for s in range(LANES):
            if active[s]:
                for i in range(k):
                    x[(p + i) * LANES + s] = 0.0
                for a in range(size[s]):
                    if not pivots[a * LANES + s] > _SINGULAR:
                        return s
                    x[(p + inside[s, a]) * LANES + s] = found[a * LANES + s]
        _slopes(q, n, p, k, x, slope)
        left = False
        for s in range(LANES):
            if active[s]:
                _exchange(s, k, p, l1, tolerance[s], support[s], x, slope, fewest, patience, active)
                left = left or active[s] > 0
        if not left:
            # what begins the next eight frames
            for i in range(k):
                x[(p + i) * LANES + LANES - 1] = x[(p + i) * LANES + count - 1]
            return -1
    return 0


@njit(cache=True)
def _gather(q, n, p, l1, inside, size, m, small):  # type: ignore[no-untyped-def]
    # the equations on each frame's support; those with fewer than m components are filled up with 1 x = 0
    small[(m * m) * LANES : (m + SPARE_ROWS) * m * LANES] = 0.0
    for s in range(LANES):
        for a in range(m):
            if a < size[s]:
                row = ((p + inside[s, a]) * n + p) * LANES + s
                for b in range(a + 1):
                    small[(a * m + b) * LANES + s] = q[row + inside[s, b] * LANES]
                i = inside[s, a]
                small[(m * m + a) * LANES + s] = q[(n * n + p + i) * LANES + s] - l1[i * LANES + s]
            else:
                for b in range(a):
                    small[(a * m + b) * LANES + s] = 0.0
                small[(a * m + a) * LANES + s] = 1.0


@njit(cache=True)
def _descend(q, n, p, k, l1, inverse, x, slope):  # type: ignore[no-untyped-def]
    # coordinate descent from the x that is there: mostly finds the support
    zero = splat(0.0)
    for i in range(k):
        store(slope, i * LANES, subtract_product(load(q, (n * n + p + i) * LANES), load(l1, i * LANES), splat(1.0)))
        store(inverse, i * LANES, divide(splat(1.0), load(q, ((p + i) * n + p + i) * LANES)))
    for j in range(k):
        now = load(x, (p + j) * LANES)
        if any_nonzero(now):
            _take_off(q, n, p, k, j, now, slope)
    for _ in range(_SWEEPS):
        for j in range(k):
            now = load(x, (p + j) * LANES)
            after = maximum(add_product(now, load(slope, j * LANES), load(inverse, j * LANES)), zero)
            change = subtract_product(after, now, splat(1.0))
            if any_nonzero(change):
                store(x, (p + j) * LANES, after)
                _take_off(q, n, p, k, j, change, slope)


@njit(cache=True)
def _slopes(q, n, p, k, x, slope):  # type: ignore[no-untyped-def]
    for i in range(k):
        store(slope, i * LANES, load(q, (n * n + p + i) * LANES))
    for j in range(k):
        value = load(x, (p + j) * LANES)
        if any_nonzero(value):
            _take_off(q, n, p, k, j, value, slope)


@njit(cache=True)
def _take_off(q, n, p, k, j, value, slope):  # type: ignore[no-untyped-def]
    row = ((p + j) * n + p) * LANES
    for i in range(j):
        store(slope, i * LANES, subtract_product(load(slope, i * LANES), load(q, row + i * LANES), value))
    for i in range(j, k):
        entry = load(q, ((p + i) * n + p + j) * LANES)
        store(slope, i * LANES, subtract_product(load(slope, i * LANES), entry, value))


@njit(cache=True)
def _exchange(s, k, p, l1, tolerance, support, x, slope, fewest, patience, active):  # type: ignore[no-untyped-def]
    wrong, last = 0, 0
    for i in range(k):
        if x[(p + i) * LANES + s] < 0.0 if support[i] else slope[i * LANES + s] - l1[i * LANES + s] > tolerance:
            wrong += 1
            last = i
    if wrong == 0:
        active[s] = 0
        return
    if wrong < fewest[s]:
        fewest[s], patience[s] = wrong, _PATIENCE
    elif patience[s] > 0:
        patience[s] -= 1
    else:
        support[last] = not support[last]
        return
    for i in range(k):
        if x[(p + i) * LANES + s] < 0.0 if support[i] else slope[i * LANES + s] - l1[i * LANES + s] > tolerance:
            support[i] = not support[i]
