"""The place on a mesh that is nearest to a point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def nearest_on_mesh(
    points: NDArray[np.float64],
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the triangle (N,) nearest to each point (N, 3), and the barycentric weights (N, 3) of the nearest place.

    No triangle that holds a nearer place than the nearest vertex has its middle farther off than that vertex, plus the
    reach of the largest triangle; of those the closest place is inside, or on one of the edges.

    Parameters
    ----------
    points : (N, 3) array
        Finite, in the unit of `vertices`.
    vertices : (V, 3) array
        The mesh.
    faces : (F, 3) int array
        Its triangles.
    allowed : (F,) bool array, optional
        Triangles to look at, at least one; default: all.

    Examples
    --------
    >>> v = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> nearest_on_mesh(np.array([[0.25, 0.25, 3.0], [2.0, -1.0, 0.0]]), v, np.array([[0, 1, 2]]))[1]
    array([[0.5 , 0.25, 0.25],
           [0.  , 1.  , 0.  ]])
    """
    which = np.arange(len(faces)) if allowed is None else np.flatnonzero(allowed)
    corners = np.asarray(vertices, np.float64)[np.asarray(faces)[which]]
    middles = corners.mean(1)
    reach = float(np.linalg.norm(corners - middles[:, None], axis=2).max())
    nearest_corner, _ = cKDTree(corners.reshape(-1, 3)).query(points)
    near = cKDTree(middles).query_ball_point(points, nearest_corner + reach * (1 + 1e-9))
    index = np.zeros(len(points), np.int32)
    weights = np.zeros((len(points), 3))
    for i, (point, some) in enumerate(zip(points, near, strict=True)):
        candidates = np.sort(np.asarray(some, np.int64))
        bary = closest_weights(point, corners[candidates])
        gap = np.einsum("fc,fcd->fd", bary, corners[candidates]) - point
        best = int((gap**2).sum(1).argmin())
        index[i], weights[i] = which[candidates[best]], bary[best]
    return index, weights


def closest_weights(p: NDArray[np.float64], tri: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return barycentric weights (..., 3) of the place on each triangle (..., 3, 3) that is nearest to p (..., 3)."""
    a, ab, ac = tri[..., 0, :], tri[..., 1, :] - tri[..., 0, :], tri[..., 2, :] - tri[..., 0, :]
    ap = p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = d00 * d11 - d01 * d01
    safe = np.where(area > 0, area, 1)
    v, w = (d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe
    inside = (area > 0) & (v >= 0) & (w >= 0) & (v + w <= 1)
    # along each edge, clamped to its ends
    on_ab = np.clip(d20 / np.where(d00 > 0, d00, 1), 0, 1)
    on_ac = np.clip(d21 / np.where(d11 > 0, d11, 1), 0, 1)
    length = d00 - 2 * d01 + d11
    on_bc = np.clip((d21 - d01 - d20 + d00) / np.where(length > 0, length, 1), 0, 1)
    zero = np.zeros_like(on_ab)
    edges = np.stack(
        [
            np.stack([1 - on_ab, on_ab, zero], -1),
            np.stack([1 - on_ac, zero, on_ac], -1),
            np.stack([zero, 1 - on_bc, on_bc], -1),
        ],
        axis=-2,
    )
    # |ap - v ab - w ac|^2 without the |ap|^2 that all share
    ev, ew = edges[..., 1], edges[..., 2]
    cost = (
        ev**2 * d00[..., None]
        + ew**2 * d11[..., None]
        + 2 * ev * ew * d01[..., None]
        - 2 * ev * d20[..., None]
        - 2 * ew * d21[..., None]
    )
    edge = np.take_along_axis(edges, cost.argmin(-1)[..., None, None], axis=-2)[..., 0, :]
    return np.where(inside[..., None], np.stack([1 - v - w, v, w], -1), edge)
