"""From a labelled run and a training file to clips and a model, with everything refused that could not work."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.evaluation.tables import counted, unlabelled_words
from au3dmm.io.event_frame_table import read_event_frame_info
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import TrainingLabels, read_training_labels, unit_order
from au3dmm.models import MODELS, Network, make_model
from au3dmm.models.appearance import ENCODERS
from au3dmm.models.au_d3dface import AUD3DFace
from au3dmm.training.checkpoints import check_labels
from au3dmm.training.clips import Clips, Part, classified_by, make_mirror, sessions_of
from au3dmm.training.framing import describe_framing
from au3dmm.training.frequencies import with_weights
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_data import MeshData, read_mesh_data
from au3dmm.training.pictures import RGB, Scaling
from au3dmm.training.rgb_frames import cached_rgb_frames
from au3dmm.training_config import Classes, LossParams, TrainParams

log = logging.getLogger(__name__)
_NAMED = 5
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Setup:
    """What a training starts from.

    Attributes
    ----------
    params : TrainParams
        As given.
    loss : LossParams
        As given, without what the model does not predict: models of coefficients are not taught coefficients; with the
        weights of units, if they follow from how often each is in train.
    labels : TrainingLabels
        The run's.
    classes : tuple of str
        What videos are classified by.
    scaling : Scaling or None
        Of frames; None for models of coefficients.
    train, val : Clips
        The parts; `val` may be empty.
    described : dict
        What a checkpoint keeps of the labels, plain.
    mesh : MeshData or None
        Of networks that refine faces.
    """

    params: TrainParams
    loss: LossParams
    labels: TrainingLabels
    classes: tuple[str, ...]
    scaling: Scaling | None
    train: Clips
    val: Clips
    described: dict[str, Any]
    mesh: MeshData | None = None

    def make_model(self) -> Network:
        """Make the model, with new weights.

        Raises
        ------
        ConfigError
            If it does not have such options, or not with these values.
        """
        model = make_model_for(self.params, self.described, self.loss)
        self.teach(model)
        return model

    def teach(self, model: Network) -> None:
        """Give a network that refines faces the matrices of these labels: after any weights that it starts from."""
        if self.mesh is not None and isinstance(model, AUD3DFace):
            self.mesh.teach(model)


def read_setup(
    run: RunFolder,
    params: TrainParams,
    *,
    cache: Path,
    dataset: Path | None = None,
    progress: Progress | None = None,
    speak: bool = True,
) -> Setup:
    """Read labels, find frames, and cut the train and val parts into clips.

    Parameters
    ----------
    run : RunFolder
        The labelled run.
    params : TrainParams
        What to train.
    cache : Path
        Where RGB frames are put, if they are wanted.
    dataset : Path, optional
        Where the raw recordings are, for RGB frames; default: the dataset that `run` is in.
    progress : callable, optional
        Called with recordings decoded and recordings in all, of RGB frames.
    speak : bool
        Whether to warn of classes and clips that are missing.

    Raises
    ------
    ConfigError
        If values do not fit these labels.
    SchemaError
        If labels or frames are missing or damaged.
    """
    if params.model not in MODELS:
        raise ConfigError(f"no model {params.model!r}; there are: {', '.join(MODELS)}")
    frames = _looks(params)
    labels = read_labels(run, params, occurrence=params.loss.occurrence > 0)
    classes = class_names(labels, params)
    of_part: dict[Part, list[int]] = {part: sessions_of(labels, part, params.data) for part in ("train", "val")}
    if not of_part["train"]:
        raise ConfigError(f"{run.path}: no recording of it is in train; expected some; see splits in the pipeline file")
    if frames and params.data.modality == "events":
        of_part = {part: with_events(labels, some, params, speak, part != "val") for part, some in of_part.items()}
    used = sorted({i for part in of_part.values() for i in part})
    mesh = read_mesh_data(labels, params.mesh, of_part["train"]) if _refines(params.model) else None
    labels = labels if mesh is None else mesh.labels
    if mesh is not None and speak:
        _warn_of_truth(mesh, of_part["train"], params)
    sources, scaling = None, None
    if frames:
        sources, scaling = find_frames(labels, used, params, cache, dataset, progress)
    mirror = make_mirror(labels, classes) if params.augment.flip else None
    if mesh is not None:
        see: dict[str, Any] = {"sources": sources, "scaling": scaling}
        how: dict[str, Any] = {"augment": params.augment, "seed": params.seed, **see}
        train: Clips = MeshClips(mesh, of_part["train"], params.data, classes, **how)
        val: Clips = MeshClips(mesh, of_part["val"], params.data, classes, **see)
    else:
        fixed = (params.data, classes, sources, scaling)
        train = Clips(labels, of_part["train"], *fixed, augment=params.augment, seed=params.seed, mirror=mirror)
        val = Clips(labels, of_part["val"], *fixed)
    described = {
        **labels.described(),
        "classes": list(classes),
        "classified_by": params.data.classes,
        "representation": None if scaling is None else scaling.described(),
        "image_px": params.data.image_px if frames else None,
        "n_frames": params.data.n_frames,
        "every": params.data.every,
        "windows": labels.metadata.get("windows"),
        "event_frames": describe_framing(labels, used, params) if frames else None,
        "fingerprint": labels.metadata.get("fingerprint"),
    }
    if mesh is not None:
        described["mesh"] = mesh.described()
    reads = MODELS[params.model].INPUT == "alpha"
    setup = Setup(params, _loss(params, train, reads), labels, classes, scaling, train, val, described, mesh)
    _check_clips(setup, speak)
    return setup


def read_part(
    run: RunFolder,
    path: Path,
    content: Mapping[str, Any],
    part: Part | None,
    *,
    cache: Path,
    dataset: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Clips, Scaling | None]:
    """Cut a part of a run into clips like those that a checkpoint was trained on, to measure its model on them.

    Parameters
    ----------
    run : RunFolder
        The labelled run, which may be another one than it was trained on.
    path, content : Path, mapping
        The checkpoint.
    part : {"train", "val", "test"} or None
        Which recordings; None: all.
    cache, dataset, progress
        As in `read_setup`.

    Returns
    -------
    clips : Clips
        Not changed at random; labels are places in the checkpoint's classes, -1 for others.
    scaling : Scaling or None
        Of frames; None for models of coefficients.

    Raises
    ------
    SchemaError
        If the labels are of another basis, number of coefficients or detector, or frames are of another kind.
    ConfigError
        If there is no recording in this part.
    """
    params, said = TrainParams.model_validate(content["config"]), content["labels"]
    labels = read_labels(run, params, occurrence=bool(said["names_occurrence"]))
    check_labels(path, content, labels.described())
    # measured is all of it, and at the true place
    data = params.data.model_copy(update={"shift": 0, "limit": 0})
    used = list(range(len(labels.sessions))) if part is None else sessions_of(labels, part, data)
    if not used:
        raise ConfigError(f"{run.path}: no recording of it is in {part}; expected some")
    if said["representation"] is not None and params.data.modality == "events":
        used = with_events(labels, used, params, speak=True)
    sources, scaling = None, None
    if said["representation"] is not None:
        sources, scaling = find_frames(labels, used, params, cache, dataset, progress)
        if scaling.described() != said["representation"]:
            raise SchemaError(
                f"{path}: trained on frames of {said['representation']}, these are {scaling.described()}; make event"
                " frames alike"
            )
    if _refines(params.model):
        mesh = read_mesh_data(labels, params.mesh, (), content)
        return MeshClips(mesh, used, data, said["classes"], sources=sources, scaling=scaling), scaling
    return Clips(labels, used, data, said["classes"], sources, scaling, whole=sources is not None), scaling


def read_labels(run: RunFolder, params: TrainParams, *, occurrence: bool) -> TrainingLabels:
    """Read the labels of a run, and what a training file classifies by."""
    return read_training_labels(
        run,
        occurrence=occurrence,
        emotions=params.data.classes.endswith("emotion"),
        occurrence_from=params.data.occurrence_from,
    )


def class_names(labels: TrainingLabels, params: TrainParams) -> tuple[str, ...]:
    """Return the classes of a run's recordings, as people count, whatever part they are in."""
    names = {classified_by(session, params.data) for session in labels.sessions}
    found = tuple(sorted((name for name in names if name), key=unit_order))
    if not found and params.loss.classes:
        raise ConfigError(
            f"{labels.run.path}: no recording says its {params.data.classes}, so there are no classes; set data.classes"
            f" to another of {', '.join(get_args(Classes))}, or loss.classes = 0 to learn coefficients alone"
        )
    return found


def with_events(
    labels: TrainingLabels, numbers: Sequence[int], params: TrainParams, speak: bool, needed: bool = True
) -> list[int]:
    """Return the recordings that have events, and name the others in one line: models of events cannot see them.

    Raises
    ------
    ConfigError
        If none has, and some are `needed`.
    """
    kept = [i for i in numbers if labels.sessions[i].has_events]
    without = [labels.sessions[i].session_id for i in numbers if not labels.sessions[i].has_events]
    if without and not kept and needed:
        raise ConfigError(
            f"{labels.run.path}: {params.model} sees events, and these recordings have none: {_some(without)}; expected"
            " recordings with [events], or data.modality = 'rgb'"
        )
    if without and speak:
        log.warning("recordings without events are left out, as %s sees events: %s", params.model, _some(without))
    return kept


def find_frames(
    labels: TrainingLabels,
    used: Sequence[int],
    params: TrainParams,
    cache: Path,
    dataset: Path | None,
    progress: Progress | None,
) -> tuple[list[Path], Scaling]:
    """Return, for each recording of the run, the table of its frames, and what is in these tables.

    Raises
    ------
    SchemaError
        If one of those that are used is missing, has another number of frames than labels, or other frames than others.
    """
    name = params.data.representation
    sources = [session.event_frames(name) for session in labels.sessions]
    missing = [i for i in used if not sources[i].is_file()]
    if missing and params.data.modality == "events":
        there = sorted({path.name.split(".")[1] for path in sources[missing[0]].parent.glob("event_frames.*.parquet")})
        raise SchemaError(
            f"{sources[missing[0]]}: no such file; {len(missing)} of {counted(len(used), 'recording')} without event"
            f" frames {name!r} (there: {', '.join(there) or 'none'}); au3dmm run makes them, with"
            f" frames.representation = {name!r}"
        )
    if params.data.modality == "rgb":
        sources = cached_rgb_frames(labels, used, cache, dataset, progress, crop=params.data.crop)
        name = RGB
    shapes: Counter[tuple[int, ...]] = Counter()
    for i in used:
        info, session = read_event_frame_info(sources[i]), labels.sessions[i]
        if info.n_frames != session.n:
            raise SchemaError(
                f"{sources[i]}: {info.n_frames} frames, but {session.n} labels; expected one for each: label it again"
            )
        shapes[info.shape] += 1
        if i == used[0]:
            kind = (info.shape[0], info.scale, info.zero)
        elif (info.shape[0], info.scale, info.zero) != kind:
            raise SchemaError(
                f"{sources[i]}: (channels, scale, zero) are {(info.shape[0], info.scale, info.zero)}, but {kind} in"
                f" {sources[used[0]]}; expected frames of one kind: run `au3dmm run` again over the whole dataset"
            )
    if len(shapes) > 1:
        log.warning("event frames of %d sizes: %s; all are resized", len(shapes), ", ".join(map(str, shapes)))
    return sources, Scaling(name, *kind)


def make_model_for(params: TrainParams, described: dict[str, Any], loss: LossParams) -> Network:
    """Make the model that a training file and labels ask for, with new weights."""
    options: dict[str, Any] = {"n_classes": max(1, len(described["classes"])), "n_frames": described["n_frames"]}
    options["n_occurrence"] = len(described["names_occurrence"]) if loss.occurrence else 0
    if described.get("mesh"):
        options |= {key: described["mesh"][key] for key in ("n_motion", "n_vertices")}
        options["n_occurrence"] = len(described["names_occurrence"])
    reads = MODELS[params.model].INPUT == "alpha"
    options["n_alpha"] = described["k_au"] if reads or loss.alpha else 0
    if described["representation"] is not None:
        options |= {"channels": described["representation"]["channels"], "image_px": described["image_px"]}
    if "units" in inspect.signature(MODELS[params.model]).parameters:  # networks that know units by name
        options["units"] = described["names_occurrence"] if loss.occurrence else []
    twice = sorted(set(options) & set(params.options))
    if twice:
        raise ConfigError(f"options.{twice[0]}: it follows from labels and data ({options[twice[0]]}); leave it out")
    try:
        return make_model(params.model, **options, **params.options)
    except ValueError as err:
        raise ConfigError(str(err)) from err


def _refines(model: str) -> bool:
    return issubclass(MODELS[model], AUD3DFace)


def _looks(params: TrainParams) -> bool:
    """Say whether a network sees frames: as all it sees, or beside coefficients."""
    if not _refines(params.model):
        return MODELS[params.model].INPUT == "frames"
    appearance = params.options.get("appearance", "none")
    if appearance == "features":
        raise ConfigError(
            "options.appearance = 'features': there are none beside labels; take an encoder of event frames:"
            f" {', '.join(name for name in ENCODERS if name not in ('none', 'features'))}"
        )
    return bool(appearance != "none")


def _warn_of_truth(mesh: MeshData, train: Sequence[int], params: TrainParams) -> None:
    if params.loss.mesh and not any(mesh.known[mesh.labels.sessions[i].rows].any() for i in train):
        log.warning(
            "loss.mesh = %g, but true motion is known of no recording in train: refined faces are not taught, only"
            " action units; rendered recordings have it in truth/<session>.json of the dataset; or say mesh.truth=DIR",
            params.loss.mesh,
        )


def _loss(params: TrainParams, train: Clips, reads: bool) -> LossParams:
    loss, labels = params.loss, train.labels
    if loss.occurrence and not labels.names_occurrence:
        raise ConfigError(
            f"loss.occurrence = {loss.occurrence:g}, but {labels.run.annotations} has neither frame_occurrence nor"
            " frame_intensity of action units; set it to 0"
        )
    loss = with_weights(loss, train)
    if not reads or not loss.alpha:
        return loss
    if not (loss.classes or loss.occurrence or loss.mesh):
        raise ConfigError(f"{params.model} reads alpha and cannot be taught it; set loss.classes or loss.occurrence")
    return loss.model_copy(update={"alpha": 0.0})


def _check_clips(setup: Setup, speak: bool) -> None:
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
        raise ConfigError(f"{setup.labels.run.path}: no clip in train has a class; expected some of {_some(never)}")
    if never and speak:
        some = "1 class never occurs" if len(never) == 1 else f"{len(never)} classes never occur"
        log.warning("%s in train and cannot be learnt: %s", some, _some(never))


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


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
