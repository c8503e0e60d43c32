"""Pictures of event frames to look at: the SDK's palettes, and sheets of a few frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Colours (RGB) of nothing, of brighter and of darker."""

    background: Colour
    positive: Colour
    negative: Colour


# Prophesee's: sdk/core/utils/detail/colors_impl.h of OpenEB 5.1.1, where they are fractions; 8 bits by its own rounding
PALETTES = {
    "dark": Palette((30, 37, 52), (255, 255, 255), (64, 126, 200)),
    "light": Palette((255, 255, 255), (64, 126, 200), (30, 37, 52)),
    "gray": Palette((128, 128, 128), (255, 255, 255), (0, 0, 0)),
    "coolwarm": Palette((217, 224, 237), (255, 113, 117), (87, 123, 198)),
}

_PAPER, _INK, _FAINT = (250, 250, 250), (40, 40, 40), (130, 130, 130)
_GAP, _CAPTION, _HEADER, _LEAST_PX = 8, 22, 34, 192
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.43


def colour_frame(
    values: NDArray[np.floating], representation: str, palette: str = "dark", full: float = 1.0
) -> NDArray[np.uint8]:
    """Colour one event frame.

    Parameters
    ----------
    values : (C, H, W) float array
        In the unit of the representation: `read_clip(..., as_float=True)`.
    representation : str
        ``polarity``, ``count``, ``voxel``, ``time_surface``, ``last_time`` or ``tbr``.
    palette : str
        A key of `PALETTES`.
    full : float
        The value that gets the full colour; those between are mixed with the background.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB. The bins of a voxel grid stand beside each other, two px apart: (H, C * (W + 2) - 2, 3).

    Raises
    ------
    SchemaError
        If there is no such palette or representation, or the channels are not its own.

    Examples
    --------
    >>> colour_frame(np.array([[[-1.0, 0.0, 1.0]]]), "polarity").tolist()
    [[[64, 126, 200], [30, 37, 52], [255, 255, 255]]]
    """
    if palette not in PALETTES:
        raise SchemaError(f"palette {palette!r}, expected one of {', '.join(PALETTES)}")
    values = np.asarray(values, np.float64) / full
    channels = values.shape[0] if values.ndim == 3 else 0
    if representation == "voxel" and channels:
        bins = [_mix(np.clip(v, 0, 1), np.clip(-v, 0, 1), PALETTES[palette]) for v in values]
        apart = np.full((values.shape[1], 2, 3), _PAPER, np.uint8)
        return np.concatenate([part for picture in bins for part in (apart, picture)][1:], axis=1)
    if representation == "polarity" and channels == 1:
        brighter, darker = values[0], -values[0]
    elif representation in ("count", "time_surface", "last_time") and channels == 2:
        darker, brighter = values
    elif representation == "tbr" and channels == 1:
        brighter, darker = values[0], np.zeros_like(values[0])
    else:
        raise SchemaError(
            f"event picture: an array of {values.shape} as {representation!r}, expected (C, H, W) of polarity or tbr"
            " (C = 1), count, time_surface or last_time (C = 2), or voxel"
        )
    return _mix(np.clip(brighter, 0, 1), np.clip(darker, 0, 1), PALETTES[palette])


def _mix(brighter: NDArray[np.float64], darker: NDArray[np.float64], colours: Palette) -> NDArray[np.uint8]:
    """Colour an (H, W) picture of how much brighter and how much darker each pixel is, 0 to 1."""
    background = np.array(colours.background, np.float64)
    both = np.maximum(brighter + darker, 1.0)  # a pixel of both is a mixture of their colours
    mixed = (
        background
        + (brighter / both)[..., None] * (np.array(colours.positive) - background)
        + (darker / both)[..., None] * (np.array(colours.negative) - background)
    )
    return np.rint(mixed).astype(np.uint8)


def full_colour(values: NDArray[np.floating], representation: str) -> float:
    """Return the value that gets the full colour: 1, but for sums of events what few pixels exceed."""
    if representation not in ("count", "voxel"):
        return 1.0
    sizes = np.abs(values[values != 0])
    return max(float(np.percentile(sizes, 99)), 1.0) if sizes.size else 1.0


def event_sheet(
    pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], *, title: str = "", columns: int = 3
) -> NDArray[np.uint8]:
    """Put pictures on one sheet, with a line below each.

    Parameters
    ----------
    pictures : sequence of n (H, W, 3) uint8 arrays
        RGB; small ones are enlarged by whole factors.
    captions : sequence of n str
        ASCII.
    title : str
        ASCII.
    columns : int
        Pictures per row.

    Returns
    -------
    (height, width, 3) uint8 array
        RGB

    Raises
    ------
    SchemaError
        If there is no picture, or not one caption for each.
    """
    if not len(pictures) or len(pictures) != len(captions):
        raise SchemaError(f"event sheet: {len(pictures)} pictures and {len(captions)} captions, expected one for each")
    zooms = [max(-(-_LEAST_PX // picture.shape[0]), 1) for picture in pictures]
    shown = [np.repeat(np.repeat(p, zoom, 0), zoom, 1) for p, zoom in zip(pictures, zooms, strict=True)]
    columns = min(columns, len(shown))
    rows = [shown[k : k + columns] for k in range(0, len(shown), columns)]
    words = [captions[k : k + columns] for k in range(0, len(shown), columns)]
    widths = [max(row[c].shape[1] for row in rows if c < len(row)) for c in range(columns)]
    heights = [max(picture.shape[0] for picture in row) + _CAPTION for row in rows]
    size = (
        _HEADER + sum(heights) + _GAP * len(rows),
        max(sum(widths) + _GAP * (columns + 1), _width(title) + 2 * _GAP),
    )
    sheet = np.full((*size, 3), _PAPER, np.uint8)
    cv2.putText(sheet, title, (_GAP, 22), _FONT, 0.5, _INK, 1, cv2.LINE_AA)
    y = _HEADER
    for row, line, height in zip(rows, words, heights, strict=True):
        x = _GAP
        for picture, caption, width in zip(row, line, widths, strict=False):
            sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            cv2.putText(sheet, caption, (x, y + picture.shape[0] + 15), _FONT, _SIZE, _FAINT, 1, cv2.LINE_AA)
            x += width + _GAP
        y += height + _GAP
    return sheet


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, 0.5, 1)[0][0])
