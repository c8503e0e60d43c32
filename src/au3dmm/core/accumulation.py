"""Add packed events to the images and cells that representations are made of, one kernel each.

Coordinates are masked to 2048 x 2048, the size of the tables that say where a pixel lies, and what the tables say of
pixels outside the box leads to nothing: no event writes outside its image. Where a value depends on time, it comes per
run of events (`run_values`), and the loop over events steps from run to run by adding a comparison: runs are short (one
to five events), and a loop within a loop would guess its end wrongly each time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from au3dmm.core.packed_events import STRIDE

_PIXEL = np.uint32(STRIDE - 1)
_ONE = np.uint32(1)
_ROW = np.uint32(12)  # the bits of a word below its row


@njit(cache=True, nogil=True)
def paint(words, run_at, run, end, image):  # type: ignore[no-untyped-def]
    """Set pixels of an (H, W) image of the sensor to 255 or 0: the last event wins."""
    height, width = np.uint32(image.shape[0]), np.uint32(image.shape[1])
    for i in range(run_at[run], run_at[end]):
        word = words[i]
        y, x = word >> _ROW, (word >> _ONE) & _PIXEL
        if y < height and x < width:
            image[y, x] = np.uint8(0) - np.uint8(word & _ONE)


@njit(cache=True, nogil=True)
def stamp(words, first, values, ends, n, row, column, image):  # type: ignore[no-untyped-def]
    """Set ``image[row + column + p]`` to the value of the event's run: the last event wins.

    `row` and `column` are by pixel; what they say of pixels outside leads beyond the image, and goes to its last entry.
    """
    last = np.uint32(image.shape[0] - 1)
    k = np.int64(0)
    for i in range(first, ends[n - 1]):
        k += i >= ends[k]
        word = words[i]
        at = row[(word >> _ROW) & _PIXEL] + column[(word >> _ONE) & _PIXEL] + (word & _ONE)
        image[min(at, last)] = values[k]


@njit(cache=True, nogil=True)
def mark(words, first, values, ends, n, row, row_inside, column, column_inside, cells):  # type: ignore[no-untyped-def]
    """Set the bits of the value of the event's run in ``cells[row + column]``; `inside` is 0 or all bits by pixel."""
    k = np.int64(0)
    for i in range(first, ends[n - 1]):
        k += i >= ends[k]
        word = words[i]
        y, x = (word >> _ROW) & _PIXEL, (word >> _ONE) & _PIXEL
        cells[row[y] + column[x]] |= values[k] & row_inside[y] & column_inside[x]


@njit(cache=True, nogil=True)
def count(words, run_at, run, end, row, row_share, column, column_share, row_step, plane, cells):  # type: ignore[no-untyped-def]
    """Add events to ``cells[p plane + row + column]`` and the three cells after it, by their shares of the pixel.

    Shares of pixels outside are 0. All four cells are written to in any case: that costs less than a wrong guess.
    """
    for i in range(run_at[run], run_at[end]):
        word = words[i]
        y, x = (word >> _ROW) & _PIXEL, (word >> _ONE) & _PIXEL
        at = (word & _ONE) * plane + row[y] + column[x]
        up, down = row_share[y, np.uint32(0)], row_share[y, _ONE]
        left, right = column_share[x, np.uint32(0)], column_share[x, _ONE]
        cells[at] += up * left
        cells[at + _ONE] += up * right
        cells[at + row_step] += down * left
        cells[at + row_step + _ONE] += down * right


@njit(cache=True, nogil=True)
def add_bilinear(  # type: ignore[no-untyped-def]
    words, first, values, rest, ends, n, length, row, row_share, column, column_share, row_step, plane, cells
):
    """Add polarities to the cells of `count` in the bin of the event's run, and in the one after it, by nearness."""
    k = np.int64(0)
    for i in range(first, ends[n - 1]):
        k += i >= ends[k]
        word = words[i]
        y, x = (word >> _ROW) & _PIXEL, (word >> _ONE) & _PIXEL
        at = values[k] + row[y] + column[x]
        sign = 2.0 * np.float64(word & _ONE) - 1.0
        later = rest[k] * sign
        earlier = length * sign - later
        up, down = row_share[y, np.uint32(0)], row_share[y, _ONE]
        left, right = column_share[x, np.uint32(0)], column_share[x, _ONE]
        cells[at] += up * left * earlier
        cells[at + _ONE] += up * right * earlier
        cells[at + row_step] += down * left * earlier
        cells[at + row_step + _ONE] += down * right * earlier
        at += plane
        cells[at] += up * left * later
        cells[at + _ONE] += up * right * later
        cells[at + row_step] += down * left * later
        cells[at + row_step + _ONE] += down * right * later


@njit(cache=True, nogil=True)
def quantise(cells, weight, most, out):  # type: ignore[no-untyped-def]
    """Write ``cells (C, h, w) / weight`` to `out` (C, H, W), rounded (halves up), at most `most`.

    Return how many values are larger.
    """
    above = np.int64(0)
    for c in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                value = cells[c, y, x] / weight + 0.5  # not negative
                above += value >= most + 1
                out[c, y, x] = np.int64(min(value, most))
    return above
