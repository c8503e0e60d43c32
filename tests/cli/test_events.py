"""`au3dmm events`: what it prints, what it writes, and what it says when it cannot."""

import importlib
import json
import re

import numpy as np
import pytest

from au3dmm.cli.progress import Reporter
from au3dmm.io.events import read_events, read_triggers, write_evt2, write_evt3
from raw_files import HEIGHT, WIDTH, camera_events, camera_triggers, evt2_words, header

KEYS = [
    *("format", "width", "height", "events", "triggers", "t_first_us", "t_last_us", "t_shift_us"),
    *("dropped", "repaired", "truncated", "refused", "damage", "spans"),
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
        assert f"bytes {span['first_byte']} to {span['end_byte']}" in out
    gap = next(span for span in info["spans"] if span["kind"] == "time_gap")
    assert 4 * 60_000 <= gap["first_byte"] - len(header("2.0")) < 4 * 60_010
    assert f"{gap['t_start_us']} us to {gap['t_end_us']} us" in out


def test_info_shows_a_recording_that_is_too_damaged_and_says_so(au3dmm, damaged):
    text = damaged.read_bytes().replace(b"320x240", b"100x240")
    damaged.write_bytes(text)
    answer = au3dmm("events", "info", damaged)
    assert answer.code == 0
    assert "too damaged:" in answer.out.splitlines()[-1]


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
    assert f"readers that shift times subtract 0 us, not {late['t'][0] // 64 * 64} us" in answer.out
    np.savez(
        tmp_path / "a.npz", **{name: late[name] for name in "xyp"}, t=late["t"] + (1 << 50), width=WIDTH, height=HEIGHT
    )
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "c.raw")
    assert answer.code == 2
    assert "--rebase subtracts" in answer.error
    answer = au3dmm("events", "convert", tmp_path / "a.npz", tmp_path / "c.raw", "--rebase")
    assert answer.code == 0, answer.err
    assert f"us less than in {tmp_path / 'a.npz'}" in answer.out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["info", "absent.raw"], 4, "absent.raw: cannot be read: No such file or directory"),
        (["info", "notes.txt"], 4, "not a known event format: starts with b'hello"),
        (["info", "nosize.raw"], 4, "gives no sensor size; .* --width and --height"),
        (["info", "nosize.raw", "--width", "320"], 2, "give both --width and --height, or neither"),
        (["cut", "whole.raw", "whole.raw", "--force"], 2, "the recording itself"),
        (["cut", "whole.raw", "notes.txt"], 2, "cannot be written as .txt"),
        (["cut", "whole.raw", "nosize.raw"], 2, "there already; --force replaces it"),
        (["cut", "whole.raw", "x.raw", "--start", "1:30"], 2, "'1:30' is no time in a recording"),
        (["cut", "whole.raw", "x.raw", "--start", "99"], 2, "no events from 10400\\d+ us; its events are from"),
        (["convert", "whole.raw", "x.raw", "--format", "dat"], 2, "'dat' is not one of"),
        (["convert", "whole.raw", "notes.txt/x.raw"], 4, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(au3dmm, whole, tmp_path, monkeypatch, argv, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("hello, this is no recording\n" * 9)
    (tmp_path / "nosize.raw").write_bytes(b"% evt 3.0\n% end\n" + np.full(9, 0x8001, "<u2").tobytes())
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
