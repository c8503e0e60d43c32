"""What went wrong with a session or a subject: kept beside its outputs, so that it need not go wrong again."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from au3dmm.errors import AssetError, Au3dmmError, BusyError, ExecutorError, OutputError
from au3dmm.io.atomic import write_json
from au3dmm.io.hashing import sha256_json
from au3dmm.io.session import Session

FAILURE = "failure.json"

# what a full disk, a busy folder or a missing file of weights did, the next run need not meet again
_PASSING = (OutputError, BusyError, AssetError, ExecutorError, MemoryError, OSError)


@dataclass(frozen=True)
class Failure:
    """Why something was not done.

    Attributes
    ----------
    session_id, subject_id : str
        Whose; the session's is empty if it is the subject's.
    path : str
        The manifest.
    stage : str
        Where.
    error : str
        Class of the error.
    message : str
        One line.
    fingerprint : str
        Of the attempt (`attempt_mark`): while it is the same, trying again would fail again. Empty if that is not so.
    details : str
        The traceback of what nobody foresaw.
    """

    session_id: str
    subject_id: str
    path: str
    stage: str
    error: str
    message: str
    fingerprint: str = ""
    details: str = ""

    def lasts(self, mark: str) -> bool:
        """Whether an attempt with this fingerprint would fail again."""
        return bool(self.fingerprint) and self.fingerprint == mark


def attempt_mark(session: Session, step_mark: str) -> str:
    """Return the fingerprint of an attempt: of the step, and of the whole recording.

    What is wrong with the events is told before landmarks are detected, which do not depend on them: so a failure of
    a step may be mended by a file that the step does not read. Empty if a file is not there.
    """
    try:
        parts = {part: session.input_fingerprint(part) for part in ("session", "rgb", "events", "sync", "landmarks")}
    except Au3dmmError:
        return ""
    return sha256_json({"step": step_mark, "recording": parts})


def failure_of(err: BaseException, *, session_id: str, subject_id: str, path: Path, stage: str, mark: str) -> Failure:
    """Turn an exception into a failure."""
    # a reader that found no memory says that it cannot read the file, which is sound
    cause: BaseException | None = err
    while cause is not None and not isinstance(cause, MemoryError):
        cause = cause.__cause__
    err = cause or err
    foreseen = isinstance(err, Au3dmmError | MemoryError)
    message = " ".join(str(err).split()) or type(err).__name__
    if isinstance(err, MemoryError):
        message = f"out of memory{': ' + message if str(err) else ''}; give workers more, or run fewer of them"
    return Failure(
        session_id,
        subject_id,
        str(path),
        stage,
        type(err).__name__,
        message if foreseen else f"{message} (a bug in au3dmm: please report it with the details)",
        "" if isinstance(err, _PASSING) else mark,
        "" if foreseen else "".join(traceback.format_exception(err)),
    )


def write_failure(folder: Path, failure: Failure) -> None:
    """Keep a failure in the folder of its session or subject."""
    write_json(folder / FAILURE, asdict(failure))


def read_failure(folder: Path) -> Failure | None:
    """Read the failure kept in a folder; None if there is none, or none that can be read."""
    try:
        data: Any = json.loads((folder / FAILURE).read_bytes())
        return Failure(**data)
    except (OSError, ValueError, TypeError):
        return None


def forget_failure(folder: Path) -> None:
    """Remove the failure kept in a folder."""
    (folder / FAILURE).unlink(missing_ok=True)


def as_rows(failures: Iterable[Failure], dataset: Path) -> list[dict[str, Any]]:
    """Return the lines of `failures.jsonl`, sorted by session; files of the dataset by their place in it."""
    rows = [{**asdict(f), "path": within(f.path, dataset), "message": within(f.message, dataset)} for f in failures]
    return sorted(rows, key=lambda row: (row["session_id"], row["path"]))


def within(text: str, dataset: Path) -> str:
    """Name files of a dataset by their place in it, so that what is written does not depend on where it lies.

    Examples
    --------
    >>> within("/data/faces/rawdata/s1/rgb.mp4: no video", Path("/data/faces"))
    'rawdata/s1/rgb.mp4: no video'
    """
    for folder in {str(dataset), os.path.abspath(dataset)} - {"."}:
        text = text.replace(f"{folder}{os.sep}", "")
    return text
