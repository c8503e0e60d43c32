"""The one loop: any network, any part of a run, from any step on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from au3dmm.errors import ConfigError, FitError
from au3dmm.models import Network, Prediction
from au3dmm.training.checkpoints import write_checkpoint
from au3dmm.training.clips import Clips, Item
from au3dmm.training.history import History
from au3dmm.training.loading import make_loader, to_device, told_plainly
from au3dmm.training.losses import training_loss
from au3dmm.training.measures import ClipScore, better, score_clips, summarise
from au3dmm.training.memory import fitting_batch, is_out_of_memory, too_large
from au3dmm.training.optimisers import make_optimiser, rate_factor
from au3dmm.training.order import Batches
from au3dmm.training.pictures import Scaling
from au3dmm.training.processes import Processes
from au3dmm.training_config import LossParams, TrainParams

LAST, BEST = "last.pt", "best.pt"
_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_NAMED = 3


@dataclass
class Position:
    """How far a training is: plain values, kept in checkpoints.

    Attributes
    ----------
    epoch, batch : int
        The batch to come: which epoch, and how many of its batches were seen.
    step : int
        Steps taken.
    clips : int
        Clips seen.
    best : float or None
        The best that the monitored measure was.
    best_epoch : int
        When that was.
    measures : dict
        Of the latest evaluation.
    best_measures : dict
        Of the best.
    finished : str
        Why there is nothing more to do; empty before.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    clips: int = 0
    best: float | None = None
    best_epoch: int = -1
    measures: dict[str, float] = field(default_factory=dict)
    best_measures: dict[str, float] = field(default_factory=dict)
    finished: str = ""


class Loop:
    """Trains a model; its state is in `state`, and comes back by `restore`.

    What happens in a step depends on the weights, the step's number and the seed, and on nothing before: dropout is
    drawn anew for each step. So a training that was killed and goes on ends, on a CPU, with the very bits of one that
    was not.

    Parameters
    ----------
    model : Network
        On any device; it is moved.
    train, val : Clips
        What it learns from, and is measured on (may be empty).
    params : TrainParams
        How.
    loss : LossParams
        What is minimised.
    scaling : Scaling, optional
        Of frames.
    processes : Processes
        Which of how many this is.
    workers : int
        Processes that load clips, beside this one.
    """

    def __init__(
        self,
        model: Network,
        train: Clips,
        val: Clips,
        params: TrainParams,
        loss: LossParams,
        scaling: Scaling | None,
        processes: Processes,
        workers: int = 0,
    ) -> None:
        how = params.optimise
        if how.batch % processes.world:
            raise ConfigError(f"optimise.batch = {how.batch} cannot be shared by {processes.world} processes alike")
        if how.precision == "fp16" and processes.device.type != "cuda":
            raise ConfigError(
                f"optimise.precision = 'fp16' needs CUDA, not {processes.device.type}; take bf16 or float32"
            )
        self.model = model.to(processes.device)
        self.position = Position()
        self._params, self._how, self._loss, self._scaling, self._processes = params, how, loss, scaling, processes
        self._train, self._val = train, val
        share = {"rank": processes.rank, "world": processes.world}
        self._order = Batches(len(train), how.batch, params.seed, shuffle=True, **share)
        pin = processes.device.type == "cuda"
        self._loader = make_loader(train, self._order, workers, pin=pin)
        in_order = Batches(len(val), how.batch, params.seed, shuffle=False, **share)
        self._val_loader = make_loader(val, in_order, workers, pin=pin)
        self._weights = [p for p in model.parameters() if p.requires_grad]
        self._optimiser = make_optimiser(self._weights, how)
        self._scaler = torch.amp.GradScaler("cuda", enabled=how.precision == "fp16")
        self._wrapped: nn.Module = model
        if processes.world > 1:
            gpu = [processes.device.index] if processes.device.type == "cuda" else None
            idle = _may_be_idle(model, loss)
            self._wrapped = DistributedDataParallel(model, gpu, find_unused_parameters=idle)
        whole = how.epochs * self._order.total
        self.total = min(how.max_steps, whole) if how.max_steps else whole

    def run(
        self,
        out: Path,
        content: Mapping[str, Any],
        history: History | None,
        *,
        checkpoint_every: int = 500,
        log_every: int = 10,
        on_step: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        """Train until it is done, with checkpoints in `out`.

        Parameters
        ----------
        out : Path
            Folder of ``last.pt`` and ``best.pt``.
        content : mapping
            What checkpoints hold beside the state.
        history : History, optional
            Of the first process.
        checkpoint_every, log_every : int
            Steps.
        on_step : callable, optional
            Called after each step with steps done, and in all.
        on_epoch : callable, optional
            Called after each epoch with its number and what was measured on val.

        Raises
        ------
        FitError
            If the loss is not finite, or memory runs out.
        OutputError
            If a checkpoint cannot be written.
        """
        self._out, self._content, self._history, self._on_epoch = out, content, history, on_epoch
        at = self.position
        while not at.finished:
            for batch in self._batches():
                values = self._step(batch)
                at.step, at.batch, at.clips = at.step + 1, at.batch + 1, at.clips + self._seen(at.batch)
                last = at.batch == self._order.total or at.step == self.total
                if history is not None and (at.step % log_every == 0 or last):
                    history.add(at.step, at.epoch, "train", values)
                if last:
                    break
                if at.step % checkpoint_every == 0:
                    self._save(LAST)
                if on_step is not None:
                    on_step(at.step, self.total)
            self._end_epoch()
            if on_step is not None:
                on_step(at.step, self.total)

    def _batches(self) -> Iterator[Item]:
        self._order.epoch, self._order.first = self.position.epoch, self.position.batch
        self.model.train()
        return told_plainly(self._loader)

    def _seen(self, batch: int) -> int:
        return min(self._how.batch, len(self._train) - batch * self._how.batch)

    def _end_epoch(self) -> None:
        at, monitor = self.position, self._how.monitor
        at.measures = self.evaluate()
        improved = False
        if at.measures:
            improved = better(at.measures[monitor], at.best, monitor)
        if improved:
            at.best, at.best_epoch, at.best_measures = at.measures[monitor], at.epoch, dict(at.measures)
        if self._history is not None and at.measures:
            self._history.add(at.step, at.epoch, "val", at.measures)
        if self._on_epoch is not None:
            self._on_epoch(at.epoch, at.measures)
        if at.step >= self.total:
            at.finished = "all steps taken"
        elif self._how.patience and at.epoch - at.best_epoch >= self._how.patience:
            at.finished = f"no better model for {self._how.patience} epochs"
        if at.batch == self._order.total:  # otherwise max_steps ended it, and more steps may be wanted later
            at.epoch, at.batch = at.epoch + 1, 0
        if improved:
            self._save(BEST)
        self._save(LAST)

    def evaluate(self) -> dict[str, float]:
        """Measure the model on val; see `measures.summarise`. Empty if there is no val."""
        self.model.eval()
        scores = []
        with torch.inference_mode():
            for batch in told_plainly(self._val_loader):
                try:
                    scores += self._scored(batch)
                except (RuntimeError, MemoryError) as err:
                    if not is_out_of_memory(err):
                        raise
                    err.__traceback__ = None  # it holds the tensors that did not fit
                    raise self._too_large(batch, self._scored) from None
        return summarise(self._processes.gather(scores))

    def _scored(self, batch: Item) -> list[ClipScore]:
        moved = to_device(batch, self._processes.device, self._scaling)
        with self._arithmetic():
            prediction = self.model(moved["x"], moved["padding"], *self.model.seen(moved))
        return score_clips(prediction, moved, self._loss)

    def _step(self, batch: Item) -> dict[str, float]:
        """Take a step; return what is logged of it."""
        at = self.position
        # each step and process has numbers of its own, whatever was drawn before
        torch.manual_seed((self._params.seed * 1_000_003 + at.step) * 4096 + self._processes.rank)
        rate = self._how.lr * rate_factor(at.step, self.total, self._how)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        try:
            moved = to_device(batch, self._processes.device, self._scaling)
            losses, prediction = self._forward(self._wrapped, moved)
            if not math.isfinite(float(losses["total"].detach())):
                raise self._not_finite("loss", moved, prediction)
            self._backward(losses["total"])
            norm = nn.utils.clip_grad_norm_(self._weights, self._how.clip_norm or math.inf)
            if not self._scaler.is_enabled() and not math.isfinite(float(norm)):
                raise self._not_finite("gradient", moved, prediction)
            self._scaler.step(self._optimiser)
            self._scaler.update()
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            err.__traceback__ = None  # it holds the tensors that did not fit
            raise self._too_large(batch, self._tried) from None
        return {"lr": rate, **{("loss" if k == "total" else k): float(v.detach()) for k, v in losses.items()}}

    def _forward(self, model: nn.Module, moved: Item) -> tuple[dict[str, Tensor], Prediction]:
        with self._arithmetic():
            prediction: Prediction = model(moved["x"], moved["padding"], *self.model.taught(moved))
        return training_loss(prediction, moved, self._loss), prediction

    def _backward(self, loss: Tensor) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimiser)

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self._how.precision == "float32":
            return nullcontext()
        return torch.autocast(self._processes.device.type, _TYPES[self._how.precision])

    def _not_finite(self, what: str, batch: Item, prediction: Prediction) -> FitError:
        clips, bad = batch["clip"], []
        for i, clip in enumerate(clips):
            mine = [batch["x"][i], batch["alpha"][i], batch["alpha_std"][i]]
            mine += [part[i] for part in prediction if isinstance(part, Tensor)]
            if not all(bool(torch.isfinite(value).all()) for value in mine):
                bad.append(clip)
        named = ", ".join(f"{name} from frame {first}" for name, first in (bad or clips)[:_NAMED])
        more = len(bad or clips) - _NAMED
        where = named + (f" and {more} more" if more > 0 else "")
        kept = self._out / LAST
        return FitError(
            f"step {self.position.step + 1}: the {what} is not finite, in clips {where}; no step was taken;"
            f" {f'the weights before are in {kept}' if kept.exists() else 'there is no checkpoint yet'}; try a smaller"
            f" optimise.lr (it is {self._how.lr:g}), a clip_norm, or precision = 'float32'"
        )

    def _tried(self, batch: Item) -> None:
        losses, _ = self._forward(self.model, to_device(batch, self._processes.device, self._scaling))
        self._backward(losses["total"])

    def _too_large(self, batch: Item, attempt: Callable[[Item], Any]) -> FitError:
        self._optimiser.zero_grad(set_to_none=True)
        n = fitting_batch(batch, attempt) * self._processes.world
        return too_large(self._how.batch, n, self._processes.device, "--set optimise.batch=")

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on from here: tensors and plain values."""
        return {
            "state_dict": self.model.state_dict(),
            "optimizer": self._optimiser.state_dict(),
            "scheduler": {"name": self._how.schedule, "total": self.total},
            "scaler": self._scaler.state_dict(),
            "rng": {"seed": self._params.seed, "of": "seed, epoch and clip; seed, step and process"},
            "progress": dict(vars(self.position)),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on where a checkpoint was written; the weights have to be in the model already."""
        self._optimiser.load_state_dict(content["optimizer"])
        if content["scaler"]:
            self._scaler.load_state_dict(content["scaler"])
        self.position = Position(**content["progress"])
        at = self.position
        if at.finished and at.step < self.total:
            ended = at.finished.startswith("all steps")
            # the epoch that is to come was counted already
            if ended or not self._how.patience or at.epoch - 1 - at.best_epoch < self._how.patience:
                at.finished = ""  # more is wanted now

    def _save(self, name: str) -> None:
        if self._processes.first:
            state = self.state()
            write_checkpoint(self._out / name, {**self._content, **state, "metrics": state["progress"]["measures"]})
        self._processes.wait()


def _may_be_idle(model: Network, loss: LossParams) -> bool:
    """Say whether a head has no weight in the loss: then its parameters take no gradient, which DDP has to be told."""
    has = model.config["options"].get
    return (
        not loss.classes
        or bool(has("n_occurrence") and not loss.occurrence)
        or bool(has("aux") and not (loss.occurrence and loss.combinations))
        or bool(has("n_motion") and not (loss.mesh or loss.landmarks))
    )
