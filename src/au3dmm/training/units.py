"""Which action units a network recognises frame by frame: those that a training file or a checkpoint names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from au3dmm.errors import ConfigError
from au3dmm.io.training_labels import TrainingLabels, unit_order


def chosen_units(labels: TrainingLabels, units: Sequence[str]) -> TrainingLabels:
    """Return labels with the codes of some units alone, in the order of the labels.

    Parameters
    ----------
    labels : TrainingLabels
        With what was coded.
    units : sequence of str
        ``data.units``; none: all that there are.

    Raises
    ------
    ConfigError
        If one of them was coded in no recording.
    """
    there = labels.names_occurrence
    unknown = [name for name in units if name not in there]
    if unknown:
        raise ConfigError(
            f"data.units: {', '.join(unknown)}: coded in no recording; there are: {', '.join(there) or 'none'}"
        )
    return units_of_model(labels, [name for name in there if name in units]) if units else labels


def units_of_model(labels: TrainingLabels, units: Sequence[str]) -> TrainingLabels:
    """Return labels with the codes of these units, in this order; nobody said anything of those that they lack."""
    said = np.full((len(labels.occurrence), len(units)), np.nan, np.float32)
    for k, name in enumerate(units):
        if name in labels.names_occurrence:
            said[:, k] = labels.occurrence[:, labels.names_occurrence.index(name)]
    return replace(labels, occurrence=said, names_occurrence=tuple(units))


def named_units(names: Sequence[str]) -> tuple[str, ...]:
    """Return the action units in names of components, sides together.

    Examples
    --------
    >>> named_units(["AU12_left", "AU12_right", "AU1", "c04_chin"])
    ('AU1', 'AU12')
    """
    found = {match[0] for name in names if (match := re.match(r"AU\d+(?=_|$)", name))}
    return tuple(sorted(found, key=unit_order))


def unknown_units(labels: TrainingLabels, units: Sequence[str]) -> TrainingLabels:
    """Return labels that nobody coded, with units of which nothing is known: what a network is told of is one half.

    Parameters
    ----------
    labels : TrainingLabels
        Without any units.
    units : sequence of str
        ``data.units``; none: those that the components of the labels' basis are named after, or go with.

    Raises
    ------
    ConfigError
        If there are none.
    """
    with_components = (labels.metadata.get("basis") or {}).get("action_units") or ()
    found = [*labels.names_au, *(str(name) for some in with_components for name in some)]
    names = tuple(units) or named_units(found)
    if not names:
        raise ConfigError(
            f"{labels.run.annotations}: no action unit is coded frame by frame, and no component of the labels' basis"
            " goes with one; name some: --set data.units=AU1,AU12"
        )
    return units_of_model(labels, names)
