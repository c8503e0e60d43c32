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


def register_frames(
    frames: NDArray[np.floating], target: NDArray[np.floating], iterations: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the rigid motion of each frame onto a target by the vertices that did not move of themselves.

    Least squares, reweighted by ``(1 + (r / c)^2)^-2`` with c twice the frame's median residual (Geman & McClure), so
    that an open jaw neither tilts nor shifts the head.

    Parameters
    ----------
    frames : (n, V, 3) array
        m
    target : (V, 3) array
        m
    iterations : int
        Solutions, the first one unweighted.

    Returns
    -------
    rotation : (n, 3, 3) array
    translation : (n, 3) array
        ``x -> rotation @ x + translation``, m.

    Raises
    ------
    FitError
        If shapes disagree, a value is not finite, or the target's points lie on a line.
    """
    if frames.ndim != 3 or frames.shape[1:] != target.shape or target.shape[1:] != (3,) or len(target) < 3:
        raise FitError(f"registration: frames {frames.shape} and target {target.shape}; expected (n, V, 3) and (V, 3)")
    if not (np.isfinite(frames).all() and np.isfinite(target).all()):
        raise FitError("registration: points that are not finite")
    spread = np.linalg.svd(target - target.mean(0), compute_uv=False)
    if not spread[1] > 1e-6 * spread[0]:
        raise FitError("registration: the target's points lie on a line or a point; no rotation is determined")
    x, y = np.asarray(frames, np.float64), np.asarray(target, np.float64)
    weight = np.ones(x.shape[:2])
    rotation = np.broadcast_to(np.eye(3), (len(x), 3, 3))
    translation = np.zeros((len(x), 3))
    for i in range(iterations):
        w = weight / weight.sum(1, keepdims=True)
        mean_x, mean_y = np.einsum("nv,nvc->nc", w, x), w @ y
        cross = np.matmul((w[..., None] * (y - mean_y[:, None])).transpose(0, 2, 1), x - mean_x[:, None])
        u, _, vt = np.linalg.svd(cross)
        u[:, :, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]
        rotation = u @ vt
        translation = mean_y - np.einsum("nij,nj->ni", rotation, mean_x)
        if i + 1 < iterations:
            moved = np.matmul(x, rotation.transpose(0, 2, 1)) + translation[:, None]
            residual2 = ((moved - y) ** 2).sum(2)
            scale2 = 4 * np.median(residual2, axis=1, keepdims=True)
            weight = (1 + residual2 / np.maximum(scale2, 1e-12)) ** -2
    return rotation, translation
