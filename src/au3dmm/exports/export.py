"""Export the labels of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import au3dmm
from au3dmm.errors import ConfigError
from au3dmm.exports.card import export_card
from au3dmm.exports.csv_form import write_csv
from au3dmm.exports.facemorphic import clip_folders, write_facemorphic
from au3dmm.exports.folder import check_target, is_whole, read_stamp, replaced_folder
from au3dmm.exports.huggingface import configurations, write_huggingface
from au3dmm.exports.npz_form import write_npz_files
from au3dmm.exports.selection import ExportOptions, Selection, describe
from au3dmm.io.atomic import write_bytes
from au3dmm.io.run_folder import RunFolder

Progress = Callable[[int, int | None], None]
_WRITERS: dict[str, Callable[[Selection, Path, Progress | None], int]] = {
    "csv": write_csv,
    "npz": write_npz_files,
    "huggingface": write_huggingface,
    "facemorphic": write_facemorphic,
}


@dataclass(frozen=True)
class ExportResult:
    """What `export_dataset` wrote.

    Attributes
    ----------
    folder : Path
        Where.
    state : str
        ``written`` or ``up to date``.
    files, sessions, subjects, rows : int
        How many; rows of labels, or RGB frames in the form of FACEMORPHIC.
    """

    folder: Path
    state: str
    files: int
    sessions: int
    subjects: int
    rows: int


def export_dataset(
    run: RunFolder, folder: Path, options: ExportOptions, progress: Progress | None = None
) -> ExportResult:
    """Export the consolidated labels of a run; what is there already, and whole, is left as it is.

    Parameters
    ----------
    run : RunFolder
        A run that is consolidated.
    folder : Path
        Where to; an export that is there is replaced.
    options : ExportOptions
        What, and in which form.
    progress : callable, optional
        Called with what is done and what there is.

    Raises
    ------
    ConfigError
        If there is nothing to export, no such split, or `folder` holds something else.
    SchemaError
        If a file of the run is not what it should be.
    OutputError
        If something cannot be written.
    """
    selection = Selection(run, options)
    check_target(folder)
    if run.path.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ConfigError(f"{folder}: inside the run that is exported; choose another --out DIR")
    counted = sum(row.status == "ok" for row in selection.rows)
    if not counted:
        raise ConfigError(f"{run.path}: no session has labels; there is nothing to export")
    stamp = {
        "package": f"au3dmm {au3dmm.__version__}",
        "pipeline": run.path.name,
        "dataset": (selection.metadata.get("dataset") or {}).get("name"),
        "export": describe(options),
        "fingerprint": selection.metadata.get("fingerprint"),
    }
    before = read_stamp(folder)
    if (
        before is not None
        and all(before.get(key) == value for key, value in stamp.items())
        and is_whole(folder, before)
    ):
        rows = int(before.get("rows", 0))
        return ExportResult(folder, "up to date", len(before["files"]), counted, len(selection.subjects), rows)
    said: dict[str, object] = dict(stamp)
    with replaced_folder(folder, said) as place:
        rows = _WRITERS[options.form](selection, place, progress)
        if options.form == "facemorphic":
            write_bytes(place / "index.csv", _clip_index(selection).encode())
        configs = configurations(place) if options.form == "huggingface" else []
        write_bytes(place / "README.md", export_card(selection, configs).encode())
        said["rows"] = rows
        n_files = sum(1 for path in place.rglob("*") if path.is_file())
    return ExportResult(folder, "written", n_files, counted, len(selection.subjects), rows)


def _clip_index(selection: Selection) -> str:
    rows = [row for row in selection.rows if row.status != "failed"]
    places = clip_folders(rows)
    lines = ["folder,session_id,subject_id,split,fold"]
    for row in rows:
        fold = "" if row.fold is None else row.fold
        lines.append(f"{places[row.session_id]},{row.session_id},{row.subject_id},{row.split or ''},{fold}")
    return "\n".join(lines) + "\n"
