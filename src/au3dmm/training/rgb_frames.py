"""RGB frames in the place of event frames: decoded once, cut and resized alike, in tables of the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from au3dmm.core.canvases import Encoding
from au3dmm.core.event_frames import Windows
from au3dmm.core.pixel_grid import centred_square
from au3dmm.core.representations import EventFrame
from au3dmm.errors import ConfigError, SchemaError, SessionError
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.event_frame_table import read_event_frame_info, write_event_frames
from au3dmm.io.frames import session_frames
from au3dmm.io.session import Session
from au3dmm.io.tables import read_metadata
from au3dmm.io.training_labels import TrainingLabels, TrainingSession

SIZE_PX = 256
_ENCODING = Encoding(
    "rgb",
    ("red", "green", "blue"),
    "uint8",
    1 / 255,
    0.0,
    "0 to 1",
    "the RGB frame nearest in time to the event frame, its centred square resized; black where there is none",
    "for comparison with event frames (FACEMORPHIC, Table 3)",
)


def cached_rgb_frames(
    labels: TrainingLabels,
    used: Sequence[int],
    cache: Path,
    dataset: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Path]:
    """Return, for each recording of a run, the table of RGB frames beside its event frames; make those that are
    lacking.

    Parameters
    ----------
    labels : TrainingLabels
        Of the run.
    used : sequence of int
        The recordings that are wanted.
    cache : Path
        Where to put them: ``<session_id>.parquet``.
    dataset : Path, optional
        Folder of the raw recordings; default: that which the run is in.
    progress : callable, optional
        Called with recordings done, and in all.

    Raises
    ------
    ConfigError
        If the raw recordings are not found.
    SessionError
        If a video cannot be read.
    OutputError
        If the cache cannot be written.
    """
    sources = [cache / f"{session.session_id}.parquet" for session in labels.sessions]
    lacking = [i for i in used if not _is_current(sources[i], labels.sessions[i])]
    if not lacking:
        return sources
    raw = _recordings(labels, dataset)
    for done, i in enumerate(lacking, 1):
        session = labels.sessions[i]
        if session.session_id not in raw:
            raise ConfigError(
                f"{session.session_id}: its recording is not below the dataset's folder, so there is no video to read;"
                " say where with --dataset DIR"
            )
        _write(raw[session.session_id], session, labels, sources[i])
        if progress is not None:
            progress(done, len(lacking))
    return sources


def _recordings(labels: TrainingLabels, dataset: Path | None) -> dict[str, Session]:
    folder = dataset
    if folder is None:
        above = labels.run.path.absolute().parents
        if len(above) < 3 or (above[1].name, above[0].name) != ("derivatives", "au3dmm"):
            raise ConfigError(f"{labels.run.path}: not below a dataset; say where its videos are with --dataset DIR")
        folder = above[2]
    return {found.session.session_id: found.session for found in find_sessions(read_dataset(folder)) if found.session}


def _is_current(path: Path, session: TrainingSession) -> bool:
    if not path.is_file():
        return False
    try:
        return (
            read_metadata(path).get("inputs") == _inputs(session) and read_event_frame_info(path).n_frames == session.n
        )
    except SchemaError:  # cut short, or of another version: it is made again
        return False


def _inputs(session: TrainingSession) -> dict[str, str]:
    return {"labels": str(session.labels_sha256)}


def _write(recording: Session, session: TrainingSession, labels: TrainingLabels, path: Path) -> None:
    nearest = labels.rgb_frame_index[session.rows]
    times = labels.t_us[session.rows]
    windows = Windows(times, times + 1)  # not the window: the instant that the label speaks of
    metadata = {"inputs": _inputs(session), "params": {"size_px": SIZE_PX, "crop": "centre"}, "stage": "rgb_frames"}
    frames = _frames(recording, nearest)
    write_event_frames(path, windows, frames, nearest >= 0, (3, SIZE_PX, SIZE_PX), _ENCODING, metadata)


def _frames(recording: Session, nearest: NDArray[np.int32]) -> Iterator[EventFrame]:
    """Yield the picture of each event frame; as numbers of RGB frames do not fall, one picture is held at a time."""
    black = np.zeros((3, SIZE_PX, SIZE_PX), np.uint8)
    read, drawn, shown = -1, -1, black
    image: NDArray[np.uint8] | None = None
    video = iter(session_frames(recording))
    for wanted in nearest.tolist():
        while read < wanted:
            frame = next(video, None)
            if frame is None:
                raise SessionError(
                    f"session {recording.session_id!r}: labels speak of RGB frame {wanted}, the video ends before;"
                    " label it again"
                )
            read, image = frame.frame_index, frame.image
        if wanted < 0 or wanted != read or image is None:
            yield EventFrame(0, black)
            continue
        if drawn != read:
            drawn, shown = read, square(image)
        yield EventFrame(0, shown)


def square(image: NDArray[np.uint8], size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    """Cut the centred square of an image (H, W, 3) and resize it; returns (3, size_px, size_px)."""
    y0, y1, x0, x1 = centred_square(*image.shape[:2])
    whole = torch.from_numpy(np.ascontiguousarray(image[y0:y1, x0:x1].transpose(2, 0, 1)))[None]
    out = F.interpolate(whole, (size_px, size_px), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(out[0].numpy())
