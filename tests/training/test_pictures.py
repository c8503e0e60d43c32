"""Frames for networks: 0 to 1, cropped where they should be, nothing lost between two routes."""

import numpy as np
import pytest
import torch

from au3dmm.training.augmentation import Change
from au3dmm.training.pictures import Scaling, cut

ONE, NOTHING = torch.ones(1), torch.zeros(1)


def shown(scaling, stored):
    pixels = torch.as_tensor(np.asarray(stored), dtype=torch.float32).view(1, 1, 1, 1, -1)
    return scaling.apply(pixels, ONE, NOTHING, torch.zeros(1, 1, dtype=bool)).flatten().tolist()


def test_each_representation_is_scaled_into_0_to_1_with_its_nothing_in_its_place():
    assert shown(Scaling("polarity", 1, 1 / 128, 128.0), [0, 128, 255]) == pytest.approx([0, 0.5, 0.996], abs=1e-3)
    assert shown(Scaling("count", 2, 1.0, 0.0), [0, 1, 15, 255]) == pytest.approx([0, 0.25, 1, 1])
    assert shown(Scaling("voxel", 5, 1.0, 0.0), [-15, -1, 0, 1, 15]) == pytest.approx([0, 0.375, 0.5, 0.625, 1])
    assert shown(Scaling("time_surface", 2, 1 / 255, 0.0), [0, 51, 255]) == pytest.approx([0, 0.2, 1])
    assert shown(Scaling("rgb", 3, 1 / 255, 0.0), [0, 51, 255]) == pytest.approx([0, 0.2, 1])


def test_contrast_is_about_nothing_where_values_have_a_sign():
    pixels = torch.tensor([64.0, 128.0, 192.0]).view(1, 1, 1, 1, 3)
    polarity = Scaling("polarity", 1, 1 / 128, 128.0)
    there = torch.zeros(1, 1, dtype=bool)
    assert polarity.apply(pixels, 2 * ONE, NOTHING, there).flatten().tolist() == [0, 0.5, 1]
    assert polarity.apply(pixels, ONE, 0.1 * ONE, there).flatten().tolist() == pytest.approx([0.35, 0.6, 0.85])
    assert (polarity.apply(pixels, ONE, 0.1 * ONE, ~there) == 0).all()


def test_a_crop_shows_its_own_part_and_a_frame_of_the_right_size_is_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 16, 16)).astype(np.uint8)
    count = Scaling("count", 2, 1.0, 0.0)
    assert torch.equal(cut(pixels, Change(), 16, count), torch.from_numpy(pixels))
    quarter = cut(pixels, Change(box=(0.5, 0.25, 0.5, 0.5)), 8, count)
    np.testing.assert_array_equal(quarter, pixels[:, :, 8:, 4:12])
    np.testing.assert_array_equal(cut(pixels, Change(box=(0.5, 0.25, 0.5, 0.5), flip=True), 8, count), quarter.flip(-1))


def test_shrinking_keeps_the_mean_as_every_event_counts():
    pixels = np.zeros((1, 1, 64, 64), np.uint8)
    pixels[0, 0, 1::4, 2::4] = 255  # every sixteenth pixel: sampling alone would miss or double them
    small = cut(pixels, Change(), 16, Scaling("time_surface", 1, 1 / 255, 0.0))
    assert small.float().mean().item() == pytest.approx(255 / 16, abs=1)
    assert small.float()[:, :, 2:-2, 2:-2].std().item() < 3


@pytest.mark.parametrize(("n", "channels"), [(1, 1), (3, 1), (7, 1), (4, 2), (1, 2), (2, 5)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_frames_that_are_resized_together_are_those_resized_alone(n, channels, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (n, channels, 40, 36)).astype(kind)
    scaling = Scaling("count", channels, 1.0, 0.0)
    box = Change(box=(0.1, 0.05, 0.8, 0.9))
    together = cut(pixels, box, 24, scaling)
    assert together.shape == (n, channels, 24, 24)
    for frame, alone in zip(together, pixels, strict=True):
        for plane, single in zip(frame, alone, strict=True):
            assert torch.equal(plane, cut(single[None, None], box, 24, scaling)[0, 0])


def test_bits_are_not_averaged():
    pixels = np.random.default_rng(0).choice(np.array([0, 1, 128], np.uint8), (2, 1, 32, 32))
    small = cut(pixels, Change(), 12, Scaling("tbr", 1, 1 / 255, 0.0))
    assert set(small.unique().tolist()) <= {0, 1, 128}


def test_half_precision_tables_become_float32():
    pixels = np.random.default_rng(0).normal(size=(2, 5, 16, 16)).astype(np.float16)
    made = cut(pixels, Change(dropout=0.5, seed=1), 16, Scaling("voxel", 5, 1.0, 0.0))
    assert made.dtype == torch.float32
    lost = (made == 0).all(1)
    assert 0.4 < lost.float().mean() < 0.6  # a pixel loses all of its channels
    np.testing.assert_array_equal(made[~lost[:, None].expand_as(made)], pixels[~lost[:, None].expand_as(made).numpy()])
