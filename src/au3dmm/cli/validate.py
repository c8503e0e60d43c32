"""`au3dmm validate`: is what a run left on disk whole and consistent?"""

from __future__ import annotations

from pathlib import Path

import click

from au3dmm.cli.output import counted, print_json

PROBLEMS = 4


@click.command(short_help="Check the files of a run.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(folder: Path, as_json: bool) -> int:
    """Check the folder of a run, or of one session in it.

    Tables against their schemas and against each other, rows against frames, files against the hashes they were
    written with. Exit code 0: all is well; 4: there are problems, one line each; 2: DIR is not a run.
    """
    from au3dmm.validation import validate as check

    result = check(folder)
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "ok": not result.problems,
                "sessions": [session.name for session in result.sessions],
                "files": result.files,
                "rows": result.rows,
                "problems": [problem.to_dict() for problem in result.problems],
            }
        )
    else:
        for problem in result.problems:
            click.echo(str(problem))
        verdict = counted(len(result.problems), "problem") if result.problems else "all is well"
        read = f"{counted(result.files, 'file')}, {counted(result.rows, 'row')} of tables"
        what = f"{counted(len(result.sessions), 'session')}, {read}"
        click.echo(f"{folder}: {what}: {verdict}")
    return PROBLEMS if result.problems else 0
