"""Contact sheets of a basis: every AU component as a heat map, every identity component at -2 and +2 sd."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.basis_summary import component_table
from au3dmm.core.meaning import where_words
from au3dmm.errors import SchemaError
from au3dmm.io.atomic import write_bytes
from au3dmm.report.mesh_views import (
    ASPECT,
    FRONT_DEG,
    HEAT,
    THREE_QUARTER_DEG,
    Framing,
    draw_head,
    frame_face,
    on_paper,
)

SHOWN_SD = 2.0
"""Components are shown at this alpha."""
_DPI = 200
# what makes the bytes of PNG, PDF and SVG the same every time
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}
# inches, of a cell
_PICTURE, _BAR, _LINE, _GAP, _HEADER = 1.05, 0.05, 0.098, 0.12, 0.46
_INK, _FAINT = "#222222", "#666666"


@dataclass(frozen=True)
class Text:
    """A line of text in a cell: its place in inches from the cell's upper left corner, its look, and its words."""

    x: float
    y: float
    words: str
    size: float = 5.5
    weight: str = "normal"
    colour: str = _INK
    align: str = "left"


@dataclass(frozen=True)
class Cell:
    """One cell of a sheet: a picture (H, W, 3) at its top, and text below."""

    picture: NDArray[np.uint8]
    texts: tuple[Text, ...]


def write_component_sheet(path: Path, bases: Bases, *, dpi: int = _DPI) -> None:
    """Draw every AU component: the head displaced by 2 sd, from the front and from the side that moves more.

    Colour is how far a vertex moves, mm, on a scale of its own for each component (their largest displacements differ
    by more than an order of magnitude); a bar below each picture gives it. After FACEMORPHIC, Fig. 2.

    Parameters
    ----------
    path : Path
        Ends in .png, .pdf or .svg.
    bases : Bases
        What to draw.
    dpi : int
        Pixels per inch: 200 to look at, 300 for print.

    Raises
    ------
    SchemaError
        If the suffix is another one.
    OutputError
        If the file cannot be written.
    """
    _check_suffix(path)
    table = component_table(bases)
    framing = frame_face(bases.landmarks()[0])
    tagged = any(entry["action_units"] is not None for entry in table)
    cells = (_component_cell(bases, framing, k, entry, tagged, dpi) for k, entry in enumerate(table))
    height = _PICTURE + _BAR + 0.03 + 0.05 + (2 + tagged) * _LINE
    title = f"{bases.k_au} AU components{_kind(bases)}"
    note = f"Displacement at alpha = {SHOWN_SD:g} sd, front and three-quarter view; colour: mm, each on its own scale."
    _write_sheet(path, cells, bases.k_au, (2 * ASPECT * _PICTURE, height), title, note, dpi, least_columns=4)


def write_identity_sheet(path: Path, bases: Bases, *, dpi: int = _DPI) -> None:
    """Draw the mean head, and every identity component at -2 and +2 sd, front and three-quarter view.

    Parameters
    ----------
    path : Path
        Ends in .png, .pdf or .svg.
    bases : Bases
        What to draw.
    dpi : int
        Pixels per inch: 200 to look at, 300 for print.

    Raises
    ------
    SchemaError
        If the suffix is another one.
    OutputError
        If the file cannot be written.
    """
    _check_suffix(path)
    framing = frame_face(bases.landmarks()[0])
    width = 4 * ASPECT * _PICTURE
    cells = (_identity_cell(bases, framing, k, dpi) for k in range(-1, bases.k_id))
    title = f"{bases.k_id} identity components{_kind(bases)}"
    note = f"Mean head, and each component at {sd_words(-SHOWN_SD)} (left pair) and {sd_words(SHOWN_SD)} (right pair)."
    size = (width, _PICTURE + 0.03 + _LINE)
    _write_sheet(path, cells, bases.k_id + 1, size, title, note, dpi, least_columns=2)


def component_picture(
    bases: Bases, framing: Framing, component: int, side: str, height: int
) -> tuple[NDArray[np.uint8], float]:
    """Draw the head displaced by a component at 2 sd, from the front and from a three-quarter view, side by side.

    Parameters
    ----------
    bases : Bases
        The basis.
    framing : Framing
        What part of the head is shown.
    component : int
        Which one.
    side : str
        ``right`` turns the head so that its right is seen, anything else so that its left is.
    height : int
        px

    Returns
    -------
    picture : (height, 2 * width, 4) uint8 array
        sRGB and opacity.
    largest_mm : float
        Displacement with the last of the colours.
    """
    moved = SHOWN_SD * bases.components_au[component]
    length = np.linalg.norm(moved, axis=1)
    largest = float(length.max(initial=0))
    turn = -THREE_QUARTER_DEG if side == "right" else THREE_QUARTER_DEG
    values = length / (largest or 1.0)
    views = [
        draw_head(bases.template + moved, bases.faces, framing, turn_deg=t, height=height, values=values)
        for t in (FRONT_DEG, turn)
    ]
    return np.concatenate(views, axis=1), 1e3 * largest


def identity_picture(
    bases: Bases, framing: Framing, component: int | None, alpha: float, height: int
) -> NDArray[np.uint8]:
    """Draw the head of one identity coefficient (sd), or the mean head: (height, 2 * width, 4), front and turned."""
    head = bases.template if component is None else bases.template + alpha * bases.components_id[component]
    views = (FRONT_DEG, THREE_QUARTER_DEG)
    return np.concatenate([draw_head(head, bases.faces, framing, turn_deg=t, height=height) for t in views], axis=1)


def _component_cell(bases: Bases, framing: Framing, k: int, entry: Mapping[str, Any], tagged: bool, dpi: int) -> Cell:
    height = round(_PICTURE * dpi)
    picture, largest_mm = component_picture(bases, framing, k, entry["side"], height)
    page = on_paper(picture)
    bar = np.full((round((_BAR + 0.03) * dpi), page.shape[1], 3), 255, np.uint8)
    start, end = round(0.12 * dpi), round(0.85 * dpi)
    colours = HEAT[np.linspace(0, len(HEAT) - 1, end - start).astype(int)]
    bar[-round(_BAR * dpi) :, start:end] = np.round(colours * 255)
    y = _PICTURE + 0.024  # so that the bar is at half the height of its numbers
    texts = [
        Text(0.09, y, "0", 4.5, colour=_FAINT, align="right"),
        Text(0.88, y, f"{largest_mm:.3g} mm", 4.5, colour=_FAINT),
    ]
    y = _PICTURE + _BAR + 0.03
    lines = [
        (entry["name"], 30, 6.5, "bold", _INK),
        (where_words(entry["region"], entry["side"]), 40, 5.5, "normal", _FAINT),
    ]
    if tagged:
        lines.append((_action_units(entry["action_units"]), 42, 5.5, "normal", _INK))
    for i, (words, most, size, weight, colour) in enumerate(lines):
        texts.append(Text(0.02, y + 0.03 + i * _LINE * 1.05, _fit(words, most), size, weight, colour))
    return Cell(np.concatenate([page, bar]), tuple(texts))


def _identity_cell(bases: Bases, framing: Framing, k: int, dpi: int) -> Cell:
    height = round(_PICTURE * dpi)
    y = _PICTURE + 0.03
    if k < 0:
        mean = on_paper(identity_picture(bases, framing, None, 0, height))
        return Cell(mean, (Text(0.02, y, "mean", 6.5, "bold"),))
    pair = [on_paper(identity_picture(bases, framing, k, a, height)) for a in (-SHOWN_SD, SHOWN_SD)]
    peak_mm = 1e3 * float(np.linalg.norm(bases.components_id[k], axis=1).max())
    words = f"identity {k + 1}"
    detail = f"largest {peak_mm:.3g} mm per sd"
    half = 2 * ASPECT * _PICTURE
    texts = (
        Text(0.02, y, words, 6.5, "bold"),
        Text(0.75, y, f"{sd_words(-SHOWN_SD)}", colour=_FAINT),
        Text(half + 0.02, y, f"{sd_words(SHOWN_SD)}", colour=_FAINT),
        Text(half + 0.45, y, detail, colour=_FAINT),
    )
    return Cell(np.concatenate(pair, axis=1), texts)


def _write_sheet(
    path: Path,
    cells: Iterator[Cell],
    n: int,
    size: tuple[float, float],
    title: str,
    note: str,
    dpi: int,
    *,
    least_columns: int,
) -> None:
    """Lay cells of a size (width, height in inches) out on one page, a little higher than wide, and write it."""
    width, height = size[0] + _GAP, size[1] + _GAP
    columns = min(n, max(least_columns, math.ceil(math.sqrt(n * height / width / 1.3))))
    rows = -(-n // columns)
    page = (round((columns * width + _GAP) * dpi), round((rows * height + _HEADER) * dpi))
    mosaic = np.full((page[1], page[0], 4), 255, np.uint8)  # with opacity, which spares matplotlib a conversion
    texts = [Text(_GAP, 0.1, title, 10, "bold"), Text(_GAP, 0.28, note, 6, colour=_FAINT)]
    for i, cell in enumerate(cells):
        x, y = _GAP + i % columns * width, _HEADER + i // columns * height
        top, left = round(y * dpi), round(x * dpi)
        mosaic[top : top + cell.picture.shape[0], left : left + cell.picture.shape[1], :3] = cell.picture
        texts += [Text(x + t.x, y + t.y, t.words, t.size, t.weight, t.colour, t.align) for t in cell.texts]
    write_bytes(path, _render(path.suffix.lower(), mosaic, texts, dpi))


def _render(suffix: str, mosaic: NDArray[np.uint8], texts: Sequence[Text], dpi: int) -> bytes:
    height, width = mosaic.shape[0] / dpi, mosaic.shape[1] / dpi
    out = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams["svg.hashsalt"] = "au3dmm"
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box is drawn for it
        figure = Figure(figsize=(width, height), dpi=dpi)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(mosaic, extent=(0, width, height, 0), aspect="auto", interpolation="none")
        for text in texts:
            figure.text(
                text.x / width,
                1 - text.y / height,
                text.words,
                fontsize=text.size,
                fontweight=text.weight,
                color=text.colour,
                ha=text.align,
                va="top",
                parse_math=False,
            )
        figure.savefig(out, format=suffix[1:], dpi=dpi, metadata=_METADATA[suffix])
    return out.getvalue()


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in _METADATA:
        known = ", ".join(_METADATA)
        raise SchemaError(f"{path}: sheets are written as {known}, not as {path.suffix or 'no suffix'!r}")


def _kind(bases: Bases) -> str:
    return " (DEMO basis)" if bases.is_demo else ""


def sd_words(sd: float) -> str:
    """Write a coefficient, with a sign.

    Examples
    --------
    >>> sd_words(2.0), sd_words(-0.5)
    ('+2 sd', '−0.5 sd')
    """
    return f"{'−' if sd < 0 else '+'}{abs(sd):g} sd"


def _action_units(found: Sequence[Mapping[str, Any]] | None) -> str:
    if not found:
        return "no AU" if found is not None else ""
    return ", ".join(value["au"] + ("" if value["r"] is None else f" {value['r']:.2f}") for value in found)


def _fit(words: str, most: int) -> str:
    plain = " ".join(words.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
