import json

import pytest

from au3dmm.cli import progress
from au3dmm.cli.progress import JsonReporter, PlainReporter, Reporter, RichReporter, make_reporter

START = {"event": "start", "stage": "detect"}
DONE = {"event": "done", "stage": "detect", "state": "ran", "summary": {"frames": 600}, "seconds": 30.0}


def step(done, total=600):
    return {"event": "progress", "stage": "detect", "done": done, "total": total}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_plain_progress_speaks_at_most_every_ten_seconds(capsys):
    clock = Clock()
    reporter = PlainReporter(clock)
    reporter(START)
    for second in range(1, 31):
        clock.now = second
        reporter(step(20 * second))
    reporter(DONE)
    assert capsys.readouterr().err.splitlines() == [
        "detect: started",
        "detect: 200 of 600 frames, 20 frames/s, 20 s left",
        "detect: 400 of 600 frames, 20 frames/s, 10 s left",
        "detect: 600 of 600 frames, 20 frames/s, finishing",
        "detect: done in 30.0 s: 600 frames",
    ]


def test_the_first_of_many_promises_no_end(capsys):
    clock = Clock()
    reporter = PlainReporter(clock)
    reporter(START)
    clock.now = 74.0  # most of it compiling
    reporter(step(1))
    assert capsys.readouterr().err.splitlines()[-1] == "detect: 1 of 600 frames"


def test_plain_progress_without_a_known_total(capsys):
    clock = Clock()
    reporter = PlainReporter(clock)
    reporter({"event": "start", "stage": "sync"})
    clock.now = 10.0
    reporter({"event": "progress", "stage": "sync", "done": 39_327_250, "total": None})
    assert capsys.readouterr().err.splitlines()[-1] == "sync: 39.3 M events, 3.9 M events/s"


def test_json_progress_is_thinned_but_keeps_the_last_step(capsys):
    clock = Clock()
    reporter = JsonReporter(clock)
    for k in range(1, 601):
        clock.now = k * 0.01
        reporter(step(k))
    reporter.message("warning", "odd\nthing")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) < 40
    assert lines[-2] == step(600)
    assert lines[-1] == {"event": "log", "level": "warning", "message": "odd\nthing"}


def test_no_progress_still_prints_warnings(capsys):
    reporter = Reporter()
    reporter(START)
    reporter.message("warning", "look")
    reporter.banner(["DEMO", "really"])
    assert capsys.readouterr().err.splitlines() == ["warning: look", "**********", "* DEMO", "* really", "**********"]


def test_auto_is_rich_on_a_terminal_and_plain_in_a_pipe(monkeypatch):
    assert type(make_reporter("auto")) is PlainReporter
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_reporter("auto")) is RichReporter
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_reporter("auto")) is PlainReporter


@pytest.mark.parametrize("columns", ["40", "200"])
def test_rich_progress_keeps_finished_stages_and_messages_in_any_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    with RichReporter() as reporter:
        reporter(START)
        reporter(step(10))
        reporter(step(11, None))
        reporter.message("warning", "[brackets] are not markup")
        reporter(DONE)
        reporter({**DONE, "stage": "fit", "state": "up to date"})
        reporter.banner(["DEMO"])
    err = capsys.readouterr().err
    assert "detect: done in 30.0 s: 600 frames\n" in err
    assert "fit: up to date\n" in err
    assert "warning: [brackets] are not markup\n" in err
    assert "\x1b[" not in err
