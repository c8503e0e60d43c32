"""Triangulate the procedural head: the structured parts, the skin between them, and the mirror image of it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from au3dmm.synthetic import head_patches as patches
from au3dmm.synthetic.head_patches import Index, Patch
from au3dmm.synthetic.head_shape import CROWN, Array, make_skin
from au3dmm.synthetic.head_skin import SkinVertices, inside, spread_vertices

N_VERTICES = 5023
SKIN_PARTS = ("skin", "brow", "nostril", "scalp", "shirt")


@dataclass(frozen=True)
class HeadMesh:
    """The neutral head, mm, and which vertices are what.

    Attributes
    ----------
    points : (5023, 3) array
        mm. The subject's left half (x >= 0) comes first.
    faces : (F, 3) int array
        Counter-clockwise seen from outside; triangle ``F / 2 + i`` is the mirror image of triangle ``i``, its corners
        in reverse order.
    mirror : (5023,) int array
        Index of each vertex's mirror partner.
    part : (5023,) array of str
        One of `SKIN_PARTS`, ``eye mouth eyeball ear teeth_upper teeth_lower``.
    ring, column : (5023,) int arrays
        Place in the part's grid (-1 where it has none), the same on both sides.
    """

    points: Array
    faces: Index
    mirror: Index
    part: NDArray[np.str_]
    ring: Index
    column: Index


def make_head_mesh(seed: int = 0) -> HeadMesh:
    """Build the neutral head with exactly `N_VERTICES` vertices.

    Parameters
    ----------
    seed : int
        Seed of the samples by which the skin's vertices are spread.
    """
    skin = make_skin()
    parts = {
        "eye": patches.make_eye_patch(skin),
        "mouth": patches.make_mouth_patch(skin),
        "eyeball": patches.make_eyeball(),
        "ear": patches.make_ear(),
        "teeth_upper": patches.make_teeth(upper=True),
        "teeth_lower": patches.make_teeth(upper=False),
    }
    part_points = np.concatenate([part.points for part in parts.values()])
    n_middle = int((part_points[:, 0] == 0).sum()) + 1
    vertices = spread_vertices(skin, parts["eye"], parts["mouth"], N_VERTICES, len(part_points) + 1, n_middle, seed)
    own = skin.points(*vertices.q.T)
    own[np.isin(vertices.q[:, 0], [0.0, np.pi]), 0] = 0.0
    own[vertices.label == "nostril"] += [0.0, 0.5, -2.2]
    offsets = np.concatenate([[0], np.cumsum([len(part.points) for part in parts.values()])])
    points = np.concatenate([part_points, own[vertices.n_rim :], [CROWN]])
    faces = np.concatenate(
        [
            *[part.faces + offset for part, offset in zip(parts.values(), offsets, strict=False)],
            _skin_faces(vertices, parts, offsets),
        ]
    )
    n_own = len(points) - len(part_points)
    grid = [_grid_places(part) for part in parts.values()] + [np.full((2, n_own), -1)]
    names = [np.full(len(part.points), name) for name, part in parts.items()]
    names.append(np.concatenate([vertices.label[vertices.n_rim :], ["scalp"]]))
    return _mirrored(points, faces, np.concatenate(names), np.concatenate(grid, axis=1))


def _skin_faces(vertices: SkinVertices, parts: dict[str, Patch], offsets: Index) -> Index:
    """Return the triangles of the skin between the patches, in the numbering of the half head."""
    q, eye, mouth = vertices.q, parts["eye"], parts["mouth"]
    flat = q * [1, -1]  # seen from outside, azimuth runs to the right and t downwards
    # four points on one circle can be joined in two ways: moved by 1e-7, they are joined in one on every machine
    triangles = Delaunay(flat + np.random.default_rng(0).uniform(-1e-7, 1e-7, flat.shape)).simplices
    corner = flat[triangles]
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    turn = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    triangles = np.where((turn < 0)[:, None], triangles[:, ::-1], triangles)
    centre = q[triangles].mean(1)
    hole = inside(centre, vertices.eye_rim) | inside(centre, vertices.mouth_rim)
    triangles = _in_order(triangles[~hole & (np.abs(turn) > 1e-12)])
    # the rims' vertices belong to the patches; all others are numbered after the parts
    n_own = len(q) - vertices.n_rim
    number = np.concatenate([eye.grid[-1], offsets[1] + mouth.grid[-1], offsets[-1] + np.arange(n_own)])
    first_ring = np.flatnonzero(q[:, 1] == 0)
    first_ring = number[first_ring[np.argsort(q[first_ring, 0])]]
    fan = np.stack([np.full(len(first_ring) - 1, offsets[-1] + n_own), first_ring[:-1], first_ring[1:]], -1)
    return np.concatenate([number[triangles], fan])


def _in_order(triangles: Index) -> Index:
    """Start each triangle at its smallest vertex and sort them; the order Qhull gives hangs on last digits."""
    first = triangles.argmin(1)[:, None]
    turned = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    return np.asarray(turned[np.lexsort(turned.T[::-1])])


def _grid_places(part: Patch) -> Index:
    place = np.full((2, len(part.points)), -1)
    place[0, part.grid] = np.arange(len(part.grid))[:, None]
    place[1, part.grid] = np.arange(part.grid.shape[1])
    return place


def _mirrored(points: Array, faces: Index, part: NDArray[np.str_], grid: Index) -> HeadMesh:
    """Join the left half with its mirror image; vertices on the midline are shared."""
    aside = points[:, 0] != 0
    partner = np.arange(len(points))
    partner[aside] = len(points) + np.arange(aside.sum())

    def both(values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values, values[aside]])

    return HeadMesh(
        points=np.concatenate([points, points[aside] * [-1, 1, 1]]),
        faces=np.concatenate([faces, partner[faces][:, ::-1]]),
        mirror=np.concatenate([partner, np.flatnonzero(aside)]),
        part=both(part),
        ring=both(grid[0]),
        column=both(grid[1]),
    )
