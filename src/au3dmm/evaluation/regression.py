"""Metrics of regressed coefficients: error, share of variance explained and correlation, per component and overall.

They are computed from sums per video, so that resampling subjects costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AlphaSums:
    """Sums over the known frames of each of N videos, of K coefficients.

    Attributes
    ----------
    n : (N,) array
        Number of known frames.
    error : (N, K) array
        Squared errors.
    y, yy, p, pp, yp : (N, K) array
        Labels, their squares, predictions, their squares, products of both.
    """

    n: NDArray[np.float64]
    error: NDArray[np.float64]
    y: NDArray[np.float64]
    yy: NDArray[np.float64]
    p: NDArray[np.float64]
    pp: NDArray[np.float64]
    yp: NDArray[np.float64]

    def __getitem__(self, rows: NDArray[np.integer]) -> AlphaSums:
        return AlphaSums(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Regression:
    """How well coefficients were regressed.

    Attributes
    ----------
    n_frames : int
        Known frames.
    mse : float
        Mean over frames of the squared error, summed over components (the paper's loss).
    rmse : float
        Root mean squared error of a coefficient, standard deviations.
    explained : float
        1 - squared error / squared distance of the labels from their mean, all components together.
    component_rmse, component_correlation : (K,) array
        Per component; the correlation is NaN where labels or predictions never vary.
    """

    n_frames: int
    mse: float
    rmse: float
    explained: float
    component_rmse: NDArray[np.float64]
    component_correlation: NDArray[np.float64]


def sum_frames(labels: NDArray[np.floating], predicted: NDArray[np.floating], known: NDArray[np.bool_]) -> AlphaSums:
    """Return the sums of one video (N = 1): labels and predictions (L, K), `known` (L,).

    Raises
    ------
    ValueError
        If shapes disagree, or a known frame is not finite.
    """
    if labels.shape != predicted.shape or known.shape != labels.shape[:1]:
        raise ValueError(f"labels {labels.shape}, predictions {predicted.shape} and known {known.shape} disagree")
    y, p = (np.asarray(x, np.float64)[known] for x in (labels, predicted))
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise ValueError("labels or predictions of known frames are not finite")
    sums = [((p - y) ** 2), y, y * y, p, p * p, y * p]
    return AlphaSums(np.array([float(len(y))]), *(x.sum(0)[None] for x in sums))


def stack_sums(parts: list[AlphaSums]) -> AlphaSums:
    """Put the sums of videos together."""
    return AlphaSums(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(AlphaSums)))


def regress(sums: AlphaSums) -> Regression:
    """Return the metrics of all videos together.

    Raises
    ------
    ValueError
        If there is no known frame.
    """
    n = float(sums.n.sum())
    if not n > 0:
        raise ValueError("no frame with a label; expected at least one")
    error, y, yy, p, pp, yp = (x.sum(0) / n for x in (sums.error, sums.y, sums.yy, sums.p, sums.pp, sums.yp))
    # differences of squares round to less than 0 where nothing varies
    vary_y, vary_p = np.maximum(yy - y * y, 0.0), np.maximum(pp - p * p, 0.0)
    both = np.sqrt(vary_y * vary_p)
    still = (vary_y <= 1e-12 * np.maximum(yy, 1e-12)) | (vary_p <= 1e-12 * np.maximum(pp, 1e-12))
    correlation = np.where(still, np.nan, (yp - y * p) / np.where(still, 1.0, both))
    total = float(vary_y.sum())
    return Regression(
        int(n),
        float(error.sum()),
        float(np.sqrt(error.mean())),
        1 - float(error.sum()) / total if total > 0 else float("nan"),
        np.sqrt(error),
        correlation,
    )
