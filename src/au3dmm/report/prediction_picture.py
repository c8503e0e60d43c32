"""What a model says of a recording over time, to look at: probabilities as a map, and the coefficients that move."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INK, _FAINT, _LINE = "#222222", "#767676", "#BBBBBB"
_CURVES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # told apart by everybody (Okabe and Ito)
_BEST = "#D55E00"
_DPI = 110
_ROW = 0.17  # inches


def draw_predictions(
    edges_s: NDArray[np.float64],
    maps: Sequence[tuple[str, Sequence[str], NDArray[np.float64]]],
    names_alpha: Sequence[str],
    alpha: NDArray[np.float64] | None,
    title: str,
) -> bytes:
    """Return the picture as the bytes of a PNG; equal numbers give equal bytes.

    Parameters
    ----------
    edges_s : (T + 1,) array
        Where stretches of time begin and end, s.
    maps : sequence of (str, names, (T, C) array)
        Title, rows and probabilities; NaN where nothing was said. The most probable row of the first is marked.
    names_alpha : sequence of str
        Of the K coefficients.
    alpha : (T, K) array or None
        Of which those that vary most are drawn, standard deviations.
    title : str
        Above it.
    """
    # here: few of those who import this draw
    import matplotlib
    from matplotlib.figure import Figure

    heights = [max(0.9, _ROW * len(names)) for _, names, _ in maps] + ([1.6] if alpha is not None else [])
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        figure = Figure(figsize=(9.5, sum(heights) + 0.55 * len(heights) + 0.5), dpi=_DPI, layout="constrained")
        rooms = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[
            :, 0
        ]
        for i, (what, names, values) in enumerate(maps):
            _draw_map(figure, rooms[i], edges_s, what, names, values, mark=i == 0)
        if alpha is not None:
            _draw_curves(rooms[-1], edges_s, names_alpha, alpha)
        for axes in rooms:
            axes.set_xlim(edges_s[0], edges_s[-1])
            axes.tick_params(length=2, labelsize=7, colors=_INK)
            for spine in axes.spines.values():
                spine.set_color(_LINE)
        rooms[-1].set_xlabel("s from the first event frame", fontsize=8, color=_INK)
        figure.suptitle(title, fontsize=10, color=_INK, x=0.01, ha="left")
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        return png.getvalue()


def strongest(alpha: NDArray[np.float64], n: int = len(_CURVES)) -> list[int]:
    """Return the columns that vary most, the most varied first; none where nothing is known.

    Examples
    --------
    >>> strongest(np.array([[0.0, 1.0, 5.0], [0.1, 3.0, 5.0], [np.nan, np.nan, np.nan]]), 2)
    [1, 0]
    """
    known = alpha[~np.isnan(alpha).any(1)]
    if not len(known):
        return []
    return [int(i) for i in np.argsort(-known.std(0), kind="stable")[:n]]


def _draw_map(
    figure: Any, axes: Any, edges: NDArray[np.float64], what: str, names: Sequence[str],
    values: NDArray[np.float64], *, mark: bool,
) -> None:  # fmt: skip
    shown = np.ma.masked_invalid(values.T)
    picture = axes.pcolormesh(
        edges, np.arange(len(names) + 1) - 0.5, shown, cmap="Blues", vmin=0, vmax=1, rasterized=True
    )
    axes.set_facecolor("#EEEEEE")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), list(names))
    axes.set_title(what, fontsize=8, color=_INK, loc="left")
    figure.colorbar(picture, ax=axes, pad=0.01, fraction=0.03).ax.tick_params(labelsize=7)
    if mark:
        known = ~np.isnan(values[:, 0])
        best = np.where(known, np.nan_to_num(values).argmax(1), np.nan)
        middle = (edges[1:] + edges[:-1]) / 2
        axes.plot(middle, best, ".", color=_BEST, markersize=2)


def _draw_curves(axes: Any, edges: NDArray[np.float64], names: Sequence[str], alpha: NDArray[np.float64]) -> None:
    middle = (edges[1:] + edges[:-1]) / 2
    axes.axhline(0, color=_LINE, linewidth=0.8)
    for i, colour in zip(strongest(alpha), _CURVES, strict=False):
        axes.plot(middle, alpha[:, i], color=colour, linewidth=1.1, label=names[i])
    axes.set_title("coefficients that vary most, standard deviations", fontsize=8, color=_INK, loc="left")
    if axes.lines[1:]:
        axes.legend(fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4)


__all__ = ["draw_predictions", "strongest"]
