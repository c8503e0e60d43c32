"""What an experiment would train: which values, labels and weights; what is not there is told before any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from au3dmm.config import read_toml, validate_toml
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.assets import asset_path
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.io.training_labels import read_emotions
from au3dmm.models import make_model
from au3dmm.training.checkpoints import check_unchanged, read_checkpoint
from au3dmm.training.loop import LAST
from au3dmm.training.transfer import check_transfer
from au3dmm.training_config import ExperimentParams, RunParams, TrainParams, folder_name, merged


def training_params(params: ExperimentParams, run: RunParams, seed: int, reduced: bool) -> TrainParams:
    """Return the values of one training: the model's shipped file, base, the run's, those of --reduced.

    Raises
    ------
    ConfigError
        If a name or value is wrong.
    """
    shipped = asset_path("pipelines/label.toml").with_name(f"train_{run.model}.toml")
    values: dict[str, Any] = read_toml(shipped) if shipped.is_file() else {}
    for over in (params.base, run.values, *((params.reduced, run.reduced) if reduced else ())):
        values = merged(values, over)
    return validate_toml(TrainParams, {**values, "model": run.model, "seed": seed}, Path(params.title))


def plan_runs(
    params: ExperimentParams,
    runs: Callable[[RunParams], RunFolder],
    rows: Sequence[str],
    seeds: Sequence[int],
    init: Path | None,
    reduced: bool,
) -> tuple[dict[str, RunFolder], dict[str, str]]:
    """Find labels and weights of all that is to be trained.

    Parameters
    ----------
    params : ExperimentParams
        The experiment.
    runs : callable
        Returns the labelled run that a run of the experiment learns from.
    rows : sequence of str
        Names of the rows that are wanted; none: all.
    seeds : sequence of int
        Which seeds.
    init : Path or None
        Checkpoint in place of earlier runs' weights; may hold ``{seed}``.
    reduced : bool
        The small form.

    Returns
    -------
    where : dict
        For each run that is to be trained its labels, those whose weights others begin with among them.
    left_out : dict
        Why rows are left out that nobody asked for by name: no recording says its class.

    Raises
    ------
    ConfigError, SchemaError
        See `run_experiment`.
    """
    wanted = _wanted(params, rows, init)
    where: dict[str, RunFolder] = {}
    left_out: dict[str, str] = {}
    for run in (run for run in params.runs if run.name in wanted):
        values = training_params(params, run, params.seeds[0], reduced)
        try:
            labels = runs(run)
        except ConfigError as err:
            raise ConfigError(f"row {run.name!r}: {err}") from err
        if not values.loss.classes or _says_classes(labels, values.data.classes):
            where[run.name] = labels
            continue
        left_out[run.name] = f"no recording says its {values.data.classes}"
        if rows or not run.table:
            raise ConfigError(f"row {run.name!r}: {labels.path}: {left_out[run.name]}")
    if left_out and not any(run.table for run in params.runs if run.name in where):
        name, why = next(iter(left_out.items()))
        raise ConfigError(f"row {name!r}: {why}, and nobody says the classes of any other row")
    begins = [run for run in params.runs if run.name in where and run.init is not None]
    for path in [] if init is None else dict.fromkeys(of_seed(init, seed) for seed in seeds):
        for run in begins:
            _check_init(path, training_params(params, run, seeds[0], reduced), run.name, reduced)
    for run in params.runs:
        if not run.table and run.name not in {other.init for other in begins}:
            where.pop(run.name, None)
    return where, left_out


def of_seed(init: Path, seed: int) -> Path:
    """Return the checkpoint that is meant for a seed.

    Examples
    --------
    >>> of_seed(Path("a/seed{seed}/best.pt"), 2).as_posix()
    'a/seed2/best.pt'
    """
    return Path(str(init).replace("{seed}", str(seed)))


def training_folder(out: Path, name: str, seed: int) -> Path:
    """Return where a row is trained with a seed."""
    return out / folder_name(name) / f"seed{seed}"


def check_trained(
    params: ExperimentParams, where: Mapping[str, RunFolder], out: Path, seeds: Sequence[int], reduced: bool
) -> None:
    """Refuse to go on where a row was trained on labels, or with values, that have changed since.

    Parameters
    ----------
    params, seeds, reduced
        As in `plan_runs`.
    where : mapping
        Rows that are wanted, and their labels.
    out : Path
        The experiment's folder.

    Raises
    ------
    ConfigError, SchemaError
        Naming the first, and how many more there are.
    """
    now = {name: read_index(labels.index)[1].get("fingerprint") for name, labels in where.items()}
    strange: list[tuple[str, ConfigError | SchemaError]] = []
    for run in (run for run in params.runs if run.name in where):
        for seed in seeds:
            last = training_folder(out, run.name, seed) / LAST
            if last.is_file():
                try:
                    values = training_params(params, run, seed, reduced)
                    check_unchanged(last, read_checkpoint(last, mapped=True), now[run.name], values)
                except (ConfigError, SchemaError) as err:
                    strange.append((f"row {run.name!r}, seed {seed}", err))
    if strange:
        name, first = strange[0]
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        kind = SchemaError if isinstance(first, SchemaError) else ConfigError
        raise kind(f"{name}{more}: {first}") from first


def _wanted(params: ExperimentParams, rows: Sequence[str], init: Path | None) -> set[str]:
    """Return the runs that are wanted, and those whose weights they begin with, unless `init` stands in for these."""
    names = [run.name for run in params.runs if run.table]
    for row in rows:
        if row not in names:
            raise ConfigError(f"--row {row!r}: no such row; there are: {'; '.join(names)}")
    wanted = set(rows or names)
    beginning = [run.name for run in params.runs if run.init is not None]
    if init is not None and not wanted.intersection(beginning):
        which = f"only {'; '.join(beginning)} begins" if beginning else f"no row of {params.title!r} begins"
        raise ConfigError(f"--init {init}: {which} with other weights; leave it away")
    for run in reversed(params.runs):
        if run.name in wanted and run.init is not None and init is None:
            wanted.add(run.init)
    return wanted


def _says_classes(labels: RunFolder, classes: str) -> bool:
    """Say whether any recording of a run names its class."""
    if classes.endswith("emotion"):
        return any(classes in said for said in read_emotions(labels).values())
    return any(getattr(row, classes) for row in read_index(labels.index)[0] if row.status == "ok")


def _check_init(path: Path, values: TrainParams, name: str, reduced: bool) -> None:
    """Refuse weights of another network than the one that begins with them."""
    content = read_checkpoint(path)
    try:
        with torch.random.fork_rng(devices=[]):  # made for its options alone
            options = dict(make_model(values.model, **values.options).config["options"])
    except ValueError as err:
        raise ConfigError(f"row {name!r}: {err}") from err
    options["channels"] = content["model"]["options"].get("channels")  # follows from the frames, which come later
    try:
        check_transfer(path, content, {"name": values.model, "options": options}, content["labels"])
    except SchemaError as err:
        raise SchemaError(f"row {name!r} in its {'reduced' if reduced else 'full'} form: {err}") from err
