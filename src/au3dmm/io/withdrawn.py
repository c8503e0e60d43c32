"""Who has withdrawn: a list of salted hashes in the folders of runs, so that nobody comes back by accident.

A hash hides a name from who reads over one's shoulder, not from who tries all names: a list of ``S001`` to ``S999`` is
tried in minutes. It is there so that no name has to stay where a person asked to be removed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_json
from au3dmm.io.run_folder import DERIVATIVES

WITHDRAWN = "withdrawn.json"
JOURNAL = ".forgetting.json"
_ROUNDS = 20_000


def is_withdrawn(run_folder: Path, subject_id: str) -> bool:
    """Whether a person has withdrawn from a dataset, by the list of a run or that of all runs beside it.

    Parameters
    ----------
    run_folder : Path
        ``DATASET/derivatives/au3dmm/<pipeline>``, there or not.
    subject_id : str
        Who; upper and lower case are the same.

    Raises
    ------
    SchemaError
        If a list cannot be read: rather no run than one with a person who has withdrawn.
    """
    for path in _lists(run_folder):
        salt, hashes = _read(path)
        if hashes and _hash(salt, subject_id.casefold()) in hashes:
            return True
    return False


def add_withdrawn(folder: Path, subject_id: str) -> None:
    """Add a person to the list in `folder`.

    Raises
    ------
    SchemaError
        If the list that is there cannot be read.
    OutputError
        If it cannot be written.
    """
    path = folder / WITHDRAWN
    salt, hashes = _read(path)
    salt = salt or os.urandom(16).hex()
    mine = _hash(salt, subject_id.casefold())
    if mine not in hashes:
        write_json(path, {"format_version": 1, "salt": salt, "subjects": sorted({*hashes, mine})})


def find_journal(run_folder: Path) -> Path | None:
    """Return what an interrupted `au3dmm forget` left beside a run, if it left anything."""
    path = run_folder.parent / JOURNAL
    return path if path.is_file() else None


def _lists(run_folder: Path) -> Iterator[Path]:
    yield run_folder / WITHDRAWN
    if run_folder.absolute().parent.parts[-2:] == DERIVATIVES.parts:
        yield run_folder.parent / WITHDRAWN


def _read(path: Path) -> tuple[str, frozenset[str]]:
    try:
        said = path.stat()
    except FileNotFoundError:
        return "", frozenset()
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}; look at its permissions") from err
    return _parsed(path, said.st_mtime_ns, said.st_size, said.st_ino)


@lru_cache(maxsize=64)
def _parsed(path: Path, mtime_ns: int, size: int, inode: int) -> tuple[str, frozenset[str]]:
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        salt, subjects = str(value["salt"]), [str(one) for one in value["subjects"]]
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}; look at its permissions") from err
    except (ValueError, KeyError, TypeError) as err:
        raise SchemaError(
            f"{path}: not a list of who has withdrawn; expected salt and subjects; restore it, or delete it and run"
            " `au3dmm forget` again for everybody who has withdrawn"
        ) from err
    return salt, frozenset(subjects)


@lru_cache(maxsize=65_536)
def _hash(salt: str, subject: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", subject.encode(), bytes.fromhex(salt), _ROUNDS).hex()
