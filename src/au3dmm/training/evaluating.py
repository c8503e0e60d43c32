"""A trained model on a part of a run: what it says of each recording, and how good that is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.occurrence import Occurrence, as_codes
from au3dmm.evaluation.pooling import pool
from au3dmm.evaluation.regression import AlphaSums, stack_sums, sum_frames
from au3dmm.evaluation.summary import Outcome
from au3dmm.evaluation.tables import unlabelled_words
from au3dmm.io.run_folder import RunFolder
from au3dmm.models import Network, Prediction
from au3dmm.training.checkpoints import model_of, read_checkpoint
from au3dmm.training.clips import Clips, Item, Part, class_place
from au3dmm.training.learnt import Seen, seen_of
from au3dmm.training.loading import make_loader, to_device, told_plainly
from au3dmm.training.memory import fitting_batch, is_out_of_memory, too_large
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
    seen : Seen or None
        Which of the people it was asked about it has learnt from; None before it was asked.
    """

    model: Network
    params: TrainParams
    classes: tuple[str, ...]
    content: Mapping[str, Any]
    seen: Seen | None = None


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
    log probabilities; coefficients, and probabilities of action units, of a frame that several clips show are averaged.
    A model that tells action units is asked about every frame, even if its clips take each ``data.every``-th: so F1 is
    over the same frames whatever a model was trained on.
    Of frames that have no label the class counts all the same, and so does what coders said of them; models of
    coefficients cannot say anything of a recording without any, and a warning says how many those are. Another warning
    says how many of the people asked about the model has learnt from, and is given if that cannot be told and the
    labels, or who is in which part, have changed since it was trained.

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
    FitError
        If memory runs out.
    """
    trained = read_trained(checkpoint)
    cache = cache or rgb_cache(run, checkpoint.parent)
    clips, scaling = read_part(
        run, checkpoint, trained.content, part, cache=cache, dataset=dataset, all_frames=tells_units(trained)
    )
    if not len(clips):
        raise ConfigError(f"{run.path}: no clip in {part} has a frame with a label; look at report.html for why")
    people = {clips.labels.sessions[place[0]].subject_id for place in clips.places}
    trained = replace(trained, seen=seen_of(trained.content, clips.labels, people))
    _warn(checkpoint, run, part, trained, clips)
    size = batch or trained.params.optimise.batch
    heard, done = _Heard(trained, clips), 0
    with started_processes(device) as processes, torch.inference_mode():
        trained.model.to(processes.device)
        order = Batches(len(clips), size, seed=0, shuffle=False)

        def said(some: Item) -> Prediction:
            moved = to_device(some, processes.device, scaling)
            prediction: Prediction = trained.model(moved["x"], moved["padding"], *trained.model.seen(moved))
            return prediction

        for some in told_plainly(make_loader(clips, order, workers)):
            try:
                heard.take(some, said(some))
            except (RuntimeError, MemoryError) as err:
                if not is_out_of_memory(err):
                    raise
                err.__traceback__ = None  # it holds the tensors that did not fit
                raise too_large(size, fitting_batch(some, said), processes.device, "--batch ") from None
            done += len(some["clip"])
            if progress is not None:
                progress(done, len(clips))
    return heard.outcome(), trained


def evaluate_folds(
    checkpoints: Sequence[Path], run: RunFolder, part: Part = "test", **options: Any
) -> tuple[Outcome, list[tuple[Outcome, Trained]]]:
    """Ask each of several models about its own part of a run, and put the answers together.

    Parameters
    ----------
    checkpoints : sequence of Path
        Trained on the same run with different ``data.fold``.
    run, part, options
        See `evaluate`.

    Returns
    -------
    outcome : Outcome
        Of all of them, as if one model had answered.
    each : list of (Outcome, Trained)
        In order.

    Raises
    ------
    ConfigError
        If two of them are asked about one person, or they tell different things.
    """
    each = [evaluate(path, run, part, **options) for path in checkpoints]
    try:
        return pool([outcome for outcome, _ in each], list(map(str, checkpoints))), each
    except ValueError as err:
        raise ConfigError(str(err)) from err


def rgb_cache(run: RunFolder, folder: Path) -> Path:
    """Return where RGB frames are decoded to, for models in a folder: in a run, where `forget` removes them."""
    return run.state / "rgb" if run.path.resolve() in folder.resolve().parents else folder / "cache" / "rgb"


def tells_units(trained: Trained) -> bool:
    """Say whether a model was taught to tell action units frame by frame."""
    taught = trained.content["labels"].get("occurrence_taught")  # older checkpoints do not say
    return bool(trained.params.loss.occurrence if taught is None else taught)


def same_labels(trained: Trained, clips: Clips) -> bool:
    """Say whether these are the labels, with the splits, that the model was trained on."""
    return bool(trained.content["labels"].get("fingerprint") == clips.labels.metadata.get("fingerprint"))


def _warn(checkpoint: Path, run: RunFolder, part: Part, trained: Trained, clips: Clips) -> None:
    seen = trained.seen
    if part != "train" and seen is not None and seen.subjects:
        log.warning(
            "%s: has learnt from %d of the %d people in %s of %s: numbers are too good for people it does not know",
            *(checkpoint, len(seen.subjects), seen.asked, part, run.path),
        )
    elif part != "train" and (seen is None or not seen.whole) and not same_labels(trained, clips):
        log.warning(
            "%s: trained on other labels than those in %s now, or on another split of them: it may have learnt from"
            " recordings that are in %s now, and numbers then are too good",
            *(checkpoint, run.path, part),
        )
    asked = {clips.session_of(i) for i in range(len(clips))}
    left_out = sorted({name for name, _ in clips.unlabelled} - asked)
    if left_out:
        log.warning("%s, the first: %s", unlabelled_words(len(left_out), "recording"), left_out[0])


class _Frames:
    """Values of frames, averaged over the clips that show them, of recordings by number."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._times: dict[int, NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        return bool(self._sums)

    def add(self, session: int, n: int, first: int, values: NDArray[np.float64]) -> None:
        """Take what a clip says of its frames (count, K), in a recording of n frames."""
        if session not in self._sums:
            self._sums[session], self._times[session] = np.zeros((n, values.shape[1])), np.zeros(n, np.int64)
        rows = slice(first, first + (len(values) - 1) * self._every + 1, self._every)
        self._sums[session][rows] += values
        self._times[session][rows] += 1

    def mean(self, session: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the averages (n, K), and whether any clip showed the frame (n,)."""
        times = self._times[session]
        return self._sums[session] / np.maximum(times, 1)[:, None], times > 0


class _Heard:
    """What a model said so far, per recording."""

    def __init__(self, trained: Trained, clips: Clips) -> None:
        self._labels, self._trained, self._clips = clips.labels, trained, clips
        self._chances: dict[int, list[NDArray[np.float64]]] = {}
        every = trained.params.data.every
        self._alpha, self._units = _Frames(every), _Frames(every)

    def take(self, batch: Mapping[str, Any], prediction: Prediction) -> None:
        chances = torch.log_softmax(prediction.logits.double(), -1).cpu().numpy()
        alpha = None if prediction.alpha is None else prediction.alpha.double().cpu().numpy()
        units = None
        if prediction.occurrence is not None and tells_units(self._trained):
            units = torch.sigmoid(prediction.occurrence.double()).cpu().numpy()
        for i, number in enumerate(batch["number"].tolist()):
            session, first, count = self._clips.places[number]
            self._chances.setdefault(session, []).append(chances[i])
            for frames, values in ((self._alpha, alpha), (self._units, units)):
                if values is not None:
                    frames.add(session, self._labels.sessions[session].n, first, values[i, values.shape[1] - count :])

    def outcome(self) -> Outcome:
        labels, classes = self._labels, self._trained.classes
        numbers = sorted(self._chances)
        some = [labels.sessions[i] for i in numbers]
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
            np.array([class_place(classes, s, data) for s in some], np.int64),
            probabilities,
            self._alpha_sums(numbers) if self._alpha else None,
            self._occurrence(numbers) if self._units else None,
        )

    def _alpha_sums(self, numbers: Sequence[int]) -> AlphaSums:
        parts = []
        for i in numbers:
            rows, (alpha, seen) = self._labels.sessions[i].rows, self._alpha.mean(i)
            parts.append(sum_frames(self._labels.alpha[rows], alpha, self._labels.valid[rows] & seen))
        return stack_sums(parts)

    def _occurrence(self, numbers: Sequence[int]) -> Occurrence:
        """Return what was said of the model's units in frames where one of them was coded; labels may know others."""
        names = tuple(self._trained.content["labels"]["names_occurrence"])
        column = {name: k for k, name in enumerate(self._labels.names_occurrence)}
        video, truth, said = [], [], []
        for place, i in enumerate(numbers):
            units, seen = self._units.mean(i)
            coded = np.full(units.shape, -1, np.int8)
            for k, name in enumerate(names):
                if name in column:
                    coded[:, k] = as_codes(self._labels.occurrence[self._labels.sessions[i].rows, column[name]])
            rows = seen & (coded >= 0).any(1)
            video.append(np.full(int(rows.sum()), place))
            truth.append(coded[rows])
            said.append(units[rows])
        return Occurrence(names, np.concatenate(video), np.concatenate(truth), np.concatenate(said))


def _line(err: Exception) -> str:
    return " ".join(str(err).split())[:160]
