"""Place the 68 iBUG landmarks on the procedural head."""

from __future__ import annotations

import numpy as np

from au3dmm.core.landmarks import MIRROR, N_LANDMARKS, LandmarkEmbedding
from au3dmm.synthetic.head_mesh import SKIN_PARTS, HeadMesh
from au3dmm.synthetic.head_patches import BORDER_RING, CORNER, LINE_RING, MARGIN_RING, Index
from au3dmm.synthetic.head_shape import Array

# The subject's left half and the midline; the right half follows by the mesh's mirror symmetry. Millimetres.
JAW_LEFT: dict[int, tuple[float, float, float]] = {
    8: (0, -114, 80),
    9: (19, -112, 76),
    10: (35, -105, 62),
    11: (47, -95, 50),
    12: (56, -80, 38),
    13: (63, -61, 28),
    14: (67, -41, 20),
    15: (70, -21, 14),
    16: (71, -3, 11),
}
# fmt: off
FRONT_LEFT: dict[int, tuple[float, float]] = {
    22: (13.0, 23.6), 23: (25.5, 26.8), 24: (38.5, 27.8), 25: (48, 24.9), 26: (56, 18.4),
    27: (0, 3), 28: (0, -10), 29: (0, -21), 30: (0, -32),
    33: (0, -47.0), 34: (6.5, -46.6), 35: (12.6, -45.6),
}
EYE_LEFT: dict[int, int] = {42: 20, 43: 12, 44: 7, 45: 0, 46: 33, 47: 28}
"""Column of the lid margin of each landmark of the left eye."""
LIPS_LEFT: dict[int, tuple[int, int]] = {
    51: (BORDER_RING, 0), 52: (BORDER_RING, 2), 53: (BORDER_RING, 6), 54: (BORDER_RING, CORNER),
    55: (BORDER_RING, 20), 56: (BORDER_RING, 24), 57: (BORDER_RING, 26),
    62: (LINE_RING, 0), 63: (LINE_RING, 3), 64: (LINE_RING, CORNER), 65: (LINE_RING, 23), 66: (LINE_RING, 26),
}
# fmt: on


def _closest(point: Array, corners: Array) -> tuple[int, Array]:
    """Return the triangle of corners (F, 3, 3) nearest to a point, and the barycentric place of its foot."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, point - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    det = uu * vv - uv**2
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    bary = np.clip(np.stack([1 - s - t, s, t], -1), 0, 1)
    bary /= bary.sum(1, keepdims=True)
    foot = np.einsum("fc,fcd->fd", bary, corners)
    nearest = int(np.argmin(((foot - point) ** 2).sum(1)))
    return nearest, bary[nearest]


def _middle(point: Array, mesh: HeadMesh, faces: Index, numbers: Index) -> tuple[int, Array]:
    """Return the place nearest to a point on the triangle edges that run along the midline."""
    on_line = mesh.points[faces][:, :, 0] == 0
    two = on_line.sum(1) == 2
    corners, weight = mesh.points[faces[two]], on_line[two].astype(float)
    first, last = np.argmax(weight, 1), 2 - np.argmax(weight[:, ::-1], 1)
    every = np.arange(len(corners))
    start, edge = corners[every, first], corners[every, last] - corners[every, first]
    share = np.clip(((point - start) * edge).sum(1) / (edge * edge).sum(1), 0, 1)
    i = int(np.argmin(((start + share[:, None] * edge - point) ** 2).sum(1)))
    bary = np.zeros(3)
    bary[first[i]], bary[last[i]] = 1 - share[i], share[i]
    return int(numbers[two][i]), bary


def place_landmarks(mesh: HeadMesh) -> LandmarkEmbedding:
    """Embed the 68 landmarks, exactly mirror-symmetric.

    Lid and lip landmarks sit on vertices of the lid margins and lip edges; jaw, brows and nose on the nearest skin.
    """
    n_half = len(mesh.faces) // 2  # the second half of the triangles mirrors the first, with corners reversed
    face_index, barycentric = np.zeros(N_LANDMARKS, np.int32), np.zeros((N_LANDMARKS, 3))
    left = mesh.faces[:n_half]
    numbers = np.arange(n_half)
    outer = np.isin(mesh.part, [*SKIN_PARTS, "eye", "mouth"]) & ~((mesh.part == "mouth") & (mesh.ring < LINE_RING))
    skin = outer[left].all(1)
    corners = mesh.points[left[skin]]

    def put(landmark: int, face: int, bary: Array) -> None:
        face_index[landmark], barycentric[landmark] = face, bary
        partner = int(MIRROR[landmark])
        if partner != landmark:
            face_index[partner], barycentric[partner] = face + n_half, bary[::-1]

    def put_vertex(landmark: int, part: str, ring: int, column: int) -> None:
        vertex = int(np.flatnonzero((mesh.part == part) & (mesh.ring == ring) & (mesh.column == column))[0])
        face = int(np.flatnonzero((left == vertex).any(1))[0])
        put(landmark, face, (left[face] == vertex).astype(float))

    for landmark, column in EYE_LEFT.items():
        put_vertex(landmark, "eye", MARGIN_RING, column)
    for landmark, (ring, column) in LIPS_LEFT.items():
        put_vertex(landmark, "mouth", ring, column)
    targets = {landmark: np.array(p, float) for landmark, p in JAW_LEFT.items()}
    in_front = corners.mean(1)[:, 2] > 15
    for landmark, xy in FRONT_LEFT.items():
        # depth of the skin there: of the triangles whose frontal shadow is nearest, the foremost
        flat = corners[in_front] * [1, 1, 1e-6]
        near, bary = _closest(np.array([*xy, 0.0]), flat)
        targets[landmark] = bary @ corners[in_front][near]
    for landmark, target in targets.items():
        if int(MIRROR[landmark]) == landmark:
            put(landmark, *_middle(target, mesh, left[skin], numbers[skin]))
        else:
            near, bary = _closest(target, corners)
            put(landmark, int(numbers[skin][near]), bary)
    return LandmarkEmbedding(face_index, np.round(barycentric, 9))
