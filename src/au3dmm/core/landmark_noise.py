"""How noisy a recording's landmarks are: from what a fit leaves over, or from their own jitter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fit_terms import EYES, REFERENCE_EYE_PX
from au3dmm.errors import FitError

# the median of |x| of a normal variable of deviation 1, and the deviation of x0 - 2 x1 + x2
_MEDIAN, _SECOND_DIFFERENCE = 0.6745, np.sqrt(6.0)

NOISE_FRAMES = 300
"""Frames of a session that say enough about its noise."""


def residual_noise_px(
    fitted: NDArray[np.float64],
    landmarks: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    eyes: tuple[int, int] = EYES,
) -> float:
    """Return the noise that a fit leaves over, px at 144 px between the outer eye corners.

    The weighted root mean square over the landmarks, then the median over frames. It knows of noise of every speed, and
    of shapes that the components cannot make.

    Parameters
    ----------
    fitted, landmarks : (T, L, 2) arrays
        px.
    weights : (L,) array
        Landmark weights.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Raises
    ------
    FitError
        If there is no frame.
    """
    if not len(landmarks):
        raise FitError("landmark noise: no frame with landmarks; expected at least one")
    rms = np.sqrt(((landmarks - fitted) ** 2).sum(2) @ weights / (2 * weights.sum()))
    across = np.linalg.norm(landmarks[:, eyes[1]] - landmarks[:, eyes[0]], axis=1)
    return float(np.median(rms / np.maximum(across, 1e-6)) * REFERENCE_EYE_PX)


def jitter_px(landmarks: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the frame-to-frame noise of each landmark (L,), px, from second differences of raw tracks.

    ``median |x_(t-1) - 2 x_t + x_(t+1)| / (0.6745 sqrt(6))`` over frames and both axes: exact for independent noise on
    a face that moves evenly; the median passes over spans that move in jerks. Noise that lasts over frames is not seen:
    with a correlation of 0.9 from frame to frame a quarter of it is.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        px; runs of consecutive frames one after another.
    starts : (R,) int array
        Row at which each run begins, the first being 0.

    Raises
    ------
    FitError
        If no run has three frames.
    """
    inside = np.ones(len(landmarks), bool)
    inside[starts] = False  # no difference reaches across the beginning of a run
    usable = inside[1:-1] & inside[2:] if len(landmarks) > 2 else np.zeros(0, bool)
    if not usable.any():
        raise FitError("landmark noise: no three frames in a row with landmarks")
    second = (landmarks[:-2] - 2 * landmarks[1:-1] + landmarks[2:])[usable]
    return np.asarray(np.median(np.abs(second), axis=(0, 2)) / (_MEDIAN * _SECOND_DIFFERENCE))


def believed_noise_px(
    stated_px: float, fitted: NDArray[np.float64], landmarks: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the noise to fit with, and the one measured: half way from what is stated to what a first fit leaves over.

    Half way, as residuals hold what the basis cannot show beside the noise. Never below what is stated: errors of a
    detector that go with the expression are steady and fit well, and look like no noise at all.

    Parameters
    ----------
    stated_px : float
        At 144 px between the outer eye corners, as are both results.
    fitted, landmarks, weights
        As in `residual_noise_px`.
    """
    measured = residual_noise_px(fitted, landmarks, weights)
    return max(stated_px, (stated_px + measured) / 2), measured


STILL_FRAMES = 32
"""Frames of a span that is looked at on its own: a second, in which a face may well keep still."""

STILL_SHARE = 0.25
"""A session's jitter is that of the stillest quarter of its spans: what moves has second differences of its own."""


def span_jitter(
    landmarks: NDArray[np.float64], unbroken: NDArray[np.bool_], *, eyes: tuple[int, int] = EYES
) -> NDArray[np.float64]:
    """Return the jitter of each span of `STILL_FRAMES` frames, (S, 2): px, and as a share of the outer eye distance.

    The mean over the landmarks of `jitter_px`. Spans with less than a quarter of their second differences are left
    out. `still_jitter` makes one pair of those of a whole session; their own scatter, some 2 %, hardly lowers it.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        px, one row per frame.
    unbroken : (T,) bool array
        Whether a frame has landmarks, of the same face as the frame before.
    eyes : (int, int)
        Which landmarks are the outer eye corners.
    """
    found = []
    for first in range(0, len(landmarks), STILL_FRAMES):
        span = slice(first, first + STILL_FRAMES)
        inside = unbroken[span].copy()
        inside[:1] = False
        if (inside[1:-1] & inside[2:]).sum() < STILL_FRAMES // 4:
            continue
        noise = float(np.mean(jitter_px(landmarks[span], np.flatnonzero(~inside))))
        across = np.linalg.norm(landmarks[span][:, eyes[1]] - landmarks[span][:, eyes[0]], axis=1)
        found.append((noise, noise / max(float(np.nanmedian(across)), 1e-6)))
    return np.array(found, np.float64).reshape(-1, 2)


def still_jitter(spans: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the jitter of a session, px and as a share of the outer eye distance, from its spans (S, 2).

    None if there are no spans.
    """
    if not len(spans):
        return None
    px, iod = np.quantile(spans, STILL_SHARE, axis=0)
    return float(px), float(iod)
