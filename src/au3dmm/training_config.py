"""What changes a trained model: one frozen set of values, and the file that holds them.

How training is run (device, loader processes, folders) is kept out of here.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import tomli
from pydantic import BaseModel, Field, field_validator, model_validator

from au3dmm.config import Params, read_toml, validate_toml
from au3dmm.errors import ConfigError

FORM = "form"
Classes = Literal["au", "task", "emotion", "reported_emotion"]


class DataParams(Params):
    """Which clips a model sees."""

    modality: Literal["events", "rgb"] = Field(
        "events",
        description="What models of frames see: event frames, or the RGB frames nearest to them. Models of coefficients"
        " see the labels.",
    )
    representation: str = Field("polarity", description="Which event frames: event_frames.<representation>.parquet.")
    n_frames: int = Field(75, ge=1, description="Frames of a clip (the paper: 75, 2.5 s).")
    every: int = Field(1, ge=1, description="Take every n-th event frame: a clip then spans n times as long.")
    stride: int = Field(0, ge=0, description="Event frames between the starts of clips; 0 = as far as a clip spans.")
    image_px: int = Field(224, ge=8, description="Side of the square that models see, px.")
    classes: Classes = Field(
        "au",
        description="What videos are classified by: session.toml's au or task, or its [[annotations]] of the whole"
        " recording with vocabulary emotion: the one asked for (emotion), or reported by the subject.",
    )
    occurrence_from: float = Field(
        2,
        gt=0,
        le=5,
        description="Intensity (0 to 5) from which on an action unit counts as there, in recordings where people coded"
        " its intensity and not its occurrence (DISFA).",
    )
    crop: Literal["centre", "face"] = Field(
        "centre",
        description="modality = 'rgb': the centred square of the frame, or the square around the face's landmarks.",
    )
    fold: int | None = Field(None, ge=0, description="k-fold: the fold to test on; the next is val, the others train.")
    fold_val: bool = Field(
        True,
        description="k-fold: whether the fold after the tested one is val; false: it is train, too, and val empty.",
    )
    shift: int = Field(
        0,
        description="Learn from, and choose by, labels of so many event frames later: what a wrong clock does. Not in"
        " `evaluate`.",
    )
    limit: int = Field(0, ge=0, description="Only so many recordings of each part, spread evenly; 0 = all.")
    units: tuple[str, ...] = Field(
        (), description="Action units to recognise frame by frame, as the labels name them; empty = all that are coded."
    )

    @field_validator("units", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        """Let ``--set units=AU1,AU12`` name several."""
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("units")
    @classmethod
    def _once(cls, units: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for i, name in enumerate(units) if name in units[:i]]
        if twice:
            raise ValueError(f"unit {twice[0]} stands twice, expected each unit once")
        return units

    @property
    def span(self) -> int:
        """Event frames from the first of a clip to its last, both counted."""
        return (self.n_frames - 1) * self.every + 1


class AugmentParams(Params):
    """Changes of training clips, the same for all frames of a clip."""

    crop_min: float = Field(0.8, gt=0, le=1, description="Random crops have at least this share of the area.")
    flip: float = Field(0.0, ge=0, le=1, description="Share of clips that are mirrored, with their labels.")
    contrast: float = Field(0.0, ge=0, lt=1, description="Values are multiplied by 1 - c to 1 + c.")
    brightness: float = Field(0.0, ge=0, lt=1, description="Values are raised by -b to b, of the whole range.")
    event_dropout: float = Field(0.0, ge=0, lt=1, description="Up to this share of pixels loses its events.")


class LossParams(Params):
    """Cross entropy of the video's class + alpha * mean squared error of the coefficients + occurrence * binary."""

    classes: float = Field(1.0, ge=0, description="Weight of the video's class.")
    alpha: float = Field(1.0, ge=0, description="Weight of the coefficients, lambda in the paper (sec. 6); 0 = none.")
    alpha_by_std: bool = Field(False, description="Weigh squared errors by 1 / (alpha_au_std^2 + std_floor^2).")
    std_floor: float = Field(0.25, gt=0, description="alpha_by_std: so small a deviation counts as exact.")
    occurrence: float = Field(0.0, ge=0, description="Weight of action units coded frame by frame; 0 = none.")
    occurrence_form: Literal["binary", "asymmetric"] = Field(
        "binary",
        description="binary: cross entropy. asymmetric: MDHR's, rare units weigh more, what is absent and known to be"
        " so weighs little.",
    )
    occurrence_weights: tuple[float, ...] = Field(
        (), description="asymmetric: weight of each unit, in their order; empty = from how often they are in train."
    )
    occurrence_weight_cap: float = Field(
        0.0,
        ge=0,
        description="asymmetric: no weight from frequencies is more than so many times that of the unit in the middle;"
        " 0 = as they come.",
    )
    combinations: float = Field(
        0.01,
        ge=0,
        description="Weight of combinations of units in parts of the face, of networks that tell them.",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Of the video's class.")
    mesh: float = Field(0.0, ge=0, description="au_d3dface: weight of true motion, per mm^2, where it is known.")
    landmarks: float = Field(
        0.0,
        ge=0,
        description="au_d3dface: weight of the distance of projected from found landmarks, outer eye distances. Faces"
        " that were fitted to the same landmarks gain nothing (docs/au_d3dface.md).",
    )
    smooth: float = Field(0.0, ge=0, description="au_d3dface: weight of the temporal embeddings' change per frame.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.classes or self.alpha or self.occurrence or self.mesh or self.landmarks):
            raise ValueError("weights classes, alpha, occurrence, mesh and landmarks are all 0; expected one above")
        if 0 < self.occurrence_weight_cap < 1:
            raise ValueError(
                f"occurrence_weight_cap is {self.occurrence_weight_cap:g}, expected at least 1, or 0 for none"
            )
        if not all(weight > 0 and math.isfinite(weight) for weight in self.occurrence_weights):
            raise ValueError(f"occurrence_weights is {list(self.occurrence_weights)}, expected numbers above 0")
        return self


class OptimiseParams(Params):
    """How weights are found."""

    optimiser: Literal["adamw", "adam", "sgd"] = Field("adamw", description="The paper: adam; its code: adamw.")
    lr: float = Field(1e-4, gt=0, description="Largest learning rate.")
    weight_decay: float = Field(1e-3, ge=0)
    batch: int = Field(12, ge=1, description="Clips of a step, over all processes together.")
    epochs: int = Field(50, ge=1, description="Times that every training clip is seen.")
    max_steps: int = Field(0, ge=0, description="Stop after so many steps; 0 = when the epochs are over.")
    schedule: Literal["constant", "cosine"] = Field("constant", description="Learning rate after the warm-up.")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate rises from 0.")
    clip_norm: float = Field(1.0, ge=0, description="Gradients are shortened to this norm; 0 = never.")
    precision: Literal["float32", "bf16", "fp16"] = Field("float32", description="Of the network's arithmetic.")
    patience: int = Field(0, ge=0, description="Stop after so many epochs without a better model; 0 = never.")
    monitor: Literal["accuracy", "alpha", "f1", "loss"] = Field(
        "accuracy", description="What is better: measured on val. f1: of frames, mean over action units."
    )


class MeshParams(Params):
    """Of networks that refine faces (au_d3dface)."""

    bases: str = Field("", description="Basis that the labels were made with; empty: it is found by itself.")
    truth: str = Field("", description="Folder of true motion, <session>.json; empty: truth in the dataset, if any.")
    truth_bases: str = Field("", description="Basis that was rendered; empty: the shipped.")
    n_motion: int = Field(64, ge=1, description="Dimensions of the space that faces move in.")


class TrainParams(Params):
    """A training file: values, never code."""

    model: str = Field("st_vit", description="Which network (au3dmm.models.MODELS).")
    seed: int = Field(0, ge=0, lt=1 << 31, description="Of weights, order, augmentation and dropout.")
    options: dict[str, Any] = Field(default_factory=dict, description="The network's own options.")
    data: DataParams = DataParams()
    augment: AugmentParams = AugmentParams()
    loss: LossParams = LossParams()
    optimise: OptimiseParams = OptimiseParams()
    mesh: MeshParams = MeshParams()


MeshMetric = Literal[
    "vertex_rms_mm", "surface_mean_mm", "surface_sd_mm", "jitter_mm", "jitter_of_error_mm", "jitter_at_rest_mm"
]
OverallMetric = Literal[
    "top1", "top3", "top5", "macro_f1", "alpha_mse", "alpha_rmse", "alpha_explained", "f1", "occurrence_auc"
]
Metric = Literal[OverallMetric, MeshMetric]


class RunParams(Params):
    """One row of the table."""

    name: str = Field(description="What the row is called.")
    model: str = Field(description="Which network.")
    values: dict[str, Any] = Field(default_factory=dict, description="Sections of a training file, over `base`.")
    reduced: dict[str, Any] = Field(default_factory=dict, description="Over everything, with --reduced.")
    init: str | None = Field(None, description="Name of an earlier run whose weights it starts from; --init wins.")
    pipeline: str | None = Field(None, description="Which run of the dataset; None = the one that --labels means.")
    dataset: str | None = Field(None, description="What --also calls the dataset it learns from; None = --labels.")
    table: bool = Field(True, description="Whether it is measured; False: it is trained for the weights alone.")
    paper: dict[Metric, float] = Field(default_factory=dict, description="What the paper reports.")


class ExperimentParams(Params):
    """An experiment file: values, never code."""

    title: str
    source: str = Field("", description="Where the paper has it.")
    note: str = Field("", description="What to know of it, printed below the table.")
    split: Literal["val", "test"] = "test"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    metrics: tuple[Metric, ...] = Field(("top1", "top3", "top5"), min_length=1)
    classes: bool = Field(False, description="Whether a table of each class follows.")
    controls: dict[str, str] = Field(
        default_factory=dict,
        description="Of networks that refine faces: rows of faces that other pipelines fitted, and their pipelines.",
    )
    base: dict[str, Any] = Field(default_factory=dict, description="Sections of a training file, for all runs.")
    reduced: dict[str, Any] = Field(default_factory=dict, description="Over base and runs, with --reduced.")
    runs: tuple[RunParams, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [run.name for run in self.runs]
        if set(self.controls) & {*names, "coarse", "smoothed", "refined"}:
            raise ValueError("a control is called like a run, or coarse, smoothed or refined; call it otherwise")
        if not any(run.table for run in self.runs):
            raise ValueError("no run is a row of the table; expected table = true in one")
        if len(set(map(folder_name, names))) < len(names):
            raise ValueError("two runs have the same name, or nearly")
        for i, run in enumerate(self.runs):
            if run.init is not None and run.init not in names[:i]:
                raise ValueError(f"run {run.name!r} begins with {run.init!r}, which is no run before it")
        return self


def folder_name(name: str) -> str:
    """Return a name that folders may have.

    Examples
    --------
    >>> folder_name("ResNet18+LSTM, events")
    'resnet18-lstm-events'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"


def load_training(path: Path | None, changes: Sequence[str] = (), model: str | None = None) -> TrainParams:
    """Read a training file (TOML) over the defaults.

    A file may have two forms: with ``form = "reduced"`` the values below ``[reduced]`` win over its others (small
    enough for a CPU), with ``form = "full"`` they are left out.

    Parameters
    ----------
    path : Path or None
        The file; None means the defaults.
    changes : sequence of str
        ``key=value`` that win over the file: ``optimise.lr=1e-3``; the section may be left out where the name is in one
        section only (``lr=1e-3``).
    model : str, optional
        The network, which wins over the file's.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, or a name or value in it or in `changes` is wrong.
    """
    where = path or Path("--set" if changes else "defaults")
    parsed = [_parsed(change) for change in changes]
    asked = next((value for name, value in reversed(parsed) if name == FORM), None)
    data = _formed(where, {} if path is None else read_toml(path), asked)
    for name, value in parsed:
        if name == FORM:
            continue
        section, key = _place(name)
        if section is None:
            data[key] = value
        else:
            given = data.get(section, {})
            data[section] = {**(given if isinstance(given, dict) else {}), key: value}
    if model is not None:
        data["model"] = model
    return validate_toml(TrainParams, data, where)


def _formed(path: Path, data: dict[str, Any], asked: object) -> dict[str, Any]:
    """Return the values of the form that is asked for, or else the one that the file says."""
    rest = {key: value for key, value in data.items() if key not in (FORM, "reduced")}
    form = data.get(FORM, "full") if asked is None else asked
    if form not in ("full", "reduced"):
        raise ConfigError(f"{path}: form = {form!r}, expected 'full' or 'reduced'")
    small = data.get("reduced")
    if small is None:
        if form == "reduced":
            raise ConfigError(f"{path}: form = 'reduced', but there is no [reduced] that says what is smaller")
        return rest
    if not isinstance(small, dict):
        raise ConfigError(f"{path}: reduced = {small!r}, expected sections such as [reduced.data]")
    joined = merged(rest, small)
    validate_toml(TrainParams, joined, path)  # a slip in the form that is not used is a slip all the same
    return joined if form == "reduced" else rest


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with others over them, section by section.

    Examples
    --------
    >>> merged({"data": {"n_frames": 75, "every": 1}}, {"data": {"every": 2}, "model": "i3d"})
    {'data': {'n_frames': 75, 'every': 2}, 'model': 'i3d'}
    """
    both = dict(values)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if nested else value
    return both


def _parsed(change: str) -> tuple[str, Any]:
    name, equals, text = change.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {change!r}: expected key=value, such as optimise.batch=8")
    try:
        value = tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        value = text.strip()  # a word without quotes
    return name.strip(), value


def _place(name: str) -> tuple[str | None, str]:
    """Return the section and the key that a name in ``--set`` means.

    Examples
    --------
    >>> _place("batch"), _place("data.every"), _place("seed"), _place("options.dim")
    (('optimise', 'batch'), ('data', 'every'), (None, 'seed'), ('options', 'dim'))
    """
    fields = TrainParams.model_fields
    sections = {
        key: field.annotation.model_fields
        for key, field in fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    section, dot, key = name.rpartition(".")
    if dot:
        if section in sections or section == "options":
            return section, key
        raise ConfigError(f"--set {name}: no section {section!r}; there are: {', '.join([*sections, 'options'])}")
    if key in fields and key not in (*sections, "options"):
        return None, key
    having = [section for section, names in sections.items() if key in names]
    if len(having) == 1:
        return having[0], key
    if having:
        raise ConfigError(f"--set {key}: in {' and in '.join(having)}; say which: {having[0]}.{key}")
    known = sorted({*(n for names in sections.values() for n in names), "model", "seed"})
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known names: {', '.join(known)}, options.<name>"
    raise ConfigError(f"--set {key}: unknown name: {hint}")
