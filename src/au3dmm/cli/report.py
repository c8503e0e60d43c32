"""`au3dmm report`: pages to look at, of a session or of a dataset."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from au3dmm.cli.output import aligned, amount, counted, print_json, program, say

if TYPE_CHECKING:
    from au3dmm.api.session_pages import Reports

_NAMED = 5


@click.command("report", short_help="Write the page of a session or of a dataset.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--session", "names", multiple=True, metavar="ID", help="Of a dataset: also the page of this session.")
@click.option("--sessions", "which", type=click.Choice(["all"]), help="Of a dataset: also the pages of all sessions.")
@click.option("--pipeline", help="Which run, if there are several.")
@click.option("--bases", type=click.Path(path_type=Path), help="The basis file, if it is not where it was.")
@click.option("--predictions", type=click.Path(path_type=Path), help="predictions.parquet of a model, to compare.")
@click.option("--thumbnails", is_flag=True, help="Show faces: RGB frames, event frames, the person's own head.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(
    folder: Path,
    names: tuple[str, ...],
    which: str | None,
    pipeline: str | None,
    bases: Path | None,
    predictions: Path | None,
    thumbnails: bool,
    as_json: bool,
) -> int:
    """Write report.html: one file that needs no network.

    DIR is a recording, a run's folder of a session, a dataset, or a run's folder. The page of a session shows what was
    labelled, over time, with a head that follows; that of a dataset shows all sessions, and links to their pages.

    Pages hold no picture of a face unless --thumbnails says so. What is unfinished gets a page, too, which says what
    is missing.
    """
    if which and names:
        raise click.UsageError("--sessions all means every session; leave --session away")
    with contextlib.redirect_stdout(sys.stderr):
        from au3dmm.api.session_pages import write_reports

        made = write_reports(
            folder,
            sessions="all" if which else names,
            pipeline=pipeline,
            bases=bases,
            thumbnails=thumbnails,
            predictions=None if predictions is None else [predictions],
        )
    if as_json:
        print_json(
            {
                "run": str(made.run),
                "dataset": None if made.dataset is None else str(made.dataset),
                "sessions": {name: str(path) for name, path in made.sessions.items()},
                "failed": made.failed,
            }
        )
    else:
        say(summary(made))
    return 0 if not made.failed else 3 if made.sessions else 4


def summary(made: Reports) -> str:
    """Say which pages there are."""
    rows = [("dataset", str(made.dataset))] if made.dataset is not None else []
    shown = list(made.sessions.items())[:_NAMED]
    rows += [("session", f"{path}  ({amount(path.stat().st_size)})") for _, path in shown]
    if len(made.sessions) > _NAMED:
        rows.append(("", f"and {len(made.sessions) - _NAMED} more below {made.run / 'sessions'}"))
    rows += [("no page", f"{name}: {why}") for name, why in made.failed.items()]
    title = f"wrote {counted(len(made.sessions) + (made.dataset is not None), 'page')}"
    text = f"{title}\n{aligned(rows)}"
    if made.dataset is not None and not made.sessions:
        where = shlex.quote(str(made.run))
        text += f"\n\nnext\n{aligned([('a session', f'{program()} report {where} --session ID')])}"
    return text
