"""Find what a recording's folder holds, and write its `session.toml` from that."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from au3dmm.errors import ConfigError, SessionError, os_reason
from au3dmm.io.events import open_events
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
    events : Path or None
        The event file.
    event_format : str or None
        As its content says; None if it cannot be read.
    events_note : str or None
        Why the event file cannot be read.
    trigger_ids : tuple of int
        Trigger inputs that have edges.
    """

    folder: Path
    video: Path | None
    images: Path | None
    timestamps: Path | None
    events: Path | None
    event_format: str | None = None
    events_note: str | None = None
    trigger_ids: tuple[int, ...] = ()


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
            seen = ", ".join(p.name for p in entries[:8]) or "nothing"
            raise ConfigError(
                f"{folder}: no RGB recording: found {seen}; expected one video ({' '.join(VIDEO_SUFFIXES)}) or one"
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
    found = Found(folder, _name(video), _name(images), _name(timestamps), _name(events))
    return found if events is None else _look_at_events(found, events)


def manifest_text(found: Found, session_id: str, subject_id: str) -> str:
    """Return the text of a commented `session.toml`."""
    lines = [
        "# What was recorded, where it lies, and how its clocks relate.",
        "# All names: `au3dmm schema session`. File names are relative to this file.",
        "schema_version = 1",
        "",
        "[session]",
        f"session_id = {_quote(session_id)}  # unique in a dataset: letters, digits, . _ -",
        f"subject_id = {_quote(subject_id)}  # the same for all recordings of a person",
        '# task = "smile"         # what the subject was asked to do',
        "",
        "[rgb]",
    ]
    source, key = (found.video, "file") if found.video is not None else (found.images, "folder")
    lines.append(f"{key} = {_quote(str(source))}")
    if found.timestamps is not None:
        lines.append(f"timestamps = {_quote(found.timestamps.as_posix())}")
    else:
        lines.append("# no CSV of timestamps was found: the times in the video file are used")
    lines += [
        'timestamp_convention = "exposure_midpoint"  # or exposure_start, exposure_end: which instant pts_us names',
        "# exposure_us = 8000      # length of the exposure, if the CSV does not say",
        "# focal_px = 600.0        # focal length in px; else guessed from a field of view",
    ]
    if found.events is None:
        lines += ["", "# no event file was found: coefficients are fitted, but there will be no labels", "# [events]"]
        lines += ['# file = "events.raw"']
    else:
        lines += ["", "[events]", f"file = {_quote(found.events.as_posix())}"]
        if found.event_format is not None:
            lines.append(f"format = {_quote(found.event_format)}  # as found; it is recognised by content anyway")
        else:
            lines += [
                f"# it could not be read: {found.events_note}",
                "# width = 1280            # px, if it does not say",
            ]
            lines += ["# height = 720"]
    return "\n".join([*lines, "", *_sync_lines(found)]) + "\n"


def _sync_lines(found: Found) -> list[str]:
    if found.trigger_ids:
        ids = ", ".join(map(str, found.trigger_ids))
        return [
            "[sync]",
            f'method = "trigger"       # the event file has edges of trigger input {ids}',
            *([f"trigger_id = {found.trigger_ids[0]}"] if len(found.trigger_ids) == 1 else [f"# trigger_id: {ids}"]),
            'rising_edge = "exposure_start"',
            'falling_edge = "exposure_end"',
        ]
    return [
        "[sync]",
        "# No trigger edges were found. motion: the clock is measured by what moves in both, to a few ms, or refused.",
        '# If the RGB times are on the clock of the event camera, write "shared" and the offset_us between them;',
        '# "start" says that both cameras started together, which is a guess.',
        'method = "motion"',
    ]


def ids_of(folders: list[Path]) -> dict[Path, tuple[str, str]]:
    """Propose (session_id, subject_id) for folders: as few of their last names as tell them apart.

    A name such as ``sub-01``, ``S001`` or ``P3`` in the folder's or its parent's name is the subject; without one,
    the session is its own subject.

    Raises
    ------
    ConfigError
        If two folders cannot be told apart.

    Examples
    --------
    >>> ids_of([Path("/d/S01/smile"), Path("/d/S02/smile")])[Path("/d/S02/smile")]
    ('S02_smile', 'S02')
    """
    for depth in (1, 2, 3):
        sessions = {folder: _plain("_".join(folder.parts[1:][-depth:])) for folder in folders}
        if len(set(sessions.values())) == len(folders):
            return {folder: (name, _subject(folder) or name) for folder, name in sessions.items()}
    raise ConfigError(f"{folders[0]} and others have the same name; write their session.toml one by one")


def _subject(folder: Path) -> str | None:
    for part in (folder.name, folder.parent.name):
        for token in re.split(r"[_\s]+", part):
            if re.fullmatch(r"sub-?[A-Za-z0-9]+|subject-?[A-Za-z0-9]+|[SPsp]\d+", token):
                return token
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "session"


def _look_at_events(found: Found, path: Path) -> Found:
    try:
        file = open_events(path)
        ids = tuple(sorted({int(i) for i in file.triggers()["id"]}))
    except SessionError as err:
        return Found(found.folder, found.video, found.images, found.timestamps, found.events, None, _why(path, err))
    return Found(found.folder, found.video, found.images, found.timestamps, found.events, file.format, None, ids)


def _why(path: Path, err: SessionError) -> str:
    return " ".join(str(err).removeprefix(f"{path}: ").split())


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


def _quote(text: str) -> str:
    # a JSON string is a TOML basic string, but for DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
