"""How open a surface lies: of the directions a vertex faces, the share in which nothing is in its way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.raster import rasterise
from au3dmm.core.shading import vertex_normals

_DIRECTIONS = 40
_PIXELS = 176  # across the mesh: 2 mm of a head
_FAR_BACK = -0.5  # directions with a z below it are left out: pictures are taken from the front


def surface_openness(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the share of its sky that each vertex sees, weighted by the cosine to its normal.

    Nostrils are pockets whose floors face the camera, so that light without shadows makes them the brightest spots of
    a face. This is ambient occlusion with parallel shadow maps from a fixed set of directions (Landis 2002,
    "Production-ready global illumination", SIGGRAPH course notes 16).

    Parameters
    ----------
    vertices : (V, 3) array
        Any unit, z out of the face.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.

    Returns
    -------
    (V,) array
        0 (enclosed) to 1 (free); 1 for vertices that face none of the directions.

    Examples
    --------
    >>> flat = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> surface_openness(flat, np.array([[0, 1, 2]]))
    array([1., 1., 1.])
    """
    normals = vertex_normals(vertices, faces)
    middle = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=1).max()) or 1.0
    px_per_unit = (_PIXELS - 3) / (2 * radius)
    # shadow maps have coarse pixels: what hides a vertex must lie a good pixel nearer
    slack = 1.5 / px_per_unit
    seen, sky = np.zeros(len(vertices)), np.zeros(len(vertices))
    for direction in _directions():
        facing = normals @ direction
        side = np.cross((0.0, 1.0, 0.0), direction)
        side /= np.linalg.norm(side)
        place = (vertices + normals * slack - middle) @ np.stack([side, -np.cross(direction, side), direction], 1)
        corners = (vertices - middle) @ np.stack([side, -np.cross(direction, side), direction], 1)
        flat = corners[:, :2] * px_per_unit + (_PIXELS - 1) / 2
        nearest = rasterise(flat, -corners[:, 2], faces, _PIXELS, _PIXELS).depth
        x, y = np.clip(np.rint(place[:, :2] * px_per_unit + (_PIXELS - 1) / 2), 0, _PIXELS - 1).astype(np.int64).T
        weight = np.maximum(facing, 0)
        sky += weight
        seen += weight * (-place[:, 2] < nearest[y, x] + slack)
    return np.asarray(np.where(sky > 0, seen / np.where(sky > 0, sky, 1), 1.0))


def _directions() -> NDArray[np.float64]:
    """Return unit vectors (N, 3) spread evenly (a Fibonacci spiral around z), without those from far behind."""
    index = np.arange(_DIRECTIONS) + 0.5
    z = 1 - (1 - _FAR_BACK) * index / _DIRECTIONS
    around = index * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - z * z)
    return np.stack([across * np.cos(around), across * np.sin(around), z], 1)
