"""A trained model on a part of a run: what it says of each recording, and how good that is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.regression import stack_sums, sum_frames
from au3dmm.evaluation.summary import Outcome
from au3dmm.io.run_folder import RunFolder
from au3dmm.models import Network, Prediction
from au3dmm.training.checkpoints import model_of, read_checkpoint
from au3dmm.training.clips import Clips, Part, classified_by
from au3dmm.training.loading import make_loader, to_device, told_plainly
from au3dmm.training.order import Batches
from au3dmm.training.processes import started_processes
from au3dmm.training.setup import read_part
from au3dmm.training_config import TrainParams

log = logging.getLogger(__name__)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Trained:
    """A checkpoint, ready to be used.

    Attributes
    ----------
    model : Network
        With its weights, in evaluation mode, on the CPU.
    params : TrainParams
        What it was trained with.
    classes : tuple of str
        What it tells apart.
    content : mapping
        All of the checkpoint.
    """

    model: Network
    params: TrainParams
    classes: tuple[str, ...]
    content: Mapping[str, Any]


def read_trained(path: Path) -> Trained:
    """Read a checkpoint and make its model.

    Raises
    ------
    SchemaError
        If it is no checkpoint, or its values are none that this version knows.
    """
    content = read_checkpoint(path)
    model = model_of(path, content)
    try:
        params = TrainParams.model_validate(content["config"])
    except ValueError as err:
        raise SchemaError(f"{path}: trained with values that this au3dmm does not know: {_line(err)}") from err
    model.eval()
    return Trained(model, params, tuple(content["labels"].get("classes") or ()), content)


def evaluate(
    checkpoint: Path,
    run: RunFolder,
    part: Part = "test",
    *,
    device: str = "auto",
    workers: int = 0,
    batch: int = 0,
    cache: Path | None = None,
    dataset: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Outcome, Trained]:
    """Ask a model about every recording of a part.

    A recording is cut into clips as in training, without augmentation. Its class is judged by the mean of its clips'
    log probabilities; coefficients of a frame that several clips show are averaged. Of frames that have no label the
    class counts all the same; models of coefficients cannot say anything of a recording without any, and a warning
    says how many those are. Another warning is given if the labels, or who is in which part, have changed since the
    model was trained: it may know who it is asked about.

    Parameters
    ----------
    checkpoint : Path
        A file of `au3dmm train`.
    run : RunFolder
        Labelled with the same basis.
    part : {"train", "val", "test"}
        Which recordings.
    device, workers
        As in `train`.
    batch : int
        Clips at a time; 0 = as in training. It changes nothing but speed.
    cache : Path, optional
        Where decoded RGB frames are, or go; default: `rgb_cache`.
    dataset : Path, optional
        Where the raw recordings are, for RGB frames.
    progress : callable, optional
        Called with clips done and clips in all.

    Raises
    ------
    ConfigError
        If the part is empty, or the labels are not those that the model was trained for.
    SchemaError
        If a file is missing or damaged.
    """
    trained = read_trained(checkpoint)
    cache = cache or rgb_cache(run, checkpoint.parent)
    clips, scaling = read_part(run, checkpoint, trained.content, part, cache=cache, dataset=dataset)
    if not len(clips):
        raise ConfigError(f"{run.path}: no clip in {part} has a frame with a label; look at report.html for why")
    _warn(checkpoint, run, part, trained, clips)
    size = batch or trained.params.optimise.batch
    heard, done = _Heard(trained, clips), 0
    with started_processes(device) as processes, torch.inference_mode():
        trained.model.to(processes.device)
        order = Batches(len(clips), size, seed=0, shuffle=False)
        for some in told_plainly(make_loader(clips, order, workers)):
            moved = to_device(some, processes.device, scaling)
            heard.take(some, trained.model(moved["x"], moved["padding"]))
            done += len(some["clip"])
            if progress is not None:
                progress(done, len(clips))
    return heard.outcome(), trained


def rgb_cache(run: RunFolder, folder: Path) -> Path:
    """Return where RGB frames are decoded to, for models in a folder: in a run, where `forget` removes them."""
    return run.state / "rgb" if run.path.resolve() in folder.resolve().parents else folder / "cache" / "rgb"


def same_labels(trained: Trained, clips: Clips) -> bool:
    """Say whether these are the labels, with the splits, that the model was trained on."""
    return bool(trained.content["labels"].get("fingerprint") == clips.labels.metadata.get("fingerprint"))


def _warn(checkpoint: Path, run: RunFolder, part: Part, trained: Trained, clips: Clips) -> None:
    if part != "train" and not same_labels(trained, clips):
        log.warning(
            "%s: trained on other labels than those in %s now, or on another split of them: it may have learnt from"
            " recordings that are in %s now, and numbers then are too good",
            *(checkpoint, run.path, part),
        )
    asked = {clips.session_of(i) for i in range(len(clips))}
    left_out = sorted({name for name, _ in clips.unlabelled} - asked)
    if left_out:
        log.warning(
            "%d recordings have no frame with a label and are left out, the first: %s", len(left_out), left_out[0]
        )


class _Heard:
    """What a model said so far, per recording."""

    def __init__(self, trained: Trained, clips: Clips) -> None:
        self._labels, self._trained, self._clips = clips.labels, trained, clips
        self._chances: dict[int, list[NDArray[np.float64]]] = {}
        self._alpha: dict[int, NDArray[np.float64]] = {}
        self._times: dict[int, NDArray[np.int64]] = {}

    def take(self, batch: Mapping[str, Any], prediction: Prediction) -> None:
        chances = torch.log_softmax(prediction.logits.double(), -1).cpu().numpy()
        alpha = None if prediction.alpha is None else prediction.alpha.double().cpu().numpy()
        every = self._trained.params.data.every
        for i, number in enumerate(batch["number"].tolist()):
            session, first, count = self._clips.places[number]
            self._chances.setdefault(session, []).append(chances[i])
            if alpha is None:
                continue
            n = self._labels.sessions[session].n
            if session not in self._alpha:
                self._alpha[session] = np.zeros((n, alpha.shape[2]))
                self._times[session] = np.zeros(n, np.int64)
            rows = slice(first, first + (count - 1) * every + 1, every)
            self._alpha[session][rows] += alpha[i, alpha.shape[1] - count :]
            self._times[session][rows] += 1

    def outcome(self) -> Outcome:
        labels, classes = self._labels, self._trained.classes
        place = {name: i for i, name in enumerate(classes)}
        numbers = sorted(self._chances)
        some = [labels.sessions[i] for i in numbers]
        sums = None
        if self._alpha:
            parts = []
            for i, session in zip(numbers, some, strict=True):
                seen = self._times[i] > 0
                alpha = self._alpha[i] / np.maximum(self._times[i], 1)[:, None]
                parts.append(sum_frames(labels.alpha[session.rows], alpha, labels.valid[session.rows] & seen))
            sums = stack_sums(parts)
        probabilities = None
        if classes and self._trained.params.loss.classes:
            mean = np.array([np.mean(self._chances[i], axis=0) for i in numbers])
            mean = np.exp(mean - mean.max(1, keepdims=True))
            probabilities = mean / mean.sum(1, keepdims=True)
        data = self._trained.params.data
        return Outcome(
            tuple(s.session_id for s in some),
            tuple(s.subject_id for s in some),
            classes,
            np.array([place.get(str(classified_by(s, data)), -1) for s in some], np.int64),
            probabilities,
            sums,
        )


def _line(err: Exception) -> str:
    return " ".join(str(err).split())[:160]
