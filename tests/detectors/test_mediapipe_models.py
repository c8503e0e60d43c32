import cv2
import numpy as np
import pytest

from au3dmm.detectors.mediapipe_models import (
    BlazeFace,
    Region,
    anchors,
    crop,
    crop_map,
    merge_boxes,
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


def test_anchors_are_blazefaces_896():
    a = anchors()
    assert a.shape == (896, 2)
    np.testing.assert_allclose(a[[0, 1, 2, 511, 512, 895]], [
        [1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32], [31 / 32, 31 / 32], [1 / 16, 1 / 16], [15 / 16, 15 / 16]
    ])  # fmt: skip


@pytest.mark.parametrize(("shape", "scale", "shift"), [((128, 128), 1, (0, 0)), ((100, 256), 2, (0, -78))])
def test_a_box_lies_where_its_anchor_is(monkeypatch, shape, scale, shift):
    raw, scores = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -100, np.float32)
    raw[0, 100, :4], scores[0, 100] = (4, -2, 32, 16), 5  # centre off its anchor, and size, in px of the input
    monkeypatch.setattr("au3dmm.detectors.mediapipe_models._Model", lambda content: lambda image: [raw, scores])
    found = BlazeFace(b"", 0.5)(np.zeros((*shape, 3), np.uint8))
    centre = (anchors()[100] * 128 + (4, -2)) * scale + shift - 0.5  # edge to edge, then to pixel centres
    np.testing.assert_allclose(
        found.boxes_px, [[*(centre - (16 * scale, 8 * scale)), *(centre + (16 * scale, 8 * scale))]]
    )
    np.testing.assert_allclose(found.keypoints_px[0, 0], anchors()[100] * 128 * scale + shift - 0.5)
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-5)))


def place(x0, y0, x1, y1):
    return np.concatenate([[[x0, y0], [x1, y1]], np.full((6, 2), (x0 + x1) / 2)])


def test_overlapping_candidates_become_their_weighted_mean():
    places = np.array([place(0, 0, 10, 10), place(20, 0, 30, 10), place(1, 0, 11, 10)], float)
    merged, scores = merge_boxes(places, np.array([0.6, 0.9, 0.8]))
    assert scores.tolist() == [0.9, 0.8]
    np.testing.assert_allclose(merged[0], places[1])
    np.testing.assert_allclose(merged[1], (0.6 * places[0] + 0.8 * places[2]) / 1.4)


def test_no_candidates_merge_into_none():
    merged, scores = merge_boxes(np.zeros((0, 8, 2)), np.zeros(0))
    assert merged.shape == (0, 8, 2)
    assert scores.shape == (0,)


def test_a_candidate_without_area_does_not_stop_the_merging():
    assert len(merge_boxes(np.zeros((2, 8, 2)), np.array([0.9, 0.8]))[0]) == 2


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
