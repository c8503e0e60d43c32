"""DAT: versions and types of events, wraps, wrong times, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.events import dat, open_events
from au3dmm.io.events.report import LATE_US
from container_files import read_all
from raw_files import HEIGHT, WIDTH, camera_events, check_mutants, damage, dat_bytes, decode


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "events.dat"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("version", "kind"), [(2, 12), (2, 0), (1, 0), (0, 0)])
def test_a_made_recording_is_read_exactly(tmp_path: Path, version: int, kind: int) -> None:
    events = camera_events(5000, 200_000)
    events["x"] %= 304
    opened = open_events(written(tmp_path, dat_bytes(events, version, kind)))
    assert (opened.format, opened.width, opened.height, opened.t_shift_us) == ("DAT", WIDTH, HEIGHT, 0)
    found, edges, report = read_all(opened)
    assert np.array_equal(found, events)
    assert not len(edges)
    assert not damage(report)


def test_darker_may_be_written_as_minus_one(tmp_path: Path) -> None:
    events = camera_events(40, 1000)
    data = bytearray(dat_bytes(events))
    for at in range(len(data) - 1, len(data) - 8 * 40, -8):
        data[at] |= 0xF0 if data[at] >> 4 == 0 else 0
    found, _, _ = read_all(open_events(written(tmp_path, bytes(data))))
    assert np.array_equal(found["p"], events["p"])


def test_the_32_bit_clock_is_unrolled(tmp_path: Path) -> None:
    events = camera_events(3000, 60_000, (1 << 32) - 30_000)
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events))))
    assert np.array_equal(found, events)
    assert not damage(report)


def test_a_recording_of_hours_in_which_little_happens_is_unrolled(tmp_path: Path) -> None:
    events = camera_events(3000, 5 * 3_600_000_000)
    events["t"] = 100 + np.cumsum(np.random.default_rng(0).integers(1, 12_000_000, 3000))
    events["t"][-1] = events["t"][-2] + 5
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events))))
    assert np.array_equal(found, events)
    assert found["t"][-1] > 4 << 32
    assert set(damage(report)) == {"time_gap"}


@pytest.mark.parametrize("bit", range(32))
def test_a_single_wrong_time_costs_one_event(tmp_path: Path, bit: int) -> None:
    events = camera_events(200, 100_000)
    wrong = events.copy()
    wrong["t"][90] ^= 1 << bit
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(wrong))))
    others = np.delete(np.arange(200), 90)
    if len(found) == 200:  # a small step, which a camera may make
        assert bit < 14
        assert np.array_equal(found[others], events[others])
        assert not damage(report)
    else:
        assert np.array_equal(found, events[others])
        assert sum(damage(report).values()) == 1


@pytest.mark.parametrize("bit", range(14, 32))
def test_a_wrong_first_time_costs_one_event(tmp_path: Path, bit: int) -> None:
    events = camera_events(200, 10_000)
    wrong = events.copy()
    wrong["t"][0] ^= 1 << bit
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(wrong))))
    if len(found) == 200:  # it lies before the others: a pause cannot be told from it, but it is told
        assert wrong["t"][0] < events["t"][0]
        assert damage(report) == {"time_gap": 1}
    else:
        assert np.array_equal(found, events[1:])
        assert damage(report) == {"time_glitch": 1}


def test_lost_data_is_a_gap(tmp_path: Path) -> None:
    events = camera_events(400, 100_000)
    events["t"][200:] += 5_000_000
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events))))
    assert np.array_equal(found, events)
    assert damage(report) == {"time_gap": 1}
    (span,) = report.spans
    assert (span.t_start_us, span.t_end_us) == (events["t"][199], events["t"][200])


def test_a_clock_that_goes_back_drops_what_is_late_until_it_has_caught_up(tmp_path: Path) -> None:
    events = camera_events(4000, 400_000)[::10]
    events["t"][200:] -= 100_000
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events))))
    late = (np.arange(400) >= 200) & (events["t"] < events["t"][199] - LATE_US)
    assert np.array_equal(found, events[~late])
    assert damage(report) == {"late": int(late.sum()), "time_gap": 1}


def test_events_outside_the_sensor_are_dropped_and_counted(tmp_path: Path) -> None:
    events = camera_events(100, 10_000)
    events["x"][10:13], events["y"][20] = [WIDTH, 2047, 0], HEIGHT
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events))))
    assert np.array_equal(found, np.delete(events, [10, 11, 20]))
    assert damage(report) == {"outside_sensor": 3}


def test_files_of_triggers_are_read(tmp_path: Path) -> None:
    head = f"% Data file containing ExtTrigger events\n% Version 2\n% Width {WIDTH}\n% Height {HEIGHT}\n"
    words = np.array([[1000, 63 << 26 | 1], [1500, 5 << 26], [1600, 5 << 26 | 15]], "<u4")
    events, triggers, report = decode(written(tmp_path, head.encode() + bytes([14, 8]) + words.tobytes()))
    assert not events
    assert triggers == [(1000, 63, 1), (1500, 5, 0), (1600, 5, 0)]
    with pytest.raises(SessionError, match="no events in it, but 3 triggers; expected"):
        report.check(tmp_path)


@pytest.mark.parametrize("n_bytes", [1, 4, 7])
def test_bytes_that_make_no_event_are_told(tmp_path: Path, n_bytes: int) -> None:
    events = camera_events(100, 10_000)
    found, _, report = read_all(open_events(written(tmp_path, dat_bytes(events) + b"\0" * n_bytes)))
    assert np.array_equal(found, events)
    assert damage(report) == {"truncated": n_bytes}


def test_block_borders_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = camera_events(900, 100_000)
    events["t"][[100, 333, 334, 700]] += [1 << 20, -(1 << 21), 1 << 24, 1 << 15]
    events["t"][500:] += 1_000_000
    path = written(tmp_path, dat_bytes(events) + b"abc")
    whole = decode(path)
    assert damage(whole[2]) == {"time_glitch": 4, "time_gap": 1, "truncated": 3}
    for n in (9, 10, 17, 333):
        monkeypatch.setattr(dat, "_RECORDS", n)
        assert decode(path) == whole


def test_the_sensor_is_asked_for_where_the_file_does_not_say(tmp_path: Path) -> None:
    events = camera_events(100, 10_000)
    path = written(tmp_path, dat_bytes(events, size=False))
    with pytest.raises(SessionError, match=r"gives no sensor size; set events\.width and events\.height"):
        open_events(path)
    assert len(read_all(open_events(path, 320, 240))[0]) == 100


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"Version 2", b"Version 7", r"DAT version '7', expected 0, 1 or 2"),
        (b"\x0c\x08", b"\x0d\x08", "events of type 13 and 8 bytes at byte 97, expected type 0 or 12"),
        (b"\x0c\x08", b"\x0c\x10", "events of type 12 and 16 bytes"),
        (b"Width 320", b"Width -20", "width or height '-20'"),
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, old: bytes, new: bytes, match: str) -> None:
    data = dat_bytes(camera_events(10, 1000))
    assert old in data
    with pytest.raises(SessionError, match=match):
        open_events(written(tmp_path, data.replace(old, new, 1)))


def test_a_file_that_ends_with_its_header_is_refused(tmp_path: Path) -> None:
    data = dat_bytes(camera_events(1, 1000))
    with pytest.raises(SessionError, match="no events: it ends with its header"):
        open_events(written(tmp_path, data[:-9]))
    _, _, report = decode(written(tmp_path, data[:-8]))
    with pytest.raises(SessionError, match="no events"):
        report.check(tmp_path)


def test_damaged_files_are_read_in_part_or_refused(tmp_path: Path) -> None:
    outcome = check_mutants(dat_bytes(camera_events(600, 30_000)), tmp_path / "a.dat", range(600))
    assert outcome["read"] > 400
    assert outcome["refused"] > 2
    assert outcome["lines"] == 1
