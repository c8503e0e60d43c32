"""Check thousands of sessions in a reasonable time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from au3dmm.validation.problem import Problem
from au3dmm.validation.session import check_session

_MANY = 300  # a process takes as long to start as 100 small sessions to check


@dataclass(frozen=True)
class SessionCheck:
    """What was found in the folder of one session; small, as it may come from another process.

    Attributes
    ----------
    folder : Path
        Which.
    files, rows : int
        What was read.
    problems : tuple of Problem
        What is wrong.
    labels, coefficients : dict or None
        Metadata of these tables, if they could be read; of coefficients only where the identity lies elsewhere.
    """

    folder: Path
    files: int
    rows: int
    problems: tuple[Problem, ...]
    labels: dict[str, Any] | None
    coefficients: dict[str, Any] | None


def _check_one(folder: Path) -> SessionCheck:
    infos, problems = check_session(folder)
    files = sum(1 for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    rows = sum(info.n_rows for info in infos.values())
    labels = infos["labels"].metadata if "labels" in infos else None
    fitted = infos["coefficients"].metadata if "coefficients" in infos and "identity" not in infos else None
    return SessionCheck(folder, files, rows, tuple(problems), labels, fitted)


def check_sessions(folders: Sequence[Path], workers: int = 1) -> Iterator[SessionCheck]:
    """Check the output folders of sessions, in their order.

    Parameters
    ----------
    folders : sequence of Path
        The folders.
    workers : int
        Processes, if there are many sessions.
    """
    if len(folders) < _MANY or workers < 2:
        yield from map(_check_one, folders)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_check_one, folders, chunksize=32)
