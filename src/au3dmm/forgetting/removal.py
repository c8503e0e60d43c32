"""Remove a person, make again what was made with them, and look whether anything is left."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.errors import Au3dmmError, ConfigError, OutputError, SchemaError, os_reason
from au3dmm.exports.export import export_dataset
from au3dmm.exports.folder import beside, read_stamp
from au3dmm.exports.selection import ExportOptions
from au3dmm.forgetting.journal import close_journal, write_journal
from au3dmm.forgetting.plan import ForgetPlan, plan_forgetting, told_by_models
from au3dmm.io.atomic import folder_lock, remove_leftovers
from au3dmm.io.failures import read_failures, write_failures
from au3dmm.io.run_folder import DERIVATIVES, LEDGER, RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.io.traces import Names, Trace, find_traces
from au3dmm.io.withdrawn import JOURNAL, WITHDRAWN, add_withdrawn
from au3dmm.report.dataset_card import write_dataset_card
from au3dmm.report.dataset_page import write_dataset_page
from au3dmm.stages import consolidate

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ForgetResult:
    """What was done.

    Attributes
    ----------
    plan : ForgetPlan
        What was found before.
    removed : tuple of Path
        What is gone.
    rebuilt : tuple of Path
        What was made again.
    notes : tuple of str
        What a person must do or know.
    traces : tuple of Trace
        Where a name still stands; empty if nothing is left.
    """

    plan: ForgetPlan
    removed: tuple[Path, ...]
    rebuilt: tuple[Path, ...]
    notes: tuple[str, ...]
    traces: tuple[Trace, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing of the person is left in what au3dmm made."""
        return not self.traces


def forget(
    dataset: Path, subject_id: str, exports: Sequence[Path] = (), progress: Progress | None = None
) -> ForgetResult:
    """Remove a person from every derivative, export and cache of a dataset; raw recordings are not touched.

    Killed at any moment, the same call finishes the job: what is being removed is written down first. A later run does
    not bring the person back (`au3dmm.io.withdrawn.is_withdrawn`).

    Parameters
    ----------
    dataset : Path
        The dataset.
    subject_id : str
        Who.
    exports : sequence of Path
        Exports that lie elsewhere.
    progress : callable, optional
        Told in words what is done.

    Raises
    ------
    ConfigError
        If nobody knows such a person.
    OutputError
        If something cannot be removed or written.
    SchemaError
        If labels cannot be put together again; the person's files are gone by then.
    """
    plan = plan_forgetting(dataset, subject_id, exports)
    tell = progress or (lambda text: None)
    root = dataset / DERIVATIVES
    work = _Work(plan, tell)
    if plan.runs or root.is_dir():
        write_journal(root, subject_id, plan.session_ids)
        add_withdrawn(root, subject_id)
    for run in plan.runs:
        work.clean_run(run)
    for path in plan.exports:
        work.clean_export(path)
    tell("looking for traces")
    names = Names([subject_id, *plan.session_ids])
    places = [root, *(path for path in plan.exports if root not in path.parents)]
    skip = [root / JOURNAL, *(folder / WITHDRAWN for folder in (root, *(run.path for run in plan.runs)))]
    traces = tuple(trace for place in places if place.is_dir() for trace in find_traces(place, names, skip))
    if not traces and root.is_dir():
        close_journal(root, subject_id)
    work.advise()
    return ForgetResult(plan, tuple(work.removed), tuple(work.rebuilt), tuple(work.notes), traces)


class _Work:
    def __init__(self, plan: ForgetPlan, tell: Progress) -> None:
        self.plan, self._tell = plan, tell
        self.removed: list[Path] = []
        self.rebuilt: list[Path] = []
        self.notes: list[str] = []

    def clean_run(self, run: RunFolder) -> None:
        """Remove the person from one run."""
        self._tell(f"cleaning {run.path.name}")
        add_withdrawn(run.path, self.plan.subject_id)
        for name in self.plan.session_ids:
            self._remove(run.session(name), locked=True)
        self._remove(run.subject(self.plan.subject_id), locked=True)
        self._remove(run.state)
        # they name people, and can be made again; checkpoints, which cannot, are named
        for place in told_by_models(run):
            self._remove(place)
        remove_leftovers(run.path)
        self._clean_failures(run)
        if run.dataset.exists():
            self._put_together(run)
        elif run.report.exists():  # of a run that was never put together
            write_dataset_page(run)
            self.rebuilt.append(run.report)

    def _remove(self, path: Path, locked: bool = False) -> None:
        if not path.exists():
            return
        try:
            if locked and path.is_dir():
                with folder_lock(path):  # nobody writes into it at this moment
                    shutil.rmtree(path)
            else:
                shutil.rmtree(path)
        except OSError as err:
            raise OutputError(f"{path}: cannot be removed: {os_reason(err)}; mend that and run forget again") from err
        self.removed.append(path)

    def _clean_failures(self, run: RunFolder) -> None:
        try:
            failures = read_failures(run.failures)
        except SchemaError as err:
            log.warning("%s", err)
            run.failures.unlink(missing_ok=True)
            self.removed.append(run.failures)
            return
        gone = set(self.plan.session_ids)
        left = [f for f in failures if f["session_id"] not in gone and f.get("subject_id") != self.plan.subject_id]
        if len(left) != len(failures):
            write_failures(run.failures, left)
            self.rebuilt.append(run.failures)

    def _put_together(self, run: RunFolder) -> None:
        gone = set(self.plan.session_ids)
        try:
            rows, metadata = read_index(run.index)
            whole = (run.dataset / LEDGER).is_file() and bool(consolidate.summary(run))
            theirs = any(row.subject_id == self.plan.subject_id or row.session_id in gone for row in rows)
            if not whole or theirs or _names_them(metadata, self.plan):
                self._tell(f"putting {run.path.name} together again")
                found = consolidate.without(subject_id=self.plan.subject_id, session_ids=gone, out=run)
                self._note_moved(run, found)
                self.rebuilt.append(run.dataset)
            # also if nothing else was left to do: whoever was killed here may have been killed before this
            for path, write in ((run.card, write_dataset_card), (run.report, write_dataset_page)):
                before = path.read_bytes() if path.is_file() else b""
                write(run)
                if path.read_bytes() != before:
                    self.rebuilt.append(path)
        except (ConfigError, SchemaError) as err:  # ConfigError: too few people are left for the split
            # better no consolidated labels than some with a person who has withdrawn
            log.warning("%s", err)
            self._remove(run.dataset)
            run.report.unlink(missing_ok=True)
            self.notes.append(
                f"{run.path.name}: its consolidated labels could not be made again ({err}) and were removed;"
                " `au3dmm run` makes them"
            )

    def _note_moved(self, run: RunFolder, found: dict[str, Any]) -> None:
        if found.get("moved"):
            self.notes.append(
                f"{run.path.name}: others are in another part of the split now ({found['moved']} subjects); a model"
                " that was trained before may have seen who is in test now: train again (splits.tsv keeps a split)"
            )

    def clean_export(self, path: Path) -> None:
        """Make an export again from the run that it was made of."""
        for rest in beside(path):
            self._remove(rest)
        stamp = read_stamp(path)
        if stamp is None:
            return
        if not _holds(path, self.plan):
            return
        said = stamp.get("export") or {}
        run = RunFolder(self.plan.dataset / DERIVATIVES / str(stamp.get("pipeline")))
        self._tell(f"exporting {path} again")
        try:
            options = ExportOptions(said["form"], said["split"], bool(said["identity"]), bool(said["landmarks"]))
            export_dataset(run, path, options)
            self.rebuilt.append(path)
        except (ConfigError, SchemaError, KeyError) as err:
            self._remove(path)
            reason = err if isinstance(err, Au3dmmError) else "it does not say how it was made"
            self.notes.append(f"{path}: this export could not be made again without them, and was removed: {reason}")

    def advise(self) -> None:
        """Say what a person must do."""
        for path in self.plan.models:
            self.notes.append(f"{path}: if this model was trained with them, delete it and train again")
        for run in self.plan.runs:
            if run.bases.is_file():
                self.notes.append(
                    f"{run.bases}: if they were in its corpora, remove them there and run fit-bases again"
                )
        self.notes.append("exports and copies that lie elsewhere are not known here: name exports with --export")
        if self.plan.raw:
            self.notes.append(f"raw data are not touched: delete by hand what is left in {len(self.plan.raw)} places")


def _names_them(metadata: dict[str, Any], plan: ForgetPlan) -> bool:
    names = Names([plan.subject_id, *plan.session_ids])
    return any(names.find(key) is not None for key in metadata.get("annotation_problems") or {})


def _holds(path: Path, plan: ForgetPlan) -> bool:
    names = Names([plan.subject_id, *plan.session_ids])
    return next(find_traces(path, names), None) is not None


def as_dict(result: ForgetResult) -> dict[str, Any]:
    """Return a result as plain values, with the keys that ``forget --json`` prints."""
    return {
        **plan_dict(result.plan),
        "removed": [str(path) for path in result.removed],
        "rebuilt": [str(path) for path in result.rebuilt],
        "notes": list(result.notes),
        "traces": [str(trace) for trace in result.traces],
        "clean": result.clean,
    }


def plan_dict(plan: ForgetPlan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "subject_id": plan.subject_id,
        "session_ids": list(plan.session_ids),
        "runs": [str(run.path) for run in plan.runs],
        "remove": [str(path) for path in plan.remove],
        "rewrite": [str(path) for path in plan.rewrite],
        "exports": [str(path) for path in plan.exports],
        "models": [str(path) for path in plan.models],
        "raw": [str(path) for path in plan.raw],
    }
