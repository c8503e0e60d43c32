"""`au3dmm events`: what it prints, what it writes, and what it says when it cannot."""

import importlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from au3dmm.cli.progress import Reporter
from au3dmm.io.events import read_events, read_triggers, write_evt2, write_evt3
from container_files import write_dsec
from raw_files import HEIGHT, WIDTH, camera_events, camera_triggers, evt2_words, header

SIZE = {"width": WIDTH, "height": HEIGHT}
KEYS = [
    *("format", "width", "height", "events", "triggers", "t_first_us", "t_last_us", "t_shift_us"),
    *("dropped", "repaired", "truncated", "refused", "damage", "spans", "warnings"),
]


@pytest.fixture(scope="module")
def made():
    return camera_events(3000, 2_000_000), camera_triggers(20, 2_000_000)


@pytest.fixture
def whole(tmp_path, made):
    path = tmp_path / "whole.raw"
    write_evt3(path, *made, width=WIDTH, height=HEIGHT, header_extra={"serial_number": "00050123"})
    return path


@pytest.fixture
def damaged(tmp_path, made):
    """EVT2 with a wrong time, a hole, an event outside, an unknown word, and a byte too much."""
    words = evt2_words(*made)
    high = np.flatnonzero(words >> 28 == 8)
    words[high[500]] ^= 1 << 20
    words[high[300]] = 0x30000000
    words[np.flatnonzero(words >> 28 <= 1)[40]] |= 0x7FF
    words = np.delete(words, slice(60_000, 62_000))
    path = tmp_path / "damaged.raw"
    path.write_bytes(header("2.0") + words.astype("<u4").tobytes() + b"\0")
    return path


def test_info_says_what_is_in_a_recording(au3dmm, whole, made):
    answer = au3dmm("events", "info", whole)
    assert answer.code == 0, answer.err
    assert not answer.err
    lines = [line.split(maxsplit=1) for line in answer.out.splitlines()]
    assert answer.out.startswith(f"{whole}: EVT3, {WIDTH} x {HEIGHT}, {whole.stat().st_size / 1000:.1f} kB\n")
    found = {line[0]: line[1] for line in lines[1:]}
    assert found["events"] == "3000 in 2 s, 1500/s on average"
    assert found["triggers"] == "20"
    assert found["first"] == f"{made[0]['t'][0]} us"
    assert found["last"] == f"{made[0]['t'][-1]} us"
    assert found["damage"] == "none"


def test_info_as_json_has_exactly_these_keys(au3dmm, whole, made):
    answer = au3dmm("events", "info", whole, "--json")
    info = json.loads(answer.out)
    assert list(info) == KEYS
    assert (info["format"], info["width"], info["height"]) == ("EVT3", WIDTH, HEIGHT)
    assert (info["events"], info["triggers"], info["dropped"], info["truncated"]) == (3000, 20, 0, False)
    assert info["t_first_us"] == made[0]["t"][0]
    assert info["spans"] == []


def test_info_tells_damage_and_its_place(au3dmm, damaged):
    out = au3dmm("events", "info", damaged).out
    assert "1 event  outside the sensor: dropped" in out
    assert "1 time   that what follows contradicts: ignored" in out
    assert "1 jump   of the clock: data lost, or nothing recorded" in out
    assert "1 word   of no known kind: ignored" in out
    assert "1 byte   at the end, too few for an event: cut off" in out
    info = json.loads(au3dmm("events", "info", damaged, "--json").out)
    assert {kind: n for kind, n in info["damage"].items() if n} == dict.fromkeys(
        ("outside_sensor", "time_glitch", "time_gap", "unknown_word", "truncated"), 1
    )
    assert (info["dropped"], info["repaired"], info["truncated"]) == (1, 1, True)
    for span in info["spans"]:
        assert f"bytes {span['first']} to {span['end']}" in out
    gap = next(span for span in info["spans"] if span["kind"] == "time_gap")
    assert 4 * 60_000 <= gap["first"] - len(header("2.0")) < 4 * 60_010
    assert f"{gap['t_start_us']} us to {gap['t_end_us']} us" in out


def test_info_shows_a_recording_that_is_too_damaged_and_says_so(au3dmm, damaged):
    text = damaged.read_bytes().replace(b"320x240", b"100x240")
    damaged.write_bytes(text)
    answer = au3dmm("events", "info", damaged)
    assert answer.code == 4
    assert not answer.err
    assert answer.out.splitlines()[-1].startswith("  refused: too damaged:")
    answer = au3dmm("events", "info", damaged, "--json")
    assert answer.code == 4
    info = json.loads(answer.out)
    assert list(info) == KEYS
    assert info["refused"].startswith("too damaged:")
    assert info["events"] > 500


def test_info_of_a_container_tells_places_as_events_and_counts_events(au3dmm, made, tmp_path):
    x = made[0]["x"].astype(int)
    x[[700, 2900]] = WIDTH
    fields = {name: made[0][name] for name in "typ"}
    np.savez(tmp_path / "a.npz", **fields, x=x, width=WIDTH, height=HEIGHT)
    answer = au3dmm("events", "info", tmp_path / "a.npz")
    assert answer.code == 0
    assert "    events 700 to 2901  " in answer.out  # near: told as one
    assert "bytes" not in answer.out
    spans = json.loads(au3dmm("events", "info", tmp_path / "a.npz", "--json").out)["spans"]
    assert {span["unit"] for span in spans} == {"events"}
    assert (spans[0]["first"], spans[-1]["end"]) == (700, 2901)
    p = made[0]["p"].astype(int)
    p[40] = 7
    np.savez(tmp_path / "a.npz", **{**fields, "x": made[0]["x"], "p": p}, width=WIDTH, height=HEIGHT)
    assert "1 event  that cannot be decoded: dropped" in au3dmm("events", "info", tmp_path / "a.npz").out


def test_info_warns_of_a_name_that_promises_something_else(au3dmm, whole):
    file = whole.rename(whole.with_suffix(".h5"))
    answer = au3dmm("events", "info", file)
    assert answer.code == 0
    said = "it is named .h5, as HDF5 files are, but holds EVT3"
    assert f"  warning: {said}\n" in answer.out
    assert json.loads(au3dmm("events", "info", file, "--json").out)["warnings"] == [said]


def test_info_says_that_a_size_was_assumed_and_how_far_events_reach(au3dmm, made, tmp_path):
    pytest.importorskip("h5py", reason="HDF5 needs h5py")
    file = write_dsec(tmp_path / "a.h5", made[0])
    answer = au3dmm("events", "info", file)
    x, y = (int(made[0][name].max()) for name in "xy")
    said = "its sensor is assumed to be 640x480 as of DSEC, the file does not say; its events within it reach up to"
    assert answer.code == 0
    assert f"  warning: {said} column {x}, row {y}\n" in answer.out
    assert json.loads(au3dmm("events", "info", file, "--width", 640, "--height", 480, "--json").out)["warnings"] == []
    events = made[0].copy()
    events["x"][5] = 1000
    answer = au3dmm("events", "info", write_dsec(file, events))
    assert answer.code == 4
    assert "refused: 1 event, up to column 1000, row " in answer.out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("argv", [["events", "info", "--json"], ["events", "info"], ["schema", "session"]])
def test_an_answer_that_cannot_be_written_is_told_in_one_line(whole, argv):
    command = [sys.executable, "-m", "au3dmm", *argv, *([whole] if argv[0] == "events" else [])]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ("error: stdout: cannot be written: No space left on device; the answer is not complete\n")
    assert done.returncode == 4


def test_cut_writes_a_part_and_says_what(au3dmm, whole, made, tmp_path):
    target = tmp_path / "part.raw"
    answer = au3dmm("events", "cut", whole, target, "--start", "0.5s", "--end", "1.25")
    assert answer.code == 0, answer.err
    t = made[0]["t"]
    part = made[0][(t >= t[0] + 500_000) & (t < t[0] + 1_250_000)]
    assert np.array_equal(read_events(target), part)
    n_triggers = len(read_triggers(target))
    assert answer.out == (
        f"{target}: EVT3, {len(part)} events and {n_triggers} triggers from {part['t'][0]} us to {part['t'][-1]} us\n"
    )
    again = au3dmm(
        "events", "cut", whole, target, "--start", f"{t[0] + 500_000}us", "--end", "1.25s", "--force", "--json"
    )
    told = json.loads(again.out)
    assert (told["file"], told["format"], told["events"]) == (str(target), "EVT3", len(part))
    assert told["source"]["dropped"] == 0
    assert np.array_equal(read_events(target), part)


def test_a_damaged_recording_is_cut_and_the_damage_told(au3dmm, damaged, tmp_path):
    answer = au3dmm("events", "cut", damaged, tmp_path / "part.raw", "--end", "2")
    assert answer.code == 0, answer.err
    assert f"what was read of {damaged} is damaged:" in answer.out
    assert "outside the sensor: dropped" in answer.out


def test_convert_takes_the_format_from_the_name_or_the_option(au3dmm, whole, made, tmp_path):
    for name, options, kind in (
        ("b.npz", (), "NPZ"),
        ("b.raw", ("--format", "evt2"), "EVT2"),
        ("c.raw", (), "EVT3"),
    ):
        answer = au3dmm("events", "convert", whole, tmp_path / name, *options)
        assert answer.code == 0, answer.err
        assert answer.out.startswith(f"{tmp_path / name}: {kind}, 3000 events and 20 triggers from ")
        assert np.array_equal(read_events(tmp_path / name), made[0])
    assert au3dmm("events", "info", tmp_path / "b.npz").code == 0


def test_a_shift_that_changes_and_a_clock_that_is_rebased_are_told(au3dmm, tmp_path):
    late = camera_events(500, 10_000, 913_716_224)
    write_evt2(tmp_path / "late.raw", late, camera_triggers(0, 1), width=WIDTH, height=HEIGHT)
    answer = au3dmm("events", "convert", tmp_path / "late.raw", tmp_path / "b.raw")
    there = late["t"][0] // 64 * 64
    source = tmp_path / "late.raw"
    assert f"times are those of {source}; Prophesee's SDK, which shifts them, subtracts 0 us from them" in answer.out
    assert f"from them here, and {there} us there\n" in answer.out
    np.savez(
        tmp_path / "a.npz", **{name: late[name] for name in "xyp"}, t=late["t"] + (1 << 50), width=WIDTH, height=HEIGHT
    )
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "c.raw")
    assert answer.code == 2
    assert "--rebase subtracts" in answer.error
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "c.raw", "--rebase")
    assert answer.code == 0, answer.err
    assert f"us less than in {tmp_path / 'a.npz'}" in answer.out
    np.savez(tmp_path / "a.npz", **{name: late[name] for name in "xyp"}, t=late["t"] - (1 << 40), **SIZE)
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "d.raw")
    assert re.search("--rebase adds [0-9]+ us to all times", answer.error)
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "d.raw", "--rebase")
    assert answer.code == 0, answer.err
    assert re.search(rf"times are [0-9]+ us more than in {tmp_path / 'a.npz'}", answer.out)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["info", "absent.raw"], 4, "absent.raw: cannot be read: No such file or directory"),
        (["info", "notes.txt"], 4, "not a known event format: starts with b'hello"),
        (["info", "nosize.raw"], 4, "gives no sensor size; .* --width and --height"),
        (["info", "nosize.raw", "--width", "320"], 2, "give both --width and --height, or neither"),
        (
            ["info", "whole.raw", "--width", "10", "--height", "10"],
            2,
            "file says 320x240, but 10x10 was given \\(--width",
        ),
        (["info", "pipe.raw"], 4, "pipe.raw: a pipe or a device, expected a file"),
        (["info", "word.raw"], 4, "no events: 1 byte after the header without"),
        (["cut", "whole.raw", "pipe.raw", "--force"], 2, "pipe.raw: a pipe or a device; expected the name of a file"),
        (
            ["cut", "whole.raw", "link.raw", "--force"],
            2,
            "link.raw: a link to notes.txt, which is neither followed nor",
        ),
        (["cut", "whole.raw", "x.raw", "--end", "100us"], 2, "no events to 100 us; its first event is at 5\\d+ us$"),
        (["cut", "whole.raw", "/proc/x.raw"], 4, "/proc/x.raw: cannot be written: .*; choose another place for it"),
        (["cut", "whole.raw", "whole.raw", "--force"], 2, "the recording itself"),
        (["cut", "whole.raw", "notes.txt"], 2, "cannot be written as .txt"),
        (["cut", "whole.raw", "nosize.raw"], 2, "there already; --force replaces it"),
        (["cut", "whole.raw", "x.raw", "--start", "1:30"], 2, "'1:30' is no time in a recording"),
        (
            ["cut", "whole.raw", "x.raw", "--start", "99"],
            2,
            "no events from 10400\\d+ us; its first event is at \\d+ us, and its last",
        ),
        (["convert", "whole.raw", "x.raw", "--format", "dat"], 2, "'dat' is not one of"),
        (["convert", "whole.raw", "notes.txt/x.raw"], 4, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(au3dmm, whole, tmp_path, monkeypatch, argv, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello, this is no recording\n" * 9)
    (tmp_path / "nosize.raw").write_bytes(b"% evt 3.0\n% end\n" + np.full(9, 0x8001, "<u2").tobytes())
    (tmp_path / "word.raw").write_bytes(b"% evt 3.0\n% geometry 9x9\n% end\n\0")
    (tmp_path / "link.raw").symlink_to("notes.txt")
    os.mkfifo(tmp_path / "pipe.raw")
    before = sorted(path.name for path in tmp_path.iterdir())
    answer = au3dmm("events", *argv)
    assert answer.code == code
    assert re.search(words, answer.error), answer.error
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_progress_is_shown_on_a_terminal_only(au3dmm, whole, tmp_path, monkeypatch):
    events = importlib.import_module("au3dmm.cli.events")
    told = []

    class Told(Reporter):
        def __call__(self, event):
            told.append(event)

    monkeypatch.setattr(events, "make_reporter", lambda mode: Told())
    assert au3dmm("events", "info", whole).code == 0
    assert not told
    monkeypatch.setattr(events.sys.stderr, "isatty", lambda: True, raising=False)
    for argv in (["info"], ["cut", tmp_path / "a.raw"], ["convert", tmp_path / "b.raw"]):
        told.clear()
        assert au3dmm("events", argv[0], whole, *argv[1:]).code == 0
        assert told[0] == {"event": "start", "stage": argv[0]}
        size = whole.stat().st_size
        assert told[-1] == {"event": "progress", "stage": argv[0], "done": size, "total": size}


def test_the_sensor_can_be_given_where_the_file_does_not_say(au3dmm, made, tmp_path):
    path = tmp_path / "old.raw"
    path.write_bytes(b"% evt 2.0\n% end\n" + evt2_words(*made).astype("<u4").tobytes())
    size = ("--width", WIDTH, "--height", HEIGHT)
    assert json.loads(au3dmm("events", "info", path, *size, "--json").out)["events"] == 3000
    assert au3dmm("events", "convert", path, tmp_path / "new.raw", *size).code == 0
    assert np.array_equal(read_events(tmp_path / "new.raw"), made[0])
