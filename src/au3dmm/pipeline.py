"""Which stages run, in which order, on which files, and which may be skipped because nothing they read has changed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import au3dmm
from au3dmm.config import DetectParams, Params, PipelineParams
from au3dmm.errors import OutputError
from au3dmm.io.atomic import folder_lock, remove_leftovers, write_json
from au3dmm.io.bases import bases_fingerprint
from au3dmm.io.hashing import fingerprint, sha256_file, sha256_json
from au3dmm.io.session import Session
from au3dmm.report import clock_picture, fit_overlay
from au3dmm.stages import align, detect, fit, frames, identity, sync

log = logging.getLogger(__name__)

STAGES: dict[str, ModuleType] = {
    "detect": detect,
    "identity": identity,
    "fit": fit,
    "sync": sync,
    "frames": frames,
    "align": align,
}
"""The stages in the order they run."""

PICTURES: dict[str, ModuleType] = {"overlay": fit_overlay, "clock_picture": clock_picture}
"""What is drawn if asked for; like a stage, but without parameters."""

WITHOUT_EVENTS = ("detect", "identity", "fit", "overlay")
"""What can be done for a recording that has no events."""

Event = Callable[[Mapping[str, Any]], None]
"""Told what happens: ``{"event": "start" | "progress" | "done", "stage": ..., ...}``."""


@dataclass(frozen=True)
class Execution:
    """How to run: nothing here changes results."""

    device: str = "cpu"
    weights_folder: Path | None = None
    on_event: Event | None = None

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
    """

    folder: Path
    files: dict[str, Path]
    states: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)


def output_files(folder: Path, params: PipelineParams) -> dict[str, Path]:
    """Name every output of a session in `folder`."""
    names = {
        "landmarks": "landmarks.parquet",
        "identity": "identity.parquet",
        "coefficients": "coefficients.parquet",
        "clock": "clock.json",
        "event_frames": f"event_frames.{params.frames.representation}.parquet",
        "labels": "labels.parquet",
        "overlay": "overlay.png",
        "clock_picture": "clock.png",
    }
    return {name: folder / file for name, file in names.items()}


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
    folder = out / "sessions" / session.session_id
    run = SessionRun(folder, output_files(folder, params))
    # refused before an hour of detection, not after
    session.check_files()
    if session.manifest.events is not None:
        sync.chosen_method(session, params.sync)
    detect.detector_identity(params.detect, session, execution.weights_folder)
    with folder_lock(folder):
        remove_leftovers(folder)
        ledger = _Ledger(folder / "stage.json")
        inputs = {"bases": bases_fingerprint(bases)}
        for name, stage in STAGES.items():
            if session.manifest.events is None and name not in WITHOUT_EVENTS:
                continue
            _run_stage(name, stage, getattr(params, name), session, bases, run, ledger, inputs, execution)
        for name, picture in PICTURES.items():
            if session.manifest.events is None and name not in WITHOUT_EVENTS:
                continue
            if overlay:
                _run_stage(name, picture, Params(), session, bases, run, ledger, inputs, execution)
            elif not ledger.is_current(
                name, _mark(name, picture, Params(), session, inputs)[0], _outputs(picture, run)
            ):
                ledger.forget(name, run.folder)
                for path in _outputs(picture, run).values():
                    path.unlink(missing_ok=True)
    return run


def _outputs(stage: ModuleType, run: SessionRun) -> dict[str, Path]:
    return {key: run.files[key] for key in stage.WRITES}


def _mark(
    name: str, stage: ModuleType, section: Params, session: Session, inputs: Mapping[str, str], **more: str
) -> tuple[str, dict[str, str]]:
    """Return the fingerprint of a stage, and those of what it reads."""
    read = dict(more)
    for entry in stage.READS:
        kind, _, part = entry.partition(":")
        read[entry] = session.input_fingerprint(part) if kind == "session" else inputs[kind]
    return fingerprint(name, stage.VERSION, section.model_dump(mode="json"), read), read


def _run_stage(
    name: str,
    stage: ModuleType,
    section: Params,
    session: Session,
    bases: Path,
    run: SessionRun,
    ledger: _Ledger,
    inputs: dict[str, str],
    execution: Execution,
) -> None:
    how: dict[str, Any] = {}
    more: dict[str, str] = {}
    if isinstance(section, DetectParams):
        how = {"device": execution.device, "weights_folder": execution.weights_folder}
        more["detector"] = sha256_json(detect.detector_identity(section, session, execution.weights_folder))
    mark, read = _mark(name, stage, section, session, inputs, **more)
    inputs.update(dict.fromkeys(stage.WRITES, mark))
    outputs = _outputs(stage, run)
    if ledger.is_current(name, mark, outputs):
        run.states[name] = "up to date"
        run.summaries[name] = ledger.summary(name)
        execution.tell("done", name, state="up to date", summary=run.summaries[name], seconds=0.0)
        return
    execution.tell("start", name)
    began = time.monotonic()
    paths = {entry.partition(":")[0]: run.files.get(entry) for entry in stage.READS}
    paths |= {"session": session.path} if "session" in paths else {}
    paths |= {"bases": bases} if "bases" in paths else {}
    ledger.forget(name, run.folder, outputs)
    summary = stage.run(
        **paths,
        **outputs,
        params=section,
        stamp={"stage": name, "stage_version": stage.VERSION, "fingerprint": mark, "inputs": read},
        progress=lambda done, total: execution.tell("progress", name, done=done, total=total),
        **how,
    )
    ledger.record(name, mark, outputs, summary)
    run.states[name] = "ran"
    run.summaries[name] = summary
    seconds = time.monotonic() - began
    log.info("%s %s: %s", name, session.session_id, _numbers(summary))
    execution.tell("done", name, state="ran", summary=summary, seconds=seconds)


def _numbers(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in summary.items() if value not in (None, [], {}))


def is_entry(entry: Any) -> bool:
    """Whether a value read from `stage.json` has the shape of a stage's record."""
    outputs = entry.get("outputs") if isinstance(entry, dict) else None
    return isinstance(outputs, dict) and all(isinstance(said, dict) for said in outputs.values())


class _Ledger:
    """`stage.json`: what each stage's outputs were made from, and their sha256."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Any] = {}
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            # it is only a record of work done: without it the work is done again
            log.warning("%s cannot be read; every stage runs again", path)
            return
        stages = data.get("stages") if isinstance(data, dict) and data.get("format_version") == 1 else None
        if not isinstance(stages, dict):
            log.warning("%s is not a record of stages; every stage runs again", path)
            return
        self.entries = {name: entry for name, entry in stages.items() if is_entry(entry)}

    def is_current(self, name: str, mark: str, outputs: Mapping[str, Path]) -> bool:
        entry = self.entries.get(name)
        if entry is None or entry.get("fingerprint") != mark:
            return False
        for key, path in outputs.items():
            said = entry.get("outputs", {}).get(key, {})
            if said.get("file") != path.name or not path.is_file() or sha256_file(path) != said.get("sha256"):
                return False
        return True

    def summary(self, name: str) -> dict[str, Any]:
        return dict(self.entries[name].get("summary", {}))

    def forget(self, name: str, folder: Path, kept: Mapping[str, Path] | None = None) -> None:
        """Forget a stage and remove what it wrote, but for what it is about to write again."""
        entry = self.entries.pop(name, None)
        if entry is None:
            return
        stay = {path.name for path in (kept or {}).values()}
        for said in entry["outputs"].values():
            file = said.get("file")
            if (
                isinstance(file, str) and file == Path(file).name and file not in stay
            ):  # frames of another representation
                (folder / file).unlink(missing_ok=True)
        self._write()

    def record(self, name: str, mark: str, outputs: Mapping[str, Path], summary: Mapping[str, Any]) -> None:
        missing = [str(path) for path in outputs.values() if not path.is_file()]
        if missing:
            raise OutputError(f"stage {name} wrote no {', '.join(missing)}")
        self.entries[name] = {
            "fingerprint": mark,
            "version": {**STAGES, **PICTURES}[name].VERSION,
            "outputs": {key: {"file": p.name, "sha256": sha256_file(p)} for key, p in outputs.items()},
            "summary": dict(summary),
        }
        self._write()

    def _write(self) -> None:
        order = {name: self.entries[name] for name in (*STAGES, *PICTURES) if name in self.entries}
        write_json(self.path, {"format_version": 1, "package": f"au3dmm {au3dmm.__version__}", "stages": order})
