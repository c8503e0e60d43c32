"""`au3dmm export`: the labels of a dataset in forms that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from au3dmm.cli.output import counted, print_json, say

_FORMS = ["csv", "npz", "huggingface", "facemorphic"]


@click.command(short_help="Export the labels of a dataset.")
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="The dataset, or the folder of a run.")
@click.option("--format", "form", type=click.Choice(_FORMS), required=True, help="How.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; an export is replaced.")
@click.option("--pipeline", help="Which run, if the dataset has several.")
@click.option("--split", help="Only this part: train, val, test, or a fold's number.")
@click.option("--with-identity", is_flag=True, help="Also identity coefficients; they identify people.")
@click.option("--with-landmarks", is_flag=True, help="Also the 68 landmarks of each RGB frame; they identify people.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    dataset: Path,
    form: Literal["csv", "npz", "huggingface", "facemorphic"],
    out: Path,
    pipeline: str | None,
    split: str | None,
    with_identity: bool,
    with_landmarks: bool,
    as_json: bool,
) -> None:
    """Export the labels that `au3dmm run` put together.

    csv: tables, a column per coefficient. npz: arrays for numpy. huggingface: a folder that `datasets` loads, and the
    hub shows. facemorphic: boxes and coefficients per RGB frame, in folders as the authors of FACEMORPHIC have them.

    Identity coefficients and landmarks identify people and are left out unless asked for; README.md says what is
    inside.
    """
    from au3dmm.exports.export import export_dataset
    from au3dmm.exports.selection import ExportOptions
    from au3dmm.io.runs import one_run

    run = one_run(dataset, pipeline)
    result = export_dataset(run, out, ExportOptions(form, split, with_identity, with_landmarks))
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "state": result.state,
                "form": form,
                "split": split,
                "with_identity": with_identity,
                "with_landmarks": with_landmarks,
                "files": result.files,
                "sessions": result.sessions,
                "subjects": result.subjects,
                "rows": result.rows,
            }
        )
        return
    what = "RGB frame" if form == "facemorphic" else "event frame"
    of = f"{counted(result.sessions, 'session')} of {counted(result.subjects, 'subject')}"
    say(f"{out}: {result.state}: {counted(result.rows, what)}, {of}, {counted(result.files, 'file')}")
    if with_identity or with_landmarks:
        inside = " and ".join(["identity coefficients"] * with_identity + ["landmarks"] * with_landmarks)
        click.echo(f"warning: {inside} are inside, which identify people", err=True)
