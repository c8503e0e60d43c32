"""Which frames show the neutral face: those from which a fit explains all others with the least deformation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.expression import fit_once
from au3dmm.core.expression_equations import Problem, Rates
from au3dmm.core.fitting import EYES, CameraSettings, Neutral, fit_neutral, noise_px
from au3dmm.errors import FitError

_START_FRAMES = 3
# recordings mostly begin at rest, and where people smile most of the time a half-smiling neutral face is cheap, too:
# another beginning must cost this share of what the recordings' own beginnings cost, or less
_CHEAPER = 0.9
# where in the recordings the search begins: at the start, at the end and in between
_PLACES = 6
_SCORED = 30


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
        RMS displacement of the landmarks in those frames, mm, by a fit with the face.
    looked_at : (m,) int array
        Rows of the landmarks among which neutral frames were sought.
    looked_at_mm : (m,) array
        Displacement in those, mm, by the fit that chose the frames.
    start_energy_mm : float
        The same in the first frames of the recordings (the largest over recordings).
    """

    neutral: Neutral
    frames: NDArray[np.int64]
    energy_mm: NDArray[np.float64]
    looked_at: NDArray[np.int64]
    looked_at_mm: NDArray[np.float64]
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
    ridge: float = 1.0,
    eyes: tuple[int, int] = EYES,
) -> NeutralSearch:
    """Find a subject's neutral face in all of the frames given (docs/method.md, step 4).

    Begins at several places, the same in each recording: takes three frames there for the neutral face, and asks what
    all frames then cost. Codes are not negative, so a face that is not neutral costs much: what leads back from it to
    the resting face cannot be shown. From the recordings' own beginnings and from the best of the others, and `passes`
    times: fits action units, takes the `share` of frames with the smallest displacement, and estimates the neutral face
    from those; the other one wins if it costs at most nine tenths, and looks less like an expression.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Frames with landmarks, recordings one after another; image plane, px, y up.
    starts : (R,) int array
        Row at which each recording starts; strictly increasing, beginning with 0.
    template, components_id, components_au : arrays
        At the landmarks: (L, 3), (K_id, L, 3), (K_au, L, 3), m.
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
    ridge : float
        As in `fit_expression`.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Raises
    ------
    FitError
        If there is no frame, or the landmarks determine no face.
    """
    known: dict[str, Any] = {"sigma_id_px": sigma_id_px, "sigma_offset_m": sigma_offset_m, "eyes": eyes}
    rates = Rates(sigma_px, nonnegative=True, l1=l1, reweight=0.0, shrink=0.0, eyes=eyes)
    problem = Problem.of(template, components_au, weights, joint_pose=True, ridge=ridge, by_size=0.0)
    products = np.einsum("kla,mla->km", components_au, components_au, optimize=True) / components_au.shape[1]

    def fit_to(rows: NDArray[np.int64], rounds: int) -> Neutral:
        return fit_neutral(landmarks[rows], template, components_id, weights, settings, alternations=rounds, **known)

    def displacement_mm(rows: NDArray[np.int64], neutral: Neutral) -> NDArray[np.float64]:
        _, codes = problem.at(neutral.shape).solve(landmarks[rows], settings, None, rates, spread=False)
        alpha = codes.alpha
        # alpha >= 0 is often all zeros, whose sum of squares may round to less than 0
        return np.asarray(1e3 * np.sqrt(np.maximum(((alpha @ products) * alpha).sum(1), 0.0)))

    def cost(neutral: Neutral) -> float:
        """Return what the scored frames cost on average: squared residuals over the noise, and the price of codes."""
        found = fit_once(problem.at(neutral.shape), landmarks[scored], settings, None, rates, spread=False)
        sigma = noise_px(sigma_px, found.camera[..., :3], neutral.shape, eyes=eyes)
        misfit = ((landmarks[scored] - found.fitted) ** 2).sum(2) @ weights / sigma**2
        return float((misfit + 2 * l1 * found.alpha.sum(1)).mean())

    def shown(rows: NDArray[np.int64]) -> float:
        return shown_expression(
            landmarks[rows],
            template,
            components_id,
            components_au,
            weights,
            settings,
            alternations=alternations,
            **known,
        )

    if not len(landmarks):
        raise FitError("identity: no frame with landmarks; expected at least one")
    every = np.arange(len(landmarks))
    stops = np.append(starts[1:], len(landmarks))
    scored = spread_evenly(every, _SCORED)
    # what is looked at is so much that the share of it is what may be used; more frames would cost and not help
    looked_at = spread_evenly(every, max(_SCORED, round(frames_max / share)))
    begun = [fit_to(rows, 1) for rows in _places(starts, stops)]
    finalists = [begun[0], *([min(begun[1:], key=cost)] if len(begun) > 1 else [])]
    ended = []
    for neutral in finalists:
        for _ in range(passes):
            energy = displacement_mm(looked_at, neutral)
            quiet = np.argsort(energy, kind="stable")[: max(1, round(share * len(looked_at)))]
            chosen = spread_evenly(np.sort(looked_at[quiet]), frames_max)
            neutral = fit_to(chosen, alternations)
        ended.append((neutral, chosen, energy))
    neutral, chosen, energy = ended[0]
    for rival in ended[1:]:
        if cost(rival[0]) < _CHEAPER * cost(neutral) and shown(rival[1]) < shown(chosen):
            neutral, chosen, energy = rival
    firsts = [np.arange(a, min(a + _START_FRAMES, b)) for a, b in zip(starts, stops, strict=True)]
    final = displacement_mm(np.concatenate([chosen, *firsts]), neutral)
    at_starts = iter(final[len(chosen) :].tolist())
    start_energy = max(median(islice(at_starts, len(rows))) for rows in firsts)
    return NeutralSearch(neutral, chosen, final[: len(chosen)], looked_at, energy, start_energy)


def shown_expression(
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
) -> float:
    """Return the largest coefficient of an action unit in frames taken as neutral, in standard deviations.

    The neutral face is fitted to them with the action units among the identity components; who smiles in all of them
    has a large coefficient there.

    Parameters
    ----------
    landmarks : (n, L, 2) array
        The frames; image plane, px, y up.
    template, components_id, components_au, weights, settings, sigma_id_px, sigma_offset_m, alternations, eyes
        As in `find_neutral`.

    Raises
    ------
    FitError
        If the landmarks determine no face.
    """
    found = fit_neutral(
        landmarks,
        template,
        np.concatenate([components_id, components_au]),
        weights,
        settings,
        sigma_id_px=sigma_id_px,
        sigma_offset_m=sigma_offset_m,
        alternations=alternations,
        eyes=eyes,
    )
    return float(found.alpha_id[len(components_id) :].max(initial=0.0))


def _places(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the frames of each beginning: three in every recording, at the same share of its length."""
    places: list[NDArray[np.int64]] = []
    last = np.maximum(stops - _START_FRAMES, starts)
    for share in np.linspace(0, 1, _PLACES):
        begins = np.round(starts + share * (last - starts)).astype(np.int64)
        rows = np.concatenate([np.arange(a, min(a + _START_FRAMES, b)) for a, b in zip(begins, stops, strict=True)])
        if not any(np.array_equal(rows, known) for known in places):
            places.append(rows)
    return places
