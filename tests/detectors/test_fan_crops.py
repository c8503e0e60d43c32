"""Crops of known images: where they lie, against truth and against the library's."""

import numpy as np
import pytest

from au3dmm.detectors.fan_crops import box_of_landmarks, crop_frames, cut_crop


def ramp(height=300, width=360):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 0.5 + 20, y * 0.5 + 20, np.full_like(x, 200)], -1).round().astype(np.uint8)


def official(image, centre, scale):
    from face_alignment.utils import crop

    return crop(image, centre, scale).astype(float).transpose(2, 0, 1)


def test_a_crop_lies_where_the_librarys_lie_on_average():
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(256)[None], 256, 0)
    image = np.stack([x, 255 - x, x.T], -1).astype(np.uint8)
    shifts = []
    for _ in range(60):
        centre, scale = np.array([125.0, 125.0]) + rng.uniform(-3, 3, 2), rng.uniform(0.7, 0.95)
        ours = 255 * cut_crop(image, centre, scale).double().numpy()
        rising, falling, _ = (ours - official(image, centre, scale))[:, 40:216, 40:216].mean((1, 2))
        shifts.append((rising - falling) / 2)  # OpenCV rounds down a little, which is no shift
    assert np.abs(shifts).max() < 1.0  # px: theirs begins and ends at whole ones
    assert abs(np.mean(shifts)) < 0.06  # which evens out


def test_a_crop_glides_with_its_centre():
    image = ramp()
    at = [255 * cut_crop(image, np.array([150.0 + d / 8, 140.0]), 0.8).double().numpy()[0].mean() for d in range(17)]
    np.testing.assert_allclose(np.diff(at), 0.5 / 8, atol=0.02)


def test_beyond_the_image_all_is_black():
    image = np.full((60, 80, 3), 255, np.uint8)
    crop = cut_crop(image, np.array([0.0, 30.0]), 0.5).numpy()
    assert crop.shape == (3, 256, 256)
    assert (crop[:, 128, 140:250] > 0.999).all()
    assert (crop[:, :, :120] == 0).all()
    assert (crop[:, :40] == 0).all()
    assert (cut_crop(image, np.array([500.0, 500.0]), 0.25).numpy() == 0).all()
    assert (cut_crop(image, np.array([-500.0, 30.0]), 0.25).numpy() == 0).all()


def test_shrinking_takes_the_mean_of_px_where_the_library_picks_some():
    board = (np.indices((900, 900)).sum(0) % 2 * 255).astype(np.uint8)
    image = np.repeat(board[..., None], 3, 2)
    crop = 255 * cut_crop(image, np.array([450.3, 450.3]), 4.0).numpy()
    assert np.abs(crop - 127.5).max() < 20
    assert official(image, np.array([450.3, 450.3]), 4.0).std() > 40


def test_enlarging_is_bilinear_as_in_the_library():
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 255, (120, 120, 1), np.uint8), 3, 2)
    centre, scale = np.array([60.0, 60.0]), 0.32
    # a crop of theirs from whole px to whole px, seen through our eyes
    theirs = official(image, centre, scale)
    left, right = int(60 - 32 + 64 / 256), 60 + 32
    step = (right - left) / 256
    places = left + (np.arange(256) + 0.5) * step - 0.5
    low = np.floor(places).astype(int)
    row = image[:, low, 0] * (1 - (places - low)) + image[:, low + 1, 0] * (places - low)
    both = row[low] * (1 - (places - low))[:, None] + row[low + 1] * (places - low)[:, None]
    assert np.abs(theirs[0] - both)[8:-8, 8:-8].max() <= 2  # OpenCV counts in 1/2048


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_box_of_landmarks_grows_with_them(factor):
    points = np.array([[137.0, 198.0], [335.0, 360.0], [200.0, 300.0]]) * factor
    box = box_of_landmarks(points)
    _, scales = crop_frames(box[None])
    # the library's reference landmarks lie on a grid of 3 px, so their crop had a side of 384 px
    np.testing.assert_allclose(200 * scales[0], 384 * factor, rtol=0.02)
    assert box[3] == points[1, 1]
