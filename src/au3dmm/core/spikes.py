"""Landmarks that are thrown off for a frame or two, found in their own tracks before these are smoothed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

_REACH = 2  # frames before and after that a value is compared with
_NEIGHBOURS = 3
_ALIKE = 0.7  # as a share of the jump: a neighbour whose own jump differs by less moves along


def without_spikes(
    landmarks: NDArray[np.floating], spans: list[tuple[int, int]], jump_px: float
) -> NDArray[np.float64]:
    """Replace single landmarks that are thrown off for one or two frames by the median of the five frames around.

    A landmark is thrown off if it lies farther than `jump_px` from that median (Hampel's test with a fixed threshold),
    and none of the three landmarks nearest to it jumps likewise: a blink, or lips that meet for a frame, move several.
    A smoother would spread what is left here over all of its window.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane, px.
    spans : list of (int, int)
        Rows (start, stop) of runs of consecutive frames; nothing is compared across their ends. Those shorter than five
        frames, and rows outside of all of them, are left as they are.
    jump_px : float
        Distance, px.

    Returns
    -------
    (T, L, 2) array
        A copy.
    """
    clean = np.array(landmarks, np.float64, order="C")
    flat = clean.reshape(len(clean), -1)
    long = [(start, stop) for start, stop in spans if stop - start > 2 * _REACH]
    if not long:
        return clean
    near = _nearest(np.mean([clean[start : stop : (stop - start) // 5].mean(0) for start, stop in long], axis=0))
    for start, stop in long:
        _clean_run(flat[start:stop].copy(), near, float(jump_px), flat[start:stop])
    return clean


def _nearest(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices (L, 3) of each place's nearest others."""
    square = cdist(places, places, "sqeuclidean")
    np.fill_diagonal(square, np.inf)
    return np.argpartition(square, min(_NEIGHBOURS, len(places)) - 1, axis=1)[:, :_NEIGHBOURS]


@njit(cache=True, fastmath={"nnan", "nsz"})
def _off_median(a, b, c, d, e, x, off):  # type: ignore[no-untyped-def]
    # x less the median of five rows, entry by entry: the third of three that cannot be among the outer two of five
    for i in range(len(x)):
        low0, high0 = (a[i], b[i]) if a[i] < b[i] else (b[i], a[i])
        low1, high1 = (c[i], d[i]) if c[i] < d[i] else (d[i], c[i])
        low = low0 if low0 > low1 else low1
        high = high0 if high0 < high1 else high1
        least, most = (low, high) if low < high else (high, low)
        middle = most if most < e[i] else e[i]
        off[i] = x[i] - (middle if middle > least else least)


@njit(cache=True)
def _clean_run(run, near, jump, clean):  # type: ignore[no-untyped-def]
    n, n_landmarks = len(run), len(near)
    off = np.empty(2 * n_landmarks)
    for f in range(n):
        # at the ends of a run the five frames are the first or last five
        g = min(max(f - _REACH, 0), n - 2 * _REACH - 1)
        _off_median(run[g], run[g + 1], run[g + 2], run[g + 3], run[g + 4], run[f], off)
        for i in range(n_landmarks):
            u, v = off[2 * i], off[2 * i + 1]
            square = u * u + v * v
            if not square > jump * jump:
                continue
            alone = True
            for j in near[i]:
                du, dv = off[2 * j] - u, off[2 * j + 1] - v
                alone = alone and du * du + dv * dv >= _ALIKE * _ALIKE * square
            if alone:
                clean[f, 2 * i] -= u
                clean[f, 2 * i + 1] -= v
