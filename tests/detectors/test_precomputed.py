import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity, make_detector
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.session import read_session

POINTS = np.random.default_rng(0).uniform(10, 200, (3, 68, 3)).astype(np.float32)
PARAMS = DetectParams(detector="precomputed")
IMAGE = np.zeros((8, 8, 3), np.uint8)


def session(folder, **landmarks):
    sections = {"landmarks": landmarks} if landmarks else {}
    return read_session(rec.write_manifest(folder, {"file": "rgb.mp4"}, **sections))


def test_faces_are_looked_up_by_frame(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=POINTS, frame_index=[4, 9, 4], score=[0.9, 0.8, np.nan])
    detector = make_detector(PARAMS, session=session(tmp_path, file="l.npz"))
    assert detector.detect(IMAGE, 0) == []
    (face,) = detector.detect(IMAGE, 9)
    np.testing.assert_array_equal(face.landmarks_px, POINTS[1])
    assert face.landmark_score == pytest.approx(0.8)
    assert face.detection_score is None
    both = detector.detect(IMAGE, 4)
    assert len(both) == 2
    assert both[0].box_px[0] < both[1].box_px[0]
    assert None in [face.landmark_score for face in both]
    assert detector.n_dense == 0
    assert detector.describe()["has_z"]


def test_identity_follows_the_files_content(tmp_path):
    np.savez(tmp_path / "l.npz", landmarks=POINTS)
    one = detector_identity(PARAMS, session(tmp_path, file="l.npz"))
    assert detector_identity(PARAMS, session(tmp_path, file="l.npz")) == one
    np.savez(tmp_path / "l.npz", landmarks=POINTS + 1)
    assert detector_identity(PARAMS, session(tmp_path, file="l.npz")) != one


def test_a_session_without_landmarks_is_told_what_to_add(tmp_path):
    with pytest.raises(ConfigError, match=r"no \[landmarks\], which the detector 'precomputed' reads; add"):
        make_detector(PARAMS, session=session(tmp_path))


def test_a_landmark_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"none\.npz: no such file"):
        make_detector(PARAMS, session=session(tmp_path, file="none.npz"))
