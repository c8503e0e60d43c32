"""The writers of EVT3, EVT2 and NPZ: any blocks, any pauses, steps back, and failures that leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from au3dmm.errors import OutputError, SessionError
from au3dmm.io.events import (
    EVENT_DTYPE,
    TRIGGER_DTYPE,
    EventWriter,
    Evt2Writer,
    Evt3Writer,
    NpzWriter,
    open_events,
    raw_writer,
    write_evt2,
    write_evt3,
)
from container_files import read_all
from raw_files import HEIGHT, WIDTH, camera_events, camera_triggers

SIZE = {"width": WIDTH, "height": HEIGHT}
WRITERS: list[type[EventWriter]] = [Evt3Writer, Evt2Writer, NpzWriter]
NO_EVENTS, NO_TRIGGERS = np.zeros(0, EVENT_DTYPE), np.zeros(0, TRIGGER_DTYPE)
every_writer = pytest.mark.parametrize("writer", WRITERS, ids=lambda w: w.format)


def name(writer: type[EventWriter]) -> str:
    return "a.npz" if writer is NpzWriter else "a.raw"


def at(*times: int) -> np.ndarray:
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"] = times, np.arange(len(times)) % WIDTH
    return events


def write(path: Path, writer: type[EventWriter], *blocks: np.ndarray, **options: int) -> None:
    """Write blocks of events, or of triggers, one after the other."""
    with writer(path, **SIZE, **options) as out:
        for block in blocks:
            is_event = "x" in block.dtype.names
            out.append(block if is_event else NO_EVENTS, NO_TRIGGERS if is_event else block)


def in_blocks(
    path: Path, writer: type[EventWriter], events: np.ndarray, triggers: np.ndarray, cuts: list[int]
) -> bytes:
    """Write in blocks that begin at these numbers of events, each with the triggers that belong to it."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    starts = [-1, *events["t"][edges[1:-1]].tolist(), 1 << 60]
    with writer(path, **SIZE, clock_start_us=0) as out:
        for i in range(len(edges) - 1):
            due = (triggers["t"] >= starts[i]) & (triggers["t"] < starts[i + 1])
            out.append(events[edges[i] : edges[i + 1]], triggers[due])
    return path.read_bytes()


@every_writer
@pytest.mark.parametrize("start", [0, 5_000_000, 700_000_000])
def test_what_is_written_is_read_back_exactly(tmp_path: Path, writer: type[EventWriter], start: int) -> None:
    events, triggers = camera_events(4000, 30_000_000, start), camera_triggers(30, 30_000_000, start)
    path = tmp_path / name(writer)
    with writer(path, **SIZE, header={"serial_number": "00050123"}, clock_start_us=0) as out:
        later = triggers["t"] >= events["t"][1500]
        out.append(events[:1500], triggers[~later])
        out.append(events[1500:], triggers[later])
    assert (out.events, out.triggers) == (4000, 30)
    opened = open_events(path)
    found, edges, report = read_all(opened)
    assert np.array_equal(found, events)
    assert np.array_equal(np.sort(edges, order="t"), triggers)
    assert (opened.width, opened.height, opened.t_shift_us, report.dropped) == (WIDTH, HEIGHT, 0, 0)
    if writer is not NpzWriter:
        assert opened.header["serial_number"] == "00050123"
        assert not any(report.counts.values())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@every_writer
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 600), max_size=5), seed=st.integers(0, 20))
def test_blocks_decide_nothing(tmp_path: Path, writer: type[EventWriter], cuts: list[int], seed: int) -> None:
    events, triggers = camera_events(600, 3000, seed=seed), camera_triggers(9, 3000)
    triggers["t"] = np.sort(np.random.default_rng(seed).choice(events["t"], 9))
    path = tmp_path / name(writer)
    assert in_blocks(path, writer, events, triggers, cuts) == in_blocks(path, writer, events, triggers, [])


@every_writer
def test_many_events_at_once_are_written_in_pieces(
    tmp_path: Path, writer: type[EventWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_writer, "_ROOM", 200)
    monkeypatch.setattr(raw_writer, "_HELD", 50)
    events, triggers = camera_events(2000, 100_000), camera_triggers(300, 100_000)
    events["t"][500:900] = events["t"][500]  # more than are held
    path = tmp_path / name(writer)
    in_blocks(path, writer, events, triggers, [100, 600, 700, 701, 1500])
    found, edges, _ = read_all(open_events(path))
    assert np.array_equal(found, events)
    assert np.array_equal(np.sort(edges, order="t"), triggers)


@pytest.mark.parametrize("writer", [Evt3Writer, Evt2Writer], ids=lambda w: w.format)
def test_steps_back_and_pauses_read_back_exactly(tmp_path: Path, writer: type[EventWriter]) -> None:
    times = [
        59_000,
        58_990,
        59_001,
        57_343,
        57_344,
        58_000,
        57_999,
        61_500,
        61_439,
        61_440,
        61_440,
        90_000,
        89_000,
        9_000_000,
    ]
    times += [9_000_001, 50_000_000, 50_000_001, 7_000_000_000, 6_999_999_999, 7_000_000_002, 20_000_000_000]
    events = at(*times, *(20_000_000_000 + 5 * np.arange(40)))
    path = tmp_path / "a.raw"
    with writer(path, **SIZE, clock_start_us=0) as out:
        out.append(events, NO_TRIGGERS)
    found, _, report = read_all(open_events(path))
    assert np.array_equal(found, events)
    assert report.counts["time_glitch"] == 0


@pytest.mark.parametrize("writer", [Evt3Writer, Evt2Writer], ids=lambda w: w.format)
@pytest.mark.parametrize("pause_us", [9_999_000, 10_000_100, 77_000_000, 5_000_000_000])
def test_pauses_read_back_as_pauses_and_not_as_lost_data(
    tmp_path: Path, writer: type[EventWriter], pause_us: int
) -> None:
    path = tmp_path / "a.raw"
    for rest in (1, 40):  # also one event alone
        events = at(5_000, 5_700, *(pause_us + 6_000 + 5 * np.arange(rest)))
        write(path, writer, events)
        found, _, report = read_all(open_events(path))
        assert np.array_equal(found, events)
        assert not any(report.counts.values())


@pytest.mark.parametrize(("writer", "most"), [(Evt3Writer, 4096), (Evt2Writer, 8192)])
def test_steps_back_that_readers_drop_are_refused_and_all_others_kept(
    tmp_path: Path, writer: type[EventWriter], most: int
) -> None:
    path = tmp_path / "a.raw"
    for start in range(50_000, 58_192, 511):  # anywhere between two steps of the clock
        before = start - 4096 * np.arange(9, 0, -1)  # the first time is believed if those that follow stay with it
        events = at(*before, start, start - most, start + 1, start + 90)
        write(path, writer, events)
        assert np.array_equal(read_all(open_events(path))[0], events)
        with pytest.raises(SessionError, match=f"holds steps back of at most {most} us"):
            write(path, writer, at(start, start - most - 1))


def test_evt3_states_every_step_of_its_clock(tmp_path: Path) -> None:
    write_evt3(tmp_path / "a.raw", at(5000, 40_000_000), NO_TRIGGERS, **SIZE)
    data = (tmp_path / "a.raw").read_bytes()
    words = np.frombuffer(data, "<u2", offset=data.index(b"% end\n") + 6)
    high = (words[words >> 12 == 8] & 0xFFF).astype(int)
    assert set((np.diff(high) & 0xFFF).tolist()) <= {0, 1}
    assert len(high) >= 39_995_000 // 4096


@pytest.mark.parametrize("clock_start", [8192, 4096 * 3000])
def test_a_late_beginning_keeps_its_times_and_the_shift(tmp_path: Path, clock_start: int) -> None:
    events = camera_events(1000, 10_000, 400_000_000)
    for writer, shift in ((Evt3Writer, clock_start - 4096), (Evt2Writer, clock_start)):
        with writer(tmp_path / "a.raw", **SIZE, clock_start_us=clock_start) as out:
            out.append(events, NO_TRIGGERS)
        opened = open_events(tmp_path / "a.raw")
        found, _, report = read_all(opened)
        assert np.array_equal(found, events)
        assert opened.t_shift_us == shift
        assert not any(report.counts.values())
    with pytest.raises(SessionError, match=r"starts at 40000000\d us; EVT3 clocks start between 0 and 16777215 us"):
        write_evt3(tmp_path / "b.raw", events, NO_TRIGGERS, **SIZE)


def test_a_clock_that_starts_after_the_first_event_starts_with_it(tmp_path: Path) -> None:
    with Evt3Writer(tmp_path / "a.raw", **SIZE, clock_start_us=16_000_000) as out:
        out.append(at(5000, 5001), NO_TRIGGERS)
    assert read_all(open_events(tmp_path / "a.raw"))[0]["t"].tolist() == [5000, 5001]


@every_writer
def test_a_recording_of_triggers_alone_is_written(tmp_path: Path, writer: type[EventWriter]) -> None:
    triggers = camera_triggers(40, 1_000_000)
    path = tmp_path / name(writer)
    with writer(path, **SIZE) as out:
        for i in range(0, 40, 7):
            out.append(NO_EVENTS, triggers[i : i + 7])
    if writer is NpzWriter:
        with np.load(path, allow_pickle=False) as arrays:
            assert np.array_equal(arrays["trigger_t"], triggers["t"])
    else:
        assert np.array_equal(open_events(path).triggers(), triggers)


def test_npz_is_what_numpy_reads(tmp_path: Path) -> None:
    events, triggers = camera_events(3000, 10_000), camera_triggers(5, 10_000)
    for path in (tmp_path / "a.npz", tmp_path / "b.npz"):
        with NpzWriter(path, **SIZE, clock_start_us=4096) as out:
            out.append(events[:7], triggers[:1])
            out.append(events[7:], triggers[1:])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        for field in "txyp":
            assert np.array_equal(arrays[field], events[field])
            assert arrays[field].dtype == EVENT_DTYPE[field]
        assert np.array_equal(arrays["trigger_id"], triggers["id"])
        assert np.array_equal(arrays["trigger_p"], triggers["p"])
        assert {key: int(arrays[key]) for key in ("width", "height", "t_shift_us")} == {**SIZE, "t_shift_us": 4096}
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_header_keeps_what_it_can_hold(tmp_path: Path) -> None:
    given_fields = {
        "serial_number": "7", "Date": "2025-01-02 03:04:05", "evt": "9", "geometry": "1x1", "end": "", "format": "X",
        "two words": "x", "two\nlines": "x", "tail": "x\n% end", "long": "x" * 2000, "accent": "é", "Width": "5",
        "": "x", "pad": " x",
    }  # fmt: skip
    with Evt2Writer(tmp_path / "a.raw", **SIZE, header=given_fields) as out:
        out.append(at(5), NO_TRIGGERS)
    opened = open_events(tmp_path / "a.raw")
    assert dict(opened.header) == {
        "serial_number": "7", "Date": "2025-01-02 03:04:05", "evt": "2.0", "format": "EVT2;height=240;width=320",
        "geometry": "320x240",
    }  # fmt: skip


@every_writer
def test_a_failure_leaves_neither_a_file_nor_part_of_one(tmp_path: Path, writer: type[EventWriter]) -> None:
    path = tmp_path / name(writer)
    bad = at(5, 6)
    bad["p"] = 2
    with pytest.raises(SessionError, match="p = 2"):
        write(path, writer, at(1, 2), bad)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"what was there")
    with pytest.raises(SessionError, match="p = 2"):
        write(path, writer, at(1, 2), bad)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"what was there"


@every_writer
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, writer: type[EventWriter]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"a\.\w+: cannot be written: "):
        write(tmp_path / "file" / name(writer), writer, at(1))


@every_writer
def test_a_full_disk_is_told_as_what_it_is(
    tmp_path: Path, writer: type[EventWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: EventWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_complete", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        write(tmp_path / name(writer), writer, at(5, 6))
    assert not list(tmp_path.iterdir())


@every_writer
@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("t", -1, "events at -1 us, expected 0 us or later"),
        ("x", WIDTH, r"events up to \(320, 0\) do not fit a 320x240 sensor"),
        ("y", -3, r"events up to \(0, -3\) do not fit"),
        ("p", -1, "events with p = -1, expected 0 or 1"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    tmp_path: Path, writer: type[EventWriter], field: str, value: int, match: str
) -> None:
    events = np.zeros(1, [(key, np.int64) for key in "txyp"])
    events[field] = value
    with pytest.raises(SessionError, match=match):
        write(tmp_path / name(writer), writer, events)


@pytest.mark.parametrize(("writer", "highest"), [(Evt3Writer, 15), (Evt2Writer, 31), (NpzWriter, 255)])
def test_inputs_up_to_what_a_format_holds_are_written(tmp_path: Path, writer: type[EventWriter], highest: int) -> None:
    triggers = np.zeros(1, [(key, np.int64) for key in ("t", "id", "p")])
    triggers["id"] = highest
    path = tmp_path / name(writer)
    write(path, writer, at(1), triggers)
    assert open_events(path).triggers()["id"].tolist() == [highest]
    triggers["id"] = highest + 1
    with pytest.raises(SessionError, match=f"trigger id {highest + 1}"):
        write(path, writer, at(1), triggers)


def test_times_that_readers_would_not_believe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    with pytest.raises(SessionError, match=r"events go back in time by 1000001 us at 4 us.* sort them by t"):
        write(path, Evt2Writer, at(1_000_005, 4))
    with pytest.raises(SessionError, match="triggers go back in time by 2000000 us"):
        write(path, Evt3Writer, at(2_000_000), camera_triggers(1, 1, 0))
    with pytest.raises(SessionError, match="nothing for 72000 s before 72000000005 us"):
        write(path, Evt3Writer, at(5), at(72_000_000_005))
    with pytest.raises(SessionError, match=r"starts at 1700000000000000 us, EVT2 .* write \.npz"):
        write(path, Evt2Writer, at(1_700_000_000_000_000), clock_start_us=0)
    with pytest.raises(SessionError, match="events go back in time at number 1"):
        write_evt2(path, at(7, 5), NO_TRIGGERS, **SIZE)
    with pytest.raises(SessionError, match="sensor 0x5, EVT2 holds"):
        Evt2Writer(path, width=0, height=5)
    assert not list(tmp_path.iterdir())
