"""Find the runs of a dataset."""

from __future__ import annotations

from pathlib import Path

from au3dmm.errors import ConfigError
from au3dmm.io.run_folder import DERIVATIVES, RunFolder, dataset_runs


def find_runs(folder: Path, pipeline: str | None = None) -> list[RunFolder]:
    """Return the runs of a dataset, or the run itself.

    Parameters
    ----------
    folder : Path
        The dataset, or the folder of a run.
    pipeline : str, optional
        Only the run of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}; expected a dataset, with {DERIVATIVES}/<pipeline> below it")
    if RunFolder(folder).exists:
        return [RunFolder(folder)]
    runs = dataset_runs(folder)
    names = [run.path.name for run in runs]
    if pipeline is not None:
        runs = [run for run in runs if run.path.name == pipeline]
    if not runs:
        what = f"no run {pipeline!r} of it; there are: {', '.join(names)}" if names else "no run of it"
        raise ConfigError(f"{folder}: {what} ({DERIVATIVES}/<pipeline>); au3dmm run makes one")
    return runs


def one_run(folder: Path, pipeline: str | None = None) -> RunFolder:
    """Return the one run of a dataset that is meant.

    Parameters
    ----------
    folder : Path
        The dataset, or the folder of a run.
    pipeline : str, optional
        Its name, which must be given if there are several.

    Raises
    ------
    ConfigError
        If there is none, or it is not clear which.
    """
    runs = find_runs(folder, pipeline)
    if len(runs) > 1:
        names = ", ".join(run.path.name for run in runs)
        raise ConfigError(f"{folder}: {len(runs)} runs ({names}); expected one; say which with --pipeline")
    return runs[0]
