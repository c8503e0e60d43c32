import numpy as np
import pytest

from au3dmm.detectors.base import DetectedFace
from au3dmm.detectors.selection import choose_face, face_flags, yaw_deg

SIZE = (640, 360)


def head(yaw=0.0, scale=1.0, centre=(320.0, 180.0)):
    """Points of a round-ish head turned by `yaw` degrees: eyes 90 apart, a nose before them, the rest between."""
    points = np.random.default_rng(0).uniform((-40, -30, 0), (40, 60, 30), (68, 3))
    points[36], points[45], points[30] = (-45, -20, 0), (45, -20, 0), (0, 20, 40)
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turned = points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    turned = turned * scale
    turned[:, :2] += centre
    return turned.astype(np.float32)


def face(x0, y0, x1, y1, landmarks=None):
    return DetectedFace(np.float32([x0, y0, x1, y1]), 0.9, head() if landmarks is None else landmarks, 0.9)


SMALL_LEFT = face(50, 150, 90, 190)
LARGE_LEFT = face(100, 100, 250, 250)
MIDDLE = face(300, 150, 360, 210)
FACES = [SMALL_LEFT, LARGE_LEFT, MIDDLE]


@pytest.mark.parametrize(("policy", "expected"), [("largest", 1), ("central", 2), ("track", 1), ("index", 0)])
def test_each_policy_takes_its_face(policy, expected):
    assert choose_face(FACES, policy, SIZE) == (expected, [])


def test_track_stays_with_the_face_it_had():
    assert choose_face(FACES, "track", SIZE, SMALL_LEFT.box_px + 5) == (0, [])


def test_index_counts_from_the_left_and_may_find_none():
    assert choose_face(FACES, "index", SIZE, index=2) == (2, [])
    assert choose_face(FACES, "index", SIZE, index=3) == (None, [])


@pytest.mark.parametrize("policy", ["largest", "central", "track", "index"])
def test_without_faces_none_is_taken(policy):
    assert choose_face([], policy, SIZE, MIDDLE.box_px) == (None, [])


def test_a_jump_to_another_face_is_flagged():
    assert choose_face([MIDDLE], "track", SIZE, LARGE_LEFT.box_px) == (0, ["face_switched"])
    assert choose_face(FACES, "largest", SIZE, LARGE_LEFT.box_px + 10) == (1, [])


def test_equal_faces_give_the_leftmost():
    twins = [face(0, 0, 10, 10), face(50, 0, 60, 10)]
    assert choose_face(twins, "largest", SIZE)[0] == 0


def test_an_ordinary_face_has_no_flags():
    assert face_flags(MIDDLE, SIZE, 40) == []


@pytest.mark.parametrize("box", [(-1, 10, 50, 60), (10, -1, 50, 60), (600, 10, 640, 60), (10, 300, 50, 360)])
def test_a_box_over_the_border_is_flagged(box):
    assert face_flags(face(*box), SIZE, 40) == ["border"]


def test_a_box_on_the_outermost_pixels_is_inside():
    assert face_flags(face(-0.5, -0.5, 639.5, 359.5), SIZE, 40) == []


def test_landmarks_over_the_border_are_flagged():
    assert face_flags(face(0, 0, 100, 100, head(centre=(20, 180))), SIZE, 40) == ["border"]


def test_a_small_face_is_flagged():
    assert face_flags(face(300, 150, 360, 210, head(scale=0.4)), SIZE, 40) == ["small"]


@pytest.mark.parametrize("yaw", [-60, -30, 0, 15, 40, 60])
def test_yaw_is_estimated_to_ten_degrees(yaw):
    assert yaw_deg(head(yaw)) == pytest.approx(yaw, abs=10)


def test_yaw_does_not_depend_on_roll_or_scale():
    points = head(30)
    c, s = np.cos(0.7), np.sin(0.7)
    rolled = points[:, :2] @ np.array([[c, s], [-s, c]]) * 3 + 7
    assert yaw_deg(rolled) == pytest.approx(yaw_deg(points), abs=1e-3)


def test_a_turned_head_is_flagged():
    assert face_flags(face(300, 150, 360, 210, head(60)), SIZE, 10) == ["extreme_pose"]
    assert face_flags(face(300, 150, 360, 210, head(-60)), SIZE, 10) == ["extreme_pose"]


def test_eyes_in_one_place_are_an_extreme_pose():
    assert yaw_deg(np.zeros((68, 3))) == 90
