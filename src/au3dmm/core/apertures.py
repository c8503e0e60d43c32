"""Measure how far eyes and mouth are open, straight from the landmarks: blinks hardly move anything else.

An opening is the gap between two rows of points across it, along the line on which the pose says that it opens. The
pose turns px into metres where the gap is, perspective included, so that a turned head opens its eyes no less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import Pose, project
from au3dmm.core.landmarks import GROUPS, eye_distance

_LIDS = {"left": ([43, 44], [47, 46]), "right": ([37, 38], [41, 40])}
"""The upper and the lower points, of iBUG's 68."""
_LIPS = ([61, 62, 63], [67, 66, 65])
_CORNERS = {"left": (42, 45), "right": (39, 36)}
_UP = np.array([0.0, 1.0, 0.0])
_STEP_M = 0.005
_TINY_M = 1e-6
_HIDDEN = float(np.sin(np.radians(40.0)))
"""The eye on the far side of a head turned farther than 40 degrees is behind the nose: its landmarks are guessed."""


@dataclass(frozen=True)
class Apertures:
    """Openings of T frames; NaN where they cannot be seen.

    Attributes
    ----------
    left, right : (T,) array
        Gap between the lids over the width of that eye: 0.2 to 0.45 for an open eye. 0 is closed, but detectors do not
        go all the way (docs/formats.md); noise can make it slightly negative.
    mouth : (T,) array
        Gap between the inner lips over the distance between the outer eye corners: about 0 for closed lips.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    mouth: NDArray[np.float64]


def measure_apertures(
    landmarks: NDArray[np.float64], neutral: NDArray[np.float64], pose: Pose, focal_px: float | None
) -> Apertures:
    """Measure eyelids and mouth in every frame.

    The gap is ``d . q / |q|^2``, m, with d the image of the way from the lower points to the upper ones, and q the
    image, px per metre, of the line on which they part: for lids that of the neutral face, for lips the head's y axis.

    Parameters
    ----------
    landmarks : (T, 68, 2) array
        Image plane relative to the principal point, px, y up; not smoothed, as a blink is shorter than any window.
    neutral : (68, 3) array
        The subject's neutral landmarks, m.
    pose : Pose
        Of the T frames.
    focal_px : float or None
        Focal length, px; None for no perspective.

    Returns
    -------
    Apertures
        Of the T frames.
    """
    found = {}
    for side, (upper, lower) in _LIDS.items():
        inner, outer = _CORNERS[side]
        width = float(np.linalg.norm(neutral[outer] - neutral[inner]))
        up = neutral[upper].mean(0) - neutral[lower].mean(0)
        length = float(np.linalg.norm(up))
        # lids that lie on each other do not say along which line they part
        direction = up / length if length > 0.05 * width else _UP
        centre = neutral[list(GROUPS[f"{side}_eye"])].mean(0)
        gap = _gap_m(landmarks, upper, lower, centre, direction, pose, focal_px)
        away = pose.rotation[:, 0, 2] * (1 if side == "left" else -1)
        found[side] = np.where(away > _HIDDEN, np.nan, gap / max(width, _TINY_M))
    centre = neutral[list(GROUPS["inner_lips"])].mean(0)
    gap = _gap_m(landmarks, *_LIPS, centre, _UP, pose, focal_px)
    return Apertures(found["left"], found["right"], gap / max(float(eye_distance(neutral)), _TINY_M))


def _gap_m(
    points: NDArray[np.float64],
    upper: list[int],
    lower: list[int],
    centre: NDArray[np.float64],
    direction: NDArray[np.float64],
    pose: Pose,
    focal_px: float | None,
) -> NDArray[np.float64]:
    """Return the distance (T,), m, from the lower points to the upper ones, along `direction` of the head."""
    ends = project(centre + direction * np.array([[-_STEP_M], [_STEP_M]]), pose, focal_px)
    per_m = (ends[:, 1] - ends[:, 0]) / (2 * _STEP_M)
    apart = points[:, upper].mean(1) - points[:, lower].mean(1)
    return np.asarray((apart * per_m).sum(1) / np.maximum((per_m**2).sum(1), 1e-12))
