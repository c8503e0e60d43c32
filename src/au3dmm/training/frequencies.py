"""How often action units are in the frames that a model learns from, and the weights that follow."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.training.clips import Clips
from au3dmm.training_config import LossParams

log = logging.getLogger(__name__)
_NAMED = 4
_LARGE = 0.7  # share of all weight: with two thirds the other units were learnt as well as ever, with 94 % not at all


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


def with_weights(loss: LossParams, train: Clips, *, speak: bool = True) -> LossParams:
    """Return the loss with weights of units, if it is asymmetric and none are given: from the training clips alone.

    Units that are never or always there in train are warned of, and so is one that takes most of the weight; where
    weights follow from frequencies, the former are refused.

    Raises
    ------
    ConfigError
        If no frame of the training clips was coded; if a unit is never there, which would weigh infinitely much, or
        always, so that there is nothing to tell; or if there are more or fewer weights than units.
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
    weighed = loss.occurrence_form == "asymmetric"
    if weighed and loss.occurrence_weights and len(loss.occurrence_weights) != len(names):
        raise ConfigError(
            f"loss.occurrence_weights has {len(loss.occurrence_weights)} numbers, but {len(names)} units are coded:"
            f" {_some(names)}; expected one for each"
        )
    if not len(train):
        return loss
    follows = weighed and not loss.occurrence_weights
    fault = _not_to_be_told(names, there, coded)
    if fault and follows:
        raise ConfigError(f"{where}: {fault}")
    if fault and speak:
        log.warning("%s: %s", where, fault)
    if not follows:
        return loss
    weights = capped(inverse_rates(there / coded), loss.occurrence_weight_cap)
    share = weights / weights.sum()
    most = int(share.argmax())
    if speak and share[most] > (_LARGE if len(names) > 2 else 0.9):
        log.warning(
            "%s is there in %.2g %% of the coded frames in train, and takes %.0f %% of the weight of %d units: others"
            " may hardly be learnt; --set loss.occurrence_weight_cap=3, or leave it out with data.units",
            *(names[most], 100 * there[most] / coded[most], 100 * share[most], len(names)),
        )
    return loss.model_copy(update={"occurrence_weights": tuple(weights.tolist())})


def capped(weights: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """Return weights of which none is more than `cap` times the one in the middle, 1 on average; 0: as they are.

    Examples
    --------
    >>> capped(np.array([0.5, 0.5, 0.5, 6.5]), 3).tolist()
    [0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 2.0]
    """
    if not cap:
        return weights
    low = np.minimum(weights, cap * np.median(weights))
    return np.asarray(len(low) * low / low.sum())


def _not_to_be_told(names: Sequence[str], there: NDArray[np.int64], coded: NDArray[np.int64]) -> str:
    """Name units that are never or always there, and say how to go on without them; empty if there are none."""
    never = [name for name, k in zip(names, there, strict=True) if not k]
    always = [name for name, k, n in zip(names, there, coded, strict=True) if k == n > 0]
    if not (never or always):
        return ""
    found = [f"{word} there in train: {_some(some)}" for word, some in (("never", never), ("always", always)) if some]
    left = [name for name in names if name not in (*never, *always)]
    how = f"go on without: --set data.units={','.join(left)}" if left else "no unit is left; split otherwise"
    return f"{'; '.join(found)} (of {len(names)}); {how}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
