"""Follow faces from frame to frame with MediaPipe's mesh: where a face was is where its mesh is looked for next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.base import bounding_box, overlap
from au3dmm.detectors.mediapipe_boxes import BlazeFaces
from au3dmm.detectors.mediapipe_models import Region, between, region_of_box, region_of_mesh

MeshOf = Callable[[NDArray[np.uint8], Region], tuple[NDArray[np.float64], float]]
"""Mesh (468, 3) of the face in a region of an image, and its presence, 0..1."""

LOST = 0.5  # a mesh whose presence is below is no face to follow (MediaPipe's own threshold)
SAME_FACE = 0.5  # two meshes that share more than this are one face found twice
FOLLOW = 0.7
"""How far the region moves towards where the mesh is, from one frame to the next: the rest damps its jitter, which
otherwise comes back in the landmarks (docs/benchmarks.md)."""
SETTLE = 3
"""Times that the region of a face newly found is cut again: after these, it lies where following would have put it."""


@dataclass(frozen=True)
class Track:
    """A face in one frame.

    Attributes
    ----------
    mesh_px : (468, 3) float64 array
        x, y, z px.
    presence : float
        0..1, of the mesh.
    score : float
        0..1, BlazeFace's, when it saw this face last.
    region : Region
        Where to look for it in the next frame.
    """

    mesh_px: NDArray[np.float64]
    presence: float
    score: float
    region: Region

    @cached_property
    def box_px(self) -> NDArray[np.float32]:
        """x0, y0, x1, y1 around the mesh."""
        return bounding_box(self.mesh_px)


def follow(mesh_of: MeshOf, image: NDArray[np.uint8], track: Track, recrops: int) -> Track:
    """Return a face of the frame before as it is in `image`; its region is cut again `recrops` times."""
    mesh, presence = mesh_of(image, track.region)
    for _ in range(recrops):
        mesh, presence = mesh_of(image, region_of_mesh(mesh))
    return Track(mesh, presence, track.score, between(track.region, region_of_mesh(mesh), FOLLOW))


def begin(
    mesh_of: MeshOf,
    image: NDArray[np.uint8],
    box_px: NDArray[np.float64],
    keypoints_px: NDArray[np.float64],
    score: float,
    recrops: int,
) -> Track:
    """Return the face in a box (4,) with keypoints (6, 2) of BlazeFace; its region is cut again `recrops` times."""
    mesh, presence = mesh_of(image, region_of_box(box_px, keypoints_px))
    for _ in range(recrops):
        mesh, presence = mesh_of(image, region_of_mesh(mesh))
    return Track(mesh, presence, score, region_of_mesh(mesh))


def distinct(tracks: Iterable[Track]) -> list[Track]:
    """Return the faces without those that lie on an earlier one: two regions can end on one face.

    Earlier ones are kept: of two who cross, the one behind is lost, and found again when it comes out.
    """
    kept: list[Track] = []
    boxes: list[NDArray[np.float32]] = []
    for track in tracks:
        box = track.box_px
        if not any(overlap(box, other) > SAME_FACE for other in boxes):
            kept.append(track)
            boxes.append(box)
    return kept


def match(found: BlazeFaces, tracks: list[Track]) -> tuple[list[Track], list[int]]:
    """Give faces that are followed the scores of their boxes; return them, and the boxes that are nobody's, best first.

    A box is a face's if its middle lies within the mesh, and no other face's middle is nearer to it.
    """
    updated, free = list(tracks), []
    for i, box in enumerate(found.boxes_px):
        middle = (box[:2] + box[2:]) / 2
        mine, nearest = None, np.inf
        for j, track in enumerate(tracks):
            around = track.box_px
            away = float(np.linalg.norm(middle - (around[:2] + around[2:]) / 2))
            if (middle >= around[:2]).all() and (middle <= around[2:]).all() and away < nearest:
                mine, nearest = j, away
        if mine is None:
            free.append(i)
        else:
            old = updated[mine]
            updated[mine] = Track(old.mesh_px, old.presence, float(found.scores[i]), old.region)
    return updated, free
