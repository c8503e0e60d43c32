"""The people of a dataset: different, lit and coloured plausibly, and the same again for the same seed."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import landmark_positions
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.synthetic.cast import SKINS, demo_subject, draw_identity, draw_look, recoloured, subject_name
from au3dmm.synthetic.film import event_view, rgb_view
from au3dmm.synthetic.session_setup import Setup


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture(scope="module")
def bases():
    return read_bases(asset_path(DEMO_BASES))


@pytest.fixture(scope="module")
def subject(head, bases):
    return demo_subject(bases, head, draw_look(0, 1, Setup()), draw_identity(0, 1, bases.k_id))


def test_subjects_differ_and_come_again_with_the_seed():
    looks = [draw_look(0, i, Setup()) for i in range(8)]
    assert len({look.skin for look in looks}) == 8
    assert len({look.words["skin"] for look in looks}) == len(SKINS)
    assert len({look.lighting for look in looks}) == len({look.setup for look in looks}) == 8
    assert draw_look(0, 3, Setup()) == looks[3]
    assert draw_look(1, 3, Setup()) != looks[3]
    assert subject_name(41) == "S042"


def test_identities_are_within_two_standard_deviations():
    alpha = np.stack([draw_identity(0, i, 22) for i in range(200)])
    assert np.abs(alpha).max() == 2
    assert 0.8 < alpha.std() < 1.0
    assert abs(alpha.mean()) < 0.05


def test_the_face_is_wholly_in_both_pictures(bases):
    for i in range(12):
        look = draw_look(0, i, Setup())
        neutral = landmark_positions(bases.template, bases.faces, bases.embedding)
        for view in (rgb_view(look.setup), event_view(look.setup)):
            px, _ = view.project(neutral)
            assert (px > 20).all()
            assert (px < np.array([view.width, view.height]) - 20).all()


def test_colours_change_where_they_should_and_teeth_and_whites_stay(head):
    look = draw_look(0, 0, Setup())
    new = recoloured(head, look).astype(float)
    skin = head.regions["face"]
    assert np.abs(np.median(new[skin], axis=0) - look.skin).max() < 25
    np.testing.assert_allclose(new[head.regions["teeth"]], head.albedo[head.regions["teeth"]], atol=1)
    white = head.regions["left_eyeball"][head.albedo[head.regions["left_eyeball"]].min(1) > 200]
    np.testing.assert_allclose(new[white], head.albedo[white], atol=1)
    other = recoloured(head, dataclasses.replace(look, eyes=(200, 20, 20)))
    changed = np.flatnonzero((other != recoloured(head, look)).any(1))
    assert len(changed) > 50
    assert set(changed) <= set(head.regions["left_eyeball"]) | set(head.regions["right_eyeball"])


def test_brows_are_darker_than_the_skin_whatever_the_hair(head):
    for i in range(14):
        new = recoloured(head, draw_look(2, i, Setup())).astype(float).mean(1)
        assert np.median(new[head.regions["brows"]]) < 0.85 * np.median(new[head.regions["face"]])


def test_dark_and_light_faces_are_exposed_alike_within_a_factor_of_four(head, bases):
    brightness = []
    by_skin = sorted(range(7), key=lambda i: sum(draw_look(0, i, Setup()).skin))
    for i in (by_skin[0], by_skin[-1]):
        person = demo_subject(bases, head, draw_look(0, i, Setup()), np.zeros(bases.k_id))
        brightness.append(person.lit(person.neutral)[head.regions["face"]].mean())
    assert max(brightness) < 4 * min(brightness)
    assert min(brightness) > 0.07
    assert max(brightness) < 0.6


def test_the_head_turns_as_a_rigid_body_and_the_shoulders_stay(subject):
    turn, shift = np.array([0.1, 0.4, -0.1]), np.array([1e-3, 2e-3, 0.0])
    still = np.zeros(subject.bases.k_au)
    rest, turned = subject.placed(still, np.zeros(3), np.zeros(3)), subject.placed(still, turn, shift)
    chest = rest[:, 1] < -0.22
    assert chest.sum() > 50
    np.testing.assert_allclose(turned[chest], rest[chest], atol=1e-9)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    place = subject.head_place(rotation[None], shift[None])[0]
    rigid = rest @ rotation.T + place
    moved = (landmark_positions(points, subject.bases.faces, subject.bases.embedding) for points in (turned, rigid))
    np.testing.assert_allclose(*moved, atol=1e-9)


def test_closed_lids_cover_the_eyeballs(bases, head):
    unit = [bases.names_au.index(name) for name in ("AU43_left", "AU43_right")]
    alpha = np.zeros(bases.k_au)
    alpha[unit] = 3.0
    ball = head.regions["left_eyeball"]
    for i in range(2):
        person = demo_subject(bases, head, draw_look(0, i, Setup()), draw_identity(0, i, bases.k_id))
        front = person.head(alpha)[ball, 2].max()
        assert person.neutral[ball, 2].max() - front == pytest.approx(1.6e-3, abs=1e-6)


def test_light_through_one_channel_is_the_mix_of_colours(subject):
    weights = np.array([0.2, 0.7, 0.1])
    np.testing.assert_allclose(
        subject.lit(subject.neutral, weights)[:, 0], subject.lit(subject.neutral) @ weights, atol=1e-12
    )
