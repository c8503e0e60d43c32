"""The 68 iBUG landmarks: their groups, mirror partners, and places on a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError

N_LANDMARKS = 68

# `left` and `right` are the subject's own; the jaw runs from the subject's right ear to the left one
GROUPS: dict[str, tuple[int, ...]] = {
    "jaw": tuple(range(17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose": tuple(range(27, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "outer_lips": tuple(range(48, 60)),
    "inner_lips": tuple(range(60, 68)),
}
JAW = np.arange(17)
EYELIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
RIGHT_OUTER_EYE, LEFT_OUTER_EYE = 36, 45

# fmt: off
MIRROR = np.array([
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
# fmt: on
"""(68,) index of each landmark's mirror partner: flip x, then reorder with this."""


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Where landmarks lie on a mesh: a triangle and barycentric coordinates each.

    Attributes
    ----------
    face_index : (N,) int32 array
        Triangle of each landmark.
    barycentric : (N, 3) float64 array
        Weights of its three corners, summing to 1.
    """

    face_index: NDArray[np.int32]
    barycentric: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.face_index)
        if self.face_index.ndim != 1 or self.barycentric.shape != (n, 3):
            raise SchemaError(
                f"landmark embedding: face_index {self.face_index.shape} and barycentric"
                f" {self.barycentric.shape}; expected (N,) and (N, 3)"
            )
        off = np.abs(self.barycentric.sum(1) - 1).max(initial=0)
        if not off < 1e-3:
            raise SchemaError(f"landmark embedding: barycentric weights miss a sum of 1 by {off:.3g}")


@dataclass(frozen=True)
class DenseEmbedding:
    """Places of some of a dense detector's points.

    Attributes
    ----------
    scheme : str
        ``mediapipe``.
    landmark_index : (N,) int32 array
        Which of the detector's points each is.
    embedding : LandmarkEmbedding
        Where they are.
    spread_m : (N,) float64 array, optional
        How far the views from which a place was found disagree, m; None if nobody measured.
    info : mapping
        How the places were found.
    """

    scheme: str
    landmark_index: NDArray[np.int32]
    embedding: LandmarkEmbedding
    spread_m: NDArray[np.float64] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.embedding.face_index)
        if self.landmark_index.shape != (n,):
            raise SchemaError(f"{len(self.landmark_index)} names for {n} dense landmarks")
        if self.spread_m is not None and (
            self.spread_m.shape != (n,) or not np.isfinite(self.spread_m).all() or (self.spread_m < 0).any()
        ):
            raise SchemaError(f"dense landmarks: spreads {self.spread_m.shape} for {n} of them, expected finite, >= 0")


def landmark_positions(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], embedding: LandmarkEmbedding
) -> NDArray[np.float64]:
    """Read landmarks off a mesh, or off displacements of its vertices: ``sum_c b_c V[faces[f, c]]``.

    Parameters
    ----------
    vertices : (..., V, 3) array
        Positions (m), or a basis' components (K, V, 3).
    faces : (F, 3) int array
        Triangles.
    embedding : LandmarkEmbedding
        N places on the mesh.

    Returns
    -------
    (..., N, 3) float64 array
        In the unit of `vertices`.

    Raises
    ------
    SchemaError
        If the embedding names a triangle, or a triangle a vertex, that does not exist.

    Examples
    --------
    >>> v = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> e = LandmarkEmbedding(np.array([0], np.int32), np.array([[0.5, 0.25, 0.25]]))
    >>> landmark_positions(v, np.array([[0, 1, 2]]), e)
    array([[0.25, 0.25, 0.  ]])
    """
    if len(embedding.face_index) and not 0 <= embedding.face_index.min() <= embedding.face_index.max() < len(faces):
        raise SchemaError(
            f"landmark embedding names triangle {embedding.face_index.max()}, but the mesh has {len(faces)}"
        )
    corners = faces[embedding.face_index]
    if corners.size and not 0 <= corners.min() <= corners.max() < vertices.shape[-2]:
        raise SchemaError(f"a triangle names vertex {corners.max()}, but the mesh has {vertices.shape[-2]}")
    picked = np.asarray(vertices, np.float64)[..., corners, :]
    return np.asarray(np.einsum("...ncd,nc->...nd", picked, embedding.barycentric))


def mirror_landmarks(landmarks: NDArray[np.floating], width: float) -> NDArray[np.floating]:
    """Return the landmarks of the mirrored image, `width` px wide, in iBUG order again.

    Parameters
    ----------
    landmarks : (..., 68, 2 or 3) array
        px; the first coordinate is x.
    width : float
        Image width, px. Pixel centres are integers, so x becomes ``width - 1 - x``.
    """
    flipped = np.array(landmarks)[..., MIRROR, :]
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped


def eye_distance(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the distance between the outer eye corners, in the unit of `landmarks` (..., 68, D)."""
    d = landmarks[..., LEFT_OUTER_EYE, :] - landmarks[..., RIGHT_OUTER_EYE, :]
    return np.asarray(np.linalg.norm(d, axis=-1))
