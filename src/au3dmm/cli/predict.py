"""`au3dmm predict`: what a trained model says of an event recording, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, counted, number, print_json, say
from au3dmm.cli.progress import Mode, logging_to, make_reporter

if TYPE_CHECKING:
    from au3dmm.training.predicting import Predicted

_FAVOURITES = 5


@click.command("predict", short_help="Say what an event recording shows, frame by frame.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="best.pt of au3dmm train.")
@click.option("--events", type=click.Path(path_type=Path), required=True, help="Event file, or a session's folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: predictions/<recording> beside the checkpoint.")
@click.option("--step", type=click.IntRange(min=0), default=0, help="Every n-th frame; default: all, i3d 8 in a clip.")
@click.option("--width", type=click.IntRange(min=1), help="Of the sensor, px, if the file does not say.")
@click.option("--height", type=click.IntRange(min=1), help="Of the sensor, px, if the file does not say.")
@click.option("--labels", type=click.Path(path_type=Path), help="What it was trained on, for older checkpoints.")
@click.option("--pipeline", help="Which run of the labels, if there are several.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@reporting_options
def predict(
    checkpoint: Path,
    events: Path,
    out: Path | None,
    step: int,
    width: int | None,
    height: int | None,
    labels: Path | None,
    pipeline: str | None,
    device: str,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Say what an event recording shows: probabilities of action units and coefficients at every event frame.

    Event frames are made as those that the model was trained on; each row speaks of the clip that ends with its frame.
    Writes predictions.parquet and predictions.png, and says how fast that was.

    \b
    au3dmm predict --checkpoint DIR/best.pt --events F.raw
    """  # noqa: D301
    from au3dmm.io.runs import one_run
    from au3dmm.io.session_events import open_recording
    from au3dmm.io.training_labels import read_training_labels
    from au3dmm.training.evaluating import read_trained
    from au3dmm.training.predicting import predict as ask

    trained = read_trained(checkpoint)
    name, file = open_recording(events, width, height)
    folder = out or checkpoint.parent / "predictions" / name
    said = None if labels is None else read_training_labels(one_run(labels, pipeline))
    reporter = make_reporter(progress)
    with reporter, logging_to(reporter, verbose):
        reporter({"event": "start", "stage": "predict"})
        answer = ask(
            checkpoint,
            trained,
            name,
            file,
            folder,
            device=device,
            step=step,
            labels=said,
            progress=lambda done, total: reporter(
                {"event": "progress", "stage": "predict", "done": done, "total": total}
            ),
        )
        picture = folder / "predictions.png"
        _draw(picture, answer)
    found = {**answer.found, "picture": str(picture)}
    if as_json:
        print_json(found)
    else:
        say(summary(found))


def _draw(path: Path, answer: Predicted) -> None:
    from au3dmm.io.atomic import write_bytes
    from au3dmm.report.prediction_picture import draw_predictions

    seen, found = answer.overview, answer.found
    maps = []
    if seen.classes is not None:
        maps.append(("probability of each class; dots: the most probable", answer.classes, seen.classes))
    if seen.occurrence is not None:
        maps.append(("probability that a unit is there", answer.names_occurrence, seen.occurrence))
    clip = f"{found['clip_frames']} frames, {number(found['clip_s'], 3)} s"
    title = f"{found['recording']}: {found['model']}, each column speaks of the {clip} before"
    write_bytes(path, draw_predictions(seen.edges_s, maps, answer.names_au, seen.alpha, title))


def summary(found: Mapping[str, Any]) -> str:
    """Return what a person wants to know of predictions."""
    windows = found["windows"]
    how = f"{windows['name']}, {windows['accumulation_us']} us every {windows['period_us']} us"
    if windows["instead_of_rgb"]:
        how += " (training's were between RGB frames; this is their mean length)"
    asked = f"{found['rows']} of {found['frames']}"
    if found["no_events"]:
        asked += f", {found['no_events']} of them without any event in their clip"
    faster = f"{number(found['real_time_factor'], 3)} x real time on {found['device']}"
    rows = [
        ("recording", f"{found['recording_s']:.1f} s, {counted(found['events'], 'event')}"),
        ("windows", how),
        ("clip", f"{found['clip_frames']} frames, {number(found['clip_s'], 3)} s"),
        ("frames asked", asked),
        ("speed", f"{faster}; without reading events {number(found['real_time_factor_without_reading'], 3)} x"),
    ]
    if found["lost"]:
        rows.append(("damaged", f"read without {found['lost']}"))
    text = f"{found['model']} on {found['recording']}\n{aligned(rows)}"
    best = list(found["most_seconds_as"].items())[:_FAVOURITES]
    if best:
        text += "\n\nmost probable\n" + aligned([(name, f"{seconds:.1f} s") for name, seconds in best])
    return f"{text}\n\nfiles\n{aligned([('table', found['table']), ('picture', found['picture'])])}"
