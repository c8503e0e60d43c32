"""A dataset: its `dataset.toml`, the people in `participants.tsv`, and the sessions in the folders below it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from au3dmm.config import Params, read_toml, validate_toml
from au3dmm.errors import ConfigError, os_reason
from au3dmm.io.dataset_defaults import DATASET, check_defaults
from au3dmm.io.participants import PARTICIPANTS, read_participants, withheld
from au3dmm.io.session import MANIFEST, Manifest, Session, read_manifest

__all__ = ["DATASET", "PARTICIPANTS", "Dataset", "DatasetManifest", "FoundSession", "find_sessions", "read_dataset"]

NOT_SESSIONS = frozenset({"derivatives", "truth"})
"""Folders that hold what was made from sessions: nothing below them is one."""


class DatasetSection(Params):
    """What the dataset is."""

    name: str = Field(min_length=1, description="What people call it.")
    version: str = Field("1.0", min_length=1)
    licence: str | None = Field(None, description="Of the recordings; labels and exports carry it.")
    description: str | None = None
    url: str | None = None
    contacts: tuple[str, ...] = ()
    citation: str | None = None


class BasesSource(Params):
    """Where the two face models come from."""

    file: str | None = Field(None, description="bases.npz, relative to dataset.toml.")
    corpora: tuple[str, ...] = Field(
        (), description="To learn them from, as `fit-bases --corpus` takes them; paths relative to dataset.toml."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file is not None and self.corpora:
            raise ValueError("give file (a basis) or corpora (to learn one from), not both")
        return self


class DatasetManifest(Params):
    """The whole of `dataset.toml`."""

    schema_version: Literal[1] = 1
    dataset: DatasetSection
    bases: BasesSource = BasesSource()
    defaults: dict[str, Any] = Field(default_factory=dict, description="Sections of session.toml, for all sessions.")


@dataclass(frozen=True)
class Dataset:
    """A folder of sessions.

    Attributes
    ----------
    folder : Path
        Where `dataset.toml` lies, or would lie.
    manifest : DatasetManifest
        What it says.
    participants : dict
        Per subject_id the row of `participants.tsv`; what is not known (empty, ``n/a``) is left out.
    """

    folder: Path
    manifest: DatasetManifest
    participants: dict[str, dict[str, str]]

    def excluded(self, subject_id: str) -> str | None:
        """Return why a person's recordings must not be used, or None if they may be.

        Examples
        --------
        >>> people = {"S01": {"consent": "withdrawn"}}
        >>> dataset = Dataset(Path("d"), DatasetManifest(dataset=DatasetSection(name="d")), people)
        >>> dataset.excluded("S01")
        "subject 'S01' is left out: participants.tsv says consent = withdrawn"
        >>> dataset.excluded("S02") is None
        True
        """
        # who wrote s01 for S01 has still withdrawn
        for name, row in self.participants.items():
            if name.casefold() == subject_id.casefold() and (consent := withheld(row)) is not None:
                return f"subject {subject_id!r} is left out: {PARTICIPANTS} says consent = {consent}"
        return None


@dataclass(frozen=True)
class FoundSession:
    """A `session.toml` in a dataset.

    Attributes
    ----------
    path : Path
        The manifest.
    name : str
        Its session_id, or the folder's name where it cannot be read.
    session : Session or None
        None exactly if there is a problem.
    problem : str or None
        Why the session cannot be used, in one line.
    """

    path: Path
    name: str
    session: Session | None
    problem: str | None


def read_dataset(folder: Path) -> Dataset:
    """Read `dataset.toml` and `participants.tsv`; without the first, the dataset is named after its folder.

    Raises
    ------
    ConfigError
        If the folder is not there, or a name or value in one of the two is wrong.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}; expected the folder of a dataset, with sessions below it")
    path = folder / DATASET
    if path.is_file():
        manifest = validate_toml(DatasetManifest, read_toml(path), path)
        check_defaults(Manifest, manifest.defaults, path)
    else:
        manifest = DatasetManifest(dataset=DatasetSection(name=folder.absolute().name or "dataset"))
    return Dataset(folder, manifest, read_participants(folder / PARTICIPANTS))


def find_sessions(dataset: Dataset) -> list[FoundSession]:
    """Find every session below a dataset's folder, sorted by session_id.

    A session is a folder with a `session.toml`; there is none inside another session, below `derivatives` or `truth`,
    or in a hidden folder. Folders that symbolic links lead to are searched once. One that cannot be used (not TOML, a
    wrong name, a session_id that occurs twice) has a problem and stops no other.

    Raises
    ------
    ConfigError
        If `dataset.toml` has wrong ``[defaults]``: that concerns every session.
    """
    check_defaults(Manifest, dataset.manifest.defaults, dataset.folder / DATASET)
    found = [_look(path, problem) for path, problem in _manifests(dataset.folder)]
    found = _told_apart(found, "session_id", lambda session: session.session_id, twice=True)
    found = _told_apart(found, "subject_id", lambda session: session.subject_id, twice=False)
    return sorted(found, key=lambda one: (one.name, str(one.path)))


def _look(path: Path, problem: str | None) -> FoundSession:
    if problem is not None:
        return FoundSession(path, path.parent.name, None, problem)
    try:
        session = read_manifest(path)
    except ConfigError as err:
        return FoundSession(path, path.parent.name, None, " ".join(str(err).split()))
    return FoundSession(path, session.session_id, session, None)


def _told_apart(found: list[FoundSession], what: str, name_of: Any, *, twice: bool) -> list[FoundSession]:
    """Give a problem to sessions whose names are the same (if `twice`), or differ only in case.

    File systems that do not tell S01 from s01 would mix their outputs; as subjects, they are one person in two splits.
    """
    alike: dict[str, dict[str, list[FoundSession]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        if one.session is not None:
            name = str(name_of(one.session))
            alike[name.casefold()][name].append(one)
    problems: dict[Path, str] = {}
    for spellings in alike.values():
        if len(spellings) == 1 and not (twice and len(next(iter(spellings.values()))) > 1):
            continue
        for name, those in spellings.items():
            for one in those:
                same = [o.path for o in those if o is not one] if twice else []
                other = same or [o.path for n, group in spellings.items() if n != name for o in group]
                others = f"{other[0]}" + (f" and {len(other) - 1} more" if len(other) > 1 else "")
                how = "is that of" if same else "differs only in case from that of"
                problems[one.path] = f"{one.path}: {what} {name!r} {how} {others}; rename one of them"
    return [
        replace(one, session=None, problem=problems[one.path]) if one.path in problems else one for one in found
    ]  # fmt: skip


def _manifests(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the path of every `session.toml`, or of the one that might be in a folder that cannot be read, and why."""
    seen: set[tuple[int, int]] = set()
    links: list[str] = []
    yield from _walk([os.fspath(folder)], seen, links)
    while links:  # only after all real folders, so that a session is found where it lies
        links, now = [], sorted(links)
        for link in now:
            yield from _walk([link], seen, links)


def _walk(
    todo: list[str], seen: set[tuple[int, int]], links: list[str]
) -> Iterator[tuple[Path, str | None]]:  # fmt: skip
    while todo:
        folder = todo.pop()
        try:
            stat = os.stat(folder)
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as err:
            yield Path(folder, MANIFEST), f"{folder}: cannot be read: {os_reason(err)}; mend that or move it away"
            continue
        if any(entry.name == MANIFEST and entry.is_file() for entry in entries):
            yield Path(folder, MANIFEST), None
            continue
        inside = sorted(_folders(entries), key=lambda entry: entry.name, reverse=True)
        links += [entry.path for entry in inside if entry.is_symlink()]
        todo += [entry.path for entry in inside if not entry.is_symlink()]


def _folders(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        if not entry.name.startswith(".") and entry.name not in NOT_SESSIONS and entry.is_dir():
            yield entry
