"""`au3dmm events`: what is in an event recording, parts of it, and other formats."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from au3dmm.cli.output import aligned, amount, counted, number, print_json, say
from au3dmm.cli.progress import Reporter, make_reporter
from au3dmm.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from au3dmm.io.events.editing import Edit, Format, Progress
    from au3dmm.io.events.report import EventFileReport
    from au3dmm.io.events.stream import Chunk, EventFile

_FILE = click.Path(path_type=Path)
_FORMATS = click.Choice(("evt3", "evt2", "npz"))
# what each kind of damage counts, and what became of it
_DAMAGE = {
    "before_start": ("event", "before the recording has said its time or place: dropped"),
    "outside_sensor": ("event", "outside the sensor: dropped"),
    "late": ("event", "behind the clock: dropped"),
    "time_glitch": ("time", "that what follows contradicts: ignored"),
    "time_gap": ("jump", "of the clock: data lost, or nothing recorded"),
    "unknown_word": ("word", "of no known kind: ignored"),
    "truncated": ("byte", "at the end, too few for an event: cut off"),
}
_IN_CONTAINERS = {
    "time_glitch": ("event", "with a time that those after it contradict: dropped"),
    "time_gap": ("jump", "of the clock where events are lost"),
    "unknown_word": ("event", "that cannot be decoded: dropped"),
    "truncated": ("event", "that the file announces, missing at its end"),
}
_SPANS_SHOWN = 12
REFUSED = SessionError.exit_code
"""Exit code of `events info` for files that every other command refuses."""

_F = TypeVar("_F", bound=Callable[..., Any])


@click.group(short_help="Look into event recordings; cut and convert them.")
def events() -> None:
    """Look into event recordings, cut parts out of them, and convert them.

    Read are RAW (EVT3, EVT2, EVT2.1), DAT, HDF5, AEDAT4 and NPZ, by content, not by name. Times are those of the
    camera's own clock, in us.
    """


def _sensor(command: _F) -> _F:
    """Add the options for files that do not say how large the sensor is."""
    size = click.IntRange(1, 2048)
    command = click.option("--height", type=size, help="Of the sensor, px, if the file does not say.")(command)
    return click.option("--width", type=size, help="Of the sensor, px, if the file does not say.")(command)


def _output(command: _F) -> _F:
    """Add the options of commands that write a recording."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--force", is_flag=True, help="Replace OUT if it is there."),
        click.option(
            "--rebase",
            is_flag=True,
            help="Let a recording begin within the clock of RAW files, where it begins later than they can say.",
        ),
    ):
        command = option(command)
    return command


@events.command(short_help="Show what is in a recording, and how damaged it is.")
@click.argument("file", type=_FILE)
@_sensor
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: Path, width: int | None, height: int | None, as_json: bool) -> int:
    """Read FILE to its end, and show its format, sensor, events, triggers, times and damage.

    shift is what Prophesee's SDK subtracts from all times. Exit code 4: other commands refuse FILE; why is in the last
    line, or "refused" in JSON.
    """
    from au3dmm.io.events.editing import read_through
    from au3dmm.io.events.open import suffix_warning

    opened = _open(file, width, height)
    stream = opened.stream()
    with _progress("info") as tell:
        extent = _extent(read_through(stream, opened, tell), measured=bool(opened.assumed_size))
    report = stream.report
    warnings = [] if (odd := suffix_warning(opened)) is None else [odd]
    if opened.assumed_size:
        warnings.append(f"its sensor is assumed to be {opened.assumed_size}; its events {extent}")
    if as_json:
        print_json({**report.to_dict(), "warnings": warnings})
    else:
        say(_as_text(opened, report, warnings))
    return REFUSED if report.refusal() else 0


def _extent(chunks: Iterator[Chunk], *, measured: bool) -> str:
    """Read all chunks; if `measured`, say how far their events reach."""
    column = row = -1
    for chunk in chunks:
        if measured and len(chunk.events):
            words = chunk.events.words
            column = max(column, int((words >> 1 & 0x7FF).max()))
            row = max(row, int((words >> 12).max()))
    return f"within it reach up to column {column}, row {row}" if column >= 0 else "are none within it"


_CUT = """\b
Examples:
  au3dmm events cut events.raw smile.raw --start 12.5s --end 20s
  au3dmm events cut events.raw smile.raw --start 24000000us
"""


@events.command(epilog=_CUT, short_help="Write a part of a recording.")
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@click.option("--start", metavar="TIME", help="First time to keep.  [default: the beginning]")
@click.option("--end", metavar="TIME", help="First time not to keep.  [default: the end]")
@click.option("--format", "to", type=_FORMATS, help="Of OUT.  [default: as IN if that can be written]")
@_sensor
@_output
def cut(
    source: Path,
    target: Path,
    start: str | None,
    end: str | None,
    to: Format | None,
    width: int | None,
    height: int | None,
    rebase: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the events and triggers of IN from one TIME to another as OUT. Times and header stay as they are.

    TIME is in seconds after the first event (2.5s or 2.5), or in microseconds on the camera's clock (2500000us), which
    is what `events info` shows. What can be read of a damaged recording is cut, too.
    """
    from au3dmm.io.events.editing import cut_events
    from au3dmm.io.events.instant import Instant

    limits = [None if text is None else Instant.parse(text) for text in (start, end)]
    opened = _open(source, width, height)
    with _progress("cut") as tell:
        edit = cut_events(opened, target, *limits, to=to, rebase=rebase, force=force, progress=tell)
    _tell(opened, edit, as_json)


@events.command(short_help="Write a recording in another format.")
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@click.option("--format", "to", type=_FORMATS, help="Of OUT.  [default: its suffix: .raw is evt3, .npz npz]")
@_sensor
@_output
def convert(
    source: Path,
    target: Path,
    to: Format | None,
    width: int | None,
    height: int | None,
    rebase: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write IN as OUT: EVT3, EVT2, or NPZ with the arrays t, x, y, p, trigger_t, trigger_id and trigger_p.

    Times stay as they are, also where the clock of the format goes round more often.
    """
    from au3dmm.io.events.editing import convert_events

    opened = _open(source, width, height)
    with _progress("convert") as tell:
        edit = convert_events(opened, target, to=to, rebase=rebase, force=force, progress=tell)
    _tell(opened, edit, as_json)


def _open(path: Path, width: int | None, height: int | None) -> EventFile:
    from au3dmm.io.events import open_events

    if (width is None) != (height is None):
        raise ConfigError("a sensor has a width and a height: give both --width and --height, or neither")
    return open_events(path, width, height)


@contextmanager
def _progress(stage: str) -> Iterator[Progress]:
    """Show on a terminal how far a file has been read; elsewhere nothing, as it takes seconds."""
    with make_reporter("auto") if sys.stderr.isatty() else Reporter() as reporter:
        reporter({"event": "start", "stage": stage})
        yield lambda done, total: reporter({"event": "progress", "stage": stage, "done": done, "total": total})


def _tell(opened: EventFile, edit: Edit, as_json: bool) -> None:
    if as_json:
        what = {name: getattr(edit, name) for name in ("format", "events", "triggers", "t_first_us", "t_last_us")}
        shift = {"t_shift_us": edit.t_shift_us, "rebased_us": edit.rebased_us}
        print_json({"file": str(edit.path), **what, **shift, "source": edit.source.to_dict()})
        return
    say(
        f"{edit.path}: {edit.format}, {counted(edit.events, 'event')} and {counted(edit.triggers, 'trigger')} from"
        f" {edit.t_first_us} us to {edit.t_last_us} us"
    )
    if edit.rebased_us:
        more = "more" if edit.rebased_us < 0 else "less"
        say(f"  times are {abs(edit.rebased_us)} us {more} than in {opened.path}")
    elif edit.t_shift_us != opened.t_shift_us:
        say(
            f"  times are those of {opened.path}; Prophesee's SDK, which shifts them, subtracts {edit.t_shift_us} us"
            f" from them here, and {opened.t_shift_us} us there"
        )
    damage = _damage_rows(edit.source)
    if damage:
        say(f"  what was read of {opened.path} is damaged:")
        say(aligned(damage, indent="    "))


def _as_text(opened: EventFile, report: EventFileReport, warnings: list[str]) -> str:
    title = f"{opened.path}: {report.format}, {report.width} x {report.height}, {amount(opened.path.stat().st_size)}"
    rows = [("events", str(report.events)), ("triggers", str(report.triggers))]
    if report.t_first_us is not None and report.t_last_us is not None:
        seconds = (report.t_last_us - report.t_first_us) / 1e6
        rows[0] = ("events", f"{report.events} in {number(seconds)} s{_rate(report.events, seconds)}")
        rows += [("first", f"{report.t_first_us} us"), ("last", f"{report.t_last_us} us")]
    rows.append(("shift", f"{report.t_shift_us} us"))
    damage = _damage_rows(report)
    rows += [("damage", "none")] if not damage else []
    parts = [title, aligned(rows)]
    if damage:
        parts += ["  damage", aligned(damage, indent="    "), *_places(report)]
    parts += [f"  warning: {text}" for text in warnings]
    if reason := report.refusal():
        parts.append(f"  refused: {reason}")
    return "\n".join(parts)


def _rate(n: int, seconds: float) -> str:
    if not seconds:
        return ""
    rate = n / seconds
    return f", {number(rate / 1e6, 3)} M/s on average" if rate >= 1e5 else f", {number(rate, 3)}/s on average"


def _damage_rows(report: EventFileReport) -> list[tuple[str, str]]:
    words = _DAMAGE | _IN_CONTAINERS if report.container else _DAMAGE
    return [(counted(n, words[kind][0]), words[kind][1]) for kind, n in report.counts.items() if n and kind in words]


def _places(report: EventFileReport) -> list[str]:
    rows = [
        (
            f"{span.unit} {span.first} to {span.end}",
            _clock(span.t_start_us, span.t_end_us),
            span.kind,
            str(span.count),
        )
        for span in report.spans[:_SPANS_SHOWN]
    ]
    more = len(report.spans) - len(rows)
    tail = [f"    and {counted(more, 'place')} more: --json"] if more > 0 else []
    return ["  where", aligned(rows, indent="    "), *tail]


def _clock(start_us: int | None, end_us: int | None) -> str:
    if start_us is None or end_us is None:
        return "before the clock is known" if end_us is None else f"{end_us} us"
    return f"{start_us} us" if start_us == end_us else f"{start_us} us to {end_us} us"
