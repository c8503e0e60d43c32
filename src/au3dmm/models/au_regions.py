"""Which action units lie in which part of the face (MDHR sec. 3.2), as tables, and the rows of a map that show it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Part = Literal["upper", "middle", "lower", "whole"]
_SEVENTHS: Mapping[Part, tuple[int, int]] = {"upper": (0, 3), "middle": (2, 5), "lower": (4, 7), "whole": (0, 7)}
_NAMED = 4
_MOST = 8  # units of a region: 256 combinations

TABLES: Mapping[str, Mapping[str, tuple[Part, tuple[int, ...]]]] = {
    "bp4d": {
        "upper": ("upper", (1, 2, 4, 7)),
        "middle": ("middle", (6,)),
        "lower 1": ("lower", (12, 14, 15)),
        "lower 2": ("lower", (10, 17, 23, 24)),
    },
    "disfa": {
        "upper": ("upper", (1, 2, 4)),
        "middle": ("middle", (6, 9)),
        "lower": ("lower", (12, 25, 26)),
    },
    "facemorphic": {
        "brows": ("upper", (1, 2, 4)),
        "lids": ("upper", (7, 43, 45)),
        "middle": ("middle", (6, 9)),
        "corners": ("lower", (12, 14, 15)),
        "lips": ("lower", (10, 17, 23, 24)),
        "jaw": ("lower", (25, 26, 27)),
        "head": ("whole", (51, 52, 53, 54, 55, 56)),
    },
    "face": {
        "brows": ("upper", (1, 2, 4)),
        "lids": ("upper", (5, 7, 43, 45, 46)),
        "middle": ("middle", (6, 9, 11)),
        "corners": ("lower", (12, 13, 14, 15, 20)),
        "lips": ("lower", (10, 17, 18, 22, 23, 24)),
        "jaw": ("lower", (16, 25, 26, 27, 28)),
        "head": ("whole", (51, 52, 53, 54, 55, 56)),
    },
}
"""Regions by table and name: the part of the face, and the numbers of the action units whose combination is told there.

``bp4d`` and ``disfa`` are the released code's. ``facemorphic`` and ``face`` (any unit of the face) are ours: what moves
together stays together, no region has more than six units (64 combinations), and head movements, which move the whole
picture, are seen in all of it. A region of the same part is another region: its units may attend to one another.
"""


class Region(NamedTuple):
    """A part of the face and the units that are recognised there.

    Attributes
    ----------
    name : str
    part : {"upper", "middle", "lower", "whole"}
    units : tuple of int
        Places of its units among those that are recognised.
    """

    name: str
    part: Part
    units: tuple[int, ...]


def units_of(table: str, n: int | None = None) -> tuple[str, ...]:
    """Return the units of a table, as people count; or `n` of them, spread evenly.

    Raises
    ------
    ValueError
        If there is no such table, or it has fewer units.

    Examples
    --------
    >>> units_of("disfa"), units_of("bp4d", 3)
    (('AU1', 'AU2', 'AU4', 'AU6', 'AU9', 'AU12', 'AU25', 'AU26'), ('AU1', 'AU7', 'AU15'))
    """
    numbers = sorted(number for _, units in _table(table).values() for number in units)
    if n is not None:
        if n > len(numbers):
            raise ValueError(f"regions = {table!r} has {len(numbers)} action units, not n_occurrence = {n}; name units")
        numbers = [numbers[i * len(numbers) // n] for i in range(n)]
    return tuple(f"AU{number}" for number in numbers)


def regions_of(table: str, units: Sequence[str]) -> tuple[Region, ...]:
    """Return the regions of the units that are to be recognised; regions without any are left out.

    Parameters
    ----------
    table : str
        A key of `TABLES`.
    units : sequence of str
        ``AU12``, ``AU12_left``, ...

    Raises
    ------
    ValueError
        If there is no such table, a unit stands twice or has no region in it, or a region has too many.

    Examples
    --------
    >>> [(region.name, region.part, region.units) for region in regions_of("disfa", ["AU1", "AU4", "AU12"])]
    [('upper', 'upper', (0, 1)), ('lower', 'lower', (2,))]
    """
    known = _table(table)
    twice = [unit for i, unit in enumerate(units) if unit in units[:i]]
    if twice:
        raise ValueError(f"units has {twice[0]} twice, expected each once")
    where = {f"AU{number}": name for name, (_, numbers) in known.items() for number in numbers}
    found = {unit: where.get(re.sub(r"_(left|right)$", "", unit)) for unit in units}
    lost = [unit for unit, name in found.items() if name is None]
    if lost:
        better = [name for name in TABLES if name != table and not _missing(name, units)]
        raise ValueError(
            f"regions = {table!r} has no region for {_few(lost)}; it knows {', '.join(units_of(table))};"
            + (f" {' and '.join(better)} would do" if better else " no table does: leave these units out")
        )
    regions = [
        Region(name, part, tuple(i for i, unit in enumerate(units) if found[unit] == name))
        for name, (part, _) in known.items()
    ]
    full = [region for region in regions if len(region.units) > _MOST]
    if full:
        raise ValueError(
            f"region {full[0].name!r} of regions = {table!r} has {len(full[0].units)} of the units, expected at most"
            f" {_MOST}; leave some out"
        )
    return tuple(region for region in regions if region.units)


def rows_of(part: Part, height: int) -> slice:
    """Return the rows of a map that show a part of the face: equation 7, rounded outwards.

    Examples
    --------
    >>> [(rows.start, rows.stop) for rows in (rows_of(part, 7) for part in ("upper", "middle", "lower", "whole"))]
    [(0, 3), (2, 5), (4, 7), (0, 7)]
    >>> [(rows.start, rows.stop) for rows in (rows_of(part, 2) for part in ("upper", "middle", "lower", "whole"))]
    [(0, 1), (0, 2), (1, 2), (0, 2)]
    """
    first, end = _SEVENTHS[part]
    return slice(first * height // 7, -(-end * height // 7))


def combinations_of(regions: Sequence[Region], n_units: int) -> Tensor:
    """Return what combinations of units each region may show, one region after another.

    The number of a combination within its region is the binary number of its units, the first unit's digit first.

    Returns
    -------
    (Q, n_units) float32 Tensor
        1 where the combination has the unit, 0 where not, NaN where the unit is of another region.
    """
    rows = []
    for region in regions:
        for digits in itertools.product((0.0, 1.0), repeat=len(region.units)):
            row = torch.full((n_units,), torch.nan)
            row[list(region.units)] = torch.tensor(digits)
            rows.append(row)
    return torch.stack(rows)


def same_region(regions: Sequence[Region], n_units: int) -> Tensor:
    """Return whether two units are in the same region, (n_units, n_units) bool."""
    of = torch.zeros(n_units, dtype=torch.int64)
    for i, region in enumerate(regions):
        of[list(region.units)] = i
    return of[:, None] == of[None]


def _table(name: str) -> Mapping[str, tuple[Part, tuple[int, ...]]]:
    if name not in TABLES:
        raise ValueError(f"regions is {name!r}, expected one of {', '.join(TABLES)}")
    return TABLES[name]


def _missing(table: str, units: Sequence[str]) -> bool:
    known = set(units_of(table))
    return any(re.sub(r"_(left|right)$", "", unit) not in known for unit in units)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
