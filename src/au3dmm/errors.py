"""The error classes: each tells the user what to fix, and carries the exit code of the command that raised it."""

from __future__ import annotations

import os
from typing import ClassVar


class Au3dmmError(Exception):
    """Anything au3dmm can explain in one line; everything else is a bug and keeps its traceback."""

    exit_code: ClassVar[int] = 4


class ConfigError(Au3dmmError):
    """A command line, a pipeline file or a session manifest that cannot be carried out as written."""

    exit_code = 2


class SessionError(Au3dmmError):
    """A recording that cannot be labelled: its video, timestamps or events."""


class SchemaError(Au3dmmError):
    """A table or basis on disk that is not what it should be."""

    exit_code = 2


class FitError(Au3dmmError):
    """Numbers that cannot determine an answer."""


class OutputError(Au3dmmError):
    """A file that could not be written: disk full, read-only folder, busy session."""


class BusyError(OutputError):
    """A file or folder that another au3dmm is working on at this moment."""


class ExecutorError(Au3dmmError):
    """Workers or a scheduler that are gone while there is work left."""

    exit_code = 3


class WorkerError(ExecutorError):
    """A worker that is gone, and with it the one recording that was to be labelled."""

    exit_code = 4


class AssetError(Au3dmmError):
    """Detector weights or a template that are not on this machine."""

    exit_code = 5


def os_reason(err: OSError) -> str:
    """Return the operating system's reason in words ("No space left on device")."""
    return os.strerror(err.errno) if err.errno else str(err)
