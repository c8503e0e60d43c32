"""How often action units are in the frames that a model learns from, and the weights that follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.training.clips import Clips
from au3dmm.training_config import LossParams

_NAMED = 8


def unit_counts(clips: Clips) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return in how many event frames of the clips each unit is there, and in how many it was coded: (A,) and (A,).

    A frame that two clips show counts once.
    """
    seen = np.zeros(len(clips.labels.occurrence), bool)
    for number in range(len(clips)):
        seen[clips.label_rows(number)] = True
    said = clips.labels.occurrence[seen]
    return np.count_nonzero(said == 1, axis=0), np.count_nonzero(np.isfinite(said), axis=0)


def inverse_rates(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a weight for each unit: ``w_n = A (1 / r_n) / sum(1 / r)``, which are 1 on average (MDHR, ME-GraphAU).

    Parameters
    ----------
    rates : (A,) array
        Share of frames in which each unit is there, above 0.

    Examples
    --------
    >>> inverse_rates(np.array([0.1, 0.3])).tolist()
    [1.5, 0.5]
    """
    return len(rates) / rates / np.sum(1 / rates)


def with_weights(loss: LossParams, train: Clips) -> LossParams:
    """Return the loss with weights of units, if it is asymmetric and none are given: from the training clips alone.

    Raises
    ------
    ConfigError
        If no frame of the training clips was coded; if a weight would be infinite, or there are more or fewer weights
        than units.
    """
    if not loss.occurrence:
        return loss
    names = train.labels.names_occurrence
    there, coded = unit_counts(train)
    where = train.labels.run.annotations
    if len(train) and not coded.any():
        raise ConfigError(
            f"{where}: no event frame of the {len(train)} clips in train has a coded action unit; expected some; split"
            " otherwise, or set loss.occurrence = 0"
        )
    if loss.occurrence_form != "asymmetric" or not len(train):
        return loss
    if loss.occurrence_weights:
        if len(loss.occurrence_weights) != len(names):
            raise ConfigError(
                f"loss.occurrence_weights has {len(loss.occurrence_weights)} numbers, but {len(names)} units are coded:"
                f" {_some(names)}; expected one for each"
            )
        return loss
    never = [f"{name} ({n} frames coded)" for name, k, n in zip(names, there, coded, strict=True) if not k]
    if never:
        raise ConfigError(
            f"{where}: never there in train: {_some(never)}; so weights by frequency would be infinite; split"
            " otherwise, leave these units out of the annotations, or give loss.occurrence_weights"
        )
    return loss.model_copy(update={"occurrence_weights": tuple(inverse_rates(there / coded).tolist())})


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
