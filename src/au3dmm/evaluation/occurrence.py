"""Metrics of action units told frame by frame: F1, precision, recall, accuracy, area under the ROC curve, calibration.

All are computed from sums per subject, so that resampling subjects costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.evaluation import THRESHOLD
from au3dmm.evaluation.classification import N_BINS


@dataclass(frozen=True)
class Occurrence:
    """What a model said of A action units in F frames of N videos, and what was coded.

    Attributes
    ----------
    names : tuple of str
        Of the units.
    video : (F,) int array
        Whose frame it is: a place among the videos.
    truth : (F, A) int8 array
        1, 0; -1 where nobody said.
    probability : (F, A) array
        Of the units.
    """

    names: tuple[str, ...]
    video: NDArray[np.int64]
    truth: NDArray[np.int8]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class UnitSums:
    """Sums over the coded frames of each of S subjects, of A units.

    Attributes
    ----------
    hit, alarm, miss, quiet : (S, A) array
        Frames by truth and answer: true and false positives, false and true negatives.
    squared : (S, A) array
        Squared distances of probability and truth.
    gap : (S, A, B) array
        Truth minus probability, by bin of probability.
    wins : (A, S, S) array
        Pairs of a frame of subject i with the unit and one of subject j without it that are in the right order; half
        of a pair where both probabilities are equal.
    """

    hit: NDArray[np.float64]
    alarm: NDArray[np.float64]
    miss: NDArray[np.float64]
    quiet: NDArray[np.float64]
    squared: NDArray[np.float64]
    gap: NDArray[np.float64]
    wins: NDArray[np.float64]


@dataclass(frozen=True)
class UnitScores:
    """How well each of A units was told, over all coded frames; NaN where a number does not exist.

    Attributes
    ----------
    positives, negatives : (A,) array
        Coded frames with and without the unit.
    f1, precision, recall : (A,) array
        Of the frames with the unit. Without any, there is no F1 and no recall; a unit never said has no precision.
    accuracy : (A,) array
        Share of frames told right.
    auc : (A,) array
        Share of pairs of a frame with and one without the unit in which the first is the more probable one.
    calibration_error : (A,) array
        Mean distance of probability and share of frames with the unit over bins of probability, weighted by their size.
    brier : (A,) array
        Mean squared distance of probability and truth, 0 to 1.
    f1_all_positive : (A,) array
        F1 of saying the unit in every frame: ``2 r / (1 + r)`` at a share r of frames with it.
    """

    positives: NDArray[np.float64]
    negatives: NDArray[np.float64]
    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    auc: NDArray[np.float64]
    calibration_error: NDArray[np.float64]
    brier: NDArray[np.float64]
    f1_all_positive: NDArray[np.float64]


def sum_units(
    said: Occurrence, subject: NDArray[np.integer], n_subjects: int, threshold: float = THRESHOLD
) -> UnitSums:
    """Add up what was said of each unit, subject by subject.

    Parameters
    ----------
    said : Occurrence
        Of N videos.
    subject : (N,) int array
        Whose each video is, 0 to S - 1.
    n_subjects : int
        S.
    threshold : float
        A unit counts as said from this probability on.

    Raises
    ------
    ValueError
        If shapes disagree, or a probability of a coded frame is none.
    """
    f, a = said.truth.shape
    if said.probability.shape != (f, a) or said.video.shape != (f,) or len(said.names) != a:
        raise ValueError(
            f"truth {said.truth.shape}, probabilities {said.probability.shape}, videos {said.video.shape} and"
            f" {len(said.names)} names disagree; expected (F, A), (F, A), (F,) and A"
        )
    s, of = n_subjects, np.asarray(subject, np.int64)[said.video]
    hit, alarm, miss, quiet, squared = (np.zeros((s, a)) for _ in range(5))
    gap = np.zeros((s, a, N_BINS))
    wins = np.zeros((a, s, s))
    for k in range(a):
        coded = said.truth[:, k] >= 0
        y, p, whose = said.truth[coded, k] > 0, np.asarray(said.probability[coded, k], np.float64), of[coded]
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError(f"{said.names[k]}: probabilities of coded frames are not all within 0 and 1")
        yes = p >= threshold
        for into, kind in ((hit, y & yes), (alarm, ~y & yes), (miss, y & ~yes), (quiet, ~y & ~yes)):
            into[:, k] = np.bincount(whose[kind], minlength=s)
        squared[:, k] = np.bincount(whose, weights=(p - y) ** 2, minlength=s)
        bins = np.minimum((p * N_BINS).astype(np.int64), N_BINS - 1)
        gap[:, k] = np.bincount(whose * N_BINS + bins, weights=y - p, minlength=s * N_BINS).reshape(s, N_BINS)
        wins[k] = _wins(p, y, whose, s)
    return UnitSums(hit, alarm, miss, quiet, squared, gap, wins)


def _wins(p: NDArray[np.float64], y: NDArray[np.bool_], whose: NDArray[np.int64], s: int) -> NDArray[np.float64]:
    """Return, for each pair of subjects, how often a frame with the unit is above one without it (S, S)."""
    wins = np.zeros((s, s))
    high, by = p[y], whose[y]
    for j in range(s):
        low = np.sort(p[~y & (whose == j)])
        if len(low) and len(high):
            above = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / 2
            wins[:, j] = np.bincount(by, weights=above, minlength=s)
    return wins


def score_units(sums: UnitSums, subjects: NDArray[np.integer] | None = None) -> UnitScores:
    """Return the metrics of all subjects together, or of drawn ones, in which one may be twice.

    Examples
    --------
    >>> truth = np.array([[1], [1], [0], [0]], np.int8)
    >>> said = Occurrence(("AU1",), np.zeros(4, int), truth, np.array([[0.9], [0.4], [0.6], [0.2]]))
    >>> found = score_units(sum_units(said, np.array([0]), 1))
    >>> found.f1.tolist(), found.auc.tolist(), found.f1_all_positive.round(3).tolist()
    ([0.5], [0.75], [0.667])
    """
    n = len(sums.hit)
    w = np.ones(n) if subjects is None else np.bincount(subjects, minlength=n).astype(float)
    hit, alarm, miss, quiet, squared = (w @ x for x in (sums.hit, sums.alarm, sums.miss, sums.quiet, sums.squared))
    positives, negatives = hit + miss, alarm + quiet
    frames = positives + negatives
    there = positives > 0
    f1 = np.where(there, _share(2 * hit, 2 * hit + alarm + miss), np.nan)
    return UnitScores(
        positives,
        negatives,
        f1,
        _share(hit, hit + alarm),
        _share(hit, positives),
        _share(hit + quiet, frames),
        _share(np.einsum("i,aij,j->a", w, sums.wins, w), positives * negatives),
        _share(np.abs(np.tensordot(w, sums.gap, 1)).sum(1), frames),
        _share(squared, frames),
        np.where(there, _share(2 * positives, frames + positives), np.nan),
    )


def stack_occurrence(parts: Sequence[tuple[Occurrence, int]]) -> Occurrence:
    """Put what was said of several sets of videos together, each given with its number of videos.

    Raises
    ------
    ValueError
        If they speak of different units.
    """
    first = parts[0][0]
    for one, _ in parts:
        if one.names != first.names:
            raise ValueError(f"units {', '.join(one.names)}; expected {', '.join(first.names)}")
    start = np.cumsum([0, *(n for _, n in parts)])
    return Occurrence(
        first.names,
        np.concatenate([one.video + begin for (one, _), begin in zip(parts, start, strict=False)]),
        np.concatenate([one.truth for one, _ in parts]),
        np.concatenate([one.probability for one, _ in parts]),
    )


def as_codes(occurrence: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return codes 1, 0 and -1 of numbers in which NaN, or what is below 0, says that nobody said.

    Examples
    --------
    >>> as_codes(np.array([1.0, 0.0, np.nan, -1.0])).tolist()
    [1, 0, -1, -1]
    """
    said = np.isfinite(occurrence) & (np.nan_to_num(occurrence) >= 0)
    return np.where(said, np.nan_to_num(occurrence) > 0, -1).astype(np.int8)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
