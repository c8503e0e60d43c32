"""Find where a detector's points lie on a mesh, from pictures of it in which the detector has found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from au3dmm.core.face_paint import distance_to_line
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.nearest import nearest_on_mesh
from au3dmm.core.shading import vertex_normals
from au3dmm.errors import FitError

_FACING = 0.5  # cosine of 60 degrees
_AROUND_M = 0.010
_SEAM_M = 0.002
_SPREAD_M = 0.001
SPREAD_MOST_M = 0.0025
"""Points about which views disagree more than this are not fitted, m."""


@dataclass(frozen=True)
class Placement:
    """Where N points lie on a mesh, and how far one may trust that.

    Attributes
    ----------
    embedding : LandmarkEmbedding
        Of all N.
    spread_m : (N,) array
        RMS distance of the views' answers from the place, m; infinite where a point was seen in too few.
    seen : (N,) array
        Share of the views in which the point lay on the mesh.
    """

    embedding: LandmarkEmbedding
    spread_m: NDArray[np.float64]
    seen: NDArray[np.float64]


def skin_triangles(faces: NDArray[np.integer], n_vertices: int, embedding: LandmarkEmbedding) -> NDArray[np.bool_]:
    """Return which triangles (F,) hang together with the landmarks: not eyeballs, teeth or tongue.

    An eyelid's point that was placed on the ball behind it would not move with the lid.
    """
    a, b, c = (np.asarray(faces)[:, k] for k in range(3))
    ones = np.ones(2 * len(faces))
    graph = coo_array((ones, (np.concatenate([a, b]), np.concatenate([b, c]))), shape=(n_vertices, n_vertices))
    _, part = connected_components(graph, directed=False)
    return np.asarray(np.isin(part[a], part[a[embedding.face_index]]))


def cast_points(
    points_px: NDArray[np.floating],
    triangle: NDArray[np.int32],
    vertices_px: NDArray[np.floating],
    distance: NDArray[np.floating],
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    reach_px: float,
) -> NDArray[np.float64]:
    """Return where the rays through image points meet a mesh, (N, 3), in its unit; NaN where they meet nothing near.

    Parameters
    ----------
    points_px : (N, 2) array
        px, y down.
    triangle : (H, W) int array
        The triangle that each pixel sees, -1 for none (`core.raster.rasterise`).
    vertices_px : (V, 2) array
        The mesh in the image, px.
    distance : (V,) array
        From the camera along its axis; linear along edges in space.
    vertices : (V, 3) array
        The mesh.
    faces : (F, 3) int array
        Its triangles.
    reach_px : float
        A point beside the mesh (in an eye's opening, say) goes to the nearest pixel that sees it, no farther off than
        this.
    """
    height, width = triangle.shape
    off, (rows, columns) = distance_transform_edt(triangle < 0, return_indices=True)
    at = np.rint(np.nan_to_num(points_px, nan=-1e6)).astype(np.int64)
    inside = ((at >= 0) & (at < [width, height])).all(1)
    x, y = np.clip(at[:, 0], 0, width - 1), np.clip(at[:, 1], 0, height - 1)
    hit = inside & (off[y, x] <= reach_px) & (triangle >= 0).any()
    row, column = rows[y, x], columns[y, x]
    corners = np.asarray(faces)[np.maximum(triangle[row, column], 0)]
    target = np.where((off[y, x] == 0)[:, None], points_px, np.stack([column, row], 1))
    a, b, c = (np.asarray(vertices_px, np.float64)[corners[:, k]] for k in range(3))
    whole = _cross(b - a, c - a)
    flat = np.abs(whole) < 1e-12
    safe = np.where(flat, 1.0, whole)
    weights = np.stack([_cross(b - target, c - target), _cross(c - target, a - target), _cross(a - target, b - target)])
    # linear in the image is not linear in space: each corner counts by 1 / distance
    weights = np.clip(weights / safe, 0, 1).T / np.asarray(distance, np.float64)[corners]
    total = weights.sum(1, keepdims=True)
    hit &= ~flat & (total[:, 0] > 0)
    weights = weights / np.where(total > 0, total, 1)
    found = np.einsum("nc,ncd->nd", weights, np.asarray(vertices, np.float64)[corners])
    return np.where(hit[:, None], found, np.nan)


def place_points(
    hits: NDArray[np.float64],
    towards: NDArray[np.float64],
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    skin: NDArray[np.bool_],
    mirror: NDArray[np.integer] | None = None,
    *,
    middle: float = 0.0,
    seen_min: float = 0.5,
) -> Placement:
    """Combine what the views say: the median of their answers, made symmetric, on the nearest point of the mesh.

    A view counts for a point if the surface there faces it: along a contour points slide, and behind it the ray meets
    another part of the face. Which views these are depends on the place, so it is found twice.

    Parameters
    ----------
    hits : (R, N, 3) array
        Where each of R views puts each point, m (`cast_points`); NaN where it does not see it.
    towards : (R, 3) array
        Unit vectors from the head to the camera of each view.
    vertices : (V, 3) array
        The mesh, m.
    faces : (F, 3) int array
        Its triangles.
    skin : (F,) bool array
        Triangles on which points may lie.
    mirror : (N,) int array, optional
        Mirror partner of each point. A point and its partner then get mirrored places and one spread; a mesh that is
        not quite symmetric gets the nearest places that it has.
    middle : float
        x of the plane that halves the head, m.
    seen_min : float
        Points that a smaller share of the views sees have an infinite spread.

    Raises
    ------
    FitError
        If not one point was seen.
    """
    if not np.isfinite(hits).all(2).any():
        raise FitError("placement: no view shows a single point on the mesh; expected a face that looks along z")
    if mirror is not None:
        # each view of the mirrored face is one view more of the face
        hits = np.concatenate([hits, hits[:, mirror] * [-1, 1, 1] + [2 * middle, 0, 0]])
        towards = np.concatenate([towards, towards * [-1, 1, 1]])
    n = hits.shape[1]
    known = np.asarray(np.isfinite(hits).all(2))
    index, weights, spread = np.zeros(n, np.int32), np.tile([1.0, 0.0, 0.0], (n, 1)), np.full(n, np.inf)
    counted = known
    for _ in range(3):
        usable = counted.any(0)
        chosen = np.where(counted[..., None], hits, np.nan)[:, usable]
        places = np.nanmedian(chosen, axis=0)
        spread[:] = np.inf
        spread[usable] = np.sqrt(np.nanmean(((chosen - places) ** 2).sum(2), axis=0))
        index[usable], weights[usable] = nearest_on_mesh(places, vertices, faces, skin)
        on_mesh = landmark_positions(vertices, faces, LandmarkEmbedding(index, weights))
        counted = known & ((broad_normals(on_mesh, vertices, faces, skin) @ towards.T).T > _FACING)
    seen = counted.mean(0)
    spread[seen < seen_min] = np.inf
    return Placement(LandmarkEmbedding(index, weights), spread, seen)


def select_points(
    placement: Placement,
    positions: NDArray[np.float64],
    landmarks: NDArray[np.float64],
    mirror: NDArray[np.integer] | None = None,
    left_out: frozenset[int] = frozenset(),
) -> NDArray[np.int32]:
    """Return which points are worth fitting, sorted: a small spread, and not on the seam of the lips.

    Closed lips are one line in a picture: no view tells what belongs to the upper one from what belongs to the lower
    one, and a point on the wrong lip would see the mouth closed for ever.

    Parameters
    ----------
    placement : Placement
        Of N points.
    positions : (N, 3) array
        Their places, m.
    landmarks : (68, 3) array
        iBUG landmarks of the same head, m.
    mirror : (N,) int array, optional
        Mirror partners: a point is taken if its partner is.
    left_out : frozenset of int
        Points not to take.
    """
    inner = landmarks[60:68]
    on_seam = distance_to_line(positions, np.vstack([inner, inner[:1]])) < _SEAM_M
    good = (placement.spread_m <= SPREAD_MOST_M) & ~on_seam
    good[sorted(left_out)] = False
    if mirror is not None:
        good &= good[mirror]
    return np.flatnonzero(good).astype(np.int32)


def spread_weights(spread_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of points in a fit: ``s0^2 / (s0^2 + spread^2)`` with s0 = 1 mm.

    Examples
    --------
    >>> spread_weights(np.array([0.0, 0.001]))
    array([1. , 0.5])
    """
    return np.asarray(_SPREAD_M**2 / (_SPREAD_M**2 + spread_m**2))


def broad_normals(
    points: NDArray[np.float64], vertices: NDArray[np.floating], faces: NDArray[np.integer], allowed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return where the surface around points (N, 3) looks on the whole, unit vectors: the mean normal within 10 mm.

    The very edge of a lid or a nostril looks elsewhere than the part of the face that it is seen with.
    """
    used = np.unique(np.asarray(faces)[allowed])
    normals = vertex_normals(vertices, faces)[used]
    tree = cKDTree(np.asarray(vertices)[used])
    rows = [
        near or [int(tree.query(p)[1])]
        for near, p in zip(tree.query_ball_point(points, _AROUND_M), points, strict=True)
    ]
    mean = np.array([normals[row].sum(0) for row in rows]).reshape(-1, 3)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12))


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
