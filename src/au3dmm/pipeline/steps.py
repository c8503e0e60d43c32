"""The stages of a session in their order, and the fingerprint of each before anything has run.

A stage's fingerprint follows from its name, version and parameters and the fingerprints of what it reads. So those of
a whole chain are known in advance, and a plan can say what would run without running it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from au3dmm.config import Params, PipelineParams
from au3dmm.io.hashing import fingerprint, sha256_json
from au3dmm.io.ledger import Ledger
from au3dmm.io.session import Session
from au3dmm.report import calibration_picture, clock_picture, fit_overlay
from au3dmm.stages import align, align_frames, detect, fit, frames, identity, sync

STAGES: dict[str, ModuleType] = {
    "detect": detect,
    "identity": identity,
    "fit": fit,
    "sync": sync,
    "frames": frames,
    "align": align,
}
"""The stages in the order they run."""

PICTURES: dict[str, ModuleType] = {
    "overlay": fit_overlay,
    "calibration_picture": calibration_picture,
    "clock_picture": clock_picture,
}
"""What is drawn if asked for; like a stage, but without parameters."""

WITHOUT_EVENTS = ("detect", "identity", "fit", "align", "overlay", "calibration_picture")
"""What can be done for a recording that has no events."""

IN_PLACE: dict[str, ModuleType] = {"align": align_frames}
"""Of such a recording, what does a stage's work: there are RGB frames to label, and no clock between two cameras."""

ORDER = (*STAGES, *PICTURES)


@dataclass(frozen=True)
class Step:
    """One stage of one session (or subject), ready to run.

    Attributes
    ----------
    name : str
        A key of `STAGES` or `PICTURES`.
    module : module
        The stage.
    params : Params
        Its parameters.
    mark : str
        Its fingerprint.
    read : dict
        Fingerprints of what it reads.
    paths : dict
        What it reads, by the names of its arguments.
    outputs : dict
        What it writes, by the names of its arguments.
    """

    name: str
    module: ModuleType
    params: Params
    mark: str
    read: dict[str, str]
    paths: dict[str, Any]
    outputs: dict[str, Path]

    def why(self, ledger: Ledger) -> str | None:
        """Return why the step has to run, in words; None if its outputs are up to date."""
        version, params = self.module.VERSION, self.params.model_dump(mode="json")
        return ledger.why(self.name, self.mark, version, params, self.read, self.outputs)


@dataclass(frozen=True)
class Inputs:
    """What every step of a run starts from: the basis and its fingerprint, and that of the detector."""

    bases: Path
    bases_mark: str
    detector_mark: str


@dataclass(frozen=True)
class SharedIdentity:
    """A subject's identity that several recordings share: its table and its fingerprint."""

    path: Path
    mark: str


def output_files(folder: Path, params: PipelineParams) -> dict[str, Path]:
    """Name every output of a session in `folder`."""
    return dict(_output_files(folder, params.frames.representation))


@lru_cache(maxsize=256)  # a look at thousands of sessions is mostly joining names
def _output_files(folder: Path, representation: str) -> dict[str, Path]:
    names = {
        "landmarks": "landmarks.parquet",
        "identity": "identity.parquet",
        "coefficients": "coefficients.parquet",
        "clock": "clock.json",
        "event_frames": f"event_frames.{representation}.parquet",
        "labels": "labels.parquet",
        "overlay": "overlay.png",
        "calibration_picture": "calibration.png",
        "clock_picture": "clock.png",
    }
    return {name: folder / file for name, file in names.items()}


def session_steps(
    session: Session, params: PipelineParams, inputs: Inputs, folder: Path, shared: SharedIdentity | None = None
) -> Iterator[Step]:
    """Yield the steps of a session in their order, pictures last.

    Parameters
    ----------
    session : Session
        The recording; without events it has fewer steps.
    params : PipelineParams
        What to compute.
    inputs : Inputs
        Basis and detector.
    folder : Path
        Where the session's files go.
    shared : SharedIdentity, optional
        The subject's identity, if it was made from several recordings; then it is no step of this session.

    Raises
    ------
    SessionError
        If a file of the recording is not there.
    """
    files = output_files(folder, params)
    marks = {"bases": inputs.bases_mark}
    input_mark = cache(session.input_fingerprint)  # several stages read the same part
    if shared is not None:
        files["identity"], marks["identity"] = shared.path, shared.mark
    rgb_only = session.manifest.events is None
    for name, module in {**STAGES, **PICTURES, **(IN_PLACE if rgb_only else {})}.items():
        if (rgb_only and name not in WITHOUT_EVENTS) or (name == "identity" and shared):
            continue
        section = getattr(params, name) if name in STAGES else Params()
        if name == "identity":
            step = identity_step([(session, folder)], params, marks["landmarks"], inputs, files["identity"])
        else:
            read = {"detector": inputs.detector_mark} if name == "detect" else {}
            for entry in module.READS:
                kind, _, part = entry.partition(":")
                read[entry] = input_mark(part) if kind == "session" else marks[kind]
            paths: dict[str, Any] = {entry: files.get(entry) for entry in module.READS if ":" not in entry}
            paths |= {"session": session.path} if any(e.startswith("session:") for e in module.READS) else {}
            paths |= {"bases": inputs.bases} if "bases" in paths else {}
            mark = fingerprint(name, module.VERSION, section.model_dump(mode="json"), read)
            step = Step(name, module, section, mark, read, paths, {key: files[key] for key in module.WRITES})
        marks.update(dict.fromkeys(module.WRITES, step.mark))
        yield step


def identity_step(
    pool: Sequence[tuple[Session, Path]],
    params: PipelineParams,
    landmarks: str | Mapping[str, str],
    inputs: Inputs,
    output: Path,
) -> Step:
    """Return the step that estimates a subject's identity from one or more recordings.

    Parameters
    ----------
    pool : sequence of (Session, Path)
        The recordings and their folders, in the order of their session_id.
    params : PipelineParams
        What to compute.
    landmarks : str or dict
        Fingerprint of each recording's landmarks by session_id (a plain one for a single recording).
    inputs : Inputs
        The basis.
    output : Path
        The identity table.
    """
    marks = {pool[0][0].session_id: landmarks} if isinstance(landmarks, str) else landmarks
    read = {"bases": inputs.bases_mark}
    for entry in identity.READS:
        kind, _, part = entry.partition(":")
        if kind == "sessions":
            of = [
                [s.session_id, marks[s.session_id] if part == "landmarks" else s.input_fingerprint(part)]
                for s, _ in pool
            ]
            read[entry] = sha256_json(of)
    files = [output_files(folder, params)["landmarks"] for _, folder in pool]
    paths = {"sessions": [s.path for s, _ in pool], "landmarks": files, "bases": inputs.bases}
    mark = fingerprint("identity", identity.VERSION, params.identity.model_dump(mode="json"), read)
    return Step("identity", identity, params.identity, mark, read, paths, {"identity": output})
