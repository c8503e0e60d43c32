"""Going through a stream once, and holding on to the last of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.packed_events import PackedEvents, pack
from au3dmm.core.window_events import EventBuffer, EventCursor, Part, whole
from au3dmm.errors import FitError


def numbered(t_us: np.ndarray, first: int = 0) -> PackedEvents:
    """Events that carry their number as their place."""
    n = first + np.arange(len(t_us))
    return pack(t_us, n % 2048, n // 2048, np.zeros(len(t_us), int))


def numbers(part: Part) -> list[int]:
    events = part.events
    words = events.words[part.first_event : part.first_event + len(part)]
    return [int(word >> 12) * 2048 + int(word >> 1 & 0x7FF) for word in words]


steps = st.lists(st.sampled_from([0, 0, 1, 3, 50, -2, -11]), max_size=80)


@given(steps=steps, cuts=st.lists(st.integers(0, 80), max_size=4), stops=st.lists(st.integers(-20, 900), max_size=8))
@settings(deadline=None)
def test_every_event_is_taken_once_at_its_running_time(steps, cuts, stops) -> None:
    t = np.cumsum(np.array(steps, np.int64))
    now = np.maximum.accumulate(t) if len(t) else t
    edges = [0, *sorted(min(c, len(t)) for c in cuts), len(t)]
    cursor = EventCursor(numbered(t[a:b], a) for a, b in itertools.pairwise(edges))
    taken = 0
    for stop in (*sorted(stops), 10**9):
        found = [n for part in cursor.take(stop) for n in numbers(part)]
        assert found == list(range(taken, int((now < stop).sum())))
        taken += len(found)
    assert taken == len(t)


@given(steps=steps, seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_buffer_holds_what_is_not_forgotten(steps, seed) -> None:
    rng = np.random.default_rng(seed)
    t = np.cumsum(np.array(steps, np.int64))
    cursor, buffer, kept = EventCursor([numbered(t)]), EventBuffer(), []
    for stop in (*np.sort(rng.integers(-20, 900, 6)).tolist(), 10**9):
        for part in cursor.take(stop):
            buffer.append(part)
            kept += numbers(part)
        forget = int(rng.integers(-20, 400))
        buffer.forget_before(forget)
        now = np.maximum.accumulate(t) if len(t) else t
        kept = [n for n in kept if now[n] >= forget]
        assert numbers(buffer.part()) == kept
        held, runs = buffer.part(), slice(buffer.part().first_run, buffer.part().end_run)
        lengths = np.diff(held.events.run_at)[runs]
        assert np.array_equal(np.repeat(held.events.run_us[runs], lengths), now[kept])


def test_a_buffer_that_is_emptied_as_fast_as_it_is_filled_stays_small() -> None:
    buffer = EventBuffer()
    rooms = set()
    for k in range(400):
        buffer.forget_before(1_000 * (k - 3))
        buffer.append(whole(numbered(1_000 * k + np.arange(0, 1_000, 2), 500 * k)))
        assert numbers(buffer.part()) == list(range(500 * max(k - 3, 0), 500 * (k + 1)))
        rooms.add(len(buffer.part().events.words))
    assert max(rooms) <= 4_096


def test_more_events_than_may_be_held_are_refused() -> None:
    buffer = EventBuffer(most_events=10)
    buffer.append(whole(numbered(np.arange(10))))
    with pytest.raises(FitError, match=r"more than 10 events in one window.*choose a shorter accumulation_us"):
        buffer.append(whole(numbered(np.array([20]))))
    buffer.forget_before(1)
    buffer.append(whole(numbered(np.array([20]))))
    assert len(buffer.part()) == 10
