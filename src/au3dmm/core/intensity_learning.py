"""Learn to read action unit intensities: the fields of units from tagged sequences, and how well a basis shows them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.intensities import FULL, SIDES, Intensities, by_name, intensity_names, number_of, unit_of
from au3dmm.core.sparse_codes import encode_products
from au3dmm.core.unit_fields import ALIKE, UnitFields, alike, learn_unit_fields

LEAST_SEQUENCES, LEAST_PEOPLE = 4, 2
"""Of fewer sequences or people, nobody can say what 5 is."""
_NOT_FACE = 50  # numbers from here on are movements of head and eyes
_NOTHING = 1e-12  # of the largest energy of a field
_FOLDS = 5
_READ = 1.0  # intensities from here on are more than next to nothing


@dataclass(frozen=True)
class TaggedRows:
    """Tagged sequences along the directions of a reduction.

    Attributes
    ----------
    coordinates : (N, R) array
        Offsets from neutral, m.
    directions : (R, 3 V) array
        Orthonormal.
    left : (V,) array
        How much of a vertex belongs to the left half, 0 to 1; the rest belongs to the right one.
    takes : tuple of S int arrays
        Rows of the sequences.
    tags : tuple of S tuples of str
        Like ``("AU1", "AU2_left")``.
    people : tuple of S int
        Whose each sequence is.
    """

    coordinates: NDArray[np.floating]
    directions: NDArray[np.floating]
    left: NDArray[np.float64]
    takes: tuple[NDArray[np.int64], ...]
    tags: tuple[tuple[str, ...], ...]
    people: tuple[int, ...]


@dataclass(frozen=True)
class LearntUnits:
    """What was learnt, and of what.

    Attributes
    ----------
    intensities : Intensities or None
        None if no unit has enough sequences.
    sequences, people : tuples of A int
        How many sequences show each unit, of how many people.
    left_out : dict of str to int
        Units that too few sequences show, and how many do.
    """

    intensities: Intensities | None
    sequences: tuple[int, ...]
    people: tuple[int, ...]
    left_out: dict[str, int]


def learn_intensities(
    rows: TaggedRows,
    components: NDArray[np.floating],
    stddev: NDArray[np.floating],
    *,
    l1: float,
    l2: float,
    nonnegative: bool,
) -> LearntUnits:
    """Learn how to read intensities off the codes of a basis.

    On each half of the face the fields of the units and their activations in every frame are found together
    (`unit_fields.learn_unit_fields`); a unit tagged with a side is shown on that side only. Sequences without tags are
    left out: nobody said what they do not show. Units whose fields come out alike on both halves are made one. How well
    the basis tells the intensities is found on its codes of the frames, with fields learnt from other people.

    Parameters
    ----------
    rows : TaggedRows
        Tagged sequences.
    components : (K, V, 3) array
        m per standard deviation.
    stddev : (K,) array
        What unit atoms were multiplied by.
    l1, l2, nonnegative
        As the dictionary's codes were found; l1 in m.

    Raises
    ------
    SchemaError
        If a tag is no action unit.
    """
    showing, left_out = _showing(rows)
    if not showing:
        return LearntUnits(None, (), (), left_out)
    z = np.asarray(rows.coordinates[np.concatenate(rows.takes)], np.float64)
    steps = np.cumsum([0, *(len(take) for take in rows.takes)])
    takes = [np.arange(a, b) for a, b in itertools.pairwise(steps)]
    v = np.asarray(rows.directions, np.float64)
    masked = [v * np.repeat(half, 3) for half in (rows.left, 1 - rows.left)]
    grams = [m @ v.T for m in masked]
    groups: list[tuple[str, ...]] = [(unit,) for unit in showing]
    while True:
        shown = _shown(rows.tags, groups)
        found = [_fields(z, grams[side], takes, shown[:, :, side]) for side in range(2)]
        still = [
            u for u in range(len(groups)) if not all(_moves(f, gram)[u] for f, gram in zip(found, grams, strict=True))
        ]
        if still:  # tagged, but nothing moves on one half of the face
            for u in reversed(still):
                left_out |= {unit: sum(unit in map(unit_of, tags) for tags in rows.tags) for unit in groups.pop(u)}
            if not groups:
                return LearntUnits(None, (), (), left_out)
            continue
        same = np.minimum(*(alike(f.fields, gram) for f, gram in zip(found, grams, strict=True)))
        if not (same >= ALIKE).any():
            break
        one, other = sorted(map(int, np.unravel_index(np.argmax(same), same.shape)))
        groups[one] = tuple(sorted(groups[one] + groups.pop(other), key=lambda u: (number_of(u), u)))
    units = tuple("/".join([group[0], *(unit.removeprefix("AU") for unit in group[1:])]) for group in groups)
    flat = np.asarray(components, np.float64).reshape(len(components), -1)
    onto = [m @ flat.T for m in masked]
    truth = by_name(units, FULL * np.stack([f.activation for f in found], -1))
    atoms = flat / np.asarray(stddev, np.float64)[:, None]
    codes = _codes(z @ (v @ atoms.T), atoms, l1, l2, nonnegative) / stddev
    owner = np.repeat(rows.people, np.diff(steps))
    predicted = np.empty_like(truth)
    everybody = np.unique(owner)
    n_folds = min(_FOLDS, len(everybody))
    for fold in range(n_folds):
        held = set(everybody[fold::n_folds].tolist())
        kept = [i for i, person in enumerate(rows.people) if person not in held]
        if not kept:
            kept = list(range(len(takes)))
        learnt = [
            _fields(z, grams[side], [takes[i] for i in kept], shown[kept, :, side], found[side]) for side in range(2)
        ]
        inside = np.isin(owner, list(held))
        predicted[inside] = _intensities(units, learnt, grams, onto).read(codes[inside])
    residual, explained = residual_of(predicted, truth)
    made = _intensities(units, found, grams, onto, residual, explained)
    either = shown[:, :, 0] | shown[:, :, 1]
    return LearntUnits(
        made,
        tuple(int(n) for n in either.sum(0)),
        tuple(len({rows.people[s] for s in np.flatnonzero(either[:, u])}) for u in range(len(units))),
        left_out,
    )


def residual_of(
    predicted: NDArray[np.floating], truth: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return residuals (n, 2) and the share of variance explained (n,) of intensities (N, n); see `Intensities`.

    Errors are sorted by what is read, as that is what people see: where nothing is read of a unit that the codes hardly
    tell, a good deal may be shown.
    """
    error = np.asarray(predicted, np.float64) - truth
    residual = np.zeros((truth.shape[1], 2))
    for i, (off, y) in enumerate(zip(error.T, np.asarray(predicted, np.float64).T, strict=True)):
        much = y >= _READ
        residual[i, 0] = np.sqrt((off[~much] ** 2).mean()) if (~much).any() else 0.0
        if much.any():
            more = (off[much] ** 2).mean() - residual[i, 0] ** 2
            residual[i, 1] = np.sqrt(max(more, 0.0) / (y[much] ** 2).mean())
    total = ((truth - truth.mean(0)) ** 2).sum(0)
    explained = 1 - (error**2).sum(0) / np.where(total > 0, total, 1)
    return residual, np.clip(np.where(total > 0, explained, 0), 0, 1)


def _showing(rows: TaggedRows) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the units that enough sequences show on each side, and how many sequences show each of the others."""
    tagged: dict[str, set[int]] = {}
    for number, tags in enumerate(rows.tags):
        for tag in tags:
            tagged.setdefault(unit_of(tag), set()).add(number)
    facial = sorted((unit for unit in tagged if number_of(unit) < _NOT_FACE), key=lambda u: (number_of(u), u))
    enough = []
    for unit in facial:
        by_side = [[s for s in tagged[unit] if {unit, f"{unit}_{side}"} & set(rows.tags[s])] for side in SIDES]
        if all(len(some) >= LEAST_SEQUENCES for some in by_side) and all(
            len({rows.people[s] for s in some}) >= LEAST_PEOPLE for some in by_side
        ):
            enough.append(unit)
    return tuple(enough), {unit: len(tagged[unit]) for unit in facial if unit not in enough}


def _shown(tags: Sequence[tuple[str, ...]], groups: Sequence[tuple[str, ...]]) -> NDArray[np.bool_]:
    """Return which sequence shows which group of units on the left and the right (S, A, 2)."""
    return np.array(
        [[[any({u, f"{u}_{side}"} & set(said) for u in group) for side in SIDES] for group in groups] for said in tags],
        bool,
    )


def _moves(found: UnitFields, gram: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which fields move anything (A,)."""
    energy = np.einsum("ar,rs,as->a", found.fields, gram, found.fields)
    return np.asarray(energy > _NOTHING * energy.max(initial=0.0))


def _fields(
    z: NDArray[np.float64],
    gram: NDArray[np.float64],
    takes: Sequence[NDArray[np.int64]],
    shown: NDArray[np.bool_],
    otherwise: UnitFields | None = None,
) -> UnitFields:
    """Learn fields; those of units that none of these sequences shows, or moves, are taken from `otherwise`."""
    some = np.asarray(shown.any(0))
    if otherwise is None:
        return learn_unit_fields(z, gram, takes, shown)
    learnt = learn_unit_fields(z, gram, takes, shown[:, some])
    fields, activation = otherwise.fields.copy(), np.zeros((len(z), len(some)))
    moves = _moves(learnt, gram)
    fields[np.flatnonzero(some)[moves]] = learnt.fields[moves]
    activation[:, some] = learnt.activation
    return UnitFields(fields, activation)


def _intensities(
    units: tuple[str, ...],
    found: Sequence[UnitFields],
    grams: Sequence[NDArray[np.float64]],
    onto: Sequence[NDArray[np.float64]],
    residual: NDArray[np.float64] | None = None,
    explained: NDArray[np.float64] | None = None,
) -> Intensities:
    n = len(intensity_names(units))
    return Intensities(
        units,
        np.stack([f.fields @ gram @ f.fields.T for f, gram in zip(found, grams, strict=True)]),
        np.stack([f.fields @ products for f, products in zip(found, onto, strict=True)]),
        np.zeros((n, 2)) if residual is None else residual,
        np.ones(n) if explained is None else explained,
    )


def _codes(
    products: NDArray[np.float64], atoms: NDArray[np.float64], l1: float, l2: float, nonnegative: bool
) -> NDArray[np.float64]:
    found = np.zeros_like(products)
    encode_products(
        lambda part: products[part], atoms @ atoms.T, found, l1, max(l2, 1e-9),
        nonnegative=nonnegative, sweeps=1000, tolerance=1e-5, workers=1,
    )  # fmt: skip
    return found
