"""A confusion matrix to look at: what videos of each class were taken for."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_INK, _FAINT, _LINE = "#222222", "#767676", "#BBBBBB"
_DPI = 110
_CELL = 0.34  # inches
_LEAST = 4.2  # inches
_DARK = 0.55  # of the colour map: on darker cells numbers are white


def draw_confusion(
    table: NDArray[np.integer],
    classes: Sequence[str],
    title: str,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> bytes:
    """Return the picture as the bytes of a PNG; equal tables give equal bytes.

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
    """
    # here: few of those who import this draw
    import matplotlib
    from matplotlib.figure import Figure

    counts = np.asarray(table, np.int64)
    total = counts.sum(1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    n = len(classes)
    side = max(_LEAST, _CELL * n + 1.6)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i in range(n):
            for j in range(n):
                if counts[i, j]:
                    ink = "white" if share[i, j] > _DARK else _INK
                    axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=7, color=ink)
        rows = [f"{name}  ({count})" for name, count in zip(classes, total[:, 0], strict=True)]
        axes.set_xticks(range(n), list(classes), rotation=90, fontsize=8, color=_INK)
        axes.set_yticks(range(n), rows, fontsize=8, color=_INK)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_color(_LINE)
        for place in _borders(classes, groups or {}):
            axes.axhline(place, color=_FAINT, linewidth=0.8)
            axes.axvline(place, color=_FAINT, linewidth=0.8)
        axes.set_xlabel("said", color=_INK)
        axes.set_ylabel("true (videos)", color=_INK)
        axes.set_title(title, fontsize=10, color=_INK, loc="left")
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        return png.getvalue()


def _borders(classes: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[float]:
    """Return between which rows the group changes; nothing if a group is torn apart."""
    home = {name: group for group, names in groups.items() for name in names}
    of = [home.get(name, "") for name in classes]
    changes = [i for i in range(1, len(of)) if of[i] != of[i - 1]]
    return [i - 0.5 for i in changes] if len(changes) + 1 == len(set(of)) else []
