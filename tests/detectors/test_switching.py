import json

import numpy as np
import pytest

from au3dmm.detectors.base import DetectedFace
from au3dmm.detectors.switching import TakenFace, is_another


def face(x, side=100.0, y=0.0):
    box = np.float32([x, y, x + side, y + side])
    return DetectedFace(box, 0.9, np.zeros((68, 3), np.float32), 0.9)


def taken(x, side=100.0, t_rgb_us=0):
    return TakenFace(face(x, side).box_px, t_rgb_us)


@pytest.mark.parametrize("step", [0, 10, 30, 60])
def test_a_face_that_moves_is_the_same(step):
    assert not is_another([face(step)], 0, 33_000, taken(0))


@pytest.mark.parametrize("t_us", [33_000, 10_000_000])
def test_a_face_elsewhere_is_another_however_long_it_took(t_us):
    assert is_another([face(95)], 0, t_us, taken(0))


def test_of_two_faces_side_by_side_the_one_that_was_not_there_is_another():
    # it overlaps the last box, but the face that was taken is still there
    pair = [face(0), face(60)]
    assert is_another(pair, 1, 33_000, taken(0))
    assert not is_another(pair, 0, 33_000, taken(0))


def test_two_who_cross_are_told_apart_while_both_are_seen():
    switched = []
    last = None
    for t in range(41):  # the left one walks to the right before the other, and is taken while it is larger
        pair = [face(5 * t, 100), face(200 - 5 * t, 80 + 1.3 * t)]
        chosen = int(np.argmax([one.box_px[2] - one.box_px[0] for one in pair]))
        if last is not None and is_another(pair, chosen, 33_000 * t, last):
            switched.append(t)
        last = TakenFace(pair[chosen].box_px, 33_000 * t)
    assert switched == [16]


@pytest.mark.parametrize(("side", "t_us", "another"), [(160, 33_000, True), (60, 33_000, True), (140, 33_000, False)])
def test_a_jump_in_size_from_one_frame_to_the_next_is_another_face(side, t_us, another):
    centred = face(50 - side / 2, side, 50 - side / 2)
    assert is_another([centred], 0, t_us, taken(0)) == another


def test_over_a_pause_a_face_may_have_come_nearer():
    assert not is_another([face(-30, 160, -30)], 0, 500_000, taken(0))


def test_what_is_known_of_a_face_survives_json():
    one = TakenFace(np.float32([0.1, 1 / 3, 1e9, -7]), 12345)
    again = TakenFace.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again.t_rgb_us == 12345
    assert again.box_px.dtype == np.float32
    assert again.box_px.tolist() == one.box_px.tolist()
