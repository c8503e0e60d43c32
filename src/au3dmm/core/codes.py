"""Coefficients of every frame from its normal equations: in closed form, or non-negative with an l1 prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError


@dataclass(frozen=True)
class Codes:
    """Solutions of T frames.

    Attributes
    ----------
    pose : (T, P) array
        Coefficients of the pose columns.
    alpha : (T, K) array
        Coefficients of the components.
    std : (T, K) array
        Posterior standard deviations of `alpha` with the pose unknown (without regard to the sign constraint).
    dof : (T,) array
        Effective degrees of freedom that the landmarks determine, of K.
    """

    pose: NDArray[np.float64]
    alpha: NDArray[np.float64]
    std: NDArray[np.float64]
    dof: NDArray[np.float64]


def solve_codes(
    gram: NDArray[np.float64],
    mix: NDArray[np.float64],
    right: NDArray[np.float64],
    prior: NDArray[np.float64],
    variance: NDArray[np.float64],
    n_pose: int,
    nonnegative: bool,
    l1: float,
) -> Codes:
    """Minimise ``1/2 x'Q_t x - b_t'x + l1 v_t sum(alpha)`` for every frame t, with alpha >= 0 if asked.

    ``Q_t = sum_m mix_tm gram_m + v_t diag(prior)``; the first `n_pose` coefficients of x are pose, unconstrained,
    eliminated by a partial Cholesky factorisation; the rest are alpha (docs/method.md, step 5). The
    non-negative problem is solved exactly: coordinate descent finds the support, and an active-set iteration
    (Lawson & Hanson 1974, ch. 23) finishes it, so that the answer does not depend on where the search started.

    Parameters
    ----------
    gram : (6, N, N) array
        Products of the columns for the pairs of axes xx, yy, zz, xy, xz, yz (the last three symmetrised).
    mix : (T, 6) array
        The six entries of A'A of each frame's camera, in that order.
    right : (T, N) array
        b_t.
    prior : (N,) array
        Prior precisions of the coefficients, positive.
    variance : (T,) array
        v_t, landmark noise variance, px^2.
    n_pose : int
        Number of pose columns P; N = P + K.
    nonnegative : bool
        Whether alpha >= 0.
    l1 : float
        Rate of the exponential prior; used if `nonnegative`.

    Raises
    ------
    FitError
        If shapes disagree, a number is not finite, or a frame's equations are singular.
    """
    n = gram.shape[1]
    shapes_ok = gram.shape == (6, n, n) and mix.shape == (len(right), 6) and right.shape[1:] == (n,)
    if not (shapes_ok and prior.shape == (n,) and variance.shape == (len(right),) and 0 <= n_pose <= n):
        raise FitError(
            f"codes: gram {gram.shape}, mix {mix.shape}, right {right.shape}, prior {prior.shape},"
            f" variance {variance.shape} and {n_pose} pose columns disagree"
        )
    if not (np.isfinite(mix).all() and np.isfinite(right).all() and (variance > 0).all()):
        raise FitError("codes: landmarks, cameras or noise variances are not finite and positive")
    k = n - n_pose
    x = np.zeros((len(right), n))
    std = np.zeros((len(right), k))
    dof = np.zeros(len(right))
    failed = _solve_frames(
        np.ascontiguousarray(gram), np.ascontiguousarray(mix), np.ascontiguousarray(right), prior, variance,
        n_pose, nonnegative, float(l1), x, std, dof,
    )  # fmt: skip
    if failed >= 0:
        raise FitError(f"codes: the equations of frame {failed} of {len(right)} are singular")
    return Codes(x[:, :n_pose], x[:, n_pose:], std, dof)


@njit(cache=True)
def _solve_frames(gram, mix, right, prior, variance, p, nonnegative, l1, x, std, dof):  # type: ignore[no-untyped-def]
    n_frames, n = right.shape
    k = n - p
    q = np.empty((n, n))
    y = np.empty(n)
    schur = np.empty((k, k))
    factor = np.empty((k, k))
    inverse = np.empty((k, k))
    alpha = np.zeros(k)
    for f in range(n_frames):
        v = variance[f]
        for i in range(n):
            for j in range(i + 1):
                total = 0.0
                for m in range(6):
                    total += mix[f, m] * gram[m, i, j]
                q[i, j] = total
            q[i, i] += v * prior[i]
            y[i] = right[f, i]
        if not _factor_columns(q, y, p):
            return f
        for i in range(k):
            for j in range(i + 1):
                schur[i, j] = q[p + i, p + j]
                schur[j, i] = schur[i, j]
        factor[:, :] = schur
        if not _cholesky(factor, k):
            return f
        _invert(factor, inverse, k)
        determined = float(k)
        for i in range(k):
            std[f, i] = np.sqrt(v * inverse[i, i])
            determined -= v * prior[p + i] * inverse[i, i]
        dof[f] = determined
        if nonnegative:
            g = y[p:] - l1 * v
            _descend(schur, g, alpha)
            if not _finish(schur, g, alpha):
                return f
        else:
            for i in range(k):
                total = 0.0
                for j in range(k):
                    total += inverse[i, j] * y[p + j]
                alpha[i] = total
        x[f, p:] = alpha
        for i in range(p - 1, -1, -1):
            total = y[i]
            for j in range(i + 1, n):
                total -= q[j, i] * x[f, j]
            x[f, i] = total / q[i, i]
    return -1


@njit(cache=True)
def _factor_columns(q, y, p):  # type: ignore[no-untyped-def]
    # Cholesky of the first p columns in the lower triangle; what remains below is their Schur complement
    n = q.shape[0]
    for j in range(p):
        if not q[j, j] > 0.0:
            return False
        d = np.sqrt(q[j, j])
        q[j, j] = d
        for i in range(j + 1, n):
            q[i, j] /= d
        y[j] /= d
        for i in range(j + 1, n):
            c = q[i, j]
            y[i] -= c * y[j]
            for m in range(j + 1, i + 1):
                q[i, m] -= c * q[m, j]
    return True


@njit(cache=True)
def _cholesky(a, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for m in range(j):
                total -= a[i, m] * a[j, m]
            if i == j:
                if not total > 1e-14 * abs(a[i, i]):
                    return False
                a[i, i] = np.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    return True


@njit(cache=True)
def _invert(factor, inverse, n):  # type: ignore[no-untyped-def]
    # inverse of L L' from the columns of L^-1, which are needed for the posterior anyway
    low = np.zeros((n, n))
    for j in range(n):
        low[j, j] = 1.0 / factor[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for m in range(j, i):
                total -= factor[i, m] * low[m, j]
            low[i, j] = total / factor[i, i]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for m in range(i, n):
                total += low[m, i] * low[m, j]
            inverse[i, j] = total
            inverse[j, i] = total


@njit(cache=True)
def _descend(q, g, alpha):  # type: ignore[no-untyped-def]
    # coordinate descent from the previous frame's alpha, good enough to know which coefficients are zero
    k = g.shape[0]
    gradient = g - q @ alpha
    for _ in range(60):
        change = 0.0
        for i in range(k):
            value = max(alpha[i] + gradient[i] / q[i, i], 0.0)
            d = value - alpha[i]
            if d != 0.0:
                alpha[i] = value
                for j in range(k):
                    gradient[j] -= d * q[j, i]
                change = max(change, abs(d))
        if change < 1e-4:
            return


@njit(cache=True)
def _finish(q, g, alpha):  # type: ignore[no-untyped-def]
    k = g.shape[0]
    scale = 0.0
    for i in range(k):
        scale = max(scale, abs(g[i]))
    tolerance = 1e-11 * max(scale, 1e-300)
    free = np.empty(k, np.int64)
    sub = np.empty((k, k))
    z = np.empty(k)
    positive = alpha > 0.0
    for _ in range(10 * k + 10):
        while True:
            m = 0
            for i in range(k):
                if positive[i]:
                    free[m] = i
                    m += 1
            for a in range(m):
                for b in range(m):
                    sub[a, b] = q[free[a], free[b]]
                z[a] = g[free[a]]
            if not _cholesky(sub, m):
                return False
            for a in range(m):
                for b in range(a):
                    z[a] -= sub[a, b] * z[b]
                z[a] /= sub[a, a]
            for a in range(m - 1, -1, -1):
                for b in range(a + 1, m):
                    z[a] -= sub[b, a] * z[b]
                z[a] /= sub[a, a]
            step = 1.0
            blocking = -1
            for a in range(m):
                if z[a] < 0.0:
                    now = alpha[free[a]]
                    if now / (now - z[a]) < step:
                        step = now / (now - z[a])
                        blocking = free[a]
            for a in range(m):
                alpha[free[a]] += step * (z[a] - alpha[free[a]])
            if blocking < 0:
                for a in range(m):
                    alpha[free[a]] = z[a]  # not a sum of steps: the same support gives the same bits
                break
            alpha[blocking] = 0.0
            positive[blocking] = False
        best = tolerance
        enter = -1
        for i in range(k):
            if not positive[i]:
                alpha[i] = 0.0
                slope = g[i]
                for j in range(k):
                    slope -= q[i, j] * alpha[j]
                if slope > best:
                    best = slope
                    enter = i
        if enter < 0:
            return True
        positive[enter] = True
    return False
