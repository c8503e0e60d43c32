"""``corpus.toml``: what a tree of meshes is, written by hand beside it.

An example; ``name``, ``unit`` and ``frames`` are required::

    name = "studio"
    unit = "mm"                                   # of the coordinates: m, cm or mm
    frames = "{subject}/{sequence}/{frame}.ply"   # or "{subject}/{sequence}.npy", one (n, V, 3) array per sequence
    neutral = "neutral/{subject}.ply"             # left out: the first frames of each subject's sequences
    posed = true                                  # whether heads move; false if frames are registered already
    landmarks = "landmarks68.json"                # 68 vertices, or triangles with barycentric coordinates
    licence = "CC-BY-4.0"
    provenance = "Our studio, 2025, 12 actors"

    [action_units]                                # or action_units = "folder": read from the names of the sequences
    smile = "6+12+25"
    "s01/wink" = ["AU46_left"]

In patterns, ``{subject}``, ``{sequence}`` and ``{frame}`` stand for any part of a name within one folder, the same
where one occurs twice, and ``*`` for anything that does not matter. Frames are ordered by the numbers in ``{frame}``.
Files end in .ply, .obj or .npy. Axes are y up, z out of the face.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from au3dmm.config import Params, read_toml, validate_toml
from au3dmm.errors import ConfigError
from au3dmm.io.corpora.action_units import parse_action_units

MANIFEST = "corpus.toml"
SUFFIXES = (".ply", ".obj", ".npy")
_FIELD = re.compile(r"\{(\w*)\}")
_FIELDS = ("subject", "sequence", "frame")
_STARTER = """three lines: `name = "NAME"`, `unit = "m"`, `frames = "{subject}/{sequence}/{frame}.ply"`"""


class CorpusManifest(Params):
    """The whole of `corpus.toml`."""

    name: str = Field(min_length=1, description="What the corpus is called; goes into the basis' provenance.")
    unit: Literal["m", "cm", "mm"] = Field(description="Of the files' coordinates.")
    frames: str = Field(description="Pattern of the files: {subject}, {sequence}, {frame}, *.")
    neutral: str | None = Field(None, description="Pattern of the neutral heads, with {subject}.")
    posed: bool = Field(True, description="Whether frames hold head motion, so that each must be registered.")
    landmarks: str | None = Field(None, description="The 68 iBUG landmarks: JSON, npy or txt, beside the manifest.")
    kind: Literal["learned", "demo"] = Field("learned", description="demo: heads that are invented.")
    licence: str = Field("", description="In words.")
    provenance: str = Field("", description="In words.")
    action_units: Literal["folder"] | dict[str, str | list[str]] | None = Field(
        None, description="'folder': from the sequences' names; or a table of sequence (or subject/sequence) to units."
    )

    @field_validator("frames")
    @classmethod
    def _frames_are_a_pattern(cls, value: str) -> str:
        _check_pattern(value, _FIELDS)
        return value

    @field_validator("neutral")
    @classmethod
    def _neutral_is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            _check_pattern(value, ("subject",))
        return value


def read_manifest(path: Path) -> tuple[CorpusManifest, Path]:
    """Read the manifest of a corpus.

    Parameters
    ----------
    path : Path
        The corpus' folder, or the manifest itself.

    Returns
    -------
    manifest : CorpusManifest
        What it says.
    file : Path
        Where it is; patterns are relative to its folder.

    Raises
    ------
    ConfigError
        If it is missing (the message says how to begin one), is not TOML, or a name or value in it is wrong.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        where = f"{path}: no {MANIFEST} in it" if path.is_dir() else f"{path}: no such file or folder"
        raise ConfigError(f"{where}; expected one that says what the meshes are, to begin with {_STARTER}")
    return validate_toml(CorpusManifest, read_toml(file), file), file


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return what a file's path, relative and with slashes, must match in full.

    Examples
    --------
    >>> match = pattern_regex("{subject}/{sequence}/{sequence}.{frame}.ply").fullmatch("s1/smile/smile.07.ply")
    >>> match.groupdict()
    {'subject': 's1', 'sequence': 'smile', 'frame': '07'}
    """
    seen: set[str] = set()
    parts = []
    for part in re.split(r"(\{\w*\}|\*)", pattern):
        match = _FIELD.fullmatch(part)
        if part == "*":
            parts.append("[^/]*")
        elif match is None:
            parts.append(re.escape(part))
        elif match[1] in seen:
            parts.append(f"(?P={match[1]})")
        else:
            seen.add(match[1])
            parts.append(f"(?P<{match[1]}>[^/]+)")
    return re.compile("".join(parts))


def tagged(
    manifest: CorpusManifest, file: Path, takes: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the action units of each sequence.

    Parameters
    ----------
    manifest : CorpusManifest
        What it says.
    file : Path
        Where it is, for messages.
    takes : iterable of (str, str)
        Subject and name of every sequence.

    Raises
    ------
    ConfigError
        If the table names a sequence that does not exist, or units that are none.
    """
    names = list(takes)
    table = manifest.action_units
    if table is None:
        return dict.fromkeys(names, ())
    if table == "folder":
        return {take: parse_action_units(take[1]) for take in names}
    known = {name for _, name in names} | {f"{subject}/{name}" for subject, name in names}
    parsed = {}
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known)[:4])}, ..."
            raise ConfigError(f"{file}: action_units names {key!r}, but no sequence is called that: {hint}")
        text = value if isinstance(value, str) else "+".join(value)
        parsed[key] = parse_action_units(text)
        if text and not parsed[key]:
            raise ConfigError(f"{file}: action_units.{key}: {text!r} names no action unit; expected like '6+12L'")
    return {(s, name): parsed.get(f"{s}/{name}", parsed.get(name, ())) for s, name in names}


def _check_pattern(pattern: str, fields: tuple[str, ...]) -> None:
    path = PurePosixPath(pattern)
    unknown = [name for name in _FIELD.findall(pattern) if name not in fields]
    if unknown or re.search(r"[{}]", _FIELD.sub("", pattern)):
        allowed = ", ".join(f"{{{name}}}" for name in fields)
        raise ValueError(f"use {allowed} and * in a pattern")
    if "{subject}" not in pattern:
        raise ValueError("no {subject} in the pattern; every file belongs to someone")
    if path.is_absolute() or ".." in path.parts or "\\" in pattern:
        raise ValueError("use a path below the manifest's folder, with slashes and without '..'")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"use a pattern that ends in {', '.join(SUFFIXES)}")
