"""The map of a dataset's page: which components move when which action unit was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from au3dmm.io.label_statistics import Spread, middle
from au3dmm.io.sessions_index import IndexRow, tally
from au3dmm.report.page_parts import data_address
from au3dmm.report.session_charts import gradient, map_colours, png

_NO_VALUE = (128, 128, 128)  # in no part of the map's colours
_STRONGEST = 3
_BRIGHTEST = 0.7  # quantile over units of their strongest component: what is beyond is as bright
_MOST = 80  # rows: beyond, names are tasks rather than action units


def unit_numbers(name: str) -> set[str]:
    """Return the action units in a name, without their sides.

    Examples
    --------
    >>> sorted(unit_numbers("AU12_left")), sorted(unit_numbers("AU26/27")), unit_numbers("c03_jaw")
    (['12'], ['26', '27'], set())
    """
    found = re.match(r"AU(\d+(?:[/+]\d+)*)", name)
    return set(re.split(r"[/+]", found[1])) if found else set()


def component_units(names: Sequence[str], basis: Mapping[str, Any]) -> list[list[str]]:
    """Return the action units that each component goes with: what the basis says, or else the component's own name."""
    said = basis.get("action_units")
    if isinstance(said, list) and len(said) == len(names):
        return [[str(unit) for unit in units] for units in said]
    return [[name] if name.startswith("AU") else [] for name in names]


def unit_map(rows: Sequence[IndexRow], alpha: Spread | None, units: Sequence[Sequence[str]]) -> dict[str, Any] | None:
    """Return the map as a picture with the names of its rows and columns; None where nothing was asked for.

    Parameters
    ----------
    rows : sequence of IndexRow
        Every recording.
    alpha : Spread or None
        Of the components.
    units : sequence
        Action units that each component goes with.

    Returns
    -------
    dict or None
        ``picture`` (a pixel per cell), ``rows`` with the strongest components of each, names of rows and columns,
        ``values``, ``expected`` (cells in which a component goes with what was asked for), ``high`` (the brightest),
        ``n`` (recordings), ``agree`` (rows of which the strongest component is expected), ``told`` (of so many).
    """
    if alpha is None or not alpha.names:
        return None
    asked = [row for row in rows if row.au and row.session_id in alpha.peaks]
    names = [one.name for one in tally(asked, lambda row: row.au)][:_MOST]
    if not names:
        return None
    cells, n = [], []
    for name in names:
        peaks = np.array([alpha.peaks[row.session_id] for row in asked if row.au == name])
        cells.append(middle(peaks))
        n.append(len(peaks))
    values = np.array(cells)
    known = np.isfinite(values)
    # one unit that moves the jaw by many deviations would leave all others dark
    tops = np.where(known, values, 0.0).max(1)
    high = float(np.quantile(tops, _BRIGHTEST)) if known.any() else 0.0
    level = np.clip(np.nan_to_num(values) / (high or 1.0), 0, 1)
    picture = map_colours(256)[np.rint(255 * level).astype(np.int64)]
    picture[~known] = _NO_VALUE
    theirs = [set().union(*map(unit_numbers, said)) for said in units]
    expected = [(i, k) for i, name in enumerate(names) for k, said in enumerate(theirs) if unit_numbers(name) & said]
    goes = {i for i, _ in expected}
    best = {
        i: int(np.argmax(np.where(known[i], values[i], -np.inf)))
        for i in range(len(names))
        if values[i][known[i]].any()
    }
    strongest = [
        [
            (alpha.names[k], f"{values[i, k]:.2f}", (i, int(k)) in expected)
            for k in np.argsort(-np.where(known[i], values[i], -np.inf), kind="stable")[:_STRONGEST]
            if known[i, k] and values[i, k] > 0
        ]
        for i in range(len(names))
    ]
    return {
        "picture": data_address(png(np.ascontiguousarray(picture)), "image/png"),
        "rows": [{"name": name, "n": m, "strongest": said} for name, m, said in zip(names, n, strongest, strict=True)],
        "row_names": names,
        "column_names": list(alpha.names),
        "units": [
            ", ".join(unit for unit in said if unit != name) for name, said in zip(alpha.names, units, strict=True)
        ],
        "values": [
            [round(float(v), 2) if ok else None for v, ok in zip(*pair, strict=True)]
            for pair in zip(values, known, strict=True)
        ],
        "expected": [
            {"left": round(100 * (k + 0.5) / len(alpha.names), 3), "top": round(100 * (i + 0.5) / len(names), 3)}
            for i, k in expected
        ],
        "high": f"{high:.2g}",
        "beyond": bool((tops > high).any()),
        "gradient": gradient(map_colours(9)),
        "n": len([row for row in asked if row.au in names]),
        "agree": sum((i, k) in expected for i, k in best.items() if i in goes),
        "told": sum(i in goes for i in best),
    }
