"""Cuts and conversions: what is kept, what is told, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import ConfigError, OutputError, SessionError
from au3dmm.io.atomic import file_lock
from au3dmm.io.events import TRIGGER_DTYPE, NpzWriter, open_events, read_events, read_triggers, write_evt2, write_evt3
from au3dmm.io.events.editing import Edit, convert_events, cut_events
from au3dmm.io.events.instant import Instant
from container_files import mutated, read_all, write_dsec
from raw_files import (
    HEIGHT,
    WIDTH,
    camera_events,
    camera_triggers,
    dat_bytes,
    evt2_words,
    evt21_bytes,
    evt21_words,
    header,
)

SIZE = {"width": WIDTH, "height": HEIGHT}
NO_TRIGGERS = np.zeros(0, TRIGGER_DTYPE)
START, SPAN = 5_000_000, 25_000_000


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    return camera_events(20_000, SPAN, START), camera_triggers(100, SPAN, START)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, made: tuple[np.ndarray, np.ndarray]) -> dict[str, Path]:
    """The same recording as EVT3, EVT2, EVT2.1, DAT and NPZ."""
    folder = tmp_path_factory.mktemp("made")
    names = {"EVT3": "3.raw", "EVT2": "2.raw", "EVT2.1": "21.raw", "DAT": "a.dat", "NPZ": "a.npz"}
    paths = {kind: folder / name for kind, name in names.items()}
    write_evt3(paths["EVT3"], *made, **SIZE, header_extra={"serial_number": "00050123"})
    write_evt2(paths["EVT2"], *made, **SIZE, header_extra={"serial_number": "00050123"})
    paths["EVT2.1"].write_bytes(header("2.1") + evt21_bytes(evt21_words(*made), "legacy"))
    paths["DAT"].write_bytes(dat_bytes(made[0]))
    with NpzWriter(paths["NPZ"], **SIZE) as out:
        out.append(*made)
    return paths


def seconds(value: float) -> Instant:
    return Instant(round(1e6 * value), False)


def on_clock(value: int) -> Instant:
    return Instant(value, True)


@pytest.mark.parametrize("kind", ["EVT3", "EVT2", "EVT2.1", "DAT", "NPZ"])
@pytest.mark.parametrize(("start", "end"), [(None, None), (0, 7_000_000), (6_500_000, 29_000_000), (20_000_000, None)])
def test_a_cut_is_what_lies_between_two_times(
    recordings: dict[str, Path],
    made: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    kind: str,
    start: int | None,
    end: int | None,
) -> None:
    target = tmp_path / ("cut.npz" if kind == "NPZ" else "cut.raw")
    opened = open_events(recordings[kind])
    edit = cut_events(opened, target, *(None if t is None else on_clock(t) for t in (start, end)))
    inside = [(t["t"] >= (start or 0)) & (t["t"] < (end or 1 << 40)) for t in made]
    events = made[0][inside[0]]
    assert np.array_equal(read_events(target), events)
    triggers = NO_TRIGGERS if kind == "DAT" else made[1][inside[1]]
    assert np.array_equal(np.sort(read_triggers(target), order="t"), triggers)
    assert (edit.events, edit.triggers) == (len(events), len(triggers))
    assert (edit.t_first_us, edit.t_last_us) == (events["t"][0], events["t"][-1])
    assert edit.format == {"EVT3": "EVT3", "EVT2": "EVT2", "EVT2.1": "EVT2", "DAT": "EVT3", "NPZ": "NPZ"}[kind]
    cut = open_events(target)
    assert (cut.width, cut.height) == (WIDTH, HEIGHT)
    assert edit.t_shift_us == cut.t_shift_us == opened.t_shift_us
    if kind in ("EVT3", "EVT2"):
        assert cut.header["serial_number"] == "00050123"
        assert not any(read_all(cut)[2].counts.values())


@pytest.mark.parametrize("kind", ["EVT3", "EVT2", "NPZ"])
def test_a_cut_of_a_cut_is_the_direct_cut(recordings: dict[str, Path], tmp_path: Path, kind: str) -> None:
    suffix = ".npz" if kind == "NPZ" else ".raw"
    wide, twice, once = (tmp_path / f"{name}{suffix}" for name in ("wide", "twice", "once"))
    cut_events(open_events(recordings[kind]), wide, seconds(1), seconds(20))
    cut_events(open_events(wide), twice, on_clock(19_000_000), on_clock(23_456_789))
    cut_events(open_events(recordings[kind]), once, on_clock(19_000_000), on_clock(23_456_789))
    assert twice.read_bytes() == once.read_bytes()


@pytest.mark.parametrize("kind", ["EVT3", "EVT2", "NPZ"])
def test_a_cut_of_everything_has_the_same_bytes(recordings: dict[str, Path], tmp_path: Path, kind: str) -> None:
    first, second = (tmp_path / f"{i}{recordings[kind].suffix}" for i in (1, 2))
    cut_events(open_events(recordings[kind]), first)
    cut_events(open_events(first), second)
    assert first.read_bytes() == second.read_bytes()


def test_seconds_count_from_the_first_event(
    recordings: dict[str, Path], made: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    first = int(made[0]["t"][0])
    edit = cut_events(open_events(recordings["EVT3"]), tmp_path / "a.raw", seconds(2.5), seconds(3))
    t = made[0]["t"]
    assert edit.events == ((t >= first + 2_500_000) & (t < first + 3_000_000)).sum() > 0


@pytest.mark.parametrize("kind", ["EVT3", "EVT2", "EVT2.1", "NPZ"])
@pytest.mark.parametrize("to", ["evt3", "evt2", "npz"])
def test_a_conversion_keeps_everything(
    recordings: dict[str, Path], made: tuple[np.ndarray, np.ndarray], tmp_path: Path, kind: str, to: str
) -> None:
    target = tmp_path / ("b.npz" if to == "npz" else "b.raw")
    edit = convert_events(open_events(recordings[kind]), target, to=to)
    assert edit.format == to.upper()
    assert np.array_equal(read_events(target), made[0])
    assert np.array_equal(np.sort(read_triggers(target), order="t"), made[1])
    assert edit.rebased_us == 0


def test_a_conversion_keeps_a_clock_that_has_gone_round(tmp_path: Path) -> None:
    events = camera_events(2000, 100_000, 913_716_224)
    write_evt2(tmp_path / "a.raw", events, NO_TRIGGERS, **SIZE)
    edit = convert_events(open_events(tmp_path / "a.raw"), tmp_path / "b.raw")
    assert (edit.format, edit.rebased_us, edit.t_shift_us) == ("EVT3", 0, 0)
    assert np.array_equal(read_events(tmp_path / "b.raw"), events)


@pytest.mark.parametrize("to", ["evt3", "evt2"])
def test_times_that_no_raw_file_holds_are_rebased_only_if_asked_for(tmp_path: Path, to: str) -> None:
    epoch = 1_700_000_000_000_000
    events = camera_events(2000, 100_000, epoch)
    with NpzWriter(tmp_path / "a.npz", **SIZE) as out:
        out.append(events, camera_triggers(2, 1000, epoch))
    source = open_events(tmp_path / "a.npz")
    target = tmp_path / "b.raw"
    with pytest.raises(
        ConfigError, match=r"event is at 17\d+ us, .* --rebase subtracts \d+ us from all times; or write .npz"
    ):
        convert_events(source, target, to=to)
    with pytest.raises(ConfigError, match="--rebase"):
        cut_events(source, target, seconds(0.01))
    edit = convert_events(source, target, to=to, rebase=True)
    assert edit.rebased_us % (1 << 24) == 0
    assert 0 <= edit.t_first_us < 1 << 24
    found = read_events(target)
    found["t"] += edit.rebased_us
    assert np.array_equal(found, events)
    assert read_triggers(target)["t"][0] + edit.rebased_us == epoch
    assert open_events(target).header["rebased_us"] == str(edit.rebased_us)
    cut = cut_events(source, tmp_path / "c.raw", seconds(0.01), to=to, rebase=True)
    assert cut.rebased_us == edit.rebased_us
    assert np.array_equal(read_events(tmp_path / "c.raw"), read_events(target)[-cut.events :])


def test_a_cut_stops_reading_where_it_ends(recordings: dict[str, Path], tmp_path: Path) -> None:
    edit = cut_events(open_events(recordings["EVT2"]), tmp_path / "a.raw", None, seconds(1))
    assert edit.source.events < 20_000
    assert edit.events == (read_events(recordings["EVT2"])["t"] < edit.source.t_first_us + 1_000_000).sum()


def damaged(tmp_path: Path) -> Path:
    """Write a recording with a third of its events outside the sensor."""
    words = evt2_words(camera_events(9000, 300_000), camera_triggers(4, 300_000))
    words[len(words) * 2 // 3 :] = 0x7FF
    path = tmp_path / "damaged.raw"
    path.write_bytes(header("2.0") + words.astype("<u4").tobytes())
    return path


def test_a_damaged_recording_is_cut_but_not_converted(tmp_path: Path) -> None:
    opened = open_events(damaged(tmp_path))
    with pytest.raises(SessionError, match="too damaged"):
        convert_events(opened, tmp_path / "a.raw")
    assert not (tmp_path / "a.raw").exists()
    edit = cut_events(opened, tmp_path / "a.raw")
    assert edit.source.counts["outside_sensor"] > 3000
    assert edit.events == len(read_events(tmp_path / "a.raw")) > 5000


@pytest.mark.parametrize(
    ("start", "end", "match"),
    [
        (seconds(5), seconds(5), "a cut from 10\\d+ us to 10\\d+ us, expected an end after the start"),
        (seconds(50), None, "no events from 55\\d+ us; its first event is at 500\\d+ us, and its last at 29\\d+ us"),
        # not the whole file has been read then
        (on_clock(1), on_clock(2), "no events from 1 us to 2 us; its first event is at 500\\d+ us$"),
        (None, on_clock(1000), "no events to 1000 us; its first event is at 500\\d+ us$"),
    ],
)
def test_cuts_without_events_are_refused(
    recordings: dict[str, Path], tmp_path: Path, start: Instant | None, end: Instant | None, match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        cut_events(open_events(recordings["EVT3"]), tmp_path / "a.raw", start, end)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unless_asked_for(recordings: dict[str, Path], tmp_path: Path) -> None:
    opened = open_events(recordings["EVT3"])
    target = tmp_path / "a.raw"
    target.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"a\.raw: there already; --force replaces it"):
        convert_events(opened, target)
    with pytest.raises(ConfigError, match="the recording itself, which is never written to"):
        cut_events(opened, recordings["EVT3"], force=True)
    (tmp_path / "link.raw").symlink_to(recordings["EVT3"])
    with pytest.raises(ConfigError, match="the recording itself"):
        convert_events(opened, tmp_path / "link.raw", force=True)
    with pytest.raises(ConfigError, match="a folder; expected the name of a file"):
        convert_events(opened, tmp_path, to="evt3", force=True)
    with pytest.raises(ConfigError, match=r"a\.csv: cannot be written as \.csv, expected \.raw"):
        convert_events(opened, tmp_path / "a.csv")
    with pytest.raises(OutputError, match="cannot be written"):
        convert_events(opened, target / "inside.raw")
    assert target.read_bytes() == b"mine"
    edit: Edit = convert_events(opened, target, force=True)
    assert len(read_events(target)) == edit.events == 20_000


def test_a_link_is_neither_followed_nor_replaced(recordings: dict[str, Path], tmp_path: Path) -> None:
    opened = open_events(recordings["EVT3"])
    (tmp_path / "mine").write_bytes(b"mine")
    for name, place in (("a.raw", tmp_path / "mine"), ("b.raw", tmp_path / "nothing")):
        link = tmp_path / name
        link.symlink_to(place)
        for force in (False, True):
            with pytest.raises(ConfigError, match=f"{name}: a link to {place}, which is neither followed nor replaced"):
                convert_events(opened, link, force=force)
        assert link.is_symlink()
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "nothing").exists()


def test_a_pipe_or_device_is_not_replaced(recordings: dict[str, Path], tmp_path: Path) -> None:
    opened = open_events(recordings["EVT3"])
    pipe = tmp_path / "pipe.raw"
    os.mkfifo(pipe)
    for force in (False, True):
        with pytest.raises(ConfigError, match=r"pipe\.raw: a pipe or a device; expected the name of a file to write"):
            cut_events(opened, pipe, force=force)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.raw"]
    with pytest.raises(ConfigError, match="/dev/null: a pipe or a device"):
        cut_events(opened, Path("/dev/null"), to="evt3", force=True)


@pytest.mark.parametrize("kind", ["evt3", "evt2", "npz", "dat"])
@pytest.mark.parametrize("to", ["evt3", "evt2", "npz"])
def test_what_is_cut_out_of_a_damaged_recording_is_free_of_damage(tmp_path: Path, kind: str, to: str) -> None:
    events, triggers = camera_events(2_000, 60_000), camera_triggers(12, 60_000)
    path = tmp_path / "a.bin"
    if kind == "evt3":
        write_evt3(path, events, triggers, **SIZE)
    elif kind == "npz":
        with NpzWriter(path, **SIZE) as out:
            out.append(events, triggers)
    else:
        words = header("2.0") + evt2_words(events, triggers).astype("<u4").tobytes()
        path.write_bytes(words if kind == "evt2" else dat_bytes(events))
    data, target, n_damaged = path.read_bytes(), tmp_path / ("b.npz" if to == "npz" else "b.raw"), 0
    for seed in range(40):
        path.write_bytes(mutated(data, seed))
        try:
            opened = open_events(path)
            edit = cut_events(opened, target, to=to, force=True)
        except SessionError:
            continue
        found, edges, report = read_all(open_events(target))
        source, edges_there, _ = read_all(opened)
        if to == "npz" and np.diff(np.sort(source["t"])).max(initial=0) > 1 << 18:
            continue  # noise has set the clock far ahead at the very end, and no event confirms it
        assert not any(report.counts.values()), (seed, report.counts)
        assert (len(found), len(edges)) == (edit.events, edit.triggers)
        n_damaged += any(edit.source.counts.values())
        assert np.array_equal(np.sort(found), np.sort(source))  # nothing is lost, and no time is changed
        assert np.array_equal(np.sort(edges), np.sort(edges_there))
    assert n_damaged > 3


def test_only_what_the_format_needs_is_put_in_order(tmp_path: Path) -> None:
    events = camera_events(300, 40_000)
    events["t"][100] -= 5_000  # behind by more than a step of EVT3
    events["t"][200] = events["t"][199] // 4096 * 4096 + 1  # and within one
    events["t"][201:] = np.maximum(events["t"][201:], events["t"][199])
    with NpzWriter(tmp_path / "a.npz", **SIZE) as out:
        out.append(events, NO_TRIGGERS)
    found = {}
    for to in ("evt3", "evt2", "npz"):
        target = tmp_path / ("b.npz" if to == "npz" else "b.raw")
        convert_events(open_events(tmp_path / "a.npz"), target, to=to, force=True)
        found[to] = read_events(target)
        assert np.array_equal(np.sort(found[to]), np.sort(events))
    assert np.array_equal(found["npz"], events)
    assert (np.diff(found["evt2"]["t"] // 64) >= 0).all()
    order = np.argsort(events["t"] // 4096, kind="stable")
    assert not np.array_equal(order, np.arange(300))
    assert (np.diff(events["t"][order]) < 0).any()
    assert np.array_equal(found["evt3"], events[order])


def test_a_recording_that_begins_before_zero_is_written_where_that_is_asked_for(tmp_path: Path) -> None:
    events = camera_events(500, 10_000, -20_000_000)
    np.savez(tmp_path / "a.npz", **{name: events[name] for name in "txyp"}, **SIZE)
    opened = open_events(tmp_path / "a.npz")
    for name in ("b.raw", "b.npz"):
        with pytest.raises(ConfigError, match=r"event is at -\d+ us, .* from 0 us on: --rebase adds 33554432 us to"):
            convert_events(opened, tmp_path / name)
        edit = convert_events(opened, tmp_path / name, rebase=True)
        assert edit.rebased_us == -33_554_432
        assert np.array_equal(read_events(tmp_path / name)["t"], events["t"] + 33_554_432)


def test_a_cut_of_a_sensor_that_was_assumed_too_small_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="HDF5 needs h5py")
    events = camera_events(500, 10_000)
    events["x"][7] = 700
    write_dsec(tmp_path / "a.h5", events)
    with pytest.raises(SessionError, match=r"1 event, up to column 700, row \d+, lies outside the sensor"):
        cut_events(open_events(tmp_path / "a.h5"), tmp_path / "b.raw")
    assert not (tmp_path / "b.raw").exists()
    assert cut_events(open_events(tmp_path / "a.h5", 720, 480), tmp_path / "b.raw").events == 500


def test_two_that_write_one_file_do_not_mix(recordings: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "a.raw"
    with file_lock(target), pytest.raises(OutputError, match="another au3dmm is working on it"):
        convert_events(open_events(recordings["EVT3"]), target)
    assert not list(tmp_path.iterdir())


def test_progress_ends_with_the_file(recordings: dict[str, Path], tmp_path: Path) -> None:
    for kind in ("EVT3", "NPZ"):
        total = recordings[kind].stat().st_size
        told: list[tuple[int, int]] = []
        target = tmp_path / f"{kind}.raw"
        convert_events(open_events(recordings[kind]), target, progress=lambda *step, told=told: told.append(step))
        assert told[-1] == (total, total)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
