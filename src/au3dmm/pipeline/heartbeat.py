"""How tasks and the run that gave them out hear of each other: small files in the run's folder.

Files, not messages, so that it is the same for processes here and for workers on other machines, which share nothing
but the file system. A task tells how far it is at most once a second, and looks as often whether it should stop.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from au3dmm.errors import OutputError, os_reason
from au3dmm.io.run_folder import RunFolder

_EVERY_S = 1.0
_SILENT_S = 7 * 24 * 3600


class Stopped(BaseException):
    """The run was told to stop; not an `Exception`, so that nothing takes it for a failure of a session."""


class Heartbeat:
    """Told of every event of a task's stages.

    Parameters
    ----------
    run : RunFolder
        Where the files lie.
    run_id : str
        Which run gave the task out.
    task : str
        The task's key.

    Raises
    ------
    Stopped
        From any call, if the run was told to stop.
    """

    def __init__(self, run: RunFolder, run_id: str, task: str) -> None:
        self._stop = stop_file(run, run_id)
        self._file = running_folder(run, run_id) / f"{task}.json"
        self._task = task
        self._told = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of the pipeline."""
        now = time.monotonic()
        if now - self._told < _EVERY_S:
            return
        self._told = now
        self.look()
        said = {key: event[key] for key in ("stage", "done", "total") if key in event}
        said |= {"task": self._task, "host": socket.gethostname(), "pid": os.getpid()}
        with suppress(OSError):  # only a sign of life: a full disk is told by who writes results
            tmp = self._file.with_suffix(".tmp")
            tmp.write_text(json.dumps(said))
            os.replace(tmp, self._file)

    def look(self) -> None:
        """Raise `Stopped` if the run was told to stop."""
        if self._stop.exists():
            raise Stopped(self._task)

    def end(self) -> None:
        """Take the sign of life away."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def running_folder(run: RunFolder, run_id: str) -> Path:
    """Return where the tasks of a run tell of themselves."""
    return run.state / f"running-{run_id}"


def stop_file(run: RunFolder, run_id: str) -> Path:
    """Return the file whose presence stops a run's tasks."""
    return running_folder(run, run_id) / "stop"


@contextmanager
def signs_of_life(run: RunFolder, run_id: str) -> Iterator[None]:
    """Make the folder that a run's tasks use; at the end tell those that still run to stop."""
    folder = running_folder(run, run_id)
    _remove_old(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(
            f"{run.path}: cannot be written: {os_reason(err)}; choose another folder with --out DIR"
        ) from err
    try:
        yield
    finally:
        with suppress(OSError):
            stop_file(run, run_id).touch()


def _remove_old(run: RunFolder) -> None:
    """Remove what runs left that were killed: no task is silent for so long."""
    for folder in run.state.glob("running-*"):
        with suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _SILENT_S:
                shutil.rmtree(folder, ignore_errors=True)


def tell_to_stop(run: RunFolder, run_id: str) -> None:
    """Let every task of a run stop at its next event."""
    with suppress(OSError):  # on a full disk, tasks stop by themselves
        stop_file(run, run_id).touch()


def remove_signs(run: RunFolder, run_id: str) -> None:
    """Remove the folder of a run none of whose tasks runs any more."""
    folder = running_folder(run, run_id)
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()


def running(run: RunFolder, run_id: str) -> list[dict[str, Any]]:
    """Return what the tasks of a run last told of themselves."""
    said = []
    for path in sorted(running_folder(run, run_id).glob("*.json")):
        with suppress(OSError, ValueError):
            said.append(json.loads(path.read_text()))
    return said
