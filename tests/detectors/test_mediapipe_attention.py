import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.core.mediapipe_mesh import EYELIDS, IBUG_TO_MESH, MIRROR
from au3dmm.detectors.mediapipe import MediapipeDetector
from au3dmm.detectors.mediapipe_attention import LEFT_EYE, LIPS, RIGHT_EYE, AttentionMesh, cut_windows, window_map
from au3dmm.detectors.mediapipe_models import Region
from au3dmm.io.images import read_image
from models import mediapipe_folder


def turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def test_the_tables_are_mirror_partners_and_cover_lips_and_lids():
    assert MIRROR[RIGHT_EYE].tolist() == LEFT_EYE.tolist()
    assert set(MIRROR[LIPS]) == set(LIPS)
    assert len({*LIPS, *RIGHT_EYE, *LEFT_EYE}) == 80 + 71 + 71
    assert {vertex for vertices in IBUG_TO_MESH[36:] for vertex in vertices} <= {*LIPS, *RIGHT_EYE, *LEFT_EYE}
    assert set(EYELIDS) <= {*RIGHT_EYE, *LEFT_EYE}


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
def test_a_window_lies_around_its_points_with_a_margin(angle):
    corners = np.array([[-30.0, -10], [30, -10], [30, 10], [-30, 10]]) @ turn(angle).T + (90, 110)
    window = window_map(corners, turn(angle) @ (1, 0))
    np.testing.assert_allclose(window[:, :2] @ (8, 8) + window[:, 2], (90, 110))
    low = window[:, :2] @ (0, 0) + window[:, 2]
    np.testing.assert_allclose(turn(angle).T @ (low - (90, 110)), (-45, -15))


def test_windows_show_the_features_at_the_middles_of_their_cells():
    y, x = np.mgrid[:48, :48] * 4.0 + 2  # where the cells' middles are, crop px
    features = np.stack([x, y], axis=-1).astype(np.float32)
    window = window_map(np.array([[60.0, 70], [120, 100]]), np.array([1.0, 0.3]))
    (shown,) = cut_windows(features, [window])
    j, i = np.mgrid[:16, :16] + 0.5
    np.testing.assert_allclose(shown, np.stack([i, j], axis=-1) @ window[:, :2].T + window[:, 2], atol=1e-3)


def test_nothing_lies_outside_the_features():
    away = np.column_stack([np.eye(2), [400.0, 0.0]])
    inside, outside = cut_windows(np.ones((48, 48, 3), np.float32), [np.column_stack([np.eye(2), [50.0, 60.0]]), away])
    assert (inside == 1).all()
    assert (outside == 0).all()


def test_points_come_back_from_their_windows(monkeypatch):
    mesh = np.random.default_rng(0).uniform(40, 150, (468, 3))
    answers = [
        [np.zeros((1, 48, 48, 2), np.float32), mesh.reshape(1, 1, 1, -1).astype(np.float32), np.full((1, 1), 9.0)],
        [np.full((1, n, 2), 32.0, np.float32) for n in (80, 71, 71)],  # the windows' middles
    ]
    monkeypatch.setattr("au3dmm.detectors.mediapipe_attention.part_of_model", lambda *args: b"")
    parts = iter([lambda *x: answers[0], lambda *x: answers[1]])
    monkeypatch.setattr("au3dmm.detectors.mediapipe_attention.Model", lambda content: next(parts))
    found, presence = AttentionMesh(b"")(np.zeros((192, 192, 3), np.uint8), Region(np.full(2, 95.5), 192.0, 0.0))
    assert presence > 0.99
    others = np.setdiff1d(np.arange(468), [*LIPS, *RIGHT_EYE, *LEFT_EYE])
    np.testing.assert_allclose(found[others, :2], mesh[others, :2] - 0.5, atol=1e-4)
    for points, (a, b) in ((LIPS, (61, 291)), (RIGHT_EYE, (33, 133)), (LEFT_EYE, (362, 263))):
        window = window_map(mesh[points, :2], mesh[b, :2] - mesh[a, :2])
        middle = window[:, :2] @ (8, 8) + window[:, 2] - 0.5
        np.testing.assert_allclose(found[points, :2], np.tile(middle, (len(points), 1)), atol=1e-3)
    np.testing.assert_allclose(found[:, 2], -mesh[:, 2], atol=1e-4)


@pytest.mark.weights
@pytest.mark.shared
def test_refined_landmarks_lie_near_those_of_the_plain_mesh(shared_data):
    image = read_image(shared_data / "images" / "obama.jpg")
    marks = []
    for refine in (False, True):
        detector = MediapipeDetector(DetectParams(mediapipe_refine=refine), mediapipe_folder())
        marks.append(detector.detect(image, 0)[0].landmarks_px[:, :2])
    apart = np.linalg.norm(marks[1] - marks[0], axis=1) / np.linalg.norm(marks[0][36] - marks[0][45])
    assert 0 < apart[17:].mean() < 0.04  # a window half a cell aside would be 0.04 off on top


@pytest.mark.weights
@pytest.mark.shared
def test_a_blink_closes_the_eyes_more_than_the_plain_mesh_does(shared_data):
    from au3dmm.io.video import read_frames

    images = [image for _, image in read_frames(shared_data / "sessions" / "single_motion" / "rgb.mp4")][:28]
    ratio = []
    for refine in (False, True):
        params = DetectParams(mediapipe_refine=refine, mediapipe_tracking=False)
        detector = MediapipeDetector(params, mediapipe_folder())
        marks = np.array([detector.detect(images[i], i)[0].landmarks_px[:, :2] for i in (4, 27)])  # open, shut
        gap = np.linalg.norm(marks[:, [37, 38, 43, 44]] - marks[:, [41, 40, 47, 46]], axis=2).mean(1)
        ratio.append(gap[1] / gap[0])
    assert ratio[0] > 0.3
    assert ratio[1] < 0.75 * ratio[0]
