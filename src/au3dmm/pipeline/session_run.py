"""Run the steps of one session that are not up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from au3dmm.config import DetectParams, PipelineParams
from au3dmm.io.atomic import folder_lock, remove_leftovers
from au3dmm.io.bases import bases_fingerprint
from au3dmm.io.hashing import sha256_json
from au3dmm.io.ledger import Ledger
from au3dmm.io.run_folder import LEDGER, RunFolder
from au3dmm.io.session import Session
from au3dmm.io.session_events import open_session_events
from au3dmm.pipeline.steps import (
    ORDER,
    PICTURES,
    WITHOUT_EVENTS,
    Inputs,
    SharedIdentity,
    Step,
    output_files,
    session_steps,
)
from au3dmm.report.session_files import PAGE
from au3dmm.stages import detect, sync_check

log = logging.getLogger(__name__)

Event = Callable[[Mapping[str, Any]], None]
"""Told what happens: ``{"event": "start" | "progress" | "done", "stage": ..., ...}``."""


@dataclass(frozen=True)
class Execution:
    """How to run: nothing here changes results."""

    device: str = "cpu"
    weights_folder: Path | None = None
    on_event: Event | None = None
    workers: int = 1

    def tell(self, event: str, stage: str, **values: Any) -> None:
        """Report that something happened."""
        if self.on_event is not None:
            self.on_event({"event": event, "stage": stage, **values})


@dataclass(frozen=True)
class SessionRun:
    """What was done for a session.

    Attributes
    ----------
    folder : Path
        Where its files are.
    files : dict
        Path of each output by name (``landmarks``, ``labels``, ...).
    states : dict
        ``"ran"`` or ``"up to date"`` per stage.
    summaries : dict
        Numbers that each stage reported, also when it was up to date.
    seconds : dict
        How long each stage took that ran.
    """

    folder: Path
    files: dict[str, Path]
    states: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def detector_mark(params: DetectParams, session: Session, weights_folder: Path | None) -> str:
    """Return the fingerprint of the detector: what of it changes its landmarks.

    Raises
    ------
    AssetError
        If its weights are missing.
    """
    return sha256_json(detect.detector_identity(params, session, weights_folder))


def check_session(session: Session) -> None:
    """Refuse before an hour of detection what would be refused after it.

    Raises
    ------
    SessionError
        If a file of the recording is not there, or its event file cannot be read.
    """
    session.check_files()
    if session.manifest.events is not None:
        open_session_events(session)


def run_session(
    session: Session,
    params: PipelineParams,
    bases: Path,
    out: Path,
    execution: Execution | None = None,
    overlay: bool = False,
) -> SessionRun:
    """Run every stage of a session that is not up to date.

    A stage is up to date if its fingerprint (name, version, parameters, fingerprints of what it reads) is the one
    its outputs were made with, and every output still has the sha256 it was written with.

    Parameters
    ----------
    session : Session
        The recording.
    params : PipelineParams
        What to compute.
    bases : Path
        The basis file.
    out : Path
        The run's folder; the session's files go to ``out/sessions/<session_id>``.
    execution : Execution
        How to run.
    overlay : bool
        Whether to draw the pictures of fit and clock. One that no longer shows what was found is removed otherwise.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line; files of finished stages stay, the failed one leaves none half-written.
    """
    execution = execution or Execution()
    check_session(session)
    mark = detector_mark(params.detect, session, execution.weights_folder)
    inputs = Inputs(bases, bases_fingerprint(bases), mark)
    folder = RunFolder(out).session(session.session_id)
    with folder_lock(folder):
        return run_steps(session, params, inputs, folder, execution, overlay=overlay)


def run_steps(
    session: Session,
    params: PipelineParams,
    inputs: Inputs,
    folder: Path,
    execution: Execution,
    *,
    shared: SharedIdentity | None = None,
    stages: Collection[str] | None = None,
    force: Collection[str] = (),
    overlay: bool = False,
) -> SessionRun:
    """Run the steps of a session that are not up to date; the caller holds the lock on `folder`.

    Parameters
    ----------
    session, params, inputs, folder, shared
        As in `session_steps`.
    execution : Execution
        How to run.
    stages : collection of str, optional
        Only these; default: all.
    force : collection of str
        Run these even if they are up to date.
    overlay : bool
        As in `run_session`.
    """
    remove_leftovers(folder)
    run = SessionRun(folder, output_files(folder, params))
    ledger = Ledger(folder / LEDGER, ORDER)
    for step in session_steps(session, params, inputs, folder, shared):
        if stages is not None and step.name not in stages:
            continue
        if step.name in PICTURES and not overlay:
            if step.why(ledger) is not None:
                ledger.forget(step.name, folder)
                for path in step.outputs.values():
                    path.unlink(missing_ok=True)
            continue
        if step.name == "align" and session.manifest.events is None:
            for name in set(ORDER) - set(
                WITHOUT_EVENTS
            ):  # it had events once: their frames are not those of its labels
                ledger.forget(name, folder)
        run_step(step, ledger, run, session, params, execution, forced=step.name in force)
    return run


def run_step(
    step: Step,
    ledger: Ledger,
    run: SessionRun,
    session: Session,
    params: PipelineParams,
    execution: Execution,
    forced: bool = False,
) -> None:
    """Run one step if it is not up to date, and record it in `ledger` and `run`."""
    name = step.name
    if not forced and step.why(ledger) is None:
        run.states[name] = "up to date"
        run.summaries[name] = ledger.summary(name)
        execution.tell("done", name, state="up to date", summary=run.summaries[name], seconds=0.0)
        return
    how: dict[str, Any] = {}
    if name == "detect":
        sync_check.check_events(session, params.sync)
        how = {
            "device": execution.device,
            "workers": execution.workers,
            "weights_folder": execution.weights_folder,
        }
    execution.tell("start", name)
    began = time.monotonic()
    ledger.forget(name, run.folder, step.outputs)
    if name not in PICTURES:
        (run.folder / PAGE).unlink(missing_ok=True)  # it would show what was found before
    stamp = {
        "stage": name,
        "stage_version": step.module.VERSION,
        "fingerprint": step.mark,
        "inputs": step.read,
        "subject_id": session.subject_id,  # whoever withdraws must be found in every file
    }
    summary = step.module.run(
        **step.paths,
        **step.outputs,
        params=step.params,
        stamp=stamp,
        progress=lambda done, total: execution.tell("progress", name, done=done, total=total),
        **how,
    )
    ledger.record(
        name, step.module.VERSION, step.mark, step.outputs, summary, step.params.model_dump(mode="json"), step.read
    )
    run.states[name] = "ran"
    run.summaries[name] = summary
    run.seconds[name] = time.monotonic() - began
    log.info("%s %s: %s", name, session.session_id, _numbers(summary))
    execution.tell("done", name, state="ran", summary=summary, seconds=run.seconds[name])


def _numbers(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in summary.items() if value not in (None, [], {}))
