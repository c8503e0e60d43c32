"""Whether a session's stated uncertainty covers what it says: codes are planted in it, made noisy and found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.coverage import LEVELS, Coverage, covered
from au3dmm.core.expression import ExpressionFit
from au3dmm.core.fit_terms import EYES, noise_px
from au3dmm.core.neutral import spread_evenly
from au3dmm.core.uncertainty import Uncertainty
from au3dmm.errors import FitError

CHECK_FRAMES = 150
"""Frames of a session that are planted."""

_REACH_M = 0.015  # landmarks as far apart as this err alike to 1/e, where errors are shared by neighbours
_RIDGE = 1e-6


@dataclass(frozen=True)
class SelfCheck:
    """What was found again in how many frames, with which noise.

    Attributes
    ----------
    n_frames : int
        Planted frames.
    noise_px : float
        Noise that was added, px at 144 px between the outer eye corners.
    independent, shared : Coverage
        With noise of each landmark's own, and with noise that neighbouring landmarks share.
    """

    n_frames: int
    noise_px: float
    independent: Coverage
    shared: Coverage

    def summary(self) -> dict[str, Any]:
        """Return plain values that add up over sessions: see `Coverage.counts`."""
        return {
            "frames": self.n_frames,
            "noise_px": round(self.noise_px, 4),
            "levels": list(LEVELS),
            "independent": self.independent.counts(),
            "shared": self.shared.counts(),
        }


def check_uncertainty(
    refit: Callable[[NDArray[np.float64]], ExpressionFit],
    doubt_of: Callable[[ExpressionFit, NDArray[np.float64]], Uncertainty],
    alpha: NDArray[np.float64],
    fitted: NDArray[np.float64],
    camera: NDArray[np.float64],
    neutral: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    size_px: float,
    eyes: tuple[int, int] = EYES,
) -> SelfCheck:
    """Take fitted frames for the truth, add noise of the session's own size, fit again, and count.

    It shows whether the fit's own arithmetic is right for this person, these poses and this noise. It cannot show what
    the model lacks: planted faces are ones that the components can make, with the neutral face known. So the shares
    should be at least what was stated; docs/accuracy.md measures the rest.

    Parameters
    ----------
    refit : callable
        Fits landmarks (n, L, 2) as the session's were.
    doubt_of : callable
        Returns the uncertainty of such a fit to such landmarks; see `measure_uncertainty`.
    alpha : (n, K) array
        Codes to plant.
    fitted : (n, L, 2) array
        The landmarks that they make: image plane, px, y up.
    camera : (n, 2, 3) array
        px per metre.
    neutral : (L, 3) array
        Neutral landmarks, m.
    weights : (L,) array
        Landmark weights: noise grows as they fall.
    size_px : float
        Noise to add, px at 144 px between the outer eye corners.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Raises
    ------
    FitError
        If there is no frame.
    """
    n, n_points = fitted.shape[:2]
    if not n:
        raise FitError("check of the uncertainty: no frame; expected at least one")
    each = np.random.default_rng(0).standard_normal((n, n_points, 2))
    px = noise_px(size_px, camera, neutral, eyes=eyes)[:, None, None] / np.sqrt(weights)[:, None]
    apart = np.linalg.norm(neutral[:, None] - neutral, axis=2)
    mix = np.linalg.cholesky(np.exp(-apart / _REACH_M) + _RIDGE * np.eye(n_points))

    def found(noise: NDArray[np.float64]) -> Coverage:
        seen = fitted + px * noise
        fit = refit(seen)
        return covered(fit.alpha, doubt_of(fit, seen).std, alpha)

    return SelfCheck(n, size_px, found(each), found(mix @ each))


def liveliest(alpha: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return rows to plant: spread evenly over the half of the frames in which most moves, in order of rows.

    Neutral frames have nothing to find again.

    Examples
    --------
    >>> liveliest(np.array([[0.0], [3.0], [1.0], [0.5]]), 2)
    array([1, 2])
    """
    size = np.einsum("tk,tk->t", alpha, alpha)
    by_size = np.argsort(-size, kind="stable")[: max(1, (len(size) + 1) // 2)]
    return spread_evenly(np.sort(by_size), count)


def merge_checks(checks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Put the summaries of many sessions' checks together; None if there is none.

    Counts are summed, `noise_px` is the median, `determined` the mean over sessions. Summaries that counted at other
    levels, of other versions, are left out.

    Parameters
    ----------
    checks : sequence of mapping
        What `SelfCheck.summary` returned, and ``determined``: by coefficient, the share of the prior's variance that
        landmarks take away.
    """
    alike = [check for check in checks if check.get("levels") == list(LEVELS)]
    if not alike:
        return None
    merged: dict[str, Any] = {
        "sessions": len(alike),
        "frames": sum(check["frames"] for check in alike),
        "noise_px": round(float(np.median([check["noise_px"] for check in alike])), 4),
        "levels": list(LEVELS),
    }
    for kind in ("independent", "shared"):
        within = np.array([check[kind]["within"] for check in alike], np.int64).sum(0)
        merged[kind] = {"shown": sum(check[kind]["shown"] for check in alike), "within": within.tolist()}
    determined = np.array([check["determined"] for check in alike], np.float64).mean(0)
    return {**merged, "determined": [round(float(share), 3) for share in determined]}
