"""How pixels are shared among cells, and the mean over a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.pixel_grid import Axis, PixelGrid, area_mean, centred_square
from au3dmm.errors import FitError
from au3dmm.io.images import resize_area
from naive_event_frames import overlaps


@given(start=st.integers(0, 5), n_in=st.integers(1, 60), n_out=st.integers(1, 70))
@settings(max_examples=300, deadline=None)
def test_pixels_are_shared_by_area_and_both_tables_say_the_same(start, n_in, n_out) -> None:
    axis = Axis.of(start, start + n_in, n_out)
    assert axis.n_cells == min(n_in, n_out)
    expected = overlaps(n_in, axis.n_cells)  # in parts of which a pixel has n_cells
    from_pixels, from_cells = np.zeros_like(expected), np.zeros_like(expected)
    for k in range(n_in):
        for cell, parts in zip((axis.cell[start + k], axis.cell[start + k] + 1), axis.share[start + k], strict=True):
            if parts:
                from_pixels[cell, k] += int(parts)
    for cell in range(axis.n_cells):
        for k, parts in enumerate(axis.weights[cell], int(axis.first[cell])):
            from_cells[cell, k] += parts  # an index beyond the last pixel would raise
    assert np.array_equal(from_pixels, from_cells)
    assert np.array_equal(from_pixels * axis.n_cells, expected * axis.parts)
    assert (axis.first >= 0).all()
    assert (axis.weights.sum(1) == axis.cell_parts).all()
    outside = np.r_[0:start, start + n_in : 2048]
    assert (axis.cell[outside] == -1).all()
    assert (axis.centre_cell[outside] == -1).all()
    assert (axis.share[outside] == 0).all()
    centre = (np.arange(n_in) + 0.5) * axis.n_cells / n_in
    assert (np.abs(axis.centre_cell[start : start + n_in] + 0.5 - centre) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("shape", [(256, 256), (100, 77), (720, 720), (240, 360), (1, 1)])
def test_the_mean_is_that_of_opencv(shape) -> None:
    rng = np.random.default_rng(0)
    image = rng.choice(np.array([0, 128, 255], np.uint8), (720, 720), p=[0.1, 0.8, 0.1])
    found = area_mean(image, 1, PixelGrid((720, 720), (0, 720, 0, 720), shape))
    assert np.abs(found[0].astype(int) - resize_area(image, shape)).max() <= 1


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_the_mean_is_exact_and_halves_are_rounded_up(size, shape, channels, seed) -> None:
    image = np.random.default_rng(seed).integers(0, 65536, (*size, channels)).astype(np.uint16)
    grid = PixelGrid(size, (0, size[0], 0, size[1]), shape)
    sums = overlaps(size[0], grid.cells[0]) @ np.moveaxis(image.astype(int), 2, 0) @ overlaps(size[1], grid.cells[1]).T
    by = size[0] * size[1] * 257
    found = area_mean(image.reshape(size[0], -1), channels, grid, 257)
    assert np.array_equal(found, (2 * sums + by) // (2 * by))


def test_a_larger_picture_repeats_pixels() -> None:
    grid = PixelGrid((2, 2), (0, 2, 0, 2), (2, 5))
    assert grid.cells == (2, 2)
    assert grid.enlarge(np.array([[[1, 2], [3, 4]]])).tolist() == [[[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]]


def test_boxes_that_cannot_be_shown_are_refused() -> None:
    for sensor, box, shape in (
        ((10, 10), (0, 0, 0, 5), (1, 1)),
        ((10, 10), (0, 11, 0, 5), (1, 1)),
        ((10, 10), (0, 5, -1, 5), (1, 1)),
        ((10, 10), (0, 5, 0, 5), (0, 1)),
        ((10, 2049), (0, 5, 0, 5), (1, 1)),
    ):
        with pytest.raises(FitError, match="expected a box within a sensor of at most 2048x2048 px"):
            PixelGrid(sensor, box, shape)


def test_the_centred_square_is_centred() -> None:
    assert centred_square(720, 1280) == (0, 720, 280, 1000)
    assert centred_square(9, 4) == (2, 6, 0, 4)
