"""Which times move a clock: properties that hold for any stream, and the cases that once went wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.io.events.time_words import FOLLOWING, ahead, believed

TURN, SPARSE, ALONE = 1 << 28, 1 << 20, 1 << 12
clock = st.integers(0, TURN - 1)
# how many steps a stream goes on by from one time word to the next
camera = st.lists(st.sampled_from([0, 0, 0, 1]), min_size=FOLLOWING, max_size=FOLLOWING)
writer = st.lists(st.integers(1, 5000), min_size=FOLLOWING, max_size=FOLLOWING)


def ask(present: int, candidate: int, following: list[int]) -> bool:
    times = np.array([*following, *[0] * FOLLOWING][:FOLLOWING], np.int64) % TURN
    return bool(believed(present, candidate % TURN, times, len(following), TURN, 0, 1, SPARSE, ALONE))


@settings(deadline=None)  # the first call compiles
@given(clock, clock)
def test_ahead_is_the_short_way_round(one: int, other: int) -> None:
    found = ahead(one, other, TURN)
    assert -TURN // 2 <= found < TURN // 2
    assert (one + found - other) % TURN == 0


@settings(max_examples=300, deadline=None)
@given(clock, camera, st.integers(0, 27))
def test_a_single_wrong_bit_is_not_believed_in_a_camera_stream(start: int, steps: list[int], bit: int) -> None:
    present = start
    right = (present + steps[0]) % TURN
    wrong = right ^ 1 << bit
    following = (present + np.cumsum(steps)).tolist()
    if ahead(present, wrong, TURN) not in (0, 1):
        near = ahead(right, wrong, TURN) in (1, -1)  # the one beside it, which the stream may reach
        assert near or not ask(present, wrong, following)


@settings(max_examples=300, deadline=None)
@given(clock, st.one_of(camera, writer), st.integers(2, TURN // 2 - 1))
def test_a_jump_that_the_stream_stays_with_is_believed(present: int, steps: list[int], jump: int) -> None:
    candidate = present + jump
    assert ask(present, candidate, (candidate + np.cumsum(steps)).tolist())


@settings(max_examples=300, deadline=None)
@given(clock, camera, st.integers(64, TURN // 2 - 1), st.integers(1, FOLLOWING - 1), clock)
def test_a_clock_that_goes_back_is_believed_though_one_time_more_is_wrong(
    present: int, steps: list[int], back: int, place: int, garbage: int
) -> None:
    candidate = present - back
    following = (candidate + np.cumsum(steps)).tolist()
    assert ask(present, candidate, following)
    following[place] = garbage
    gone_on = ahead(candidate, garbage, TURN)
    assert ask(present, candidate, following) or 0 <= gone_on <= SPARSE


@settings(max_examples=300, deadline=None)
@given(clock, writer, st.integers(0, 27))
def test_a_single_wrong_bit_moves_a_sparse_stream_only_within_what_it_leaves_out(
    present: int, steps: list[int], bit: int
) -> None:
    right = (present + steps[0]) % TURN
    following = (present + np.cumsum(steps)[1:]).tolist()
    if ask(present, right ^ 1 << bit, [*following, following[-1] + 7]):
        assert ahead(present, right ^ 1 << bit, TURN) > 0
        assert ahead(right, right ^ 1 << bit, TURN) <= following[FOLLOWING // 2 - 2] - present


@settings(deadline=None)  # the first call compiles
@given(clock, clock)
def test_a_last_time_is_believed_if_it_is_near_or_the_only_one(present: int, candidate: int) -> None:
    assert ask(present, candidate, []) == (0 <= ahead(present, candidate, TURN) <= ALONE)
    assert ask(-1, candidate, [])


@pytest.mark.parametrize("bit", range(28))
def test_a_wrong_first_time_is_not_believed_where_a_camera_goes_on_without_it(bit: int) -> None:
    following = [70_000, 70_000, 70_000, 70_001, 70_001, 70_001, 70_001, 70_002]
    assert ask(-1, 70_000, following)
    assert not ask(-1, 70_000 ^ 1 << bit, following) or bit == 0


def test_the_first_time_of_a_writer_that_leaves_idle_time_out_is_believed() -> None:
    assert ask(-1, 1003, [1005, 1007, 1008, 1009, 1010, 1011, 1012, 1013])
    assert ask(-1, 1003, [2000, 9000])
    assert not ask(-1, 9_000_000, [1005, 1007, 1008, 1009, 1010, 1011, 1012, 1013])
