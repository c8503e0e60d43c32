"""DISFA: ``Videos_LeftCamera/LeftVideoSN001_comp.avi`` and ``ActionUnit_Labels/SN001/SN001_au12.txt``; RGB only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.adapters.names import below, check_source
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import is_video
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.annotation_files import read_frame_codes
from au3dmm.io.video import packet_times

_VIDEO = re.compile(r"(?P<camera>left|right)?_?(?:video)?_?(?P<subject>SN\d{3})(?:_comp)?", re.IGNORECASE)
_LABELS = re.compile(r"(?P<subject>SN\d{3})_au(?P<au>\d{1,2})", re.IGNORECASE)
_CLOSE = 2
"""Rows by which labels may be too many or too few: some of DISFA's videos have a frame less than their labels."""


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield one recording per video; see `proposal.Adapter`.

    Raises
    ------
    ConfigError
        If there are no such videos.
    """
    check_source(source, "DISFA, with Videos_LeftCamera and ActionUnit_Labels in it")
    camera = options.camera or "left"
    videos: dict[str, list[Path]] = {}
    labels: dict[str, dict[int, Path]] = {}
    for _, path, is_folder in below(source):
        if is_folder:
            continue
        if is_video(path) and (match := _VIDEO.fullmatch(path.stem)) and _camera(path, match) == camera:
            videos.setdefault(match["subject"].upper(), []).append(path)
        elif path.suffix.lower() == ".txt" and (match := _LABELS.fullmatch(path.stem)):
            labels.setdefault(match["subject"].upper(), {})[int(match["au"])] = path
    if not videos:
        raise ConfigError(f"{source}: no video of the {camera} camera, such as LeftVideoSN001_comp.avi, below it")
    for subject in sorted(set(labels) - set(videos)):
        yield LeftOut(next(iter(labels[subject].values())).parent, f"labels of {subject}, but no video")
    for subject, paths in sorted(videos.items()):
        if len(paths) > 1:
            yield from (LeftOut(path, f"one of {len(paths)} videos of {subject}; expected one") for path in paths)
            continue
        try:
            yield _proposal(subject, paths[0], labels.get(subject, {}), camera)
        except SessionError as err:
            yield LeftOut(paths[0], " ".join(str(err).removeprefix(f"{paths[0]}: ").split()))


def _camera(path: Path, match: re.Match[str]) -> str:
    """Return which camera a video is of: as its own name says, or that of its folder; left if neither does."""
    said = match["camera"] or next((word for word in ("left", "right") if word in path.parent.name.lower()), "left")
    return said.lower()


def _proposal(subject: str, video: Path, labels: dict[int, Path], camera: str) -> Proposal:
    n_frames = len(packet_times(video))
    annotations: list[dict[str, Any]] = []
    notes = [] if labels else ["no files of action units"]
    odd: dict[int, list[str]] = {}
    for au, path in sorted(labels.items()):
        n_rows = len(read_frame_codes(path, "disfa", f"AU{au}", "au", 5).number)
        if abs(n_rows - n_frames) > _CLOSE:
            notes.append(f"{path.name} left out: {n_rows} rows, the video has {n_frames} frames")
            continue
        annotation = {"kind": "frame_intensity", "origin": "coder", "label": f"AU{au}", "file": path, "format": "disfa"}
        if n_rows != n_frames:
            odd.setdefault(n_rows, []).append(f"AU{au}")
            annotation["coverage"] = "overlap"
        annotations.append(annotation)
    for n_rows, units in odd.items():
        notes.append(f"{len(units)} files of {n_rows} rows for {n_frames} frames: those that match are taken")
    session_id = f"{subject}_{camera}"
    sections = {
        "session": {"session_id": session_id, "subject_id": subject, "task": "video watching"},
        "rgb": {"file": video, "frames": n_frames},
        **({"annotations": annotations} if annotations else {}),
        "source": {"layout": "disfa", "times": "video"},
    }
    return Proposal(session_id, subject, sections, notes=tuple(notes))
