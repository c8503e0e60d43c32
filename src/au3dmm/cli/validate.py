"""`au3dmm validate`: is what a run left on disk whole and consistent?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from au3dmm.cli.output import counted, print_json, say
from au3dmm.errors import ConfigError

PROBLEMS = 4


@click.command(short_help="Check the files of a run, or of a whole dataset.")
@click.argument("folder", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), help="Check every run of this dataset, and all it holds.")
@click.option("--pipeline", help="With --dataset: only the run of this name.")
@click.option("--workers", type=click.IntRange(min=1), help="With --dataset: processes; default: one per core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(
    folder: Path | None, dataset: Path | None, pipeline: str | None, workers: int | None, as_json: bool
) -> int:
    """Check the folder of a run, or of one session in it; with --dataset, all that is below a dataset.

    Tables against their schemas and against each other, rows against frames, files against the hashes they were
    written with. Of a dataset also: one basis and one detector, consolidated labels against those of the sessions
    (every row), the split (nobody in two parts), failures, annotations, and who has withdrawn. Exit code 0: all is
    well; 4: there are problems, one line each; 2: DIR is not a run.
    """
    from au3dmm.validation import validate as check
    from au3dmm.validation import validate_dataset

    if (folder is None) == (dataset is None):
        raise ConfigError("validate: give the folder of a run, or --dataset DIR")
    if dataset is not None:
        result = validate_dataset(dataset, pipeline, workers=workers or len(os.sched_getaffinity(0)))
    else:
        assert folder is not None
        if pipeline is not None:
            raise ConfigError("validate: --pipeline goes with --dataset DIR")
        result = check(folder)
    checked = str(dataset or folder)
    if as_json:
        print_json(
            {
                "folder": checked,
                "ok": not result.problems,
                "sessions": [session.name for session in result.sessions],
                "files": result.files,
                "rows": result.rows,
                "problems": [problem.to_dict() for problem in result.problems],
            }
        )
    else:
        for problem in result.problems:
            say(str(problem))
        verdict = counted(len(result.problems), "problem") if result.problems else "all is well"
        read = f"{counted(result.files, 'file')}, {counted(result.rows, 'row')} of tables"
        what = f"{counted(len(result.sessions), 'session')}, {read}"
        say(f"{checked}: {what}: {verdict}")
    return PROBLEMS if result.problems else 0
