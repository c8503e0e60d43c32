import cv2
import numpy as np
import pytest

from au3dmm.detectors.mediapipe_models import (
    UNIT,
    Region,
    as_floats,
    between,
    crop,
    crop_map,
    region_of_box,
    region_of_mesh,
)

REGIONS = [
    Region(np.array([100.0, 80.0]), 60.0, 0.0),
    Region(np.array([101.3, 79.6]), 96.0, 0.4),
    Region(np.array([90.0, 85.5]), 55.5, -1.1),
]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("n", [128, 192])
def test_the_crop_shows_what_its_map_says_to_a_hundredth_of_a_pixel(region, n):
    y, x = np.mgrid[:160, :200]
    ramp = np.stack([x, y, 0 * x], axis=-1).astype(np.float32)
    matrix = crop_map(region, n)
    shown = cv2.warpAffine(ramp, matrix, (n, n), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    j, i = np.mgrid[:n, :n]
    said = np.stack([i, j], axis=-1) @ matrix[:, :2].T + matrix[:, 2]
    inside = (said > 1).all(-1) & (said < (198, 158)).all(-1)
    # OpenCV rounds places to 1/32 px; a half-pixel mistake would be 0.5
    assert np.abs(shown[..., :2] - said)[inside].max() < 0.02 + 1 / 32
    assert abs((shown[..., :2] - said)[inside].mean()) < 0.01


@pytest.mark.parametrize("region", REGIONS)
def test_a_dot_is_found_where_it_was_painted(region):
    dot = np.array([104.0, 83.0])
    image = np.zeros((160, 200, 3), np.uint8)
    image[83, 104] = 255
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    matrix = crop_map(region, 192)
    shown = crop(image * np.uint8(8), matrix, 192, replicate=True)[..., 0].astype(float)
    j, i = np.mgrid[:192, :192]
    centre = np.array([(i * shown).sum(), (j * shown).sum()]) / shown.sum()
    np.testing.assert_allclose(matrix[:, :2] @ centre + matrix[:, 2], dot, atol=0.03)


def test_an_unturned_crop_of_its_own_size_is_a_copy():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    middle = Region(np.array([20 + 15.5, 4 + 15.5]), 32.0, 0.0)
    np.testing.assert_array_equal(crop(image, crop_map(middle, 32), 32, replicate=False), image[4:36, 20:52])


def test_a_mirrored_image_gives_the_mirrored_crop():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    region = Region(np.array([30.25, 28.0]), 45.0, 0.0)
    mirrored = Region(np.array([79 - 30.25, 28.0]), 45.0, 0.0)
    a = crop(image, crop_map(region, 64), 64, replicate=True)
    b = crop(np.ascontiguousarray(image[:, ::-1]), crop_map(mirrored, 64), 64, replicate=True)
    assert np.abs(a.astype(int) - b[:, ::-1]).max() <= 6  # 1/32 px of OpenCV's rounding


def test_beyond_the_border_is_black_or_the_border():
    image = np.full((20, 20, 3), 200, np.uint8)
    matrix = crop_map(Region(np.array([0.0, 10.0]), 20.0, 0.0), 20)
    assert crop(image, matrix, 20, replicate=False)[10, 0].tolist() == [0, 0, 0]
    assert crop(image, matrix, 20, replicate=True)[10, 0].tolist() == [200, 200, 200]


def test_the_region_of_a_box_is_turned_as_the_eyes_are():
    keypoints = np.zeros((6, 2))
    keypoints[0], keypoints[1] = (10, 10), (20, 20)
    region = region_of_box(np.array([0.0, 0, 40, 30]), keypoints)
    assert region.centre_px.tolist() == [20, 15]
    assert region.side_px == 60
    assert region.angle_rad == pytest.approx(np.pi / 4)


@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_the_region_of_a_mesh_turns_with_it(angle):
    mesh = np.random.default_rng(0).uniform(-50, 50, (468, 3))
    mesh[33], mesh[263] = (-30, 0, 0), (30, 0, 0)
    mesh[0], mesh[1] = (-50, -60, 0), (50, 60, 0)
    c, s = np.cos(angle), np.sin(angle)
    turned = mesh.copy()
    turned[:, :2] = mesh[:, :2] @ np.array([[c, s], [-s, c]]) + (200, 100)
    region = region_of_mesh(turned)
    np.testing.assert_allclose(region.centre_px, (200, 100), atol=1e-9)
    assert region.side_px == pytest.approx(180)
    assert region.angle_rad == pytest.approx(angle)


@pytest.mark.parametrize("step", [2, 3, 6])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_dot_is_found_where_it_was_painted_when_blocks_of_pixels_are_averaged(step, angle):
    dot = np.array([210.0, 143.0])
    image = np.zeros((300, 400, 3), np.float32)
    image[143, 210] = 1
    image = cv2.GaussianBlur(image, (0, 0), 2.0 * step)
    image = (image / image.max() * 255).astype(np.uint8)
    matrix = crop_map(Region(np.array([200.3, 150.7]), 40.0 * step + 3, angle), 40)
    shown = crop(image, matrix, 40, replicate=True)[..., 0].astype(float)
    j, i = np.mgrid[:40, :40]
    centre = np.array([(i * shown).sum(), (j * shown).sum()]) / shown.sum()
    np.testing.assert_allclose(
        matrix[:, :2] @ centre + matrix[:, 2], dot, atol=0.02 * step
    )  # half a pixel would be 0.5


def test_noise_of_a_large_image_is_averaged_away():
    image = np.random.default_rng(0).normal(128, 20, (1080, 1920, 3)).clip(0, 255).astype(np.uint8)
    shown = crop(image, crop_map(Region(np.array([900.0, 500.0]), 192 * 5.0, 0.2), 192), 192, replicate=True)
    assert shown.std() < 20 / 5 * 1.1  # sampling would leave 13


def test_a_region_beside_the_image_is_the_border():
    image = np.full((20, 20, 3), 200, np.uint8)
    shown = crop(image, crop_map(Region(np.array([500.0, -300.0]), 100.0, 0.3), 20), 20, replicate=True)
    assert (shown == 200).all()


@pytest.mark.parametrize("size", [(101, 77), (640, 357), (3, 900)])
def test_odd_sizes_lose_no_border_worth_a_crop_pixel(size):
    width, height = size
    image = np.full((height, width, 3), 200, np.uint8)
    side = float(max(size))
    shown = crop(image, crop_map(Region((np.array(size) - 1) / 2, side, 0.0), 32), 32, replicate=False)
    assert abs((shown[..., 0] / 200).sum() - 32 * 32 * width * height / side**2) <= 2 * 32


def test_half_way_between_two_regions_turns_the_short_way():
    a, b = Region(np.zeros(2), 10.0, 3.0), Region(np.array([4.0, 8.0]), 20.0, -3.0)
    middle = between(a, b, 0.5)
    assert middle.centre_px.tolist() == [2, 4]
    assert middle.side_px == 15
    assert abs(middle.angle_rad) == pytest.approx(np.pi)
    assert between(a, b, 1.0).angle_rad % (2 * np.pi) == pytest.approx(-3.0 % (2 * np.pi))


def test_floats_are_those_of_arithmetic_bit_for_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    floats = as_floats(pixels, UNIT)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, pixels.astype(np.float32) / np.float32(255))


def test_a_crop_is_contiguous_rgb():
    image = np.zeros((60, 80, 3), np.uint8)
    image[...] = (10, 20, 30)
    shown = crop(image, crop_map(Region(np.array([30.0, 28.0]), 45.0, 0.3), 64), 64, replicate=True)
    assert shown.flags.c_contiguous
    assert shown.reshape(-1, 3).max(0).tolist() == shown.reshape(-1, 3).min(0).tolist() == [10, 20, 30]
