"""What a training needs is checked against its labels before anything is learnt."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from au3dmm.errors import ConfigError
from au3dmm.evaluation.tables import unlabelled_words
from au3dmm.io.training_labels import TrainingLabels
from au3dmm.models import MODELS
from au3dmm.models.appearance import ENCODERS
from au3dmm.models.au_d3dface import AUD3DFace
from au3dmm.training.clips import Clips
from au3dmm.training.frequencies import with_weights
from au3dmm.training.mesh_data import MeshData
from au3dmm.training.units import chosen_units, unknown_units
from au3dmm.training_config import LossParams, TrainParams

if TYPE_CHECKING:
    from au3dmm.training.setup import Setup

log = logging.getLogger(__name__)
_NAMED = 5


def refines(model: str) -> bool:
    """Say whether a network refines faces."""
    return issubclass(MODELS[model], AUD3DFace)


def looks(params: TrainParams) -> bool:
    """Say whether a network sees frames: as all it sees, or beside coefficients."""
    if not refines(params.model):
        return MODELS[params.model].INPUT == "frames"
    appearance = params.options.get("appearance", "none")
    if appearance == "features":
        raise ConfigError(
            "options.appearance = 'features': there are none beside labels; take an encoder of event frames:"
            f" {', '.join(name for name in ENCODERS if name not in ('none', 'features'))}"
        )
    return bool(appearance != "none")


def with_units(labels: TrainingLabels, params: TrainParams, speak: bool) -> TrainingLabels:
    """Return labels with the units that are to be recognised."""
    if refines(params.model) and not labels.names_occurrence:
        labels = unknown_units(labels, params.data.units)
        if speak:
            log.warning(
                "%s: no action unit is coded frame by frame: faces alone are learnt; of %d units the network is told"
                " one half",
                *(labels.run.annotations, len(labels.names_occurrence)),
            )
        return labels
    if params.data.units and not (params.loss.occurrence or refines(params.model)):
        raise ConfigError(
            f"data.units = {some_of(params.data.units)}, but no unit is learnt: set loss.occurrence above 0, or leave"
            " data.units out"
        )
    return chosen_units(labels, params.data.units) if labels.names_occurrence else labels


def warn_of_truth(mesh: MeshData, train: Sequence[int], params: TrainParams) -> None:
    """Warn where faces are to be taught, and no true motion of them is known."""
    if params.loss.mesh and not any(mesh.known[mesh.labels.sessions[i].rows].any() for i in train):
        taught = "taught by landmarks alone" if params.loss.landmarks else "not taught, only action units"
        hint = "" if params.loss.landmarks else "; loss.landmarks teaches faces without it"
        log.warning(
            "loss.mesh = %g, but true motion is known of no recording in train: refined faces are %s; rendered"
            " recordings have it in truth/<session>.json of the dataset; or say mesh.truth=DIR%s",
            *(params.loss.mesh, taught, hint),
        )


def loss_of(params: TrainParams, train: Clips, reads: bool, speak: bool) -> LossParams:
    """Return the loss: weights of units added, what these labels or a network that `reads` alpha cannot teach left out.

    Raises
    ------
    ConfigError
        If there is nothing to learn.
    """
    loss, labels = params.loss, train.labels
    if loss.occurrence and refines(params.model) and not np.isfinite(labels.occurrence).any():
        loss = loss.model_copy(update={"occurrence": 0.0})  # nobody said: see with_units
        if not (loss.classes or loss.mesh or loss.landmarks):
            raise ConfigError(
                f"{labels.run.annotations}: no action unit is coded frame by frame, and loss.classes, loss.mesh and"
                " loss.landmarks are 0: there is nothing to learn; set loss.mesh above 0, for recordings whose true"
                " motion is known, or loss.landmarks"
            )
    if loss.occurrence and not labels.names_occurrence:
        raise ConfigError(
            f"loss.occurrence = {loss.occurrence:g}, but {labels.run.annotations} has neither frame_occurrence nor"
            " frame_intensity of action units; set it to 0"
        )
    loss = with_weights(loss, train, speak=speak)
    if not reads or not loss.alpha:
        return loss
    if not (loss.classes or loss.occurrence or loss.mesh or loss.landmarks):
        raise ConfigError(f"{params.model} reads alpha and cannot be taught it; set loss.classes or loss.occurrence")
    return loss.model_copy(update={"alpha": 0.0})


def check_clips(setup: Setup, speak: bool) -> None:
    """Refuse clips from which nothing can be learnt, or by which no model can be chosen; warn of those left out."""
    train, params = setup.train, setup.params
    for part, clips in (("train", train), ("val", setup.val)):
        if clips.unlabelled and speak:
            name, first = clips.unlabelled[0]
            log.warning(
                "%s: %s, the first: %s from frame %d",
                *(part, unlabelled_words(len(clips.unlabelled), "clip"), name, first),
            )
    if not len(train):
        raise ConfigError(
            f"{setup.labels.run.path}: none of the {len(train.unlabelled)} clips in train has a frame with a label;"
            " look at report.html for why, and label again"
        )
    if params.optimise.patience and not len(setup.val):
        raise ConfigError(
            f"optimise.patience = {params.optimise.patience}, but val is empty; set it to 0, or label with"
            " splits.val > 0"
        )
    _check_monitor(setup)
    if not setup.loss.classes:
        return
    seen = Counter(train.label_of(i) for i in range(len(train)))
    never = [name for i, name in enumerate(setup.classes) if not seen[i]]
    if len(never) == len(setup.classes):
        raise ConfigError(f"{setup.labels.run.path}: no clip in train has a class; expected some of {some_of(never)}")
    if never and speak:
        some = "1 class never occurs" if len(never) == 1 else f"{len(never)} classes never occur"
        log.warning("%s in train and cannot be learnt: %s", some, some_of(never))


def _check_monitor(setup: Setup) -> None:
    """Refuse to choose the best model by what it is not taught, or by what val does not know."""
    monitor, val = setup.params.optimise.monitor, setup.val
    taught = {"accuracy": "classes", "f1": "occurrence"}
    if monitor != "loss" and not getattr(setup.loss, taught.get(monitor, monitor)):
        raise ConfigError(f"optimise.monitor = {monitor!r}, which {setup.params.model} is not taught here; take 'loss'")
    if monitor == "accuracy" and len(val) and all(val.label_of(i) < 0 for i in range(len(val))):
        raise ConfigError("optimise.monitor = 'accuracy', but no recording in val has a class; take 'loss'")
    if monitor == "f1" and len(val) and not any(_occurs(val, place, setup.params) for place in val.places):
        raise ConfigError(
            "optimise.monitor = 'f1', but no action unit is coded as there in any frame of val; take 'loss'"
        )


def _occurs(clips: Clips, place: tuple[int, int, int], params: TrainParams) -> bool:
    """Say whether an action unit is coded as there in a frame of a clip."""
    (i, first, count), every = place, params.data.every
    start = clips.labels.sessions[i].first + first
    return bool((clips.labels.occurrence[start : start + (count - 1) * every + 1 : every] > 0).any())


def some_of(names: Sequence[str]) -> str:
    """Return names, of many the first ones and how many more."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
