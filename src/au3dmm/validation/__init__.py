"""Check what a run left on disk: files against `stage.json`, tables against their schemas and against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from au3dmm.errors import ConfigError
from au3dmm.io.runs import find_runs
from au3dmm.validation.dataset import Progress, RunCheck
from au3dmm.validation.problem import Problem
from au3dmm.validation.session import check_session, leftovers

__all__ = ["Problem", "Validation", "check_session", "find_sessions", "validate", "validate_dataset"]


@dataclass(frozen=True)
class Validation:
    """What `validate` found.

    Attributes
    ----------
    sessions : tuple of Path
        The session folders that were checked.
    files : int
        Files that were read.
    rows : int
        Rows of tables that were read.
    problems : tuple of Problem
        Empty if all is well.
    """

    sessions: tuple[Path, ...]
    files: int
    rows: int
    problems: tuple[Problem, ...]


def validate(folder: Path) -> Validation:
    """Check a run's folder, or one session's output folder.

    Raises
    ------
    ConfigError
        If `folder` is neither.
    """
    sessions = find_sessions(folder)
    problems: list[Problem] = []
    files = rows = 0
    if sessions != [folder]:
        problems += leftovers(folder)
    for session in sessions:
        infos, found = check_session(session)
        problems += found
        files += sum(1 for path in session.iterdir() if path.is_file() and not path.name.startswith("."))
        rows += sum(info.n_rows for info in infos.values())
    return Validation(tuple(sessions), files, rows, tuple(problems))


def validate_dataset(
    folder: Path, pipeline: str | None = None, *, workers: int = 1, progress: Progress | None = None
) -> Validation:
    """Check every run of a dataset: its sessions, people, consolidated labels, split, failures and annotations.

    Parameters
    ----------
    folder : Path
        The dataset, or the folder of one run of it.
    pipeline : str, optional
        Only the run of this name.
    workers : int
        Processes, for hundreds of sessions and more.
    progress : callable, optional
        Called with sessions done and sessions in all, for each run anew.

    Raises
    ------
    ConfigError
        If there is no run.
    """
    checks = []
    for run in find_runs(folder, pipeline):
        check = RunCheck(run, None if run.path == folder else folder, workers)
        check.check(progress)
        checks.append(check)
    return Validation(
        tuple(session for check in checks for session in check.sessions),
        sum(check.files for check in checks),
        sum(check.rows for check in checks),
        tuple(problem for check in checks for problem in check.problems),
    )


def find_sessions(folder: Path) -> list[Path]:
    """Return the output folders of the sessions of a run.

    Raises
    ------
    ConfigError
        If `folder` is neither a run nor a session's output folder; says where one is, if there is one inside.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}; expected the folder of a run, or of one session in it")
    if (folder / "stage.json").is_file():
        return [folder]
    if (folder / "sessions").is_dir():
        found = sorted(p for p in (folder / "sessions").iterdir() if p.is_dir() and not p.name.startswith("."))
        if found:
            return found
        raise ConfigError(f"{folder / 'sessions'}: empty; expected a folder per session; has anything been labelled?")
    inside = sorted(p.parent for p in folder.glob("derivatives/au3dmm/*/sessions"))
    hint = f"did you mean {inside[0]}?" if inside else "au3dmm label makes one"
    raise ConfigError(
        f"{folder}: not a run (no sessions/ in it) and not a session's output folder (no stage.json in it); {hint}"
    )
