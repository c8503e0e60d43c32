"""Move one set of points onto another: rigid and similarity registration (Procrustes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError


@dataclass(frozen=True)
class Similarity:
    """``x -> scale * rotation @ x + translation``.

    Attributes
    ----------
    rotation : (3, 3) array
        With determinant +1.
    translation : (3,) array
        In the unit of the target.
    scale : float
        1 for a rigid motion.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Move points (..., 3)."""
        return np.asarray(self.scale * (points @ self.rotation.T) + self.translation)


def register(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    scale: bool = False,
) -> Similarity:
    """Find the motion that brings `source` nearest to `target` in weighted least squares.

    Kabsch 1976; with scale, Umeyama 1991, eq. 40-43. Reflections are never returned.

    Parameters
    ----------
    source, target : (N, 3) array
        Corresponding points, in one unit.
    weights : (N,) array, optional
        Non-negative; default 1.
    scale : bool
        Whether a change of size is allowed.

    Raises
    ------
    FitError
        If shapes disagree, fewer than three points have weight, or they all lie on a line.

    Examples
    --------
    >>> p = np.eye(3)
    >>> register(p, 2 * p + 1, scale=True).apply(p)
    array([[3., 1., 1.],
           [1., 3., 1.],
           [1., 1., 3.]])
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3:
        raise FitError(f"registration: source {source.shape} and target {target.shape}; expected (N, 3) twice")
    w = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and (w > 0).sum() >= 3):
        raise FitError(f"registration: {int((w > 0).sum())} points with weight, expected at least 3")
    w = w / w.sum()
    mean_s, mean_t = w @ source, w @ target
    s0, t0 = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd((w[:, None] * t0).T @ s0)
    if not d[1] > 1e-12 * max(d[0], np.finfo(float).tiny):
        raise FitError("registration: the points lie on a line or a point; no rotation is determined")
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    size = float((d * sign).sum() / (w @ (s0**2).sum(1))) if scale else 1.0
    return Similarity(rotation, mean_t - size * rotation @ mean_s, size)
