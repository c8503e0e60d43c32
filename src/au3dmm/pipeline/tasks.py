"""What a worker does: detect a session, estimate a subject's identity, or finish a session.

Every executor calls `run_task` with plain values, so the path from here on is the same in the parent, in a process
and on another machine. Data stays on disk; what comes back is small.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from au3dmm.config import PipelineParams
from au3dmm.errors import BusyError
from au3dmm.io.atomic import folder_lock, remove_leftovers
from au3dmm.io.hash_cache import Entry, HashCache, remembered_hashes
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import read_metadata
from au3dmm.io.withdrawn import is_withdrawn
from au3dmm.pipeline.failure import Failure, attempt_mark, failure_of, forget_failure, write_failure
from au3dmm.pipeline.heartbeat import Heartbeat, Stopped
from au3dmm.pipeline.session_run import Execution, SessionRun, check_session, run_step, run_steps
from au3dmm.pipeline.steps import ORDER, Inputs, SharedIdentity, Step, identity_step, output_files, session_steps

Kind = Literal["detect", "identity", "label"]
_WAIT_S = 0.5


@dataclass(frozen=True)
class Order:
    """A task: what to do, for whom, and how. Plain values only.

    Attributes
    ----------
    key : str
        Unique in a run.
    kind : "detect", "identity" or "label"
        Landmarks of a session, identity of a subject, or all other stages of a session.
    sessions : tuple of str
        Manifests: one, or for ``identity`` those of the subject's recordings with landmarks.
    run : str
        The run's folder.
    run_id : str
        Which run gave it out.
    params : str
        `PipelineParams` as JSON.
    bases, bases_mark, detector_mark : str
        The basis file and its fingerprint; that of the detector.
    landmarks : dict
        ``identity``: fingerprint of each session's landmarks.
    identity_mark : str
        ``label``: fingerprint of the subject's identity; empty if each session has its own.
    stages, force : tuple of str
        Which stages may run, and which must.
    device, weights : str
        How to run detectors; empty = the usual folder.
    overlay : bool
        Whether to draw pictures.
    withdrawn : tuple of str
        Runs whose lists of people who have withdrawn count: somebody may, while a run is going.
    """

    key: str
    kind: Kind
    sessions: tuple[str, ...]
    run: str
    run_id: str
    params: str
    bases: str
    bases_mark: str
    detector_mark: str
    landmarks: Mapping[str, str] = field(default_factory=dict)
    identity_mark: str = ""
    stages: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    device: str = "cpu"
    weights: str = ""
    overlay: bool = False
    withdrawn: tuple[str, ...] = ()


class Withdrawn(BaseException):
    """The person has withdrawn; not an `Exception`, as no session has failed, and nothing of it is kept."""


@dataclass(frozen=True)
class Report:
    """What came of a task.

    Attributes
    ----------
    key : str
        The task's.
    states, seconds, summaries : dict
        Per stage.
    failure : Failure or None
        Why it was not finished.
    stopped : bool
        Whether it was told to stop.
    withdrawn : bool
        Whether the person has withdrawn.
    disk_full : bool
        Whether it failed since there is no room to write: so will every other.
    warnings : tuple of str
        What the stages warned of.
    hashes : dict
        What was learnt about files (`HashCache`).
    """

    key: str
    states: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: Failure | None = None
    stopped: bool = False
    withdrawn: bool = False
    disk_full: bool = False
    warnings: tuple[str, ...] = ()
    hashes: dict[str, Entry] = field(default_factory=dict)


# a worker keeps what it learnt about files from one task to the next
_hashes = HashCache()


def run_task(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an `Order` and return a `Report`, both as plain values; a failure of the session is in the report."""
    task = _Task(Order(**order))
    with remembered_hashes(_hashes), _warnings() as warnings:
        report = task.run()
    doubts = report.summaries.get("identity", {}).get("warnings", [])
    return {**asdict(report), "warnings": (*warnings, *doubts), "hashes": _hashes.news()}


class _Task:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.run_folder = RunFolder(Path(order.run))
        self.params = _params(order.params)
        self.inputs = Inputs(Path(order.bases), order.bases_mark, order.detector_mark)
        self.heartbeat = Heartbeat(self.run_folder, order.run_id, order.key)
        self.states: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.stage = order.kind if order.kind != "label" else "fit"
        self.began = time.monotonic()

    def run(self) -> Report:
        order = self.order
        failure, stopped, withdrawn, disk_full = None, False, False, False
        try:
            self.heartbeat.look()
            {"detect": self.detect, "identity": self.identity, "label": self.label}[order.kind]()
        except Stopped:
            stopped = True
        except Withdrawn:
            withdrawn = True
        except Exception as err:  # noqa: BLE001 - one session never stops the run
            failure = self.failed(err)
            disk_full = _is_disk_full(err)
        finally:
            self.heartbeat.end()
        return Report(order.key, self.states, self.seconds, self.summaries, failure, stopped, withdrawn, disk_full)

    def detect(self) -> None:
        session = read_session(Path(self.order.sessions[0]))
        folder = self.run_folder.session(session.session_id)
        with self.locked(folder, session):
            check_session(session)
            self.keep(run_steps(session, *self.how(folder), stages=("detect",), force=self.order.force))
            forget_failure(folder)

    def label(self) -> None:
        session = read_session(Path(self.order.sessions[0]))
        folder = self.run_folder.session(session.session_id)
        shared = None
        if self.order.identity_mark:
            path = output_files(self.run_folder.subject(session.subject_id), self.params)["identity"]
            shared = SharedIdentity(path, self.order.identity_mark)
        with self.locked(folder, session):
            if shared is not None and "fit" in self.order.stages:
                _check_identity(shared)
            rest = [name for name in self.order.stages if name != "detect"]
            more = {"shared": shared, "overlay": self.order.overlay, "force": self.order.force}
            self.keep(run_steps(session, *self.how(folder), stages=rest, **more))  # type: ignore[arg-type]
            forget_failure(folder)

    def identity(self) -> None:
        sessions = [read_session(Path(path)) for path in self.order.sessions]
        folder = self.run_folder.subject(sessions[0].subject_id)
        with self.locked(folder, sessions[0]):
            remove_leftovers(folder)
            step = self.identity_step(sessions)
            run = SessionRun(folder, {})
            ledger = Ledger(folder / LEDGER, ORDER)
            run_step(step, ledger, run, sessions[0], self.params, self.execution(), step.name in self.order.force)
            self.keep(run)
            forget_failure(folder)

    def identity_step(self, sessions: list[Session]) -> Step:
        pool = [(session, self.run_folder.session(session.session_id)) for session in sessions]
        folder = self.run_folder.subject(sessions[0].subject_id)
        output = output_files(folder, self.params)["identity"]
        return identity_step(pool, self.params, self.order.landmarks, self.inputs, output)

    def execution(self) -> Execution:
        weights = Path(self.order.weights) if self.order.weights else None
        return Execution(self.order.device, weights, self.event)

    def how(self, folder: Path) -> tuple[PipelineParams, Inputs, Path, Execution]:
        return self.params, self.inputs, folder, self.execution()

    def event(self, event: Mapping[str, Any]) -> None:
        self.stage = event["stage"]
        if event["event"] == "start":
            self.began = time.monotonic()
        if event["event"] == "done":
            self.states[self.stage] = event["state"]
            self.seconds[self.stage] = event["seconds"]
        self.heartbeat(event)

    def keep(self, run: SessionRun) -> None:
        self.states |= run.states
        self.seconds |= run.seconds
        self.summaries |= run.summaries

    def failed(self, err: Exception) -> Failure:
        """Describe a failure, and keep it in the folder of whom it concerns, if that can be written."""
        path = Path(self.order.sessions[0])
        failure = Failure("", "", str(path), self.stage, type(err).__name__, str(err))
        try:
            session = read_session(path)
            subject = self.order.kind == "identity"
            folder = (
                self.run_folder.subject(session.subject_id) if subject else self.run_folder.session(session.session_id)
            )
            who = {"session_id": "" if subject else session.session_id, "subject_id": session.subject_id}
            failure = failure_of(err, **who, path=path, stage=self.stage, mark=self.mark(session))
            write_failure(folder, failure)
        except Exception:  # noqa: BLE001 - the first error is the one to tell
            return failure
        return failure

    def mark(self, session: Session) -> str:
        """Return the fingerprint of the attempt that failed; empty if it cannot be told."""
        if self.order.kind == "identity":
            return self.identity_step([read_session(Path(path)) for path in self.order.sessions]).mark
        shared = SharedIdentity(Path(), self.order.identity_mark) if self.order.identity_mark else None
        folder = self.run_folder.session(session.session_id)
        steps = session_steps(session, self.params, self.inputs, folder, shared)
        mark = next((step.mark for step in steps if step.name == self.stage), "")
        return attempt_mark(session, mark) if mark else ""

    @contextmanager
    def locked(self, folder: Path, session: Session) -> Iterator[None]:
        """Hold the lock on a folder; while another run does, wait: what it makes is then up to date.

        Raises
        ------
        Withdrawn
            If the session's subject has withdrawn; then there is no folder.
        """
        self.check_consent(session)
        while True:
            lock = folder_lock(folder)
            try:
                lock.__enter__()
            except BusyError:
                self.heartbeat({"stage": "waiting"})
                self.heartbeat.look()
                time.sleep(_WAIT_S)
                continue
            break
        try:
            self.check_consent(session)
            yield
        except Withdrawn:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            lock.__exit__(None, None, None)

    def check_consent(self, session: Session) -> None:
        if any(is_withdrawn(Path(run), session.subject_id) for run in self.order.withdrawn):
            raise Withdrawn(session.subject_id)


@lru_cache(maxsize=2)
def _params(text: str) -> PipelineParams:
    return PipelineParams.model_validate_json(text)


def _is_disk_full(err: BaseException | None) -> bool:
    while err is not None:
        if isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        err = err.__cause__
    return False


def _check_identity(shared: SharedIdentity) -> None:
    found = read_metadata(shared.path).get("fingerprint")
    if found != shared.mark:
        raise BusyError(
            f"{shared.path}: made by another run a moment ago, from other recordings or parameters; run again when it"
            " is done"
        )


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what the stages warn of, which nobody would read in a worker."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logger = logging.getLogger("au3dmm")
    spreads = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = spreads
