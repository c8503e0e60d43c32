"""What pictures for print have in common: their widths, look, suffixes, and bytes that are the same every time."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from au3dmm.errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}
"""What makes the bytes of PNG, PDF and SVG the same every time."""
PRINT_DPI = 300
WIDTHS_MM = {"single": 85.0, "double": 175.0}
"""Columns of a journal's page."""
INK, FAINT, LINE = "#222222", "#666666", "#BBBBBB"
# Okabe and Ito's colours, told apart by everybody
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MM = 25.4
_BOLD = 0.68  # mean width of a bold letter, of its size
_LEAST_MM, _MOST_MM = 60.0, 600.0


def suffix_of(path: Path) -> str:
    """Return the kind of picture that a path asks for.

    Raises
    ------
    SchemaError
        If it is none of .png, .svg and .pdf.
    """
    suffix = path.suffix.lower()
    if suffix not in METADATA:
        found = repr(path.suffix or "no suffix")
        raise SchemaError(f"{path}: pictures are written as {', '.join(METADATA)}, not as {found}; change its suffix")
    return suffix


def width_inches(width: str) -> float:
    """Return the width of a picture, inches.

    Parameters
    ----------
    width : str
        ``single`` or ``double`` (85 and 175 mm), or a number of mm.

    Raises
    ------
    ConfigError
        If it is neither, or less than 60 or more than 600 mm.

    Examples
    --------
    >>> round(width_inches("single"), 2), width_inches("254")
    (3.35, 10.0)
    """
    try:
        mm = WIDTHS_MM.get(width) or float(width)
    except ValueError:
        mm = 0.0
    if not _LEAST_MM <= mm <= _MOST_MM:
        raise ConfigError(f"width {width!r}: expected single, double, or {_LEAST_MM:.0f} to {_MOST_MM:.0f} mm")
    return mm / _MM


def title_size(words: str, room: float, most: float = 8.0) -> float:
    """Return the size of bold text, points, that lets it fit into a room, inches.

    Examples
    --------
    >>> title_size("s01", 3.0), title_size("x" * 100, 3.0) < 4
    (8.0, True)
    """
    return min(most, room * 72 / (_BOLD * max(len(words), 1)))


@contextlib.contextmanager
def print_style(size: float = 7.0) -> Iterator[None]:
    """Draw as for print while this lasts, whatever the user's own matplotlibrc says; text of `size` points."""
    # here: few of those who import this draw
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.size": size,
                "axes.labelsize": size,
                "axes.titlesize": size,
                "xtick.labelsize": size - 0.5,
                "ytick.labelsize": size - 0.5,
                "legend.fontsize": size - 0.5,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.edgecolor": FAINT,
                "axes.linewidth": 0.5,
                "xtick.major.width": 0.5,
                "ytick.major.width": 0.5,
                "xtick.major.size": 2.5,
                "ytick.major.size": 2.5,
                "text.parse_math": False,  # names may hold anything
                "svg.hashsalt": "au3dmm",
                "pdf.fonttype": 42,  # whole glyphs: journals refuse type 3
            }
        )
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box is drawn for it
        yield


def figure_bytes(figure: Figure, suffix: str = ".png", dpi: int = PRINT_DPI) -> bytes:
    """Return a figure as the bytes of a PNG, SVG or PDF; equal figures give equal bytes."""
    out = io.BytesIO()
    figure.savefig(out, format=suffix[1:], dpi=dpi, metadata=METADATA[suffix])
    return out.getvalue()
