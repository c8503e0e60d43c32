"""`au3dmm experiment`: the trainings and evaluations of one table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import print_json, say
from au3dmm.cli.progress import Mode, logging_to, make_reporter

if TYPE_CHECKING:
    from au3dmm.io.run_folder import RunFolder


@click.command("experiment", short_help="Train and evaluate what makes up a table.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled dataset, or folder of a run.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: experiments/<FILE> in the run's folder.")
@click.option("--reduced", is_flag=True, help="The small form, for a CPU.")
@click.option("--row", "rows", multiple=True, help="Only this row of the table; may be repeated.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Instead of FILE's; may be repeated.")
@click.option("--pipeline", help="Which run of the dataset, if it has several.")
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
    """  # noqa: D301
    from au3dmm.io.assets import experiment_file
    from au3dmm.io.runs import one_run
    from au3dmm.report.dataset_page import refresh_dataset_page
    from au3dmm.training.experiments import read_experiment, run_experiment
    from au3dmm.training.run import TrainOptions

    path = experiment_file(file)
    params = read_experiment(path)
    run = one_run(labels, pipeline)
    folder = out or run.path / "experiments" / (path.stem + ("_reduced" if reduced else ""))

    def labelled(name: str | None) -> RunFolder:
        return run if name is None else one_run(labels, name)

    options = TrainOptions(device=device, workers=workers, dataset=dataset)
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose), contextlib.redirect_stdout(sys.stderr):
        result = run_experiment(
            params,
            labelled,
            folder,
            reduced=reduced,
            seeds=seeds,
            rows=rows,
            options=options,
            on_event=_told(reporter, progress),
        )
        refresh_dataset_page(run, folder)
    if as_json:
        print_json({"out": str(result.out), "table": result.table, "results": result.results})
    else:
        say(f"{result.table}\n{result.out / 'table.md'}")


def _told(reporter: Any, mode: Mode) -> Callable[[Mapping[str, Any]], None]:
    from au3dmm.cli.progress import JsonReporter

    def show(event: Mapping[str, Any]) -> None:
        if isinstance(reporter, JsonReporter) or event["event"] not in ("run", "epoch"):
            reporter(event)
        elif event["event"] == "run" and mode != "none":
            reporter.message("run", f"{event['name']}, seed {event['seed']}")

    return show
