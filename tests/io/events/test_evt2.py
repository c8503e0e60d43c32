"""EVT2: planted words, wraps, damage of each kind, block borders, and a real recording decoded by two routes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.events import evt2, evt2_decoder, open_events
from au3dmm.io.events.report import LATE_US
from container_files import read_all
from raw_files import (
    HEIGHT,
    WIDTH,
    camera_events,
    camera_triggers,
    check_mutants,
    damage,
    decode,
    evt2_words,
    header,
)

HEADER = header("2.0")


def raw(tmp_path: Path, words: list[int] | np.ndarray, head: bytes = HEADER, tail: bytes = b"") -> Path:
    path = tmp_path / "events.raw"
    path.write_bytes(head + np.array(words, np.int64).astype("<u4").tobytes() + tail)
    return path


def high(*steps: int) -> list[int]:
    """Return TIME_HIGH words of these steps of 64 us."""
    return [0x80000000 | step & 0xFFFFFFF for step in steps]


def event(low: int = 0, x: int = 1, y: int = 2, p: int = 0) -> int:
    return p << 28 | low << 22 | x << 11 | y


def streams(steps: list[int]) -> list[int]:
    """Return a stream with one event after each time word."""
    return [word for step in steps for word in (*high(step), event())]


def test_each_kind_of_word_means_what_the_format_says(tmp_path: Path) -> None:
    words = [
        *high(100, 100, 100), event(5, 7, 9, 1), event(63, 319, 239, 0),
        0xA0000000 | 6 << 22 | 5 << 8 | 1, 0xA0000000 | 7 << 22 | 31 << 8,
        0xE0000014, 0xF0001234, 0xD0000001,  # monitoring, continued, inertial: of no interest
        0x20000000, 0xB0000000, 0xC0000000,  # reserved
        *high(101), event(0, 1, 1, 1),
    ]  # fmt: skip
    events, triggers, report = decode(raw(tmp_path, words))
    assert events == [(6405, 7, 9, 1), (6463, 319, 239, 0), (6464, 1, 1, 1)]
    assert triggers == [(6406, 5, 1), (6407, 31, 0)]
    assert damage(report) == {"unknown_word": 3}
    assert report.t_shift_us == 6400
    assert report.time_words == 4


def test_a_made_recording_is_read_exactly(tmp_path: Path) -> None:
    events, triggers = camera_events(5000, 100_000), camera_triggers(20, 100_000)
    found, edges, report = read_all(open_events(raw(tmp_path, evt2_words(events, triggers))))
    assert np.array_equal(found, events)
    assert np.array_equal(edges, triggers)
    assert not damage(report)


def test_the_34_bit_clock_is_unrolled(tmp_path: Path) -> None:
    start = (1 << 34) - 30_000
    events, triggers = camera_events(3000, 60_000, start), camera_triggers(8, 60_000, start)
    found, edges, report = read_all(open_events(raw(tmp_path, evt2_words(events, triggers))))
    assert np.array_equal(found, events)
    assert np.array_equal(edges, triggers)
    assert not damage(report)
    assert report.t_last_us > 1 << 34


def test_what_comes_before_the_time_is_known_is_dropped_and_counted(tmp_path: Path) -> None:
    events, triggers, report = decode(raw(tmp_path, [event(), event(), 0xA0000001, *high(9), event(3)]))
    assert [e[0] for e in events] == [9 * 64 + 3]
    assert not triggers
    assert damage(report) == {"before_start": 3}
    assert report.spans[0].t_start_us is None


def test_events_outside_the_sensor_are_dropped_and_counted_with_their_place(tmp_path: Path) -> None:
    words = [*high(9), event(x=WIDTH), event(x=2047, y=2047), event(y=HEIGHT), event(x=WIDTH - 1, y=HEIGHT - 1)]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[1:3] for e in events] == [(WIDTH - 1, HEIGHT - 1)]
    assert damage(report) == {"outside_sensor": 3}
    (span,) = report.spans
    assert (span.first, span.end, span.count) == (len(HEADER) + 4, len(HEADER) + 16, 3)


@pytest.mark.parametrize("n_bytes", [1, 2, 3])
def test_bytes_that_make_no_word_are_told_and_nothing_is_lost(tmp_path: Path, n_bytes: int) -> None:
    events, _, report = decode(raw(tmp_path, [*high(9), event()], tail=b"\0" * n_bytes))
    assert len(events) == 1
    assert damage(report) == {"truncated": n_bytes}
    assert report.truncated


@pytest.mark.parametrize("bit", range(28))
@pytest.mark.parametrize("repeats", [1, 4])
def test_a_wrong_bit_of_a_time_word_moves_nothing_by_more_than_the_word_itself(
    tmp_path: Path, bit: int, repeats: int
) -> None:
    steps = [1000 + i // repeats for i in range(60)]
    steps[30] ^= 1 << bit
    events, _, report = decode(raw(tmp_path, streams(steps)))
    truth = 64 * (1000 + np.arange(60) // repeats)
    off = np.abs(np.array([e[0] for e in events]) - truth)
    assert off.max() <= 64 * (1 if bit else 2)
    assert (off > 0).sum() <= 3
    assert damage(report) in ({"time_glitch": 1}, {"time_glitch": 2}) or off.max() <= 128


@pytest.mark.parametrize("bit", range(28))
def test_a_wrong_first_time_word_is_not_believed(tmp_path: Path, bit: int) -> None:
    steps = [1000 + i // 4 for i in range(60)]
    steps[0] ^= 1 << bit
    events, _, report = decode(raw(tmp_path, streams(steps)))
    assert len(events) >= 59
    assert abs(events[0][0] - 64_000) <= 64
    assert abs(report.t_shift_us - 64_000) <= 64


@pytest.mark.parametrize("jump", [3, 60, 100, 5000, 1 << 20, (1 << 27) - 100])
def test_lost_data_is_a_gap_that_the_following_time_words_confirm(tmp_path: Path, jump: int) -> None:
    steps = [*range(1000, 1010), *range(1009 + jump, 1020 + jump)]
    events, _, report = decode(raw(tmp_path, streams(steps)))
    assert [e[0] for e in events] == [64 * step for step in steps]
    if 64 * jump > 4096:
        assert damage(report) == {"time_gap": 1}
        (span,) = report.spans
        assert (span.t_start_us, span.t_end_us) == (64 * 1009, 64 * (1009 + jump))
        assert span.first == len(HEADER) + 8 * 10
    else:
        assert not damage(report)


def test_a_clock_that_goes_back_drops_what_is_late_until_it_has_caught_up(tmp_path: Path) -> None:
    steps = [*range(1000, 1200), *range(1050, 1300)]
    events, _, report = decode(raw(tmp_path, [*streams(steps)]))
    late = 1199 - 1050 - LATE_US // 64
    assert damage(report) == {"late": late, "time_gap": 1}
    assert [e[0] // 64 for e in events] == [*range(1000, 1200), *range(1050 + late, 1300)]


def test_triggers_that_are_late_are_dropped_too(tmp_path: Path) -> None:
    words = [*streams([*range(1000, 1200)]), *high(*[1050] * 9), 0xA0000001, *high(*[1200] * 9), 0xA0000001]
    _, triggers, report = decode(raw(tmp_path, words))
    assert [t[0] for t in triggers] == [64 * 1200]
    assert report.counts["late"] == 1


@pytest.mark.parametrize("pause_steps", [2, 50, 700, 40_000])
def test_a_writer_that_leaves_idle_time_out_is_read(tmp_path: Path, pause_steps: int) -> None:
    steps = (1000 + np.cumsum(np.random.default_rng(0).integers(1, 2 * pause_steps, 200))).tolist()
    steps.append(steps[-1])  # nothing tells a last time word alone from a wrong one
    events, _, report = decode(raw(tmp_path, streams(steps)))
    assert [e[0] // 64 for e in events] == steps
    assert not report.counts["time_glitch"]


def test_block_borders_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, triggers = camera_events(60_000, 400_000), camera_triggers(40, 400_000)
    words = evt2_words(events, triggers)
    times = np.flatnonzero(words >> 28 == 8)
    border = evt2_decoder.LOOKAHEAD
    for near in (border - 400, border, border + 300, 2 * border):
        words[times[np.searchsorted(times, near)]] ^= 0x00010000  # wrong time words near borders
    words = np.delete(words, slice(border + 3000, border + 9000))
    path = raw(tmp_path, words, tail=b"\1\2")
    whole = decode(path)
    assert whole[2].counts["time_gap"] == 1
    assert whole[2].counts["time_glitch"] == 4
    for n_words in (border + 1, border + 2, border + 1000):
        monkeypatch.setattr(evt2, "_WORDS", n_words)
        assert decode(path) == whole


def test_a_file_that_grows_is_read_as_far_as_it_had_come(tmp_path: Path) -> None:
    path = raw(tmp_path, streams([*range(100, 200)]))
    stream = open_events(path).stream()
    with path.open("ab") as f:
        f.write(np.array(streams([*range(200, 300)]), "<u4").tobytes() + b"\0")
    n = sum(len(chunk.events) for chunk in stream)
    assert n == 100
    assert not stream.report.truncated


def test_a_file_that_is_cut_off_while_it_is_read_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evt2, "_WORDS", evt2_decoder.LOOKAHEAD + 1)
    path = raw(tmp_path, evt2_words(camera_events(60_000, 400_000), camera_triggers(0, 1)))
    stream = open_events(path).stream()
    n = len(next(stream).events)
    with path.open("rb+") as f:
        f.truncate(len(HEADER) + 4 * (evt2_decoder.LOOKAHEAD + 1) + 402)
    n += sum(len(chunk.events) for chunk in stream)
    assert evt2_decoder.LOOKAHEAD // 2 < n < 60_000
    assert stream.report.counts["truncated"] == 2


def test_words_in_the_other_byte_order_are_read_where_the_header_says_so(tmp_path: Path) -> None:
    events, triggers = camera_events(500, 10_000), camera_triggers(2, 10_000)
    path = tmp_path / "events.raw"
    path.write_bytes(header("2.0", "% endianness big\n") + evt2_words(events, triggers).astype(">u4").tobytes())
    assert np.array_equal(read_all(open_events(path))[0], events)
    path.write_bytes(header("2.0", "% endianness middle\n") + b"\0" * 64)
    with pytest.raises(SessionError, match="endianness 'middle', expected little, big or legacy"):
        open_events(path)


@pytest.mark.parametrize("words", [[], [event()] * 50, [0xE0000000] * 50])
def test_a_file_without_time_words_is_refused(tmp_path: Path, words: list[int]) -> None:
    with pytest.raises(SessionError, match=f"no events: {4 * len(words)} bytes after the header without any time word"):
        open_events(raw(tmp_path, words))


def test_a_recording_of_the_wrong_size_is_too_damaged(tmp_path: Path) -> None:
    events = camera_events(3000, 60_000)
    path = raw(tmp_path, evt2_words(events, camera_triggers(0, 1)), HEADER.replace(b"320x240", b"200x240"))
    _, _, report = decode(path)
    with pytest.raises(SessionError, match=r"too damaged: \d+ of 3000 events lie outside the 200x240 sensor"):
        report.check(path)


def test_damaged_files_are_read_in_part_or_refused(tmp_path: Path) -> None:
    words = evt2_words(camera_events(900, 6_000), camera_triggers(6, 6_000))
    outcome = check_mutants(HEADER + words.astype("<u4").tobytes(), tmp_path / "a.raw", range(600))
    assert outcome["read"] > 400
    assert outcome["refused"] > 5
    assert outcome["lines"] == 1


@pytest.mark.shared
def test_a_real_recording_is_what_its_words_say(shared_data: Path) -> None:
    path = shared_data / "events" / "evt2_gen3.raw"
    data = path.read_bytes()
    words = np.frombuffer(data, "<u4", offset=data.index(b"% evt 2.0\n") + 10)
    is_time, is_event = words >> 28 == 8, words >> 28 <= 1
    latest = np.maximum.accumulate(np.where(is_time, np.arange(len(words)), 0))
    t = ((words[latest].astype(np.int64) & 0xFFFFFFF) << 6 | (words >> 22 & 63).astype(np.int64))[is_event]
    found, edges, report = read_all(open_events(path))
    assert np.array_equal(found["t"], t)
    assert np.array_equal(found["x"], (words >> 11 & 0x7FF)[is_event])
    assert np.array_equal(found["y"], (words & 0x7FF)[is_event])
    assert np.array_equal(found["p"], (words >> 28)[is_event])
    assert (len(found), len(edges), report.width, report.height) == (521_252, 0, 640, 480)
    assert (report.t_first_us, report.t_last_us, report.t_shift_us) == (913_716_224, 913_812_095, 913_716_224)
    assert not damage(report)
