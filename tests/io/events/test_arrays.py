"""Containers of arrays: the policy on damage, planted; blocks that must not matter; triggers in their place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.events.array_checks import check_and_pack, new_state
from au3dmm.io.events.arrays import (
    GAP_US,
    LOOKAHEAD,
    ArrayFile,
    Columns,
    Lost,
    coordinates,
    polarities,
    times,
)
from au3dmm.io.events.damage import DamageLog
from au3dmm.io.events.report import LATE_US, TRUNCATED, UNKNOWN_WORD, EventFileReport
from container_files import HEIGHT, WIDTH, random_events, random_triggers, read_all

N = 20_000
MANY = (1_000, 7_919, 50_000)  # sizes of blocks


class Memory(ArrayFile):
    """Events in memory, as a file of the format that is tested."""

    format, width, height, t_shift_us = "memory", WIDTH, HEIGHT, 0

    def __init__(self, events: np.ndarray, triggers: np.ndarray | None = None, block: int = 5_000) -> None:
        self.path, self.header = Path("memory"), {}
        self._fields = {name: events[name] for name in "txyp"}
        self._triggers, self._block = triggers, block
        self.lost: list[Lost] = []
        self.cut = slice(0, 0)
        self.end_place = len(events)

    def columns(self) -> Iterator[Columns | Lost]:
        t, x, y, p = (self._fields[name] for name in "txyp")
        edges = sorted({*range(0, len(t), self._block), self.cut.start, self.cut.stop, len(t)})
        for at, end in pairwise(edges):
            if at == self.cut.start < self.cut.stop:
                yield Lost(UNKNOWN_WORD, at, self.cut.stop, self.cut.stop - at)
            if self.cut.start <= at < self.cut.stop:
                continue
            part = slice(at, end)
            columns = times(t[part]), coordinates(x[part]), coordinates(y[part]), polarities(p[part])
            yield Columns(*columns, np.arange(at, at + len(t[part])))
        yield from self.lost

    def trigger_blocks(self) -> Iterator[np.ndarray]:
        if self._triggers is not None:
            for at in range(0, len(self._triggers), 3_000):
                yield self._triggers[at : at + 3_000]


def wide(n: int = N, **options: int) -> np.ndarray:
    """Return events whose fields hold any value."""
    return random_events(n, **options).astype([("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])


def found(events: np.ndarray, block: int = 5_000) -> tuple[np.ndarray, dict[str, int], EventFileReport]:
    """Return the events that come out, damage that is not zero, and the report."""
    out, _, report = read_all(Memory(events, block=block))
    return out, {kind: n for kind, n in report.counts.items() if n}, report


@pytest.mark.parametrize("block", MANY)
def test_events_come_out_as_they_went_in(block: int) -> None:
    events = random_events(N)
    out, damage, report = found(events, block)
    assert np.array_equal(out, events)
    assert damage == {}
    assert (report.t_first_us, report.t_last_us, report.time_words) == (events["t"][0], events["t"][-1], N)


@pytest.mark.parametrize(("x", "y"), [(WIDTH, 0), (-1, 5), (0, HEIGHT), (3, -2), (1 << 40, 0), (0, -(1 << 62))])
def test_an_event_outside_the_sensor_is_dropped_and_its_place_told(x: int, y: int) -> None:
    events = wide()
    events["x"][700], events["y"][700] = x, y
    events["t"][700] = 1 << 50  # nor does it move the clock
    out, damage, report = found(events)
    assert damage == {"outside_sensor": 1}
    assert (report.spans[0].first, report.spans[0].end) == (700, 701)
    assert np.array_equal(out, random_events(N)[np.arange(N) != 700])


def test_a_small_step_back_is_kept_and_a_large_one_is_late() -> None:
    events = wide()
    events["t"][500] = events["t"][499] - 11
    events["t"][900:903] = events["t"][899] - LATE_US - 1
    out, damage, report = found(events)
    assert damage == {"late": 3}
    assert out["t"][500] == out["t"][499] - 11
    assert [(span.first, span.end, span.count) for span in report.spans] == [(900, 903, 3)]
    assert len(out) == N - 3


@pytest.mark.parametrize("block", MANY)
@pytest.mark.parametrize("jump_us", [LATE_US + 100, 20_000, 10**6, 10**9, 2**60, 2**63 - 1 - 2_000_000])
def test_wrong_times_never_move_the_clock(jump_us: int, block: int) -> None:
    wrong = np.array([0, 5_000, 5_001, 9_000, N - 1])
    events = wide()
    events["t"][wrong] += jump_us
    out, damage, _ = found(events, block)
    # the last event has none after it, and may go on by a quarter of a second
    dropped = wrong[:-1] if jump_us < 1 << 18 else wrong
    assert damage == {"time_glitch": len(dropped)}
    assert np.array_equal(out["t"], np.delete(events["t"], dropped))


@pytest.mark.parametrize("t_us", [0, -1, 2**32 - 1])
def test_a_page_of_wrong_times_costs_no_more_than_itself(t_us: int) -> None:
    events = wide()
    events["t"][6_000:6_512] = t_us
    out, damage, _ = found(events)
    assert damage == {"time_glitch" if t_us > 0 else "late": 512}
    assert np.array_equal(out["t"], np.delete(events["t"], np.arange(6_000, 6_512)))


@pytest.mark.parametrize("block", MANY)
@pytest.mark.parametrize("pause_us", [9_000, 11_000, 3_000_000, 10**12])
def test_silence_is_believed_and_is_no_damage(pause_us: int, block: int) -> None:
    events = wide()
    at = [30, 4_980, 5_000, 12_000, N - 2]
    for i in at:
        events["t"][i:] += pause_us
    out, damage, report = found(events, block)
    assert np.array_equal(out["t"], events["t"])
    assert damage == {}
    assert report.spans == ()


@pytest.mark.parametrize("block", MANY)
@pytest.mark.parametrize("pause_us", [9_000, 11_000, 3_000_000])
def test_time_that_goes_by_where_events_are_lost_is_a_gap(pause_us: int, block: int) -> None:
    events = wide()
    for i in (3_000, 9_000):
        events["t"][i:] += pause_us
    file = Memory(events, block=block)
    file.cut = slice(8_900, 9_000)  # cannot be decoded
    out, _, report = read_all(file)
    assert np.array_equal(out["t"], np.delete(events["t"], np.arange(8_900, 9_000)))
    assert report.counts["unknown_word"] == 100
    gaps = [(span.first, span.t_start_us, span.t_end_us) for span in report.spans if span.kind == "time_gap"]
    expected = [(9_000, int(events["t"][8_899]), int(events["t"][9_000]))]
    assert gaps == (expected if pause_us > GAP_US else [])


@pytest.mark.parametrize("block", MANY)
def test_a_jump_past_wrong_times_is_a_gap_and_a_later_one_is_silence(block: int) -> None:
    events = wide()
    events["t"][4_000:] += 50_000
    events["t"][3_900:4_000] += 2**40
    events["t"][9_000:] += 50_000
    _, damage, report = found(events, block)
    assert damage == {"time_glitch": 100, "time_gap": 1}
    assert report.spans[-1].first == 4_000


@pytest.mark.parametrize("mean_step_us", [20_000, 2_000_000, 30_000_000])
def test_a_sparse_recording_keeps_every_event_also_a_last_one_that_stands_alone(mean_step_us: int) -> None:
    events = wide(300, mean_step_us=mean_step_us)
    events["t"][-1] = events["t"][-2] + np.diff(events["t"]).max()
    out, damage, _ = found(events)
    assert len(out) == 300
    assert damage == {}


@pytest.mark.parametrize("n", [1, 2, 3, 15])
def test_a_few_events_far_apart_are_all_kept(n: int) -> None:
    events = wide(n)
    events["t"] = 7 + 90_000_000 * np.arange(n)
    out, damage, report = found(events)
    assert (out["t"].tolist(), damage) == (events["t"].tolist(), {})
    report.check(Path("e.npz"))


def test_random_garbage_within_costs_no_more_than_itself() -> None:
    events, rng = wide(), np.random.default_rng(0)
    events["t"][8_000:8_800] = rng.integers(-(2**63), 2**63 - 1, 800)
    out, _, report = found(events)
    assert np.array_equal(out["t"], np.delete(events["t"], np.arange(8_000, 8_800)))
    assert report.dropped + report.repaired == 800


def test_a_recording_that_begins_anew_is_refused_rather_than_cut() -> None:
    events = wide()
    events["t"][N // 2 :] -= events["t"][N // 2]
    _, _, report = found(events)
    with pytest.raises(SessionError, match=r"too damaged: .* come late"):
        report.check(Path("e.npz"))


@pytest.mark.parametrize("block", MANY)
def test_blocks_decide_nothing(block: int) -> None:
    events, rng = wide(), np.random.default_rng(1)
    for _ in range(40):
        i = int(rng.integers(0, N - 200))
        field, value = [("t", 10**7), ("t", -(10**7)), ("x", 5_000), ("p", 9), ("y", -4)][int(rng.integers(0, 5))]
        events[field][i : i + int(rng.integers(1, 30))] += value
    once, damage, report = found(events, N)
    again, same_damage, same_report = found(events, block)
    assert np.array_equal(once, again)
    assert damage == same_damage
    assert report.spans == same_report.spans
    assert {"late", "time_glitch", "outside_sensor", "unknown_word"} <= damage.keys()


def test_polarities_may_be_booleans_zeros_and_ones_or_signs() -> None:
    plain = np.array([0, 1, 1, 0], np.uint8)
    for p in (plain, plain.astype(bool), plain.astype(np.int16) * 2 - 1, plain.astype(">i8")):
        assert (polarities(p) > 0).tolist() == [False, True, True, False]
    assert polarities(np.array([2, -2, 255, -128, 7])).tolist() == [2] * 5


def test_other_polarities_are_dropped_and_too_many_of_them_refused() -> None:
    events = wide()
    events["p"][100:200] = 2
    out, damage, _ = found(events)
    assert (len(out), damage) == (N - 100, {"unknown_word": 100})
    events["p"] += 1
    assert found(events)[1]["unknown_word"] > N // 10


def test_wide_and_unsigned_numbers_do_not_wrap_round() -> None:
    t = times(np.array([2**63 + 5, 7], np.uint64), 3)
    assert t[0] > 2**60
    assert t[1] == 10
    assert times(np.array([-(2**63)]), -5)[0] < -(2**60)
    assert coordinates(np.array([2**16 + 5, 2**32 + 5, 9], np.uint64)).tolist() == [2048, 2048, 9]
    assert coordinates(np.array([-(2**16) + 5, 9], np.int32)).tolist() == [-1, 9]
    assert coordinates(np.array([5, 9], ">u2")).tolist() == [5, 9]


@pytest.mark.parametrize("block", MANY)
def test_triggers_come_with_the_events_of_their_time(block: int) -> None:
    events = random_events(N)
    triggers = random_triggers(8_000, events)
    triggers["t"][-1] = events["t"][-1] + 5
    so_far, before, got = 0, -1, []
    stream = Memory(events, triggers, block).stream()
    for chunk in stream:
        so_far = max(so_far, *chunk.events.run_us.tolist()) if len(chunk.events) else so_far
        got.append(chunk.triggers)
        assert (chunk.triggers["t"] > before).all()
        assert (chunk.triggers["t"][:-1] <= so_far).all()
        before = so_far
    assert np.array_equal(np.concatenate(got), triggers)


def test_a_wrong_trigger_holds_up_no_other() -> None:
    events = random_events(N)
    triggers = random_triggers(500, events)
    triggers["t"][10] = 2**59
    chunks = [chunk.triggers for chunk in Memory(events, triggers).stream()]
    assert max(map(len, chunks)) < 300
    assert np.array_equal(np.sort(np.concatenate(chunks)["t"]), np.sort(triggers["t"]))


def test_stretches_that_hold_no_events_are_told_and_too_many_refused() -> None:
    file = Memory(random_events(N))
    file.lost = [Lost(UNKNOWN_WORD, 100, 200, 100), Lost(TRUNCATED, N, N + 50, 50)]
    _, _, report = read_all(file)
    assert (report.counts["unknown_word"], report.counts["truncated"], report.truncated) == (100, 50, True)
    assert [(span.first, span.end) for span in report.spans] == [(100, 200), (N, N + 50)]
    file.lost = [Lost(UNKNOWN_WORD, 0, 9, N // 8)]
    *_, report = read_all(file)
    with pytest.raises(SessionError, match=rf"too damaged: 2500 of {N + 2500} events .* cannot be decoded"):
        report.check(Path("a.npz"))


@pytest.mark.parametrize("n", [0, 1, 300])
def test_nothing_is_written_out_of_bounds(n: int) -> None:
    # uncompiled, arrays refuse what is outside of them
    events, rng = wide(n), np.random.default_rng(2)
    for name in "txyp" if n else "":
        wrong = rng.integers(0, n, n // 10 + 1)
        events[name][wrong] = rng.integers(-(2**62), 2**62, len(wrong))
    block = (
        times(events["t"]),
        coordinates(events["x"]),
        coordinates(events["y"]),
        polarities(events["p"]),
        np.arange(n),
    )
    results = []
    holes = np.array([n // 3, n // 2], np.int64)
    for check in (check_and_pack, check_and_pack.py_func):
        log, state = DamageLog(), new_state()
        words, run_us, run_at = np.zeros(n, np.uint32), np.zeros(n, np.int64), np.zeros(n + 1, np.int64)
        used = check(*block, True, holes, state, log.rows, log.counts, WIDTH, HEIGHT, words, run_us, run_at)
        results.append((used, state.tolist(), log.spans(), words.tolist(), run_us.tolist(), run_at.tolist()))
    assert results[0] == results[1]
    assert results[0][0][0] == n


def test_no_events_are_no_chunks() -> None:
    out, damage, report = found(wide(0))
    assert (len(out), damage, report.t_first_us) == (0, {}, None)
    with pytest.raises(SessionError, match="no events"):
        report.check(Path("e.npz"))


def test_places_are_numbers_of_events_and_say_so() -> None:
    events = wide()
    events["x"][700] = -1
    (span,) = found(events)[2].spans
    assert (span.first, span.end, span.unit) == (700, 701, "events")
    assert found(events)[2].to_dict()["spans"][0]["unit"] == "events"


def test_events_that_are_missing_at_the_end_count_as_lost() -> None:
    file = Memory(random_events(N))
    file.lost = [Lost(TRUNCATED, N, N + 2_000, 2_000)]
    read_all(file)[2].check(Path("a.npz"))
    file.lost = [Lost(TRUNCATED, N, N + 3_000, 3_000)]
    with pytest.raises(
        SessionError, match=rf"too damaged: 3000 of {N + 3000} events that the file announces are missing"
    ):
        read_all(file)[2].check(Path("a.npz"))


@pytest.mark.parametrize(("unit_us", "words"), [(2**62, "beyond"), (2**60 + 5, "are they nanoseconds?")])
def test_times_beyond_all_sense_are_refused_as_what_they_are(unit_us: int, words: str) -> None:
    events = wide()
    events["t"] += unit_us
    with pytest.raises(SessionError, match=f"no events: all {N} have times that contradict each other, .*{words}"):
        found(events)[2].check(Path("a.npz"))


def test_a_size_that_was_assumed_must_hold_every_event() -> None:
    events = wide()
    events["x"][700], events["y"][900] = WIDTH, HEIGHT + 7
    file = Memory(events)
    read_all(file)[2].check(Path("a.h5"))  # a size that somebody stated stands against two events
    file.assumed_size = "640x480 as of DSEC, the file does not say"
    match = rf"2 events, up to column {WIDTH}, row {HEIGHT + 7}, lie outside .* assumed \(640x480 as of DSEC.* --width"
    with pytest.raises(SessionError, match=match):
        read_all(file)[2].check(Path("a.h5"))
    file = Memory(wide())
    file.assumed_size = "640x480 as of DSEC, the file does not say"
    read_all(file)[2].check(Path("a.h5"))


def test_blocks_are_larger_than_what_is_looked_ahead() -> None:
    # smaller ones are only slower
    assert MANY[0] < LOOKAHEAD < MANY[-1]
