"""What a run of a dataset did, or would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from au3dmm.api.result_html import html_table
from au3dmm.io.run_folder import RunFolder
from au3dmm.pipeline.failure import Failure
from au3dmm.pipeline.interrupts import INTERRUPTED

_TOLD = 10  # failures, and warnings, that a notebook shows


@dataclass(frozen=True)
class DatasetResult:
    """What `run_dataset` did.

    Attributes
    ----------
    dataset, folder : Path
        The dataset and the run's folder.
    states : dict
        Per session ``labelled``, ``up to date``, ``failed`` or ``not done``.
    failures : tuple of Failure
        Why, sorted by session; also those of sessions that this run did not touch.
    excluded : dict
        Per session why it was left out: its subject has not consented.
    consolidated : dict or None
        What stage consolidate reported.
    stopped : str
        Why the run ended early; empty if it did not.
    seconds : float
        Wall-clock time.
    work_s, ran : dict
        Per stage: seconds of work over all workers, how often it ran.
    warnings : dict
        What stages warned of, by session or subject.
    basis : dict
        ``path``, ``kind``.
    n_workers : int
        How many worked.
    """

    dataset: Path
    folder: RunFolder
    states: dict[str, str]
    failures: tuple[Failure, ...]
    excluded: dict[str, str]
    consolidated: dict[str, Any] | None
    stopped: str
    seconds: float
    work_s: dict[str, float] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    basis: dict[str, Any] = field(default_factory=dict)
    n_workers: int = 1

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some sessions failed or are not done, 4 all failed, 130 interrupted."""
        if self.stopped == INTERRUPTED:
            return 130
        bad = sum(state in ("failed", "not done") for state in self.states.values())
        if not bad and not self.stopped:
            return 0
        return 4 if all(state == "failed" for state in self.states.values()) else 3

    def _repr_html_(self) -> str:
        """Return a table for notebooks: counts, failures with their reasons, warnings, where the report is."""
        counts = ", ".join(f"{n} {state}" for state, n in sorted(Counter(self.states.values()).items()))
        rows = [("sessions", f"{len(self.states)}: {counts}" if self.states else "none")]
        if self.excluded:
            rows.append(("left out", f"{len(self.excluded)} (no consent)"))
        if self.stopped:
            rows.append(("stopped", self.stopped))
        rows += [(f.session_id, f"failed at {f.stage}: {f.message}") for f in self.failures[:_TOLD]]
        if len(self.failures) > _TOLD:
            rows.append(("...", f"{len(self.failures) - _TOLD} more failures in {self.folder.failures}"))
        said = [(name, text) for name, texts in self.warnings.items() for text in texts]
        rows += [(f"warning, {name}", text) for name, text in said[:_TOLD]]
        if len(said) > _TOLD:
            rows.append(("...", f"{len(said) - _TOLD} more warnings"))
        rows.append(("report", str(self.folder.report)))
        return html_table(f"dataset {self.dataset}", rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, with the keys that ``run --json`` prints."""
        return {
            "dataset": str(self.dataset),
            "folder": str(self.folder.path),
            "sessions": dict(sorted(Counter(self.states.values()).items())),
            "failures": [
                {"session_id": f.session_id, "stage": f.stage, "error": f.error, "message": f.message, "path": f.path}
                for f in self.failures
            ],
            "excluded": self.excluded,
            "consolidated": self.consolidated,
            "stopped": self.stopped or None,
            "basis": self.basis,
            "work_s": {name: round(value, 3) for name, value in self.work_s.items()},
            "ran": self.ran,
            "warnings": {name: list(texts) for name, texts in self.warnings.items()},
            "workers": self.n_workers,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


@dataclass(frozen=True)
class PlannedSession:
    """What a run would do for a session: per stage why it would run; a failure that would stay."""

    session_id: str
    subject_id: str
    why: dict[str, str]
    failure: Failure | None = None


@dataclass(frozen=True)
class DatasetPlan:
    """What a run would do.

    Attributes
    ----------
    folder : RunFolder
        Where.
    sessions : tuple of PlannedSession
        In the order in which they would be run.
    subjects : dict
        Per subject whose identity would be estimated anew, why.
    broken : tuple of Failure
        Sessions that cannot be used.
    excluded : dict
        Sessions left out, and why.
    bases : str or None
        Why the basis would be learnt; None if it is given or up to date.
    consolidate : str or None
        Why the dataset would be put together again.
    """

    folder: RunFolder
    sessions: tuple[PlannedSession, ...]
    subjects: dict[str, str]
    broken: tuple[Failure, ...]
    excluded: dict[str, str]
    bases: str | None
    consolidate: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, with the keys that ``run --dry-run --json`` prints."""
        return {
            "folder": str(self.folder.path),
            "sessions": [
                {
                    "session_id": one.session_id,
                    "subject_id": one.subject_id,
                    "why": one.why,
                    "failed_before": None if one.failure is None else one.failure.message,
                }
                for one in self.sessions
            ],
            "identity": self.subjects,
            "broken": [{"session_id": f.session_id, "path": f.path, "message": f.message} for f in self.broken],
            "excluded": self.excluded,
            "bases": self.bases,
            "consolidate": self.consolidate,
        }
