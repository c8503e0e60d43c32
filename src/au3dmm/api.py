"""The Python interface: learn bases, label a session, read labels."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from au3dmm.basis_building import BasesResult, build_bases
from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.core.basis import Bases
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.clock import read_clock
from au3dmm.io.event_frame_table import read_clip
from au3dmm.io.events import open_events, read_events, read_triggers, slice_events, write_evt2, write_evt3
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import action_units, names_au, read_table, vectors
from au3dmm.pipeline import PICTURES, STAGES, Event, Execution, SessionRun, run_session

__all__ = [
    "BasesResult",
    "LabelResult",
    "action_units",
    "fit_bases",
    "label_session",
    "names_au",
    "open_events",
    "read_bases",
    "read_clip",
    "read_events",
    "read_labels",
    "read_triggers",
    "slice_events",
    "vectors",
    "write_evt2",
    "write_evt3",
]

log = logging.getLogger(__name__)

DEFAULT_PIPELINE = "label"


@dataclass(frozen=True)
class LabelResult:
    """What `label_session` made.

    Attributes
    ----------
    session_id, subject_id : str
        Whose labels.
    outputs : dict
        Path of each file by name: ``landmarks``, ``identity``, ``coefficients``, ``clock``, ``event_frames``,
        ``labels``, and ``overlay`` and ``clock_picture`` if asked for.
    frames_rgb, frames_face, frames_event, frames_labelled : int
        RGB frames; those fitted (status ok); event frames, one row of labels each; those with values (status ok).
    status : dict
        Rows of labels by status.
    rmse_px_median, rmse_iod_median : float or None
        Reprojection error over fitted frames, px and as a share of the outer eye distance.
    clock : dict or None
        ``method, offset_us, drift_ppm, residual_us, uncertainty_us``; ``offset_us`` on the unshifted event clock.
    basis : dict
        ``path``, ``kind`` (``demo`` for trying out only, ``learned`` by `fit_bases`, or the user's own: ``user``).
    stages : dict
        ``"ran"`` or ``"up to date"`` per stage.
    warnings : tuple of str
        What a user should know before trusting the labels.
    seconds : float
        Wall-clock time.
    """

    session_id: str
    subject_id: str
    outputs: dict[str, Path]
    frames_rgb: int
    frames_face: int
    frames_event: int
    frames_labelled: int
    status: dict[str, int]
    rmse_px_median: float | None
    rmse_iod_median: float | None
    clock: dict[str, Any] | None
    basis: dict[str, Any]
    stages: dict[str, str]
    warnings: tuple[str, ...]
    seconds: float
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> Path:
        """The labels table.

        Raises
        ------
        SchemaError
            If the session has no events, and so no labels.
        """
        if "labels" not in self.outputs:
            raise SchemaError(f"session {self.session_id!r} has no events, so there are coefficients but no labels")
        return self.outputs["labels"]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, with the keys that ``label --json`` prints."""
        return {
            "session_id": self.session_id,
            "subject_id": self.subject_id,
            "outputs": {name: str(path) for name, path in self.outputs.items()},
            "frames_rgb": self.frames_rgb,
            "frames_face": self.frames_face,
            "frames_event": self.frames_event,
            "frames_labelled": self.frames_labelled,
            "status": self.status,
            "rmse_px_median": self.rmse_px_median,
            "rmse_iod_median": self.rmse_iod_median,
            "clock": self.clock,
            "basis": self.basis,
            "stages": self.stages,
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 3),
        }


def label_session(
    session: str | Path,
    *,
    bases: str | Path | None = None,
    pipeline: str | Path | PipelineParams | None = None,
    out: str | Path | None = None,
    detector: str | None = None,
    sync: str | None = None,
    device: str = "cpu",
    weights: str | Path | None = None,
    overlay: bool = False,
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
    device : str
        Where a network runs: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    weights : path, optional
        Folder of detector weights.
    overlay : bool
        Also draw ``overlay.png``, landmarks and fitted mesh over a few frames, and ``clock.png``, why the clock is
        what it is.
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
    name, params = _pipeline(pipeline, detector, sync)
    basis_path = Path(bases) if bases is not None else asset_path(DEMO_BASES)
    model = read_bases(basis_path)
    folder = Path(out) if out is not None else default_out(recording, name)
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise ConfigError(f"device {device!r}: expected cpu, cuda, cuda:N or mps")
    if device != "cpu" and params.detect.detector != "face_alignment":
        log.warning("%s runs on the CPU; device %s has no effect", params.detect.detector, device)
    execution = Execution(device, None if weights is None else Path(weights), on_event)
    run = run_session(recording, params, basis_path, folder, execution, overlay)
    # what an earlier run left here for stages that this one did not have is not this run's
    outputs = {key: run.files[key] for name in run.states for key in {**STAGES, **PICTURES}[name].WRITES}
    return _result(recording, run, outputs, basis_path, model, time.monotonic() - began)


def fit_bases(
    corpora: str | Sequence[str],
    out: str | Path,
    *,
    pipeline: str | Path | PipelineParams | None = None,
    head: str | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    pictures: bool = True,
    force: bool = False,
    on_event: Event | None = None,
    **params: Any,
) -> BasesResult:
    """Learn ID-3DMM and AU-3DMM from corpora of registered heads.

    What is up to date is not computed again.

    Parameters
    ----------
    corpora : str or sequence of str
        ``vocaset:DIR``, ``d3dfacs:DIR``, ``ict:FILE``, ``meshes:DIR`` or ``synthetic``; several of one topology are
        joined.
    out : path
        The basis file; with several numbers of AU components ``<out>.k16.npz`` and so on.
    pipeline : path or PipelineParams, optional
        Where ``[bases]`` is read from; default: the defaults.
    head : str, optional
        Name of the imported head that has the landmarks; default: the one that fits.
    cache : path, optional
        Where trees of meshes are converted; default ``<out>.corpora`` beside `out`.
    workers : int, optional
        Threads; they change nothing in the files.
    pictures : bool
        Also draw the components.
    force : bool
        Learn again what is up to date.
    on_event : callable, optional
        Told of progress (`au3dmm.pipeline.Event`).
    **params
        Values of ``[bases]`` that win over the pipeline: ``k_id, k_au, method, codes, l1, seed`` ...

    Returns
    -------
    BasesResult
        Paths and numbers.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line.
    """
    if isinstance(pipeline, PipelineParams):
        if params:
            raise ConfigError(f"give {', '.join(params)} inside the PipelineParams, not beside them")
        section = pipeline.bases
    else:
        section = load_pipeline(_pipeline_file(pipeline), bases=params).bases
    return build_bases(
        [corpora] if isinstance(corpora, str) else list(corpora),
        Path(out),
        section,
        head=head,
        cache=None if cache is None else Path(cache),
        workers=workers,
        pictures=pictures,
        force=force,
        on_event=on_event,
    )


def read_labels(path: str | Path) -> pa.Table:
    """Read `labels.parquet`, or the one in a session's output folder.

    Returns
    -------
    pyarrow.Table
        One row per event frame. Read vectors with `au3dmm.vectors(table, "alpha_au")`, which keeps null rows;
        ``.to_pandas()`` and ``polars.from_arrow(table)`` work too.

    Raises
    ------
    SchemaError
        If there is no labels table.
    """
    file = Path(path)
    if file.is_dir() and not (file / "labels.parquet").exists():
        inside = sorted(file.glob("**/labels.parquet"))
        hint = f"; did you mean {inside[0].parent}?" if inside else ""
        raise SchemaError(f"{file}: no labels.parquet in it{hint}")
    return read_table(file / "labels.parquet" if file.is_dir() else file, "labels")


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


def _pipeline(
    pipeline: str | Path | PipelineParams | None, detector: str | None, sync: str | None
) -> tuple[str, PipelineParams]:
    overrides: dict[str, dict[str, Any]] = {}
    if detector is not None:
        overrides["detect"] = {"detector": detector.replace("-", "_")}
    if sync is not None:
        overrides["sync"] = {"method": sync}
    if isinstance(pipeline, PipelineParams):
        if overrides:
            raise ConfigError("give detector and sync inside the PipelineParams, not beside them")
        return DEFAULT_PIPELINE, pipeline
    path = _pipeline_file(pipeline)
    return (DEFAULT_PIPELINE if path is None else path.stem), load_pipeline(path, **overrides)


def _pipeline_file(pipeline: str | Path | None) -> Path | None:
    """Return the file of a pipeline given by its path, or by the name of a shipped one."""
    path = None if pipeline is None else Path(pipeline)
    if path is None or path.suffix or path.exists():
        return path
    name = str(path)
    folder = asset_path("pipelines/label.toml").parent
    shipped = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if name not in shipped:
        raise ConfigError(f"{name}: no such pipeline file, nor one that is shipped ({', '.join(shipped)})")
    return shipped[name]


def _result(
    session: Session, run: SessionRun, outputs: dict[str, Path], basis: Path, model: Bases, seconds: float
) -> LabelResult:
    fitted = read_table(run.files["coefficients"], "coefficients", ["status", "flags", "rmse_px", "rmse_iod"])
    ok = np.array([word == "ok" for word in fitted["status"].to_pylist()], dtype=bool)
    status = read_table(outputs["labels"], "labels", ["status"])["status"].to_pylist() if "labels" in outputs else []
    counts = dict(sorted(Counter(status).items()))
    clock = None
    if "clock" in outputs:
        said = read_clock(outputs["clock"]).summary()
        clock = {k: said.get(k) for k in ("method", "offset_us", "drift_ppm", "residual_us", "uncertainty_us")}
    return LabelResult(
        session_id=session.session_id,
        subject_id=session.subject_id,
        outputs=outputs,
        frames_rgb=len(ok),
        frames_face=int(ok.sum()),
        frames_event=len(status),
        frames_labelled=counts.get("ok", 0),
        status=counts,
        rmse_px_median=_median(fitted, "rmse_px"),
        rmse_iod_median=_median(fitted, "rmse_iod"),
        clock=clock,
        basis={"path": str(basis), "kind": model.kind},
        stages=dict(run.states),
        warnings=tuple(_warnings(session, run, ok, counts, model.is_demo)),
        seconds=seconds,
        summaries=run.summaries,
    )


def _median(table: pa.Table, column: str) -> float | None:
    values = table[column].drop_null().to_numpy()
    return round(float(np.median(values)), 5) if len(values) else None


def _warnings(
    session: Session, run: SessionRun, ok: np.ndarray[Any, Any], labels: dict[str, int], is_demo: bool
) -> list[str]:
    found = []
    if is_demo:
        found.append("labels were made with the DEMO basis: for trying out only, not for science; give --bases FILE")
    if session.manifest.events is None:
        found.append("session.toml names no [events]: coefficients were fitted, but there are no labels")
    clock = run.summaries.get("sync", {})
    if clock.get("method") == "start":
        found.append(
            "the clock is a guess (start): nothing was measured, and labels may be hundreds of ms off"
            + (
                f"; the event file has {clock['triggers']} trigger edges: try --sync trigger"
                if clock["triggers"]
                else "; try --sync motion"
            )
        )
    found += [f"clock: {text}" for text in clock.get("warnings", [])]
    # a gap may be a scene in which nothing moved
    if damage := {k: n for k, n in clock.get("damage", {}).items() if k not in ("unknown_word", "time_gap")}:
        told = ", ".join(f"{n} {kind}" for kind, n in damage.items())
        found.append(f"the event file is damaged ({told}); `au3dmm events info` says where")
    if session.manifest.rgb.frames not in (None, len(ok)):
        found.append(f"the recording has {len(ok)} RGB frames, session.toml says {session.manifest.rgb.frames}")
    n_labels = sum(labels.values())
    if n_labels and labels.get("ok", 0) < 0.8 * n_labels:
        rest = ", ".join(f"{n} {word}" for word, n in labels.items() if word != "ok")
        found.append(
            f"only {labels.get('ok', 0)} of {n_labels} event frames have values ({rest})"
            + ("; RGB frames farther apart than align.max_gap_us leave gaps" if "gap" in labels else "")
            + ("; do RGB and events overlap on this clock?" if "no_events" in labels else "")
        )
    if "not_neutral_start" in run.summaries.get("identity", {}).get("flags", []):
        found.append("the recording starts with a face that is not neutral (its resting frames were used instead)")
    if ok.mean() < 0.8:
        found.append(f"a face was fitted in only {100 * ok.mean():.0f} % of the RGB frames")
    detected = run.summaries.get("detect", {})
    expected, decoded = detected.get("frames_expected"), detected.get("frames_decoded", len(ok))
    if expected is not None and decoded < expected:
        found.append(f"only {decoded} of {expected} RGB frames could be decoded: the video is damaged or cut short")
    return found
