"""The session manifest `session.toml`: what was recorded, where it lies, and how its clocks relate."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from au3dmm.config import Params, read_toml, validate_toml
from au3dmm.errors import ConfigError, SessionError, os_reason
from au3dmm.io.dataset_defaults import nearest_dataset, with_defaults
from au3dmm.io.hash_cache import file_state, is_settled
from au3dmm.io.hashing import quick_hash, sha256_json

MANIFEST = "session.toml"
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_ID = re.compile(r"[A-Za-z0-9._-]+")
_FILES = ("file", "folder", "timestamps")


class SessionSection(Params):
    """Who and what."""

    session_id: str = Field(description="Unique in a dataset: letters, digits, . _ -")
    subject_id: str = Field(description="Who is recorded: letters, digits, . _ -")
    task: str | None = Field(None, description="What the subject was asked to do.")
    au: str | None = Field(None, description="The action unit asked for, if one.")
    run: int | None = Field(None, description="Repetition.")
    simulated_events: bool = Field(False, description="The events were computed, not recorded.")

    @field_validator("session_id", "subject_id")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _ID.fullmatch(value) or value.startswith("."):
            raise ValueError("use letters, digits, '.', '_' and '-' only, not starting with '.'")
        return value


class RgbSection(Params):
    """The RGB video: one file, or a folder of images with a timestamps CSV."""

    file: str | None = Field(None, description="Video file, relative to the manifest.")
    folder: str | None = Field(None, description="Folder of images, in natural order of their names.")
    timestamps: str | None = Field(
        None, description="CSV with frame_index, pts_us, exposure_start_us, exposure_end_us."
    )
    timestamp_convention: Literal["exposure_midpoint", "exposure_start", "exposure_end"] = Field(
        "exposure_midpoint", description="Which instant of the exposure pts_us names."
    )
    clock: Literal["rgb", "event"] = Field("rgb", description="The clock that pts_us is on.")
    width: int | None = Field(None, gt=0, description="px")
    height: int | None = Field(None, gt=0, description="px")
    frames: int | None = Field(None, gt=0, description="Number of frames expected.")
    median_interval_us: int | None = Field(None, gt=0)
    variable_frame_rate: bool | None = None
    exposure_us: int | None = Field(None, gt=0)
    focal_px: float | None = Field(None, gt=0, description="Focal length, px; else guessed from a field of view.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.folder is None):
            raise ValueError("give exactly one of file (a video) and folder (of images)")
        if self.folder is not None and self.timestamps is None:
            raise ValueError("a folder of images needs timestamps (a CSV)")
        return self


class EventsSection(Params):
    """The event stream."""

    file: str = Field(description="Event file, relative to the manifest.")
    group: str | None = Field(None, description="Which recording of the file, if there are several: an HDF5 group.")
    format: str | None = Field(None, description="Informative: the format is recognised by content.")
    sensor: str | None = None
    camera: str | None = None
    serial: str | None = None
    width: int | None = Field(None, gt=0, description="px, if the file does not say")
    height: int | None = Field(None, gt=0, description="px, if the file does not say")


class SyncSection(Params):
    """How the RGB clock relates to the event clock."""

    method: Literal["trigger", "shared", "start", "motion"] = "start"
    trigger_id: int | None = Field(None, ge=0, le=15, description="Which trigger input; None = any.")
    rising_edge: Literal["exposure_start", "exposure_end"] = "exposure_start"
    falling_edge: Literal["exposure_start", "exposure_end"] = "exposure_end"
    offset_us: int = Field(0, description="shared: added to pts_us to reach the unshifted event clock.")

    @model_validator(mode="after")
    def _edges_differ(self) -> Self:
        if self.rising_edge == self.falling_edge:
            raise ValueError("rising_edge and falling_edge cannot both be " + repr(self.rising_edge))
        return self


class LandmarksSection(Params):
    """Landmarks that were detected elsewhere (for the detector `precomputed`)."""

    file: str = Field(description="npz, csv or parquet, relative to the manifest.")
    format: Literal["auto", "au3dmm", "openface", "pyfeat"] = "auto"


class AnnotationSection(Params):
    """Something that people said of the recording: kept apart from what is fitted, with its origin."""

    kind: Literal["video_class", "segment", "frame_occurrence", "frame_intensity"] = Field(
        description="Of the whole recording, of a stretch of it, or of every frame (0/1, or 0 to 5)."
    )
    origin: Literal["instructed", "reported", "coder", "derived", "simulated"] = Field(
        description="instructed: asked for, a priori; reported: by the subject; coder: by someone who watched."
    )
    vocabulary: str = Field("au", pattern=r"^[a-z][a-z0-9_-]*$", description="au, emotion, text, ...")
    label: str | None = Field(None, min_length=1, description="AU12, happiness, ...; of a file with one column, its.")
    onset_us: int | None = Field(None, description="segment: where it begins, us on the RGB clock.")
    apex_us: int | None = Field(None, description="segment: where it is strongest, us on the RGB clock.")
    offset_us: int | None = Field(None, description="segment: where it ends, us on the RGB clock.")
    file: str | None = Field(None, description="frame_*: CSV, relative to the manifest.")
    format: Literal["csv", "bp4d", "disfa"] = Field("csv", description="frame_*: how the file is laid out.")
    coverage: Literal["all", "overlap"] = Field(
        "all", description="frame_*: all: a row for every RGB frame; overlap: rows and frames without partner are left."
    )
    source: str | None = Field(None, min_length=1, description="Who or what says so; else the file's name.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        of_frames = self.kind.startswith("frame_")
        needed = {"video_class": ("label",), "segment": ("label", "onset_us", "offset_us")}.get(self.kind, ("file",))
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a {self.kind} needs {', '.join(missing)}")
        times_of, files_of = ("onset_us", "apex_us", "offset_us"), ("file", "format", "coverage")
        strange = (*(times_of if self.kind != "segment" else ()), *(files_of if not of_frames else ()))
        given = [name for name in strange if name in self.model_fields_set]
        if given:
            raise ValueError(f"a {self.kind} has no {', '.join(given)}")
        times = [t for t in (self.onset_us, self.apex_us, self.offset_us) if t is not None]
        if times != sorted(times) or (times and times[0] == times[-1]):
            raise ValueError(
                f"onset_us, apex_us, offset_us are {', '.join(map(str, times))}, expected them to increase"
            )
        return self


class Manifest(Params):
    """The whole of `session.toml`."""

    schema_version: Literal[1] = 1
    session: SessionSection
    rgb: RgbSection
    events: EventsSection | None = None
    sync: SyncSection = SyncSection()
    landmarks: LandmarksSection | None = None
    annotations: tuple[AnnotationSection, ...] = Field((), description="What people said of the recording.")
    source: dict[str, Any] = Field(default_factory=dict, description="Where it is from, licence: free.")
    notes: dict[str, Any] = Field(default_factory=dict, description="Anything of your own: free.")

    @model_validator(mode="after")
    def _clocks_are_related(self) -> Self:
        related = "method" in self.sync.model_fields_set or self.rgb.clock == "event"
        if self.events is not None and not related:
            raise ValueError(
                "[events] needs a [sync] that says how the clocks relate: method = 'trigger' (exposure signal recorded"
                " by the event camera), 'motion' (measured by what moves in both), 'shared' (one clock) or 'start'"
                " (both started together: a guess)"
            )
        return self


@dataclass(frozen=True)
class Session:
    """A manifest and the folder it lies in."""

    path: Path
    manifest: Manifest

    @property
    def folder(self) -> Path:
        """The folder that file names in the manifest are relative to."""
        return self.path.parent

    @property
    def session_id(self) -> str:
        """Unique name of the recording."""
        return self.manifest.session.session_id

    @property
    def subject_id(self) -> str:
        """Name of the recorded person."""
        return self.manifest.session.subject_id

    def check_files(self) -> None:
        """Check that every file which the manifest names is there, before hours are spent on the first of them.

        Raises
        ------
        SessionError
            Naming the first that is not.
        """
        for section in (self.manifest.rgb, self.manifest.events, self.manifest.landmarks):
            for key in _FILES:
                name = getattr(section, key, None)
                if name is not None:
                    self.file(name)

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest names, relative to it or absolute.

        Raises
        ------
        SessionError
            If it does not exist.
        """
        path = self.folder / name
        if not path.exists():
            raise SessionError(f"{path}: no such file; {self.path} names it")
        return path

    def input_fingerprint(self, part: str) -> str:
        """Fingerprint one part of the recording: ``session``, ``rgb``, ``camera``, ``events``, ``sync``, ``landmarks``.

        The part's section of the manifest together with the quick hashes of the files it names. ``camera`` is what
        the fit reads of ``rgb``: to state a focal length later must not repeat the detection.
        """
        section = self.manifest.rgb if part == "camera" else getattr(self.manifest, part)
        if section is None:
            return "none"
        values = section.model_dump(mode="json")
        if part == "camera":
            return sha256_json({"focal_px": values["focal_px"]})
        values.pop("focal_px", None)
        hashes = {key: self._hash(values[key]) for key in _FILES if values.get(key)}
        for key in hashes:  # a recording that moved to another disk is the same recording
            if Path(values[key]).is_absolute():
                values[key] = Path(values[key]).name
        return sha256_json({"section": values, "files": hashes})

    def _hash(self, name: str) -> str:
        path = self.file(name)
        if path.is_dir():
            return sha256_json({p.name: quick_hash(p) for p in image_files(path)})
        return quick_hash(path)


def image_files(folder: Path) -> list[Path]:
    """Return the frames in a folder of images: images by their ending, not hidden, sorted by name.

    Raises
    ------
    SessionError
        If the folder cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    except OSError as err:
        raise SessionError(f"{folder}: cannot be read: {os_reason(err)}") from err


def read_session(path: Path) -> Session:
    """Read a session: a folder that holds `session.toml`, or the manifest itself.

    What the session does not say, the ``[defaults]`` of the nearest `dataset.toml` above it say.

    Raises
    ------
    ConfigError
        If there is no manifest, or a name or value in it is wrong, or one in those defaults.
    """
    manifest = path / MANIFEST if path.is_dir() else path
    if not path.exists():
        raise ConfigError(f"{path}: no such folder; expected a recording: a folder with {MANIFEST}")
    if not manifest.is_file():
        raise ConfigError(f"{path}: no {MANIFEST} in it; `au3dmm init {path}` writes one from the files it finds")
    return read_manifest(manifest)


def read_manifest(path: Path) -> Session:
    """Read a `session.toml` that is there; see `read_session`.

    The nearest `dataset.toml` in the folders from there upwards gives defaults. What did not change is not read again.
    """
    defaults = nearest_dataset(path.absolute().parent)
    states = [file_state(file) for file in (path, defaults) if file is not None]
    if any(state is None or not is_settled(state) for state in states):
        return _read_manifest(path, defaults)
    return _remembered_manifest(path, defaults, json.dumps(states))


@lru_cache(maxsize=256)
def _remembered_manifest(path: Path, defaults: Path | None, _states: str) -> Session:
    return _read_manifest(path, defaults)


def _read_manifest(path: Path, defaults: Path | None) -> Session:
    return Session(path, validate_toml(Manifest, with_defaults(Manifest, read_toml(path), defaults), path))
