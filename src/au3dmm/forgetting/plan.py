"""What there is of a person: found by every file that can tell, as some may be gone already."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.exports.folder import STAMP, beside, read_stamp
from au3dmm.forgetting.journal import read_journal
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.failures import read_failures
from au3dmm.io.given_splits import SPLITS_FILE
from au3dmm.io.landmark_parts import subject_of_parts
from au3dmm.io.run_folder import DERIVATIVES, RunFolder, dataset_runs
from au3dmm.io.session import Session
from au3dmm.io.sessions_index import read_index
from au3dmm.io.tables import read_metadata, read_table
from au3dmm.io.withdrawn import is_withdrawn

_MODELS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx")
_EXPORT_PLACES = (f"*/{STAMP}", f"*/*/{STAMP}", f"*/*/*/{STAMP}", f"*/*/*/*/{STAMP}")


@dataclass(frozen=True)
class ForgetPlan:
    """What is to be done for a person to be gone.

    Attributes
    ----------
    dataset : Path
        The dataset.
    subject_id : str
        Who.
    session_ids : tuple of str
        Their recordings, as far as any file tells.
    runs : tuple of RunFolder
        Runs below ``derivatives/au3dmm``.
    remove : tuple of Path
        Folders and files to be removed.
    rewrite : tuple of Path
        Files and folders to be made again without them.
    exports : tuple of Path
        Exports to be made again without them.
    models : tuple of Path
        Trained models: nobody can take a person out of them.
    raw : tuple of Path
        What must be deleted by hand.
    known : bool
        Whether anything says that there is, or was, such a person.
    """

    dataset: Path
    subject_id: str
    session_ids: tuple[str, ...]
    runs: tuple[RunFolder, ...]
    remove: tuple[Path, ...]
    rewrite: tuple[Path, ...]
    exports: tuple[Path, ...]
    models: tuple[Path, ...]
    raw: tuple[Path, ...]
    known: bool


def plan_forgetting(dataset: Path, subject_id: str, exports: Sequence[Path] = ()) -> ForgetPlan:
    """Find everything that is left of a person; nothing is written.

    Parameters
    ----------
    dataset : Path
        The dataset.
    subject_id : str
        Who.
    exports : sequence of Path
        Exports that lie elsewhere; those below the dataset are found.

    Raises
    ------
    ConfigError
        If there is no such dataset or export, or nobody knows such a person.
    SchemaError
        If a file that would tell cannot be read.
    """
    found = read_dataset(dataset)
    sessions = [one.session for one in find_sessions(found) if one.session is not None]
    root = dataset / DERIVATIVES
    runs = dataset_runs(dataset)
    mine = [session for session in sessions if session.subject_id == subject_id]
    journal = read_journal(root)
    names = {session.session_id for session in mine} | set(journal.get(subject_id, ()))
    people = {session.subject_id for session in sessions} | set(found.participants)
    for run in runs:
        theirs, others = _sessions_of(run, subject_id)
        names |= theirs
        people |= others
    known = bool(names) or subject_id in people or subject_id in journal or is_withdrawn(root / "any", subject_id)
    if not known:
        close = [name for name in sorted(people) if name.casefold() == subject_id.casefold()]
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {_some(sorted(people))}"
        raise ConfigError(f"{dataset}: no subject {subject_id!r}; {hint}")
    everywhere = [*exports, *(path for path in _exports_below(dataset) if path not in exports)]
    for path in exports:
        if read_stamp(path) is None and not any(place.exists() for place in beside(path)):
            raise ConfigError(
                f"{path}: not an export of au3dmm (no {STAMP} in it); delete by hand what it holds of them"
            )
    return ForgetPlan(
        dataset,
        subject_id,
        tuple(sorted(names)),
        tuple(runs),
        tuple(path for run in runs for path in _to_remove(run, subject_id, names)),
        tuple(path for run in runs for path in _to_rewrite(run)),
        tuple(everywhere),
        tuple(_models(root)),
        tuple(_raw(dataset, mine, subject_id, subject_id in found.participants)),
        known,
    )


def _sessions_of(run: RunFolder, subject_id: str) -> tuple[set[str], set[str]]:
    """Return the names of a person's sessions in a run, and all people in it."""
    told: dict[str, str] = {}
    # a file that cannot be read is removed later on; others tell the same
    with suppress(SchemaError):
        told |= {row.session_id: row.subject_id for row in read_index(run.index)[0] if row.subject_id is not None}
    with suppress(SchemaError):
        told |= {str(one["session_id"]): str(one.get("subject_id") or "") for one in read_failures(run.failures)}
    people = {name for name in told.values() if name}
    if run.subjects.is_dir():
        people |= {path.name for path in run.subjects.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if run.sessions.is_dir():
        for folder in run.sessions.iterdir():
            if folder.is_dir() and folder.name not in told and (who := _subject_of(folder)) is not None:
                told[folder.name] = who
    pooled = run.subject(subject_id) / "identity.parquet"
    names = {name for name, who in told.items() if who == subject_id}
    if pooled.is_file():
        try:
            listed = read_table(pooled, "identity", ["session_ids"])["session_ids"].to_pylist()
        except SchemaError:
            listed = []
        names |= {str(name) for each in listed for name in each or ()}
    return names, people | set(told.values()) - {""}


def _subject_of(folder: Path) -> str | None:
    """Return whose session a folder holds that no index names: a run that was killed left it."""
    for name, kind in (("identity.parquet", "identity"), ("labels.parquet", "labels")):
        try:
            found = read_table(folder / name, kind, ["subject_id"])["subject_id"].to_pylist()
        except SchemaError:
            continue
        if found:
            return str(found[0])
    for name in ("landmarks.parquet", "coefficients.parquet"):
        try:
            who = read_metadata(folder / name).get("subject_id")
        except SchemaError:
            continue
        if isinstance(who, str):
            return who
    if (whose := subject_of_parts(folder)) is not None:
        return whose
    try:
        said = json.loads((folder / "failure.json").read_bytes()).get("subject_id")
    except (OSError, ValueError, AttributeError):
        return None
    return None if said is None else str(said)


def _to_remove(run: RunFolder, subject_id: str, names: Iterable[str]) -> Iterator[Path]:
    mine = (run.subject(subject_id), *(run.session(name) for name in sorted(names)))
    for path in (*mine, run.state, *told_by_models(run)):
        if path.exists():
            yield path


def _to_rewrite(run: RunFolder) -> Iterator[Path]:
    for path in (run.failures, run.dataset, run.report):
        if path.exists():
            yield path


def told_by_models(run: RunFolder) -> list[Path]:
    """Return the folders in which models tell of people one by one, and that can be made again."""
    said = (*run.path.glob("training/*/evaluation"), *run.path.glob("training/*/predictions"))
    return sorted({*said, run.path / "experiments"})


def _exports_below(dataset: Path) -> list[Path]:
    found = {path.parent for pattern in _EXPORT_PLACES for path in dataset.glob(pattern)}
    # what a killed export left beside it is hidden, and counts as part of it
    return sorted(path for path in found if not path.name.startswith(".") and read_stamp(path) is not None)


def _models(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from sorted(path for path in root.rglob("*") if path.suffix in _MODELS)


def _raw(dataset: Path, sessions: Sequence[Session], subject_id: str, in_participants: bool) -> Iterator[Path]:
    for session in sessions:
        yield session.folder
        about = session.manifest
        named = [getattr(s, key, None) for s in (about.rgb, about.events, about.landmarks) for key in _FILES]
        named += [one.file for one in about.annotations]
        for name in dict.fromkeys(name for name in named if name):
            path = session.folder / name
            if session.folder.resolve() not in path.resolve().parents:  # it lies elsewhere
                yield path
    if in_participants:
        yield dataset / "participants.tsv"
    if (dataset / SPLITS_FILE).is_file():
        text = (dataset / SPLITS_FILE).read_text("utf-8-sig", errors="replace")
        mine = {subject_id, *(session.session_id for session in sessions)}
        if any(cell in mine for line in text.splitlines() for cell in line.split("\t")):
            yield dataset / SPLITS_FILE


_FILES = ("file", "folder", "timestamps")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "none"
