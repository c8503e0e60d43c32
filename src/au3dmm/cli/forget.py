"""`au3dmm forget`: remove a person who withdraws."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from au3dmm.cli.output import counted, print_json, say
from au3dmm.errors import ConfigError

if TYPE_CHECKING:
    from au3dmm.forgetting import ForgetPlan, ForgetResult

TRACES_LEFT = 4


@click.command(short_help="Remove a person who withdraws.")
@click.option("--subject", "subject_id", required=True, help="The person's subject_id.")
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="The dataset.")
@click.option(
    "--export",
    "exports",
    type=click.Path(path_type=Path),
    multiple=True,
    help="An export elsewhere; repeat for several.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def forget(subject_id: str, dataset: Path, exports: tuple[Path, ...], dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove a person from every derivative, export and cache of a dataset.

    Consolidated labels and exports are made again without them, and a scan of names and contents shows that nothing is
    left. A later `au3dmm run` does not bring them back. Raw recordings are never touched: what to delete by hand is
    listed. Interrupted, the same command finishes the job. Exit code 4: something is left.
    """
    from au3dmm.forgetting import forget as remove
    from au3dmm.forgetting import plan_forgetting
    from au3dmm.forgetting.removal import as_dict, plan_dict

    plan = plan_forgetting(dataset, subject_id, exports)
    if dry_run:
        if as_json:
            print_json({**plan_dict(plan), "dry_run": True})
        else:
            _show_plan(plan)
        return 0
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError(f"forget --subject {subject_id}: nobody to ask; --dry-run lists what goes, --yes does it")
        _show_plan(plan)
        click.confirm("Remove all this?", abort=True)
    result = remove(dataset, subject_id, exports, progress=lambda text: click.echo(text, err=True))
    if as_json:
        print_json(as_dict(result))
    else:
        _show_result(result)
    return 0 if result.clean else TRACES_LEFT


def _show_plan(plan: ForgetPlan) -> None:
    say(f"subject {plan.subject_id}: {counted(len(plan.session_ids), 'session')} ({_some(plan.session_ids)})")
    _list("would be removed", plan.remove)
    _list("would be made again without them", (*plan.rewrite, *plan.exports))
    _list("models, which may have been trained with them", plan.models)
    _list("raw data, to be deleted by hand", plan.raw)


def _show_result(result: ForgetResult) -> None:
    say(f"removed: {counted(len(result.removed), 'folder')}; made again: {len(result.rebuilt)}")
    _list("made again without them", result.rebuilt)
    _list("raw data, to be deleted by hand", result.plan.raw)
    for note in result.notes:
        say(f"note: {note}")
    for trace in result.traces:
        say(f"LEFT: {trace}")
    names = counted(1 + len(result.plan.session_ids), "name")
    verdict = f"{counted(len(result.traces), 'trace')} left" if result.traces else "nothing is left"
    say(f"subject {result.plan.subject_id}: looked for {names} in names and contents of all files: {verdict}")


def _list(title: str, paths: Sequence[Path]) -> None:
    if paths:
        say(f"{title}:")
        for path in paths:
            say(f"  {path}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "none found"
