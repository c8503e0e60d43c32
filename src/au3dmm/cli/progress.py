"""How `label` tells of its progress on stderr: bars on a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

import click

from au3dmm.cli.output import number, stage_line

Mode = Literal["auto", "rich", "plain", "json", "none"]
HEARTBEAT_S = 10.0
_JSON_EVERY_S = 0.2
_UNITS = {
    "detect": "frames",
    "fit": "frames",
    "sync": "events",
    "frames": "event frames",
    "align": "event frames",
    "overlay": "pictures",
    "calibration_picture": "pictures",
    "clock_picture": "pictures",
    "info": "bytes",
    "cut": "bytes",
    "convert": "bytes",
    "synth": "pictures",
    "register": "frames",
    "reduce": "blocks",
    "consolidate": "sessions",
    "sessions": "sessions",
    "draw": "sheets",
    "place": "views",
    "rgb": "recordings",
    "train": "steps",
    "evaluate": "clips",
    "plot": "pictures",
    "render": "frames",
    "view": "frames",
}


class Reporter:
    """Says nothing of progress (`none`), and prints log messages as plain lines; base of the others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        return

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of `au3dmm.pipeline`."""

    def message(self, level: str, text: str) -> None:
        """Print a log message."""
        click.echo(f"{level}: {text}", err=True)

    def banner(self, lines: Sequence[str]) -> None:
        """Print a warning that nobody overlooks."""
        rule = "*" * (max(map(len, lines)) + 4)
        click.echo("\n".join((rule, *(f"* {line}" for line in lines), rule)), err=True)


class PlainReporter(Reporter):
    """One line when a stage starts and ends, and on long stages a line at most every 10 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._said = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show an event."""
        stage, now = event["stage"], self._clock()
        if event["event"] == "start":
            self._began = self._said = now
            click.echo(f"{stage}: started", err=True)
        elif event["event"] == "done":
            click.echo(done_line(event), err=True)
        elif now - self._said >= HEARTBEAT_S:
            self._said = now
            click.echo(f"{stage}: {_position(stage, event, now - self._began)}", err=True)


class JsonReporter(Reporter):
    """One JSON object per line; `progress` at most five times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show an event."""
        if event["event"] in ("progress", "tick"):
            now, finished = self._clock(), event["event"] == "progress" and event["done"] == event["total"]
            if now - self._said < _JSON_EVERY_S and not finished:
                return
            self._said = now
        click.echo(json.dumps(dict(event), ensure_ascii=False), err=True)

    def message(self, level: str, text: str) -> None:
        """Print a log message."""
        click.echo(json.dumps({"event": "log", "level": level, "message": text}, ensure_ascii=False), err=True)

    def banner(self, lines: Sequence[str]) -> None:
        """Print a warning that nobody overlooks."""
        self.message("warning", " ".join(lines))


class RichReporter(Reporter):
    """A bar with frames/s and time left; finished stages stay as lines above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[position]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self._console,
            transient=True,
        )
        self._task: Any = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show an event."""
        stage = event["stage"]
        if event["event"] == "start":
            self._clear()
            self._began = time.monotonic()
            self._task = self._progress.add_task(stage, total=None, position="")
        elif event["event"] == "progress" and self._task is not None:
            position = _position(stage, event, time.monotonic() - self._began, ends=False)
            self._progress.update(self._task, completed=event["done"], total=event["total"], position=position)
        elif event["event"] == "done":
            self._clear()
            style = "dim" if event["state"] == "up to date" else None
            self._console.print(done_line(event), style=style, markup=False, soft_wrap=True)

    def show(self, name: str, done: int, total: int, position: str) -> None:
        """Set the one bar there is, whatever stage it is of."""
        if self._task is None:
            self._task = self._progress.add_task(name, total=None, position="")
        self._progress.update(self._task, description=name, completed=done, total=total, position=position)

    def message(self, level: str, text: str) -> None:
        """Print a log message."""
        style = {"warning": "yellow", "error": "bold red"}.get(level, "dim")
        self._console.print(f"{level}: {text}", style=style, markup=False, soft_wrap=True)

    def banner(self, lines: Sequence[str]) -> None:
        """Print a warning that nobody overlooks."""
        from rich.panel import Panel

        self._console.print(Panel.fit("\n".join(lines), style="bold yellow", border_style="bold red"))

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class ReporterHandler(logging.Handler):
    """Sends log records to a reporter, so that they do not tear its bars."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record as a message."""
        self._reporter.message(record.levelname.lower(), record.getMessage())


def make_reporter(mode: Mode) -> Reporter:
    """Return the reporter of a `--progress` mode; `auto` is `rich` on a terminal, `plain` elsewhere."""
    if mode == "auto":
        mode = "rich" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    kinds: dict[Mode, Callable[[], Reporter]] = {
        "rich": RichReporter,
        "plain": PlainReporter,
        "json": JsonReporter,
        "none": Reporter,
    }
    return kinds[mode]()


@contextmanager
def logging_to(reporter: Reporter, verbose: int) -> Iterator[None]:
    """Send log records to a reporter meanwhile: warnings, from `verbose` 1 on what happens, from 2 on everything."""
    logger = logging.getLogger("au3dmm")
    handler, level = ReporterHandler(reporter), logger.level
    logger.addHandler(handler)
    logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def done_line(event: Mapping[str, Any]) -> str:
    """Return the line of a finished stage.

    Examples
    --------
    >>> done_line({"stage": "fit", "state": "ran", "summary": {"frames": 12, "ok": 12}, "seconds": 0.25})
    'fit: done in 0.2 s: 12 frames, all ok'
    >>> done_line({"stage": "fit", "state": "up to date", "summary": {"frames": 12}, "seconds": 0.0})
    'fit: up to date'
    """
    if event["state"] == "up to date":
        return f"{event['stage']}: up to date"
    what = stage_line(event["stage"], event["summary"]) if event["summary"] else ""
    return f"{event['stage']}: done in {event['seconds']:.1f} s" + (f": {what}" if what else "")


def _position(stage: str, event: Mapping[str, Any], seconds: float, *, ends: bool = True) -> str:
    """Say how far a stage is, how fast, and with `ends` how long it still takes.

    The first of many is no measure, as it waits for what is compiled or loaded;
    after the last a stage may yet be at work.

    Examples
    --------
    >>> _position("frames", {"done": 1, "total": 72}, 74.0), _position("frames", {"done": 36, "total": 72}, 80.0)
    ('1 of 72 event frames', '36 of 72 event frames, 0.45 event frames/s, 80 s left')
    """
    done, total = event["done"], event["total"]
    unit = _UNITS.get(stage, "")
    parts = [(f"{_many(done)} of {_many(total)} {unit}" if total else f"{_many(done)} {unit}").rstrip()]
    if seconds > 0 and done > 1:
        rate = done / seconds
        parts.append(f"{_many(rate)} {unit or 'steps'}/s")
        if ends and total:
            parts.append(f"{(total - done) / rate:.0f} s left" if total > done else "finishing")
    return ", ".join(parts)


def _many(count: float) -> str:
    """Write a count that may be large.

    Examples
    --------
    >>> _many(472), _many(31.42), _many(3_932_725)
    ('472', '31.4', '3.9 M')
    """
    return number(count, 3) if count < 1e6 else f"{count / 1e6:.1f} M"
