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

WIDE = 2.5
"""Standard deviations within which 95 % are promised, where one promises 68 %."""

_ONE, _WIDE = LEVELS.index(1.0), LEVELS.index(WIDE)
# so many units of Student's t with 4 degrees of freedom hold what one standard deviation of a normal variable does
_UNIT = 1.1416
_ENOUGH = 20  # codes of a component that a share can be told from


def nominal(level: float) -> float:
    """Return the share that is promised within `level` stated standard deviations.

    That of Student's t with 4 degrees of freedom, in units that hold 68.3 %, as a standard deviation of a normal
    variable does. Errors have longer tails than a normal variable's, for which two deviations would hold 95 %: codes
    that were missed have tails longer than an exponential's.

    Examples
    --------
    >>> [round(nominal(level), 3) for level in (1.0, 2.0, 2.5, 3.0)]
    [0.683, 0.916, 0.954, 0.973]
    """
    angle = math.atan(_UNIT * level / 2.0)
    return math.sin(angle) * (1.0 + 0.5 * math.cos(angle) ** 2)


@dataclass(frozen=True)
class Coverage:
    """How often a target lies within the stated uncertainty: 0.68 within one deviation would be right, 0.95 within 2.5.

    Most codes are zero and should be: no interval can hold them less often than always. So what counts is *shown*
    codes, those whose target or estimate is above 0.25; what is neither is *quiet*.

    Attributes
    ----------
    n, n_shown : int
        Codes, and those that are shown.
    curve : tuple of 9 floats
        Share of shown codes with ``|alpha - target|`` at most `LEVELS` standard deviations. NaN, like all shares, where
        there are none.
    within_1, within_wide : float
        Share of all codes within 1 and `WIDE` standard deviations.
    shown_1, shown_wide : float
        Of shown codes.
    reported_1, reported_wide : float
        Of codes whose estimate is above 0.25: what a reader of the table sees.
    active_1, active_wide : float
        Of codes whose target is above 0.25.
    quiet_1, quiet_wide : float
        Of codes that are not shown.
    component_1, component_wide : tuple of K floats
        Of the shown codes of each component; NaN where there are fewer than 20.
    """

    n: int
    n_shown: int
    curve: tuple[float, ...]
    within_1: float
    within_wide: float
    shown_1: float
    shown_wide: float
    reported_1: float
    reported_wide: float
    active_1: float
    active_wide: float
    quiet_1: float
    quiet_wide: float
    component_1: tuple[float, ...]
    component_wide: tuple[float, ...]

    def spread(self, *, wide: bool) -> tuple[float, float, float]:
        """Return least, median and greatest share over components, within 1 or `WIDE` standard deviations."""
        shares = np.array(self.component_wide if wide else self.component_1)
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
    >>> found.n_shown, found.shown_1, found.shown_wide, found.within_1
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
        return (float((some <= 1).mean()), float((some <= WIDE).mean())) if len(some) else (math.nan, math.nan)

    of_shown = off[shown]
    curve = [float((of_shown <= level).mean()) if len(of_shown) else math.nan for level in LEVELS]
    counts = shown.sum(0)
    pairs = [(shown & (off <= level)).sum(0) / np.maximum(counts, 1) for level in (1, WIDE)]
    within = [np.where(counts >= _ENOUGH, shares, np.nan) for shares in pairs]
    every = both(np.ones_like(shown))
    return Coverage(
        off.size,
        len(of_shown),
        tuple(curve),
        *every,
        curve[_ONE],
        curve[_WIDE],
        *both(reported),
        *both(active),
        *both(~shown),
        tuple(float(share) for share in within[0]),
        tuple(float(share) for share in within[1]),
    )
