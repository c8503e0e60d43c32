"""How far fitted coefficients may be off: standard deviations that cover what they say, and one number per frame.

The Gaussian posterior of `codes` knows of noise alone. What it does not know is added here, in three terms whose sizes
were chosen on simulated people (docs/accuracy.md, "Is the uncertainty true?").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.expression import ExpressionFit
from au3dmm.core.fit_terms import EYES, noise_px
from au3dmm.errors import FitError

# the posterior's share that is left where nothing in the face moves; and how much movement (norm of alpha) ends that
_STILL, _STIR = 0.35, 0.5
# people show an expression in a way of their own: variance for each unit of the coefficient itself, and for each unit
# of what moves in all (norm of alpha), which comes out in any component, however surely landmarks tell it from noise
_OWN_WAY, _ELSEWHERE = 0.07, 0.015


@dataclass(frozen=True)
class Uncertainty:
    """Of T frames.

    Attributes
    ----------
    std : (T, K) array
        Standard deviations of alpha: 68 % lie within one, 95 % within `coverage.WIDE`.
    certainty : (T,) array
        0 to 1: what the fit alone says for the frame's `confidence`.
    excess : (T,) array
        The frame's own noise over the session's, at least 1.
    """

    std: NDArray[np.float64]
    certainty: NDArray[np.float64]
    excess: NDArray[np.float64]


def measure_uncertainty(
    fit: ExpressionFit,
    landmarks: NDArray[np.float64],
    neutral: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    sigma_px: float,
    measured_px: float | None,
    nonnegative: bool,
    eyes: tuple[int, int] = EYES,
    factors: NDArray[np.float64] | None = None,
) -> Uncertainty:
    """Say how far the coefficients of every frame may be off.

    With p_k the posterior's standard deviation, rho the frame's residual over the session's noise (half way between
    what was believed and what was measured; at least 1), a = |alpha| and q = 0.35::

        std_k^2 = f_k^2 rho^2 (p_k^2 (q^2 + (1 - q^2) a^2 / (a^2 + 0.5^2)) + 0.07 alpha_k + 0.015 a)

    A frame whose landmarks fit worse than the session's is as noisy as it looks; where something moves, all
    components share in it, seen or not; and what moves far is off by more, as nobody moves just as the components do:
    in the coefficient itself, and in others, which no number of landmarks mends. Truths are never negative: the
    interval of a coefficient ends at zero. Some components of a basis are mixed up with others more than the rest: f_k.
    The posterior itself, without these terms, is returned where codes have
    signs.

    Errors have longer tails than a normal variable's, as codes that were missed have long ones: 68 % lie within one
    standard deviation, and 95 % within 2.5 (`coverage.nominal`).

    ``certainty = cos(turn) / (1 + rho^2 mean_k p_k^2)``: the share that the prior has in the variance of prior and
    error together, 1 for landmarks without error; less for a head turned away, whose far side the detector guesses.

    Parameters
    ----------
    fit : ExpressionFit
        Of T frames.
    landmarks : (T, L, 2) array
        What was fitted: image plane, px, y up.
    neutral : (L, 3) array
        Neutral landmarks, m.
    weights : (L,) array
        Landmark weights.
    sigma_px : float
        The noise that was fitted with, px at 144 px between the outer eye corners.
    measured_px : float, optional
        What the session's frames leave over as a rule (`landmark_noise.residual_noise_px`), if that was measured.
    nonnegative : bool
        Whether codes were bound to be >= 0.
    eyes : (int, int)
        Which landmarks are the outer eye corners.
    factors : (K,) array, optional
        f_k, what each component's standard deviation is multiplied by (`std_factors.learn_std_factors`); default 1.
        Not where codes have signs.

    Raises
    ------
    FitError
        If `fit` has no standard deviations, or shapes disagree.

    Examples
    --------
    >>> stated_std(np.array([[0.0, 4.0]]), np.array([[0.6, 0.6]]), np.array([1.0])).round(2)
    array([[0.64, 0.83]])
    """
    if landmarks.shape != fit.fitted.shape or weights.shape != landmarks.shape[1:2]:
        raise FitError(
            f"uncertainty: landmarks {landmarks.shape}, fitted {fit.fitted.shape} and weights {weights.shape} disagree"
        )
    if not np.isfinite(fit.alpha_std).all():
        raise FitError("uncertainty: the fit has no standard deviations; expected those of fit_expression")
    usual_px = sigma_px if measured_px is None else (sigma_px + measured_px) / 2
    noise = noise_px(usual_px, fit.camera[:, :, :3], neutral, eyes=eyes)
    excess = np.empty(len(landmarks))
    _excess(np.ascontiguousarray(landmarks), fit.fitted, weights / (2 * weights.sum()), noise, excess)
    spread = excess**2 * np.einsum("tk,tk->t", fit.alpha_std, fit.alpha_std) / max(fit.alpha_std.shape[1], 1)
    facing = np.clip(fit.pose.rotation[:, 2, 2], 0.0, 1.0)
    std = stated_std(fit.alpha, fit.alpha_std, excess, factors) if nonnegative else fit.alpha_std
    return Uncertainty(std, facing / (1 + spread), excess)


def stated_std(
    alpha: NDArray[np.float64],
    posterior_std: NDArray[np.float64],
    excess: NDArray[np.float64],
    factors: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the standard deviations (T, K) of non-negative codes; see `measure_uncertainty`.

    Parameters
    ----------
    alpha, posterior_std : (T, K) arrays
        Coefficients, and the standard deviations of their Gaussian posterior.
    excess : (T,) array
        rho.
    factors : (K,) array, optional
        f; default 1.

    Raises
    ------
    FitError
        If there are not as many factors as components.
    """
    k = alpha.shape[1]
    if factors is not None and factors.shape != (k,):
        raise FitError(f"uncertainty: factors {factors.shape}, expected ({k},): one per component")
    std = np.empty_like(posterior_std)
    _state(np.ascontiguousarray(alpha), np.ascontiguousarray(posterior_std), excess, std)
    return std if factors is None else std * factors


def confidence(certainty: NDArray[np.float64], landmark_score: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each frame's confidence: `certainty` times the detector's score, which counts as 1 where it is NaN.

    Examples
    --------
    >>> confidence(np.array([0.8, 0.8]), np.array([0.5, np.nan]))
    array([0.4, 0.8])
    """
    return np.asarray(certainty * np.clip(np.where(np.isfinite(landmark_score), landmark_score, 1.0), 0.0, 1.0))


@njit(cache=True)
def _excess(landmarks, fitted, share, noise, excess):  # type: ignore[no-untyped-def]
    for f in range(len(landmarks)):
        rest = 0.0
        for i in range(len(share)):
            u, v = landmarks[f, i, 0] - fitted[f, i, 0], landmarks[f, i, 1] - fitted[f, i, 1]
            rest += share[i] * (u * u + v * v)
        excess[f] = max(1.0, np.sqrt(rest) / noise[f])


@njit(cache=True)
def _state(alpha, posterior, excess, std):  # type: ignore[no-untyped-def]
    for f in range(len(alpha)):
        moved = 0.0
        for k in range(alpha.shape[1]):
            moved += alpha[f, k] * alpha[f, k]
        share = _STILL * _STILL + (1.0 - _STILL * _STILL) * moved / (moved + _STIR * _STIR)
        elsewhere = _ELSEWHERE * np.sqrt(moved)
        for k in range(alpha.shape[1]):
            own = _OWN_WAY * max(alpha[f, k], 0.0) + elsewhere
            std[f, k] = excess[f] * np.sqrt(share * posterior[f, k] * posterior[f, k] + own)
