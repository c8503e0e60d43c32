"""What an executor is: jobs go in, outcomes come out, and a job that kills its worker is an outcome, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from au3dmm.errors import ConfigError

NAMES = ("serial", "processes", "dask")
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://\S+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|k|m|g|t)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One call of a function.

    Attributes
    ----------
    key : str
        Unique among the jobs of an executor.
    function : callable
        Importable by name (a worker is another process, perhaps on another machine). It handles its own errors.
    arguments : dict
        Small plain values: data stays on disk.
    """

    key: str
    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    key : str
        The job's.
    value : object
        What the function returned; None if its worker died.
    died : str or None
        How the worker died, in words.
    """

    key: str
    value: Any = None
    died: str | None = None


class Executor(Protocol):
    """Runs jobs on `n_workers` workers; each worker runs one job at a time."""

    n_workers: int

    def submit(self, job: Job) -> None:
        """Take a job; keep no more than a few per worker waiting here."""

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return what ended since the last call; wait for it at most `timeout_s`, then return nothing.

        Raises
        ------
        ExecutorError
            If no job can end any more, as the scheduler is gone.
        """

    def close(self, at_once: bool = False) -> None:
        """Let workers go; `at_once`: kill what is running."""


def make_executor(name: str, n_workers: int, memory_limit: int | None = None, shared: Path | None = None) -> Executor:
    """Make an executor by its name.

    Parameters
    ----------
    name : str
        ``serial``, ``processes``, ``dask`` (workers on this machine) or the address of a Dask scheduler.
    n_workers : int
        How many, where they are ours to start.
    memory_limit : int, optional
        Bytes per worker. A job that asks for more fails with MemoryError, or its worker dies; none else does.
    shared : Path, optional
        A file that every worker must be able to see, on whatever machine it is.

    Raises
    ------
    ConfigError
        If there is no such executor, or workers elsewhere cannot do the work.
    """
    if name == "serial":
        from au3dmm.executors.serial import SerialExecutor

        return SerialExecutor()
    if name == "processes":
        from au3dmm.executors.processes import ProcessExecutor

        return ProcessExecutor(n_workers, memory_limit)
    if name == "dask" or _ADDRESS.fullmatch(name):
        from au3dmm.executors.on_dask import DaskExecutor

        return DaskExecutor(None if name == "dask" else name, n_workers, memory_limit, shared)
    raise ConfigError(
        f"executor {name!r}: expected {', '.join(NAMES)}, or a scheduler's address such as tcp://host:8786"
    )


def parse_memory(text: str) -> int:
    """Turn "2GiB", "800 MB" or a number of bytes into bytes.

    Examples
    --------
    >>> parse_memory("2GiB"), parse_memory("800 MB")
    (2147483648, 800000000)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"memory limit {text!r}: expected a number of bytes, or one with MB, MiB, GB or GiB")
    number, prefix, binary = match.groups()
    power = " kmgt".index(prefix.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)
