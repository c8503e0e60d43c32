"""Recordings as arrays: whole, a span, triggers, and slice by slice, against plain numpy."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.events import (
    EVENT_DTYPE,
    TRIGGER_DTYPE,
    EventFileWarning,
    evt2,
    open_events,
    read_events,
    read_triggers,
    slice_events,
    write_evt2,
    write_evt3,
)
from raw_files import HEIGHT, WIDTH, camera_events, camera_triggers, evt2_words, header

SIZE = {"width": WIDTH, "height": HEIGHT}
NONE = np.zeros(0, TRIGGER_DTYPE)


@pytest.fixture(scope="module")
def made() -> np.ndarray:
    return camera_events(150_000, 900_000)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, made: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("made") / "events.raw"
    write_evt3(path, made, camera_triggers(20, 900_000), **SIZE)
    return path


def test_a_recording_is_read_whole(recording: Path, made: np.ndarray) -> None:
    found = read_events(str(recording))
    assert found.dtype == EVENT_DTYPE
    assert np.array_equal(found, made)
    assert np.array_equal(read_triggers(recording), camera_triggers(20, 900_000))


@pytest.mark.parametrize(
    ("start", "end"), [(None, 5_100_000), (5_300_000, None), (5_200_000, 5_200_777), (0, 1 << 40), (5_899_000, 9 << 40)]
)
def test_a_span_is_what_lies_in_it(recording: Path, made: np.ndarray, start: int | None, end: int | None) -> None:
    t = made["t"]
    inside = (t >= (start or 0)) & (t < (end or 1 << 50))
    assert inside.any()
    assert np.array_equal(read_events(recording, start, end), made[inside])


def test_a_span_without_events_is_empty(recording: Path) -> None:
    assert len(read_events(recording, 6_000_000)) == 0
    assert len(read_events(recording, 5_500_000, 5_500_000)) == 0


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evt2, "_WORDS", (1 << 15) + 1)
    events = camera_events(100_000, 900_000)
    words = evt2_words(events, NONE)
    words[len(words) * 2 // 3 :] = 0x7FF  # a row outside the sensor
    path = tmp_path / "events.raw"
    path.write_bytes(header("2.0") + words.astype("<u4").tobytes())
    with pytest.raises(SessionError, match="too damaged"):
        read_events(path)
    found = read_events(path, None, 5_100_000)
    assert np.array_equal(found, events[events["t"] < 5_100_000])


@pytest.mark.parametrize("step", [1000, 33_333, 2_000_000])
@pytest.mark.parametrize("start", [None, 4_900_000, 5_000_123])
def test_slices_lie_on_a_grid_and_leave_nothing_out(
    recording: Path, made: np.ndarray, step: int, start: int | None
) -> None:
    slices = list(slice_events(recording, step, start))
    begins = np.array([begin for begin, _ in slices])
    first = int(made["t"][0]) // step * step if start is None else start
    assert begins.tolist() == list(range(first, int(made["t"][-1]) + 1, step))
    edges = np.searchsorted(made["t"], np.r_[begins, begins[-1] + step])
    for (_, events), low, high in zip(slices, edges[:-1], edges[1:], strict=True):
        assert np.array_equal(events, made[low:high])


def test_slices_in_which_nothing_happens_are_empty(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events["t"] = [1000, 1010, 9000]
    write_evt2(tmp_path / "a.raw", events, NONE, width=4, height=4)
    found = [(begin, len(part)) for begin, part in slice_events(tmp_path / "a.raw", 2000)]
    assert found == [(0, 2), (2000, 0), (4000, 0), (6000, 0), (8000, 1)]


def test_an_event_that_steps_back_is_in_the_slice_of_the_one_before_it(tmp_path: Path) -> None:
    # TIME_LOW may step back within 4096 us
    words = [0x8001, 0x6100, 0x0000, 0x2001, 0x60FE, 0x2002, 0x6104, 0x2003]
    path = tmp_path / "a.raw"
    path.write_bytes(header("3.0") + np.array(words, "<u2").tobytes())
    parts = dict(slice_events(path, 0x100))
    t = 0x1100
    assert parts[t]["t"].tolist() == [t, t - 2, t + 4]
    assert read_events(path)["t"].tolist() == [t, t - 2, t + 4]


def test_slices_can_be_taken_one_by_one_in_bounded_memory(tmp_path: Path) -> None:
    events = camera_events(20_000, 100_000)
    words = evt2_words(events, NONE).astype("<u4")
    sizes = []
    for copies in (20, 60):
        path = tmp_path / f"{copies}.raw"
        with path.open("wb") as f:
            f.write(header("2.0"))
            for i in range(copies):
                more = words.copy()
                more[words >> 28 == 8] += np.uint32(100_000 // 64 * i)
                f.write(more.tobytes())
        n = sum(len(part) for _, part in slice_events(path, 10_000))  # everything is compiled and loaded
        tracemalloc.start()
        assert sum(len(part) for _, part in slice_events(path, 10_000)) == n
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n > 19_900 * copies
    assert sizes[1] < 1.2 * sizes[0]


def test_what_cannot_be_read_is_told(tmp_path: Path, recording: Path) -> None:
    with pytest.raises(ConfigError, match="slices of 0 us"):
        slice_events(recording, 0)
    with pytest.raises(ConfigError, match=r"step_us is 1000\.0, expected a whole number"):
        slice_events(recording, 1000.0)
    with pytest.raises(ConfigError, match="step_us is True, expected"):
        slice_events(recording, True)
    with pytest.raises(ConfigError, match=r"start_us is 0\.5, expected"):
        slice_events(recording, 1000, 0.5)
    with pytest.raises(ConfigError, match="start_us is '5s', expected"):
        read_events(recording, "5s")
    with pytest.raises(ConfigError, match="end_us is nan, expected"):
        read_events(recording, None, float("nan"))
    with pytest.raises(SessionError, match="cannot be read: No such file"):
        read_events(tmp_path / "absent.raw")
    with pytest.raises(SessionError, match="cannot be read: No such file"):
        slice_events(tmp_path / "absent.raw", 1000)
    path = tmp_path / "a.raw"
    path.write_bytes(b"% evt 2.0\n% end\n" + evt2_words(camera_events(100, 1000), NONE).astype("<u4").tobytes())
    with pytest.raises(SessionError, match="gives no sensor size"):
        read_events(path)
    assert len(read_events(path, width=WIDTH, height=HEIGHT)) == 100
    assert open_events(path, WIDTH, HEIGHT).format == "EVT2"
    assert sum(len(part) for _, part in slice_events(path, 100, width=WIDTH, height=HEIGHT)) == 100


def damaged(tmp_path: Path) -> Path:
    """A recording with three events outside the sensor, a hole, and a byte too much."""
    words = evt2_words(camera_events(20_000, 300_000), camera_triggers(9, 300_000))
    words[np.flatnonzero(words >> 28 <= 1)[40:43]] |= 0x7FF
    words = np.delete(words, slice(60_000 // 3, 60_000 // 3 + 2_000))
    path = tmp_path / "damaged.raw"
    path.write_bytes(header("2.0") + words.astype("<u4").tobytes() + b"\0")
    return path


def test_what_is_missing_of_a_damaged_recording_is_told_once_and_the_rest_is_read(tmp_path: Path) -> None:
    path = damaged(tmp_path)
    said = (
        rf"{path}: damaged, read without 3 events outside the {WIDTH}x{HEIGHT} sensor, 1 gap in time "
        r"\(0\.0\d\d s in all\), 1 byte cut off at its end; `au3dmm events info` and stream\(\)\.report tell where"
    )
    with pytest.warns(EventFileWarning, match=said) as told:
        events = read_events(path)
    assert len(told) == 1
    assert told[0].filename == __file__  # the caller's line, not one of ours
    stream = open_events(path).stream()
    assert sum(len(chunk.events) for chunk in stream) == len(events) > 17_000
    assert stream.report.counts["outside_sensor"] == 3
    with pytest.warns(EventFileWarning, match=said) as told:
        assert 5 < len(read_triggers(path)) <= 9
    assert (len(told), told[0].filename) == (1, __file__)
    with pytest.warns(EventFileWarning, match=said) as told:
        assert sum(len(part) for _, part in slice_events(path, 10_000)) == len(events)
    assert (len(told), told[0].filename) == (1, __file__)


def test_slices_that_are_not_taken_to_the_end_of_the_file_warn_of_nothing(tmp_path: Path) -> None:
    slices = slice_events(damaged(tmp_path), 10_000)
    assert len(next(slices)[1])  # warnings are errors here
    assert len(next(slices)[1])


def test_a_recording_that_begins_in_the_middle_of_a_stream_is_not_called_damaged(tmp_path: Path) -> None:
    words = evt2_words(camera_events(2_000, 30_000), NONE)
    path = tmp_path / "a.raw"
    path.write_bytes(header("2.0") + words[np.flatnonzero(words >> 28 <= 1)[0] :].astype("<u4").tobytes())
    assert len(read_events(path)) > 1_900
    stream = open_events(path).stream()
    list(stream)
    assert stream.report.counts["before_start"] > 0


@pytest.mark.shared
def test_a_real_recording_makes_the_round_trip(shared_data: Path, tmp_path: Path) -> None:
    events = read_events(shared_data / "events" / "evt2_gen3.raw")
    assert len(events) == 521_252
    one, two = tmp_path / "one.raw", tmp_path / "two.raw"
    write_evt2(one, events, NONE, width=640, height=480)
    assert np.array_equal(read_events(one), events)
    write_evt2(two, read_events(one), NONE, width=640, height=480)
    assert one.read_bytes() == two.read_bytes()
