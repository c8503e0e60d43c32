import os

import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import MIRROR, eye_distance, mirror_landmarks
from au3dmm.detectors.mediapipe import IBUG_TO_MESH, MediapipeDetector, landmarks_of_mesh
from au3dmm.detectors.mediapipe_boxes import BlazeFaces
from au3dmm.errors import AssetError
from au3dmm.io.images import read_image
from au3dmm.io.video import read_frames
from models import mediapipe_folder


@pytest.fixture(scope="module")
def detector():
    return MediapipeDetector(DetectParams(mediapipe_tracking=False), mediapipe_folder())


@pytest.fixture(scope="module")
def photographs(shared_data):
    return [read_image(shared_data / "images" / name) for name in ("obama.jpg", "biden.jpg")]


def nme(a, b):
    """Mean distance of landmarks in units of the eye distance."""
    return np.linalg.norm((a - b)[:, :2], axis=1).mean() / eye_distance(b[:, :2])


def test_the_table_names_a_place_on_the_mesh_for_every_landmark():
    assert len(IBUG_TO_MESH) == 68
    assert all(0 <= vertex < 468 for vertices in IBUG_TO_MESH for vertex in vertices)
    mesh = np.arange(468.0)[:, None] * [1, 2, 3]
    marks = landmarks_of_mesh(mesh)
    assert marks[30].tolist() == [4, 8, 12]
    assert marks[27].tolist() == [87, 174, 261]


def test_missing_models_are_named(tmp_path):
    with pytest.raises(AssetError, match="au3dmm weights get mediapipe"):
        MediapipeDetector(DetectParams(), tmp_path)


@pytest.mark.weights
@pytest.mark.parametrize("image", [np.zeros((90, 160, 3), np.uint8), np.full((300, 200, 3), 128, np.uint8)])
def test_an_image_without_a_face_gives_none(detector, image):
    assert detector.detect(image, 0) == []


@pytest.mark.weights
@pytest.mark.shared
def test_faces_are_found_with_everything_in_its_place(detector, photographs):
    for image in photographs:
        (face,) = detector.detect(image, 0)
        marks = face.landmarks_px
        assert marks.dtype == face.dense_px.dtype == face.box_px.dtype == np.float32
        assert face.dense_px.shape == (468, 3)
        assert face.detection_score > 0.8
        assert face.landmark_score > 0.9
        assert marks[45, 0] > marks[36, 0]  # the subject's left eye is on the right of the image
        assert marks[19, 1] < marks[37, 1] < marks[30, 1] < marks[57, 1] < marks[8, 1]
        assert marks[30, 2] > marks[[36, 45], 2].max() > marks[[0, 16], 2].max()  # z towards the camera
        depth = marks[30, 2] - marks[[0, 16], 2].mean()
        assert 0.5 < depth / eye_distance(marks[:, :2]) < 2.5  # in px, as x


@pytest.mark.weights
@pytest.mark.shared
def test_a_mirrored_face_has_mirrored_landmarks(detector, photographs):
    for image in photographs:
        (face,) = detector.detect(image, 0)
        (mirrored,) = detector.detect(np.ascontiguousarray(image[:, ::-1]), 0)
        back = mirror_landmarks(mirrored.landmarks_px, image.shape[1])
        assert nme(back, face.landmarks_px) < 0.03
        wrong = mirrored.landmarks_px[MIRROR]  # the test can fail: without the flip of x it is far off
        assert nme(wrong, face.landmarks_px) > 0.1


@pytest.mark.weights
@pytest.mark.shared
def test_landmarks_move_with_the_image(detector, photographs):
    image = photographs[0]
    padded = np.zeros((image.shape[0] + 64, image.shape[1] + 64, 3), np.uint8)
    padded[:-64, 64:] = image
    (face,), (moved,) = detector.detect(image, 0), detector.detect(padded, 0)
    assert nme(moved.landmarks_px - np.float32([64, 0, 0]), face.landmarks_px) < 0.01


@pytest.mark.weights
@pytest.mark.shared
def test_two_faces_side_by_side_are_both_found_from_left_to_right(detector, photographs):
    left, right = (image[:1137, :900] for image in photographs)
    both = detector.detect(np.concatenate([left, right], axis=1), 0)
    assert len(both) == 2
    for face, image, x in zip(both, (left, right), (0, 900), strict=True):
        (alone,) = detector.detect(image, 0)
        assert nme(face.landmarks_px - np.float32([x, 0, 0]), alone.landmarks_px) < 0.02


@pytest.mark.weights
@pytest.mark.shared
def test_a_face_found_twice_is_one_face(detector, photographs, monkeypatch):
    found = detector._find(photographs[0])
    assert len(found.scores) == 1
    twice = BlazeFaces(*(np.concatenate([x, x]) for x in (found.boxes_px, found.keypoints_px, found.scores)))
    monkeypatch.setattr(detector, "_find", lambda image: twice)
    assert len(detector.detect(photographs[0], 0)) == 1


@pytest.mark.weights
@pytest.mark.shared
def test_answers_do_not_depend_on_what_was_seen_before(detector, photographs):
    first = detector.detect(photographs[0], 0)[0].dense_px
    detector.detect(photographs[1], 1)
    np.testing.assert_array_equal(detector.detect(photographs[0], 2)[0].dense_px, first)


@pytest.mark.weights
@pytest.mark.shared
def test_cutting_the_region_again_calms_the_landmarks(shared_data):
    images = [image for _, image in read_frames(shared_data / "sessions" / "single_motion" / "rgb.mp4")][:40]
    jitter = []
    for recrops in (0, 2):
        detector = MediapipeDetector(DetectParams(recrops=recrops, mediapipe_tracking=False), mediapipe_folder())
        marks = np.array([detector.detect(image, 0)[0].landmarks_px[:, :2] for image in images])
        jitter.append(np.median(np.abs(np.diff(marks, 2, axis=0))))
    assert jitter[1] < jitter[0]


@pytest.mark.weights
def test_building_says_nothing_on_stderr(capfd):
    MediapipeDetector(DetectParams(), mediapipe_folder())
    os.write(2, b"here")
    assert capfd.readouterr().err == "here"


@pytest.mark.weights
def test_it_says_what_it_is_made_of(detector):
    told = detector.describe()
    assert told["name"] == "mediapipe"
    assert {name: sha[:8] for name, sha in told["weights"].items()} == {
        "face_detection_short_range.tflite": "bbff11ce",
        "face_detection_full_range_sparse.tflite": "2c3728e6",
        "face_landmark_with_attention.tflite": "e06a804e",
    }
    assert told["recrops"] == 1
    assert told["mediapipe_tracking"] is False
