"""What is said of action units told frame by frame: numbers of each unit, averages with intervals over subjects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.evaluation.intervals import Interval, bootstrap, plain
from au3dmm.evaluation.occurrence import Occurrence, score_units, sum_units
from au3dmm.evaluation.tables import PER_UNIT


def summarise_units(
    said: Occurrence, subjects: Sequence[str], *, threshold: float, seed: int, resamples: int
) -> tuple[dict[str, Any], dict[str, Interval]]:
    """Return what there is to say of the units as plain values, and averages over units with their intervals.

    Averages are over the units that occur in these videos; those that never do (no frame was coded 1) have no F1 and
    are named. In a resample, a unit that does not occur in it is left out as well.

    Parameters
    ----------
    said : Occurrence
        Of N videos, with at least one coded frame.
    subjects : sequence of str
        Whose each of the N videos is.
    threshold, seed, resamples
        See `sum_units` and `bootstrap`.

    Returns
    -------
    summary : dict
        ``units``: a list of ``{name, positives, negatives, f1, f1_low, f1_high, precision, recall, accuracy, auc,
        calibration_error, brier, f1_all_positive}``, None where there is no number; ``units_absent``: names;
        ``n_frames_coded``, ``n_subjects_coded``; ``threshold``; ``f1_all_positive`` and ``f1_chance``: averages of F1
        for saying each unit in every frame, and at random as often as it occurs.
    overall : dict
        ``f1``, ``occurrence_auc``, ``occurrence_accuracy``, ``occurrence_calibration_error``, ``occurrence_brier``.
    """
    coded = (said.truth >= 0).any(1)
    names = sorted({subjects[i] for i in np.unique(said.video[coded])})
    place = {name: i for i, name in enumerate(names)}
    kept = Occurrence(said.names, said.video[coded], said.truth[coded], said.probability[coded])
    # a subject without a coded frame gets place 0, where nothing of theirs is counted
    sums = sum_units(kept, np.array([place.get(name, 0) for name in subjects]), len(names), threshold)

    def rates(drawn: NDArray[np.int64]) -> dict[str, float]:
        one = score_units(sums, drawn)
        there = one.positives > 0
        return {
            "f1": _mean(one.f1[there]),
            "occurrence_auc": _mean(one.auc[there]),
            "occurrence_accuracy": _mean(one.accuracy[there]),
            "occurrence_calibration_error": _mean(one.calibration_error[there]),
            "occurrence_brier": _mean(one.brier[there]),
            **{f"f1/{name}": float(x) for name, x in zip(said.names, one.f1, strict=True)},
        }

    found = bootstrap(names, rates, seed=seed, resamples=resamples)
    scores = score_units(sums)
    there = scores.positives > 0
    summary = {
        "n_frames_coded": int(coded.sum()),
        "n_subjects_coded": len(names),
        "threshold": threshold,
        "f1_all_positive": plain(_mean(scores.f1_all_positive[there])),
        "f1_chance": plain(_mean((scores.positives / np.maximum(scores.positives + scores.negatives, 1))[there])),
        "units_absent": [name for name, some in zip(said.names, there, strict=True) if not some],
        "units": [
            {
                "name": name,
                "positives": int(scores.positives[k]),
                "negatives": int(scores.negatives[k]),
                "f1": plain(scores.f1[k]),
                "f1_low": plain(found[f"f1/{name}"].low),
                "f1_high": plain(found[f"f1/{name}"].high),
                **{key: plain(getattr(scores, key)[k]) for key in PER_UNIT},
            }
            for k, name in enumerate(said.names)
        ],
    }
    return summary, {key: x for key, x in found.items() if not key.startswith("f1/")}


def _mean(values: NDArray[np.float64]) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
