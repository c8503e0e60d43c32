import numpy as np
import pytest

from au3dmm.detectors.base import DetectedFace, in_order, overlap


def face(*box):
    return DetectedFace(np.float32(box), 1.0, np.zeros((68, 3), np.float32), 1.0)


def test_faces_are_ordered_from_left_to_right_then_down():
    faces = [face(5, 0, 9, 9), face(1, 8, 2, 9), face(1, 2, 2, 3)]
    assert [f.box_px.tolist() for f in in_order(faces)] == [[1, 2, 2, 3], [1, 8, 2, 9], [5, 0, 9, 9]]
    assert [f.box_px.tolist() for f in in_order(faces[::-1])] == [[1, 2, 2, 3], [1, 8, 2, 9], [5, 0, 9, 9]]


@pytest.mark.parametrize(("other", "expected"), [((0, 0, 2, 2), 1.0), ((2, 0, 4, 2), 0.0), ((9, 9, 9, 9), 0.0)])
def test_overlap_is_between_nothing_and_all(other, expected):
    assert overlap(np.array([0, 0, 2, 2]), np.array(other)) == expected


def test_overlap_of_two_points_is_nothing():
    assert overlap(np.zeros(4), np.zeros(4)) == 0
