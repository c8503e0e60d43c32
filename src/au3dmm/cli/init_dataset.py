"""`au3dmm init --layout`: write `session.toml` for every recording of a dataset in a known layout."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.output import aligned, counted, one_line, print_json, say
from au3dmm.errors import ConfigError

if TYPE_CHECKING:
    from au3dmm.adapters import LeftOut, Proposal, Written

SOME_FAILED, ALL_FAILED = 3, 4
_HEARTBEAT_S = 10.0
_LAYOUTS = ("pairs", "images", "facemorphic", "nefer", "dsec", "m3ed", "bp4d", "disfa")  # as adapters.LAYOUTS
_METHODS = ("trigger", "motion", "shared", "start")
_LOOKS = ("none", "header", "start", "whole")


class InitCommand(click.Command):
    """`au3dmm init`, which is `init_dataset` where its arguments say ``--layout``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments by the command that they are meant for."""
        if any(arg == "--layout" or arg.startswith("--layout=") for arg in args):
            return init_dataset.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(short_help="Write session.toml for every recording of a dataset.")
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--layout", required=True, type=click.Choice(_LAYOUTS), help="How SOURCE is laid out (docs/datasets.md).")
@click.option("--out", metavar="DATASET", type=click.Path(path_type=Path), help="Folder of the dataset to be written.")
@click.option("--in-place", is_flag=True, help="Write each session.toml into its recording's folder below SOURCE.")
@click.option(
    "--rgb", metavar="PATTERN", help="Videos or folders of images, e.g. '{subject}/{session}/rgb.mp4'; quote."
)
@click.option("--events", metavar="PATTERN", help="Event files, with the same fields as --rgb.")
@click.option("--timestamps", metavar="PATTERN", help="CSVs of RGB timestamps, with the same fields.")
@click.option("--landmarks", metavar="PATTERN", help="Files of landmarks, with the same fields.")
@click.option("--sync", type=click.Choice(_METHODS), help="How the clocks relate, for all; default: what is known.")
@click.option(
    "--look", type=click.Choice(_LOOKS), default="start", show_default=True, help="How far to read event files."
)
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Rate of images that carry no times.")
@click.option("--camera", type=click.Choice(["left", "right"]), help="Which camera, where there are two; default left.")
@click.option("--name", help="Of the dataset; default: the name of its folder.")
@click.option("--licence", help="Of the recordings; labels and exports will carry it.")
@click.option("--force", is_flag=True, help="Write over session.toml files that were edited.")
@click.option("--dry-run", is_flag=True, help="Print what was found and what was left out; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init_dataset(
    source: Path,
    layout: str,
    out: Path | None,
    in_place: bool,
    look: str,
    name: str | None,
    licence: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Describe every recording below SOURCE, which is laid out in a known way; the raw data are not touched.

    DATASET/sessions/<session_id>/session.toml names the raw files; dataset.toml and participants.tsv are begun, and
    what is in them already stays. Run it again when recordings were added: files that nobody edited are refreshed.
    """
    from au3dmm.adapters import LeftOut, write_dataset
    from au3dmm.adapters.writing import check_apart

    out = source if out is None and in_place else out
    if out is None and not dry_run:
        raise click.UsageError("give --out DATASET, or --in-place, or --dry-run to look first")
    found = _find(source, layout, look, how)
    left = [one for one in found if isinstance(one, LeftOut)]
    proposals = [one for one in found if not isinstance(one, LeftOut)]
    target = out or Path("DATASET")
    about = {"name": name or target.absolute().name, "licence": licence}
    done: Sequence[Written] = ()
    if dry_run:
        check_apart(proposals, in_place=in_place)
    elif proposals:
        done = write_dataset(proposals, layout, source, target, about, in_place=in_place, force=force)
    lost = [] if dry_run or in_place else _no_longer_found(target, layout, proposals)
    if as_json:
        print_json(_as_json(proposals, left, done, lost))
    else:
        _tell(source, proposals, left, done, lost, dry_run=dry_run)
    failed = len(left) + sum(one.state == "failed" for one in done)
    return 0 if not failed else ALL_FAILED if failed == len(left) + len(proposals) else SOME_FAILED


def _find(source: Path, layout: str, look: str, how: Mapping[str, Any]) -> list[Proposal | LeftOut]:
    from au3dmm.adapters import LeftOut, Options, adapter_for
    from au3dmm.adapters.looking import looked_into

    found: list[Proposal | LeftOut] = []
    said = time.monotonic()
    for one in adapter_for(layout)(source, Options(**how)):
        found.append(one if isinstance(one, LeftOut) else looked_into(one, look, how["sync"]))  # type: ignore[arg-type]
        if time.monotonic() - said > _HEARTBEAT_S:
            said = time.monotonic()
            click.echo(f"init: {counted(len(found), 'recording')} found so far", err=True)
    if not found:
        raise ConfigError(
            f"{source}: no recording in it that --layout {layout} knows; docs/datasets.md shows how it looks"
        )
    return found


def _no_longer_found(out: Path, layout: str, proposals: Iterable[Proposal]) -> list[Path]:
    """Return the manifests of this layout in `out` whose recordings were not found this time."""
    from au3dmm.adapters.writing import was_edited
    from au3dmm.io.session import MANIFEST

    there = sorted((out / "sessions").glob(f"*/{MANIFEST}"))
    ids = {one.session_id for one in proposals}
    old = [path for path in there if path.parent.name not in ids]
    return [path for path in old if f"--layout {layout};" in _first_line(path) and not was_edited(path)]


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as f:
            return f.readline()
    except OSError:
        return ""


def _tell(
    source: Path,
    proposals: Sequence[Proposal],
    left: Sequence[LeftOut],
    done: Sequence[Written],
    lost: Sequence[Path],
    *,
    dry_run: bool,
) -> None:
    if dry_run and proposals:
        heads = ("session", "subject", "shows", "rgb", "events", "clock")
        say(aligned([heads, *(_row(source, one) for one in proposals)], indent=""))
    for one in proposals:
        for note in one.notes:
            say(f"note: {one.session_id}: {one_line(note)}")
    for path in lost:
        say(f"note: {click.format_filename(path)}: its recording was not found this time; remove it if it is gone")
    for item in left:
        click.echo(f"left out: {click.format_filename(item.path)}: {one_line(item.why)}", err=True)
    for state in done:
        if state.state == "edited":
            say(f"note: {click.format_filename(state.path)}: edited by hand, left as it is; --force writes it anew")
        elif state.problem is not None:
            click.echo(f"failed: {one_line(state.problem)}", err=True)
    people = len({one.subject_id for one in proposals})
    counts = Counter(one.state for one in done)
    what = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "nothing written"
    say(
        f"{counted(len(proposals), 'recording')} of {counted(people, 'subject')}: {what};"
        f" {len(left)} left out"
    )  # fmt: skip


def _row(source: Path, one: Proposal) -> tuple[str, ...]:
    sections = one.sections
    about, rgb, events = sections["session"], sections["rgb"], sections.get("events", {})
    shows = about.get("au") or next((a["label"] for a in sections.get("annotations", ()) if "label" in a), None)
    clock = "shared" if rgb.get("clock") == "event" else sections.get("sync", {}).get("method", "")
    names = [_relative(source, value) for value in (rgb.get("file") or rgb.get("folder"), events.get("file"))]
    return (one.session_id, one.subject_id, str(shows or about.get("task") or "-"), *names, clock if events else "-")


def _relative(source: Path, value: Any) -> str:
    if value is None:
        return "-"
    path = Path(value)
    name = path.relative_to(source) if path.is_relative_to(source) else path
    return str(click.format_filename(name))


def _as_json(
    proposals: Sequence[Proposal], left: Sequence[LeftOut], done: Sequence[Written], lost: Sequence[Path]
) -> dict[str, Any]:
    states: Sequence[Written | None] = done or [None] * len(proposals)
    return {
        "sessions": [
            {
                "session_id": one.session_id,
                "subject_id": one.subject_id,
                "path": None if state is None else str(state.path),
                "state": None if state is None else state.state,
                "problem": None if state is None else state.problem,
                "notes": list(one.notes),
            }
            for one, state in zip(proposals, states, strict=True)
        ],
        "left_out": [{"path": str(one.path), "why": one.why} for one in left],
        "not_found": [str(path) for path in lost],
    }
