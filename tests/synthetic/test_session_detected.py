"""A real detector takes the rendered head for a face and finds its landmarks where they are."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.config import DetectParams
from au3dmm.core.basis import deform
from au3dmm.core.camera import Pose, from_plane, principal_point, project
from au3dmm.core.landmarks import EYELIDS, JAW, eye_distance, landmark_positions
from au3dmm.detectors import make_detector
from au3dmm.io.video import read_frames
from au3dmm.synthetic.person import default_person

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def detected_and_true(tiny_session, mediapipe_weights):
    detector = make_detector(DetectParams(), session=None, weights_folder=mediapipe_weights)
    faces = [detector.detect(image, i) for i, (_, image) in enumerate(read_frames(tiny_session / "rgb.mp4"))]
    truth = json.loads((tiny_session / "truth.json").read_text())
    person = default_person(truth["seed"])
    bases = person.bases
    heads = np.stack([deform(person.neutral, bases.components_au, np.array(a)) for a in truth["alpha_au"]])
    pose = Pose(
        Rotation.from_rotvec(truth["rotation_vector"]).as_matrix(),
        np.array(truth["scale_px_per_m"]),
        np.array(truth["translation_px"]),
    )
    landmarks = landmark_positions(heads, bases.faces, bases.embedding)
    return faces, from_plane(project(landmarks, pose, truth["focal_px"]), principal_point(*truth["setup"]["rgb_size"]))


def test_one_face_is_found_in_every_frame(detected_and_true):
    faces, true = detected_and_true
    assert [len(found) for found in faces] == [1] * len(true)


def test_the_landmarks_are_found_where_the_truth_projects_them(detected_and_true):
    faces, true = detected_and_true
    found = np.stack([face[0].landmarks_px[:, :2] for face in faces])
    error = np.linalg.norm(found - true, axis=-1) / eye_distance(true)[:, None]
    inner = np.setdiff1d(np.arange(68), JAW)
    assert error[:, inner].mean() < 0.06
    assert error[:, EYELIDS].mean() < 0.06


def test_the_detected_mouth_follows_the_smile(detected_and_true):
    faces, true = detected_and_true
    found = np.stack([face[0].landmarks_px[:, :2] for face in faces])
    width = [np.linalg.norm(x[:, 54] - x[:, 48], axis=-1) / eye_distance(x) for x in (found, true)]
    assert np.ptp(width[0]) > 0.03
    assert np.corrcoef(*width)[0, 1] > 0.8
