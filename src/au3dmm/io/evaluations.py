"""What was measured of the models that lie in a run's folder: evaluations of trainings, and tables of experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index

METRICS, PAGE, PICTURE = "metrics.json", "metrics.md", "confusion.png"
RESULTS, TABLE = "results.json", "table.md"
CHECKPOINTS = ("best.pt", "last.pt")


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
    outdated : bool
        Whether none of the model's checkpoints is the one that was evaluated: it was trained on, or anew.
    """

    name: str
    part: str
    place: str
    metrics: Mapping[str, Any]
    files: tuple[str, ...]
    problem: str = ""
    outdated: bool = False

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
    outdated : tuple of str
        Its rows that were measured on labels that are those of no run of the dataset any more.
    """

    name: str
    place: str
    text: str
    problem: str = ""
    outdated: tuple[str, ...] = ()


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
    folders = _folders(run.experiments)
    there = _fingerprints(run) if folders else set()
    return [_experiment(run, folder, there) for folder in folders]


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
    place = folder.relative_to(run.path).as_posix()
    return Evaluated(name, folder.name, place, metrics, files, problem, _outdated(run, name, metrics))


def _outdated(run: RunFolder, name: str, metrics: Mapping[str, Any]) -> bool:
    """Say whether a model's checkpoints, or those of one of the models put together, are others than those evaluated.

    Several models stand in folders of their own, whose names make up the one of what was put together.
    """
    folds = metrics.get("folds")
    evaluated = [metrics] if not isinstance(folds, list) else folds
    names = [name] if not isinstance(folds, list) else name.split("+")
    if len(names) != len(evaluated):
        return False
    for one, model in zip(evaluated, names, strict=True):
        said = one.get("checkpoint_sha256") if isinstance(one, dict) else None
        there = [path for path in (run.training / model / file for file in CHECKPOINTS) if path.is_file()]
        try:
            if said is not None and there and said not in map(sha256_file, there):
                return True
        except OSError:  # who cannot read it cannot tell
            continue
    return False


def _fingerprints(run: RunFolder) -> set[object]:
    """Return which labels there are now: of this run, and of others beside it that rows may have learnt from."""
    found = set()
    for one in (run, *map(RunFolder, _folders(run.path.resolve().parent))):
        try:
            found.add(read_index(one.index)[1].get("fingerprint"))
        except SchemaError:
            continue
    return found


def _outdated_rows(folder: Path, there: set[object]) -> tuple[str, ...]:
    """Return the rows of a table that were measured on other labels; nothing is known of another dataset's."""
    results: Sequence[Any] = _json(folder / RESULTS)[0].get("results") or ()
    rows = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    old = [
        f"{one.get('name')}, seed {one.get('seed')}"
        for one in rows
        if one.get("labels_fingerprint") not in (None, *there) and one.get("dataset") is None
    ]
    return () if there <= {None} else tuple(old)


def _experiment(run: RunFolder, folder: Path, there: set[object]) -> ExperimentTable:
    place = folder.relative_to(run.path).as_posix()
    try:
        text = (folder / TABLE).read_text("utf-8")
        return ExperimentTable(folder.name, place, text, outdated=_outdated_rows(folder, there))
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
