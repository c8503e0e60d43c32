"""`au3dmm experiment`: the trainings and evaluations of one table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import print_json, say
from au3dmm.cli.progress import Mode, logging_to, make_reporter
from au3dmm.errors import ConfigError

if TYPE_CHECKING:
    from au3dmm.io.run_folder import RunFolder
    from au3dmm.training_config import RunParams


@click.command("experiment", short_help="Train and evaluate what makes up a table.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled dataset, or folder of a run.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: experiments/<FILE> in the run's folder.")
@click.option("--reduced", is_flag=True, help="The small form, for a CPU.")
@click.option("--row", "rows", multiple=True, help="Only this row of the table; may be repeated.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Instead of FILE's; may be repeated.")
@click.option(
    "--also", multiple=True, metavar="NAME=DIR", help="Another labelled dataset that rows of FILE learn from by NAME."
)
@click.option(
    "--init",
    metavar="CHECKPOINT",
    help="What rows that begin with another row's weights begin with instead; {seed} in it is the row's.",
)
@click.option("--anew", is_flag=True, help="Where labels or values are others by now, train anew.")
@click.option("--pipeline", help="Which run of the datasets, if they have several and FILE does not say.")
@click.option("--dataset", type=click.Path(path_type=Path), help="Where the videos are, for RGB frames.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that load clips.")
@reporting_options
def experiment(
    file: Path,
    labels: Path,
    out: Path | None,
    reduced: bool,
    rows: tuple[str, ...],
    seeds: tuple[int, ...],
    also: tuple[str, ...],
    init: str | None,
    anew: bool,
    pipeline: str | None,
    dataset: Path | None,
    device: str,
    workers: int,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Train and evaluate what makes up a table, and print it as Markdown.

    FILE is an experiment file (TOML), or a shipped one by its name. What was trained already is kept: the same command
    goes on where it was stopped.

    \b
    au3dmm experiment table2 --labels DATASET --reduced
    au3dmm experiment table6 --labels EMOTIONS --also units=DATASET --reduced
    """  # noqa: D301
    from au3dmm.io.assets import experiment_file
    from au3dmm.io.run_folder import RunFolder
    from au3dmm.report.dataset_page import refresh_dataset_page
    from au3dmm.training.experiments import read_experiment, run_experiment
    from au3dmm.training.run import TrainOptions

    path = experiment_file(file)
    params = read_experiment(path)
    others = _others(also, {run.dataset for run in params.runs if run.dataset is not None}, path)

    def labelled(run: RunParams) -> RunFolder:
        if run.dataset is None:
            return run_of(labels, run.pipeline or pipeline)
        if run.dataset not in others:
            instead = ", or weights that are trained with --init CHECKPOINT" if not run.table else ""
            raise ConfigError(f"it learns from another dataset; give it with --also {run.dataset}=DIR{instead}")
        return run_of(others[run.dataset], run.pipeline or pipeline)

    if out is None:
        home = run_of(labels, pipeline or next(run.pipeline for run in params.runs if run.dataset is None))
        out = home.path / "experiments" / (path.stem + ("_reduced" if reduced else ""))
    weights = None if init is None else Path(init)
    options = TrainOptions(device=device, workers=workers, dataset=dataset, init=weights, anew=anew)
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose), contextlib.redirect_stdout(sys.stderr):
        result = run_experiment(
            params,
            labelled,
            out,
            reduced=reduced,
            seeds=seeds,
            rows=rows,
            options=options,
            on_event=_told(reporter, progress),
        )
        refresh_dataset_page(RunFolder(out.resolve().parent.parent), out)
    if as_json:
        print_json({"out": str(result.out), "table": result.table, "results": result.results})
    else:
        say(f"{result.table}\n{result.out / 'table.md'}")


def run_of(folder: Path, pipeline: str | None) -> RunFolder:
    """Return a run of a dataset by its pipeline's name; `folder` may be that run, or another one beside it.

    Raises
    ------
    ConfigError
        If it is not there, or which is meant cannot be told.
    """
    from au3dmm.io.run_folder import RunFolder
    from au3dmm.io.runs import one_run

    if pipeline is None or not RunFolder(folder).exists or folder.resolve().name == pipeline:
        return one_run(folder, pipeline)
    beside = RunFolder(folder.resolve().parent / pipeline)
    if not beside.exists:
        raise ConfigError(f"{folder}: no run {pipeline!r} beside it; au3dmm run {pipeline} makes one")
    return beside


def _others(also: Sequence[str], known: set[str], file: Path) -> dict[str, Path]:
    """Return the datasets that --also names."""
    found: dict[str, Path] = {}
    for one in also:
        name, equals, folder = one.partition("=")
        if not equals or not folder:
            raise ConfigError(f"--also {one!r}: expected NAME=DIR, such as {min(known, default='units')}=DATASET")
        if name not in known:
            there = f"it learns from {', '.join(sorted(known))}" if known else "all of it learns from --labels"
            raise ConfigError(f"--also {name}: no row of {file} learns from a dataset of that name; {there}")
        found[name] = Path(folder)
    return found


def _told(reporter: Any, mode: Mode) -> Callable[[Mapping[str, Any]], None]:
    from au3dmm.cli.progress import JsonReporter

    def show(event: Mapping[str, Any]) -> None:
        if isinstance(reporter, JsonReporter) or event["event"] not in ("run", "epoch"):
            reporter(event)
        elif event["event"] == "run" and mode != "none":
            reporter.message("run", f"{event['name']}, seed {event['seed']}")

    return show
