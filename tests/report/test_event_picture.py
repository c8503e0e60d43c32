"""The SDK's palettes, and sheets of event frames."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.event_frames import Windows
from au3dmm.core.packed_events import pack
from au3dmm.core.pixel_grid import PixelGrid
from au3dmm.core.representations import REPRESENTATIONS, frames_of, make_canvas
from au3dmm.errors import SchemaError
from au3dmm.io.event_frame_table import read_clip, write_event_frames
from au3dmm.report.event_picture import (
    PALETTES,
    colour_frame,
    event_sheet,
    full_colour,
)

# colours as OpenEB documents them for its default palette, BGR: positive, negative, background
DARK_BGR = {1: [255, 255, 255], -1: [200, 126, 64], 0: [52, 37, 30]}


def test_the_dark_palette_is_the_sdks_default() -> None:
    for value, bgr in DARK_BGR.items():
        assert colour_frame(np.full((1, 1, 1), float(value)), "polarity").ravel().tolist() == bgr[::-1]


def test_the_light_palette_swaps_paper_and_ink_and_gray_is_what_is_stored() -> None:
    light = PALETTES["light"]
    assert (light.background, light.positive, light.negative) == ((255, 255, 255), (64, 126, 200), (30, 37, 52))
    gray = colour_frame(np.array([[[-1.0, 0, 1]]]), "polarity", "gray")
    assert gray.tolist() == [[[0] * 3, [128] * 3, [255] * 3]]
    # fractions of 255, rounded as int(255 c + 0.5)
    assert PALETTES["coolwarm"].background == tuple(int(255 * c + 0.5) for c in (0.851, 0.878, 0.929))
    assert PALETTES["coolwarm"].positive == tuple(int(255 * c + 0.5) for c in (1, 0.443, 0.459))
    assert PALETTES["coolwarm"].negative == tuple(int(255 * c + 0.5) for c in (0.341, 0.482, 0.776))


def test_between_nothing_and_all_colours_are_mixed() -> None:
    half = colour_frame(np.array([[[0.5, 1.0, 2.0]]]), "polarity", "gray")[0, :, 0]
    assert half.tolist() == [192, 255, 255]
    both = colour_frame(np.array([[[1.0, 0.0, 3.0]], [[1.0, 0.0, 0.0]]]), "count", "gray")[0, :, 0]
    assert both.tolist() == [128, 128, 0]  # as much brighter as darker, nothing, darker
    assert colour_frame(np.array([[[4.0]], [[0.0]]]), "count", "gray", full=8.0).tolist() == [[[64] * 3]]


def test_the_bins_of_a_voxel_grid_stand_beside_each_other() -> None:
    values = np.zeros((3, 4, 5))
    values[1, 2, 3] = -2
    picture = colour_frame(values, "voxel", "gray", full=2.0)
    assert picture.shape == (4, 19, 3)
    assert np.argwhere((picture == 0).all(-1)).tolist() == [[2, 5 + 2 + 3]]


def test_full_colour_leaves_out_the_few_that_are_far_above() -> None:
    values = np.r_[np.zeros(1000), np.full(500, 6.0), 200.0]
    assert full_colour(values, "count") == 6
    assert full_colour(-values, "voxel") == 6
    assert full_colour(values / 6, "count") == 1
    assert full_colour(np.zeros(5), "count") == full_colour(values, "time_surface") == 1


@pytest.mark.parametrize(
    ("shape", "name", "palette", "said"),
    [
        ((1, 2, 2), "polarity", "pink", "palette 'pink', expected one of dark, light, gray, coolwarm"),
        ((2, 2, 2), "polarity", "dark", r"\(2, 2, 2\) as 'polarity'"),
        ((1, 2, 2), "count", "dark", r"\(1, 2, 2\) as 'count'"),
        ((2, 2), "voxel", "dark", r"\(2, 2\) as 'voxel'"),
        ((1, 2, 2), "hats", "dark", "as 'hats'"),
    ],
)
def test_what_cannot_be_coloured_is_refused(shape, name, palette, said) -> None:
    with pytest.raises(SchemaError, match=said):
        colour_frame(np.zeros(shape), name, palette)


def test_a_sheet_holds_every_picture() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (200, 210 + k, 3)).astype(np.uint8) for k in range(5)]
    sheet = event_sheet(pictures, ["caption"] * 5, title="title", columns=3)
    for k, picture in enumerate(pictures):
        y = 34 + (k // 3) * (200 + 22 + 8)
        x = 8 + (k % 3) * 8 + sum((213, 214, 212)[: k % 3])
        assert np.array_equal(sheet[y : y + 200, x : x + picture.shape[1]], picture), k
    small = event_sheet([pictures[0][:10, :10]], ["x"])
    assert np.array_equal(small[34 : 34 + 200 : 20, 8 : 8 + 200 : 20], pictures[0][:10, :10])
    with pytest.raises(SchemaError, match="0 pictures"):
        event_sheet([], [])
    with pytest.raises(SchemaError, match="5 pictures and 1 captions"):
        event_sheet(pictures, ["x"])


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_frames_of_every_representation_are_coloured_as_they_are_read(tmp_path, name) -> None:
    rng = np.random.default_rng(0)
    events = pack(np.sort(rng.integers(0, 100, 99)), *rng.integers(0, 20, (2, 99)), rng.integers(0, 2, 99))
    windows = Windows(10 * np.arange(12), 10 * np.arange(1, 13))  # the last two without events
    canvas = make_canvas(name, PixelGrid((20, 20), (0, 20, 0, 20), (20, 20)))
    path = tmp_path / "event_frames.parquet"
    shape = (len(canvas.encoding.channels), 20, 20)
    frames = frames_of([events], windows, canvas)
    write_event_frames(path, windows, frames, np.ones(12, bool), shape, canvas.encoding, {"windows": "periodic"})
    values = read_clip(path, 0, 12, as_float=True)
    full = full_colour(values, name)
    empty = [
        (colour_frame(frame, name, "coolwarm", full) == PALETTES["coolwarm"].background).all(-1) for frame in values
    ]
    paper = 2 * 20 * (shape[0] - 1) if name == "voxel" else 0  # between bins
    assert [int((~picture).sum()) - paper for picture in empty[10:]] == [0, 0]
    assert all((~picture).sum() > paper for picture in empty[:10])
