"""Light a mesh: vertex normals, and a matt surface under a soft light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from au3dmm.core.raster import checked_faces


@dataclass(frozen=True)
class Lighting:
    """A broad key light with an ambient sky, in mesh axes (x right, y up, z towards the camera).

    Attributes
    ----------
    direction : tuple of float
        Towards the key light; any length.
    key, ambient, ground : float
        Brightness of the key light, of the sky from above, and of the sky's reflection from below.
    wrap : float
        How far the key light reaches around the terminator, 0 (a point) to 1 (half the sky).
    """

    direction: tuple[float, float, float] = (-0.4, 0.5, 0.8)
    key: float = 0.75
    ambient: float = 0.35
    ground: float = 0.2
    wrap: float = 0.25


def vertex_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return unit normals at the vertices: area-weighted means of the triangles around them.

    Parameters
    ----------
    vertices : (V, 3) array
        Right-handed axes (y up), any unit.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.

    Returns
    -------
    (V, 3) array
        Pointing outwards; 0 for a vertex without a triangle of any area.

    Examples
    --------
    >>> vertex_normals(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))[0]
    array([0., 0., 1.])
    """
    tri = checked_faces(faces, len(vertices))
    v = np.ascontiguousarray(vertices, np.float64)
    normals = np.zeros((len(v), 3))
    _add_normals(v, tri, normals)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(length > 0, length, 1))


def shade(normals: NDArray[np.floating], albedo: ArrayLike, lighting: Lighting | None = None) -> NDArray[np.float64]:
    """Light a matt surface: ``albedo * (key * diffuse + sky)``.

    ``diffuse = max(0, (n . l + wrap) / (1 + wrap))`` and `sky` goes from `ground` (n down) to `ambient` (n up).

    Parameters
    ----------
    normals : (..., 3) array
        Unit normals, y up, z towards the camera: of vertices, or of pixels (`interpolate`).
    albedo : array broadcastable to (..., C)
        Linear reflectance, 0 to 1.
    lighting : Lighting, optional
        Default: from the upper left, in front.

    Returns
    -------
    (..., C) array
        Linear brightness; may exceed 1.
    """
    light = lighting or Lighting()
    direction = np.asarray(light.direction) / np.linalg.norm(light.direction)
    diffuse = np.maximum(0, (normals @ direction + light.wrap) / (1 + light.wrap))
    sky = light.ground + (light.ambient - light.ground) * (0.5 + 0.5 * normals[..., 1])
    return np.asarray(np.asarray(albedo, np.float64) * (light.key * diffuse + sky)[..., None])


@njit(cache=True, nogil=True)
def _add_normals(v: NDArray[np.float64], faces: NDArray[np.int32], normals: NDArray[np.float64]) -> None:
    for f in range(len(faces)):
        i, j, k = faces[f]
        ax, ay, az = v[j, 0] - v[i, 0], v[j, 1] - v[i, 1], v[j, 2] - v[i, 2]
        bx, by, bz = v[k, 0] - v[i, 0], v[k, 1] - v[i, 1], v[k, 2] - v[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (i, j, k):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
