"""The track of expressions: neutral where it has to be, smooth, and a function of time only."""

import numpy as np
import pytest

from au3dmm.errors import FitError
from au3dmm.synthetic.motion import EXPRESSIONS, activation, head_motion, plan_movements

NAMES = [
    f"{unit}{side}"
    for unit in (
        "AU1",
        "AU2",
        "AU4",
        "AU6",
        "AU9",
        "AU10",
        "AU12",
        "AU15",
        "AU17",
        "AU18",
        "AU22",
        "AU25",
        "AU26",
        "AU43",
    )
    for side in (("",) if unit in ("AU1", "AU4", "AU17", "AU26") else ("_left", "_right"))
]


@pytest.mark.parametrize("duration", [0.3, 0.5, 3.0, 12.0])
def test_a_session_starts_and_ends_neutral_and_moves_in_between(duration):
    t = np.linspace(-0.5, duration + 0.5, 4000)
    alpha = activation(plan_movements(duration, 0), NAMES, t)
    margin = min(0.3, 0.15 * duration)
    outside = (t < margin) | (t > duration - margin)
    assert not alpha[outside].any()
    assert alpha.max() > 1.5
    assert alpha.min() == 0


@pytest.mark.parametrize("seed", range(4))
def test_about_a_third_of_a_session_is_near_neutral(seed):
    t = np.arange(90) / 30
    movements = [m for m in plan_movements(3.0, seed) if m.name != "blink"]
    still = (activation(movements, NAMES, t).max(1) < 0.2).mean()
    assert 0.3 < still < 0.5


def test_three_seconds_hold_expressions_of_both_and_of_one_side_and_blinks():
    names = {m.name for m in plan_movements(3.0, 0)}
    assert {"smile", "brow_raise", "jaw_open", "frown", "smile_left", "blink"} <= names
    t = np.linspace(0, 3, 300)
    alpha = dict(zip(NAMES, activation(plan_movements(3.0, 0), NAMES, t).T, strict=True))
    assert (alpha["AU12_left"] > alpha["AU12_right"]).any()
    assert not (alpha["AU12_right"] > alpha["AU12_left"]).any()


def test_long_sessions_go_through_every_expression():
    assert set(EXPRESSIONS) <= {m.name for m in plan_movements(20.0, 0)}


def test_speed_has_no_jumps():
    t = np.linspace(0, 3, 30_001)
    acceleration = np.diff(activation(plan_movements(3.0, 0), NAMES, t), 2, axis=0) / 1e-4**2
    # a jump in speed of 1 per second would read 1e4 per second^2 over one step of 0.1 ms
    assert np.abs(np.diff(activation(plan_movements(3.0, 0), NAMES, t), axis=0)).max() / 1e-4 < 100
    assert np.abs(acceleration).max() < 4e3


def test_the_track_does_not_depend_on_how_often_it_is_asked():
    movements = plan_movements(3.0, 1)
    coarse, fine = np.arange(0, 3, 0.1), np.arange(0, 3, 0.0125)
    np.testing.assert_allclose(activation(movements, NAMES, coarse), activation(movements, NAMES, fine)[::8], atol=1e-9)
    for a, b in zip(head_motion(coarse, 1), head_motion(fine, 1), strict=True):
        np.testing.assert_allclose(a, b[::8], atol=1e-12)


def test_units_that_a_basis_lacks_are_left_out():
    assert activation(plan_movements(3.0, 0), ["AU99"], np.linspace(0, 3, 50)).sum() == 0


def test_the_head_stays_within_its_reach_and_moves():
    rotation, translation = head_motion(np.linspace(0, 30, 2000), 0)
    assert (np.abs(np.degrees(rotation)).max(0) <= [5, 8, 4]).all()
    assert (np.abs(translation).max(0) <= [8e-3, 6e-3, 10e-3]).all()
    assert (np.ptp(np.degrees(rotation), axis=0) > 2).all()


def test_another_seed_moves_otherwise():
    t = np.linspace(0, 3, 50)
    assert np.abs(head_motion(t, 0)[0] - head_motion(t, 1)[0]).max() > 1e-3
    assert plan_movements(3.0, 0) != plan_movements(3.0, 1)


def test_a_session_without_length_is_refused():
    with pytest.raises(FitError, match=r"a duration of 0\.0 s"):
        plan_movements(0.0, 0)
