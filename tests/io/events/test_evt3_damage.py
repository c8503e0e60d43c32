"""Damaged EVT3 files: thousands of them, none of which may crash, leave the sensor, or move the clock in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.core.painting import GUARD, frame_buffer
from au3dmm.errors import SessionError
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, EventFile, open_events, write_evt3
from au3dmm.io.events.report import LATE_US, MAX_SPANS

WIDTH, HEIGHT = 320, 240
SPAN_US = 80_000
UNTOUCHED = 6000  # bytes at the end


def camera_file(path: Path, start_us: int) -> np.ndarray:
    """Write 80 ms of a stream such as cameras make, and return its events."""
    rng = np.random.default_rng(start_us)
    events = np.zeros(6000, EVENT_DTYPE)
    events["t"] = start_us + np.sort(rng.integers(0, SPAN_US, len(events)))
    events["x"], events["y"] = rng.integers(0, WIDTH, len(events)), rng.integers(0, HEIGHT, len(events))
    events["p"] = rng.integers(0, 2, len(events))
    for i in range(0, len(events) - 30, 60):  # rows that make vectors
        part = slice(i, i + 25)
        events["t"][part], events["y"][part], events["p"][part] = events["t"][i], events["y"][i], events["p"][i]
        events["x"][part] = np.arange(25) + 100
    events = events[np.argsort(events["t"], kind="stable")]
    triggers = np.zeros(8, TRIGGER_DTYPE)
    triggers["t"], triggers["p"] = start_us + np.arange(8) * 10_000, np.arange(8) % 2
    write_evt3(path, events, triggers, width=WIDTH, height=HEIGHT)
    return events


def damaged(whole: bytes, how: str, rng: np.random.Generator) -> bytes:
    """Damage a file, but for its header and its end."""
    data = bytearray(whole)
    start = data.index(b"% end\n") + 6
    a, b = np.sort(rng.integers(start, len(data) - UNTOUCHED, 2)).tolist()
    if how == "bits":
        for _ in range(int(rng.integers(1, 30))):
            data[int(rng.integers(start, len(data) - UNTOUCHED))] ^= 1 << int(rng.integers(0, 8))
    elif how == "time words":
        words = np.frombuffer(bytes(data[start:]), "<u2").copy()
        high = np.flatnonzero(words[: -UNTOUCHED // 2] >> 12 == 8)
        hit = rng.choice(high, int(rng.integers(1, 4)), replace=False)
        words[hit] = 0x8000 | rng.integers(0, 1 << 12, len(hit))
        data[start:] = words.tobytes()
    elif how == "garbage":
        n = min(int(rng.integers(1, 3000)), len(data) - UNTOUCHED - a)
        data[a : a + n] = rng.integers(0, 256, n, np.uint8).tobytes()
    elif how == "insertion":
        data[a:a] = rng.integers(0, 256, 2 * int(rng.integers(1, 1500)), np.uint8).tobytes()
    elif how == "zeros":
        data[a : min(a + 4096, len(data) - UNTOUCHED)] = bytes(min(4096, len(data) - UNTOUCHED - a))
    elif how == "hole":
        del data[a : a + (b - a) // 2 * 2]
    elif how == "odd hole":
        del data[a : a + (b - a) // 2 * 2 + 1]
    elif how == "cut":
        del data[a:]
    elif how == "start":
        del data[start : start + 2 * int(rng.integers(0, (len(data) - UNTOUCHED - start) // 2))]
    elif how == "swap":
        middle = (a + b) // 2
        data[a:b] = data[middle:b] + data[a:middle]
    elif how == "header":
        at = int(rng.integers(0, start))
        data[at : at + int(rng.integers(0, 4))] = rng.integers(0, 256, int(rng.integers(0, 6)), np.uint8).tobytes()
    return bytes(data)


def opened_or_refused(path: Path) -> EventFile | None:
    """Open a file, or check that it is refused in one line that names it."""
    try:
        return open_events(path)
    except SessionError as err:
        message = str(err)
    assert str(path) in message
    assert "\n" not in message
    return None


KINDS = ("bits", "time words", "garbage", "insertion", "zeros", "hole", "odd hole", "cut", "start", "swap", "header")


@pytest.mark.parametrize("start_us", [50_000, (1 << 24) - 40_000])  # the second wraps in the middle
@pytest.mark.parametrize("how", KINDS)
def test_damage_of_any_kind_is_survived_and_told(tmp_path: Path, how: str, start_us: int) -> None:
    path = tmp_path / "a.raw"
    events = camera_file(path, start_us)
    whole = path.read_bytes()
    rng = np.random.default_rng([KINDS.index(how), start_us])
    buffer = frame_buffer(HEIGHT, WIDTH)
    opened = 0
    for _ in range(100):
        path.write_bytes(damaged(whole, how, rng))
        file = opened_or_refused(path)
        if file is None:
            assert how in ("header", "odd hole", "cut", "start")
            continue
        opened += 1
        stream = file.stream()
        found = [chunk.events.unpack() for chunk in stream]
        report = stream.report
        array = np.concatenate(found) if found else np.zeros(0, EVENT_DTYPE)
        assert report.events == len(array)
        assert len(report.spans) <= MAX_SPANS
        if (file.width, file.height) == (WIDTH, HEIGHT) and len(array):
            assert array["x"].max() < WIDTH
            assert array["y"].max() < HEIGHT
            # no jump of the clock that is not in the report
            steps = np.diff(array["t"])
            assert (steps >= -2 * LATE_US).all()
            gaps = [s for s in report.spans if s.kind == "time_gap"]
            assert (np.abs(steps) > 10_000).sum() <= len(gaps)
            # painting the same file leaves its guard alone and finds as many events
            stream, painted = file.stream(), 0
            for end in (start_us + 20_000, start_us + 40_000, np.iinfo(np.int64).max):
                painted += stream.paint(buffer, end)
            assert painted == len(array)
            assert stream.report.to_dict() == report.to_dict()
            assert len(buffer) == GUARD + WIDTH * HEIGHT
            stream = file.stream()
            assert [event for block in stream.arrays() for event in block.tolist()] == array.tolist()
            assert stream.report == report
        if how in ("bits", "time words", "garbage", "insertion", "zeros"):
            # what comes after the damage is what was there
            n = 300
            assert np.array_equal(array[-n:], events[-n:]), (report.counts, array["t"][-1], events["t"][-1])
    assert opened > 30


def test_a_file_that_is_mostly_noise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    camera_file(path, 0)
    header = path.read_bytes().split(b"% end\n")[0] + b"% end\n"
    noise = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
    path.write_bytes(header + np.array([0x8001] * 9, "<u2").tobytes() + noise)
    stream = open_events(path).stream()
    for _ in stream:
        pass
    with pytest.raises(SessionError, match=r"too damaged: .* expected at most 10%"):
        stream.report.check(path)


def test_words_of_no_known_kind_count_as_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    events = camera_file(path, 0)
    with path.open("ab") as f:
        f.write(np.full(len(events), 0x9999, "<u2").tobytes())
    stream = open_events(path).stream()
    assert sum(len(chunk.events) for chunk in stream) == len(events)
    with pytest.raises(SessionError, match=rf"too damaged: {len(events)} of {2 * len(events)} events"):
        stream.report.check(path)


def test_a_recording_that_grows_while_it_is_read_ends_where_it_was_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    events = camera_file(path, 0)
    whole = path.read_bytes()
    half = len(whole) // 2 // 2 * 2
    path.write_bytes(whole[:half])
    stream = open_events(path).stream()
    path.write_bytes(whole)
    n = sum(len(chunk.events) for chunk in stream)
    assert 0 < n < len(events)
    assert not stream.report.truncated


def test_a_recording_that_shrinks_while_it_is_read_gives_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    events = camera_file(path, 0)
    whole = path.read_bytes()
    stream = open_events(path).stream()
    path.write_bytes(whole[: len(whole) // 2])
    assert 0 < sum(len(chunk.events) for chunk in stream) < len(events)
