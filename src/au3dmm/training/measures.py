"""How good a model is on clips it does not learn from, while it learns: enough to choose the best one by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        -1: unknown.
    log_probabilities : (C,) float64 array
        Of the classes.
    squared_error : float
        Of alpha, summed over coefficients and frames that have labels.
    n_values : int
        How many that are.
    loss : float
        Of the clip alone.
    """

    number: int
    session_id: str
    label: int
    log_probabilities: NDArray[np.float64]
    squared_error: float
    n_values: int
    loss: float


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
        alone = Prediction(prediction.logits[i : i + 1], *(_row(part, i) for part in prediction[1:]))
        one = {name: value[i : i + 1] for name, value in batch.items() if isinstance(value, torch.Tensor)}
        loss = float(training_loss(alone, one, params)["total"])
        scores.append(
            ClipScore(int(batch["number"][i]), session_id, int(batch["label"][i]), chances[i], error, n, loss)
        )
    return scores


def _row(part: Tensor | None, i: int) -> Tensor | None:
    return None if part is None else part[i : i + 1]


def summarise(scores: Sequence[ClipScore]) -> dict[str, float]:
    """Return ``accuracy`` (share of recordings whose class is found), ``alpha`` (rms error, standard deviations),
    ``loss``.

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
    losses = [score.loss for score in scores if score.label >= 0 or score.n_values]
    if losses:  # of what has a class or coefficients: the others' is 0
        found["loss"] = float(np.mean(losses))
    return found


def better(new: float, old: float | None, monitor: str) -> bool:
    """Say whether a measure is better than the best so far: accuracies are to be large, errors and losses small.

    Examples
    --------
    >>> better(0.5, 0.4, "accuracy"), better(0.5, 0.4, "alpha"), better(0.5, None, "loss")
    (True, False, True)
    """
    return old is None or (new > old if monitor == "accuracy" else new < old)
