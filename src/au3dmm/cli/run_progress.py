"""How `run` tells of its progress on stderr: one bar over all sessions, lines in a pipe, JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import click

from au3dmm.cli.progress import HEARTBEAT_S, JsonReporter, Mode, PlainReporter, Reporter, RichReporter, make_reporter


class RunReporter:
    """Turns the events of a run into what a `Reporter` shows.

    Parameters
    ----------
    reporter : Reporter
        For stages over the whole dataset (bases, consolidate), messages and banners.
    clock : callable
        s
    """

    def __init__(self, reporter: Reporter, clock: Callable[[], float] = time.monotonic) -> None:
        self.reporter = reporter
        self._clock = clock
        self._began = self._said = clock()
        self._skipped = 0

    def __enter__(self) -> Self:
        self.reporter.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.reporter.__exit__(kind, err, tb)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show an event of `au3dmm.api.run_dataset`."""
        what = event["event"]
        if isinstance(self.reporter, JsonReporter):
            self.reporter({"stage": "", **_plain(event)})
        elif what == "message":
            self.reporter.message(event["level"], event["text"])
        elif what == "session":
            self._session(event)
        elif what == "tick":
            self._tick(event)
        else:
            self.reporter(event)

    def _session(self, event: Mapping[str, Any]) -> None:
        if event["state"] == "up to date":
            self._skipped += 1
        if event["state"] == "failed":
            failure = event["failure"]
            text = f"{event['session_id']}: {failure.stage}: {failure.message}"
            self.reporter.message("error", text)
            if failure.details:
                self.reporter.message("error", failure.details)
        self._tick(event)

    def _tick(self, event: Mapping[str, Any]) -> None:
        now = self._clock()
        if isinstance(self.reporter, RichReporter):
            self.reporter.show("sessions", event["done"], event["total"], self._line(event, now, ends=False))
        elif isinstance(self.reporter, PlainReporter) and now - self._said >= HEARTBEAT_S:
            self._said = now
            click.echo(self._line(event, now), err=True)

    def _line(self, event: Mapping[str, Any], now: float, *, ends: bool = True) -> str:
        done, total = event["done"], event["total"]
        parts = [f"{done} of {total} sessions"]
        if event["failed"]:
            parts.append(f"{event['failed']} failed")
        worked, seconds = done - self._skipped, now - self._began
        if worked > 0 and seconds > 0:
            parts.append(f"{60 * worked / seconds:.3g} a minute")
            if ends:
                parts.append(f"{left((total - done) * seconds / worked)} left")
        parts += [_where(one) for one in event.get("running", ())[:2]]
        return ", ".join(parts)


def left(seconds: float) -> str:
    """Write a time that people can plan with.

    Examples
    --------
    >>> left(42), left(600), left(20000)
    ('42 s', '10 min', '5 h 33 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _where(one: Mapping[str, Any]) -> str:
    far = f" {one['done']}/{one['total']}" if one.get("total") else ""
    return f"{str(one.get('task', '')).partition('-')[2]} {one.get('stage', '')}{far}"


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    failure = event.get("failure")
    return {**event, "failure": failure.__dict__} if failure is not None else dict(event)


def make_run_reporter(mode: Mode) -> RunReporter:
    """Return the reporter of a `--progress` mode."""
    return RunReporter(make_reporter(mode))
