"""`au3dmm weights`: what the detectors need, and how it gets here."""

from __future__ import annotations

from pathlib import Path

import click

from au3dmm.cli.output import aligned, print_json, say


@click.group(short_help="Fetch the weights of the detectors.")
def weights() -> None:
    """Fetch the weights of the landmark detectors, and see which are there."""


@weights.command()
@click.argument("detector", type=click.Choice(["mediapipe"]))
@click.option("--wheel", type=click.Path(path_type=Path), help="mediapipe's wheel, downloaded elsewhere: no network.")
@click.option("--weights-dir", type=click.Path(path_type=Path), help="Where to put them; default: the user's data.")
def get(detector: str, wheel: Path | None, weights_dir: Path | None) -> None:
    """Fetch and verify a detector's weights; nothing is downloaded if they are there.

    mediapipe: two models (1.5 MB, Apache-2.0) out of the published wheel, which is not installed. The weights of
    face-alignment cannot be fetched here: `au3dmm weights status` says which files go where.
    """
    from au3dmm.io.weights import fetch_mediapipe, weights_folder

    folder = weights_dir if weights_dir is not None else weights_folder()
    files = fetch_mediapipe(folder, wheel, log=lambda line: click.echo(line, err=True))
    say(f"{detector} is ready: {', '.join(files)} in {folder}")


@weights.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Show every weight file: there or not, and where it belongs."""
    from au3dmm.io.weights import weights_status

    found = weights_status()
    if as_json:
        print_json({"weights": [{**w._asdict(), "path": str(w.path)} for w in found]})
    else:
        say(aligned([(w.detector, w.state, str(w.path)) for w in found], indent=""))
