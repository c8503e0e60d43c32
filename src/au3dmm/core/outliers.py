"""Landmarks that a fit leaves far behind count for less: drawn towards where it puts them, for another fit."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LOST = 0.25  # landmarks' worth of weight: a frame that loses less is not fitted again


def draw_outliers(
    landmarks: NDArray[np.float64],
    fitted: NDArray[np.float64],
    weights: NDArray[np.float64],
    sigma_px: NDArray[np.float64],
    limit: float,
    among: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which frames have outliers, and their landmarks with outliers drawn towards the fit.

    With z the residual's rms over both axes, times the root of the landmark's weight, in noise deviations, the robust
    weight is ``min(1, (limit / z)^2)``, a heavy tail beyond `limit`. ``fitted + robust weight (l - fitted)`` in place
    of l makes least squares with the old weights do what robust weights would, once the fit no longer changes (an EM
    algorithm), so that all frames keep one normal matrix.

    Parameters
    ----------
    landmarks, fitted : (T, L, 2) arrays
        px.
    weights : (L,) array
        Landmark weights.
    sigma_px : (T,) array
        Landmark noise of a landmark of weight 1, px.
    limit : float
        Noise deviations.
    among : (m,) int array
        Frames that are looked at.

    Returns
    -------
    rows : (n,) int array
        Frames whose landmarks lose a quarter of one landmark's weight or more.
    drawn : (n, L, 2) array
        Their landmarks.
    """
    lost = np.zeros(len(among))
    _lose(landmarks, fitted, weights, sigma_px, float(limit), among, lost)
    rows = among[lost >= _LOST]
    drawn = np.empty((len(rows), *landmarks.shape[1:]))
    _draw(landmarks, fitted, weights, sigma_px, float(limit), rows, drawn)
    return rows, drawn


@njit(cache=True, fastmath={"contract"})
def _lose(landmarks, fitted, weights, sigma, limit, among, lost):  # type: ignore[no-untyped-def]
    for r in range(len(among)):
        f = among[r]
        within = 2.0 * (limit * sigma[f]) ** 2
        for i in range(len(weights)):
            u, v = landmarks[f, i, 0] - fitted[f, i, 0], landmarks[f, i, 1] - fitted[f, i, 1]
            square = weights[i] * (u * u + v * v)
            if square > within:
                lost[r] += 1.0 - within / square


@njit(cache=True)
def _draw(landmarks, fitted, weights, sigma, limit, rows, drawn):  # type: ignore[no-untyped-def]
    for r in range(len(rows)):
        f = rows[r]
        within = 2.0 * (limit * sigma[f]) ** 2
        for i in range(len(weights)):
            u, v = landmarks[f, i, 0] - fitted[f, i, 0], landmarks[f, i, 1] - fitted[f, i, 1]
            square = weights[i] * (u * u + v * v)
            share = within / square if square > within else 1.0
            drawn[r, i, 0] = fitted[f, i, 0] + share * u
            drawn[r, i, 1] = fitted[f, i, 1] + share * v
