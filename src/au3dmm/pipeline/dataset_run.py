"""Run a dataset: hand out tasks in their order, take what comes back, stop when told to.

Three kinds of task: landmarks of a session; identity of a subject, once all of its sessions have their landmarks; the
other stages of a session. A session that fails is left out of its subject's identity and named; no other waits for it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from au3dmm.errors import Au3dmmError, ExecutorError, OutputError
from au3dmm.executors import Executor, Job, Outcome
from au3dmm.io.hash_cache import HashCache
from au3dmm.io.session import Session
from au3dmm.pipeline.failure import Failure, forget_failure, write_failure
from au3dmm.pipeline.heartbeat import remove_signs, running, running_folder, signs_of_life, tell_to_stop
from au3dmm.pipeline.interrupts import interrupts
from au3dmm.pipeline.plan import Need, Planner
from au3dmm.pipeline.tasks import Kind, Order, run_task

log = logging.getLogger(__name__)

_TICK_S = 0.5
# later stages first: a subject is finished before the next is begun, and little is left open at a stop
_PRIORITY = {"label": 0, "identity": 1, "detect": 2}

Event = Callable[[Mapping[str, Any]], None]


@dataclass
class Progress:
    """What a run has done so far.

    Attributes
    ----------
    states : dict
        Per session ``labelled``, ``up to date``, ``failed`` or ``not done``.
    failures : dict
        Why, by session_id.
    seconds : dict
        Work done, per stage, over all workers.
    ran : dict
        How often each stage ran.
    warnings : dict
        What the stages warned of, by session or subject.
    withdrawn : set of str
        Sessions whose subjects have withdrawn since the run began.
    stopped : str
        Why the run ended early; empty if it did not.
    n_workers : int
        How many work.
    """

    states: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    stopped: str = ""
    n_workers: int = 1


@dataclass
class _Subject:
    """A person whose sessions are on their way."""

    sessions: list[Session]
    waiting: set[str] = field(default_factory=set)
    landmarks: dict[str, str] = field(default_factory=dict)
    identity_mark: str = ""


class DatasetRun:
    """One run over the sessions of a dataset.

    Parameters
    ----------
    planner : Planner
        Says what is up to date.
    sessions : list of Session
        Which; in any order.
    executor : context manager of an Executor
        Runs tasks; entered by `run`, so that a Ctrl-C while workers start is heard.
    hashes : HashCache
        Grows by what the tasks learn.
    device, weights : str
        How detectors run.
    withdrawn : tuple of str
        Runs whose lists of people who have withdrawn count.
    on_event : callable, optional
        Told of every session that is done and, now and then, of what runs.
    """

    def __init__(
        self,
        planner: Planner,
        sessions: list[Session],
        executor: AbstractContextManager[Executor],
        hashes: HashCache,
        *,
        device: str = "cpu",
        weights: str = "",
        withdrawn: tuple[str, ...] = (),
        on_event: Event | None = None,
    ) -> None:
        self.planner = planner
        self.progress = Progress()
        self._workers = executor
        self._executor: Executor
        self._hashes = hashes
        self._device, self._weights, self._withdrawn = device, weights, withdrawn
        self._on_event = on_event
        self._run_id = f"{os.getpid()}-{time.time_ns():x}"
        self._params = planner.params.model_dump_json()
        self._subjects: dict[str, _Subject] = {}
        for session in sorted(sessions, key=lambda s: (s.subject_id, s.session_id)):
            self._subjects.setdefault(session.subject_id, _Subject([])).sessions.append(session)
        self._of = {str(s.path): (subject, s) for subject in self._subjects.values() for s in subject.sessions}
        self._total = len(self._of)
        self._ready: list[tuple[int, int, Order]] = []
        self._flying: dict[str, Order] = {}
        self._died: set[str] = set()
        self._count = itertools.count()
        self._left = {s.session_id for subject in self._subjects.values() for s in subject.sessions}

    def run(self) -> Progress:
        """Do all of it; what could not be done is in the result.

        Raises
        ------
        KeyboardInterrupt
            At the second Ctrl-C.
        """
        run = self.planner.run
        with signs_of_life(run, self._run_id), interrupts(self._stop), self._workers as self._executor:
            self.progress.n_workers = self._executor.n_workers
            subjects = iter(self._subjects.values())
            try:
                self._loop(subjects)
            except ExecutorError as err:
                self.progress.stopped = str(err)
        for session_id in self._left:
            self.progress.states[session_id] = "not done"
        if not self._flying:  # workers elsewhere that lost us still look for the sign to stop
            remove_signs(run, self._run_id)
        return self.progress

    def _loop(self, subjects: Iterator[_Subject]) -> None:
        told = time.monotonic()
        more = True
        while more or self._ready or self._flying:
            n = self._executor.n_workers  # of a cluster, workers come and go
            at_most = n if n == 1 else 2 * n
            # plan as work is needed: the first tasks start before thousands of sessions have been looked at
            while more and len(self._ready) < at_most and not self.progress.stopped:
                subject = next(subjects, None)
                more = subject is not None
                if subject is not None:
                    self._begin(subject)
                if time.monotonic() - told > _TICK_S:
                    break
            if self.progress.stopped:
                more, self._ready = False, []
            while self._ready and len(self._flying) < at_most:
                order = heapq.heappop(self._ready)[2]
                self._flying[order.key] = order
                self._executor.submit(Job(order.key, run_task, {"order": asdict(order)}))
            for outcome in self._executor.wait(_TICK_S) if self._flying else ():
                self._take(outcome)
            if time.monotonic() - told > _TICK_S:
                told = time.monotonic()
                self._tell(event="tick", running=running(self.planner.run, self._run_id))

    # what happens to a subject, in order

    def _begin(self, subject: _Subject) -> None:
        needs = [(session, self.planner.detect(session)) for session in subject.sessions]
        waits = next((need for _, need in needs if need.missing), None)
        for session, need in needs:
            # an identity of those that happen to have landmarks would be another one
            if self._settled(session, need if need.failure is not None or waits is None else waits):
                continue
            subject.landmarks[session.session_id] = need.mark
            if need.steps:
                subject.waiting.add(session.session_id)
                self._give(f"detect-{session.session_id}", "detect", [session], need)
        if not subject.waiting:
            self._identify(subject)

    def _identify(self, subject: _Subject) -> None:
        pool = [session for session in subject.sessions if session.session_id in subject.landmarks]
        if not pool:
            return
        if not self.planner.pooled:
            self._label(subject)
            return
        need = self.planner.identity(pool, subject.landmarks)
        subject.identity_mark = need.mark
        if need.failure is not None or need.missing:
            for session in pool:
                self._settled(session, need)
        elif need.steps:
            self._give(f"identity-{pool[0].subject_id}", "identity", pool, need, landmarks=subject.landmarks)
        else:
            forget_failure(self.planner.run.subject(pool[0].subject_id))
            self._label(subject)

    def _label(self, subject: _Subject) -> None:
        for session in subject.sessions:
            if session.session_id not in subject.landmarks:
                continue
            need = self.planner.label(session, subject.identity_mark)
            if self._settled(session, need):
                continue
            if need.steps:
                key = f"label-{session.session_id}"
                self._give(key, "label", [session], need, identity_mark=subject.identity_mark)
            else:
                forget_failure(self.planner.run.session(session.session_id))  # of what is not asked for any more
                self._done(session.session_id, self.progress.states.get(session.session_id, "up to date"))

    def _settled(self, session: Session, need: Need) -> bool:
        """Whether a session goes no further: it has failed, or what it needs was not asked for."""
        if need.failure is not None:
            if need.failure.session_id == session.session_id:
                with suppress(OutputError):  # kept for other jobs of an array
                    write_failure(self.planner.run.session(session.session_id), need.failure)
            self._fail(session, need.failure)
        elif need.missing:
            what = ", ".join(need.missing)
            self._tell(
                event="message", level="warning", text=f"{session.session_id}: not up to date: {what}; left as it is"
            )
            self._done(session.session_id, "not done")
        else:
            return False
        return True

    def _give(
        self,
        key: str,
        kind: Kind,
        sessions: list[Session],
        need: Need,
        landmarks: Mapping[str, str] | None = None,
        identity_mark: str = "",
    ) -> None:
        inputs = self.planner.inputs(sessions[0])
        stages = tuple(step.name for step, _ in need.steps)
        order = Order(
            key=key,
            kind=kind,
            sessions=tuple(str(session.path) for session in sessions),
            run=str(self.planner.run.path),
            run_id=self._run_id,
            params=self._params,
            bases=str(inputs.bases),
            bases_mark=inputs.bases_mark,
            detector_mark=inputs.detector_mark,
            stages=stages,
            force=stages if self.planner.selection.force else (),
            device=self._device,
            weights=self._weights,
            overlay=self.planner.selection.overlay,
            withdrawn=self._withdrawn,
            landmarks=landmarks or {},
            identity_mark=identity_mark,
        )
        heapq.heappush(self._ready, (_PRIORITY[kind], next(self._count), order))

    # what comes back

    def _take(self, outcome: Outcome) -> None:
        order = self._flying.pop(outcome.key)
        if outcome.died is not None:
            self._bury(order, outcome.died)
            return
        report = outcome.value
        self._hashes.add(report["hashes"])
        for stage, seconds in report["seconds"].items():
            self.progress.seconds[stage] = self.progress.seconds.get(stage, 0.0) + seconds
            self.progress.ran[stage] = self.progress.ran.get(stage, 0) + (report["states"].get(stage) == "ran")
        who = order.key.partition("-")[2]
        if report["warnings"]:
            self.progress.warnings[who] = (*self.progress.warnings.get(who, ()), *report["warnings"])
        if report["disk_full"]:
            self._stop("the disk is full; make room, and run the same command again")
        if report["withdrawn"]:
            self._leave_out(self._of[order.sessions[0]][0])
        elif not report["stopped"]:
            self._advance(order, None if report["failure"] is None else Failure(**report["failure"]))

    def _leave_out(self, subject: _Subject) -> None:
        """Go no further with a person who has withdrawn since the run began."""
        subject.landmarks.clear()
        subject.waiting.clear()
        for session in subject.sessions:
            self.progress.states.pop(session.session_id, None)
            self.progress.failures.pop(session.session_id, None)
            self.progress.withdrawn.add(session.session_id)
            self._left.discard(session.session_id)

    def _bury(self, order: Order, how: str) -> None:
        """A worker died of a task: it is tried once more, as the reason may have been another's hunger for memory."""
        with suppress(OSError):
            (running_folder(self.planner.run, self._run_id) / f"{order.key}.json").unlink(missing_ok=True)
        if self.progress.stopped:  # who stops a run may well end its workers, too: it is not done, and not a failure
            return
        if order.key not in self._died:
            self._died.add(order.key)
            self._tell(event="message", level="warning", text=f"{order.key}: its worker was {how}; trying once more")
            heapq.heappush(self._ready, (len(_PRIORITY), next(self._count), order))
            return
        advice = "give workers more memory (--memory-limit), or run fewer (--workers)"
        if "memory" not in how:
            advice = "a library crashed; or, in Python, the program that runs lacks `if __name__ == '__main__':`"
        message = f"its worker was {how}, twice; {advice}"
        session = self._of[order.sessions[0]][1]
        who, folder = session.session_id, self.planner.run.session(session.session_id)
        if order.kind == "identity":
            who, folder = "", self.planner.run.subject(session.subject_id)
        failure = Failure(who, session.subject_id, order.sessions[0], order.kind, "WorkerDied", message)
        with suppress(Au3dmmError):  # nobody else is left to keep it for the jobs of an array
            write_failure(folder, failure)
        self._advance(order, failure)

    def _advance(self, order: Order, failure: Failure | None) -> None:
        subject, session = self._of[order.sessions[0]]
        if session.session_id in self.progress.withdrawn:
            return
        if order.kind == "identity":
            if failure is None:
                self._label(subject)
                return
            for one in subject.sessions:
                if one.session_id in subject.landmarks:
                    self._fail(one, failure)
            return
        if failure is not None:
            self._fail(session, failure)
            subject.landmarks.pop(session.session_id, None)
        elif order.kind == "label":
            self._done(session.session_id, "labelled")
        else:
            self.progress.states[session.session_id] = "labelled"  # at least its landmarks are new
        if order.kind == "detect":
            subject.waiting.discard(session.session_id)
            if not subject.waiting:
                self._identify(subject)

    def _fail(self, session: Session, failure: Failure) -> None:
        values = {"session_id": session.session_id, "subject_id": session.subject_id, "path": str(session.path)}
        named = Failure(**{**asdict(failure), **values})
        self.progress.failures[session.session_id] = named
        self._done(session.session_id, "failed", failure=named)

    def _done(self, session_id: str, state: str, **more: Any) -> None:
        self.progress.states[session_id] = state
        self._left.discard(session_id)
        self._tell(event="session", session_id=session_id, state=state, **more)

    def _stop(self, why: str) -> None:
        if not self.progress.stopped:
            self.progress.stopped = why
            tell_to_stop(self.planner.run, self._run_id)
            self._tell(event="message", level="warning", text=f"stopping: {why}")

    def _tell(self, **values: Any) -> None:
        if self._on_event is not None:
            done = self._total - len(self._left)
            self._on_event({"done": done, "total": self._total, "failed": len(self.progress.failures), **values})
