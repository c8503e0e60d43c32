"""Everything that is said of a model on one set of videos: numbers with intervals, per class, confusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.evaluation import THRESHOLD
from au3dmm.evaluation.classification import classify, grouped_confusion
from au3dmm.evaluation.intervals import RESAMPLES, Interval, bootstrap, plain
from au3dmm.evaluation.occurrence import Occurrence
from au3dmm.evaluation.occurrence_summary import summarise_units
from au3dmm.evaluation.regression import AlphaSums, regress


@dataclass(frozen=True)
class Outcome:
    """What a model said of N videos, and what is true.

    Attributes
    ----------
    sessions, subjects : tuple of str
        Which videos, and of whom.
    classes : tuple of str
        Names of the C classes.
    labels : (N,) int array
        True classes; -1 where nothing was asked for, which counts for coefficients alone.
    probabilities : (N, C) array or None
        None of a model that does not classify.
    alpha : AlphaSums or None
        Of the regressed coefficients; None of a model that regresses none.
    occurrence : Occurrence or None
        Of action units frame by frame; None of a model that was not taught them.
    """

    sessions: tuple[str, ...]
    subjects: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None
    alpha: AlphaSums | None
    occurrence: Occurrence | None = None


def summarise(
    outcome: Outcome,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    threshold: float = THRESHOLD,
    faces: bool = False,
) -> dict[str, Any]:
    """Return all metrics as plain values, ready for JSON; a number that does not exist is None.

    Parameters
    ----------
    outcome : Outcome
        What was said.
    seed, resamples : int
        Of the intervals; without resamples there are none.
    threshold : float
        An action unit counts as said in a frame from this probability on.
    faces : bool
        Whether the model refines faces, which are measured elsewhere: then there may be nothing to measure here.

    Returns
    -------
    dict
        ``n_videos``, ``n_subjects``, and those with a class, ``n_classified`` and ``n_subjects_classified``;
        ``chance``: the accuracy of always saying the most frequent class; ``overall``: name to ``{value, low, high}``;
        ``classes``: a list of ``{name, support, recall, precision, f1}``; ``confusion``: ``{names, table}``;
        ``groups``: the same between parts of the face; ``components``: a list of ``{rmse, correlation}``; and
        what `summarise_units` says.

    Raises
    ------
    ValueError
        If there is no video with a class, no frame with coefficients, and none with a coded unit.
    """
    subjects = np.array(outcome.subjects)
    named = np.flatnonzero(outcome.labels >= 0) if outcome.probabilities is not None else np.zeros(0, np.int64)
    coded = outcome.occurrence is not None and bool((outcome.occurrence.truth >= 0).any())
    if not (faces or len(named) or coded or (outcome.alpha is not None and outcome.alpha.n.sum())):
        raise ValueError("no video with a class, no frame with coefficients or a coded unit; expected some of these")
    summary: dict[str, Any] = {
        "n_videos": len(outcome.sessions),
        "n_subjects": len(set(outcome.subjects)),
        "overall": {},
    }
    intervals: dict[str, Interval] = {}
    if len(named) and outcome.probabilities is not None:
        labels, probabilities = outcome.labels[named], outcome.probabilities[named]

        def rates(rows: NDArray[np.int64]) -> dict[str, float]:
            one = classify(labels[rows], probabilities[rows])
            return {
                "top1": one.top1,
                "top3": one.top3,
                "top5": one.top5,
                "macro_f1": one.macro_f1,
                "calibration_error": one.calibration_error,
                "brier": one.brier,
            }

        intervals |= bootstrap(subjects[named].tolist(), rates, seed=seed, resamples=resamples)
        found = classify(labels, probabilities)
        summary["n_classified"] = found.n
        summary["n_subjects_classified"] = len(set(subjects[named].tolist()))
        summary["chance"] = float(found.support.max() / found.n)
        summary["classes"] = [
            {
                "name": name,
                "support": int(found.support[k]),
                "recall": plain(found.recall[k]),
                "precision": plain(found.precision[k]),
                "f1": plain(found.f1[k]),
            }
            for k, name in enumerate(outcome.classes)
        ]
        summary["confusion"] = {"names": list(outcome.classes), "table": found.confusion.tolist()}
        names, table = grouped_confusion(found.confusion, outcome.classes)
        summary["groups"] = {"names": names, "table": table.tolist()}
    if outcome.alpha is not None and outcome.alpha.n.sum():
        sums = outcome.alpha

        def errors(rows: NDArray[np.int64]) -> dict[str, float]:
            drawn = sums[rows]
            if not drawn.n.sum():
                return dict.fromkeys(("alpha_mse", "alpha_rmse", "alpha_explained"), float("nan"))
            one = regress(drawn)
            return {"alpha_mse": one.mse, "alpha_rmse": one.rmse, "alpha_explained": one.explained}

        intervals |= bootstrap(subjects.tolist(), errors, seed=seed, resamples=resamples)
        one = regress(sums)
        summary["n_frames"] = one.n_frames
        summary["components"] = [
            {"rmse": plain(rmse), "correlation": plain(r)}
            for rmse, r in zip(one.component_rmse, one.component_correlation, strict=True)
        ]
    if outcome.occurrence is not None and coded:
        units, means = summarise_units(
            outcome.occurrence, outcome.subjects, threshold=threshold, seed=seed, resamples=resamples
        )
        summary |= units
        intervals |= means
    summary["overall"] = {
        key: {"value": plain(x.value), "low": plain(x.low), "high": plain(x.high)} for key, x in intervals.items()
    }
    return summary


def same_order(classes: Sequence[str]) -> tuple[str, ...]:
    """Return action units in the order of their numbers, other names after them.

    Examples
    --------
    >>> same_order(["happiness", "AU12", "AU2"])
    ('AU2', 'AU12', 'happiness')
    """

    def key(name: str) -> tuple[int, int, str]:
        number = name.removeprefix("AU")
        unit = name.startswith("AU") and number.isdigit()
        return (0, int(number), name) if unit else (1, 0, name)

    return tuple(sorted(classes, key=key))
