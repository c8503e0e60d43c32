"""Write what an adapter found: a `session.toml` per recording, `dataset.toml`, `participants.tsv`."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli

from au3dmm.adapters.proposal import Proposal
from au3dmm.adapters.toml_text import toml_text
from au3dmm.config import validate_toml
from au3dmm.errors import ConfigError, SchemaError, SessionError, os_reason
from au3dmm.io.atomic import write_bytes
from au3dmm.io.dataset import DATASET, PARTICIPANTS, DatasetManifest
from au3dmm.io.participants import add_participants
from au3dmm.io.session import MANIFEST, Manifest

_STAMP = "# Written by au3dmm init --layout {layout}; once edited it is yours and is not written again. Check: {digest}"
_MARK = "# Written by au3dmm init --layout "
State = Literal["written", "refreshed", "unchanged", "edited", "failed"]


@dataclass(frozen=True)
class Written:
    """What became of one proposal.

    Attributes
    ----------
    path : Path
        Its `session.toml`.
    state : {"written", "refreshed", "unchanged", "edited", "failed"}
        ``edited``: a person changed it, or wrote it; left as it is.
    problem : str or None
        Why it failed.
    """

    path: Path
    state: State
    problem: str | None = None


def write_dataset(
    proposals: Iterable[Proposal],
    layout: str,
    source: Path,
    out: Path,
    about: Mapping[str, Any],
    *,
    in_place: bool = False,
    force: bool = False,
) -> list[Written]:
    """Write a dataset's manifests; one recording that fails stops no other.

    Parameters
    ----------
    proposals : iterable of Proposal
        What was found.
    layout : str
        The layout's name.
    source : Path
        Where the raw data are; nothing is written there unless `in_place`.
    out : Path
        The dataset's folder: ``sessions/<session_id>/session.toml``, `dataset.toml`, `participants.tsv`.
    about : mapping
        ``[dataset]`` of `dataset.toml`, if there is none yet.
    in_place : bool
        Write each `session.toml` into the folder of its recording.
    force : bool
        Write over files that a person changed.

    Returns
    -------
    list of Written
        In the order of proposals.

    Raises
    ------
    ConfigError
        If two recordings have one session_id, `in_place` has no folder of its own for one, or one that is marked as
        read-only.
    OutputError
        If `out` cannot be written.
    """
    proposals = list(proposals)
    check_apart(proposals, in_place=in_place)
    if in_place:
        _check_writable([out, *(one.home for one in proposals if one.home is not None)])
    text = stamped(toml_text({"schema_version": 1, "dataset": dict(about)}), layout)
    validate_toml(DatasetManifest, tomli.loads(text), out / DATASET)
    done = [_write_one(one, layout, _folder(one, out, in_place), out, force) for one in proposals]
    if in_place and not any(one.state in ("written", "refreshed", "unchanged") for one in done):
        return done  # nothing below here is ours, so neither is the folder
    people = {one.subject_id: dict(one.person) for one in proposals}
    add_participants(out / PARTICIPANTS, people)
    if not (out / DATASET).exists():
        write_bytes(out / DATASET, text.encode())
    return done


def check_apart(proposals: Iterable[Proposal], *, in_place: bool) -> None:
    """Refuse proposals that would write over each other; see `write_dataset`."""
    ids = Counter(one.session_id.casefold() for one in proposals)
    for one in proposals:
        if ids[one.session_id.casefold()] > 1:
            raise ConfigError(
                f"{ids[one.session_id.casefold()]} recordings would be session {one.session_id!r}; expected names that"
                " tell them apart: add {subject}, {session} or {run} to the pattern"
            )
    if in_place:
        homes = Counter(one.home for one in proposals)
        for one in proposals:
            if one.home is None or homes[one.home] > 1:
                where = f"shares {one.home} with others" if one.home else "has no folder of its own"
                raise ConfigError(f"session {one.session_id!r} {where}, so --in-place cannot be; use --out DATASET")


def _check_writable(folders: Iterable[Path]) -> None:
    for folder in folders:
        # whoever took the write bits away meant everyone, also those whom the system lets write all the same
        if folder.exists() and not folder.stat().st_mode & 0o222:
            raise ConfigError(f"{folder}: marked as read-only, so --in-place must not write there; use --out DATASET")


def session_text(proposal: Proposal, layout: str, folder: Path, out: Path) -> str:
    """Return the text of a `session.toml` that lies in `folder` of the dataset `out`.

    Raw files in the dataset's folder are named relative to it, others by their whole path.

    Raises
    ------
    ConfigError
        If it is not a valid manifest, or a file's name is not UTF-8.
    """
    values = _named({"schema_version": 1, **proposal.sections}, folder.absolute(), out.absolute())
    text = toml_text(values)
    try:
        text.encode()
    except UnicodeEncodeError as err:
        name = proposal.session_id
        raise ConfigError(f"session {name!r}: a file's name is not UTF-8, which TOML is; rename the file") from err
    text = stamped(text, layout)
    validate_toml(Manifest, tomli.loads(text), folder / MANIFEST)
    return text


def stamped(text: str, layout: str) -> str:
    """Put a first line before a text by which `was_edited` tells whether a person changed it."""
    return _STAMP.format(layout=layout, digest=_digest(text)) + "\n" + text


def was_edited(path: Path) -> bool:
    """Whether a file is a person's: changed since it was written, or never written by `stamped`.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        first, _, rest = path.read_bytes().partition(b"\n")
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {os_reason(err)}") from err
    line = first.decode("utf-8", "replace")
    return not (line.startswith(_MARK) and line.rpartition(" ")[2] == _digest(rest.decode("utf-8", "replace")))


def _write_one(one: Proposal, layout: str, folder: Path, out: Path, force: bool) -> Written:
    path = folder / MANIFEST
    try:
        text = session_text(one, layout, folder, out).encode()
        there = path.exists()
        if there and was_edited(path) and not force:
            return Written(path, "edited")
        same = there and path.read_bytes() == text
        for made in one.made:
            if not (same and made.stated and (folder / made.name).exists()):
                made.write(folder / made.name)
        if same:
            return Written(path, "unchanged")
        write_bytes(path, text)  # last: who finds it finds all it names
    except (ConfigError, SessionError, SchemaError) as err:
        return Written(path, "failed", " ".join(str(err).split()))
    return Written(path, "refreshed" if there else "written")


def _folder(one: Proposal, out: Path, in_place: bool) -> Path:
    if in_place:
        assert one.home is not None, "checked by check_apart"
        return one.home
    return out / "sessions" / one.session_id


def _named(value: Any, folder: Path, out: Path) -> Any:
    if isinstance(value, Mapping):
        return {key: _named(item, folder, out) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item, folder, out) for item in value]
    if isinstance(value, Path):
        path = value.absolute()
        inside = path.is_relative_to(out) or path.is_relative_to(folder)
        return Path(os.path.relpath(path, folder)).as_posix() if inside else path.as_posix()
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
