"""Simulated recordings: the same for one seed, and seen as the condition says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import JAW, eye_distance
from au3dmm.simulation.clips import make_clip
from au3dmm.simulation.conditions import CONDITIONS, Condition
from au3dmm.simulation.contour import PATH_POINTS, slide
from au3dmm.simulation.faces import FACIAL_UNITS
from au3dmm.simulation.recordings import draw_person, simulate

FRAMES = 30


def seen(family, seed=3, subjects=1, dense=False, **changes):
    return simulate(family, Condition(**changes), seed=seed, subjects=subjects, dense=dense, frames=FRAMES)


def test_every_action_unit_moves_the_face(family):
    assert set(family.units) == set(FACIAL_UNITS)
    for unit, parts in family.units.items():
        moved = sum(weight * family.expressions[i, family.metric] for i, weight in parts.items())
        assert np.linalg.norm(moved, axis=1).max() > 5e-4, unit


def test_both_sides_of_a_gesture_are_one_gesture(family):
    both = family.gestures["AU12"]
    assert [family.names[i] for i in both] == ["AU12_left", "AU12_right"]
    assert [family.sides[i] for i in both] == ["left", "right"]


def test_equal_seeds_give_equal_bytes_and_others_other_ones(family):
    a, b, c = seen(family), seen(family), seen(family, seed=4)
    assert a.landmarks.tobytes() == b.landmarks.tobytes()
    assert a.weights.tobytes() == b.weights.tobytes()
    assert not np.allclose(a.landmarks, c.landmarks)


@pytest.mark.parametrize("changes", [{}, {"occlusion": 0.5, "outliers": 0.01, "noise_ar": 0.9, "bias_px": 1.0}])
def test_a_subject_does_not_depend_on_the_others_nor_on_dense_landmarks(family, changes):
    one = seen(family, **changes)
    three = seen(family, subjects=3, **changes)
    np.testing.assert_array_equal(one.landmarks[0], three.landmarks[0])
    np.testing.assert_array_equal(one.neutral[0], three.neutral[0])
    if not changes:
        dense = seen(family, dense=True)
        np.testing.assert_array_equal(one.landmarks, dense.landmarks[..., :68, :])


def test_the_noise_is_what_the_condition_says(family):
    clean = seen(family, noise_px=0.0)
    inner = ~clean.contour
    for ar in (0.0, 0.9):
        noisy = seen(family, noise_px=1.5, noise_ar=ar)
        off = (noisy.landmarks - clean.landmarks).astype(np.float64)
        assert off[..., inner, :].std() == pytest.approx(1.5, rel=0.05)
        assert off[..., JAW, :].std() == pytest.approx(3.0, rel=0.05)
        again = (off[:, :, 1:] * off[:, :, :-1]).mean() / (off**2).mean()
        assert again == pytest.approx(ar, abs=0.05)


def test_eyes_are_144_px_apart_at_the_stated_distance(family):
    # of some faces some way off: the mean over people, places and turned heads is near
    recordings = seen(family, subjects=3, noise_px=0.0, motion_deg=0.0, perspective=False)
    assert eye_distance(recordings.landmarks.astype(float)).mean() == pytest.approx(144, rel=0.06)


def test_recordings_begin_neutral_unless_they_begin_active(family):
    assert seen(family, starts_active=0.0).still[:, :, 0].all()
    active = seen(family, starts_active=1.0)
    assert active.active_start.all()
    assert active.still[:, :, -3:].all()


def test_apex_frames_are_moved_and_still_frames_are_not(family):
    recordings = seen(family)
    moved = recordings.displacement(0, recordings.apex[0])
    assert (np.linalg.norm(moved, axis=2).max(1) > 3e-4).all()
    assert not recordings.displacement(0, recordings.still[0]).any()
    assert not (recordings.apex & recordings.still).any()


def test_head_movements_turn_the_head_and_leave_the_face_alone(family):
    recordings = seen(family, kind="facemorphic", motion_deg=0.0)
    turned = recordings.labels.index("AU51")
    assert not recordings.weights[0, turned].any()
    degrees = Rotation.from_matrix(recordings.rotation[0, turned].astype(float)).magnitude().max() * 180 / np.pi
    assert 18 <= degrees <= 28
    assert not recordings.apex[0, turned].any()


def test_a_turned_head_shows_another_contour_on_the_far_side_only(family):
    face, _ = draw_person(family, 3, 0)
    paths = face[family.n_model :].reshape(1, len(JAW), PATH_POINTS, 3)
    frontal = slide(paths, np.eye(3)[None])
    np.testing.assert_allclose(frontal[0], paths[0, :, 0], atol=1e-3)
    to_left = slide(paths, Rotation.from_euler("y", 30, degrees=True).as_matrix()[None])
    moved = np.linalg.norm(to_left - frontal, axis=2)[0]
    # x grows to the subject's left, the picture's right: turned there, the left cheek hides its contour
    assert moved[11:15].mean() > 5e-3
    assert moved[2:6].mean() < 2e-3


def test_occlusion_and_outliers_spoil_some_landmarks_only(family):
    clean, spoiled = seen(family), seen(family, outliers=0.01)
    off = np.linalg.norm(spoiled.landmarks - clean.landmarks, axis=-1)
    assert 0.005 < (off > 1e-3).mean() < 0.02
    hidden = seen(family, occlusion=1.0)
    assert np.isfinite(hidden.landmarks).all()


def test_conditions_have_names_and_lead_to_recordings(family):
    for condition in CONDITIONS.values():
        clip = make_clip(
            family,
            condition.kind,
            "AU12",
            np.random.default_rng(0),
            starts_active=False,
            motion_deg=condition.motion_deg,
            frames=FRAMES,
        )
        assert clip.weights.shape == (FRAMES, len(family.names))
        assert 0 <= clip.weights.min() <= clip.weights.max() < 1.5
    hard = simulate(family, replace(CONDITIONS["hard"]), seed=1, subjects=1, frames=FRAMES)
    assert np.isfinite(hard.landmarks).all()
