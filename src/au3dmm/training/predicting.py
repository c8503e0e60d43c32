"""What a trained model says of a whole event recording, frame by frame, and how fast."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.event_frames import Windows
from au3dmm.core.representations import EventFrame
from au3dmm.errors import FitError, OutputError, SchemaError, SessionError
from au3dmm.io.event_framing import regular_windows, stream_frames
from au3dmm.io.events import EventFile, EventFileReport
from au3dmm.io.hashing import quick_hash
from au3dmm.io.predictions import PredictionRows, write_predictions
from au3dmm.io.training_labels import TrainingLabels
from au3dmm.training.evaluating import Trained
from au3dmm.training.framing import Framing, read_framing
from au3dmm.training.pictures import Scaling
from au3dmm.training.processes import started_processes
from au3dmm.training.streaming import Answers, Seeing, Stream, looks_once

log = logging.getLogger(__name__)
Progress = Callable[[int, int | None], None]

_BLOCK = 32  # frames at a time
_BINS = 1200  # of the picture
_STEPS_OF_CLIP = 8  # models that look at whole clips are asked so often in one
TABLE = "predictions.parquet"


@dataclass(frozen=True)
class Overview:
    """Predictions averaged over T stretches of time, for a picture; NaN where nothing was said.

    Attributes
    ----------
    edges_s : (T + 1,) array
        Where stretches begin and end, s from the first window's start.
    classes, alpha, occurrence : (T, ...) arrays or None
        Means.
    """

    edges_s: NDArray[np.float64]
    classes: NDArray[np.float64] | None
    alpha: NDArray[np.float64] | None
    occurrence: NDArray[np.float64] | None


@dataclass(frozen=True)
class Predicted:
    """What came out.

    Attributes
    ----------
    found : dict
        Numbers, plain.
    overview : Overview
        For a picture.
    classes, names_au, names_occurrence : tuple of str
        Of the overview's columns.
    """

    found: dict[str, Any]
    overview: Overview
    classes: tuple[str, ...]
    names_au: tuple[str, ...]
    names_occurrence: tuple[str, ...]


def predict(
    checkpoint: Path,
    trained: Trained,
    name: str,
    file: EventFile,
    out: Path,
    *,
    device: str = "auto",
    step: int = 0,
    labels: TrainingLabels | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Ask a model about every event frame of a recording, and write ``predictions.parquet``.

    Event frames are made as those that it was trained on. The file is read twice, in bounded memory: once for when it
    begins and ends and whether it is whole, and once for its frames.

    Parameters
    ----------
    checkpoint, trained : Path, Trained
        A file of `au3dmm train`, and what is in it.
    name : str
        Of the recording.
    file : EventFile
        Its events.
    out : Path
        The folder to write to.
    device : str
        As in `train`.
    step : int
        Ask at every n-th frame; 0 = at each, or 8 times in a clip if the model computes whole clips.
    labels : TrainingLabels, optional
        Of the run that it was trained on, for checkpoints that do not say how event frames were made.
    progress : callable, optional
        Called with frames done and frames in all.

    Raises
    ------
    ConfigError
        If the model sees no event frames.
    SchemaError
        If the file's frames would be others than those trained on.
    SessionError
        If the file is damaged, holds no events, or is too short for one frame.
    OutputError
        If the folder cannot be written.
    """
    framing = read_framing(checkpoint, trained.content, labels)
    canvas, size = framing.canvas(file)
    width, height = framing.sensor
    if (file.width, file.height) != (width, height):
        log.warning(
            "%s: a sensor of %d x %d px, the model was trained on one of %d x %d: expect worse answers",
            *(file.path, file.width, file.height, width, height),
        )
    if (out / "session.toml").exists():
        raise OutputError(f"{out}: holds a recording; expected a folder for results: give another --out")
    model, said = trained.model, trained.content["labels"]
    scaling = _scaling(checkpoint, said["representation"], canvas.encoding)
    step = step or (1 if looks_once(model) else max(1, model.n_frames // _STEPS_OF_CLIP))
    data = trained.params.data
    taught = trained.classes if trained.params.loss.classes else ()
    options = model.config["options"]
    with started_processes(device) as processes:
        model.to(processes.device).eval()
        encoding = canvas.encoding
        shape = (len(encoding.channels), *size)
        seeing = Seeing(shape, np.dtype(encoding.dtype), scaling, data.image_px, data.every, bool(taught))
        stream = Stream(model, seeing, processes.device, step)
        clock = _Clock()
        report = _read_through(file)
        windows = _windows(file, report, framing)
        clock.reading += clock.lap()
        sums = _Sums(windows, step)
        rows = _asked(stream, stream_frames(file.stream(), windows, canvas), windows, sums, clock, progress)
        metadata = _metadata(checkpoint, trained, name, file, report, framing, step, len(windows))
        write_predictions(out / TABLE, rows, taught, options["n_alpha"], options["n_occurrence"], metadata)
        clock.lap()
    recorded = (windows.end_us[-1] - windows.start_us[0]) / 1e6
    total = clock.total()
    found = {
        "recording": name,
        "model": trained.content["model"]["name"],
        "device": str(processes.device),
        "frames": len(windows),
        "rows": sums.rows,
        "no_events": sums.rows - sums.seen,
        "step": step,
        "clip_frames": model.n_frames,
        "clip_s": ((model.n_frames - 1) * data.every + 1) * framing.period_us / 1e6,
        "windows": metadata["windows"],
        "events": report.events,
        "lost": report.lost(),
        "recording_s": float(recorded),
        "processing_s": total,
        "reading_s": clock.reading,
        "network_s": clock.network,
        "real_time_factor": float(recorded / total),
        "real_time_factor_without_reading": float(recorded / max(total - clock.reading, 1e-9)),
        "most_seconds_as": sums.favourites(taught, framing.period_us * step / 1e6),
        "table": str(out / TABLE),
    }
    return Predicted(found, sums.overview(), tuple(taught), tuple(said["names_au"]), tuple(said["names_occurrence"]))


class _Clock:
    """Where the time goes, s."""

    def __init__(self) -> None:
        self.reading = self.network = 0.0
        self._begin = self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed

    def total(self) -> float:
        return time.perf_counter() - self._begin


def _read_through(file: EventFile) -> EventFileReport:
    stream = file.stream()
    for _ in stream:
        pass
    stream.report.check(file.path)
    if lost := stream.report.lost():
        log.warning("%s: damaged, read without %s", file.path, lost)
    return stream.report


def _windows(file: EventFile, report: EventFileReport, framing: Framing) -> Windows:
    first, last = int(report.t_first_us or 0), int(report.t_last_us or 0)
    try:
        windows = regular_windows(first, last, file.t_shift_us, framing.params)
    except FitError as err:
        raise SessionError(f"{file.path}: {err}") from err
    if not len(windows):
        raise SessionError(
            f"{file.path}: events last {last - first} us, too short for one event frame of"
            f" {framing.params.accumulation_us} us; expected a longer recording"
        )
    return windows


def _scaling(path: Path, trained: dict[str, Any], encoding: Any) -> Scaling:
    scaling = Scaling(encoding.name, len(encoding.channels), encoding.scale, encoding.zero)
    if scaling.described() != trained:
        raise SchemaError(
            f"{path}: trained on frames of {trained}, this au3dmm makes {scaling.described()}; make event frames and"
            " train again"
        )
    return scaling


def _asked(
    stream: Stream,
    frames: Iterator[EventFrame],
    windows: Windows,
    sums: _Sums,
    clock: _Clock,
    progress: Progress | None,
) -> Iterator[PredictionRows]:
    done = 0
    clock.lap()
    while block := list(islice(frames, _BLOCK)):
        n_events = np.array([frame.n_events for frame in block], np.int64)
        pixels = np.stack([frame.pixels for frame in block])
        clock.reading += clock.lap()
        answers = stream.feed(pixels, n_events)
        clock.network += clock.lap()
        sums.add(answers)
        at = answers.frame
        yield PredictionRows(at, windows.start_us[at], windows.end_us[at], n_events[at - done], *answers[1:])
        done += len(block)
        if progress is not None:
            progress(done, len(windows))
        clock.lap()


class _Sums:
    """Predictions added up in stretches of time."""

    def __init__(self, windows: Windows, step: int) -> None:
        self._step, self._n = step, -(-len(windows) // step)
        self._bins = min(self._n, _BINS)
        first_rows = -(-np.arange(self._bins) * self._n // self._bins)
        starts = windows.start_us[first_rows * step]
        self._edges = (np.r_[starts, windows.end_us[-1]] - windows.start_us[0]) / 1e6
        self._count = np.zeros(self._bins)
        self._sums: list[NDArray[np.float64] | None] = [None, None, None]
        self._best: NDArray[np.int64] | None = None
        self.rows = self.seen = 0

    def add(self, answers: Answers) -> None:
        at = answers.frame // self._step * self._bins // self._n
        np.add.at(self._count, at[answers.seen], 1)
        for i, values in enumerate((answers.classes, answers.alpha, answers.occurrence)):
            if values is None:
                continue
            total = self._sums[i]
            if total is None:
                total = self._sums[i] = np.zeros((self._bins, values.shape[1]))
            np.add.at(total, at[answers.seen], values[answers.seen])
        if answers.classes is not None:
            counts = np.bincount(answers.classes[answers.seen].argmax(1), minlength=answers.classes.shape[1])
            self._best = counts if self._best is None else self._best + counts
        self.rows += len(at)
        self.seen += int(answers.seen.sum())

    def favourites(self, classes: tuple[str, ...], seconds: float) -> dict[str, float]:
        """Return for how long each class was the most probable, s; those that never were are left out."""
        if self._best is None:
            return {}
        order = np.argsort(-self._best, kind="stable")
        return {classes[i]: float(self._best[i] * seconds) for i in order if self._best[i]}

    def overview(self) -> Overview:
        count = np.where(self._count > 0, self._count, np.nan)[:, None]
        means = [None if total is None else total / count for total in self._sums]
        return Overview(self._edges, *means)


def _metadata(
    checkpoint: Path,
    trained: Trained,
    name: str,
    file: EventFile,
    report: EventFileReport,
    framing: Framing,
    step: int,
    n: int,
) -> dict[str, Any]:
    said, params = trained.content["labels"], framing.params
    how = {"name": params.windows, "accumulation_us": params.accumulation_us, "period_us": framing.period_us}
    return {
        "stage": "predict",
        "recording": name,
        "checkpoint": {"quick_hash": quick_hash(checkpoint), "progress": dict(trained.content["progress"])},
        "model": trained.content["model"],
        "classes": list(trained.classes),
        "names_occurrence": said["names_occurrence"],
        "basis": {"file_hash": said["basis"], "k_au": said["k_au"], "names_au": said["names_au"]},
        "windows": {**how, "instead_of_rgb": framing.between_rgb},
        "event_frames": params.model_dump(mode="json"),
        "clip": {"n_frames": trained.model.n_frames, "every": trained.params.data.every, "step": step},
        "sensor": {"width": file.width, "height": file.height},
        "event_file": report.to_dict(),
        "counts": {"event_frames": n},
        "units": "t_start_us (included) and t_end_us (excluded): us on the unshifted event clock; alpha_au in standard"
        " deviations",
    }


__all__ = ["TABLE", "Overview", "Predicted", "predict"]
