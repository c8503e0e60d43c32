"""A corpus with tags and no intensities, as D3DFACS is: actors show action units, alone and together, from neutral."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.simulation.clips import rise_and_fall, sides_shown
from au3dmm.simulation.conditions import TRAINING_SEED
from au3dmm.simulation.faces import FACIAL_UNITS, FaceFamily
from au3dmm.simulation.people import draw_expressions

_ACTORS, _FRAMES = 10, 24
_COMBINED = 16  # takes of each actor that show two to four units
_ONE_SIDED = 0.15
_WHITE_M = 5e-5


@dataclass(frozen=True)
class TaggedTakes:
    """Takes of one action unit or several.

    Attributes
    ----------
    offsets : (N, 3 P) float32 array
        From neutral, m, at the first P points of the family.
    takes : tuple of int arrays
        Rows of each.
    tags : tuple of tuples of str
        What each is tagged with.
    owner : (N,) int array
        Whose.
    shown : (N, 24, 2) array
        The truth, which no tag tells: how far each unit is shown on the left and on the right, as displacement along
        the unit's mean field, 1 being what an average person shows in full.
    """

    offsets: NDArray[np.float32]
    takes: tuple[NDArray[np.int64], ...]
    tags: tuple[tuple[str, ...], ...]
    owner: NDArray[np.int64]
    shown: NDArray[np.float64]


def halves(family: FaceFamily, count: int) -> NDArray[np.float64]:
    """Return how much each of the first points lies on the left half (count,), 0 to 1; the rest is on the right."""
    return np.asarray(np.clip(0.5 + family.points[:count, 0] / 0.02, 0, 1))


def unit_fields(family: FaceFamily, expressions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the displacement (24, P, 3) of each unit shown in full, made of expressions (E, P, 3)."""
    return np.stack([sum(w * expressions[i] for i, w in family.units[u].items()) for u in FACIAL_UNITS])


def gains(family: FaceFamily, own: NDArray[np.float64], points: slice) -> NDArray[np.float64]:
    """Return how far somebody moves by each unit on the left and right (24, 2), along the mean field: 1 on average."""
    mean, mine = (unit_fields(family, e)[:, points] for e in (family.expressions, own[:, :]))
    left = halves(family, points.stop)[points]
    weight = np.stack([left, 1 - left])
    above = np.einsum("upa,upa,hp->uh", mine, mean, weight)
    return np.asarray(above / np.einsum("upa,upa,hp->uh", mean, mean, weight))


def record_tagged(family: FaceFamily, *, seed: int = TRAINING_SEED, actors: int = _ACTORS) -> TaggedTakes:
    """Let actors show each of the 24 units alone, and some together; a share of the takes on one side only."""
    rng = np.random.default_rng([seed, 7])
    points = slice(0, family.n_landmarks + family.n_metric)
    offsets, takes, tags, owner, shown, start = [], [], [], [], [], 0
    for actor in range(actors):
        own = draw_expressions(family, rng)
        gain = gains(family, own, slice(family.n_landmarks, points.stop))
        plans: list[tuple[str, ...]] = [(u,) for u in FACIAL_UNITS]
        plans += [
            tuple(str(u) for u in rng.choice(FACIAL_UNITS, int(rng.integers(2, 5)), replace=False))
            for _ in range(_COMBINED)
        ]
        for plan in plans:
            weights = np.zeros((_FRAMES, len(family.names)))
            units = np.zeros((_FRAMES, len(FACIAL_UNITS), 2))
            names = []
            for unit in plan:
                most = np.zeros(len(family.names))
                strength = rng.uniform(0.5, 1.0)
                sides = rng.uniform(0.8, 1.2, 2)
                silent = int(rng.integers(2)) if rng.random() < _ONE_SIDED and len(family.units[unit]) > 1 else None
                if silent is not None:
                    sides[silent] = 0
                for i, weight in family.units[unit].items():
                    side = {"left": sides[0], "right": sides[1], "": sides.mean()}[family.sides[i]]
                    most[i] = weight * strength * side
                course = rise_and_fall(_FRAMES, rng.uniform(0, 5), 5, rng.uniform(1, 5), 5)
                weights = np.maximum(weights, course[:, None] * most)
                units[:, FACIAL_UNITS.index(unit)] = course[:, None] * sides_shown(family, unit, most)
                names.append(unit if silent is None else f"{unit}_{('right', 'left')[silent]}")
            moved = (weights @ own[:, points].reshape(len(own), -1)).astype(np.float32)
            moved += np.float32(_WHITE_M) * rng.standard_normal(moved.shape, dtype=np.float32)
            offsets.append(moved)
            shown.append(units * gain)
            takes.append(np.arange(start, start + _FRAMES))
            tags.append(tuple(sorted(names)))
            owner.append(np.full(_FRAMES, actor))
            start += _FRAMES
    return TaggedTakes(np.concatenate(offsets), tuple(takes), tuple(tags), np.concatenate(owner), np.concatenate(shown))
