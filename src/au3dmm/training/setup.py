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
from au3dmm.evaluation.tables import counted
from au3dmm.io.event_frame_table import read_event_frame_info
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import TrainingLabels, read_training_labels, unit_order
from au3dmm.models import MODELS, Network, make_model
from au3dmm.models.au_d3dface import AUD3DFace
from au3dmm.training.checkpoints import check_labels
from au3dmm.training.clips import Clips, Part, classified_by, make_mirror, sessions_of
from au3dmm.training.framing import describe_framing
from au3dmm.training.learnt import seen_of
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_data import MeshData, read_mesh_data
from au3dmm.training.mesh_landmarks import read_landmark_rows
from au3dmm.training.pictures import RGB, Scaling
from au3dmm.training.rgb_frames import cached_rgb_frames
from au3dmm.training.setup_checks import check_clips, looks, loss_of, refines, some_of, warn_of_truth, with_units
from au3dmm.training.units import units_of_model
from au3dmm.training_config import Classes, LossParams, MeshParams, TrainParams

log = logging.getLogger(__name__)
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
    frames = looks(params)
    labels = read_labels(run, params, occurrence=params.loss.occurrence > 0 or refines(params.model))
    labels = with_units(labels, params, speak)
    classes = class_names(labels, params)
    of_part: dict[Part, list[int]] = {part: sessions_of(labels, part, params.data) for part in ("train", "val")}
    if not of_part["train"]:
        raise ConfigError(f"{run.path}: no recording of it is in train; expected some; see splits in the pipeline file")
    if frames and params.data.modality == "events":
        of_part = {part: with_events(labels, some, params, speak, part != "val") for part, some in of_part.items()}
    used = sorted({i for part in of_part.values() for i in part})
    mesh = read_mesh_data(labels, params.mesh, of_part["train"]) if refines(params.model) else None
    labels = labels if mesh is None else mesh.labels
    if mesh is not None and speak:
        warn_of_truth(mesh, of_part["train"], params)
    sources, scaling = None, None
    if frames:
        sources, scaling = find_frames(labels, used, params, cache, dataset, progress)
    mirror = make_mirror(labels, classes) if params.augment.flip else None
    if mesh is not None:
        see: dict[str, Any] = {"sources": sources, "scaling": scaling}
        see["landmarks"] = read_landmark_rows(mesh, used) if params.loss.landmarks else None
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
    loss = loss_of(params, train, reads, speak)
    described["occurrence_taught"] = bool(loss.occurrence)
    setup = Setup(params, loss, labels, classes, scaling, train, val, described, mesh)
    check_clips(setup, speak)
    return setup


def read_part(
    run: RunFolder,
    path: Path,
    content: Mapping[str, Any],
    part: Part | None,
    *,
    cache: Path,
    dataset: Path | None = None,
    all_frames: bool = False,
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
    all_frames : bool
        Whether clips are to show every frame, and not only each `data.every`-th.

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
    labels = units_of_model(labels, said["names_occurrence"])
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
    if refines(params.model):
        mesh = read_mesh_data(labels, _mesh_of(content, params, labels), (), content)
        see: dict[str, Any] = {"sources": sources, "scaling": scaling}
        return MeshClips(mesh, used, data, said["classes"], all_frames=all_frames, **see), scaling
    whole = sources is not None
    return Clips(labels, used, data, said["classes"], sources, scaling, whole=whole, all_frames=all_frames), scaling


def _mesh_of(content: Mapping[str, Any], params: TrainParams, labels: TrainingLabels) -> MeshParams:
    """Return where bases and truths of labels are; a truth that was named is that of the recordings learnt from.

    Others may have the same names: of them only the truth in their own dataset counts.
    """
    mark = labels.metadata.get("fingerprint")
    own = mark is not None and content["labels"].get("fingerprint") == mark
    if own or not params.mesh.truth or seen_of(content, labels, {s.subject_id for s in labels.sessions}).subjects:
        return params.mesh
    return params.mesh.model_copy(update={"truth": ""})


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
            f"{labels.run.path}: {params.model} sees events, and these recordings have none: {some_of(without)};"
            " expected recordings with [events], or data.modality = 'rgb'"
        )
    if without and speak:
        log.warning("recordings without events are left out, as %s sees events: %s", params.model, some_of(without))
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
