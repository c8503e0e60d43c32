"""Check all that a run of a dataset left on disk: sessions, people, and what was put together from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from au3dmm.core.splits import Part, find_leaks
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.failures import read_failures
from au3dmm.io.label_dataset import label_parts
from au3dmm.io.label_metadata import MergedMetadata
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.sessions_index import IndexRow, read_index
from au3dmm.io.table_info import TableInfo, read_rows, read_table_info, schema_differences
from au3dmm.io.withdrawn import find_journal, is_withdrawn
from au3dmm.validation.consolidated import compare_labels
from au3dmm.validation.many_sessions import check_sessions
from au3dmm.validation.problem import Problem
from au3dmm.validation.records import AGAIN, REMAKE, hash_problems, recorded_fingerprint
from au3dmm.validation.session import leftovers
from au3dmm.validation.tables import check_table

Progress = Callable[[int, int | None], None]
_SHOWN = 3


class RunCheck:
    """Checks one run.

    Parameters
    ----------
    run : RunFolder
        The run.
    dataset : Path, optional
        The dataset, to see whether every session of it was run.
    workers : int
        Processes.

    Attributes
    ----------
    sessions : list of Path
        Folders of sessions.
    files, rows : int
        What was read.
    problems : list of Problem
        What was found.
    """

    def __init__(self, run: RunFolder, dataset: Path | None = None, workers: int = 1) -> None:
        self.run, self._dataset, self._workers = run, dataset, workers
        self.sessions: list[Path] = []
        self.files = self.rows = 0
        self.problems: list[Problem] = []
        self._index: list[IndexRow] = []
        self._metadata: dict[str, Any] = {}
        self._people: dict[str, str | None] = {}

    def check(self, progress: Progress | None = None) -> None:
        """Check everything."""
        run = self.run
        for folder in (run.path, run.dataset, run.labels):
            self.problems += [replace(p, advice=_again(p.advice)) for p in leftovers(folder)]
        journal = find_journal(run.path)
        if journal is not None:
            self._tell(journal, "a withdrawal that was interrupted", "no such file", "run au3dmm forget again")
        self._read_index()
        self._check_people()
        self._check_sessions(progress)
        self._check_failures()
        self._check_split()
        self._check_consolidated()
        self._check_annotations()
        self._check_dataset()

    def _tell(self, path: Path, found: str, expected: str, advice: str = AGAIN) -> None:
        self.problems.append(Problem(path, found, expected, advice))

    def _read_index(self) -> None:
        path = self.run.index
        try:
            self._index, self._metadata = read_index(path)
        except SchemaError as err:
            self._tell(path, _reason(path, err), "the index of all sessions")
            return
        self.files += 1
        ledger = self.run.dataset / LEDGER
        for problem in hash_problems(ledger, "consolidate", self._paths()):
            self.problems.append(problem)

    def _paths(self) -> dict[str, Path]:
        parts = {f"labels/{path.name}": path for path in label_parts(self.run.labels)}
        return {"sessions": self.run.index, "annotations": self.run.annotations, **parts}

    def _check_people(self) -> None:
        if not self.run.subjects.is_dir():
            return
        for folder in sorted(p for p in self.run.subjects.iterdir() if p.is_dir() and not p.name.startswith(".")):
            self.problems += [replace(p, advice=_again(p.advice)) for p in leftovers(folder)]
            path = folder / "identity.parquet"
            if not path.is_file() and not (folder / LEDGER).is_file():
                continue  # of somebody whose sessions all failed
            self._people[folder.name] = recorded_fingerprint(folder / LEDGER, "identity")
            self.problems += hash_problems(folder / LEDGER, "identity", {"identity": path})
            info = self._table(path, "identity")
            if info is not None:
                table = read_rows(info, info.small_columns)
                self.problems += [Problem(path, f.found, f.expected, REMAKE) for f in check_table(info, table)]
                said = table["subject_id"].to_pylist()
                if said != [folder.name]:
                    self._tell(path, f"subject_id {', '.join(map(str, said))}", folder.name, REMAKE)

    def _table(self, path: Path, kind: str) -> TableInfo | None:
        try:
            info = read_table_info(path)
        except SchemaError as err:
            self._tell(path, _reason(path, err), f"a table of {kind}", REMAKE)
            return None
        self.files += 1
        self.rows += info.n_rows
        if info.kind != kind:
            self._tell(path, f"a table of {info.kind}", kind, REMAKE)
            return None
        differences = schema_differences(info)
        for said in differences:
            self._tell(path, said, f"{kind} schema version {info.version}", REMAKE)
        return None if differences else info

    def _check_sessions(self, progress: Progress | None) -> None:
        if not self.run.sessions.is_dir():
            if any(row.status != "failed" for row in self._index):
                self._tell(self.run.sessions, "no such folder", "a folder per session")
            return
        there = {p.name: p for p in self.run.sessions.iterdir() if p.is_dir() and not p.name.startswith(".")}
        known = {row.session_id: row for row in self._index}
        failed = {name for name in there if name in known and known[name].status == "failed"}
        self.sessions = [folder for _, folder in sorted(there.items())]
        for name in sorted(failed):  # its last good files stay, and are used for nothing
            self.problems += [replace(p, advice=_again(p.advice)) for p in leftovers(there[name])]
        merged = MergedMetadata()
        todo = [there[name] for name in sorted(set(there) - failed)]
        for done, found in enumerate(check_sessions(todo, self._workers), 1):
            self.problems += [replace(p, advice=_again(p.advice)) for p in found.problems]
            self.files += found.files
            self.rows += found.rows
            if found.labels is not None:
                merged.add(found.folder.name, found.labels)
            if found.coefficients is not None:
                self._check_identity(found.folder, found.coefficients, known.get(found.folder.name))
            if progress is not None:
                progress(done, len(todo))
        try:
            merged.check()
        except SchemaError as err:
            self._tell(self.run.sessions, str(err).split("; run ")[0], "labels that were made alike")
        if known:
            self._some(sorted(set(there) - set(known)), "folders of sessions that are not in sessions.parquet")
            lost = sorted(name for name, row in known.items() if row.status != "failed" and name not in there)
            self._some(lost, "sessions of sessions.parquet without a folder")

    def _check_identity(self, folder: Path, metadata: Mapping[str, Any], row: IndexRow | None) -> None:
        made_from = (metadata.get("inputs") or {}).get("identity")
        subject = None if row is None else row.subject_id
        if made_from is None or subject is None:
            return
        path = self.run.subject(subject) / "identity.parquet"
        if subject not in self._people:
            self._tell(path, "no such file", f"the identity that {folder.name} was fitted with")
        elif self._people[subject] not in (None, made_from):
            present = f"the present {str(self._people[subject])[:12]}..."
            self._tell(folder / "coefficients.parquet", f"made from identity {made_from[:12]}...", present)

    def _some(self, names: Sequence[str], what: str) -> None:
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self._tell(self.run.path, f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}", "none")

    def _check_failures(self) -> None:
        path = self.run.failures
        try:
            failed = {str(one["session_id"]) for one in read_failures(path)}
        except SchemaError as err:
            self._tell(path, _reason(path, err).split("; ")[0], "one JSON object per failed session", REMAKE)
            return
        said = {row.session_id for row in self._index if row.status == "failed"}
        if self._index:
            self._some(sorted(failed - said), "sessions failed by failures.jsonl, but not by sessions.parquet")
            self._some(sorted(said - failed), "sessions failed by sessions.parquet, but not by failures.jsonl")

    def _check_split(self) -> None:
        method = (self._metadata.get("params") or {}).get("method")
        told = [(r.session_id, r.subject_id, Part(r.split, r.fold)) for r in self._index if r.subject_id is not None]
        if method != "video":
            for subject, first, second in find_leaks(told)[:_SHOWN]:
                self._tell(self.run.index, f"subject {subject!r} is {first} and {second}", "one part of the split")
        for row in self._index:
            if row.subject_id is not None and is_withdrawn(self.run.path, row.subject_id):
                advice = f"run au3dmm forget --subject {row.subject_id} again"
                self._tell(self.run.index, f"subject {row.subject_id!r}, who has withdrawn", "nobody who has", advice)
                return

    def _check_consolidated(self) -> None:
        if not self._index:
            return
        for path in label_parts(self.run.labels):
            info = self._table(path, "dataset_labels")
            if info is not None and info.metadata.get("fingerprint") != self._metadata.get("fingerprint"):
                self._tell(path, "of another time than sessions.parquet", "files that were written together")
        for path, found, expected in compare_labels(self.run, self._index):
            self._tell(path, found, expected)

    def _check_annotations(self) -> None:
        if not self._index:
            return
        info = self._table(self.run.annotations, "annotations")
        if info is not None:
            names = set(read_rows(info, ["session_id"])["session_id"].unique().to_pylist())
            unknown = sorted(names - {row.session_id for row in self._index})
            self._some(unknown, "sessions in annotations.parquet that are not in sessions.parquet")
        for name, text in sorted((self._metadata.get("annotation_problems") or {}).items()):
            self._tell(
                self.run.annotations, f"without what was said of {name}: {text}", "all", f"mend that and {AGAIN}"
            )
        if not self.run.card.is_file():
            self._tell(self.run.card, "no such file", "the dataset card")

    def _check_dataset(self) -> None:
        if self._dataset is None or not self._index:
            return
        try:
            dataset = read_dataset(self._dataset)
            found = find_sessions(dataset)
        except ConfigError as err:
            self._tell(self._dataset, _reason(self._dataset, err), "a dataset that can be read", "mend that")
            return
        if not found:  # the recordings may lie elsewhere, or not be mounted
            return
        there = {
            one.name: one.session
            for one in found
            if one.session is not None
            and dataset.excluded(one.session.subject_id) is None
            and not is_withdrawn(self.run.path, one.session.subject_id)
        }
        known = {row.session_id: row for row in self._index if row.subject_id is not None}
        self._some(sorted(set(there) - set(known)), "sessions of the dataset that are not in sessions.parquet")
        self._some(sorted(set(known) - set(there)), "sessions in sessions.parquet that are not in the dataset any more")
        changed = [
            name
            for name, row in sorted(known.items())
            if name in there
            and (row.subject_id, row.au, row.task)
            != ((about := there[name].manifest.session).subject_id, about.au, about.task)
        ]
        self._some(changed, "sessions whose session.toml names another subject, action unit or task now")


def _again(advice: str) -> str:
    return advice.replace("au3dmm label", "au3dmm run")


def _reason(path: Path, err: Exception) -> str:
    return str(err).removeprefix(f"{path}: ")
