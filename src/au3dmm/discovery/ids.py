"""Propose names for sessions and subjects, from the folders they lie in."""

from __future__ import annotations

import re
from pathlib import Path

from au3dmm.errors import ConfigError


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
