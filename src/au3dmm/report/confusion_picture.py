"""A confusion matrix to look at: what videos of each class were taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.report.plots_style import figure_bytes

_INK, _FAINT, _LINE = "#222222", "#767676", "#BBBBBB"
_DPI = 110
_CELL = 0.34  # inches
_LEAST = 4.2  # inches
_SMALLEST = 0.55  # of the usual size: numbers of 4 points
_DARK = 0.55  # of the colour map: on darker cells numbers are white


def draw_confusion(
    table: NDArray[np.integer],
    classes: Sequence[str],
    title: str,
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    suffix: str = ".png",
    dpi: int = _DPI,
    width: float | None = None,
) -> bytes:
    """Return the picture as the bytes of a PNG, SVG or PDF; equal tables give equal bytes.

    Parameters
    ----------
    table : (C, C) int array
        Videos: rows are true classes, columns what was said. Numbers in the picture are % of a row.
    classes : sequence of str
        Names of the C classes.
    title : str
        Above it.
    groups : mapping, optional
        Names of groups to their classes: lines are drawn where the group changes, if its classes lie side by side.
    suffix : str
        ``.png``, ``.svg`` or ``.pdf``.
    dpi : int
        Of a PNG.
    width : float, optional
        inches, to which all of it is scaled; default: what its classes need.

    Raises
    ------
    ConfigError
        If numbers could not be read at that width.
    """
    # here: few of those who import this draw
    import matplotlib
    from matplotlib.figure import Figure

    counts = np.asarray(table, np.int64)
    total = counts.sum(1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    n = len(classes)
    usual = max(_LEAST, _CELL * n + 1.6)
    side = width or usual
    size = side / usual
    if size < _SMALLEST:
        raise ConfigError(
            f"width {25.4 * side:.0f} mm: too narrow for {n} classes, expected"
            f" {25.4 * usual * _SMALLEST:.0f} mm or more"
        )
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update({"svg.hashsalt": "au3dmm", "pdf.fonttype": 42, "font.size": 10 * size})
        figure = Figure(figsize=(side, side), dpi=dpi, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i in range(n):
            for j in range(n):
                if counts[i, j]:
                    ink = "white" if share[i, j] > _DARK else _INK
                    axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=7 * size, color=ink)
        rows = [f"{name}  ({count})" for name, count in zip(classes, total[:, 0], strict=True)]
        axes.set_xticks(range(n), list(classes), rotation=90, fontsize=8 * size, color=_INK)
        axes.set_yticks(range(n), rows, fontsize=8 * size, color=_INK)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_color(_LINE)
            spine.set_linewidth(0.8 * size)
        for place in _borders(classes, groups or {}):
            axes.axhline(place, color=_FAINT, linewidth=0.8 * size)
            axes.axvline(place, color=_FAINT, linewidth=0.8 * size)
        axes.set_xlabel("said", color=_INK)
        axes.set_ylabel("true (videos)", color=_INK)
        axes.set_title(title, fontsize=10 * size, color=_INK, loc="left")
        return figure_bytes(figure, suffix, dpi)


def _borders(classes: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[float]:
    """Return between which rows the group changes; nothing if a group is torn apart."""
    home = {name: group for group, names in groups.items() for name in names}
    of = [home.get(name, "") for name in classes]
    changes = [i for i in range(1, len(of)) if of[i] != of[i - 1]]
    return [i - 0.5 for i in changes] if len(changes) + 1 == len(set(of)) else []
