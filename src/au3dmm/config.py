"""What changes results: one frozen model per stage, and the pipeline file that holds them.

How we run (workers, device, log level) is kept out of here, so that it recomputes nothing.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from au3dmm.errors import ConfigError, os_reason

Preset = Literal["robust", "paper"]
Points = Literal["ibug68", "dense"]
T = TypeVar("T", bound=BaseModel)

# What the published method (FACEMORPHIC sec. 5.2) does where the default does better; see docs/decisions.md
PAPER: dict[str, dict[str, Any]] = {
    "identity": {
        "neutral": "first_frame",
        "smoothing_us": 0,
        "spike_iod": 0.0,
        "camera": "affine",
        "perspective_passes": 0,
        "sigma_id_px": 10.0,
        "sigma_offset_m": 0.0,
        "alternations": 1,
        "pool": "session",
        "jaw_weight": 1.0,
    },
    "fit": {
        "smoothing_us": 0,
        "spike_iod": 0.0,
        "camera": "affine",
        "perspective_passes": 0,
        "joint_pose": False,
        "codes": "ridge",
        "noise": "stated",
        "sigma_px": 10.0,
        "l1": 0.0,
        "reweight": 0.0,
        "l1_by_size": 0.0,
        "robust": 0.0,
        "shrink": 0.0,
        "ridge": 1.0,
        "jaw_weight": 1.0,
    },
}


# noise and prior for dense points; what a file says of them itself wins (docs/method.md, "Dense points")
DENSE: dict[str, Any] = {"sigma_px": 1.5, "l1": 3.0}


class Params(BaseModel):
    """Base of all parameter models: frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DetectParams(Params):
    """Landmarks on every RGB frame."""

    detector: Literal["mediapipe", "face_alignment", "precomputed"] = Field(
        "mediapipe", description="Which landmark detector."
    )
    face: Literal["largest", "central", "track", "index"] = Field(
        "largest", description="Which face, if there are several; track = nearest to the last one taken."
    )
    face_index: int = Field(0, ge=0, description="With face = index: which, in the detector's order.")
    min_detection_score: float = Field(0.5, ge=0, le=1, description="Faces scored below are not faces.")
    min_landmark_score: float = Field(0.5, ge=0, le=1, description="Below: status low_confidence.")
    recrops: int = Field(1, ge=0, le=3, description="mediapipe: times the region is cut again from the mesh.")
    mediapipe_tracking: bool = Field(
        True, description="The first region comes from the frame before; false = frames alone."
    )
    mediapipe_chunk_frames: int = Field(
        240, ge=1, le=4096, description="Tracking begins anew every so many frames; as many are held in memory."
    )
    mediapipe_search_every: int = Field(
        8, ge=1, description="While tracking, other faces are looked for every so many."
    )
    mediapipe_faces: int = Field(4, ge=1, le=50, description="At most so many faces of a frame.")
    mediapipe_refine: bool = Field(True, description="The mesh with attention: lips, eyes and brows found twice.")
    mediapipe_range: Literal["short", "full", "both"] = Field(
        "both",
        description="Which BlazeFace: near faces, far ones (that score 0.7 at least), or far ones where there are no"
        " near ones.",
    )
    mediapipe_models: Literal["published", "task"] = Field(
        "published",
        description="task = box and mesh of a face_landmarker.task that `au3dmm weights add` took; no refine then.",
    )
    fan_decode: Literal["subpixel", "official"] = Field(
        "subpixel", description="face_alignment: peaks to a fraction of a cell, or on the library's grid of whole px."
    )
    fan_box_every: int = Field(
        32, ge=1, le=256, description="face_alignment: boxes are looked for every so many frames; 1 = as the library."
    )
    fan_box_image_px: int = Field(
        640, ge=0, description="face_alignment: larger images are shrunk to this side to find boxes, px; 0 = never."
    )
    fan_flip: bool = Field(False, description="face_alignment: mean over each crop and its mirror image.")
    fan_depth: bool = Field(True, description="face_alignment: run the depth network; without it, z is 0.")
    fan_precision: Literal["float32", "mixed"] = Field(
        "float32", description="face_alignment: mixed = 16 bits where harmless, on CUDA."
    )
    fan_batch: int = Field(8, ge=1, le=1024, description="face_alignment: crops that a network sees at a time.")
    fan_compile: bool = Field(False, description="face_alignment: torch.compile; a minute and a C++ compiler.")
    fan_weights: Literal["published", "any"] = Field(
        "published", description="face_alignment: any = also weights that you trained yourself."
    )
    small_px: float = Field(40.0, ge=0, description="Outer eye corners closer than this: flag small, px.")
    max_side_px: int = Field(
        1920,
        ge=0,
        description="Images with a longer side are shrunk to it for networks, px; 0 = never: face_alignment then holds"
        " whole frames, of 8K 100 MB each.",
    )
    check_with: Literal["none", "mediapipe", "face_alignment", "precomputed"] = Field(
        "none", description="A second detector, which checks the first on some frames."
    )
    check_every: int = Field(10, ge=1, description="check_with: on every n-th frame.")
    max_disagreement_iod: float = Field(
        0.1, gt=0, description="check_with: farther apart, as a share of the eye distance: flag detectors_disagree."
    )

    @model_validator(mode="after")
    def _checked_by_another(self) -> Self:
        if self.check_with == self.detector:
            raise ValueError(f"check_with is {self.check_with!r}, the detector itself; expected another one, or none")
        return self


class _PresetParams(Params):
    """Shared by the two fitting stages: a preset fills what is not given."""

    preset: Preset = Field("robust", description="robust (docs/method.md) or paper (the published method).")
    smoothing_us: int = Field(300_000, ge=0, description="Local quadratic over this many us; 0 = none.")
    spike_iod: float = Field(
        0.06, ge=0, description="Landmarks that jump alone, farther than this share of the eye distance, are put back."
    )
    camera: Literal["scaled_orthographic", "affine"] = Field("scaled_orthographic", description="Camera model.")
    perspective_passes: int = Field(2, ge=0, le=5, description="Corrections for perspective; 0 = none.")
    field_of_view_deg: float = Field(60.0, gt=1, lt=170, description="Horizontal, if the session gives no focal_px.")
    jaw_weight: float = Field(0.5, gt=0, le=1, description="Weight of landmarks 0-16, which slide with yaw.")
    landmarks: Points = Field(
        "ibug68", description="What is fitted; dense = the 68, and the detector's dense points that the basis places."
    )

    section: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") == "paper":
            return {**PAPER[cls.section], **values}
        if isinstance(values, dict) and values.get("landmarks") == "dense":
            return {**DENSE, **values}
        return values


class IdentityParams(_PresetParams):
    """The subject's neutral face (step one)."""

    section: ClassVar[str] = "identity"

    neutral: Literal["low_energy", "first_frame"] = Field(
        "low_energy", description="Which frames are taken as neutral."
    )
    neutral_share: float = Field(0.3, gt=0, le=1, description="Share of frames of lowest energy taken.")
    neutral_frames_max: int = Field(90, ge=1, description="At most this many, spread evenly.")
    neutral_passes: int = Field(1, ge=1, le=5, description="Times the neutral frames are chosen again.")
    sigma_id_px: float = Field(0.3, gt=0, description="Landmark noise of the mean neutral, at 144 px eyes.")
    sigma_offset_m: float = Field(0.002, ge=0, description="Personal offset per landmark, m; 0 = none.")
    alternations: int = Field(3, ge=1, le=20, description="Camera and shape in turn, this many times.")
    pool: Literal["subject", "session"] = Field(
        "subject", description="In a dataset: one neutral face from all of a subject's sessions, or one per session."
    )
    sigma_px: float = Field(0.7, gt=0, description="As in fit, for the fits that look for neutral frames.")
    l1: float = Field(3.0, ge=0, description="As in fit, for the fits that look for neutral frames.")
    ridge: float = Field(0.1, gt=0, description="As in fit, for the fits that look for neutral frames.")


class FitParams(_PresetParams):
    """Action units on every RGB frame (step two)."""

    section: ClassVar[str] = "fit"

    codes: Literal["nonnegative", "ridge"] = Field("nonnegative", description="Sign of alpha_au.")
    joint_pose: bool = Field(True, description="Solve small pose changes together with alpha_au.")
    noise: Literal["measured", "stated"] = Field(
        "measured", description="measured: half way from sigma_px up to what a first fit of the session leaves over."
    )
    sigma_px: float = Field(0.7, gt=0, description="Landmark noise at 144 px between the outer eye corners.")
    l1: float = Field(
        3.0, ge=0, description="Rate of the exponential prior in the first solve; 0 = none, and no second solve."
    )
    reweight: float = Field(
        5.0, ge=0, description="A second solve at the rate reweight / (coefficient + 0.25) for each; 0 = none."
    )
    l1_by_size: float = Field(
        0.6, ge=0, le=1, description="0: rates are per standard deviation; 1: per mm that landmarks move; or between."
    )
    robust: float = Field(
        4.0, ge=0, description="Landmarks that so many noise deviations are left of count for less; 0 = all alike."
    )
    shrink: float = Field(
        4.0, ge=0, description="Displacements whose squared size in noise deviations is below this become 0; 0 = none."
    )
    ridge: float = Field(0.1, gt=0, description="Precision of the Gaussian prior; 1 is right for codes = ridge.")
    max_rmse_iod: float = Field(
        0.15, gt=0, description="Reprojection error above this share of the eye distance: status fit_failed."
    )


class SyncParams(Params):
    """The clock between RGB and events."""

    method: Literal["session", "trigger", "motion", "shared", "start"] = Field(
        "session", description="session = what session.toml says."
    )
    tolerance_us: int = Field(2000, gt=0, description="trigger: an edge this near to its exposure is its own, us.")
    min_matched: float = Field(0.5, gt=0, le=1, description="trigger: share of exposures that must find their edge.")
    motion_threshold: float = Field(
        0.2,
        gt=0.01,
        le=1,
        description="motion: contrast threshold of the event camera, in log brightness. Twice it is taken instead where"
        " motion and events then agree more; what half and twice it give joins the uncertainty.",
    )
    motion_overlap: float = Field(
        0.5, gt=0, le=1, description="motion: share of the shorter recording that must overlap the other."
    )
    motion_correlation: float = Field(0.3, gt=0, lt=1, description="motion: least correlation that is believed.")


class FramesParams(Params):
    """Event frames."""

    windows: Literal["rgb", "periodic", "sliding"] = Field(
        "rgb", description="rgb: between RGB frames; periodic: the SDK's grid; sliding: one every step_us."
    )
    accumulation_us: int = Field(33_000, gt=0, description="periodic, sliding: length of a window, us.")
    fps: float = Field(0.0, ge=0, description="periodic: frames per second; 0 = 1e6 / accumulation_us.")
    step_us: int = Field(10_000, ge=1_000, description="sliding: from one window to the next, us.")
    representation: Literal["polarity", "count", "voxel", "time_surface", "last_time", "tbr"] = Field(
        "polarity", description="What a pixel holds."
    )
    bins: int = Field(5, ge=1, le=64, description="voxel: bins of time.")
    tau_us: float = Field(10_000.0, gt=0, le=1e6, description="time_surface: time to decay to 1/e, us.")
    tbr_bits: int = Field(8, ge=1, le=16, description="tbr: slices of the window, one bit each.")
    crop: Literal["centre", "none"] = Field("centre", description="centre: the largest centred square.")
    size_px: int = Field(256, ge=0, le=4096, description="Shorter side after area resampling; 0 = as it is.")


class AlignParams(Params):
    """Coefficients at event-frame times."""

    method: Literal["linear", "pchip", "nearest", "index", "none"] = Field(
        "linear", description="How a label gets its value from the RGB frames around it."
    )
    max_gap_us: int = Field(100_000, gt=0, description="Longest bridged gap between RGB frames, us.")
    label_at: Literal["centre", "end"] = Field("centre", description="The instant of the window labelled.")


class BasesParams(Params):
    """The two morphable models, learnt from corpora of registered heads."""

    k_id: int = Field(0, ge=0, description="Identity components; 0 = what the subjects give, at most 22.")
    k_au: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (32,), min_length=1, description="AU components; several numbers make several files."
    )
    method: Literal["dictionary", "localised", "pca"] = Field(
        "dictionary", description="How AU components are learnt; localised: sparse over the head, too."
    )
    codes: Literal["nonnegative", "signed"] = Field("nonnegative", description="Sign of the codes of a dictionary.")
    l1: float = Field(0.02, ge=0, description="Sparsity of codes, relative to the rms size of an offset.")
    l2: float = Field(0.0, ge=0, description="Ridge on codes, beside l1.")
    locality: float = Field(3e-4, ge=0, description="localised: sparsity over the head.")
    epochs: int = Field(20, ge=1, le=1000, description="Passes over all frames.")
    overcomplete: float = Field(2.0, ge=1, le=8, description="Atoms that the search starts with, times k_au.")
    rank: int = Field(128, ge=1, description="Dimensions that offsets are reduced to; at least twice k_au are taken.")
    eyelid_weight: float = Field(
        22.0,
        ge=1,
        le=1000,
        description="How much more a vertex on the rim of an eyelid counts; the weight falls to 1 within half an eye's"
        " width. 1 = all vertices alike.",
    )
    mirrored: bool = Field(
        True, description="Learn from mirrored heads and frames, too, if the head has a mirror partner for each vertex."
    )
    neutral: Literal["subject", "sequence"] = Field(
        "subject", description="What offsets count from: the subject's neutral head, or each sequence's first frame."
    )
    max_lost: float = Field(0.01, ge=0, lt=1, description="Share of files that may be unreadable.")
    seed: int = Field(0, ge=0, description="Of sketch and search.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.k_au)) != len(self.k_au):
            raise ValueError(f"k_au names a number twice: {', '.join(map(str, self.k_au))}")
        return self


class SplitsParams(Params):
    """Which recordings are for training, validation and test (docs/exports.md); a split of the dataset's own wins."""

    method: Literal["subject", "video", "kfold"] = Field(
        "subject",
        description="subject: nobody is in two parts; video: the published one, in which everybody may be; kfold.",
    )
    val: float = Field(0.1, ge=0, lt=1, description="Share for validation: of the subjects, or of the videos.")
    test: float = Field(0.2, ge=0, lt=1, description="Share for test; what is left is train.")
    folds: int = Field(5, ge=2, le=100, description="kfold: number of folds.")
    seed: int = Field(0, ge=0, description="Another seed, another split.")

    @model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        # FACEMORPHIC (sec. 4) splits its videos 80-20, without validation
        if isinstance(values, dict) and values.get("method") == "video":
            return {"val": 0.0, "test": 0.2, **values}
        return values

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave nothing for train")
        return self


class PipelineParams(Params):
    """A pipeline file: values, never code."""

    preset: Preset = Field("robust", description="For identity and fit together.")
    bases: BasesParams = BasesParams()
    detect: DetectParams = DetectParams()
    identity: IdentityParams = IdentityParams()
    fit: FitParams = FitParams()
    sync: SyncParams = SyncParams()
    frames: FramesParams = FramesParams()
    align: AlignParams = AlignParams()
    splits: SplitsParams = SplitsParams()

    @model_validator(mode="before")
    @classmethod
    def _spread_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "preset" not in values:
            return values
        spread = dict(values)
        for name in ("identity", "fit"):
            section = spread.get(name, {})
            if isinstance(section, _PresetParams):
                section = section.model_dump(exclude_unset=True)
            if isinstance(section, dict):
                spread[name] = {"preset": values["preset"], **section}
        return spread

    @model_validator(mode="after")
    def _dense_points_come_from_somewhere(self) -> Self:
        if "dense" not in (self.identity.landmarks, self.fit.landmarks):
            return self
        if self.identity.landmarks != "dense":
            raise ValueError("fit.landmarks = 'dense' needs identity.landmarks = 'dense': they share the neutral face")
        if self.detect.detector == "face_alignment":
            raise ValueError("landmarks = 'dense', but face_alignment gives the 68 alone; use mediapipe, or 'ibug68'")
        return self


def load_pipeline(path: Path | None, **overrides: dict[str, Any]) -> PipelineParams:
    """Read a pipeline file (TOML) over the defaults.

    Parameters
    ----------
    path : Path or None
        The file; None means the defaults.
    **overrides : dict
        Values per section that win over the file, for example ``detect={"detector": "precomputed"}``.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or a name or value in it is wrong.
    """
    data: dict[str, Any] = {} if path is None else read_toml(path)
    for section, values in overrides.items():
        given = data.get(section, {})
        if values and isinstance(given, dict):  # what is no table is explained below, like any wrong value
            data[section] = {**given, **values}
    return validate_toml(PipelineParams, data, path or Path("defaults"))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, with errors in one line."""
    try:
        return tomli.loads(path.read_bytes().decode("utf-8-sig"))  # some editors begin a file with a byte order mark
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: not valid TOML: {err}") from err


def validate_toml(model: type[T], data: dict[str, Any], path: Path) -> T:
    """Check `data`, read from the file `path`, against `model`; a wrong name gets a "did you mean".

    Raises
    ------
    ConfigError
        In one line: the file, where in it, what was found and what was expected.
    """
    try:
        return model.model_validate(data)
    except ValidationError as err:
        problems = [_explain(model, problem) for problem in err.errors()]
        raise ConfigError(f"{path}: " + "; ".join(problems)) from err


def _explain(model: type[BaseModel], problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "file"
    if problem["type"] != "extra_forbidden":
        # a whole section is no help: the names of what is wrong in it are in the message
        found = "" if isinstance(problem["input"], dict | list) else f", found {problem['input']!r}"
        message = problem["msg"].removeprefix("Value error, ")
        return f"{where}: {message[0].lower() + message[1:]}{found}"
    names = _names_beside(model, problem["loc"])
    close = difflib.get_close_matches(str(problem["loc"][-1]), names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known names: {', '.join(sorted(names))}"
    return f"unknown name {where!r}: {hint}"


def _names_beside(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        if isinstance(part, int):  # which of several: [[annotations]]
            continue
        field = model.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        options = get_args(inner) if not isinstance(inner, type) else (inner,)
        models = [m for m in options if isinstance(m, type) and issubclass(m, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
