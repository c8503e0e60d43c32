"""Cells of a painted frame from the few pixels that were painted, and the frame cleared on the way.

Most pixels of an event frame saw nothing: to look for those that did, eight at a time, costs less than to add up all of
them, and only they have to be cleared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.pixel_grid import PixelGrid

_AT_ONCE = 8  # pixels in a word of 64 bits
_MOST = 4  # where more than one word in so many was painted, all pixels are added up faster
_ROWS_APART = 8  # rows looked at to guess how many
_HIGHEST = 255


class PaintedCells:
    """The cells of a frame with a background value, of which few pixels differ from it.

    Parameters
    ----------
    image : (H, W) uint8 array
        The sensor's pixels, W a multiple of 8, in one piece; read and cleared in place.
    grid : PixelGrid
        Which part of them is shown, in how many cells.
    background : int
        Value of a pixel that was not painted.
    """

    def __init__(self, image: NDArray[np.uint8], grid: PixelGrid, background: int) -> None:
        y0, y1, x0, x1 = grid.box
        self._words = image.view(np.uint64)[y0:y1, x0 // _AT_ONCE : -(-x1 // _AT_ONCE)]
        self._background = background
        height, width = grid.cells
        # a row and a column more, which get nothing: the last cells share with nobody
        self._sums = np.zeros((height + 1, width + 1), np.int32)
        rows, columns = grid.rows, grid.columns
        from_x = x0 // _AT_ONCE * _AT_ONCE
        to_x = from_x + self._words.shape[1] * _AT_ONCE
        # pixels beside the box that share a word with it count for nothing
        self._tables: tuple[Any, Any, Any, Any] = (
            np.maximum(rows.cell[y0:y1], 0).astype(np.uint32),
            rows.share[y0:y1].astype(np.int32),
            np.maximum(columns.cell[from_x:to_x], 0).astype(np.uint32),
            columns.share[from_x:to_x].astype(np.int32),
        )
        self._cell_area = float(rows.cell_parts * columns.cell_parts)

    @staticmethod
    def suits(image: NDArray[np.uint8], grid: PixelGrid) -> bool:
        """Whether the image can be looked at eight pixels at a time, and its cells' sums fit 32 bits."""
        area = grid.rows.cell_parts * grid.columns.cell_parts
        aligned = image.shape[1] % _AT_ONCE == 0 and image.ctypes.data % _AT_ONCE == 0
        return image.flags.c_contiguous and aligned and area * _HIGHEST < 2**31

    def take(self) -> NDArray[np.uint8] | None:
        """Return the mean of each cell, rounded (halves up), and clear the image.

        None if so much of it seems to be painted that all of it is better added up.
        Sums are of whole numbers, so the result is that of `area_mean`. The image is left as it is if None is returned.

        Returns
        -------
        (1, h, w) uint8 array or None
        """
        nothing = np.uint64(int.from_bytes(bytes([self._background] * _AT_ONCE), "little"))
        if _count(self._words[::_ROWS_APART], nothing) * _MOST > self._words[::_ROWS_APART].size:
            return None
        _add(self._words, nothing, np.int32(self._background), *self._tables, self._sums)
        out = np.empty((1, self._sums.shape[0] - 1, self._sums.shape[1] - 1), np.uint8)
        _round(self._sums, 1 / self._cell_area, float(self._background), out[0])
        return out


@njit(cache=True, nogil=True)
def _count(words, nothing):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for i in range(words.shape[0]):
        for word in words[i]:
            n += np.int64(word != nothing)
    return n


@njit(cache=True, nogil=True, boundscheck=False)
def _add(words, nothing, background, row_cell, row_share, column_cell, column_share, sums):  # type: ignore[no-untyped-def]
    for i in range(words.shape[0]):
        row = words[i]
        above, below = sums[row_cell[i]], sums[row_cell[i] + np.uint32(1)]
        share, rest = row_share[i, 0], row_share[i, 1]
        for k in range(row.shape[0]):
            word = row[k]
            if word == nothing:
                continue
            row[k] = nothing
            for b in range(8):
                value = np.int32((word >> np.uint64(8 * b)) & np.uint64(255)) - background
                if value != 0:
                    x = np.uint32(8 * k + b)
                    left, right = column_share[x, 0], column_share[x, 1]
                    j = column_cell[x]
                    above[j] += value * share * left
                    above[j + np.uint32(1)] += value * share * right
                    if rest:
                        below[j] += value * rest * left
                        below[j + np.uint32(1)] += value * rest * right


@njit(cache=True, nogil=True)
def _round(sums, per_area, background, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        row, of = out[i], sums[i]
        for j in range(row.shape[0]):
            # a quarter more moves no whole number over a half, and keeps halves clear of the product's rounding
            row[j] = np.uint8((of[j] + 0.25) * per_area + (background + 0.5))
        of[:] = 0
