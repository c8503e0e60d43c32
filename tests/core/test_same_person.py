import numpy as np
import pytest

from au3dmm.core.basis import deform
from au3dmm.core.fitting import CameraSettings
from au3dmm.core.neutral import find_neutral
from au3dmm.core.same_person import compare_people
from faces import make_face, random_rotations, see_orthographic

CAMERA = CameraSettings("scaled_orthographic", 0, 600.0)
FACE = {"sigma_id_px": 0.3, "sigma_offset_m": 0.002}
N = 80


def compared(people, one_recording=False, glasses=()):
    """Compare recordings of `people` (a number each), 80 frames with bursts of expression; `glasses` shift eyes."""
    face = make_face(0)
    rng = np.random.default_rng(1)
    seen = []
    for r, person in enumerate(people):
        mind = np.random.default_rng(100 + person)
        neutral = deform(face.template, face.components_id, 1.5 * mind.normal(size=8))
        alpha = np.zeros((N, 12))
        alpha[:, r % 12] = 4 * np.maximum(np.sin(np.arange(N) / 6), 0)
        shape = deform(neutral, face.components_au, alpha)
        marks = see_orthographic(shape, random_rotations(rng, N), 1600.0, np.zeros((N, 2)))
        if r in glasses:
            marks[:, 36:48] += rng.normal(size=(12, 2)) * 1.5
        seen.append(marks + rng.normal(size=marks.shape) * 0.7)
    seen = np.concatenate(seen)
    starts = np.array([0]) if one_recording else np.arange(len(people)) * N
    args = (face.template, face.components_id, face.components_au, np.ones(68), CAMERA)
    found = find_neutral(
        seen, starts, *args, alternations=3, sigma_px=0.7, l1=2.0, share=0.3, frames_max=90, passes=1, **FACE
    )
    return compare_people(seen, starts, found, face.template, face.components_id, np.ones(68), CAMERA, **FACE)


@pytest.mark.parametrize("one_recording", [False, True])
def test_one_person_is_one_person(one_recording):
    test = compared([0, 0, 0, 0, 0, 0], one_recording)
    assert test.tested
    assert not test.two_people


def test_glasses_make_no_other_person():
    assert not compared([0, 0, 0, 0, 0, 0], glasses=(0, 1, 2)).two_people


@pytest.mark.parametrize("people", [[0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
def test_a_second_person_is_found_and_named(people):
    test = compared(people)
    assert test.two_people
    assert test.second.tolist() == [person == 1 for person in people]
    assert test.stretches[1] == (N, 2 * N)


def test_a_person_who_takes_over_within_a_recording_is_found():
    test = compared([0, 0, 0, 1, 1, 1], one_recording=True)
    assert test.two_people
    assert test.second.tolist() == [False] * 3 + [True] * 3


def test_two_short_recordings_are_too_little_to_compare():
    assert not compared([0, 1]).tested
    assert not compared([0, 1]).two_people
    assert compared([0], one_recording=True).distance_mm == 0.0
