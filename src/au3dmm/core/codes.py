"""Coefficients of every frame from its normal equations: in closed form, or non-negative with an l1 prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.lane_equations import (
    SPARE_ROWS,
    factor_lanes,
    invert_lanes,
    mix_lanes,
    reduce_lanes,
    substitute_lanes,
)
from au3dmm.core.lanes import LANES
from au3dmm.core.nonnegative import nonnegative_lanes, nonnegative_scratch
from au3dmm.errors import FitError

_SINGULAR = 1e-14
_SMALL = 0.25  # a coefficient's mean: the codes that dictionaries are learnt with are mostly 0


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
        Posterior standard deviations of `alpha` with the pose unknown, without regard to signs and to l1: NaN if not
        asked for.
    dof : (T,) array
        Effective degrees of freedom that the landmarks determine, of K; NaN if not asked for.
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
    *,
    reweight: float = 0.0,
    spread: bool = True,
    spread_prior: NDArray[np.float64] | None = None,
) -> Codes:
    """Minimise ``1/2 x'Q_t x - b_t'x + l1 v_t sum(alpha)`` for every frame t, with alpha >= 0 if asked.

    ``Q_t = sum_m mix_tm gram_m + v_t diag(prior)``; the first `n_pose` coefficients of x are pose, unconstrained,
    eliminated by a partial Cholesky factorisation; the rest are alpha (docs/method.md, step 5). Eight frames are
    solved side by side. The non-negative problem is solved exactly, by exchanging what is in and out of the support
    until the optimality conditions hold (`nonnegative`): the answer does not depend on where the search started.

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
        Rate of the exponential prior; used if `nonnegative`. 0: none, and no second solve.
    reweight : float
        If not 0, and `nonnegative`: solve once more with ``reweight / (alpha + 0.25)`` as the rate of each coefficient,
        so that large ones are shrunk less and small ones more (reweighted l1: Candes, Wakin & Boyd 2008, one pass).
    spread : bool
        Whether `std` and `dof` are wanted; without them non-negative codes take half the time.
    spread_prior : (N,) array, optional
        Prior precisions for `std` and `dof`, if others than `prior`.

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
    places, size, lower = _padded(n, n_pose)
    # what is below the diagonal, entry by entry; the last column of zeros is for the spare ones
    entries = np.zeros((n * n + 1, 6))
    entries[:-1] = gram.reshape(6, -1).T
    unit = np.ones(size)
    unit[places] = 0.0
    prior_padded, wider = np.zeros(size), np.zeros(size)
    prior_padded[places] = prior
    wider[places] = prior if spread_prior is None else spread_prior
    b = np.zeros((len(right), size))
    b[:, places] = right
    x = np.zeros((len(right), n))
    std = np.full((len(right), n - n_pose), np.nan)
    dof = np.full(len(right), np.nan)
    failed = _solve_frames(
        entries[lower], np.ascontiguousarray(mix), b, prior_padded, wider, unit,
        np.ascontiguousarray(variance), n_pose, n - n_pose, nonnegative, float(l1), float(reweight), spread,
        x, std, dof,
    )  # fmt: skip
    if failed >= 0:
        raise FitError(f"codes: the equations of frame {failed} of {len(right)} are singular")
    return Codes(x[:, :n_pose], x[:, n_pose:], std, dof)


@lru_cache(maxsize=16)
def _padded(n: int, n_pose: int) -> tuple[NDArray[np.int64], int, NDArray[np.int64]]:
    """Return where n columns go among an even number of pose columns and of components, how many those are, and the
    place (flat) of each entry of their lower triangle in an (n, n) matrix: n * n for what a spare column has, nothing.
    """
    p = n_pose + n_pose % 2
    places = np.r_[0:n_pose, p : p + n - n_pose]
    size = p + (n - n_pose) + (n - n_pose) % 2
    flat = np.full((size, size), n * n)
    flat[places[:, None], places] = np.arange(n * n).reshape(n, n)
    return places, size, flat[np.tril_indices(size)]


@njit(cache=True)
def _solve_frames(  # type: ignore[no-untyped-def]
    gram, mix, right, prior, wider, unit, variance, n_pose, k, nonnegative, l1, reweight, spread, x, std, dof
):
    n_frames, n = right.shape
    p = n_pose + n_pose % 2
    q = np.zeros((n + SPARE_ROWS) * n * LANES)
    pivots = np.ones(n * LANES)
    low = np.zeros((n + 2) * 4 * LANES)
    inverse = np.zeros((n + 4) * LANES)
    solution = np.zeros((n + 4) * LANES)
    unused = np.zeros((n + 4) * LANES)
    weight = np.zeros(k * LANES)
    slope = np.zeros(k * LANES)
    scratch = nonnegative_scratch(k)
    for first in range(0, n_frames, LANES):
        mix_lanes(q, n, gram, mix, variance, prior, unit, right, first)
        factor_lanes(q, n, 0, p, pivots)
        reduce_lanes(q, n, p)
        count = min(LANES, n_frames - first)
        if nonnegative:
            for s in range(LANES):
                for i in range(k):
                    weight[i * LANES + s] = l1 * variance[min(first + s, n_frames - 1)]
            lane = nonnegative_lanes(q, n, p, k, weight, count, False, scratch, solution, slope)
            if lane < 0 and reweight > 0.0 and l1 > 0.0:
                for s in range(count):
                    for i in range(k):
                        alpha = solution[(p + i) * LANES + s]
                        weight[i * LANES + s] = reweight * variance[first + s] / (alpha + _SMALL)
                lane = nonnegative_lanes(q, n, p, k, weight, count, True, scratch, solution, slope)
            if lane >= 0:
                return first + lane
            if spread:
                for i in range(p, n):
                    for s in range(LANES):
                        v = variance[min(first + s, n_frames - 1)]
                        q[(i * n + i) * LANES + s] += (wider[i] - prior[i]) * v
        if spread or not nonnegative:
            factor_lanes(q, n, p, n, pivots)
            # the non-negative solution is there already
            invert_lanes(q, n, p, low, inverse, unused if nonnegative else solution)
        substitute_lanes(q, n, p, solution)
        for s in range(count):
            for i in range(n):
                if not pivots[i * LANES + s] > _SINGULAR:
                    return first + s
            f = first + s
            for i in range(n_pose):
                x[f, i] = solution[i * LANES + s]
            for i in range(k):
                x[f, n_pose + i] = solution[(p + i) * LANES + s]
            if spread:
                determined = float(k)
                for i in range(k):
                    v = variance[f] * inverse[(p + i) * LANES + s]
                    determined -= wider[p + i] * v
                    std[f, i] = np.sqrt(v)
                dof[f] = determined
    return -1
