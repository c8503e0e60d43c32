"""What subjects are asked to do: 24 action units, free expressions and speech, each neutral at both ends."""

import numpy as np
import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.synthetic.motion import activation
from au3dmm.synthetic.tasks import (
    ACTION_UNITS,
    EMOTION_TASKS,
    EMOTIONS,
    FREE,
    HEAD_UNITS,
    SPEECH,
    TASK_NUMBERS,
    TASKS,
    UNITS,
    plan_task,
    tasks_of,
)

# FACEMORPHIC, section 4: "The complete list of Action Units"
PUBLISHED = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26, 27, 43, 45, 51, 52, 53, 54, 55, 56)
SECONDS = 2.5
T = np.linspace(0, SECONDS, 2501)


@pytest.fixture(scope="module")
def names():
    return read_bases(asset_path(DEMO_BASES)).names_au


def alpha_of(task, names, seed=(0, 0), seconds=SECONDS, t=T):
    return activation(plan_task(task, seconds, seed).movements, names, t)


def test_the_action_units_are_those_of_facemorphic():
    assert [int(unit[2:]) for unit in ACTION_UNITS] == list(PUBLISHED)


@pytest.mark.parametrize("task", TASK_NUMBERS)
@pytest.mark.parametrize("seconds", [0.5, 2.5, 6.0])
def test_a_session_starts_and_ends_neutral(task, seconds, names):
    for seed in range(4):
        performance = plan_task(task, seconds, (seed, 1))
        ends = np.array([0.0, 0.03 * seconds, 0.97 * seconds, seconds])
        assert not activation(performance.movements, names, ends).any()
        for turn in performance.turns:
            assert not turn.envelope(ends).any()


@pytest.mark.parametrize("task", UNITS)
def test_the_unit_asked_for_is_the_one_that_is_shown(task, names):
    shown = "AU43" if task == "AU45" else task
    asked = np.array([name.partition("_")[0] == shown for name in names])
    for seed in range(5):
        performance = plan_task(task, SECONDS, (seed, 0))
        alpha = activation([m for m in performance.movements if m.name == task], names, T)
        assert (alpha[:, asked].max(0) > 1.8).all()
        assert not alpha[:, ~asked].any()
        assert alpha.max() <= 3


@pytest.mark.parametrize("task", HEAD_UNITS)
def test_head_movements_turn_the_head_and_leave_the_face_alone(task, names):
    performance = plan_task(task, SECONDS, (3, 0))
    rotation, _ = performance.head(T)
    axis, sign, least, _ = HEAD_UNITS[task]
    moved = np.degrees(rotation - rotation[0])
    apex = moved[np.abs(moved).max(1).argmax()]
    assert np.abs(moved).max(0).argmax() == axis
    assert np.sign(apex[axis]) == sign
    assert abs(apex[axis]) > least - 3
    assert {m.name for m in performance.movements} <= {"blink"}


def test_the_head_only_sways_where_no_turn_is_asked_for():
    rotation, translation = plan_task("AU12", SECONDS, (0, 0)).head(T)
    assert np.degrees(np.abs(rotation)).max() < 2
    assert np.abs(translation).max() < 3e-3


def test_blinks_are_three_and_short_and_a_closure_is_one_and_long(names):
    closed = np.array([name.startswith("AU43") for name in names])
    blinking = alpha_of("AU45", names)[:, closed].max(1) > 1.5
    assert (np.diff(blinking.astype(int)) == 1).sum() == 3
    assert blinking.mean() < 0.3
    asleep = alpha_of("AU43", names)[:, closed].max(1) > 1.5
    assert (np.diff(asleep.astype(int)) == 1).sum() == 1
    assert asleep.mean() > 0.25


def test_free_expressions_combine_several_units_and_speech_moves_the_mouth_all_the_time(names):
    mouth = np.array(
        [name.partition("_")[0] in ("AU10", "AU16", "AU18", "AU24", "AU25", "AU26", "AU28") for name in names]
    )
    combined = 0
    for seed in range(5):
        combined += ((alpha_of(FREE, names, (seed, 0)) > 0.8).any(0).sum()) >= 3
        spoken = alpha_of(SPEECH, names, (seed, 0))[:, mouth].max(1) > 0.2
        assert spoken[500:2000].mean() > 0.7
    assert combined >= 4


def test_emotions_are_those_of_nefer_and_show_the_units_of_a_prototype_or_its_variant(names):
    assert set(EMOTION_TASKS) == {"ANGER", "CONTEMPT", "DISGUST", "FEAR", "HAPPINESS", "SADNESS", "SURPRISE", "NONE"}
    units = [name.partition("_")[0] for name in names]
    for task, variants in EMOTIONS.items():
        seen = set()
        for seed in range(8):
            acted = [m for m in plan_task(task, SECONDS, (seed, 0)).movements if m.name == task]
            alpha = activation(acted, names, T).max(0)
            assert alpha.max() <= 3
            shown = frozenset(unit for unit, value in zip(units, alpha, strict=True) if value > 0.6)
            assert shown in [frozenset(unit.partition("_")[0] for unit in variant) for variant in variants], task
            seen.add(tuple(np.flatnonzero(alpha > 0.6)))
        assert len(seen) == len(variants)


def test_contempt_is_on_one_side_and_happiness_on_both(names):
    left, right = ([name.endswith(side) for name in names] for side in ("_left", "_right"))
    for seed in range(4):
        for task, sides in (("CONTEMPT", 1), ("HAPPINESS", 2)):
            acted = [m for m in plan_task(task, SECONDS, (seed, 0)).movements if m.name == task]
            alpha = activation(acted, names, T).max(0)
            assert sum(alpha[side].max() > 0.6 for side in (left, right)) == sides


def test_new_tasks_come_last_so_that_recordings_of_the_others_stay_as_they_are():
    assert tuple(TASK_NUMBERS) == (*TASKS, *EMOTION_TASKS)
    assert [TASK_NUMBERS[task] for task in ("AU1", "AU56", "FREE", "SPEECH")] == [0, 23, 24, 25]


def test_onset_apex_and_offset_vary_between_sessions_and_repeat_with_the_seed():
    courses = {
        (m.start_s, m.end_s, m.rise, m.fall) for s in range(10) for m in plan_task("AU9", SECONDS, (s,)).movements
    }
    assert len(courses) >= 10
    assert plan_task("AU9", SECONDS, (1, 2)) == plan_task("AU9", SECONDS, (1, 2))


def test_some_sessions_have_a_blink_and_some_have_none():
    blinks = [any(m.name == "blink" for m in plan_task("AU4", SECONDS, (s,)).movements) for s in range(20)]
    assert 4 < sum(blinks) < 18


def test_tasks_are_chosen_by_name_number_or_group():
    assert tuple(tasks_of(["all"])) == TASKS
    assert tuple(tasks_of(["units"])) == ACTION_UNITS
    assert tuple(tasks_of(["emotions"])) == EMOTION_TASKS
    assert tuple(tasks_of(["fear", "speech", "51", " au1 "])) == ("AU1", "AU51", "SPEECH", "FEAR")


def test_an_unknown_task_is_refused():
    with pytest.raises(ConfigError, match=r"no task 'AU3'; there are AU1, AU2"):
        list(tasks_of(["AU3"]))
    with pytest.raises(ConfigError, match="no task 'AU3'"):
        plan_task("AU3", 1.0, (0,))
