"""DSEC: ``<sequence>/{images/timestamps.txt, images/left/rectified/*.png, events/left/events.h5}``, on one clock.

``timestamps.txt`` holds the middle of each exposure in us, on the clock that event times are on once the file's
``t_offset`` is added, which our reader does; a file of exposure starts and ends is used where it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.adapters.frame_times import frames_in_order
from au3dmm.adapters.names import below, check_source, ids_at
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import with_times
from au3dmm.errors import ConfigError, SessionError, os_reason
from au3dmm.io.session import IMAGE_SUFFIXES

_EVENTS = "events.h5"
_IMAGES = ("images/{camera}/rectified", "images/{camera}/distorted", "images/{camera}", "images/rectified", "images")
_TIMES = ("images/timestamps.txt", "timestamps.txt", "images/*image_timestamps.txt", "*image_timestamps.txt")
_EXPOSURES = (
    *("images/{camera}/exposure_timestamps.txt", "images/{camera}/exposure_timestamps_{camera}.txt"),
    *("images/exposure_timestamps_{camera}.txt", "images/*image_exposure_timestamps_{camera}.txt"),
    "*image_exposure_timestamps_{camera}.txt",
)


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield every sequence; see `proposal.Adapter`.

    Raises
    ------
    ConfigError
        If there is no `events.h5`.
    """
    check_source(source, "DSEC, with <sequence>/events/left/events.h5 below it")
    camera = options.camera or "left"
    files = [path for _, path, is_folder in below(source) if not is_folder and path.name == _EVENTS]
    sequences = {sequence: path for path in files if (sequence := _sequence(path, camera)) is not None}
    if not sequences:
        raise ConfigError(f"{source}: no events/{camera}/{_EVENTS} below it; expected DSEC's folders, one per sequence")
    for sequence, path in sequences.items():
        try:
            yield _proposal(source, sequence, path, camera)
        except SessionError as err:
            yield LeftOut(sequence, " ".join(str(err).removeprefix(f"{sequence}: ").split()))


def _sequence(events: Path, camera: str) -> Path | None:
    """Return the folder of the sequence that an event file belongs to; None if it is the other camera's."""
    folder = events.parent
    if folder.name in ("left", "right"):
        if folder.name != camera:
            return None
        folder = folder.parent
    return folder.parent if folder.name == "events" else folder


def _proposal(source: Path, sequence: Path, events: Path, camera: str) -> Proposal:
    folder = next((p for name in _IMAGES if _has_images(p := sequence / name.format(camera=camera))), None)
    if folder is None:
        raise SessionError(f"no images; expected them in {_IMAGES[0].format(camera=camera)}")
    times = _first(sequence, _TIMES, camera)
    if times is None:
        raise SessionError(f"no {_TIMES[0]}")
    t_us = [row[0] for row in _numbers(times, 1)]
    n_images = len(frames_in_order(folder))
    if n_images != len(t_us):
        raise SessionError(f"{n_images} images in {folder.name}, but {times.name} has {len(t_us)} times")
    exposures = _first(sequence, _EXPOSURES, camera)
    spans = None if exposures is None else [(row[0], row[1]) for row in _numbers(exposures, 2)]
    if spans is not None and (len(spans) != len(t_us) or not all(a < b for a, b in spans)):
        raise SessionError(
            f"{exposures}: {len(spans)} exposures for {len(t_us)} images, or one that ends before it starts"
        )
    session_id, subject_id, notes = ids_at(source, sequence)
    rgb = with_times(folder, t_us, times.name, spans)
    sections: dict[str, Any] = {
        "session": {"session_id": session_id, "subject_id": subject_id},
        "rgb": {**rgb.section, "clock": "event"},
        "events": {"file": events},
        "source": {"layout": "dsec", "times": times.relative_to(sequence).as_posix()},
    }
    return Proposal(session_id, subject_id, sections, sequence, rgb.made, notes=notes)


def _first(sequence: Path, patterns: tuple[str, ...], camera: str) -> Path | None:
    for pattern in patterns:
        found = sorted(sequence.glob(pattern.format(camera=camera)))
        if found:
            return found[0]
    return None


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _numbers(path: Path, columns: int) -> list[list[int]]:
    """Return the rows of whole numbers of a text file; a header and lines with # are passed over."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    except UnicodeDecodeError as err:
        raise SessionError(f"{path}: not a text file: {err}") from err
    rows: list[list[int]] = []
    for number, line in enumerate(lines, 1):
        fields = [field for field in re.split(r"[,;\s]+", line.strip()) if field]
        if not fields or fields[0].startswith("#") or (not rows and not _is_whole(fields[0])):
            continue
        if len(fields) < columns or not all(_is_whole(field) for field in fields[:columns]):
            raise SessionError(f"{path}: line {number}: {line.strip()[:40]!r}, expected {columns} whole numbers, us")
        rows.append([int(field) for field in fields[:columns]])
    return rows


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", text) is not None
