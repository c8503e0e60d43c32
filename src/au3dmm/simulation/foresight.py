"""How well a frame's confidence foretells its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from au3dmm.simulation.estimate import Estimate
from au3dmm.simulation.recordings import Recordings

_EVERY = 5  # frames next to each other err alike
_GROUPS = 20
_MOVED_M = 5e-4


@dataclass(frozen=True)
class Foresight:
    """Rank correlations (Spearman) of a lack of confidence with the error; NaN where there is nothing to correlate.

    The error is the mean distance between fitted and true displacement of the metric points, of every fifth frame.

    Attributes
    ----------
    error : float
        Over all frames.
    still : float
        Over neutral ones: what is fitted where nothing moves.
    given_motion : float
        Over frames in which the face truly moves by 0.5 mm or more, each ranked among the twentieth of them that moves
        as far: large movements have large errors, which is no news.
    """

    error: float
    still: float
    given_motion: float


def foresight(recordings: Recordings, found: Estimate, components: NDArray[np.float64]) -> Foresight:
    """Correlate confidence with errors.

    Parameters
    ----------
    recordings : Recordings
        With the truth.
    found : Estimate
        With `confidence`.
    components : (K, M, 3) array
        At the metric points, m per standard deviation.
    """
    if found.confidence is None:
        return Foresight(np.nan, np.nan, np.nan)
    flat = components.reshape(len(components), -1).astype(np.float32)
    mask = np.zeros(found.confidence.shape[1:], bool)
    mask[:, _EVERY // 2 :: _EVERY] = True
    errors, sizes = [], []
    for s in range(len(found.alpha)):
        true = recordings.displacement(s, mask)
        fitted = (found.alpha[s][mask] @ flat).reshape(true.shape)
        errors.append(np.sqrt(((fitted - true) ** 2).sum(2)).mean(1))
        sizes.append(np.sqrt((true**2).sum(2)).mean(1))
    error, size = np.concatenate(errors), np.concatenate(sizes)
    doubt = -found.confidence[:, mask].ravel()
    still, moved = recordings.still[:, mask].ravel(), size >= _MOVED_M
    order = np.flatnonzero(moved)[np.argsort(size[moved], kind="stable")]
    groups = [part for part in np.array_split(order, _GROUPS) if len(part) > 1]
    alike = np.array([])
    if groups:
        ranks = [np.concatenate([rankdata(x[part]) / len(part) for part in groups]) for x in (doubt, error)]
        alike = np.stack(ranks)
    return Foresight(
        _correlation(rankdata(doubt), rankdata(error)),
        _correlation(rankdata(doubt[still]), rankdata(error[still])),
        _correlation(*alike) if len(alike) else np.nan,
    )


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2 or not (x.std() > 0 and y.std() > 0):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
