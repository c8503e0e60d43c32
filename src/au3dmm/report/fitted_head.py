"""A person's head as it was fitted: neutral, with an expression, and where its points are in an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import Bases, deform
from au3dmm.core.camera import Pose, from_plane, principal_point, project, to_plane
from au3dmm.io.tables import read_table, vectors

_REACH_M = 0.015


@dataclass(frozen=True)
class FittedHead:
    """A neutral head and the components that move it.

    Attributes
    ----------
    bases : Bases
        What it was made with.
    head : (V, 3) array
        Neutral, m.
    landmarks : (68, 3) array
        Neutral, m.
    """

    bases: Bases
    head: NDArray[np.float64]
    landmarks: NDArray[np.float64]

    def shapes(self, alpha: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return heads (..., V, 3) with expressions (..., K)."""
        return deform(self.head, self.bases.components_au, np.asarray(alpha, np.float64))

    def marks(self, alpha: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return landmarks (..., 68, 3) with expressions (..., K)."""
        return deform(self.landmarks, self.bases.landmarks()[2], np.asarray(alpha, np.float64))

    def moved_mm(self, alpha: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far an expression (K,) moves each vertex (V,), mm."""
        return np.asarray(1e3 * np.linalg.norm(self.shapes(alpha) - self.head, axis=-1))


def mean_head(bases: Bases) -> FittedHead:
    """Return the mean head of a basis: nobody's."""
    return FittedHead(bases, np.asarray(bases.template, np.float64), bases.landmarks()[0])


def read_head(identity: Path, bases: Bases) -> FittedHead:
    """Read a person's neutral head; personal offsets of the landmarks are spread over it, for the picture only.

    Raises
    ------
    SchemaError
        If the table is not what it should be.
    """
    table = read_table(identity, "identity")
    offset = vectors(table, "offset_m")[0][0].reshape(68, 3).astype(np.float64)
    landmarks = vectors(table, "neutral_landmarks_m")[0][0].reshape(68, 3).astype(np.float64)
    alpha_id = vectors(table, "alpha_id")[0][0].astype(np.float64)
    head = deform(bases.template, bases.components_id, alpha_id)
    return FittedHead(bases, head + _spread_offsets(head, landmarks - offset, offset), landmarks)


def _spread_offsets(
    head: NDArray[np.float64], places: NDArray[np.floating], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spread the personal offsets of the landmarks over the head, fading within 15 mm."""
    squared = ((head[:, None] - places[None]) ** 2).sum(2)
    weights = np.exp(-squared / (2 * _REACH_M**2))
    return np.asarray(weights @ offset / (weights.sum(1, keepdims=True) + 0.3))


@dataclass(frozen=True)
class Projection:
    """Where points of heads are in the frames of some rows of a table of coefficients (or labels, with a pose).

    Attributes
    ----------
    pose : Pose
        Of n rows.
    centre : (2,) array
        Principal point, px.
    focal_px : float or None
        Focal length; None without perspective.
    affine : (n, 2, 4) array or None
        Of the affine preset.
    """

    pose: Pose
    centre: NDArray[np.float64]
    focal_px: float | None
    affine: NDArray[np.float64] | None

    def px(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (n, V, 3), m, as (n, V, 2) px."""
        if self.affine is not None:
            return np.asarray(points @ self.affine[:, :, :3].swapaxes(1, 2) + self.affine[:, None, :, 3])
        return from_plane(project(points, self.pose, self.focal_px), self.centre)

    def px_and_depth(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (n, V, 3), m, as (n, V, 3): px, and depth towards the camera, px."""
        depth = (points @ self.pose.rotation.swapaxes(1, 2))[..., 2:] * self.pose.scale[:, None, None]
        return np.concatenate([self.px(points), depth], axis=2)


def projection(rows: Any, metadata: Mapping[str, Any]) -> Projection:
    """Return the projection of rows of a table of coefficients, all of which were fitted.

    Parameters
    ----------
    rows : pyarrow.Table
        n rows.
    metadata : mapping
        Of the table of coefficients.
    """
    centre = principal_point(metadata["image"]["width"], metadata["image"]["height"])
    pose = Pose(
        Rotation.from_rotvec(vectors(rows, "rotation_vector")[0]).as_matrix(),
        rows["scale_px_per_m"].to_numpy().astype(np.float64),
        to_plane(vectors(rows, "translation_px")[0], centre),
    )
    camera = metadata["camera"]
    if camera["model"] == "affine":
        return Projection(pose, centre, None, vectors(rows, "camera")[0].reshape(-1, 2, 4).astype(np.float64))
    return Projection(pose, centre, camera["focal_px"], None)
