"""`au3dmm train`: a model from a labelled run."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from au3dmm.cli.options import reporting_options
from au3dmm.cli.output import aligned, counted, number, print_json, say
from au3dmm.cli.progress import JsonReporter, Mode, Reporter, logging_to, make_reporter

if TYPE_CHECKING:
    from au3dmm.training.run import TrainResult


@click.command("train", short_help="Train a model on the labels of a dataset.")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled dataset, or folder of a run.")
@click.option("--model", help="Which network; default: what CONFIG says, or st_vit.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: training/<CONFIG or model> in the run's folder.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Wins over CONFIG: batch=8, data.every=2.")
@click.option("--resume", is_flag=True, help="Go on with the training in OUT, if there is one.")
@click.option("--anew", is_flag=True, help="Replace the training in OUT; with --resume, only if it cannot go on.")
@click.option("--init", type=click.Path(path_type=Path), help="Checkpoint to take weights from, for fine-tuning.")
@click.option("--trunk", type=click.Path(path_type=Path), help="Published weights of the convolutions (ResNet, I3D).")
@click.option("--pipeline", help="Which run of the dataset, if it has several.")
@click.option("--dataset", type=click.Path(path_type=Path), help="Where the videos are, for modality = rgb.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that load clips. Default: cores - 1, <= 16.")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=500, show_default=True, help="Steps.")
@reporting_options
def train(
    config: Path | None,
    labels: Path,
    model: str | None,
    out: Path | None,
    changes: tuple[str, ...],
    resume: bool,
    anew: bool,
    init: Path | None,
    trunk: Path | None,
    pipeline: str | None,
    dataset: Path | None,
    device: str,
    workers: int | None,
    checkpoint_every: int,
    progress: Mode,
    as_json: bool,
    verbose: int,
) -> None:
    """Train a model on the labels of a dataset.

    CONFIG is a training file (TOML), or a shipped one by its name; default: that of the model, if there is one. A
    training that was stopped, even by kill -9, goes on with --resume, and ends with the same weights on a CPU. With
    several GPUs: torchrun --nproc-per-node 4 -m au3dmm train ...

    \b
    au3dmm train --labels DATASET --model st_vit
    au3dmm train reduced --labels DATASET --set batch=64 --set data.n_frames=50 --resume
    au3dmm train reduced --labels DATASET --set form=full --device cuda
    """  # noqa: D301
    from au3dmm.io.assets import shipped_trainings, training_file
    from au3dmm.io.runs import one_run
    from au3dmm.report.dataset_page import refresh_dataset_page
    from au3dmm.training.run import TrainOptions
    from au3dmm.training.run import train as train_model
    from au3dmm.training_config import FORM, load_training

    file = training_file(config) if config is not None else shipped_trainings().get(model or "st_vit")
    params = load_training(file, changes, model)
    name = params.model if file is None or model is not None else file.stem.removeprefix("train_")
    if form := next((value for key, value in map(_halves, reversed(changes)) if key == FORM), None):
        name = f"{name}_{form}"  # the other form of a file is another training
    options = TrainOptions(
        device=device,
        workers=min(16, (os.cpu_count() or 1) - 1) if workers is None else workers,
        resume=resume,
        anew=anew,
        checkpoint_every=checkpoint_every,
        dataset=dataset,
        init=init,
        trunk=trunk,
    )
    run = one_run(labels, pipeline)
    if out is None:
        out, options = run.path / "training" / name, replace(options, cache=run.state / "rgb")
    first = os.environ.get("RANK", "0") == "0"
    reporter = make_reporter(progress if first else "none")
    with reporter, logging_to(reporter, verbose), contextlib.redirect_stdout(sys.stderr):
        try:
            result = train_model(run, params, out, options, on_event=_told(reporter, progress) if first else None)
        except KeyboardInterrupt:
            reporter.message("warning", "stopped; give --resume, too, to go on from the last checkpoint")
            raise
        if first and result.state == "ran":
            refresh_dataset_page(run, out)  # older evaluations are marked
    if not first:
        return
    if as_json:
        print_json(result.to_dict())
    else:
        say(summary(result, labels))


def _halves(change: str) -> tuple[str, str]:
    key, _, value = change.partition("=")
    return key.strip(), value.strip().strip("\"'")


def _told(reporter: Reporter, mode: Mode) -> Callable[[Mapping[str, Any]], None]:
    """Return what shows events, and a line after each epoch."""

    def show(event: Mapping[str, Any]) -> None:
        if event["event"] != "epoch" or isinstance(reporter, JsonReporter):
            reporter(event)
        elif mode != "none":
            reporter.message(f"epoch {event['epoch'] + 1}", measured(event["val"]) or "done; val is empty")

    return show


def measured(val: Mapping[str, float]) -> str:
    """Say what was measured on val.

    Examples
    --------
    >>> measured({"accuracy": 0.25, "alpha": 0.5, "loss": 2.5})
    'accuracy 25.0 %, alpha error 0.5 standard deviations (rms), loss 2.5'
    """
    words = []
    if "accuracy" in val:
        words.append(f"accuracy {100 * val['accuracy']:.1f} %")
    if "alpha" in val:
        words.append(f"alpha error {number(val['alpha'], 3)} standard deviations (rms)")
    if "f1" in val:
        words.append(f"F1 of frames {100 * val['f1']:.1f} %")
    if "loss" in val:
        words.append(f"loss {number(val['loss'], 3)}")
    return ", ".join(words)


def summary(result: TrainResult, labels: Path) -> str:
    """Return what a person wants to know of a training: numbers, files, what to do next."""
    told, at = result.to_dict(), result.position
    did = "up to date" if result.state == "up to date" else f"trained in {result.seconds:.1f} s"
    title = f"a network of {counted(result.n_parameters, 'weight')}: {did} on {result.device}"
    rows = [
        ("learnt from", f"{counted(result.clips_train, 'clip')} of {result.classes} classes"),
        ("steps", f"{at.step} of {result.total}, {counted(at.epoch, 'whole epoch')}: {at.finished}"),
    ]
    if result.clips_per_s:
        rows.append(("speed", f"{number(result.clips_per_s, 3)} clips/s, evaluation included"))
    if at.best_measures:
        chance = f" (chance: {100 / result.classes:.1f} %)" if result.classes and "accuracy" in at.best_measures else ""
        rows.append(("best on val", f"epoch {at.best_epoch + 1}: {measured(at.best_measures)}{chance}"))
    rows += [("checkpoint", told["checkpoint"]), ("log", str(result.out / "log.csv"))]
    out = shlex.quote(str(result.out))
    more = f"the same command with --resume --out {out}, and --set epochs=N (or max_steps, or patience)"
    return f"{title}\n{aligned(rows)}\n\nnext\n{aligned([('go on', more)])}"
