"""Curves of a labelled session: the coefficients that move most, with their uncertainty."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.intensity_columns import names_intensity
from au3dmm.io.tables import action_units, names_au, read_metadata, read_table, vectors
from au3dmm.report.plots_style import COLOURS, FAINT, INK, LINE, PRINT_DPI, figure_bytes, print_style, title_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _TOP, _FOOT, _LEFT, _RIGHT = 0.62, 0.3, 0.36, 0.46, 0.08  # inches
_PER_INCH, _LINE_HEIGHT = 25, 0.1  # characters; inches, of small text
_AXIS = {"sd": "standard deviations", "0 to 5": "intensity, 0 to 5"}
_MANY = 20_000  # points beyond which a curve is drawn as pixels, also in a vector file
_SPLIT_US = 250_000  # rows farther apart than this are not joined


@dataclass(frozen=True)
class Curves:
    """What is drawn of a session.

    Attributes
    ----------
    session_id : str
        Whose.
    names : tuple of str
        Of the K curves, with the action units that each goes with.
    t_s : (N,) array
        When, s from the first row.
    values, std : (N, K) arrays
        NaN where there is nothing.
    unit : str
        Of the values.
    what : str
        What the values are, in the plural.
    is_demo : bool
        Whether they were made with the basis for trying out.
    rows_ok : int
        Rows that have values.
    """

    session_id: str
    names: tuple[str, ...]
    t_s: NDArray[np.float64]
    values: NDArray[np.float32]
    std: NDArray[np.float32]
    unit: str
    what: str
    is_demo: bool
    rows_ok: int

    def strongest(self, n: int) -> list[int]:
        """Return the n curves whose values vary most, the most varied first; units, not also their sides."""
        known = self.values[np.isfinite(self.values).any(1)]
        if not len(known):
            return []
        seen = np.isfinite(known)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, known, 0).sum(0) / count
        spread = np.where(seen, (known - mean) ** 2, 0).sum(0) / count
        order = [int(k) for k in np.argsort(-spread, kind="stable") if seen[:, k].any()]
        # a unit stands for its sides, which are shown by name
        whole = {name.rpartition("_")[0] for name in self.names} & set(self.names)
        return [k for k in order if self.names[k].rpartition("_")[0] not in whole][:n]

    def named(self, wanted: Sequence[str]) -> list[int]:
        """Return the curves of these names: that of a component, the beginning of it, or an action unit.

        Raises
        ------
        ConfigError
            If there is none of a name.
        """
        found = []
        for word in wanted:
            mine = [k for k, name in enumerate(self.names) if word in (name, *_words(name))]
            mine = mine or [k for k, name in enumerate(self.names) if name.startswith(f"{word}_")]
            if not mine:
                raise ConfigError(f"no {self.what} {word!r} in {self.session_id!r}; there are: {', '.join(self.names)}")
            found += [k for k in mine if k not in found]
        return found


def _words(name: str) -> list[str]:
    return name.replace("(", " ").replace(")", " ").replace(",", " ").split()


def read_curves(labels: Path, *, intensities: bool = False) -> Curves:
    """Read the curves of a session's labels, or of its coefficients where it has no events.

    Parameters
    ----------
    labels : Path
        ``labels.parquet`` or ``coefficients.parquet``.
    intensities : bool
        Those of FACS-like intensities instead of coefficients.

    Raises
    ------
    SchemaError
        If it is neither, or has no intensities.
    """
    table, metadata = read_table(labels), read_metadata(labels)
    if metadata["table"] not in ("labels", "coefficients"):
        raise SchemaError(f"{labels}: a table of {metadata['table']}, expected labels or coefficients")
    if intensities:
        column, unit, what = "au_intensity", "0 to 5", "action unit"
        if column not in table.column_names:
            raise SchemaError(f"{labels}: no action unit intensities; the basis must have them (fit-bases makes such)")
        names = [str(name) for name in names_intensity(table)]
    else:
        column, unit, what = "alpha_au", "sd", "component"
        names = [
            name if not units or units == [name] else f"{name} ({', '.join(units)})"
            for name, units in zip(names_au(table), action_units(table), strict=True)
        ]
    values, valid = vectors(table, column)
    std = vectors(table, f"{column}_std")[0] if f"{column}_std" in table.column_names else np.full_like(values, np.nan)
    t_us = table["t_label_us" if metadata["table"] == "labels" else "t_rgb_us"].to_numpy()
    name = str(table["session_id"][0].as_py()) if "session_id" in table.column_names and len(table) else ""
    basis = metadata.get("basis") or {}
    return Curves(
        name or labels.resolve().parent.name,
        tuple(names),
        (t_us - (t_us[0] if len(t_us) else 0)) / 1e6,
        values,
        std,
        unit,
        what,
        basis.get("kind") == "demo",
        int(valid.sum()),
    )


def coefficients_figure(curves: Curves, chosen: Sequence[int], width: float) -> Figure:
    """Draw curves one below the other, with a band of one standard deviation; call within `print_style`.

    Parameters
    ----------
    curves : Curves
    chosen : sequence of int
        Which, from the top down.
    width : float
        inches
    """
    from matplotlib.figure import Figure

    n = max(len(chosen), 1)
    demo = " (DEMO basis)" if curves.is_demo else ""
    told = textwrap.wrap(
        f"{len(chosen)} of {len(curves.names)} {_plural(curves.what)}; values in {curves.rows_ok} of N ="
        f" {len(curves.t_s)} frames; band: ± 1 standard deviation",
        max(int(width * _PER_INCH), 30),
    )
    top = _TOP + _LINE_HEIGHT * len(told)
    height = top + n * _ROW + _FOOT
    figure = Figure(figsize=(width, height))
    rooms = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=_LEFT / width, right=1 - _RIGHT / width, top=1 - top / height, bottom=_FOOT / height, hspace=0.28
    )
    title = f"{curves.session_id}{demo}"
    size = title_size(title, width)
    figure.text(0.06 / width, 1 - 0.05 / height, title, weight="bold", va="top", color=INK, fontsize=size)
    figure.text(0.06 / width, 1 - 0.2 / height, "\n".join(told), va="top", color=FAINT, fontsize=6)
    for i, axes in enumerate(rooms):
        draw_gaps(axes, curves)
        if i < len(chosen):
            draw_curve(axes, curves, chosen[i], COLOURS[0])
            axes.set_title(curves.names[chosen[i]], loc="left", pad=1.5, color=INK, fontsize=6.5)
        else:
            axes.text(0.5, 0.5, "no values", ha="center", va="center", transform=axes.transAxes, color=FAINT)
        axes.set_xlim(0, max(float(curves.t_s[-1]) if len(curves.t_s) else 0.0, 1e-3))
        axes.tick_params(colors=INK, labelsize=6.5, width=0.5, length=2.5)  # ticks are made later, without this style
    rooms[-1].set_xlabel("s from the first frame", color=INK)
    figure.supylabel(_AXIS.get(curves.unit, curves.unit), x=0.1 / width, fontsize=7, color=INK)
    return figure


def draw_coefficients(
    curves: Curves, chosen: Sequence[int], width: float, suffix: str = ".png", dpi: int = PRINT_DPI
) -> bytes:
    """Return `coefficients_figure` as the bytes of a PNG, SVG or PDF; equal tables give equal bytes."""
    with print_style():
        return figure_bytes(coefficients_figure(curves, chosen, width), suffix, dpi)


def draw_curve(axes: Axes, curves: Curves, k: int, colour: str, *, band: bool = True) -> Any:
    """Draw one curve, broken where rows are far apart or empty; return its line."""
    t = curves.t_s.copy()
    value, std = curves.values[:, k].astype(np.float64), curves.std[:, k].astype(np.float64)
    if len(t) > 1:
        steps = np.diff(t)
        breaks = 1 + np.flatnonzero(steps > max(_SPLIT_US / 1e6, 4 * float(np.median(steps))))
        t, value, std = (np.insert(x, breaks, np.nan) for x in (t, value, std))
    many = len(t) > _MANY
    if band and np.isfinite(std).any():
        low = np.maximum(value - std, 0) if (value[np.isfinite(value)] >= 0).all() else value - std
        axes.fill_between(t, low, value + std, color=colour, alpha=0.25, lw=0, rasterized=many)
    (line,) = axes.plot(t, value, color=colour, lw=0.8, solid_joinstyle="round", rasterized=many)
    axes.axhline(0, color=LINE, lw=0.4, zorder=0)
    return line


def draw_gaps(axes: Axes, curves: Curves) -> None:
    """Shade the stretches that have no values."""
    if not len(curves.t_s):
        return
    empty = ~np.isfinite(curves.values).any(1)
    edges = np.flatnonzero(np.diff(np.r_[False, empty, False].astype(np.int8)))
    middle = np.r_[curves.t_s[0], (curves.t_s[1:] + curves.t_s[:-1]) / 2, curves.t_s[-1]]
    for first, end in edges.reshape(-1, 2):
        axes.axvspan(middle[first], middle[end], color="#EEEEEE", lw=0, zorder=-1)


def _plural(what: str) -> str:
    return f"{what}s"
