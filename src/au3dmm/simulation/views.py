"""What a detector would say of a face: a camera, and the ways in which landmarks are wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fitting import REFERENCE_EYE_PX
from au3dmm.simulation.conditions import Condition
from au3dmm.simulation.faces import FaceFamily

DISTANCE_M = 0.6
_PLANE_M = 0.07  # in front of the pivot: where the size of the face is stated
_HAND_M = 0.025
_HAND_PX, _HAND_EACH_PX = 8.0, 3.0
_OUTLIER_PX = 15.0
_MOVED_M = 0.003  # moved this far, a landmark is twice as noisy
_READS, _READS_SD = 0.9, 0.15


def px_per_m(family: FaceFamily) -> float:
    """Return the scale at which the mean face's outer eye corners are 144 px apart."""
    return REFERENCE_EYE_PX / family.eye_m


def focal_px(family: FaceFamily) -> float:
    """Return the camera's focal length, px."""
    return px_per_m(family) * DISTANCE_M


def see(
    points: NDArray[np.float64], family: FaceFamily, translation: NDArray[np.float64], perspective: bool
) -> NDArray[np.float64]:
    """Project points (T, L, 3), already turned about the pivot and moved, to the image plane (T, L, 2), px, y up.

    Without perspective, all points have the depth of the head's translation (T, 3).
    """
    scale = px_per_m(family)
    if perspective:
        return np.asarray(scale * points[..., :2] / (1 - (points[..., 2:] - _PLANE_M) / DISTANCE_M))
    return np.asarray(scale * points[..., :2] * (1 + translation[:, None, 2:] / DISTANCE_M))


def reading(family: FaceFamily, condition: Condition, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how much of its motion each landmark (n_landmarks, 1) is seen to move: 1, or 0.9 +- 0.15."""
    if not condition.expression_noise:
        return np.ones((family.n_landmarks, 1))
    return np.asarray(_READS + _READS_SD * rng.standard_normal((family.n_landmarks, 1)))


def landmark_noise(
    family: FaceFamily,
    condition: Condition,
    moved: NDArray[np.float64],
    rng: np.random.Generator,
    accidents: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw what is added to the landmarks of a clip (T, n_landmarks, 2), px.

    Parameters
    ----------
    moved : (T, n_landmarks) array
        How far the expression moves each landmark, m.
    rng, accidents : Generator
        Of white noise, and of outliers and occlusion: conditions with and without these share the rest.
    """
    frames = len(moved)
    noise = rng.standard_normal((frames, family.n_landmarks, 2))
    ar = condition.noise_ar
    if ar:
        for f in range(1, frames):
            noise[f] = ar * noise[f - 1] + np.sqrt(1 - ar * ar) * noise[f]
    noise *= condition.noise_px * np.where(family.contour, 2.0, 1.0)[:, None]
    if condition.expression_noise:
        noise *= 1 + moved[..., None] / _MOVED_M
    if condition.outliers:
        off = accidents.random((frames, family.n_landmarks)) < condition.outliers
        noise[off] += _OUTLIER_PX * accidents.standard_normal((int(off.sum()), 2))
    if condition.occlusion and accidents.random() < condition.occlusion:
        noise += _behind_hand(family, frames, accidents)
    return noise


def _behind_hand(family: FaceFamily, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the errors of landmarks that something hides for a while: all wander together, and each by itself."""
    points = family.points[: family.n_landmarks]
    hidden = np.linalg.norm(points - points[rng.integers(68)], axis=1) < _HAND_M
    length = int(rng.uniform(0.15, 0.4) * frames)
    start = int(rng.integers(frames - length))
    wander = np.zeros((frames, family.n_landmarks, 2))
    window = np.hanning(11) / np.sqrt((np.hanning(11) ** 2).sum())
    together = np.apply_along_axis(np.convolve, 0, rng.standard_normal((length + 10, 2)), window, "valid")
    alone = np.apply_along_axis(
        np.convolve, 0, rng.standard_normal((length + 10, int(hidden.sum()), 2)), window, "valid"
    )
    wander[start : start + length, hidden] = _HAND_PX * together[:, None] + _HAND_EACH_PX * alone
    return wander
