"""Label a session."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from au3dmm.api.pipelines import chosen_pipeline
from au3dmm.api.result import LabelResult, result_of
from au3dmm.config import PipelineParams
from au3dmm.errors import ConfigError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.session import Session, read_session
from au3dmm.pipeline import PICTURES, STAGES, Event, Execution, run_session
from au3dmm.stages.preparation import read_basis_at_landmarks

log = logging.getLogger(__name__)


def label_session(
    session: str | Path,
    *,
    bases: str | Path | None = None,
    pipeline: str | Path | PipelineParams | None = None,
    out: str | Path | None = None,
    detector: str | None = None,
    sync: str | None = None,
    check_with: str | None = None,
    device: str = "cpu",
    workers: int | Literal["auto"] | None = None,
    weights: str | Path | None = None,
    overlay: bool = False,
    report: bool = False,
    thumbnails: bool = False,
    on_event: Event | None = None,
) -> LabelResult:
    """Label every event frame of a session.

    What is up to date is not computed again; what is interrupted can be run again.

    Parameters
    ----------
    session : path
        Folder that holds `session.toml`.
    bases : path, optional
        Basis file (`bases.npz`); default: the shipped demo basis, for trying out only.
    pipeline : path or PipelineParams, optional
        A pipeline file (TOML), the name of a shipped one (``"facemorphic"``), or its values; default: the defaults.
    out : path, optional
        The run's folder; default ``SESSION/derivatives/au3dmm/<pipeline>``, or the same under the current folder
        where the session's folder is read-only.
    detector, sync : str, optional
        Win over the pipeline's ``detect.detector`` and ``sync.method``.
    check_with : str, optional
        A second detector, which checks the first on some frames; wins over the pipeline's ``detect.check_with``.
    device : str
        Where a network runs: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; or several GPUs: ``cuda:0,cuda:1``.
    workers : int or "auto", optional
        Processes that detect landmarks, each in other stretches of the recording; the labels are the same.
        Default: one, or one per GPU; ``auto``: as many as this process has cores, or GPUs were named. A script that
        asks for several must have its work below ``if __name__ == "__main__":``, as each imports it anew.
    weights : path, optional
        Folder of detector weights.
    overlay : bool
        Also draw ``overlay.png``, landmarks and fitted mesh over a few frames, ``calibration.png``, whether the
        stated uncertainty holds, and ``clock.png``, why the clock is what it is.
    report : bool
        Also write ``report.html`` beside the outputs, a page to look at.
    thumbnails : bool
        Whether that page may show the face; without it, nobody can be recognised in it.
    on_event : callable, optional
        Told of progress (`au3dmm.pipeline.Event`).

    Returns
    -------
    LabelResult
        Counts, errors, clock and paths.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line.
    """
    began = time.monotonic()
    recording = read_session(Path(session))
    name, params = chosen_pipeline(pipeline, detector, sync, check_with)
    basis_path = Path(bases) if bases is not None else asset_path(DEMO_BASES)
    model = read_bases(basis_path)
    read_basis_at_landmarks(basis_path, params.identity.landmarks)  # dense points without places: told before detection
    folder = Path(out) if out is not None else default_out(recording, name)
    devices = device.split(",")
    for one in devices:
        check_device(one, params)
    n_workers = worker_count(workers, devices)
    execution = Execution(device, None if weights is None else Path(weights), on_event, n_workers)
    run = run_session(recording, params, basis_path, folder, execution, overlay)
    # what an earlier run left here for stages that this one did not have is not this run's
    outputs = {key: run.files[key] for name in run.states for key in {**STAGES, **PICTURES}[name].WRITES}
    if report:
        from au3dmm.api.session_pages import write_page_beside  # here: it loads what draws

        page = write_page_beside(recording, run.folder, basis_path, thumbnails)
        outputs |= {} if page is None else {"report": page}
    return result_of(recording, run, outputs, basis_path, model, time.monotonic() - began)


def check_device(device: str, params: PipelineParams) -> None:
    """Refuse a device that nobody has, and say if the detector does not use it."""
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise ConfigError(f"device {device!r}: expected cpu, cuda, cuda:N or mps")
    if device != "cpu" and "face_alignment" not in (params.detect.detector, params.detect.check_with):
        log.warning("%s runs on the CPU; device %s has no effect", params.detect.detector, device)


def worker_count(workers: int | Literal["auto"] | None, devices: Sequence[str]) -> int:
    """Return how many processes detect landmarks.

    Raises
    ------
    ConfigError
        If there are fewer than devices, or devices of several kinds, whose landmarks differ in their last digits.

    Examples
    --------
    >>> worker_count(None, ["cpu"]), worker_count(None, ["cuda:0", "cuda:1"]), worker_count(4, ["cuda:0", "cuda:1"])
    (1, 2, 4)
    """
    if len({device.partition(":")[0] for device in devices}) > 1:
        raise ConfigError(f"device {','.join(devices)!r}: devices of several kinds; expected one, or several GPUs")
    if workers == "auto":
        return len(os.sched_getaffinity(0)) if devices == ["cpu"] else len(devices)
    if workers is not None and workers < len(devices):
        raise ConfigError(
            f"{workers} workers for the {len(devices)} devices {','.join(devices)}: expected one each at least"
        )
    return len(devices) if workers is None else workers


def default_out(session: Session, pipeline: str) -> Path:
    """Return where a session's results go if nobody says: beside it, or under the current folder if that cannot be."""
    inside = Path("derivatives") / "au3dmm" / pipeline
    beside = session.folder / inside
    existing = next(p for p in (beside, *beside.parents) if p.exists())
    # root may write anywhere; a folder whose mode lets nobody write is meant to be left alone all the same
    if os.access(existing, os.W_OK) and existing.stat().st_mode & 0o222:
        return beside
    log.warning("%s is read-only: results go to %s", session.folder, inside)
    return inside
