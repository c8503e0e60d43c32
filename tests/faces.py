"""Small planted faces for tests of the fit: asymmetric landmarks, random bases, known cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import LEFT_OUTER_EYE, RIGHT_OUTER_EYE


@dataclass(frozen=True)
class Face:
    template: NDArray[np.float64]
    components_id: NDArray[np.float64]
    components_au: NDArray[np.float64]


def make_face(seed: int = 0, k_id: int = 8, k_au: int = 12) -> Face:
    """A head-sized, lopsided cloud of 68 landmarks (m) with smooth-ish random components of 1-2 mm."""
    rng = np.random.default_rng(seed)
    template = rng.normal(size=(68, 3)) * [0.035, 0.045, 0.02] + [0.004, -0.01, 0.05]
    template[RIGHT_OUTER_EYE] = [-0.043, 0.03, 0.06]
    template[LEFT_OUTER_EYE] = [0.047, 0.028, 0.058]
    return Face(
        template,
        rng.normal(size=(k_id, 68, 3)) * 2e-3,
        rng.normal(size=(k_au, 68, 3)) * 1.5e-3,
    )


def random_rotations(rng: np.random.Generator, n: int, degrees: float = 15) -> NDArray[np.float64]:
    return Rotation.from_rotvec(np.radians(rng.uniform(-degrees, degrees, (n, 3)))).as_matrix()


def see_orthographic(
    shape: NDArray[np.float64], rotation: NDArray[np.float64], scale: float, shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scaled orthographic image of shapes (T, L, 3), image plane px, y up."""
    return scale * (shape @ rotation.swapaxes(1, 2))[..., :2] + shift[:, None]


def see_pinhole(
    shape: NDArray[np.float64], rotation: NDArray[np.float64], place_m: NDArray[np.float64], focal_px: float
) -> NDArray[np.float64]:
    """Pinhole image of shapes (T, L, 3) whose origin is at `place_m` (T, 3): x right, y up, z distance."""
    seen = shape @ rotation.swapaxes(1, 2)
    distance = place_m[:, None, 2] - seen[..., 2]
    return focal_px * (seen[..., :2] + place_m[:, None, :2]) / distance[..., None]
