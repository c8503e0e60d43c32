"""Label a whole dataset, or say what that would do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from au3dmm.api.dataset_options import RunOptions
from au3dmm.api.dataset_result import DatasetPlan, DatasetResult, PlannedSession
from au3dmm.api.dataset_setup import DatasetSetup
from au3dmm.api.learning import fit_bases
from au3dmm.api.session_pages import write_missing_pages
from au3dmm.config import PipelineParams
from au3dmm.errors import AssetError, Au3dmmError, BusyError
from au3dmm.executors import Executor, make_executor
from au3dmm.io.atomic import folder_lock, patient_lock
from au3dmm.io.bases import bases_fingerprint, read_bases
from au3dmm.io.failures import write_failures
from au3dmm.io.hash_cache import read_cache, remembered_hashes, write_cache
from au3dmm.io.kept_bases import keep_bases
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.session import Session
from au3dmm.pipeline.dataset_run import DatasetRun, Event, Progress
from au3dmm.pipeline.failure import Failure, as_rows, read_failure, within
from au3dmm.pipeline.plan import RUN_STAGES, SESSION_STAGES, Planner
from au3dmm.report.dataset_card import write_dataset_card
from au3dmm.report.dataset_page import write_dataset_page
from au3dmm.stages import consolidate
from au3dmm.stages.preparation import read_basis_at_landmarks
from au3dmm.stages.recordings import Entry

_UNKNOWN = "not learnt yet"
_WAIT_S = 0.5
_T = TypeVar("_T")


def run_dataset(
    dataset: str | Path,
    *,
    pipeline: str | Path | PipelineParams | None = None,
    bases: str | Path | None = None,
    out: str | Path | None = None,
    detector: str | None = None,
    sync: str | None = None,
    options: RunOptions | None = None,
    on_event: Event | None = None,
) -> DatasetResult:
    """Label every session of a dataset and put the labels together.

    What is up to date is not computed again; what is interrupted or killed can be run again, and ends with the same
    bytes. A session that fails is named and stops no other.

    Parameters
    ----------
    dataset : path
        A folder with sessions below it, and `dataset.toml` if there is one.
    pipeline : path or PipelineParams, optional
        A pipeline file (TOML), the name of a shipped one, or its values; default: the defaults.
    bases : path, optional
        Basis file; default: what `dataset.toml` names, or the shipped demo basis, for trying out only.
    out : path, optional
        The run's folder; default ``DATASET/derivatives/au3dmm/<pipeline>``.
    detector, sync : str, optional
        Win over the pipeline's ``detect.detector`` and ``sync.method``.
    options : RunOptions, optional
        Which stages and sessions, on what.
    on_event : callable, optional
        Told of every session that is done and, now and then, of what runs.

    Raises
    ------
    AssetError
        If detector weights are missing.
    ConfigError
        If the dataset, the pipeline or the options cannot be carried out as written.
    """
    began = time.monotonic()
    options = options or RunOptions()
    setup = DatasetSetup(dataset, pipeline, bases, out, detector, sync, options)
    tell = on_event or (lambda event: None)
    if setup.corpora and "bases" in setup.stages:
        fit_bases(setup.corpora, setup.run.bases, pipeline=setup.params, force=options.force, on_event=on_event)
    cache_file = setup.run.state / "hashes.json"
    with remembered_hashes(read_cache(cache_file)) as hashes:
        model = read_bases(setup.bases)
        read_basis_at_landmarks(setup.bases, setup.params.identity.landmarks)  # before anything is detected
        planner = setup.planner(bases_fingerprint(setup.bases))
        progress = Progress()
        if setup.sessions and set(setup.stages) & set(SESSION_STAGES):
            _check_weights(planner, setup.sessions)
            progress = DatasetRun(
                planner,
                setup.sessions,
                _executor(setup),
                hashes,
                device=options.device,
                weights=str(options.weights or ""),
                withdrawn=tuple(map(str, setup.lists)),
                on_event=on_event,
            ).run()
            setup.leave_out(progress.withdrawn)
            keep_bases(setup.run, setup.bases)
        # the jobs of an array end at any time: the last to write knows what all of them left
        with patient_lock(setup.run.failures):
            failures = (*setup.broken, *progress.failures.values(), *_known_failures(setup, progress))
            write_failures(setup.run.failures, as_rows(failures, setup.dataset.folder))
        # what cannot be read is told once, by the first part, and not by those who learn a basis
        mine = setup.stages != ("bases",) and (options.shard is None or options.shard[0] == 1)
        states = {**({f.session_id: "failed" for f in setup.broken} if mine else {}), **progress.states}
        if setup.stages == ("consolidate",):
            progress.states |= _states_on_disk(setup, setup.planner(planner.bases_mark, RUN_STAGES), failures)
            states |= progress.states
        fresh = 0
        if options.session_pages and setup.sessions and not progress.stopped:
            manifests = {session.session_id: session.path for session in setup.sessions}
            with _executor(setup) as executor:
                fresh = write_missing_pages(setup.run, manifests, setup.bases, executor, options.thumbnails)
        consolidated = None
        if setup.consolidates and not progress.stopped:
            consolidated = _when_free(lambda: _consolidate(setup, progress, failures, tell, fresh > 0))
        write_cache(cache_file, hashes)
    return DatasetResult(
        dataset=setup.dataset.folder,
        folder=setup.run,
        states=dict(sorted(states.items())),
        failures=tuple(sorted(failures, key=lambda f: (f.session_id, f.path))),
        excluded=setup.excluded,
        consolidated=consolidated,
        stopped=progress.stopped,
        seconds=time.monotonic() - began,
        work_s=progress.seconds,
        ran=progress.ran,
        warnings=progress.warnings,
        basis={"path": str(setup.bases), "kind": model.info.get("basis_kind", "user")},
        n_workers=progress.n_workers,
    )


def plan_dataset(
    dataset: str | Path,
    *,
    pipeline: str | Path | PipelineParams | None = None,
    bases: str | Path | None = None,
    out: str | Path | None = None,
    detector: str | None = None,
    sync: str | None = None,
    options: RunOptions | None = None,
) -> DatasetPlan:
    """Say what `run_dataset` would do with the same arguments, and why; nothing is written.

    It is a plan for the case that all goes well: a session that will fail is left out of its subject's identity, so
    that what depends on it runs, too.
    """
    setup = DatasetSetup(dataset, pipeline, bases, out, detector, sync, options or RunOptions())
    learn = "bases" in setup.stages and bool(setup.corpora) and not setup.bases.exists()
    with remembered_hashes(read_cache(setup.run.state / "hashes.json")):
        planner = setup.planner(_UNKNOWN if learn else bases_fingerprint(setup.bases))
        planned: list[PlannedSession] = []
        subjects: dict[str, str] = {}
        if setup.sessions and set(setup.stages) & set(SESSION_STAGES):
            _check_weights(planner, setup.sessions)
            for subject_id in sorted({session.subject_id for session in setup.sessions}):
                mine = [session for session in setup.sessions if session.subject_id == subject_id]
                some, why = _plan_subject(planner, mine)
                planned += some
                subjects |= {} if why is None else {subject_id: why}
        again = None
        if setup.consolidates:
            busy = subjects or any(one.why for one in planned)
            again = "sessions will change" if busy else _why_consolidate(setup, planned)
    return DatasetPlan(
        setup.run,
        tuple(planned),
        subjects,
        setup.broken,
        setup.excluded,
        f"no {setup.bases.name} yet" if learn else None,
        again,
    )


def _plan_subject(planner: Planner, sessions: Sequence[Session]) -> tuple[list[PlannedSession], str | None]:
    landmarks, whys, failed = {}, {}, {}
    for session in sessions:
        need = planner.detect(session)
        if need.failure is not None:
            failed[session.session_id] = need.failure
            continue
        landmarks[session.session_id] = need.mark
        whys[session.session_id] = {step.name: why for step, why in need.steps}
    pool = [session for session in sessions if session.session_id in landmarks]
    mark, identity_why = "", None
    if pool and planner.pooled:
        need = planner.identity(pool, landmarks)
        mark = need.mark
        identity_why = next((why for _, why in need.steps), None)
        if need.failure is not None:
            failed |= {session.session_id: need.failure for session in pool}
    for session in pool:
        if session.session_id in failed:
            continue
        need = planner.label(session, mark)
        if need.failure is not None:
            failed[session.session_id] = need.failure
        whys[session.session_id] |= {step.name: why for step, why in need.steps}
    return [
        PlannedSession(s.session_id, s.subject_id, whys.get(s.session_id, {}), failed.get(s.session_id))
        for s in sessions
    ], identity_why


def _check_weights(planner: Planner, sessions: Sequence[Session]) -> None:
    """Tell missing weights before anything is started: they concern every session."""
    try:
        planner.inputs(sessions[0])
    except AssetError:
        raise
    except Au3dmmError:
        return  # what is wrong with one session is told as its own


@contextmanager
def _executor(setup: DatasetSetup) -> Iterator[Executor]:
    options = setup.options
    n = options.workers or os.cpu_count() or 1
    # a manifest is what every worker reads first
    executor = make_executor(options.executor, n, options.memory_limit, setup.sessions[0].path)
    try:
        yield executor
    except BaseException:
        executor.close(at_once=True)
        raise
    executor.close()


def _known_failures(setup: DatasetSetup, progress: Progress) -> Iterator[Failure]:
    """Find what earlier runs could not do, of sessions that this one did not touch."""
    for session in setup.all:
        if progress.states.get(session.session_id, "not done") != "not done":
            continue
        for folder in (setup.run.session(session.session_id), setup.run.subject(session.subject_id)):
            failure = read_failure(folder)
            if failure is not None:
                yield Failure(
                    **{
                        **failure.__dict__,
                        "session_id": session.session_id,
                        "subject_id": session.subject_id,
                        "path": str(session.path),
                    }
                )
                break


def _states_on_disk(setup: DatasetSetup, planner: Planner, failures: Sequence[Failure]) -> dict[str, str]:
    """Say of each session how earlier runs left it: what is not as this pipeline makes it is not done."""
    failed = {failure.session_id: failure.stage for failure in failures}
    states = {
        session.session_id: "failed" if session.session_id in failed else "labelled" for session in setup.sessions
    }
    for subject_id in sorted({session.subject_id for session in setup.sessions}):
        # who has no landmarks is not in the pool
        mine = [s for s in setup.sessions if s.subject_id == subject_id and failed.get(s.session_id) != "detect"]
        planned, identity_why = _plan_subject(planner, mine)
        for one in planned:
            if states[one.session_id] == "labelled" and (one.why or identity_why or one.failure):
                states[one.session_id] = "not done"
    return states


def _entries(setup: DatasetSetup, failures: Sequence[Failure], states: dict[str, str]) -> list[Entry]:
    folder = setup.dataset.folder
    broken = {failure.session_id for failure in setup.broken}
    why = {f.session_id: within(f"{f.stage}: {f.message}", folder) for f in failures if f.session_id not in broken}
    entries = [
        Entry(None, setup.run.session(f.session_id), within(f.message, folder), f.session_id) for f in setup.broken
    ]
    for session in setup.sessions:
        name = session.session_id
        failure = why.get(name)
        # a job of an array that was killed, or did not begin, has left nothing
        if failure is None and states.get(name) == "not done":
            failure = "not done yet"
        entries.append(Entry(session, setup.run.session(name), failure))
    return entries


def _when_free(work: Callable[[], _T]) -> _T:
    """Do it once no other run is at it; what that one makes is then up to date."""
    while True:
        try:
            return work()
        except BusyError:
            time.sleep(_WAIT_S)


def _consolidate(
    setup: DatasetSetup, progress: Progress, failures: Sequence[Failure], tell: Event, pages: bool
) -> dict[str, Any]:
    entries = _entries(setup, failures, progress.states)
    params, out, dataset = setup.params.splits, setup.run, setup.dataset
    if not setup.options.force and consolidate.why(entries=entries, out=out, params=params, dataset=dataset) is None:
        tell({"event": "done", "stage": "consolidate", "state": "up to date", "summary": {}, "seconds": 0.0})
        if pages or not (out.card.exists() and out.report.exists()):
            _describe(out)
        return consolidate.summary(out)
    began = time.monotonic()
    tell({"event": "start", "stage": "consolidate"})
    summary = consolidate.run(
        entries=entries,
        out=out,
        params=params,
        dataset=dataset,
        progress=lambda done, total: tell({"event": "progress", "stage": "consolidate", "done": done, "total": total}),
    )
    seconds = time.monotonic() - began
    tell({"event": "done", "stage": "consolidate", "state": "ran", "summary": summary, "seconds": seconds})
    _when_free(lambda: _describe(out))
    return summary


def _describe(out: RunFolder) -> None:
    # another run that puts labels together clears half-written files away
    with folder_lock(out.dataset):
        write_dataset_card(out)
        write_dataset_page(out)


def _why_consolidate(setup: DatasetSetup, planned: Sequence[PlannedSession]) -> str | None:
    failures = [one.failure for one in planned if one.failure is not None]
    named = [
        Failure(**{**f.__dict__, "session_id": one.session_id}) for one in planned if (f := one.failure) is not None
    ]
    entries = _entries(setup, named if failures else [], {})
    return consolidate.why(entries=entries, out=setup.run, params=setup.params.splits, dataset=setup.dataset)
