"""Tell whether a mesh has its vertices in the order of another one, by geometry: files often say nothing of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from au3dmm.core.registration import register
from au3dmm.errors import FitError, SchemaError

_MAX_EDGES = 2000  # a sample is enough: another order stretches nearly every edge it touches
_MAX_POINTS = 500
_STRETCH = 4.0  # no expression makes an edge that long or that short, but around lids and lips
_STRETCHED_SHARE = 0.05  # 30 expressions at once on unusual heads reach 0.016
_SIZES = (0.5, 2.0)  # a child's head and a large one differ by less
_MAX_DISTANCE = 0.4  # of the radius: 30 expressions at once on unusual heads reach 0.23, a mirrored order 1.1


@dataclass(frozen=True)
class MeshReference:
    """What other meshes of the same topology are compared with.

    Attributes
    ----------
    n_vertices : int
        Of the whole mesh.
    edges : (E, 2) int array
        Some pairs of neighbouring vertices.
    lengths : (E,) float64 array
        Their distances, m.
    points : (P,) int array
        Some vertices, spread evenly over the order.
    positions : (P, 3) float64 array
        Where they are, m.
    """

    n_vertices: int
    edges: NDArray[np.int64]
    lengths: NDArray[np.float64]
    points: NDArray[np.int64]
    positions: NDArray[np.float64]

    @property
    def radius(self) -> float:
        """Root mean square distance of the points from their centre, m."""
        return float(np.sqrt(((self.positions - self.positions.mean(0)) ** 2).sum(1).mean()))


def mesh_reference(vertices: NDArray[np.floating], faces: NDArray[np.integer] | None = None) -> MeshReference:
    """Choose what to compare with.

    Parameters
    ----------
    vertices : (V, 3) array
        A mesh known to be in order, m.
    faces : (F, 3) int array, optional
        Its triangles; without them each vertex' nearest three stand for its neighbours.

    Raises
    ------
    SchemaError
        If all vertices are in one place.
    """
    v = np.asarray(vertices, np.float64)
    if faces is not None and len(faces):
        pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    else:
        near = cKDTree(v).query(v, k=min(4, len(v)))[1].reshape(len(v), -1)
        pairs = np.stack([np.repeat(np.arange(len(v)), near.shape[1]), near.ravel()], axis=1)
    pairs = np.stack(np.divmod(np.unique(pairs.min(1) * len(v) + pairs.max(1)), len(v)), axis=1)
    lengths = np.linalg.norm(v[pairs[:, 0]] - v[pairs[:, 1]], axis=1)
    # doubled vertices (lips, seams) are neighbours without distance; they say nothing
    kept = np.flatnonzero(lengths > 1e-3 * np.ptp(v, axis=0).max(initial=0.0))
    if not len(kept):
        raise SchemaError("all vertices are in one place; expected a head")
    kept = kept[_spread(len(kept), _MAX_EDGES)]
    points = _spread(len(v), _MAX_POINTS)
    return MeshReference(len(v), pairs[kept], lengths[kept], points, v[points])


def explain_difference(reference: MeshReference, vertices: NDArray[np.floating]) -> str | None:
    """Say in words why a mesh cannot be the reference's in another pose, person or expression; None if it can.

    Two tests. Neighbours must stay neighbours: in another order they lie anywhere on the head. And after the best rigid
    motion the mesh must lie near the reference, which finds an order that is mirrored left to right: it keeps
    neighbours. An order that differs in a twentieth of the vertices or less is not noticed.

    Parameters
    ----------
    reference : MeshReference
        Of a mesh in order.
    vertices : (V, 3) array
        Finite positions, m.

    Examples
    --------
    >>> head = np.random.default_rng(0).normal(size=(200, 3)) * 0.1
    >>> reference = mesh_reference(head)
    >>> explain_difference(reference, head * 1.1 + 3.0) is None
    True
    >>> explain_difference(reference, head[::-1]).split(":")[0]
    'its vertices are in another order'
    """
    if vertices.shape != (reference.n_vertices, 3):
        return f"vertices of shape {vertices.shape}, expected ({reference.n_vertices}, 3); this is another topology"
    a, b = reference.edges.T
    ratio = np.linalg.norm(np.asarray(vertices[a], np.float64) - vertices[b], axis=1) / reference.lengths
    size = float(np.median(ratio))
    if not size > 1e-6:
        return "its vertices are all in one place"
    far = float(((ratio > _STRETCH) | (ratio < 1 / _STRETCH)).mean())
    other_size = not _SIZES[0] < size < _SIZES[1]
    distance, scale = _distance(reference, vertices, other_size)
    if not other_size and distance > _MAX_DISTANCE and far <= _STRETCHED_SHARE:
        away = 1000 * distance * reference.radius
        return f"its vertices are {away:.3g} mm from the others' after rigid registration; in another order, mirrored?"
    if distance > _MAX_DISTANCE or (far > _STRETCHED_SHARE and not other_size):
        return f"its vertices are in another order: {100 * far:.0f} % of neighbours are far apart"
    return f"it is {1 / scale:.3g} times as large as the others; another unit?" if other_size else None


def _distance(reference: MeshReference, vertices: NDArray[np.floating], scale: bool) -> tuple[float, float]:
    """Return how far the points stay from the reference's, in radii, and the scale of the motion."""
    points = np.asarray(vertices[reference.points], np.float64)
    try:
        motion = register(points, reference.positions, scale=scale)
    except FitError:  # the points lie on a line
        return np.inf, 1.0
    off = motion.apply(points) - reference.positions
    return float(np.sqrt((off**2).sum(1).mean())) / reference.radius, motion.scale


def _spread(n: int, at_most: int) -> NDArray[np.int64]:
    return np.linspace(0, n - 1, min(n, at_most)).round().astype(np.int64)
