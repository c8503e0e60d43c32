"""How far points lie from a surface, and the rigid motion that brings them nearest to it (ICP): many points at once.

`nearest.nearest_on_mesh` looks at every triangle that could be nearest, one point after another; here only those around
the vertices nearest to a point are, in arrays: sequences of meshes have thousands of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from au3dmm.core.nearest import closest_weights
from au3dmm.core.registration import Similarity
from au3dmm.errors import FitError, SchemaError

_NEIGHBOURS = 6  # vertices around whose triangles the nearest place is looked for
_ROUGHLY = 4  # the same, for ICP: a place in the triangle beside is on nearly the same plane


@dataclass(frozen=True)
class Nearest:
    """What is nearest to N points on a surface.

    Attributes
    ----------
    places : (N, 3) array
        In the unit of the surface.
    normals : (N, 3) array
        Unit normals of the triangles they lie on; of a triangle without area, from the place to the point.
    """

    places: NDArray[np.float64]
    normals: NDArray[np.float64]

    def distances(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far each point is from its place (N,)."""
        return np.asarray(np.linalg.norm(points - self.places, axis=1))

    def plane_distances(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far each point is from the plane of its triangle (N,), signed: positive outside."""
        return np.asarray(np.einsum("nd,nd->n", points - self.places, self.normals))


class Surface:
    """A triangle mesh whose nearest places are looked for.

    Parameters
    ----------
    vertices : (V, 3) array
        Finite.
    faces : (F, 3) int array
        At least one triangle.

    Raises
    ------
    SchemaError
        If there is no triangle, or one names a vertex that is not there.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
        self.vertices = np.asarray(vertices, np.float64)
        if not len(faces) or not 0 <= int(faces.min()) <= int(faces.max()) < len(self.vertices):
            raise SchemaError(f"surface: {len(faces)} triangles on {len(self.vertices)} vertices; expected a mesh")
        self.faces = np.asarray(faces, np.int64)
        self._around = triangles_around(self.faces, len(self.vertices))
        self._used = np.flatnonzero(self._around[:, 0] >= 0)
        self._tree = cKDTree(self.vertices[self._used])

    def moved(self, vertices: NDArray[np.floating]) -> Surface:
        """Return the same mesh with its vertices elsewhere: the next frame."""
        if np.shape(vertices) != self.vertices.shape:
            raise SchemaError(
                f"surface: vertices {np.shape(vertices)}, expected {self.vertices.shape}; this is another topology"
            )
        other = object.__new__(Surface)
        other.vertices, other.faces = np.asarray(vertices, np.float64), self.faces
        other._around, other._used = self._around, self._used
        other._tree = cKDTree(other.vertices[other._used])
        return other

    def nearest(self, points: NDArray[np.floating], neighbours: int = _NEIGHBOURS) -> Nearest:
        """Return the nearest place to each point (N, 3), among the triangles around the vertices nearest to it.

        With the default of six vertices it is the nearest of all places but where surfaces lie within one another (of
        one point in five hundred on a head, near the mouth's inside).
        """
        p = np.asarray(points, np.float64)
        near = self._tree.query(p, k=min(neighbours, len(self._used)))[1].reshape(len(p), -1)
        candidates = self._around[self._used[near]].reshape(len(p), -1)
        at, where = np.nonzero(candidates >= 0)
        triangle = candidates[at, where]
        corners = self.vertices[self.faces[triangle]]
        weights = closest_weights(p[at], corners)
        places = np.einsum("nc,ncd->nd", weights, corners)
        squared = np.full(candidates.shape, np.inf)
        squared[at, where] = ((places - p[at]) ** 2).sum(1)
        number = np.zeros(candidates.shape, np.int64)
        number[at, where] = np.arange(len(at))
        best = number[np.arange(len(p)), squared.argmin(1)]
        a, b, c = np.moveaxis(corners[best], 1, 0)
        normal = np.cross(b - a, c - a)
        flat = ~(np.linalg.norm(normal, axis=1) > 0)
        normal[flat] = (p - places[best])[flat]
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        return Nearest(places[best], normal / np.where(length > 0, length, 1))


def triangles_around(faces: NDArray[np.integer], n_vertices: int) -> NDArray[np.int64]:
    """Return the triangles around each vertex (V, M), -1 where there are fewer than M.

    Examples
    --------
    >>> triangles_around(np.array([[0, 1, 2], [1, 2, 3]]), 5)
    array([[ 0, -1],
           [ 0,  1],
           [ 0,  1],
           [ 1, -1],
           [-1, -1]])
    """
    corner = faces.ravel()
    order = np.argsort(corner, kind="stable")
    counts = np.bincount(corner, minlength=n_vertices)
    out = np.full((n_vertices, int(counts.max())), -1, np.int64)
    rank = np.arange(len(corner)) - np.repeat(np.cumsum(counts) - counts, counts)
    out[corner[order], rank] = order // 3
    return out


def register_to_surface(
    points: NDArray[np.floating], surface: Surface, *, rounds: int = 12, tolerance_m: float = 1e-6
) -> Similarity:
    """Find the rigid motion that brings points nearest to a surface: iterative closest points.

    Each round moves the points so that they come nearest to the planes of the triangles they are nearest to (Chen and
    Medioni 1992), which takes a third of the rounds of nearest places (Besl and McKay 1992).

    Parameters
    ----------
    points : (N, 3) array
        At least six, near the surface already: where they are as far off as its details are large, it finds a wrong
        place. What the surface leaves undetermined (a plane can slide in itself) stays as it is.
    surface : Surface
        In the unit of `points`.
    rounds : int
        At most.
    tolerance_m : float
        Ends when a round moves no point by more than this.

    Raises
    ------
    FitError
        If the points do not determine a motion.
    """
    p = np.asarray(points, np.float64)
    if p.ndim != 2 or p.shape[1] != 3 or len(p) < 6 or not np.isfinite(p).all():
        raise FitError(f"icp: points {p.shape}; expected at least six finite ones (N, 3)")
    centre = p.mean(0)
    rotation, shift = np.eye(3), np.zeros(3)
    size = float(np.linalg.norm(p - centre, axis=1).max()) or 1.0
    for _ in range(rounds):
        turned = (p - centre) @ rotation.T
        here = turned + centre + shift
        nearest = surface.nearest(here, _ROUGHLY)
        # an angle in units of 1 / size moves points about as far as a shift does
        rows = np.concatenate([np.cross(turned, nearest.normals) / size, nearest.normals], axis=1)
        step = np.linalg.lstsq(rows, -nearest.plane_distances(here), rcond=1e-6)[0]
        rotation = Rotation.from_rotvec(step[:3] / size).as_matrix() @ rotation
        shift = shift + step[3:]
        if float(np.linalg.norm(step[:3]) + np.linalg.norm(step[3:])) <= tolerance_m:
            break
    return Similarity(rotation, centre + shift - rotation @ centre, 1.0)
