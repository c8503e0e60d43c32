"""How good a model is on clips it does not learn from, while it learns: enough to choose the best one by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from au3dmm.models import Prediction
from au3dmm.training.losses import training_loss
from au3dmm.training_config import LossParams


@dataclass(frozen=True)
class ClipScore:
    """What a model made of a clip.

    Attributes
    ----------
    number : int
        Of the clip.
    session_id : str
        The recording.
    label : int
        -1: unknown, or not taught.
    log_probabilities : (C,) float64 array
        Of the classes.
    squared_error : float
        Of alpha, summed over coefficients and frames that have labels.
    n_values : int
        How many that are.
    loss : float
        Of the clip alone.
    units : (4, A) int array
        Coded frames of each action unit: found, missed, said without being there, and rightly not said.
    n_moved : int
        Frames whose true motion, or whose landmarks, are known, of networks that are taught them.
    """

    number: int
    session_id: str
    label: int
    log_probabilities: NDArray[np.float64]
    squared_error: float
    n_values: int
    loss: float
    units: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, 0), np.int64))
    n_moved: int = 0


def score_clips(prediction: Prediction, batch: dict[str, Any], params: LossParams) -> list[ClipScore]:
    """Score each clip of a batch by itself, so that the batch's size does not matter."""
    chances = torch.log_softmax(prediction.logits.double(), -1).cpu().numpy()
    scores = []
    for i, (session_id, _) in enumerate(batch["clip"]):
        known = batch["known"][i]
        error, n = 0.0, 0
        if prediction.alpha is not None:
            difference = (prediction.alpha[i].float() - batch["alpha"][i])[known]
            error, n = float((difference.double() ** 2).sum()), difference.numel()
        rest = [_row(head, i) for head in (prediction.alpha, prediction.occurrence, prediction.motion)]
        alone = Prediction(prediction.logits[i : i + 1], rest[0], rest[1], None, rest[2])
        one = {name: value[i : i + 1] for name, value in batch.items() if isinstance(value, torch.Tensor)}
        loss = float(training_loss(alone, one, params)["total"])
        units = _counted(prediction.occurrence, batch["occurrence"], i)
        label = int(batch["label"][i]) if params.classes else -1  # nobody taught it classes
        taught = [name for name, on in (("target_known", params.mesh), ("landmarks_known", params.landmarks)) if on]
        moved = max((int(batch[name][i].sum()) for name in taught if name in batch), default=0)
        scores.append(ClipScore(int(batch["number"][i]), session_id, label, chances[i], error, n, loss, units, moved))
    return scores


def _counted(logits: Tensor | None, occurrence: Tensor, i: int) -> NDArray[np.int64]:
    """Return the counts of `ClipScore.units` of a clip; a unit is said where its probability is at least one half."""
    if logits is None:
        return np.zeros((4, 0), np.int64)
    said, truth = logits[i] >= 0, occurrence[i]
    kinds = (said & (truth > 0), ~said & (truth > 0), said & (truth == 0), ~said & (truth == 0))  # NaN is none
    return np.asarray(torch.stack([kind.sum(0) for kind in kinds]).cpu().numpy(), np.int64)


def _row(part: Tensor | None, i: int) -> Tensor | None:
    return None if part is None else part[i : i + 1]


def summarise(scores: Sequence[ClipScore]) -> dict[str, float]:
    """Return ``accuracy`` (share of recordings whose class is found), ``alpha`` (rms error, standard deviations),
    ``f1`` (of frames, mean over the action units that occur), ``loss``.

    The class of a recording is the most probable one on the average of its clips' log probabilities. What cannot be
    said, for lack of labels, is left out.

    Examples
    --------
    >>> right, wrong = np.log([0.9, 0.1]), np.log([0.2, 0.8])
    >>> summarise([ClipScore(0, "a", 0, right, 8.0, 2, 1.0), ClipScore(1, "a", 0, wrong, 0.0, 0, 3.0)])
    {'accuracy': 1.0, 'alpha': 2.0, 'loss': 2.0}
    """
    scores = sorted(scores, key=lambda score: score.number)  # sums do not depend on which process saw what
    found: dict[str, float] = {}
    videos: dict[str, list[ClipScore]] = {}
    for score in scores:
        if score.label >= 0:
            videos.setdefault(score.session_id, []).append(score)
    if videos:
        hits = [
            np.mean([s.log_probabilities for s in clips], axis=0).argmax() == clips[0].label
            for clips in videos.values()
        ]
        found["accuracy"] = float(np.mean(hits))
    n = sum(score.n_values for score in scores)
    if n:
        found["alpha"] = float(np.sqrt(sum(score.squared_error for score in scores) / n))
    hit, miss, alarm, _ = sum((score.units for score in scores), np.zeros((4, 1), np.int64))
    there = hit + miss > 0
    if there.any():
        found["f1"] = float((2 * hit / np.maximum(2 * hit + miss + alarm, 1))[there].mean())
    told = [score for score in scores if score.label >= 0 or score.n_values or score.units.any() or score.n_moved]
    losses = [score.loss for score in told]
    if losses:  # of what has a class, coefficients, codes, true motion or landmarks: the others' is 0
        found["loss"] = float(np.mean(losses))
    return found


def better(new: float, old: float | None, monitor: str) -> bool:
    """Say whether a measure is better than the best so far: accuracy and F1 are to be large, errors and losses small.

    While F1 is 0, as it is for long where units are rare, the latest model is the best.

    Examples
    --------
    >>> better(0.5, 0.4, "accuracy"), better(0.5, 0.4, "alpha"), better(0.5, None, "loss"), better(0.0, 0.0, "f1")
    (True, False, True, True)
    """
    if old is None or (monitor == "f1" and new == old == 0):
        return True
    return new > old if monitor in ("accuracy", "f1") else new < old
