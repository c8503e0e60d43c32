"""Normal equations of eight frames side by side: mixed, factored, and inverted as far as a posterior needs it.

A matrix of eight frames is a flat float64 array: entry (i, j) of all eight lies at ``(i * n + j) * LANES``. Only the
lower triangle is used. Below its n rows lies one more, the right-hand side, which the factorisation turns into the
solution of the forward substitution, and three rows of zeros, so that rows can be taken four at a time. n is even.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.core.lanes import LANES, add_product, divide, load, multiply, splat, square_root, store, subtract_product

SPARE_ROWS = 4
"""Rows below a matrix: its right-hand side, and padding."""


@njit(cache=True)
def mix_lanes(q, n, gram, mix, variance, prior, unit, right, first):  # type: ignore[no-untyped-def]
    """Write ``sum_m mix_m gram_m + variance diag(prior) + diag(unit)`` and `right` of the eight frames from `first`.

    `gram` is (n (n + 1) / 2, 6), the lower triangle row by row. Beyond the last frame, the last one is repeated.
    """
    last = len(mix) - 1
    taken = np.empty(7 * LANES)
    for s in range(LANES):
        f = min(first + s, last)
        for m in range(6):
            taken[m * LANES + s] = mix[f, m]
        taken[6 * LANES + s] = variance[f]
        for j in range(n):
            q[(n * n + j) * LANES + s] = right[f, j]
    m0, m1, m2 = load(taken, 0), load(taken, LANES), load(taken, 2 * LANES)
    m3, m4, m5 = load(taken, 3 * LANES), load(taken, 4 * LANES), load(taken, 5 * LANES)
    v = load(taken, 6 * LANES)
    pair = 0
    for i in range(n):
        for j in range(i + 1):
            total = multiply(m0, splat(gram[pair, 0]))
            total = add_product(total, m1, splat(gram[pair, 1]))
            total = add_product(total, m2, splat(gram[pair, 2]))
            total = add_product(total, m3, splat(gram[pair, 3]))
            total = add_product(total, m4, splat(gram[pair, 4]))
            total = add_product(total, m5, splat(gram[pair, 5]))
            store(q, (i * n + j) * LANES, total)
            pair += 1
        diagonal = add_product(load(q, (i * n + i) * LANES), v, splat(prior[i]))
        store(q, (i * n + i) * LANES, add_product(diagonal, splat(unit[i]), splat(1.0)))


@njit(cache=True)
def factor_lanes(q, n, first, last, pivots):  # type: ignore[no-untyped-def]
    """Turn columns `first` to `last` (even numbers) into those of the Cholesky factor, of all rows down to row n.

    What columns before `first` explain must have been taken off (`reduce_lanes`). ``pivots[j]`` becomes the square of
    the factor's diagonal as a share of the matrix' own: not above 0 (or NaN) where the matrix is singular.
    """
    for j in range(first, last, 2):
        r0 = j * n
        r1 = r0 + n
        whole0 = load(q, (r0 + j) * LANES)
        whole1 = load(q, (r1 + j + 1) * LANES)
        t, u, w = whole0, load(q, (r1 + j) * LANES), whole1
        for k in range(first, j):
            a, b = load(q, (r0 + k) * LANES), load(q, (r1 + k) * LANES)
            t, u, w = subtract_product(t, a, a), subtract_product(u, b, a), subtract_product(w, b, b)
        one = splat(1.0)
        inverse0 = divide(one, square_root(t))
        below = multiply(u, inverse0)
        w = subtract_product(w, below, below)
        inverse1 = divide(one, square_root(w))
        store(pivots, j * LANES, divide(t, whole0))
        store(pivots, (j + 1) * LANES, divide(w, whole1))
        store(q, (r0 + j) * LANES, square_root(t))
        store(q, (r1 + j) * LANES, below)
        store(q, (r1 + j + 1) * LANES, square_root(w))
        for i in range(j + 2, n + 1, 4):
            # two columns of four rows at a time: eight sums that do not wait for one another
            i0 = i * n
            i1, i2, i3 = i0 + n, i0 + 2 * n, i0 + 3 * n
            a0, b0 = load(q, (i0 + j) * LANES), load(q, (i0 + j + 1) * LANES)
            a1, b1 = load(q, (i1 + j) * LANES), load(q, (i1 + j + 1) * LANES)
            a2, b2 = load(q, (i2 + j) * LANES), load(q, (i2 + j + 1) * LANES)
            a3, b3 = load(q, (i3 + j) * LANES), load(q, (i3 + j + 1) * LANES)
            for k in range(first, j):
                c, d = load(q, (r0 + k) * LANES), load(q, (r1 + k) * LANES)
                x = load(q, (i0 + k) * LANES)
                a0, b0 = subtract_product(a0, x, c), subtract_product(b0, x, d)
                x = load(q, (i1 + k) * LANES)
                a1, b1 = subtract_product(a1, x, c), subtract_product(b1, x, d)
                x = load(q, (i2 + k) * LANES)
                a2, b2 = subtract_product(a2, x, c), subtract_product(b2, x, d)
                x = load(q, (i3 + k) * LANES)
                a3, b3 = subtract_product(a3, x, c), subtract_product(b3, x, d)
            a0, a1 = multiply(a0, inverse0), multiply(a1, inverse0)
            a2, a3 = multiply(a2, inverse0), multiply(a3, inverse0)
            store(q, (i0 + j) * LANES, a0)
            store(q, (i1 + j) * LANES, a1)
            store(q, (i2 + j) * LANES, a2)
            store(q, (i3 + j) * LANES, a3)
            store(q, (i0 + j + 1) * LANES, multiply(subtract_product(b0, a0, below), inverse1))
            store(q, (i1 + j + 1) * LANES, multiply(subtract_product(b1, a1, below), inverse1))
            store(q, (i2 + j + 1) * LANES, multiply(subtract_product(b2, a2, below), inverse1))
            store(q, (i3 + j + 1) * LANES, multiply(subtract_product(b3, a3, below), inverse1))


@njit(cache=True)
def reduce_lanes(q, n, p):  # type: ignore[no-untyped-def]
    """Take off what the first p (even) columns, already factored, explain: the rest becomes their Schur complement."""
    for k in range(0, p, 2):
        for i in range(p, n + 1):
            a, b = load(q, (i * n + k) * LANES), load(q, (i * n + k + 1) * LANES)
            for j in range(p, min(i + 1, n)):
                total = subtract_product(load(q, (i * n + j) * LANES), a, load(q, (j * n + k) * LANES))
                store(q, (i * n + j) * LANES, subtract_product(total, b, load(q, (j * n + k + 1) * LANES)))


@njit(cache=True)
def invert_lanes(q, n, p, low, spread, x):  # type: ignore[no-untyped-def]
    """From the factor of rows and columns p to n: the diagonal of the inverse (`spread`) and the solution (`x`).

    With R the inverse of the factor, the inverse is ``R' R`` and the solution ``R' y``; R is made four columns at a
    time in `low`, of (n + 1) * 4 vectors. `spread` and `x` hold n + 4 vectors, those of columns p to n in place.
    """
    zero, one = splat(0.0), splat(1.0)
    for j in range(p, n, 4):
        d0, d1, d2, d3 = zero, zero, zero, zero
        x0, x1, x2, x3 = zero, zero, zero, zero
        for i in range(j, n, 2):
            r0 = i * n
            r1 = r0 + n
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            if i == j:
                a0, b1 = one, one
            elif i == j + 2:
                a2, b3 = one, one
            for k in range(j, i):
                a, b = load(q, (r0 + k) * LANES), load(q, (r1 + k) * LANES)
                c = load(low, 4 * k * LANES)
                a0, b0 = subtract_product(a0, a, c), subtract_product(b0, b, c)
                c = load(low, (4 * k + 1) * LANES)
                a1, b1 = subtract_product(a1, a, c), subtract_product(b1, b, c)
                c = load(low, (4 * k + 2) * LANES)
                a2, b2 = subtract_product(a2, a, c), subtract_product(b2, b, c)
                c = load(low, (4 * k + 3) * LANES)
                a3, b3 = subtract_product(a3, a, c), subtract_product(b3, b, c)
            inverse0 = divide(one, load(q, (r0 + i) * LANES))
            inverse1 = divide(one, load(q, (r1 + i + 1) * LANES))
            below = load(q, (r1 + i) * LANES)
            a0, a1, a2, a3 = (
                multiply(a0, inverse0),
                multiply(a1, inverse0),
                multiply(a2, inverse0),
                multiply(a3, inverse0),
            )
            b0 = multiply(subtract_product(b0, a0, below), inverse1)
            b1 = multiply(subtract_product(b1, a1, below), inverse1)
            b2 = multiply(subtract_product(b2, a2, below), inverse1)
            b3 = multiply(subtract_product(b3, a3, below), inverse1)
            store(low, 4 * i * LANES, a0)
            store(low, (4 * i + 1) * LANES, a1)
            store(low, (4 * i + 2) * LANES, a2)
            store(low, (4 * i + 3) * LANES, a3)
            store(low, (4 * i + 4) * LANES, b0)
            store(low, (4 * i + 5) * LANES, b1)
            store(low, (4 * i + 6) * LANES, b2)
            store(low, (4 * i + 7) * LANES, b3)
            y0, y1 = load(q, (n * n + i) * LANES), load(q, (n * n + i + 1) * LANES)
            d0, d1 = add_product(add_product(d0, a0, a0), b0, b0), add_product(add_product(d1, a1, a1), b1, b1)
            d2, d3 = add_product(add_product(d2, a2, a2), b2, b2), add_product(add_product(d3, a3, a3), b3, b3)
            x0, x1 = add_product(add_product(x0, a0, y0), b0, y1), add_product(add_product(x1, a1, y0), b1, y1)
            x2, x3 = add_product(add_product(x2, a2, y0), b2, y1), add_product(add_product(x3, a3, y0), b3, y1)
        store(spread, j * LANES, d0)
        store(spread, (j + 1) * LANES, d1)
        store(spread, (j + 2) * LANES, d2)
        store(spread, (j + 3) * LANES, d3)
        store(x, j * LANES, x0)
        store(x, (j + 1) * LANES, x1)
        store(x, (j + 2) * LANES, x2)
        store(x, (j + 3) * LANES, x3)


@njit(cache=True)
def substitute_lanes(q, n, p, x):  # type: ignore[no-untyped-def]
    """Solve for the first p coefficients of `x`, given the others and the factor's first p columns."""
    for i in range(p - 1, -1, -1):
        total = load(q, (n * n + i) * LANES)
        for j in range(i + 1, n):
            total = subtract_product(total, load(q, (j * n + i) * LANES), load(x, j * LANES))
        store(x, i * LANES, divide(total, load(q, (i * n + i) * LANES)))
