"""Boxes that follow faces, with a finder and a reader that know the truth."""

import numpy as np
import pytest

from au3dmm.detectors.fan_crops import box_of_landmarks
from au3dmm.detectors.fan_tracking import Face, faces_as_found, faces_of_span
from fan_oracle import planted_face

FACE = planted_face((0, 0), 60.0)


class World:
    """Faces whose places are known: `places[frame]` lists x, y; what was asked is counted."""

    def __init__(self, places, blind=(), score=lambda frame: 0.9):
        self.places, self.blind, self.score = places, set(blind), score
        self.found, self.read = [], []

    def find(self, frame):
        self.found.append(frame)
        if frame in self.blind:
            return np.zeros((0, 5))
        return np.array([[*box_of_landmarks(self._face(at)), 0.8] for at in self.places[frame]]).reshape(-1, 5)

    def locate(self, requests, depth):
        faces = []
        for request in requests:
            self.read.append(request.frame)
            middle = (request.box_px[:2] + request.box_px[2:]) / 2
            width = request.box_px[2] - request.box_px[0]
            off = [np.linalg.norm(self._middle(at) - middle) for at in self.places[request.frame]]
            if off and min(off) < 0.7 * width:
                at = self.places[request.frame][int(np.argmin(off))]
                faces.append(Face(request, self._face(at).astype(np.float32), self.score(request.frame)))
            else:  # nobody there: a shape in the middle of the crop, with hardly any score
                faces.append(Face(request, self._face(middle).astype(np.float32), 0.1))
        return faces

    def run(self, min_score=0.5):
        return faces_of_span(len(self.places), self.find, self.locate, min_score)

    @staticmethod
    def _face(at):
        return FACE + [*at, 0]

    def _middle(self, at):
        box = box_of_landmarks(self._face(at))
        return (box[:2] + box[2:]) / 2


def places_of(faces):
    return [[tuple(np.round(face.landmarks_px[36, :2] - FACE[36, :2], 3)) for face in of_frame] for of_frame in faces]


def test_boxes_are_looked_for_once_and_follow_a_moving_face():
    world = World([[(100 + 0.5 * i, 80 + 0.25 * i)] for i in range(16)])
    faces = world.run()
    assert world.found == [0]
    assert places_of(faces) == world.places
    assert len(world.read) == 16 + 3  # all once, key frames before that
    boxes = np.array([of_frame[0].request.box_px for of_frame in faces])
    truth = np.array([box_of_landmarks(of_frame[0].landmarks_px) for of_frame in faces])
    np.testing.assert_allclose(boxes, truth, atol=1e-6)
    assert [of_frame[0].request.detection_score for of_frame in faces] == [0.8] + [None] * 15


def test_a_face_that_leaves_is_gone_and_one_that_comes_is_found():
    here = [(100, 80)]
    world = World([here] * 5 + [[]] * 11)
    assert places_of(world.run()) == world.places
    world = World([[]] * 7 + [here] * 9)
    assert places_of(world.run()) == world.places
    world = World([[]] * 16)
    assert places_of(world.run()) == world.places
    assert world.found == [0, 8, 15]
    assert world.read == []


def test_a_cut_to_another_place_is_found_at_its_frame():
    world = World([[(100, 80)]] * 6 + [[(500, 300)]] * 10)
    assert places_of(world.run()) == world.places


def test_a_fast_face_is_read_again_where_it_is():
    world = World([[(100 + 12 * i, 80)] for i in range(16)])
    assert places_of(world.run()) == world.places


def test_two_faces_that_cross_stay_two():
    world = World([[(100 + 20 * i, 80), (400 - 20 * i, 90)] for i in range(16)])
    faces = places_of(world.run())
    assert [sorted(of_frame) for of_frame in faces] == [sorted(of_frame) for of_frame in world.places]


def test_a_face_with_a_low_score_all_along_is_not_looked_for_in_every_frame():
    world = World([[(100, 80)]] * 16, score=lambda frame: 0.3)
    assert places_of(world.run()) == world.places
    assert world.found == [0]


def test_a_drop_of_the_score_makes_it_look_again():
    world = World([[(100, 80)]] * 16, score=lambda frame: 0.2 if frame == 5 else 0.9)
    faces = world.run()
    assert world.found == [0, 5]
    assert faces[5][0].request.detection_score == 0.8
    assert places_of(faces) == world.places


@pytest.mark.parametrize("n", [1, 2, 8, 9])
def test_spans_of_any_length_are_answered(n):
    world = World([[(100, 80), (300, 80)]] * n)
    assert places_of(world.run()) == world.places


def test_the_librarys_way_looks_in_every_frame_and_reads_once():
    world = World([[(100, 80)], [], [(120, 80), (300, 90)]])
    faces = faces_as_found(3, world.find, world.locate)
    assert places_of(faces) == world.places
    assert world.found == [0, 1, 2]
    assert world.read == [0, 2, 2]


def test_landmarks_that_are_nowhere_near_a_face_do_not_run_away_with_the_box():
    class Collapsed(World):
        def locate(self, requests, depth):
            return [Face(request, np.zeros((68, 3), np.float32), 0.9) for request in requests]

    world = Collapsed([[(100, 80)]] * 4)
    for of_frame in world.run():
        assert np.isfinite(of_frame[0].request.box_px).all()
        np.testing.assert_allclose(of_frame[0].request.box_px, box_of_landmarks(FACE + [100, 80, 0]))
