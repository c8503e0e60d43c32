"""Which vertices each action unit moves: masks for any basis, from its components, or else from the face's parts.

AU-D3DFace takes such masks as given ("pre-defined") and lists none; these are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.regions import REGIONS, vertex_regions
from au3dmm.errors import SchemaError

MASKS_VERSION = 1
"""Of the rule that makes masks: another rule, another number. Networks trained with other masks say so."""
_HELD = 0.95  # of the energy of a unit's components: `meaning.Meaning.support` has the same share
_UNIT = re.compile(r"AU(\d+)(?:_(left|right))?$")

# After Ekman, Friesen and Hager 2002: where the skin is seen to move. Numbers that are not here move the whole head.
_PARTS: dict[str, tuple[int, ...]] = {
    "brows forehead": (1, 2, 3),
    "brows forehead nose": (4,),
    "eyes": (5, 7, 41, 42, 43, 44, 45, 46, 61, 62, 63, 64),
    "eyes cheeks": (6,),
    "nose cheeks lips": (9, 11),
    "nose lips cheeks": (10,),
    "lips cheeks": (12, 13, 14, 20, 33, 34, 35, 36),
    "lips chin": (15, 16, 17),
    "lips": (8, 18, 19, 22, 23, 24, 25, 28, 32, 37),
    "neck chin": (21,),
    "lips chin jaw": (26, 27, 29, 30, 31),
    "nose": (38, 39),
}
_OF_UNIT = {number: tuple(parts.split()) for parts, numbers in _PARTS.items() for number in numbers}
_ALSO = {45: 43, 46: 43}  # blinks and winks are short AU43: its components show them, where none is theirs
Source = Literal["components", "parts", "head"]


@dataclass(frozen=True)
class UnitMasks:
    """Masks of N action units on a mesh of V vertices.

    Attributes
    ----------
    units : tuple of N str
        Like ``AU12`` or ``AU12_left``.
    masks : (N, V) bool array
        Which vertices each sees; at least one.
    sources : tuple of N str
        ``components``: of those that show the unit, the fewest vertices with 95 % of the motion's energy; ``parts``:
        parts of the face that the unit moves, as no component does; ``head``: all vertices, of units that move the head
        or that nothing is known of.
    topology_hash : str
        Of the mesh.
    version : int
        Of the rule.
    """

    units: tuple[str, ...]
    masks: NDArray[np.bool_]
    sources: tuple[Source, ...]
    topology_hash: str
    version: int = MASKS_VERSION

    def __post_init__(self) -> None:
        if self.masks.ndim != 2 or len(self.masks) != len(self.units) or len(self.sources) != len(self.units):
            raise SchemaError(f"unit masks: {self.masks.shape} for {len(self.units)} units; expected (N, V)")
        empty = [unit for unit, mask in zip(self.units, self.masks, strict=True) if not mask.any()]
        if empty:
            raise SchemaError(f"unit masks: {empty[0]} sees no vertex; expected at least one")

    def check(self, topology_hash: str, n_vertices: int) -> None:
        """Refuse to be used on another mesh.

        Raises
        ------
        SchemaError
            If the mesh is another one.
        """
        if topology_hash != self.topology_hash or n_vertices != self.masks.shape[1]:
            raise SchemaError(
                f"unit masks: of a mesh of {self.masks.shape[1]} vertices, topology {self.topology_hash[:12]}; the"
                f" faces have {n_vertices}, topology {topology_hash[:12]}; make masks from their own basis"
            )


def unit_masks(bases: Bases, units: Sequence[str]) -> UnitMasks:
    """Make the masks of some action units on a basis' mesh.

    A component shows a unit if it is named after it (``AU12``, ``AU12_left``), or if it is the unit that the component
    goes with best in the corpora that it was learnt from. A unit without a side is shown by both sides' components,
    a unit with one by its side's, and of the others by their vertices on that side alone.

    Parameters
    ----------
    bases : Bases
        Any.
    units : sequence of str
        ``AU12``, ``AU12_left``.

    Raises
    ------
    SchemaError
        If a name is none of an action unit.

    Examples
    --------
    >>> sorted(_OF_UNIT[4])
    ['brows', 'forehead', 'nose']
    """
    shown = _shown(bases)
    squared = np.einsum("kvd,kvd->kv", bases.components_au, bases.components_au)
    landmarks = bases.landmarks()[0]
    regions: NDArray[np.int8] | None = None
    # to the subject's left is +x: the mesh looks along z with y up
    leftwards = bases.template[:, 0] > float(landmarks[[27, 30, 33, 8], 0].mean())
    masks, sources = [], []
    for unit in units:
        number, side = _parsed(unit)
        mine = [k for k, (n, s) in enumerate(shown) if n == number and (side is None or s in (None, side))]
        if not mine and number in _ALSO:
            mine = [k for k, (n, s) in enumerate(shown) if n == _ALSO[number] and (side is None or s in (None, side))]
        energy = squared[mine].sum(0)
        source: Source = "components"
        if not energy.any():
            if number in _OF_UNIT:
                regions = vertex_regions(bases.template, landmarks) if regions is None else regions
                source = "parts"
                energy = np.isin(regions, [REGIONS.index(part) for part in _OF_UNIT[number]]).astype(float)
            else:
                source, energy = "head", np.ones(len(bases.template))
        if side is not None:
            both = all(shown[k][1] is None for k in mine)
            half = leftwards if side == "left" else ~leftwards
            energy = np.where(half, energy, 0.0) if both else energy
        masks.append(_fewest(energy) if source == "components" else energy > 0)
        sources.append(source)
    stacked = np.array(masks, bool).reshape(len(masks), len(bases.template))
    return UnitMasks(tuple(units), stacked, tuple(sources), bases.topology_hash())


def _fewest(energy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the fewest vertices that hold `_HELD` of the energy; of equals, all."""
    largest_first = -np.sort(-energy)
    last = int((np.cumsum(largest_first) < _HELD * largest_first.sum()).sum())
    return np.asarray(energy >= largest_first[last])


def _shown(bases: Bases) -> list[tuple[int, str | None]]:
    """Return which unit, and which side of it, each component shows; -1 where nobody knows."""
    entries = bases.info.get("components")
    known = entries if isinstance(entries, list) and len(entries) == bases.k_au else [None] * bases.k_au
    found: list[tuple[int, str | None]] = []
    for name, entry in zip(bases.names_au, known, strict=True):
        named = _UNIT.match(name)
        tags = entry.get("action_units") if isinstance(entry, Mapping) else None
        if named is None and isinstance(tags, list) and tags and isinstance(tags[0], Mapping):
            named = _UNIT.match(str(tags[0].get("au")))  # strongest first
        found.append((-1, None) if named is None else (int(named[1]), named[2]))
    return found


def _parsed(unit: str) -> tuple[int, str | None]:
    found = _UNIT.match(unit)
    if found is None:
        raise SchemaError(f"unit masks: {unit!r} is no action unit; expected names like AU12 or AU12_left")
    return int(found[1]), found[2]
