"""Train a model on a labelled run: folder in, folder of checkpoints out."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import au3dmm
from au3dmm.errors import BusyError, ConfigError, SchemaError
from au3dmm.io.atomic import folder_lock, write_json
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.models import Network
from au3dmm.training.checkpoints import check_goes_on, read_checkpoint
from au3dmm.training.history import History
from au3dmm.training.learnt import leak_into_test, learnt_from
from au3dmm.training.loop import BEST, LAST, Loop, Position
from au3dmm.training.processes import Processes, started_processes
from au3dmm.training.setup import Setup, read_setup
from au3dmm.training.transfer import other_frames, take_weights
from au3dmm.training_config import TrainParams

log = logging.getLogger(__name__)
LOCK = ".lock"
Event = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class TrainOptions:
    """How training is run; none of it changes the result on a CPU.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    workers : int
        Processes that load clips, for each that trains.
    resume : bool
        Whether to go on from ``last.pt``, if there is one.
    anew : bool
        Whether to train anew: with `resume` where labels or values are others by now, instead of refusing; without it
        whatever is there.
    checkpoint_every, log_every : int
        Steps.
    dataset : Path or None
        Where the raw recordings are, for RGB frames.
    init : Path or None
        Checkpoint of the same network to take weights from; see `take_weights`.
    trunk : Path or None
        Published weights of the network's trunk.
    cache : Path or None
        Where decoded RGB frames are, or go; None = see `train`.
    """

    device: str = "auto"
    workers: int = 0
    resume: bool = False
    anew: bool = False
    checkpoint_every: int = 500
    log_every: int = 10
    dataset: Path | None = None
    init: Path | None = None
    trunk: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class TrainResult:
    """What came out.

    Attributes
    ----------
    out : Path
        The folder.
    state : {"ran", "up to date"}
        Whether there was anything to do.
    position : Position
        How far it is.
    total : int
        Steps in all.
    n_parameters : int
        Weights that are learnt.
    clips_train, clips_val, classes : int
        How many.
    device : str
        Where it ran.
    seconds : float
        How long.
    clips_per_s : float
        Clips learnt from, over the time that it took, evaluation included.
    """

    out: Path
    state: str
    position: Position
    total: int
    n_parameters: int
    clips_train: int
    clips_val: int
    classes: int
    device: str
    seconds: float
    clips_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        at = self.position
        best = self.out / BEST
        return {
            "out": str(self.out),
            "checkpoint": str(best if best.is_file() else self.out / LAST),
            "state": self.state,
            "finished": at.finished,
            "epochs": at.epoch,
            "steps": at.step,
            "steps_total": self.total,
            "clips_seen": at.clips,
            "best_epoch": at.best_epoch if at.best_epoch >= 0 else None,
            "val": at.best_measures or None,
            "val_last": at.measures or None,
            "n_parameters": self.n_parameters,
            "clips_train": self.clips_train,
            "clips_val": self.clips_val,
            "classes": self.classes,
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "clips_per_s": round(self.clips_per_s, 3),
        }


def default_training_folder(run: RunFolder, params: TrainParams) -> Path:
    """Return where a model goes, if nobody says: ``training/<model>`` in the run's folder."""
    return run.path / "training" / params.model


def train(
    run: RunFolder,
    params: TrainParams,
    out: Path | None = None,
    options: TrainOptions | None = None,
    on_event: Event | None = None,
) -> TrainResult:
    """Train a model on the labels of a run.

    Writes ``last.pt``, ``best.pt`` (by ``optimise.monitor`` on val), ``log.csv`` and ``training.json`` (all values,
    versions, what was trained on) into `out`. Started by torchrun, all processes train one model.

    Parameters
    ----------
    run : RunFolder
        The labelled run.
    params : TrainParams
        What changes the result.
    out : Path, optional
        Default: `default_training_folder`.
    options : TrainOptions, optional
        How it is run.
    on_event : callable, optional
        Called with ``start``, ``progress`` and ``done`` of the stages ``rgb`` and ``train``, and ``epoch`` with what
        was measured on val after each.

    Raises
    ------
    ConfigError
        If values do not fit, or `out` has a training already and is not to be resumed.
    SchemaError
        If labels, frames or the checkpoint are not what they should be.
    FitError
        If the loss is not finite, or memory runs out.
    OutputError
        If `out` cannot be written.
    """
    options = options or TrainOptions()
    # what may be deleted at any time, and is when a person is forgotten; elsewhere it stays together
    cache = options.cache or (run.state / "rgb" if out is None else out / "cache" / "rgb")
    out = out or default_training_folder(run, params)
    event = on_event or (lambda _: None)
    began = time.monotonic()
    with started_processes(options.device) as processes:
        nothing_left, lock = (_nothing_left(out), folder_lock(out)) if processes.first else (nullcontext(),) * 2
        with nothing_left, lock:
            if (out / LAST).exists() and not (options.resume or options.anew):
                raise ConfigError(
                    f"{out}: has a training already; --resume goes on with it, --anew replaces it, --out DIR begins"
                    " another"
                )
            setup = _setup(run, params, cache, options, processes, event)
            torch.manual_seed(params.seed)  # of new weights; steps have seeds of their own
            model = setup.make_model()
            loop = Loop(model, setup.train, setup.val, params, setup.loss, setup.scaling, processes, options.workers)
            first = None if options.init is None else _hashed(options.init)
            if options.anew and (why := _another(out / LAST, setup, model, first, options.resume)) is not None:
                _clear(out, why, processes)
            init, earlier = _begin(out, setup, model, loop, options, first)
            ran = not loop.position.finished
            first_clips, started = loop.position.clips, time.monotonic()
            if ran:
                _run(out, setup, model, loop, options, processes, event, init, earlier)
            seconds = time.monotonic() - started
    at = loop.position
    return TrainResult(
        out=out,
        state="ran" if ran else "up to date",
        position=at,
        total=loop.total,
        n_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        clips_train=len(setup.train),
        clips_val=len(setup.val),
        classes=len(setup.classes),
        device=str(processes.device),
        seconds=time.monotonic() - began,
        clips_per_s=(at.clips - first_clips) / seconds if ran and seconds > 0 else 0.0,
    )


@contextmanager
def _nothing_left(out: Path) -> Iterator[None]:
    """Take away the folders that are made for a training which is refused, or stopped, before it wrote anything."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        yield
    except BaseException as err:
        if out in made and not isinstance(err, BusyError):
            with suppress(OSError):  # one that holds something stays: decoded RGB frames, say
                if [path.name for path in out.iterdir()] == [LOCK]:
                    (out / LOCK).unlink()
                for folder in made:
                    folder.rmdir()
        raise


def _setup(
    run: RunFolder, params: TrainParams, cache: Path, options: TrainOptions, processes: Processes, event: Event
) -> Setup:
    shown: list[int] = []

    def progress(done: int, total: int | None) -> None:
        if not shown:
            event({"event": "start", "stage": "rgb"})
        shown.append(done)
        event({"event": "progress", "stage": "rgb", "done": done, "total": total})

    began = time.monotonic()
    if not processes.first:
        processes.wait()  # the first has decoded RGB frames
    setup = read_setup(run, params, cache=cache, dataset=options.dataset, progress=progress, speak=processes.first)
    if processes.first:
        processes.wait()
    if shown:
        seconds = time.monotonic() - began
        event(
            {"event": "done", "stage": "rgb", "state": "ran", "summary": {"recordings": len(shown)}, "seconds": seconds}
        )
    return setup


def _begin(
    out: Path, setup: Setup, model: Network, loop: Loop, options: TrainOptions, init: str | None
) -> tuple[str | None, Mapping[str, Any] | None]:
    """Give the model the weights that it starts from, and the loop its place.

    Returns the hash of the first weights, and what is known of whom they learnt from: None of new ones, empty if their
    checkpoint does not say.
    """
    last = out / LAST
    if last.exists():
        content = read_checkpoint(last)
        check_goes_on(last, content, model.config, setup.described, setup.params, init)
        begun = content.get("init", init)
        try:
            model.load_state_dict(content["state_dict"])
            loop.restore(content)
        except (RuntimeError, ValueError, KeyError, TypeError) as err:
            raise SchemaError(f"{last}: does not fit this model: {' '.join(str(err).split())[:160]}") from err
        return (str(begun), content.get("learnt") or {}) if begun else (None, None)
    if options.trunk is not None:
        load_trunk: Callable[[Path], None] | None = getattr(model, "load_trunk", None)
        if load_trunk is None:
            raise ConfigError(f"--trunk {options.trunk}: {setup.params.model} has no trunk with published weights")
        try:
            load_trunk(options.trunk)
        except ValueError as err:
            raise ConfigError(f"--trunk {options.trunk}: {err}") from err
    if options.init is not None:
        for why, names in take_weights(options.init, model, setup.described).items():
            log.warning("%s: %s: learnt anew: %s", options.init, why, ", ".join(names[:4]))
        setup.teach(model)  # true motion is in coordinates of this run's space, not of the checkpoint's
        content = read_checkpoint(options.init)
        frames = other_frames(content, setup.described)
        if frames is not None:
            log.warning("%s: %s; its weights are taken all the same", options.init, frames)
        leak = leak_into_test(content, setup.labels, setup.params.data)
        if leak is not None:
            log.warning("%s: %s", options.init, leak)
        return init, content.get("learnt") or {}
    return init, None


def _hashed(path: Path) -> str:
    read_checkpoint(path)  # says what is wrong with it
    return sha256_file(path)


def _another(last: Path, setup: Setup, model: Network, init: str | None, resume: bool) -> str | None:
    """Return why a training does not go on with these labels and values; None if it does, or there is none."""
    if not last.exists():
        return None
    if not resume:
        return "what was there is replaced, as --anew says; with --resume, too, it would go on where it can"
    try:
        check_goes_on(last, read_checkpoint(last), model.config, setup.described, setup.params, init)
    except (SchemaError, ConfigError) as err:
        return str(err)
    return None


def _clear(out: Path, why: str, processes: Processes) -> None:
    if processes.first:
        log.warning("%s: trained anew: %s", out, why)
    processes.wait()  # until all have looked
    if processes.first:
        for name in (LAST, BEST):
            (out / name).unlink(missing_ok=True)
    processes.wait()


def _run(
    out: Path,
    setup: Setup,
    model: Network,
    loop: Loop,
    options: TrainOptions,
    processes: Processes,
    event: Event,
    init: str | None,
    earlier: Mapping[str, Any] | None,
) -> None:
    content: dict[str, Any] = {
        "model": model.config,
        "config": setup.params.model_dump(mode="json"),
        "labels": setup.described,
        "init": init,
        "versions": versions(),
    }
    history = None
    if processes.first:
        content["learnt"] = learnt_from(setup.train, earlier)
        about = {"train": len(setup.train), "val": len(setup.val), "processes": processes.world}
        said = {key: value for key, value in content.items() if key != "learnt"}  # as long as the dataset is large
        write_json(out / "training.json", {**said, "clips": about, "device": processes.device.type})
        history = History(out / "log.csv", loop.position.step)
    event({"event": "start", "stage": "train"})
    started = time.monotonic()
    try:
        loop.run(
            out,
            content,
            history,
            checkpoint_every=options.checkpoint_every,
            log_every=options.log_every,
            on_step=lambda done, total: event({"event": "progress", "stage": "train", "done": done, "total": total}),
            on_epoch=lambda epoch, val: event({"event": "epoch", "stage": "train", "epoch": epoch, "val": dict(val)}),
        )
    finally:
        if history is not None:
            history.close()
    at = loop.position
    summary = {"epochs": at.epoch, "steps": at.step}
    event(
        {"event": "done", "stage": "train", "state": "ran", "summary": summary, "seconds": time.monotonic() - started}
    )


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return {
        "au3dmm": au3dmm.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
