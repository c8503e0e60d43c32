"""Contact sheets of a basis: every AU component as a heat map, every identity component at -2 and +2 sd."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.basis_summary import component_table
from au3dmm.core.meaning import where_words
from au3dmm.io.atomic import write_bytes
from au3dmm.report.component_views import SHOWN_SD, BasisPictures, Heat
from au3dmm.report.mesh_views import HEAT, on_paper
from au3dmm.report.plots_style import METADATA, suffix_of

_DPI = 200
# inches, of a cell
_PICTURE, _BAR, _LINE, _GAP, _HEADER = 1.15, 0.05, 0.098, 0.12, 0.46
PICTURE_PX = round(_PICTURE * _DPI)
"""Height of a picture on a sheet of the usual resolution."""
_PER_INCH = 24  # characters of a note
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


def write_component_sheet(
    path: Path,
    bases: Bases,
    *,
    dpi: int = _DPI,
    pictures: BasisPictures | None = None,
    width: float | None = None,
) -> None:
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
    pictures : BasisPictures, optional
        Of this basis; what they hold is not drawn again.
    width : float, optional
        inches; as many columns as go into it, one at least. Default: a page a little higher than wide.

    Raises
    ------
    SchemaError
        If the suffix is another one.
    OutputError
        If the file cannot be written.
    """
    suffix_of(path)
    table = component_table(bases)
    pictures = pictures or BasisPictures(bases)
    tagged = any(entry["action_units"] is not None for entry in table)
    cells = (_component_cell(pictures, k, entry, tagged, dpi) for k, entry in enumerate(table))
    height = _PICTURE + _BAR + 0.03 + 0.05 + (2 + tagged) * _LINE
    title = f"{bases.k_au} AU components{_kind(bases)}"
    note = (
        f"Displacement at alpha = {SHOWN_SD:g} sd, front and three-quarter view. Colour: mm, each on its own scale; "
        "arrows: direction."
    )
    _write_sheet(
        path,
        cells,
        bases.k_au,
        (pictures.of_components.aspect * _PICTURE, height),
        title,
        note,
        dpi,
        least_columns=4,
        width=width,
    )


def write_identity_sheet(
    path: Path,
    bases: Bases,
    *,
    dpi: int = _DPI,
    pictures: BasisPictures | None = None,
    width: float | None = None,
) -> None:
    """Draw the mean head, and every identity component at -2 and +2 sd, front and three-quarter view.

    Parameters
    ----------
    path : Path
        Ends in .png, .pdf or .svg.
    bases : Bases
        What to draw.
    dpi : int
        Pixels per inch: 200 to look at, 300 for print.
    pictures : BasisPictures, optional
        Of this basis; what they hold is not drawn again.
    width : float, optional
        inches; as many columns as go into it, one at least. Default: a page a little higher than wide.

    Raises
    ------
    SchemaError
        If the suffix is another one.
    OutputError
        If the file cannot be written.
    """
    suffix_of(path)
    pictures = pictures or BasisPictures(bases)
    cells = (_identity_cell(pictures, k, dpi) for k in range(-1, bases.k_id))
    title = f"{bases.k_id} identity components{_kind(bases)}"
    note = (
        f"Mean head, and each component at {sd_words(-SHOWN_SD)} and {sd_words(SHOWN_SD)}; right pair: displacement of "
        f"the mean head at {sd_words(SHOWN_SD)}. Colour: mm, each on its own scale; arrows: direction."
    )
    size = (3 * pictures.of_identities.aspect * _PICTURE, _PICTURE + _BAR + 0.03 + _LINE)
    _write_sheet(path, cells, bases.k_id + 1, size, title, note, dpi, least_columns=2, width=width)


def _component_cell(pictures: BasisPictures, k: int, entry: Mapping[str, Any], tagged: bool, dpi: int) -> Cell:
    page, scale = _with_bar(pictures.component(k, entry["side"], _px(dpi)), dpi)
    y = _PICTURE + _BAR + 0.03
    lines = [
        (entry["name"], 30, 6.5, "bold", _INK),
        (where_words(entry["region"], entry["side"]), 40, 5.5, "normal", _FAINT),
    ]
    if tagged:
        lines.append((_action_units(entry["action_units"]), 42, 5.5, "normal", _INK))
    texts = [
        Text(0.02, y + 0.03 + i * _LINE * 1.05, _fit(words, most), size, weight, colour)
        for i, (words, most, size, weight, colour) in enumerate(lines)
    ]
    return Cell(page, (*scale, *texts))


def _identity_cell(pictures: BasisPictures, k: int, dpi: int) -> Cell:
    y = _PICTURE + 0.03
    if k < 0:
        mean = on_paper(pictures.identity(None, 0, _px(dpi)))
        return Cell(mean, (Text(0.02, y, "mean", 6.5, "bold"),))
    heads = [on_paper(pictures.identity(k, a, _px(dpi))) for a in (-SHOWN_SD, SHOWN_SD)]
    heat, scale = _with_bar(pictures.identity_heat(k, _px(dpi)), dpi)
    page = np.full((heat.shape[0], 3 * heat.shape[1], 3), 255, np.uint8)
    for i, part in enumerate((*heads, heat)):
        page[: part.shape[0], i * heat.shape[1] :][:, : part.shape[1]] = part
    pair = heat.shape[1] / dpi
    texts = (
        Text(0.02, y, f"identity {k + 1}", 6.5, "bold"),
        Text(0.75, y, sd_words(-SHOWN_SD), colour=_FAINT),
        Text(pair + 0.02, y, sd_words(SHOWN_SD), colour=_FAINT),
        *(replace(text, x=text.x + 2 * pair) for text in scale),
    )
    return Cell(page, texts)


def _with_bar(heat: Heat, dpi: int) -> tuple[NDArray[np.uint8], list[Text]]:
    """Put the scale of a heat map below it, and return the numbers at its ends."""
    page = on_paper(heat.picture)
    bar = np.full((round((_BAR + 0.03) * dpi), page.shape[1], 3), 255, np.uint8)
    start, end = round(0.12 * dpi), round(0.85 * dpi)
    colours = HEAT[np.linspace(0, len(HEAT) - 1, end - start).astype(int)]
    bar[-round(_BAR * dpi) :, start:end] = np.round(colours * 255)
    y = _PICTURE + 0.024  # so that the bar is at half the height of its numbers
    ends = [
        Text(0.09, y, "0", 4.5, colour=_FAINT, align="right"),
        Text(0.88, y, f"{heat.largest_mm:.3g} mm", 4.5, colour=_FAINT),
    ]
    return np.concatenate([page, bar]), ends


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
    width: float | None = None,
) -> None:
    """Lay cells of a size (width, height in inches) out on one page, a little higher than wide, and write it."""
    across, height = size[0] + _GAP, size[1] + _GAP
    columns = min(n, max(least_columns, math.ceil(math.sqrt(n * height / across / 1.3))))
    if width is not None:
        columns = min(n, max(1, int((width - _GAP) / across)))
    rows = -(-n // columns)
    wide = max(width or 0.0, columns * across + _GAP)
    across = (wide - _GAP) / columns
    header = _HEADER
    if width is not None:
        lines = textwrap.wrap(note, int(wide * _PER_INCH))
        note, header = "\n".join(lines), header + (len(lines) - 1) * _LINE
    page = (round(wide * dpi), round((rows * height + header) * dpi))
    mosaic = np.full((page[1], page[0], 4), 255, np.uint8)  # with opacity, which spares matplotlib a conversion
    texts = [Text(_GAP, 0.1, title, 10, "bold"), Text(_GAP, 0.28, note, 6, colour=_FAINT)]
    for i, cell in enumerate(cells):
        x, y = _GAP + i % columns * across, header + i // columns * height
        top, left = round(y * dpi), round(x * dpi)
        mosaic[top : top + cell.picture.shape[0], left : left + cell.picture.shape[1], :3] = cell.picture
        texts += [Text(x + t.x, y + t.y, t.words, t.size, t.weight, t.colour, t.align) for t in cell.texts]
    write_bytes(path, _render(path.suffix.lower(), mosaic, texts, dpi))


def _render(suffix: str, mosaic: NDArray[np.uint8], texts: Sequence[Text], dpi: int) -> bytes:
    # a little more for a bitmap, whose size is rounded down
    height, width = ((n + (0.25 if suffix == ".png" else 0)) / dpi for n in mosaic.shape[:2])
    out = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        matplotlib.rcParams["svg.hashsalt"] = "au3dmm"
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box is drawn for it
        figure = Figure(figsize=(width, height), dpi=dpi)
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
        if suffix == ".png":
            # laid under the text here: matplotlib takes seconds to do so, for it resamples the picture
            raw = io.BytesIO()
            figure.savefig(raw, format="rgba", dpi=dpi, transparent=True)
            words = np.frombuffer(raw.getvalue(), np.uint8).reshape(mosaic.shape)
            y, x = np.nonzero(words[..., 3])
            mosaic[y, x, :3] = on_paper(words[y, x], mosaic[y, x, :3])
            imsave(out, mosaic, format="png", dpi=dpi, metadata=METADATA[suffix], pil_kwargs={"compress_level": 4})
        else:
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            axes.imshow(mosaic, extent=(0, width, height, 0), aspect="auto", interpolation="none")
            figure.savefig(out, format=suffix[1:], dpi=dpi, metadata=METADATA[suffix])
    return out.getvalue()


def _px(dpi: int) -> int:
    """Return the height of a picture on a sheet, px."""
    return round(_PICTURE * dpi)


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
