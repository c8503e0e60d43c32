"""Which frames show the neutral face: the ones in which a fit needs the least deformation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fitting import CameraSettings, Neutral, fit_expression, fit_neutral
from au3dmm.errors import FitError

_START_FRAMES = 3
_EVERY = 3


@dataclass(frozen=True)
class NeutralSearch:
    """A neutral face and the frames it was found in.

    Attributes
    ----------
    neutral : Neutral
        The face.
    frames : (n,) int array
        Rows of the landmarks that were used.
    energy_mm : (n,) array
        RMS displacement of the landmarks in those frames, mm, by the fit that chose them.
    start_energy_mm : float
        The same in the first frames of the recordings (the largest over recordings).
    """

    neutral: Neutral
    frames: NDArray[np.int64]
    energy_mm: NDArray[np.float64]
    start_energy_mm: float

    @property
    def starts_active(self) -> bool:
        """Whether a recording begins with a face that is not neutral (then its first frame is a bad neutral)."""
        return bool(self.start_energy_mm > 1.0 + np.quantile(self.energy_mm, 0.9))


def spread_evenly(index: NDArray[np.int64], at_most: int) -> NDArray[np.int64]:
    """Thin sorted indices to `at_most`, evenly.

    Examples
    --------
    >>> spread_evenly(np.arange(10), 4)
    array([0, 3, 6, 9])
    """
    if len(index) <= at_most:
        return index
    return np.asarray(index[np.round(np.linspace(0, len(index) - 1, at_most)).astype(int)])


def find_neutral(
    landmarks: NDArray[np.float64],
    starts: NDArray[np.int64],
    template: NDArray[np.float64],
    components_id: NDArray[np.float64],
    components_au: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
    *,
    sigma_id_px: float,
    sigma_offset_m: float,
    alternations: int,
    sigma_px: float,
    l1: float,
    share: float,
    frames_max: int,
    passes: int,
) -> NeutralSearch:
    """Find a subject's neutral face in all of the frames given (docs/method.md, step 4).

    Begins with the first frames of each recording, then `passes` times: fits action units to every third frame,
    takes the `share` with the smallest displacement, and estimates the neutral face from those.

    Parameters
    ----------
    landmarks : (T, 68, 2) array
        Frames with landmarks, recordings one after another; image plane, px, y up.
    starts : (R,) int array
        Row at which each recording starts; strictly increasing, beginning with 0.
    template, components_id, components_au : arrays
        At the landmarks: (68, 3), (K_id, 68, 3), (K_au, 68, 3), m.
    weights, settings, sigma_id_px, sigma_offset_m, alternations
        As in `fit_neutral`.
    sigma_px, l1
        As in `fit_expression`.
    share : float
        Share of the frames looked at that is taken as neutral.
    frames_max : int
        At most this many are used.
    passes : int
        How often frames are chosen.

    Raises
    ------
    FitError
        If there is no frame, or the landmarks determine no face.
    """

    def fit_to(rows: NDArray[np.int64]) -> Neutral:
        return fit_neutral(
            landmarks[rows],
            template,
            components_id,
            weights,
            settings,
            sigma_id_px=sigma_id_px,
            sigma_offset_m=sigma_offset_m,
            alternations=alternations,
        )

    def displacement_mm(rows: NDArray[np.int64], neutral: Neutral) -> NDArray[np.float64]:
        fit = fit_expression(
            landmarks[rows],
            neutral.shape,
            components_au,
            weights,
            settings,
            sigma_px=sigma_px,
            joint_pose=True,
            nonnegative=True,
            l1=l1,
        )
        moved = np.tensordot(fit.alpha, components_au, axes=1)
        return np.asarray(1e3 * np.sqrt((moved**2).sum(2).mean(1)))

    if not len(landmarks):
        raise FitError("identity: no frame with landmarks; expected at least one")
    stops = np.append(starts[1:], len(landmarks))
    firsts = [np.arange(a, min(a + _START_FRAMES, b)) for a, b in zip(starts, stops, strict=True)]
    chosen = np.concatenate(firsts)
    neutral = fit_to(chosen)
    # a short recording is looked at whole: every third of six frames would leave nothing to choose from
    looked_at = np.arange(0, len(landmarks), _EVERY if len(landmarks) >= 30 * _EVERY else 1)
    energy = displacement_mm(looked_at, neutral)
    for _ in range(passes):
        quiet = np.argsort(energy, kind="stable")[: max(1, round(share * len(looked_at)))]
        chosen = spread_evenly(np.sort(looked_at[quiet]), frames_max)
        neutral = fit_to(chosen)
        energy = displacement_mm(looked_at, neutral)
    start_energy = max(float(np.median(displacement_mm(rows, neutral))) for rows in firsts)
    return NeutralSearch(neutral, chosen, displacement_mm(chosen, neutral), start_energy)
