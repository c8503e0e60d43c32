"""How far a neutral face can be believed: did the face move, and does the neutral one look like an expression?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import fit_cameras, rotation_of
from au3dmm.core.fitting import EYES, CameraSettings
from au3dmm.core.neutral import NeutralSearch, shown_expression
from au3dmm.errors import FitError

Trust = Literal["good", "unsure", "poor"]
Doubt = Literal["one_frame", "still_picture", "no_movement", "restless", "expression", "profile"]

# The chance that labels lose at most 0.3 mm, and not a third of the motion, to a wrong neutral face, by logistic
# regression over simulated people who rest, begin active, never rest, or always smile, frown or hold the jaw open:
# log odds = _BASE + _MOVEMENT log(movement mm + 0.05) - _EXPRESSION (largest action unit that the face itself shows).
# Faces of real people lie outside the identity model: a resting man's shows 1.3 to 2.1, which a simulated one never
# does, so that the first _OWN_FACE_SD do not count.
_BASE, _MOVEMENT, _EXPRESSION = 1.8, 0.9, 2.8
_OWN_FACE_SD = 1.5
_SMALL_MM = 0.05
_GOOD, _POOR = 0.5, 0.25
# what a doubt is called by: where each of the two terms alone is worth about one unit of log odds
_LITTLE_MM, _SHOWN_SD = 0.6, 2.0
# neutral frames of simulated people are fitted with 0.1 to 0.5 mm of motion; above this, believed in proportion less
_RESTLESS_MM = 0.6
_STILL_MM = 1e-6
_ALIKE_PX = 0.01
_PROFILE_DEG = 50.0


@dataclass(frozen=True)
class NeutralTest:
    """What speaks for and against a neutral face.

    Attributes
    ----------
    confidence : float
        0 to 1: grows with movement, falls with an expression in the neutral face and with motion in its frames; made so
        that it is about the share of simulated people whose neutral face is right.
    trust : "good", "unsure" or "poor"
        confidence at least 0.5, at least 0.25, or less.
    doubts : tuple of str
        Why it is not higher: ``one_frame``; ``still_picture`` (all frames alike); ``no_movement`` (who never moves may
        be resting or not); ``restless`` (the neutral frames themselves are fitted with motion);
        ``expression`` (the neutral face itself looks like an action unit); ``profile`` (no frame within 50 degrees of
        frontal, where detectors guess one half of the face).
    frames : int
        Neutral frames that differ from each other.
    looked_at : int
        Frames among which they were sought.
    movement_mm : float
        0.9 quantile of the displacement of the landmarks in those, mm.
    expression_sd : float
        Largest coefficient of an action unit in the neutral face, when its shape may be explained by action units as
        well as by identity, standard deviations.
    """

    confidence: float
    trust: Trust
    doubts: tuple[Doubt, ...]
    frames: int
    looked_at: int
    movement_mm: float
    expression_sd: float


def judge_neutral(
    search: NeutralSearch,
    landmarks: NDArray[np.float64],
    template: NDArray[np.float64],
    components_id: NDArray[np.float64],
    components_au: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
    *,
    sigma_id_px: float,
    sigma_offset_m: float,
    alternations: int,
    eyes: tuple[int, int] = EYES,
) -> NeutralTest:
    """Say how far the neutral face that `find_neutral` found can be believed.

    Two numbers decide. *Movement*: codes are not negative, so a face that leaves its resting state and comes back tells
    which end was rest; one that never moves does not. *Expression*: the neutral frames are fitted once more with the
    action units among the identity components; who always smiles has a large coefficient there.

    Parameters
    ----------
    search : NeutralSearch
        What was found.
    landmarks, template, components_id, components_au, weights, settings
        As `find_neutral` was given.
    sigma_id_px, sigma_offset_m, alternations, eyes
        As `find_neutral` was given.

    Raises
    ------
    FitError
        If the landmarks determine no face.
    """
    used = landmarks[search.frames]
    movement = float(np.quantile(search.looked_at_mm, 0.9))
    # smoothing leaves rounding errors between equal frames
    distinct = len(np.unique(used.round(2).reshape(len(used), -1), axis=0)) if np.ptp(used, 0).max() > _ALIKE_PX else 1
    try:
        expression = shown_expression(
            used,
            template,
            components_id,
            components_au,
            weights,
            settings,
            sigma_id_px=sigma_id_px,
            sigma_offset_m=sigma_offset_m,
            alternations=alternations,
            eyes=eyes,
        )
    except FitError as err:
        raise FitError(f"neutral face: {err}") from err
    if movement <= _STILL_MM:
        movement = 0.0
    odds = _BASE + _MOVEMENT * np.log(movement + _SMALL_MM) - _EXPRESSION * max(0.0, expression - _OWN_FACE_SD)
    confidence = float(1 / (1 + np.exp(-odds)))
    rest = float(np.median(search.energy_mm))
    confidence *= min(1.0, _RESTLESS_MM / max(rest, _STILL_MM))
    doubts: list[Doubt] = []
    if len(used) == 1:
        doubts.append("one_frame")
    elif distinct == 1:
        doubts.append("still_picture")
    elif movement < _LITTLE_MM:
        doubts.append("no_movement")
    if rest > _RESTLESS_MM:
        doubts.append("restless")
    if expression > _SHOWN_SD:
        doubts.append("expression")
    if _turned_deg(used, search.neutral.shape, weights, settings).min() > _PROFILE_DEG:
        doubts.append("profile")
        confidence = min(confidence, _GOOD - 0.01)  # not simulated: detectors, not the fit, are what fails there
    if distinct == 1:
        confidence = min(confidence, _POOR - 0.01)
    trust: Trust = "good" if confidence >= _GOOD else "unsure" if confidence >= _POOR else "poor"
    return NeutralTest(confidence, trust, tuple(doubts), distinct, len(search.looked_at), movement, expression)


def _turned_deg(
    landmarks: NDArray[np.float64],
    shape: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
) -> NDArray[np.float64]:
    """Return the angle (n,) between the line of sight and where the face looks, degrees."""
    seen = fit_cameras(landmarks, shape, weights, "scaled_orthographic", settings.perspective_passes, settings.focal_px)
    scale = np.sqrt((seen.camera**2).sum((1, 2)) / 2)
    facing = rotation_of(seen.camera, scale)[:, 2, 2]
    return np.asarray(np.degrees(np.arccos(np.clip(facing, -1, 1))))
