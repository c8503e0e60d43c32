import numpy as np
import pytest

from au3dmm.core.basis import deform
from au3dmm.core.fitting import CameraSettings
from au3dmm.core.neutral import find_neutral
from au3dmm.core.neutral_trust import judge_neutral
from faces import make_face, random_rotations, see_orthographic

CAMERA = CameraSettings("scaled_orthographic", 0, 600.0)
FACE = {"sigma_id_px": 0.3, "sigma_offset_m": 0.002, "alternations": 3}
SEARCH = {**FACE, "sigma_px": 0.7, "l1": 2.0, "share": 0.3, "frames_max": 90, "passes": 1}


def judged(activation, held=None, turn=None, noise_px=0.5):
    """The verdict on a person who shows 12 components in turn as `activation` (T,) says, over what is `held`."""
    face = make_face(0)
    rng = np.random.default_rng(0)
    n = len(activation)
    alpha = np.zeros((n, 12))
    alpha[np.arange(n), np.arange(n) * 12 // n] = 5 * activation
    if held is not None:
        alpha += held
    neutral = deform(face.template, face.components_id, rng.normal(size=8))
    rotation = random_rotations(rng, n)
    if turn is not None:
        rotation = turn @ rotation
    seen = see_orthographic(deform(neutral, face.components_au, alpha), rotation, 1600.0, np.zeros((n, 2)))
    seen = seen + rng.normal(size=seen.shape) * noise_px
    return verdict(seen, face)


def verdict(seen, face):
    args = (face.template, face.components_id, face.components_au, np.ones(68), CAMERA)
    found = find_neutral(seen, np.array([0]), *args, **SEARCH)
    return judge_neutral(found, seen, *args, **FACE)


BURSTS = np.maximum(np.sin(np.arange(180) / 5), 0)


def test_a_face_that_moves_and_rests_is_believed():
    test = judged(BURSTS)
    assert test.trust == "good"
    assert test.confidence > 0.5
    assert test.doubts == ()
    assert test.frames == 54
    assert test.looked_at == 180


def test_an_expression_that_is_always_held_is_seen_in_the_neutral_face():
    held = np.zeros(12)
    held[3] = 5.0
    free, smiling = judged(BURSTS), judged(BURSTS, held=held)
    assert "expression" in smiling.doubts
    assert smiling.expression_sd > 2 * free.expression_sd
    assert smiling.trust == "poor"


def test_a_face_that_never_moves_may_rest_or_not_and_is_believed_less():
    still = judged(np.zeros(180))
    assert "no_movement" in still.doubts
    assert still.movement_mm < 0.6 < judged(BURSTS).movement_mm
    assert still.confidence < judged(BURSTS).confidence


def test_one_frame_and_a_still_picture_are_told_apart_and_trusted_alike():
    face = make_face(0)
    rng = np.random.default_rng(0)
    one = see_orthographic(face.template[None], random_rotations(rng, 1), 1600.0, np.zeros((1, 2)))
    for seen, doubt in ((one, "one_frame"), (np.repeat(one, 40, axis=0), "still_picture")):
        test = verdict(seen, face)
        assert test.doubts[0] == doubt
        assert test.trust == "poor"
        assert test.frames == 1


def test_profile_views_alone_are_never_good():
    sine, cosine = np.sin(np.radians(70)), np.cos(np.radians(70))
    turned = judged(BURSTS, turn=np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]))
    assert "profile" in turned.doubts
    assert turned.trust != "good"


@pytest.mark.parametrize("activation", [BURSTS, np.zeros(180), np.ones(1), np.ones(3)])
def test_a_confidence_is_a_probability(activation):
    assert 0 <= judged(activation).confidence <= 1
