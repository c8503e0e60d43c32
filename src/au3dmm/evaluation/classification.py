"""Metrics of a classifier of videos: top-k accuracy, recall and F1 per class, confusion, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUPS: Mapping[str, tuple[str, ...]] = {
    "eyes": ("AU1", "AU2", "AU4", "AU7"),
    "mixed": ("AU6", "AU9", "AU10"),
    "mouth": ("AU12", "AU14", "AU15", "AU17", "AU23", "AU24"),
    "opening": ("AU25", "AU26", "AU27"),
    "closing": ("AU43", "AU45"),
    "head": ("AU51", "AU52", "AU53", "AU54", "AU55", "AU56"),
}
"""Parts of the face, as FACEMORPHIC's release groups its 24 action units."""

N_BINS = 15


@dataclass(frozen=True)
class Classification:
    """How well N videos were told apart into C classes.

    Attributes
    ----------
    n : int
        Number of videos.
    top1, top3, top5 : float
        Share of videos whose class is among the one, three, five most probable.
    macro_f1 : float
        Mean F1 over classes that occur or were predicted.
    recall, precision, f1 : (C,) array
        Per class; NaN where a class does not occur (recall), was never predicted (precision), or neither (F1).
    support : (C,) int array
        Videos of each class.
    confusion : (C, C) int array
        Rows are true classes, columns predicted ones.
    calibration_error : float
        Expected calibration error of the most probable class, 15 bins of equal width (Naeini et al. 2015).
    brier : float
        Mean squared distance between probabilities and the true class (Brier 1950), 0 to 2.
    """

    n: int
    top1: float
    top3: float
    top5: float
    macro_f1: float
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    confusion: NDArray[np.int64]
    calibration_error: float
    brier: float


def classify(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Classification:
    """Compare true classes with predicted probabilities.

    Parameters
    ----------
    labels : (N,) int array
        True classes, 0 to C - 1.
    probabilities : (N, C) array
        Rows sum to 1.

    Raises
    ------
    ValueError
        If there is no video, shapes disagree, a label is no class, or rows are not probabilities.

    Examples
    --------
    >>> found = classify(np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]))
    >>> round(found.top1, 3), found.confusion.tolist()
    (0.667, [[1, 0], [1, 1]])
    """
    p = np.asarray(probabilities, np.float64)
    y = np.asarray(labels, np.int64)
    if p.ndim != 2 or y.shape != p.shape[:1] or not len(y):
        raise ValueError(f"labels {y.shape} and probabilities {p.shape}; expected (N,) and (N, C) with N > 0")
    n, c = p.shape
    if y.min() < 0 or y.max() >= c:
        raise ValueError(f"labels from {y.min()} to {y.max()}; expected 0 to {c - 1}")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-4)):
        raise ValueError("probabilities are not finite, not negative and of sum 1 in every row")
    guess = p.argmax(1)
    confusion = np.bincount(y * c + guess, minlength=c * c).reshape(c, c)
    hit, support, said = np.diag(confusion).astype(float), confusion.sum(1), confusion.sum(0)
    recall, precision = _share(hit, support), _share(hit, said)
    f1 = _share(2 * hit, support + said)
    rank = ranks(y, p)
    top1, top3, top5 = (float((rank < k).mean()) for k in (1, 3, 5))
    return Classification(
        n, top1, top3, top5, float(np.nanmean(f1)), recall, precision, f1, support,
        confusion, calibration_error(guess == y, p.max(1)), float(((p - np.eye(c)[y]) ** 2).sum(1).mean()),
    )  # fmt: skip


def ranks(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how many classes are more probable than the true one (N,); of equal ones, the first comes first.

    Examples
    --------
    >>> ranks(np.array([2, 0]), np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
    array([2, 0])
    """
    order = np.argsort(-np.asarray(probabilities), axis=1, kind="stable")
    return np.asarray(np.argmax(order == np.asarray(labels)[:, None], axis=1), np.int64)


def calibration_error(hit: NDArray[np.bool_], confidence: NDArray[np.floating], n_bins: int = N_BINS) -> float:
    """Return the mean distance of confidence and accuracy over bins of confidence, weighted by their size.

    Examples
    --------
    >>> round(calibration_error(np.array([True, False, True, True]), np.array([0.75, 0.75, 0.75, 0.75])), 3)
    0.0
    """
    bins = np.minimum((np.asarray(confidence) * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(bins, weights=np.asarray(hit, float) - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(bins))


def grouped_confusion(
    confusion: NDArray[np.integer], classes: Sequence[str], groups: Mapping[str, Sequence[str]] = GROUPS
) -> tuple[list[str], NDArray[np.int64]]:
    """Return a confusion between parts of the face; classes of no group are each one of their own.

    Returns
    -------
    names : list of str
        The groups that occur, in their order, then other classes.
    confusion : (G, G) int array

    Examples
    --------
    >>> names, table = grouped_confusion(np.array([[2, 1, 0], [0, 3, 0], [0, 1, 4]]), ["AU1", "AU2", "AU12"])
    >>> names, table.tolist()
    (['eyes', 'mouth'], [[6, 0], [1, 4]])
    """
    home = {unit: name for name, units in groups.items() for unit in units}
    of = [home.get(name, name) for name in classes]
    names = [name for name in groups if name in of] + [name for name in dict.fromkeys(of) if name not in groups]
    member = np.array([[name == other for other in of] for name in names], np.int64)
    return names, member @ np.asarray(confusion, np.int64) @ member.T


def _share(part: NDArray[np.floating], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
