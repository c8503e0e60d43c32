"""`au3dmm weights`: what the detectors need, and how it gets here."""

from __future__ import annotations

from pathlib import Path

import click

from au3dmm.cli.output import aligned, print_json, say

_WRONG = 5

_FOLDER = click.option(
    "--weights-dir", type=click.Path(path_type=Path), help="Where they are kept; default: the user's data."
)
_REPLACE = click.option("--replace", is_flag=True, help="Also where weights of your own lie under the same name.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(short_help="Fetch the weights of the detectors.")
def weights() -> None:
    """Fetch the weights of the landmark detectors, and see which are there."""


@weights.command()
@click.argument("detector", type=click.Choice(["mediapipe", "face-alignment"]))
@click.option("--wheel", type=click.Path(path_type=Path), help="mediapipe's wheel, downloaded elsewhere: no network.")
@_REPLACE
@_FOLDER
def get(detector: str, wheel: Path | None, replace: bool, weights_dir: Path | None) -> None:
    """Fetch a detector's weights, if they are not there.

    mediapipe: its models (Apache-2.0) out of the published wheel, which is not installed. face-alignment: three files
    (400 MB) from its author's site; weights that you trained yourself and keep under its names are left alone. No other
    command of au3dmm downloads anything.
    """
    from au3dmm.io.weight_transfer import fetch_face_alignment
    from au3dmm.io.weights import fetch_mediapipe, weights_folder

    folder = weights_dir if weights_dir is not None else weights_folder()
    if detector == "mediapipe":
        files = fetch_mediapipe(folder, wheel, log=_tell)
        say(f"{detector} is ready: {', '.join(files)} in {folder}")
        return
    if wheel is not None:
        raise click.UsageError("--wheel is for mediapipe; face-alignment's files: `au3dmm weights add FILE_OR_DIR`")
    paths = fetch_face_alignment(folder, log=_tell, replace=replace)
    say(f"{detector} is ready: {', '.join(map(str, paths))}")


@weights.command()
@click.argument("source", metavar="FILE_OR_DIR", type=click.Path(path_type=Path))
@_REPLACE
@_FOLDER
def add(source: Path, replace: bool, weights_dir: Path | None) -> None:
    """Copy weights that you have, each verified by its sha256.

    A weight file under any name, MediaPipe's wheel, or a folder of them, such as TORCH_HOME of a machine where
    face-alignment has run. Or MediaPipe's face_landmarker.task, whose mesh is newer than the wheel's: its models are
    looked at, and used with `mediapipe_models = "task"` under [detect] of a pipeline file.
    """
    from au3dmm.io.weight_transfer import add_weights
    from au3dmm.io.weights import MEDIAPIPE_TASK, weights_folder

    folder = weights_dir if weights_dir is not None else weights_folder()
    names = add_weights(source, folder, log=_tell, replace=replace)
    say(f"added: {', '.join(names)} in {folder}")
    if MEDIAPIPE_TASK in names:
        say('it is used with mediapipe_models = "task" under [detect] of a pipeline file')


@weights.command()
@_FOLDER
@_JSON
def status(weights_dir: Path | None, as_json: bool) -> None:
    """Show every weight file: there or not, and where it belongs."""
    _show(weights_dir, as_json)


@weights.command()
@_FOLDER
@_JSON
def verify(weights_dir: Path | None, as_json: bool) -> int:
    """Compare what is there with the published files.

    Exit code 0: all that are there are the published files; 5: one is not, or cannot be read.
    """
    return _WRONG if "not the published file" in _show(weights_dir, as_json) else 0


def _show(weights_dir: Path | None, as_json: bool) -> set[str]:
    """Print the states of all files; return which states there are."""
    from au3dmm.io.weights import weights_status

    found = weights_status(weights_dir)
    if as_json:
        print_json({"weights": [{**w._asdict(), "path": str(w.path)} for w in found]})
    else:
        say(aligned([(w.detector, w.state, str(w.path)) for w in found], indent=""))
    return {w.state for w in found}


def _tell(line: str) -> None:
    click.echo(line, err=True)
