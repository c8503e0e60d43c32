"""What of a dataset is up to date, what would run, and why: from manifests, hashes and ledgers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from au3dmm.config import PipelineParams
from au3dmm.errors import Au3dmmError
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.session import Session
from au3dmm.pipeline.failure import Failure, attempt_mark, failure_of, read_failure
from au3dmm.pipeline.steps import (
    ORDER,
    PICTURES,
    Inputs,
    SharedIdentity,
    Step,
    identity_step,
    output_files,
    session_steps,
)

SESSION_STAGES = ("detect", "identity", "fit", "sync", "frames", "align")
CONSOLIDATE = "consolidate"
RUN_STAGES = (*SESSION_STAGES, CONSOLIDATE)
"""What a run of a dataset does, in order."""


@dataclass(frozen=True)
class Selection:
    """Which stages may run, and which must.

    Attributes
    ----------
    stages : tuple of str
        Of `RUN_STAGES`.
    force : bool
        Run them even if they are up to date.
    overlay : bool
        Draw pictures, too.
    retry_failed : bool
        Try again what failed although nothing of it has changed.
    """

    stages: tuple[str, ...] = RUN_STAGES
    force: bool = False
    overlay: bool = False
    retry_failed: bool = False


@dataclass(frozen=True)
class Need:
    """What one task of a run has to do.

    Attributes
    ----------
    steps : tuple of (Step, str)
        Steps that have to run, and why; none: all is up to date.
    failure : Failure or None
        Why it cannot be done, or failed before and nothing has changed since.
    missing : tuple of str
        Stages that would have to run but were not asked for.
    mark : str
        Fingerprint of what the task makes for others: landmarks, identity.
    """

    steps: tuple[tuple[Step, str], ...] = ()
    failure: Failure | None = None
    missing: tuple[str, ...] = ()
    mark: str = ""


class Planner:
    """Compares a dataset with what a run's folder holds.

    Parameters
    ----------
    run : RunFolder
        Where results are, or will be.
    params : PipelineParams
        What to compute.
    bases : Path
        The basis file.
    bases_mark : str
        Its fingerprint.
    detector_mark : callable
        Returns the fingerprint of the detector for a session.
    selection : Selection
        What to do.
    """

    def __init__(
        self,
        run: RunFolder,
        params: PipelineParams,
        bases: Path,
        bases_mark: str,
        detector_mark: Callable[[Session], str],
        selection: Selection,
    ) -> None:
        self.run = run
        self.params = params
        self.selection = selection
        self._bases, self.bases_mark = bases, bases_mark
        self._detector_mark = detector_mark

    @property
    def pooled(self) -> bool:
        """Whether a subject's recordings share one identity."""
        return self.params.identity.pool == "subject"

    def inputs(self, session: Session) -> Inputs:
        """Return what the steps of a session start from."""
        return Inputs(self._bases, self.bases_mark, self._detector_mark(session))

    def detect(self, session: Session) -> Need:
        """Say what has to be done for a session's landmarks."""
        folder = self.run.session(session.session_id)
        try:
            step = next(session_steps(session, self.params, self.inputs(session), folder))
        except Au3dmmError as err:
            return Need(failure=self.failure(session, err, "detect"))
        return self._need([step], folder, session)

    def identity(self, pool: Sequence[Session], landmarks: dict[str, str]) -> Need:
        """Say what has to be done for the identity that a subject's sessions share."""
        folder = self.run.subject(pool[0].subject_id)
        pairs = [(session, self.run.session(session.session_id)) for session in pool]
        output = output_files(folder, self.params)["identity"]
        step = identity_step(pairs, self.params, landmarks, self.inputs(pool[0]), output)
        return self._need([step], folder)

    def label(self, session: Session, identity_mark: str) -> Need:
        """Say what has to be done for a session once its subject's identity is known."""
        folder = self.run.session(session.session_id)
        shared = None
        if identity_mark:
            files = output_files(self.run.subject(session.subject_id), self.params)
            shared = SharedIdentity(files["identity"], identity_mark)
        try:
            steps = list(session_steps(session, self.params, self.inputs(session), folder, shared))[1:]
        except Au3dmmError as err:
            return Need(failure=self.failure(session, err, "fit"))
        if not self.selection.overlay:
            steps = [step for step in steps if step.name not in PICTURES]
        return self._need(steps, folder, session)

    def failure(self, session: Session, err: Exception, stage: str) -> Failure:
        """Describe what is wrong with a session before any of it has run."""
        return failure_of(
            err, session_id=session.session_id, subject_id=session.subject_id, path=session.path, stage=stage, mark=""
        )

    def _need(self, steps: Sequence[Step], folder: Path, session: Session | None = None) -> Need:
        ledger, failed = Ledger(folder / LEDGER, ORDER), read_failure(folder)
        chosen = {*self.selection.stages, *PICTURES}
        due = [(step, step.why(ledger)) for step in steps]
        # what comes after the last chosen stage may be as it is
        last = max((ORDER.index(name) for name in self.selection.stages if name in ORDER), default=len(ORDER))
        missing = tuple(
            step.name
            for step, why in due
            if why is not None and step.name not in chosen and ORDER.index(step.name) < last
        )
        wanted = tuple(
            (step, why or "--force")
            for step, why in due
            if step.name in chosen and (why is not None or (self.selection.force and step.name not in PICTURES))
        )
        mark = steps[-1].mark if steps else ""
        if failed is not None and not self.selection.retry_failed:
            again = next((step.mark for step, _ in wanted if step.name == failed.stage), "")
            if again and failed.lasts(again if session is None else attempt_mark(session, again)):
                return Need(failure=failed, mark=mark)
        return Need(wanted, None, missing if wanted or missing else (), mark)
