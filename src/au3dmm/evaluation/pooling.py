"""Several models, each asked about people that it does not know, as one: the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from au3dmm.evaluation.occurrence import stack_occurrence
from au3dmm.evaluation.regression import stack_sums
from au3dmm.evaluation.summary import Outcome


def pool(outcomes: Sequence[Outcome], names: Sequence[str]) -> Outcome:
    """Put what models said of their own people together, video by video and frame by frame.

    Parameters
    ----------
    outcomes : sequence of Outcome
        One per fold.
    names : sequence of str
        Of the models, for messages.

    Raises
    ------
    ValueError
        If two of them speak of one person, or of different classes, units or coefficients.
    """
    first = outcomes[0]
    whose: dict[str, str] = {}
    for one, name in zip(outcomes, names, strict=True):
        people = set(one.subjects)
        twice = sorted(people & set(whose))
        if twice:
            raise ValueError(
                f"{name} and {whose[twice[0]]} were both asked about {_some(twice)}; expected folds without a person in"
                " common: train each with another data.fold"
            )
        whose |= dict.fromkeys(people, name)
        for word, mine, theirs in (
            ("classes", one.classes, first.classes),
            ("a head for classes", one.probabilities is not None, first.probabilities is not None),
            ("a head for coefficients", _width(one), _width(first)),
            ("units", _units(one), _units(first)),
        ):
            if mine != theirs:
                raise ValueError(
                    f"{name}: {word}: {_told(mine)}; {names[0]}: {_told(theirs)}; expected the same in all"
                )
    return Outcome(
        tuple(name for one in outcomes for name in one.sessions),
        tuple(name for one in outcomes for name in one.subjects),
        first.classes,
        np.concatenate([one.labels for one in outcomes]),
        None
        if first.probabilities is None
        else np.concatenate([p for one in outcomes if (p := one.probabilities) is not None]),
        None if first.alpha is None else stack_sums([sums for one in outcomes if (sums := one.alpha) is not None]),
        None
        if first.occurrence is None
        else stack_occurrence([(said, len(one.sessions)) for one in outcomes if (said := one.occurrence) is not None]),
    )


def _width(outcome: Outcome) -> int:
    return 0 if outcome.alpha is None else outcome.alpha.error.shape[1]


def _units(outcome: Outcome) -> tuple[str, ...]:
    return () if outcome.occurrence is None else outcome.occurrence.names


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
