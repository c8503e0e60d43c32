"""FACEMORPHIC: ``recordings/<user>/AU_<n>/{frames_<r>, event_<r>.raw, event_frames_<r>/annotation.json}``.

As its authors' public code reads it: images are called ``frame_<id>_HH:MM:SS.ffffff.jpg``, with the wall-clock time;
``annotation.json`` holds the first and the last frame of the action unit; ``landmarks.npz`` and ``alphas32.npz`` lie in
``frames_<r>``. ``AU_FREE`` and ``AU_READING`` are recordings without a class. Nothing in the files relates the clocks:
the authors take both cameras as started together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.adapters.facemorphic_arrays import read_alphas, read_landmarks
from au3dmm.adapters.names import check_source, plain_id
from au3dmm.adapters.proposal import Finding, LeftOut, Made, Options, Proposal
from au3dmm.adapters.recording_parts import RgbPart, is_events, is_video, rgb_part
from au3dmm.errors import ConfigError, SchemaError, SessionError, os_reason
from au3dmm.io.bases import write_npz
from au3dmm.io.hashing import quick_hash

_CLIP = re.compile(r"AU[_-]?(?:(?P<au>\d{1,2})|(?P<task>FREE|READING)(?:[_-]?(?P<which>\w+))?)", re.IGNORECASE)
_RGB = re.compile(r"(?:frames|rgb|video)(?:_(?P<run>\w+))?", re.IGNORECASE)
_EVENTS = re.compile(r"events?(?:_(?P<run>\w+))?", re.IGNORECASE)
_EVENT_FRAMES = re.compile(r"event_frames(?:_(?P<run>\w+))?", re.IGNORECASE)
_NO_ACTION = 99_999_999  # what the annotators wrote where they saw none
LANDMARKS, ALPHAS = "landmarks.npz", "facemorphic_alphas.npz"


@dataclass(frozen=True)
class _Clip:
    user: str
    name: str  # AU12, FREE, READING_2
    au: str | None
    task: str
    run: str
    folder: Path


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield every clip; see `proposal.Adapter`.

    Raises
    ------
    ConfigError
        If there are no folders ``<user>/AU_<n>`` below `source` or its ``recordings``.
    """
    check_source(source, "FACEMORPHIC, with recordings/<user>/AU_<n>/ below it")
    root = next((path for path in _folders(source) if path.name.lower() == "recordings"), source)
    clips = [(user, clip) for user in _folders(root) for clip in _folders(user) if _CLIP.fullmatch(clip.name)]
    if not clips:
        raise ConfigError(f"{source}: no recordings/<user>/AU_<n>/ below it; expected FACEMORPHIC as it is released")
    for user, folder in clips:
        yield from _clips(user, folder, options)
    for user in sorted({user for user, _ in clips}):
        for folder in _folders(user):
            if folder.name.upper().startswith("AU") and not _CLIP.fullmatch(folder.name):
                yield LeftOut(folder, "expected a name such as AU_12, AU_FREE or AU_READING")


def _clips(user: Path, folder: Path, options: Options) -> Iterator[Finding]:
    match = _CLIP.fullmatch(folder.name)
    assert match is not None, "the caller took folders that match"
    au = None if match["au"] is None else f"AU{int(match['au'])}"
    task = "action_unit" if au else match["task"].lower()
    name = au or "_".join(word for word in (match["task"].upper(), match["which"]) if word)
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as err:
        yield LeftOut(folder, f"cannot be read: {os_reason(err)}")
        return
    rgb = _by_run(_RGB, [p for p in entries if p.is_dir() or is_video(p)])
    events = _by_run(_EVENTS, [p for p in entries if p.is_file() and is_events(p)])
    notes_of = _by_run(_EVENT_FRAMES, [p for p in entries if p.is_dir()])
    if not rgb and not events:
        yield LeftOut(folder, "nothing that is called frames_<r> or event_<r>.raw in it")
    for run in sorted(set(rgb) | set(events), key=lambda text: (text.zfill(8), text)):
        clip = _Clip(user.name, name, au, task, run, folder)
        several = [*rgb.get(run, [])[1:], *events.get(run, [])[1:]]
        if several:
            yield LeftOut(several[0], f"a second recording that is called {run}; expected one of each kind")
        elif run not in rgb:
            yield LeftOut(events[run][0], f"events without RGB: no frames_{run} beside it")
        else:
            beside = [rgb[run][0], *notes_of.get(run, []), *([folder] if len(rgb) == 1 else [])]
            event_file = events[run][0] if run in events else None
            try:
                yield _proposal(clip, rgb[run][0], event_file, beside, options)
            except SessionError as err:
                yield LeftOut(rgb[run][0], " ".join(str(err).removeprefix(f"{rgb[run][0]}: ").split()))


def _proposal(clip: _Clip, rgb: Path, events: Path | None, beside: list[Path], options: Options) -> Proposal:
    part = rgb_part(rgb, None, options.fps)
    session_id = plain_id("_".join((clip.user, clip.name, clip.run)))
    about: dict[str, Any] = {"session_id": session_id, "subject_id": plain_id(clip.user), "task": clip.task}
    if clip.au is not None:
        about["au"] = clip.au
    if clip.run.isdigit():
        about["run"] = int(clip.run)
    sections: dict[str, Any] = {"session": about, "rgb": part.section}
    notes: list[str] = []
    if events is not None:
        sections["events"] = {"file": events, "sensor": "IMX646"}
        sections["sync"] = {"method": options.sync or "start"}
    else:
        notes.append(f"no event_{clip.run}.raw: labels of RGB frames only")
    made = list(part.made)
    kept: dict[str, Any] = {"layout": "facemorphic", "times": part.said_by}
    if rgb.is_dir():
        _add_arrays(rgb, part, sections, kept, made, notes)
    if (segment := _segment(clip, beside, part, notes)) is not None:
        sections["annotations"] = [segment]
    sections["source"] = kept
    return Proposal(session_id, about["subject_id"], sections, None, tuple(made), notes=tuple(notes))


def _add_arrays(
    rgb: Path, part: RgbPart, sections: dict[str, Any], kept: dict[str, Any], made: list[Made], notes: list[str]
) -> None:
    """Have the authors' landmarks and coefficients turned into plain arrays beside `session.toml`."""
    n_frames = None if part.times_us is None else len(part.times_us)
    landmarks, dense, alphas = (rgb / name for name in ("landmarks.npz", "landmarks_mediapipe.npz", "alphas32.npz"))
    try:
        if landmarks.is_file():
            read_landmarks(landmarks, n_frames)  # not kept: the arrays of all clips together are large
            made.append(
                Made(LANDMARKS, lambda path: write_npz(path, read_landmarks(landmarks, n_frames)), stated=True)
            )  # fmt: skip
            sections["landmarks"] = {"file": LANDMARKS}
            kept["landmarks_from"] = {"name": landmarks.name, "hash": quick_hash(landmarks)}
        elif dense.is_file():
            notes.append(f"{dense.name} holds MediaPipe's 478 points, not 68 landmarks: they are detected anew")
    except SchemaError as err:
        notes.append(f"landmarks left out: {err}")
    try:
        if alphas.is_file():
            read_alphas(alphas, n_frames)
            made.append(Made(ALPHAS, lambda path: write_npz(path, read_alphas(alphas, n_frames)), stated=True))
            kept["alphas_from"] = {"name": alphas.name, "hash": quick_hash(alphas)}
    except SchemaError as err:
        notes.append(f"coefficients left out: {err}")


def _segment(clip: _Clip, beside: list[Path], part: RgbPart, notes: list[str]) -> dict[str, Any] | None:
    """Return the annotated stretch of the action unit, if there is one that makes sense."""
    path = next((p for folder in beside if folder.is_dir() and (p := folder / "annotation.json").is_file()), None)
    if path is None or clip.au is None:
        return None
    if part.times_us is None:
        notes.append("annotation.json left out: it counts frames, and those of a video have no times here")
        return None
    last = len(part.times_us) - 1
    try:
        said = json.loads(path.read_bytes())
        start, end = int(said["start"]), min(int(said["end"]), last)
    except (OSError, ValueError, KeyError, TypeError) as err:
        notes.append(f"annotation.json left out: {type(err).__name__}: {' '.join(str(err).split())[:80]}")
        return None
    if start == _NO_ACTION:
        notes.append("annotation.json: the annotators saw no action unit")
        return None
    if not 0 <= start < end:
        notes.append(f"annotation.json left out: frames {said['start']} to {said['end']} of {last + 1}")
        return None
    return {
        "kind": "segment",
        "origin": "coder",
        "label": clip.au,
        "onset_us": part.times_us[start],
        "offset_us": part.times_us[end],
        "source": "annotation.json",
    }


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err


def _by_run(pattern: re.Pattern[str], paths: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        match = pattern.fullmatch(path.name if path.is_dir() else path.stem)
        if match is not None:
            found.setdefault(match["run"] or "1", []).append(path)
    return found
