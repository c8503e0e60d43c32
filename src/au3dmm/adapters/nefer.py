"""NEFER, and datasets like it: RGB and event clips of people who watched videos, with expected and reported emotions.

``annotations/{expected,reported}_emotions/*.csv`` hold rows of user, clip, frame and emotion, without header; RGB and
event clips have names of their own, so that the n-th of a user belong together. A clip is a folder of images or a
video, and an event file, that is called as in the CSV, anywhere below the source.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from au3dmm.adapters.names import below, check_source, plain_id
from au3dmm.adapters.pairs import find as find_pairs
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import is_events, is_video, rgb_part
from au3dmm.errors import ConfigError, SessionError, os_reason
from au3dmm.io.frames import natural_key

EXPECTED, REPORTED = "expected_emotions", "reported_emotions"
_ORIGIN = {EXPECTED: "instructed", REPORTED: "reported"}
Clip = tuple[str, str]
Emotions = dict[Clip, dict[str, str]]


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield one recording per pair of clips, with both emotions; see `proposal.Adapter`.

    With ``--rgb`` and ``--events`` the patterns say what belongs together, as in the layout `pairs`, and emotions are
    found by the names of the clips.

    Raises
    ------
    ConfigError
        If there are no such CSVs, or one cannot be read.
    """
    check_source(source, "NEFER, with annotations/expected_emotions and the clips below it")
    tables = _tables(source)
    if options.rgb is not None:
        for one in find_pairs(source, options):
            yield one if isinstance(one, LeftOut) else _with_emotions(one, tables)
        return
    rgb, events = (
        {clip: said for clip, said in tables.items() if _is_event_clip(clip) is kind} for kind in (False, True)
    )
    places = _places(source)
    for user in sorted({user for user, _ in tables}):
        mine, theirs = (
            sorted((clip for clip in part if clip[0] == user), key=lambda clip: natural_key(clip[1]))
            for part in (rgb, events)
        )
        why = _why_not(user, mine, theirs, tables)
        if why is not None:
            yield LeftOut(source / user, why)
            continue
        for number, (video, event) in enumerate(zip(mine, theirs, strict=True), 1):
            one = _proposal(user, number, video, event, places, tables, options)
            yield one


def _tables(source: Path) -> Emotions:
    """Return the emotions of every clip by the set of labels that says so."""
    found: Emotions = {}
    files = [path for _, path, folder in below(source) if not folder and path.parent.name in _ORIGIN]
    files = [path for path in files if path.suffix.lower() == ".csv"]
    if not files:
        raise ConfigError(f"{source}: no annotations/{EXPECTED}/*.csv below it; expected NEFER's annotations")
    for path in files:
        for user, clip, emotion in _rows(path):
            before = found.setdefault((user, clip), {}).setdefault(path.parent.name, emotion)
            if before != emotion:
                raise ConfigError(f"{path}: clip {clip!r} of {user} is {before} and {emotion}; expected one emotion")
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            for number, row in enumerate(csv.reader(f), 1):
                if not row:
                    continue
                if len(row) < 3 or not all(field.strip() for field in (*row[:2], row[-1])):
                    raise ConfigError(
                        f"{path}: line {number}: {','.join(row)[:60]!r}, expected user,clip,frame,emotion"
                    )
                yield row[0].strip(), row[1].strip(), row[-1].strip()
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(f"{path}: not a CSV: {err}") from err


def _is_event_clip(clip: Clip) -> bool:
    # event clips are called after user and time, RGB clips after the camera's counter
    return _letters(clip[1]).startswith(_letters(clip[0])) or clip[1].lower().endswith("_cd")


def _why_not(user: str, rgb: list[Clip], events: list[Clip], tables: Emotions) -> str | None:
    """Return why the clips of a user cannot be paired in order, None if they can."""
    if len(rgb) != len(events):
        return (
            f"{len(rgb)} RGB and {len(events)} event clips of {user}: which belong together cannot be told; use --rgb"
        )
    for a, b in zip(rgb, events, strict=True):
        if tables[a].get(EXPECTED) != tables[b].get(EXPECTED):
            said = f"{a[1]} is {tables[a].get(EXPECTED)}, {b[1]} is {tables[b].get(EXPECTED)}"
            return f"RGB and event clips of {user} do not agree in order: {said}; use --rgb and --events"
    return None


def _places(source: Path) -> dict[str, list[Path]]:
    places: dict[str, list[Path]] = {}
    for _, path, is_folder in below(source):
        if is_folder or is_video(path) or is_events(path):
            places.setdefault((path.name if is_folder else path.stem).casefold(), []).append(path)
    return places


def _proposal(
    user: str, number: int, video: Clip, event: Clip, places: dict[str, list[Path]], tables: Emotions, options: Options
) -> Finding:
    here = Path(user, video[1])
    rgb = [path for path in places.get(video[1].casefold(), ()) if path.is_dir() or is_video(path)]
    rgb = [path for path in rgb if _letters(path.parent.name) == _letters(user)] or rgb
    names = (event[1].casefold(), event[1].casefold().removesuffix("_cd"))
    events = [
        path for name in dict.fromkeys(names) for path in places.get(name, ()) if path.is_file() and is_events(path)
    ]
    if len(rgb) != 1 or len(events) != 1:
        return LeftOut(
            here, f"{len(rgb)} places called {video[1]} and {len(events)} event files {event[1]}; expected one each"
        )
    try:
        part = rgb_part(rgb[0], None, options.fps)
    except SessionError as err:
        return LeftOut(rgb[0], " ".join(str(err).removeprefix(f"{rgb[0]}: ").split()))
    subject_id = plain_id(user)
    session_id = f"{subject_id}_{number:02}"
    sections: dict[str, Any] = {
        "session": {"session_id": session_id, "subject_id": subject_id, "task": "video watching", "run": number},
        "rgb": part.section,
        "events": {"file": events[0]},
        "annotations": _annotations({**tables[event], **tables[video]}),
        "source": {"layout": "nefer", "times": part.said_by, "rgb_clip": video[1], "event_clip": event[1]},
    }
    return Proposal(session_id, subject_id, sections, None, part.made)


def _annotations(said: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"kind": "video_class", "origin": origin, "vocabulary": "emotion", "label": said[name], "source": name}
        for name, origin in _ORIGIN.items()
        if name in said
    ]


def _with_emotions(one: Proposal, tables: Emotions) -> Proposal:
    """Return a pair with what is said of the clips that its files are called after."""
    names = [
        Path(part["file"] if "file" in part else part["folder"])
        for key in ("rgb", "events")
        if (part := one.sections.get(key))
    ]
    words = {_letters(path.stem) for path in names} | {_letters(path.name) for path in names}
    said: dict[str, str] = {}
    for (user, clip), emotions in tables.items():
        if _letters(clip) in words and _letters(user) in (_letters(one.subject_id), _letters(f"user{one.subject_id}")):
            said.update(emotions)
    notes = one.notes if said else (*one.notes, "no emotion in the annotations")
    return replace(one, sections={**one.sections, **({"annotations": _annotations(said)} if said else {})}, notes=notes)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()
