"""Whom `forget` is removing at this moment: written first and removed last, so that a killed one can be finished."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_json
from au3dmm.io.withdrawn import JOURNAL


def read_journal(folder: Path) -> dict[str, list[str]]:
    """Return the sessions of every person who is being removed, by subject_id.

    Raises
    ------
    SchemaError
        If the file cannot be read.
    """
    path = folder / JOURNAL
    try:
        value = json.loads(path.read_text("utf-8"))
        return {str(subject): [str(name) for name in names] for subject, names in value["subjects"].items()}
    except FileNotFoundError:
        return {}
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}; look at its permissions") from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise SchemaError(f"{path}: not what forget writes; delete it and run `au3dmm forget` again") from err


def write_journal(folder: Path, subject_id: str, session_ids: Iterable[str]) -> None:
    """Note that a person is being removed.

    Raises
    ------
    OutputError
        If the file cannot be written: then nothing has been removed yet.
    """
    subjects = read_journal(folder) | {subject_id: sorted(session_ids)}
    write_json(folder / JOURNAL, {"format_version": 1, "subjects": subjects})


def close_journal(folder: Path, subject_id: str) -> None:
    """Note that nothing of a person is left."""
    subjects = read_journal(folder)
    subjects.pop(subject_id, None)
    if subjects:
        write_json(folder / JOURNAL, {"format_version": 1, "subjects": subjects})
    else:
        (folder / JOURNAL).unlink(missing_ok=True)
