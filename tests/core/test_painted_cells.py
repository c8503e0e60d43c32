"""Cells from the few pixels that were painted: as from all of them, and the frame is cleared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.canvases import PolarityCanvas
from au3dmm.core.painted_cells import PaintedCells
from au3dmm.core.painting import image_of
from au3dmm.core.pixel_grid import PixelGrid, area_mean


@given(
    height=st.integers(1, 30),
    words=st.integers(1, 5),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=300)
def test_the_cells_are_those_of_all_pixels_and_the_box_is_cleared(height, words, corners, shape, share, seed) -> None:
    rng = np.random.default_rng(seed)
    width = 8 * words
    y0, x0 = int(corners[0] * (height - 1)), int(corners[1] * (width - 1))
    y1, x1 = y0 + 1 + int(corners[2] * (height - y0 - 1)), x0 + 1 + int(corners[3] * (width - x0 - 1))
    image = np.full((height, width), 128, np.uint8)
    painted = rng.random(image.shape) < share
    image[painted] = rng.integers(0, 256, painted.sum())
    before = image.copy()
    grid = PixelGrid((height, width), (y0, y1, x0, x1), shape)
    cells = PaintedCells(image, grid, 128)
    for _ in range(2):  # nothing is left over from the first time
        found = cells.take()
        if found is None:
            assert np.array_equal(image, before)
            assert painted.any()
            return
        assert np.array_equal(found, area_mean(before[y0:y1, x0:x1], 1, grid))
        assert (image[y0:y1, x0:x1] == 128).all()
        image[:] = before


def test_halves_are_rounded_up_above_and_below_the_background() -> None:
    image = np.full((1, 64), 128, np.uint8)
    image[0, [0, 2]] = 129, 127
    assert PaintedCells(image, PixelGrid((1, 64), (0, 1, 0, 64), (1, 32)), 128).take()[0, 0, :3].tolist() == [
        129,
        128,
        128,
    ]


@pytest.mark.parametrize("width", [64, 60])  # 60: no multiple of eight
def test_frames_do_not_depend_on_what_was_painted_before_them(width) -> None:
    grid = PixelGrid((40, width), (0, 40, 10, 50), (15, 15))
    canvas = PolarityCanvas(grid)
    rng = np.random.default_rng(1)
    for n in (3, 3000, 5, 0, 2, 4000, 4000, 1):  # few and many in turn
        image_of(canvas.buffer, 40, width)[rng.integers(0, 40, 50), rng.integers(0, width, 50)] = 255  # of no window
        canvas.clear(0, 1)
        image = image_of(canvas.buffer, 40, width)
        image[rng.integers(0, 40, n), rng.integers(0, width, n)] = 0
        expected = area_mean(image[:, 10:50].copy(), 1, grid)
        assert np.array_equal(canvas.read()[0], expected)
