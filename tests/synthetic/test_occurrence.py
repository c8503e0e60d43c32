"""Which action units are there in a synthetic recording's frames: planted movements, read back as annotations."""

import numpy as np
import pytest

from au3dmm.io.annotation_files import read_frame_codes
from au3dmm.synthetic.motion import MOST, Movement, Performance, Turn
from au3dmm.synthetic.occurrence import FACE_LEAST, HEAD_LEAST_DEG, occurrence_csv, occurrence_of
from au3dmm.synthetic.tasks import ACTION_UNITS, COMBINATIONS, HEAD_UNITS, plan_task

T = np.arange(75) / 30


def units_at(t, *movements, turns=(), sway=0.0):
    there = occurrence_of(Performance(movements, turns, sway=sway), np.array([t]))[0]
    return {ACTION_UNITS[k] for k in np.flatnonzero(there)}


def move(length=1.0, **peak):
    return Movement("m", 0.0, length, peak, 0.4, 0.4)


def test_a_unit_is_there_from_a_fifth_of_the_most_on():
    strong = move(AU12=2.5)
    there = occurrence_of(Performance((strong,), sway=0.0), T)[:, ACTION_UNITS.index("AU12")]
    np.testing.assert_array_equal(there, 2.5 * strong.envelope(T) >= FACE_LEAST)
    assert 0 < there.sum() < 30
    assert pytest.approx(MOST / 5) == FACE_LEAST
    assert units_at(0.5, move(AU12=0.59), move(AU4=0.61)) == {"AU4"}


def test_one_side_is_enough_and_what_movements_add_up_to_counts():
    assert units_at(0.5, move(AU2_left=2.0), move(AU14_right=0.3)) == {"AU2"}
    assert units_at(0.5, move(AU26=0.4), move(AU26=0.4)) == {"AU26"}


def test_combinations_are_all_of_their_units_and_units_of_no_class_are_left_out():
    assert units_at(0.5, move(**COMBINATIONS["surprise"])) == {"AU1", "AU2", "AU26"}


def test_eyes_that_close_for_long_are_43_and_a_blink_is_45():
    both = {"AU43": 3.0, "AU45": 3.0}
    assert units_at(0.1, move(0.2, **both)) == {"AU45"}
    assert units_at(0.5, move(1.0, **both)) == {"AU43"}
    assert units_at(0.1, move(0.2, AU43_right=3.0, AU45_right=3.0)) == {"AU45"}


@pytest.mark.parametrize("unit", HEAD_UNITS)
def test_a_head_that_is_turned_is_one_unit_and_its_sway_none(unit):
    axis, sign, _, _ = HEAD_UNITS[unit]
    for degrees, expected in ((HEAD_LEAST_DEG - 0.5, set()), (HEAD_LEAST_DEG + 0.5, {unit})):
        vector = [0.0, 0.0, 0.0]
        vector[axis] = sign * np.radians(degrees)
        assert units_at(0.5, turns=(Turn(unit, 0.0, 1.0, tuple(vector)),)) == expected
    assert not occurrence_of(Performance((), sway=0.22), T).any()


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_what_is_asked_for_comes_and_goes_and_nothing_else_but_blinks(unit):
    there = occurrence_of(plan_task(unit, 2.5, (0, 3, 1)), T)
    shown = {ACTION_UNITS[k] for k in np.flatnonzero(there.any(0))}
    assert unit in shown <= {unit, "AU45"}
    assert not there[[0, -1]].any()


def test_the_file_is_one_that_users_write(tmp_path):
    there = occurrence_of(plan_task("SPEECH", 2.5, (0, 0)), T)
    (tmp_path / "o.csv").write_text(occurrence_csv(there))
    codes = read_frame_codes(tmp_path / "o.csv", "csv", None, "au", 1)
    assert codes.labels == ACTION_UNITS
    np.testing.assert_array_equal(codes.number, np.arange(75))
    np.testing.assert_array_equal(codes.values, there)
