"""`au3dmm schema`: the JSON schema of the files people write by hand."""

from __future__ import annotations

import click

from au3dmm.cli.output import print_json


@click.command(short_help="Print the JSON schema of session.toml or a pipeline file.")
@click.argument("which", type=click.Choice(["session", "pipeline"]))
def schema(which: str) -> None:
    """Print the JSON schema of session.toml, or of a pipeline file.

    Editors complete and check TOML files with it.
    """
    if which == "session":
        from au3dmm.io.session import Manifest

        print_json(Manifest.model_json_schema())
    else:
        from au3dmm.config import PipelineParams

        print_json(PipelineParams.model_json_schema())
