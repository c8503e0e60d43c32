"""Find what a recording's folder holds."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

from au3dmm.discovery.recording import EventsFound, look_at_events, rgb_times
from au3dmm.errors import ConfigError, os_reason
from au3dmm.io.events.fields import match
from au3dmm.io.session import MANIFEST, image_files

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".webm", ".wmv")
EVENT_SUFFIXES = (".aedat", ".aedat4", ".dat", ".es", ".h5", ".hdf5", ".raw")
_COLUMNS = {"frame_index", "pts_us"}


@dataclass(frozen=True)
class Found:
    """What a folder holds; paths are relative to it.

    Attributes
    ----------
    folder : Path
        The recording.
    video, images : Path or None
        One of them: a video file, or a folder of images.
    timestamps : Path or None
        The CSV of RGB timestamps.
    events : EventsFound or None
        The event file.
    """

    folder: Path
    video: Path | None
    images: Path | None
    timestamps: Path | None
    events: EventsFound | None


def discover(folder: Path) -> Found:
    """Find the RGB recording, its timestamps and the event file in a folder; nothing is written.

    Raises
    ------
    ConfigError
        If there is no RGB recording, more than one file could be meant, or a name is not UTF-8.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}; expected the folder of a recording")
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as err:
        raise ConfigError(f"{folder}: cannot be read: {os_reason(err)}") from err
    files = [p for p in entries if p.is_file()]
    timestamps = _one(folder, "CSV of timestamps", [p for p in files if p.suffix.lower() == ".csv" and _is_times(p)])
    video = _one(folder, "video", [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES])
    images = None
    if video is None:
        images = _one(folder, "folder of images", [p for p in entries if p.is_dir() and _has_images(p)])
        if images is None:
            there = ", ".join(p.name for p in entries[:8]) or "nothing"
            raise ConfigError(
                f"{folder}: no RGB recording: found {there}; expected one video ({' '.join(VIDEO_SUFFIXES)}) or one"
                " folder of images"
            )
        if timestamps is None:
            raise ConfigError(
                f"{folder}: {images.name}/ holds images but no CSV says when they were taken; expected one with the"
                " columns frame_index, pts_us"
            )
    events = _one(folder, "event file", [p for p in files if _is_events(p)])
    for path in (folder.absolute(), video, images, timestamps, events):
        _check_utf8(path)
    seen = None if events is None else look_at_events(events, rgb_times(video, images, timestamps))
    return Found(folder, _name(video), _name(images), _name(timestamps), seen)


def _one(folder: Path, what: str, found: list[Path]) -> Path | None:
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise ConfigError(
            f"{folder}: {len(found)} could be the {what}: {names}; expected one: write {MANIFEST} by hand"
            " (au3dmm schema session), or move the others away"
        )
    return found[0] if found else None


def _is_times(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            lines = (line for line in f if line.strip() and not line.startswith("#"))
            header = next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return {name.strip() for name in header} >= _COLUMNS


def _is_events(path: Path) -> bool:
    """Whether a file's name says that it holds events; of an NPZ, which may hold anything, its arrays have to."""
    suffix = path.suffix.lower()
    if suffix != ".npz":
        return suffix in EVENT_SUFFIXES
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
    return match(arrays) is not None or "events" in arrays


def _has_images(folder: Path) -> bool:
    return bool(image_files(folder))


def _name(path: Path | None) -> Path | None:
    return None if path is None else Path(path.name)


def _check_utf8(path: Path | None) -> None:
    # a name in another encoding holds lone surrogates, which neither TOML nor a terminal can show
    try:
        str(path or "").encode()
    except UnicodeEncodeError as err:
        raise ConfigError(f"{str(path)!r}: the name is not UTF-8, which session.toml is; rename it") from err
