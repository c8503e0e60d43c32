"""Where the pixels of a sensor go in a smaller picture: the part that is shown, and how cells share pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import STRIDE
from au3dmm.errors import FitError


def centred_square(height: int, width: int) -> tuple[int, int, int, int]:
    """Return the largest centred square of an image as ``(y0, y1, x0, x1)``.

    Examples
    --------
    >>> centred_square(720, 1280)
    (0, 720, 280, 1000)
    """
    side = min(height, width)
    y0, x0 = (height - side) // 2, (width - side) // 2
    return y0, y0 + side, x0, x0 + side


@dataclass(frozen=True)
class PixelGrid:
    """A box of the sensor, shown as a picture of `shape`.

    Where the picture is smaller, its cells share pixels by area: 720 px on 256 cells give each cell 2.8125 px, and a
    pixel on a border counts for both its cells. Whole numbers say how much: of `area_weight` parts of a pixel's area,
    so that sums are exact whatever their order. Where the picture is larger, pixels are repeated.

    Attributes
    ----------
    sensor : (int, int)
        Height and width, px.
    box : (int, int, int, int)
        Rows ``[y0, y1)`` and columns ``[x0, x1)`` that are shown.
    shape : (int, int)
        Height and width of the picture.

    Raises
    ------
    FitError
        If the box or the picture is empty, or the box lies outside the sensor, or the sensor is larger than events can
        say (2048 x 2048 px).

    Examples
    --------
    >>> grid = PixelGrid((3, 6), (0, 3, 0, 6), (2, 4))
    >>> grid.rows.cell[:4], grid.rows.share[:3].tolist(), grid.area_weight
    (array([ 0,  0,  1, -1]), [[2.0, 0.0], [1.0, 1.0], [2.0, 0.0]], 4)
    """

    sensor: tuple[int, int]
    box: tuple[int, int, int, int]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        y0, y1, x0, x1 = self.box
        height, width = self.sensor
        inside = 0 <= y0 < y1 <= height <= STRIDE and 0 <= x0 < x1 <= width <= STRIDE
        if not inside or min(self.shape) < 1:
            raise FitError(
                f"event frames: rows [{y0}, {y1}) and columns [{x0}, {x1}) of a {width}x{height} sensor as a picture of"
                f" {self.shape}, expected a box within a sensor of at most {STRIDE}x{STRIDE} px, and at least one pixel"
            )

    @cached_property
    def rows(self) -> Axis:
        """How rows of the sensor become rows of cells."""
        return Axis.of(self.box[0], self.box[1], self.shape[0])

    @cached_property
    def columns(self) -> Axis:
        """How columns of the sensor become columns of cells."""
        return Axis.of(self.box[2], self.box[3], self.shape[1])

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells: the picture's, but never more than there are pixels."""
        return self.rows.n_cells, self.columns.n_cells

    @property
    def area_weight(self) -> int:
        """Into how many parts the area of a pixel is divided."""
        return self.rows.parts * self.columns.parts

    @property
    def whole_pixels(self) -> bool:
        """Whether every pixel lies in one cell only."""
        return self.area_weight == 1

    def enlarge(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Return the picture of (C, h, w) cells: the cells themselves, repeated where the picture is larger."""
        if cells.shape[1:] == self.shape:
            return cells
        row = np.arange(self.shape[0]) * cells.shape[1] // self.shape[0]
        column = np.arange(self.shape[1]) * cells.shape[2] // self.shape[1]
        return np.ascontiguousarray(cells[:, row[:, None], column])


@dataclass(frozen=True)
class Axis:
    """How the pixels of one axis are shared among cells.

    Attributes
    ----------
    n_cells, parts : int
        Cells; into how many parts a pixel's width is divided.
    pixel : (STRIDE,) int64 array
        Pixel of the box by pixel of the sensor, -1 outside.
    cell, share : (STRIDE,) int64 and (STRIDE, 2) float64 arrays
        First cell of each pixel, -1 outside the box, and the parts of the pixel that this cell and the next one get, 0
        outside.
    centre_cell : (STRIDE,) int64 array
        Cell in which the pixel's centre lies, -1 outside the box.
    first, weights : (n_cells,) and (n_cells, M) int64 arrays
        The same the other way round: the first pixel of a cell, counted from the box's edge, and the parts that it and
        the pixels after it give; they add up to `cell_parts`.
    """

    n_cells: int
    parts: int
    pixel: NDArray[np.int64]
    cell: NDArray[np.int64]
    share: NDArray[np.float64]
    centre_cell: NDArray[np.int64]
    first: NDArray[np.int64]
    weights: NDArray[np.int64]

    @property
    def cell_parts(self) -> int:
        """Parts that a cell is made of."""
        return int(self.weights[0].sum())

    @classmethod
    def of(cls, start: int, stop: int, n_out: int) -> Axis:
        """Share the pixels ``[start, stop)`` among `n_out` cells, or one cell each if they are fewer."""
        n_in = stop - start
        n_cells = min(n_in, n_out)
        parts, width = n_cells // gcd(n_in, n_cells), n_in // gcd(n_in, n_cells)  # of a pixel; of a cell, in parts
        pixel = np.arange(n_in)
        first_cell = pixel * parts // width
        mine = np.minimum((first_cell + 1) * width - pixel * parts, parts)
        share = np.zeros((STRIDE, 2))
        share[start:stop] = np.stack([mine, parts - mine], 1)
        of_pixel, cell, centre_cell = np.full((3, STRIDE), -1, np.int64)
        of_pixel[start:stop] = pixel
        cell[start:stop] = first_cell
        centre_cell[start:stop] = (2 * pixel + 1) * parts // (2 * width)
        first = np.arange(n_cells) * width // parts
        most = int((((np.arange(n_cells) + 1) * width - 1) // parts - first).max()) + 1
        at = first[:, None] + np.arange(most)
        low, high = np.arange(n_cells)[:, None] * width, (np.arange(n_cells)[:, None] + 1) * width
        weights = np.clip(np.minimum(high, (at + 1) * parts) - np.maximum(low, at * parts), 0, None)
        # the last cells may count pixels beyond the box, by nothing: step back so that none is read
        back = np.maximum(first + most - n_in, 0)
        for k in np.flatnonzero(back):
            weights[k] = np.roll(weights[k], back[k])
        return cls(n_cells, parts, of_pixel, cell, share, centre_cell, first - back, weights)


def area_mean(image: NDArray[np.unsignedinteger], channels: int, grid: PixelGrid, divide: int = 1) -> NDArray[np.uint8]:
    """Return the mean of each cell of an image, divided by `divide` and rounded (halves up).

    The sums are of whole numbers, so the result is exact.

    Parameters
    ----------
    image : (h, w * channels) uint8 or uint16 array
        The box of the sensor; the channels of a pixel beside each other.
    channels : int
        Channels per pixel.
    grid : PixelGrid
        Whose box the image is.
    divide : int
        Such that a mean divided by it is at most 255.

    Returns
    -------
    (channels, H, W) uint8 array
        Cells, not yet enlarged.

    Examples
    --------
    >>> image = np.array([[0, 100, 200], [0, 100, 200]], np.uint8)
    >>> area_mean(image, 1, PixelGrid((2, 3), (0, 2, 0, 3), (1, 2))).tolist()
    [[[33, 167]]]
    """
    rows, columns = grid.rows, grid.columns
    if grid.cells == (image.shape[0], image.shape[1] // channels):
        cells = np.moveaxis(image.reshape(*grid.cells, channels), 2, 0)
        return np.ascontiguousarray((cells.astype(np.uint32) + divide // 2) // divide, np.uint8)
    out = np.empty((channels, *grid.cells), np.uint8)
    scale = float(rows.cell_parts * columns.cell_parts * divide)
    first, weights = columns.first.astype(np.uint32), columns.weights.astype(np.float64)
    _area_mean(image, np.uint32(channels), rows.first, rows.weights, first, weights, scale, out)
    return out


@njit(cache=True, nogil=True)
def _area_mean(image, channels, row_first, row_weights, column_first, column_weights, scale, out):  # type: ignore[no-untyped-def]
    # a row's sum is at most 65535 times the parts of 2048 pixels, which fits 32 bits: rows are summed in vectors
    row = np.empty(image.shape[1], np.int32)
    for i in range(out.shape[1]):
        row[:] = 0
        for k in range(row_weights.shape[1]):
            weight = np.int32(row_weights[i, k])
            if weight:
                pixels = image[row_first[i] + k]
                for j in range(row.shape[0]):
                    row[j] += np.int32(pixels[j]) * weight
        for c in range(out.shape[0]):
            for j in range(out.shape[2]):
                at = column_first[j] * channels + np.uint32(c)
                total = 0.0  # of whole numbers below 2^53: exact
                for k in range(column_weights.shape[1]):
                    total += row[at + np.uint32(k) * channels] * column_weights[j, k]
                # the quotient is correctly rounded, and nearer to a half than 1 / (2 scale) only if it is one
                out[c, i, j] = np.uint8(total / scale + 0.5)
