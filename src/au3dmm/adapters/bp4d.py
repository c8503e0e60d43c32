"""BP4D, RGB only: ``<subject>/<task>/<number>.jpg``, ``AU_OCC/F001_T1.csv``, ``AU_INT/AU06/F001_T1_AU06.csv``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from au3dmm.adapters.frame_times import frames_in_order, nominal_times
from au3dmm.adapters.names import below, check_source, template
from au3dmm.adapters.proposal import Finding, LeftOut, Options, Proposal
from au3dmm.adapters.recording_parts import with_times
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.session import IMAGE_SUFFIXES

FPS = 25.0
_SUBJECT, _TASK = re.compile(r"[FM]\d{3}", re.IGNORECASE), re.compile(r"T\d{1,2}", re.IGNORECASE)
_CODES = re.compile(r"(?P<subject>[FM]\d{3})_?(?P<task>T\d{1,2})(?:_(?:AU)?(?P<au>\d{1,2}))?", re.IGNORECASE)
Key = tuple[str, str]


def find(source: Path, options: Options) -> Iterator[Finding]:
    """Yield one recording per subject and task; see `proposal.Adapter`.

    ``--rgb '2D/{subject}/{session}'`` says which images, where there are several copies.

    Raises
    ------
    ConfigError
        If there are no such folders of images.
    """
    check_source(source, "BP4D, with <subject>/<task>/*.jpg and AUCoding below it")
    chosen = None if options.rgb is None else template(options.rgb, "--rgb")
    folders: dict[Key, list[Path]] = {}
    codes: dict[Key, list[tuple[int | None, Path]]] = {}
    seen: set[Path] = set()
    for relative, path, is_folder in below(source):
        if not is_folder and path.suffix.lower() == ".csv" and (match := _CODES.fullmatch(path.stem)):
            au = None if match["au"] is None else int(match["au"])
            codes.setdefault(_key(match["subject"], match["task"]), []).append((au, path))
        elif not is_folder and path.suffix.lower() in IMAGE_SUFFIXES and path.parent not in seen:
            seen.add(path.parent)
            key = _place(relative, path.parent, chosen)
            if key is not None:
                folders.setdefault(key, []).append(path.parent)
    if not folders:
        raise ConfigError(f"{source}: no images in folders such as F001/T1 below it")
    for key in sorted(set(codes) - set(folders)):
        yield LeftOut(codes[key][0][1], f"codes of {'/'.join(key)}, but no images")
    for key, paths in sorted(folders.items()):
        if len(paths) > 1:
            why = f"one of {len(paths)} folders of images of {'/'.join(key)}; say which with --rgb"
            yield from (LeftOut(path, why) for path in paths)
            continue
        try:
            yield _proposal(
                key, paths[0], sorted(codes.get(key, []), key=lambda c: (c[0] or 0, c[1])), options.fps or FPS
            )
        except SessionError as err:
            yield LeftOut(paths[0], " ".join(str(err).removeprefix(f"{paths[0]}: ").split()))


def _key(subject: str, task: str) -> Key:
    return subject.upper(), task.upper()


def _place(relative: str, folder: Path, chosen: re.Pattern[str] | None) -> Key | None:
    """Return subject and task of a folder of images, if its place says so."""
    if chosen is None:
        whose = _SUBJECT.fullmatch(folder.parent.name) and _TASK.fullmatch(folder.name)
        return _key(folder.parent.name, folder.name) if whose else None
    if missing := {"subject", "session"} - set(chosen.groupindex):
        raise ConfigError(
            f"--rgb: {{{min(missing)}}} is missing in it; expected a pattern like '2D/{{subject}}/{{session}}'"
        )
    match = chosen.fullmatch(relative.rpartition("/")[0])
    return None if match is None else _key(match["subject"], match["session"])


def _proposal(key: Key, folder: Path, codes: list[tuple[int | None, Path]], fps: float) -> Proposal:
    files = frames_in_order(folder)
    numbers = [int(found[-1]) if (found := re.findall(r"\d+", path.stem)) else -1 for path in files]
    if numbers != sorted(set(numbers)) or numbers[0] < 0:
        raise SessionError("the images' names do not count frames: expected numbers, each once")
    ticks = nominal_times(numbers[-1] - numbers[0] + 1, fps)
    rgb = with_times(folder, [ticks[number - numbers[0]] for number in numbers], f"nominal rate of {fps:g}/s")
    annotations: list[dict[str, Any]] = []
    for au, path in codes:
        # only a part of each recording was coded
        said = {"origin": "coder", "file": path, "format": "bp4d", "coverage": "overlap"}
        whole = {"kind": "frame_occurrence"} if au is None else {"kind": "frame_intensity", "label": f"AU{au}"}
        annotations.append({**whole, **said})
    subject, task = key
    sections = {
        "session": {"session_id": f"{subject}_{task}", "subject_id": subject, "task": task},
        "rgb": rgb.section,
        **({"annotations": annotations} if annotations else {}),
        "source": {"layout": "bp4d", "times": rgb.said_by},
    }
    notes = () if codes else ("no codes in AUCoding",)
    return Proposal(f"{subject}_{task}", subject, sections, folder, rgb.made, notes=notes)
