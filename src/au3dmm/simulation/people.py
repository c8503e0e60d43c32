"""People of a family: who they are, and how each moves in a way of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.simulation.faces import FaceFamily

_GAIN_SD, _FIELD_SD, _BEND = 0.2, 0.2, 0.08
_BUMPS, _WIDTH_M = 8, 0.035


def draw_neutral(family: FaceFamily, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a neutral face (P, 3), m: N(0, 1) times each identity mode."""
    return np.asarray(family.points + np.tensordot(rng.standard_normal(len(family.identity)), family.identity, 1))


def smooth_field(
    family: FaceFamily, rng: np.random.Generator, bumps: int = _BUMPS, width_m: float = _WIDTH_M
) -> NDArray[np.float64]:
    """Draw a smooth function (P,) on the face: Gaussian bumps of normal height."""
    centres = family.points[rng.choice(family.n_model, bumps)]
    apart = ((family.points[:, None] - centres) ** 2).sum(2)
    return np.asarray(np.exp(-apart / (2 * width_m**2)) @ rng.standard_normal(bumps))


def draw_expressions(family: FaceFamily, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how someone shows the expressions (E, P, 3), m.

    Each is scaled as a whole (log-normal, 0.2), scaled by a smooth field (standard deviation about 0.2), and bent
    aside by 8 % of its size: motion that no basis of the mean expressions holds.
    """
    own = np.empty_like(family.expressions)
    for shape, out in zip(family.expressions, own, strict=True):
        gain = rng.lognormal(0, _GAIN_SD)
        field = 1 + _FIELD_SD * smooth_field(family, rng)[:, None]
        bend = _BEND * np.linalg.norm(shape, axis=1, keepdims=True) * rng.standard_normal(3)
        out[:] = gain * (shape * field + bend)
    return own
