"""Folders of images whose names say when they were taken, each with the event file that lies beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.adapters.names import below, check_source, ids_at
from au3dmm.adapters.pairs import find as find_pairs
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import is_events, rgb_part, times_beside
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.session import IMAGE_SUFFIXES

_USUAL = frozenset({"frames", "images", "imgs", "img", "rgb", "color", "colour"})


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield every folder of images as a recording; see `proposal.Adapter`.

    With ``--rgb`` (and ``--events``) the patterns say which folders and files, as in the layout `pairs`. Without, the
    event file is the only one in the folder or beside it, and ids are made of the folder's path below the source.

    Raises
    ------
    ConfigError
        If there is no folder of images.
    """
    check_source(source, "a folder with folders of images below it")
    if options.rgb is not None:
        yield from find_pairs(source, options)
        return
    folders = sorted({path.parent for _, path, _ in below(source) if path.suffix.lower() in IMAGE_SUFFIXES})
    if not folders:
        raise ConfigError(f"{source}: no images below it ({', '.join(IMAGE_SUFFIXES)})")
    beside = Counter(folder.parent for folder in folders)
    for folder in folders:
        # a folder that is called frames and is the only one there tells nothing apart
        named = folder == source or folder.name.lower() not in _USUAL or beside[folder.parent] > 1
        try:
            yield _proposal(source, folder, folder if named else folder.parent, options)
        except SessionError as err:
            yield LeftOut(folder, " ".join(str(err).removeprefix(f"{folder}: ").split()))


def _proposal(source: Path, folder: Path, home: Path, options: Options) -> Proposal:
    session_id, subject_id, found = ids_at(source, home)
    rgb = rgb_part(folder, times_beside(folder), options.fps)
    sections: dict[str, Any] = {"session": {"session_id": session_id, "subject_id": subject_id}, "rgb": rgb.section}
    notes = [*found]
    inside = [path for path in folder.iterdir() if is_events(path)]
    beside = [path for path in folder.parent.iterdir() if path.is_file() and is_events(path)]
    events = inside or beside
    if len(events) == 1:
        sections["events"] = {"file": events[0]}
    else:
        names = ", ".join(sorted(path.name for path in events))
        notes.append(f"{len(events)} event files beside it: {names}; say which with --events" if names else "no events")
    sections["source"] = {"layout": "images", "times": rgb.said_by}
    return Proposal(session_id, subject_id, sections, home, rgb.made, notes=tuple(notes))
