"""What was measured of the models that lie in a run's folder: evaluations of trainings, and tables of experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.errors import os_reason
from au3dmm.io.run_folder import RunFolder

METRICS, PAGE, PICTURE = "metrics.json", "metrics.md", "confusion.png"
RESULTS, TABLE = "results.json", "table.md"


@dataclass(frozen=True)
class Evaluated:
    """A trained model, and what one evaluation says of it.

    Attributes
    ----------
    name : str
        Of its folder in ``training/``.
    part : str
        Of the evaluation's folder: ``test``; empty if there is none.
    place : str
        The folder, relative to the run's.
    metrics : mapping
        ``metrics.json``; empty if it cannot be read.
    files : tuple of str
        Those of ``metrics.md`` and ``confusion.png`` that are there.
    problem : str
        What is missing or damaged, in one line; empty if nothing is.
    """

    name: str
    part: str
    place: str
    metrics: Mapping[str, Any]
    files: tuple[str, ...]
    problem: str = ""

    def number(self, key: str) -> tuple[float, float | None, float | None] | None:
        """Return one of the ``overall`` numbers with the ends of its interval; None where there is none."""
        overall = self.metrics.get("overall")
        said = overall.get(key) if isinstance(overall, dict) else None
        if not isinstance(said, dict):
            return None
        value, low, high = (_real(said.get(name)) for name in ("value", "low", "high"))
        return None if value is None else (value, low, high)

    def plain(self, key: str) -> float | None:
        """Return a number that stands by itself."""
        return _real(self.metrics.get(key))


@dataclass(frozen=True)
class ExperimentTable:
    """The table of an experiment.

    Attributes
    ----------
    name : str
        Of its folder in ``experiments/``.
    place : str
        The folder, relative to the run's.
    text : str
        ``table.md``; empty if there is none.
    problem : str
        What is missing or damaged, in one line; empty if nothing is.
    """

    name: str
    place: str
    text: str
    problem: str = ""


def evaluations_in(run: RunFolder) -> list[Evaluated]:
    """Return the models below ``training/`` and their evaluations, by name and part; what cannot be read is named.

    A folder without evaluation counts if it is that of a training (it has a ``training.json``).
    """
    found = []
    for folder in _folders(run.training):
        parts = _folders(folder / "evaluation")
        found += [_evaluated(run, folder.name, part) for part in parts]
        if not parts and (folder / "training.json").is_file():
            place = folder.relative_to(run.path).as_posix()
            found.append(Evaluated(folder.name, "", place, {}, (), "not evaluated yet"))
    return found


def experiments_in(run: RunFolder) -> list[ExperimentTable]:
    """Return the tables below ``experiments/``, by name."""
    return [_experiment(run, folder) for folder in _folders(run.experiments)]


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _evaluated(run: RunFolder, name: str, folder: Path) -> Evaluated:
    metrics, problem = _json(folder / METRICS)
    if not problem and not isinstance(metrics.get("overall"), dict):
        problem = f"{METRICS} has no overall numbers; evaluate again"
    files = tuple(file for file in (PAGE, PICTURE) if (folder / file).is_file())
    if not problem and PAGE not in files:
        problem = f"{PAGE} is missing; evaluate again"
    return Evaluated(name, folder.name, folder.relative_to(run.path).as_posix(), metrics, files, problem)


def _experiment(run: RunFolder, folder: Path) -> ExperimentTable:
    place = folder.relative_to(run.path).as_posix()
    try:
        return ExperimentTable(folder.name, place, (folder / TABLE).read_text("utf-8"))
    except FileNotFoundError:
        return ExperimentTable(folder.name, place, "", f"no {TABLE} yet; the same au3dmm experiment goes on")
    except (OSError, UnicodeDecodeError) as err:
        why = os_reason(err) if isinstance(err, OSError) else "not UTF-8"
        return ExperimentTable(folder.name, place, "", f"{TABLE} cannot be read: {why}; make the experiment again")


def _json(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a file holds, and what is wrong with it."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}, f"no {path.name}; evaluate again"
    except OSError as err:
        return {}, f"{path.name} cannot be read: {os_reason(err)}"
    except (ValueError, RecursionError):
        return {}, f"{path.name} is damaged; evaluate again"
    return (value, "") if isinstance(value, dict) else ({}, f"{path.name} is no JSON object; evaluate again")


def _real(value: object) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None  # type: ignore[arg-type]
