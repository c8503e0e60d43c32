"""Confidence intervals by resampling subjects: videos of one person are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its 95 % interval; NaN where there are fewer than two subjects."""

    value: float
    low: float
    high: float


def bootstrap(
    subjects: Sequence[str],
    statistics: Callable[[NDArray[np.int64]], dict[str, float]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """Return statistics of all videos and their 95 % intervals over resampled subjects (percentile bootstrap).

    Parameters
    ----------
    subjects : sequence of str
        Whose each of N videos is.
    statistics : callable
        Computes numbers by name from indices of videos, in which those of a subject drawn twice appear twice.
    seed, resamples : int
        Of the drawing.

    Examples
    --------
    >>> hits = np.array([1.0, 1.0, 0.0, 0.0])
    >>> found = bootstrap(["a", "a", "b", "b"], lambda rows: {"hits": float(hits[rows].mean())})["hits"]
    >>> found.value, found.low, found.high
    (0.5, 0.0, 1.0)
    """
    names = sorted(set(subjects))
    of = np.array(list(subjects))
    rows = [np.flatnonzero(of == name) for name in names]
    value = statistics(np.arange(len(of)))
    if len(names) < 2:
        return {key: Interval(x, float("nan"), float("nan")) for key, x in value.items()}
    rng = np.random.default_rng(seed)
    drawn = [
        statistics(np.concatenate([rows[i] for i in rng.integers(len(names), size=len(names))]))
        for _ in range(resamples)
    ]
    found = {}
    for key, x in value.items():
        some = np.array([one[key] for one in drawn])
        some = some[np.isfinite(some)]
        low, high = np.quantile(some, (0.025, 0.975)) if len(some) else (np.nan, np.nan)
        found[key] = Interval(x, float(low), float(high))
    return found


def plain(x: float | np.floating[Any]) -> float | None:
    """Return a number for JSON; None of one that does not exist."""
    return float(x) if np.isfinite(x) else None
