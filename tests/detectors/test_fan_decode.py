"""Peaks of synthetic heatmaps: against the truth, and against the library's own functions."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from au3dmm.detectors.fan_crops import crop_frames
from au3dmm.detectors.fan_decode import (
    decode_official,
    decode_subpixel,
    drawn_points,
    to_image,
)
from fan_oracle import interpreted


def gaussians(centres, width, slim=1.0, angle=0.0):
    """Return heatmaps with peaks at `centres` (N, 68, 2), in cells."""
    y, x = np.mgrid[:64, :64] + 0.5
    dx, dy = x - centres[..., :1, None], y - centres[..., 1:, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return np.exp(-0.5 * ((along / width) ** 2 + (across / (width * slim)) ** 2)).astype(np.float32)


def centres(n=1, low=6, high=58):
    return np.random.default_rng(0).uniform(low, high, (n, 68, 2))


def rms(difference):
    return float(np.sqrt(np.mean(np.square(difference))))


@pytest.mark.parametrize("width", [1.0, 1.75, 3.25])
@pytest.mark.parametrize("slim", [1.0, 0.6])
def test_gaussian_peaks_of_any_width_and_tilt_are_found_exactly(width, slim):
    truth = centres()
    cells, scores = decode_subpixel(torch.from_numpy(0.8 * gaussians(truth, width, slim, 0.7)))
    assert rms(cells.numpy() - truth) < 1e-3
    assert ((scores > 0.6) & (scores <= 0.8)).all()


def test_the_official_decode_misses_by_a_tenth_of_a_cell_and_more():
    truth = centres(2)
    cells, _ = decode_official(torch.from_numpy(gaussians(truth, 1.75)))
    assert 0.1 < rms(cells.numpy() - truth) < 0.2  # on half-cell steps: 0.5 / sqrt(12)


@pytest.mark.parametrize("width", [1.0, 1.75, 2.5])
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_moves_peaks_less_than_half_as_much_as_the_official_ones(width, noise):
    rng = np.random.default_rng(1)
    still = np.repeat(gaussians(centres(), width), 24, 0)
    noisy = torch.from_numpy((still + noise * rng.normal(size=still.shape)).astype(np.float32))
    trembling = [rms(decode(noisy)[0].numpy().std(0)) for decode in (decode_subpixel, decode_official)]
    assert trembling[0] < 0.5 * trembling[1]


def test_both_decodes_mean_the_same_place():
    truth = centres(4)
    heatmaps = torch.from_numpy(gaussians(truth, 1.75))
    difference = decode_subpixel(heatmaps)[0] - decode_official(heatmaps)[0]
    assert difference.mean((0, 1)).abs().max() < 0.03


def test_peaks_at_the_border_and_heatmaps_without_peaks_give_places_in_the_crop():
    corner = np.zeros((1, 68, 2)) + 0.4
    cells, _ = decode_subpixel(torch.from_numpy(gaussians(corner, 1.75)))
    np.testing.assert_allclose(cells, corner, atol=0.7)
    flat, line = np.zeros((1, 68, 64, 64)), np.eye(64)[None, None].repeat(68, 1)
    for heatmaps in (flat, flat - 1, flat + 1, line):
        cells, scores = decode_subpixel(torch.from_numpy(heatmaps.astype(np.float32)))
        assert torch.isfinite(cells).all()
        assert ((cells >= 0) & (cells <= 64)).all()
        assert torch.isfinite(scores).all()
    rough = np.random.default_rng(0).normal(size=(2, 68, 64, 64)).astype(np.float32)
    assert torch.isfinite(decode_subpixel(torch.from_numpy(rough))[0]).all()


def test_the_official_decode_is_the_librarys_bit_for_bit(monkeypatch):
    interpreted(monkeypatch)
    from face_alignment.utils import get_preds_fromhm

    rng = np.random.default_rng(0)
    heatmaps = np.concatenate([rng.normal(size=(2, 68, 64, 64)), gaussians(centres(1, -1, 65), 1.75)])
    heatmaps = heatmaps.astype(np.float32)
    boxes = np.array([[10.3, 20.7, 111.9, 160.2], [100, 50, 290, 250], [-30.5, 0, 160, 199.5]])  # the second: all ties
    middles, scales = crop_frames(boxes)
    cells, scores = decode_official(torch.from_numpy(heatmaps))
    for i in range(3):
        own, in_image, peaks = get_preds_fromhm(heatmaps[i : i + 1].copy(), middles[i], scales[i])
        np.testing.assert_array_equal(cells[i], own[0])
        np.testing.assert_array_equal(scores[i], peaks[0])
        # in the image, the library cuts fractions of px off (towards zero); ours keeps them, and its place on average
        exact, seen = to_image(cells[i].numpy(), middles[i], scales[i]), in_image[0] > 0
        assert np.abs(exact - in_image[0])[seen].max() < 0.501
        assert abs((exact - in_image[0])[seen].mean()) < 0.1 or i == 1


def test_landmarks_are_drawn_for_the_depth_network_as_the_library_draws_them():
    from face_alignment.utils import draw_gaussian

    index = np.random.default_rng(0).integers(0, 64, (68, 2))
    index[:6] = [(0, 0), (63, 63), (0, 63), (1, 30), (30, 1), (62, 2)]
    quarter = np.where((index > 0) & (index < 63), 0.25, 0.0) * np.random.default_rng(1).choice([-1, 1], (68, 2))
    cells = torch.from_numpy((index + 0.5 + quarter).astype(np.float32))[None]
    official = drawn_points(cells, official=True)[0].numpy()
    between = drawn_points(cells, official=False)[0].numpy()
    for j in range(68):
        drawn = draw_gaussian(np.zeros((256, 256), np.float32), cells[0, j] * 4, 2)
        np.testing.assert_allclose(official[j], drawn, atol=1e-6)
        if ((index[j] > 1) & (index[j] < 62)).all():
            np.testing.assert_allclose(between[j], drawn, atol=1e-6)


def test_drawn_landmarks_glide_from_px_to_px():
    at = [drawn_points(torch.full((1, 68, 2), 20.0 + d / 40), official=False)[0, 0].numpy() for d in range(11)]
    steps = [abs(b - a).max() for a, b in pairwise(at)]
    assert max(steps) < 0.1
    np.testing.assert_allclose(at[0][:-1, :-1], at[10][1:, 1:], atol=1e-6)  # a quarter of a cell is a px
