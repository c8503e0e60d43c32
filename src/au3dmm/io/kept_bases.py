"""The basis that a run was labelled with: kept beside its labels, and found again."""

from __future__ import annotations

from pathlib import Path

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.atomic import write_bytes
from au3dmm.io.bases import bases_fingerprint
from au3dmm.io.dataset import read_dataset
from au3dmm.io.run_folder import RunFolder


def keep_bases(run: RunFolder, bases: Path) -> None:
    """Copy the basis that a run was given into its folder: labels mean nothing as faces without it.

    One that the run learnt is there already, and the shipped one is everywhere.

    Raises
    ------
    OutputError
        If the copy cannot be written.
    """
    mark = bases_fingerprint(bases)
    for path in (run.bases, asset_path(DEMO_BASES), run.given_bases):
        if path.is_file() and bases_fingerprint(path) == mark:
            return
    write_bytes(run.given_bases, bases.read_bytes())


def find_bases(run: RunFolder, wanted: str, given: str = "", *, or_elsewhere: bool = False) -> Path:
    """Return the file of the basis that a run's labels were made with.

    It is looked for in the run's folder, in what ``dataset.toml`` names, and among what is shipped.

    Parameters
    ----------
    run : RunFolder
        Of the labels.
    wanted : str
        Its hash, as the labels say (`bases_fingerprint`).
    given : str
        Where it is, if somebody says; then nowhere else is looked.
    or_elsewhere : bool
        Look elsewhere, too: for what a checkpoint says, which may have moved since.

    Raises
    ------
    ConfigError
        If it is not there.
    """
    places = [Path(given)] if given else []
    if or_elsewhere or not given:
        places += [run.bases, run.given_bases, *_of_dataset(run), asset_path(DEMO_BASES)]
    for path in places:
        if path.is_file() and bases_fingerprint(path) == wanted:
            return path
    there = [path for path in places if path.is_file()]
    found = f"{', '.join(map(str, there))}: not" if there else f"{', '.join(map(str, places))}: no such file, expected"
    raise ConfigError(
        f"mesh.bases: {found} the basis that {run.labels} was made with ({wanted.removeprefix('sha256:')[:12]}); give"
        " its file: --set mesh.bases=FILE, or run au3dmm run again with --bases FILE, which keeps a copy"
    )


def _of_dataset(run: RunFolder) -> list[Path]:
    """Return the basis that the dataset names, if the run lies in one that can be read and names any."""
    folders = run.path.resolve().parents
    if len(folders) < 3:
        return []
    try:
        named = read_dataset(folders[2]).manifest.bases.file
    except (ConfigError, SchemaError):
        return []
    return [] if named is None else [folders[2] / named]
