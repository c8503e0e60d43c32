"""The parts of a recording as sections of `session.toml`: a video, or a folder of images with its times."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from au3dmm.adapters.frame_times import TIMESTAMPS, frames_in_order, nominal_times, times_in_names, timestamps_file
from au3dmm.adapters.proposal import Made
from au3dmm.discovery.folder import EVENT_SUFFIXES, VIDEO_SUFFIXES
from au3dmm.errors import SessionError

_TIMES = {"frame_index", "pts_us"}


@dataclass(frozen=True)
class RgbPart:
    """``[rgb]`` of a recording.

    Attributes
    ----------
    section : dict
        Its values.
    times_us : list of int or None
        Times of the frames, where they are known without opening a video.
    made : tuple of Made
        The CSV of times, if the layout has none that au3dmm reads.
    said_by : str
        Where the times are from, in words.
    """

    section: dict[str, Any]
    times_us: list[int] | None
    made: tuple[Made, ...]
    said_by: str


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_events(path: Path) -> bool:
    """Whether a file's name says that it may hold events; NPZ, which may hold anything, has to be named."""
    return path.suffix.lower() in EVENT_SUFFIXES


def rgb_part(path: Path, timestamps: Path | None, fps: float | None) -> RgbPart:
    """Describe a video or a folder of images.

    Times are those of the CSV if there is one; else a video's own; else what the images' names say; else counted at
    `fps`.

    Raises
    ------
    SessionError
        If a folder holds no images, or nothing says when they were taken.
    """
    if not path.is_dir():
        section: dict[str, Any] = {"file": path}
        if timestamps is not None:
            section["timestamps"] = timestamps
        return RgbPart(section, None, (), "CSV" if timestamps else "video")
    files = frames_in_order(path)
    if not files:
        raise SessionError(f"{path}: no images in it")
    section = {"folder": path, "timestamps": timestamps}
    if timestamps is not None:
        return RgbPart(section, None, (), "CSV")
    try:
        form, times = times_in_names([file.stem for file in files])
        said_by = f"names of the images ({form})"
    except SessionError as err:
        if fps is None:
            raise SessionError(f"{path}: {err}; --fps counts them at a nominal rate instead") from err
        times, said_by = nominal_times(len(files), fps), f"nominal rate of {fps:g}/s"
    return with_times(path, times, said_by)


def with_times(
    folder: Path, times_us: list[int], said_by: str, exposures_us: list[tuple[int, int]] | None = None
) -> RgbPart:
    """Describe a folder of images whose times are known."""
    section: dict[str, Any] = {"folder": folder, "timestamps": TIMESTAMPS, "frames": len(times_us)}
    steps = [b - a for a, b in pairwise(times_us)]
    if steps:
        section["median_interval_us"] = int(median(steps))
    return RgbPart(section, times_us, (timestamps_file(times_us, exposures_us),), said_by)


def times_beside(rgb: Path) -> Path | None:
    """Return the CSV of timestamps that belongs to a video or folder by its name, if there is one."""
    stem = rgb.name if rgb.is_dir() else rgb.stem
    for name in (f"{stem}_timestamps.csv", f"{stem}.csv", "rgb_timestamps.csv", "timestamps.csv"):
        path = rgb.parent / name
        if path.is_file() and _has_times(path):
            return path
    return None


def _has_times(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            lines = (line for line in f if line.strip() and not line.startswith("#"))
            return {name.strip() for name in next(csv.reader(lines), [])} >= _TIMES
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
