"""RGB frames in the place of event frames, or without any: decoded once, cut and resized, in tables of their form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from au3dmm.core.canvases import Encoding
from au3dmm.core.event_frames import Windows
from au3dmm.core.face_crop import MARGIN, RAISED, SMOOTHED_US, face_squares, square_box
from au3dmm.core.pixel_grid import centred_square
from au3dmm.core.representations import EventFrame
from au3dmm.errors import ConfigError, SchemaError, SessionError
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.event_frame_table import read_event_frame_info, write_event_frames
from au3dmm.io.frames import session_frames
from au3dmm.io.session import Session
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.io.training_labels import TrainingLabels, TrainingSession

SIZE_PX = 256
Crop = Literal["centre", "face"]
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
_FACE = {"margin": MARGIN, "raised": RAISED, "smoothed_us": SMOOTHED_US}
_FORMULA = {
    "centre": _ENCODING.formula,
    "face": "the RGB frame nearest in time to the event frame, the square around the landmarks resized; black where"
    " there is none, and beyond the image",
}


def cached_rgb_frames(
    labels: TrainingLabels,
    used: Sequence[int],
    cache: Path,
    dataset: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    *,
    crop: Crop = "centre",
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
        Where to put them: ``<session_id>.parquet``, of faces ``face/<session_id>.parquet``.
    dataset : Path, optional
        Folder of the raw recordings; default: that which the run is in.
    progress : callable, optional
        Called with recordings done, and in all.
    crop : {"centre", "face"}
        What is cut out: the centred square, or the square around the landmarks (`core.face_crop`; the centred one of
        recordings in which no face was found).

    Raises
    ------
    ConfigError
        If the raw recordings are not found.
    SessionError
        If a video cannot be read.
    OutputError
        If the cache cannot be written.
    """
    folder = cache if crop == "centre" else cache / crop
    sources = [folder / f"{session.session_id}.parquet" for session in labels.sessions]
    lacking = [i for i in used if not _is_current(sources[i], labels.sessions[i], crop)]
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
        _write(raw[session.session_id], session, labels, sources[i], crop)
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


def _is_current(path: Path, session: TrainingSession, crop: Crop) -> bool:
    if not path.is_file():
        return False
    try:
        return (
            read_metadata(path).get("inputs") == _inputs(session)
            and read_metadata(path).get("params") == _params(crop)
            and read_event_frame_info(path).n_frames == session.n
        )
    except SchemaError:  # cut short, or of another version: it is made again
        return False


def _inputs(session: TrainingSession) -> dict[str, str]:
    return {"labels": str(session.labels_sha256)}


def _params(crop: Crop) -> dict[str, object]:
    return {"size_px": SIZE_PX, "crop": crop, **(_FACE if crop == "face" else {})}


def _write(recording: Session, session: TrainingSession, labels: TrainingLabels, path: Path, crop: Crop) -> None:
    nearest = labels.rgb_frame_index[session.rows]
    times = labels.t_us[session.rows]
    windows = Windows(times, times + 1)  # not the window: the instant that the label speaks of
    metadata = {"inputs": _inputs(session), "params": _params(crop), "stage": "rgb_frames"}
    frames = _frames(recording, nearest, _squares(session) if crop == "face" else None)
    encoding = replace(_ENCODING, formula=_FORMULA[crop])
    write_event_frames(path, windows, frames, nearest >= 0, (3, SIZE_PX, SIZE_PX), encoding, metadata)


def _squares(session: TrainingSession) -> NDArray[np.float64] | None:
    """Return the square around the face in each RGB frame, (T, 3); None if there is no face in any."""
    path = session.folder / "landmarks.parquet"
    table = read_table(path, "landmarks", ["t_rgb_us", "status", "landmarks_px"])
    points, _ = vectors(table, "landmarks_px")
    valid = np.array([word == "ok" for word in table["status"].to_pylist()], bool)
    return face_squares(points.reshape(len(table), 68, 3)[..., :2], valid, table["t_rgb_us"].to_numpy())


def _frames(
    recording: Session, nearest: NDArray[np.int32], squares: NDArray[np.float64] | None
) -> Iterator[EventFrame]:
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
            box = centred_square(*image.shape[:2]) if squares is None else square_box(squares[read])
            drawn, shown = read, square(image, box)
        yield EventFrame(0, shown)


def square(
    image: NDArray[np.uint8], box: tuple[int, int, int, int] | None = None, size_px: int = SIZE_PX
) -> NDArray[np.uint8]:
    """Cut a square out of an image and resize it.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The picture.
    box : (int, int, int, int), optional
        ``(y0, y1, x0, x1)``, px; black where it reaches beyond the image. Default: the centred square.
    size_px : int
        Side of the result.

    Returns
    -------
    (3, size_px, size_px) uint8 array
    """
    height, width = image.shape[:2]
    y0, y1, x0, x1 = centred_square(height, width) if box is None else box
    inside = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    cut = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    top, left = max(-y0, 0), max(-x0, 0)
    cut[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    whole = torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1)))[None]
    out = F.interpolate(whole, (size_px, size_px), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(out[0].numpy())
