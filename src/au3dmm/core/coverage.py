"""Counting how often the truth lies within the stated uncertainty, where the truth is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError

SHOWN = 0.25
"""Codes above this, standard deviations of alpha, show something."""

LEVELS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Standard deviations within which codes are counted."""

_ONE, _TWO = LEVELS.index(1.0), LEVELS.index(2.0)
_ENOUGH = 20  # codes of a component that a share can be told from


def nominal(level: float) -> float:
    """Return the share of a normal variable within `level` standard deviations of its mean.

    Examples
    --------
    >>> round(nominal(1.0), 3), round(nominal(2.0), 3)
    (0.683, 0.954)
    """
    return math.erf(level / math.sqrt(2.0))


@dataclass(frozen=True)
class Coverage:
    """How often a target lies within the stated uncertainty: 0.68 within one deviation would be right, 0.95 within two.

    Most codes are zero and should be: no interval can hold them less often than always. So what counts is *shown*
    codes, those whose target or estimate is above 0.25; what is neither is *quiet*.

    Attributes
    ----------
    n, n_shown : int
        Codes, and those that are shown.
    curve : tuple of 9 floats
        Share of shown codes with ``|alpha - target|`` at most `LEVELS` standard deviations. NaN, like all shares, where
        there are none.
    within_1, within_2 : float
        Share of all codes within 1 and 2 standard deviations.
    shown_1, shown_2 : float
        Of shown codes.
    reported_1, reported_2 : float
        Of codes whose estimate is above 0.25: what a reader of the table sees.
    active_1, active_2 : float
        Of codes whose target is above 0.25.
    quiet_1, quiet_2 : float
        Of codes that are not shown.
    component_1, component_2 : tuple of K floats
        Of the shown codes of each component; NaN where there are fewer than 20.
    """

    n: int
    n_shown: int
    curve: tuple[float, ...]
    within_1: float
    within_2: float
    shown_1: float
    shown_2: float
    reported_1: float
    reported_2: float
    active_1: float
    active_2: float
    quiet_1: float
    quiet_2: float
    component_1: tuple[float, ...]
    component_2: tuple[float, ...]

    def spread(self, deviations: int) -> tuple[float, float, float]:
        """Return least, median and greatest share over components, within 1 or 2 standard deviations."""
        shares = np.array(self.component_1 if deviations == 1 else self.component_2)
        known = shares[np.isfinite(shares)]
        if not len(known):
            return (math.nan, math.nan, math.nan)
        return float(known.min()), float(np.median(known)), float(known.max())

    def counts(self) -> dict[str, Any]:
        """Return what adds up over sessions: ``shown``, and ``within``, how many of them are within each level."""
        if not self.n_shown:
            return {"shown": 0, "within": [0] * len(LEVELS)}
        return {"shown": self.n_shown, "within": [round(share * self.n_shown) for share in self.curve]}


def covered(alpha: NDArray[np.floating], std: NDArray[np.floating], target: NDArray[np.floating]) -> Coverage:
    """Count how often the target is within the stated uncertainty.

    Parameters
    ----------
    alpha, std, target : (..., K) arrays
        Coefficients, their standard deviations, and what they should be.

    Raises
    ------
    FitError
        If shapes disagree, or there is nothing to count.

    Examples
    --------
    >>> found = covered(np.array([[1.0, 0.0]]), np.array([[0.4, 0.4]]), np.array([[1.5, 0.0]]))
    >>> found.n_shown, found.shown_1, found.shown_2, found.within_1
    (1, 0.0, 1.0, 0.5)
    """
    if not alpha.shape == std.shape == target.shape or not alpha.size:
        raise FitError(f"coverage: alpha {alpha.shape}, std {std.shape} and target {target.shape}; expected equal ones")
    k = alpha.shape[-1]
    found, true = alpha.reshape(-1, k), target.reshape(-1, k)
    off = np.abs(found - true) / np.maximum(std.reshape(-1, k), 1e-12)
    reported, active = np.abs(found) > SHOWN, np.abs(true) > SHOWN
    shown = reported | active

    def both(rows: NDArray[np.bool_]) -> tuple[float, float]:
        some = off[rows]
        return (float((some <= 1).mean()), float((some <= 2).mean())) if len(some) else (math.nan, math.nan)

    of_shown = off[shown]
    curve = [float((of_shown <= level).mean()) if len(of_shown) else math.nan for level in LEVELS]
    counts = shown.sum(0)
    within = [np.where(counts >= _ENOUGH, (shown & (off <= x)).sum(0) / np.maximum(counts, 1), np.nan) for x in (1, 2)]
    every = both(np.ones_like(shown))
    return Coverage(
        off.size,
        len(of_shown),
        tuple(curve),
        *every,
        curve[_ONE],
        curve[_TWO],
        *both(reported),
        *both(active),
        *both(~shown),
        tuple(float(share) for share in within[0]),
        tuple(float(share) for share in within[1]),
    )
