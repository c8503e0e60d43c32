"""Stage detect: landmarks of the subject's face on every RGB frame."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import N_LANDMARKS
from au3dmm.detectors import DetectedFace, LandmarkDetector, detector_identity, make_detector
from au3dmm.detectors.selection import choose_face, face_flags
from au3dmm.errors import SessionError
from au3dmm.io.frames import Frame, SessionFrames, session_frames
from au3dmm.io.session import Session, read_session
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, word_array, write_table

READS = ("session:rgb",)
WRITES = ("landmarks",)
VERSION = 1

__all__ = ["READS", "VERSION", "WRITES", "detector_identity", "run"]

log = logging.getLogger(__name__)

_REPORT_EVERY = 10  # frames between two calls of `progress`


def run(
    *,
    session: Path,
    landmarks: Path,
    params: DetectParams,
    device: str = "cpu",
    weights_folder: Path | None = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Detect landmarks on every RGB frame of a session and write `landmarks.parquet`.

    Parameters
    ----------
    session : Path
        `session.toml` or its folder.
    landmarks : Path
        The table to write: one row per RGB frame, whatever happens. ``status`` is ``ok``, ``low_confidence`` (a face
        whose landmarks score below ``min_landmark_score``; its landmarks are kept), ``no_face``, or ``decode_error``
        (a frame that is expected but cannot be decoded).
    params : DetectParams
        Which detector, and which face if there are several.
    device : str
        Torch device, for detectors that use torch.
    weights_folder : Path, optional
        Where the detector's weights are, if not in the usual folder.
    stamp : mapping, optional
        What the pipeline knows: stage, fingerprint, inputs. Goes into the file's metadata.
    progress : callable, optional
        Called now and then with frames done and frames expected (None if unknown).

    Returns
    -------
    dict
        ``frames``, ``frames_expected``, ``frames_decoded``, ``packets_lost``, and rows by status: ``ok``,
        ``low_confidence``, ``no_face``, ``decode_error``.

    Raises
    ------
    SessionError
        If the recording cannot be read or not one frame of it can be decoded.
    AssetError
        If the detector's weights are missing.
    ConfigError
        If the manifest, or the combination of detector and manifest, is wrong.
    OutputError
        If the table cannot be written.
    """
    recording = read_session(session)
    frames = session_frames(recording)
    detector = make_detector(params, session=recording, device=device, weights_folder=weights_folder)
    rows = _Rows(detector.n_dense)
    subject = _Subject(detector, params)
    for frame in frames:
        rows.add(frame, *subject.find(frame))
        if progress is not None and len(rows.status) % _REPORT_EVERY == 0:
            progress(len(rows.status), frames.n_expected)
    if subject.image_size is None:
        raise SessionError(
            f"{frames.source}: not one frame could be decoded; {frames.n_expected or 'some'} were expected and"
            f" {frames.n_lost} damaged packets or images were met"
        )
    if progress is not None:
        progress(len(rows.status), frames.n_expected)
    counts = _count(rows, frames)
    _warn(recording, frames, counts, subject.image_size)
    metadata = {
        "stage": "detect",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "detector": detector.describe(),
        "landmark_scheme": f"ibug{N_LANDMARKS}",
        "n_dense": detector.n_dense,
        "image": {
            "width": subject.image_size[0],
            "height": subject.image_size[1],
        },
        "matched_by": frames.matched_by,
        "counts": counts,
        "units": {
            "t_rgb_us": "us, exposure midpoint on the RGB clock",
            "box_px": "x0, y0, x1, y1 px",
            "landmarks_px": "68 x (x, y, z) px; (0, 0) = centre of the top-left pixel, y down, z towards the camera",
            "dense_px": "as landmarks_px, the detector's own points",
        },
    }
    write_table(landmarks, "landmarks", rows.table(), metadata)
    return counts


class _Subject:
    """Finds the subject's face, frame after frame."""

    def __init__(self, detector: LandmarkDetector, params: DetectParams) -> None:
        self.image_size: tuple[int, int] | None = None
        self._detector, self._params = detector, params
        self._previous: NDArray[np.float32] | None = None

    def find(self, frame: Frame) -> tuple[str, list[str], int, int | None, DetectedFace | None]:
        """Return status, flags, number of faces, and which of them with the face itself, if one was taken."""
        if frame.image is None:
            return "decode_error", [], 0, None, None
        self.image_size = (frame.image.shape[1], frame.image.shape[0])
        faces = self._detector.detect(frame.image, frame.frame_index)
        chosen, flags = choose_face(faces, self._params.face, self.image_size, self._previous, self._params.face_index)
        if chosen is None:
            return "no_face", flags, len(faces), None, None
        face = faces[chosen]
        self._previous = face.box_px
        flags = face_flags(face, self.image_size, self._params.small_px) + flags
        sure = face.landmark_score is None or face.landmark_score >= self._params.min_landmark_score
        return "ok" if sure else "low_confidence", sorted(flags), len(faces), chosen, face


@dataclass
class _Rows:
    """The table's columns while they grow."""

    n_dense: int
    frame_index: list[int] = field(default_factory=list)
    t_rgb_us: list[int] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    flags: list[list[str]] = field(default_factory=list)
    n_faces: list[int] = field(default_factory=list)
    face_index: list[int | None] = field(default_factory=list)
    faces: list[DetectedFace | None] = field(default_factory=list)

    def add(
        self,
        frame: Frame,
        status: str,
        flags: list[str],
        n_faces: int,
        face_index: int | None,
        face: DetectedFace | None,
    ) -> None:
        self.frame_index.append(frame.frame_index)
        self.t_rgb_us.append(frame.t_rgb_us)
        self.status.append(status)
        self.flags.append(flags)
        self.n_faces.append(n_faces)
        self.face_index.append(face_index)
        self.faces.append(face)

    def table(self) -> pa.Table:
        columns = [
            pa.array(self.frame_index, pa.int32()),
            pa.array(self.t_rgb_us, pa.int64()),
            word_array(self.status),
            pa.array(self.flags, pa.list_(pa.string())),
            pa.array(self.n_faces, pa.int16()),
            pa.array(self.face_index, pa.int16()),
            self._vectors(4, lambda face: face.box_px),
            self._scores(lambda face: face.detection_score),
            self._scores(lambda face: face.landmark_score),
            self._vectors(3 * N_LANDMARKS, lambda face: face.landmarks_px),
        ]
        if self.n_dense:
            columns.append(self._vectors(3 * self.n_dense, lambda face: face.dense_px))
        return pa.Table.from_arrays(columns, schema=landmarks_schema(self.n_dense))

    def _vectors(self, length: int, of: Callable[[DetectedFace], NDArray[np.float32] | None]) -> pa.Array:
        values = np.zeros((len(self.faces), length), np.float32)
        valid = np.zeros(len(self.faces), bool)
        for row, face in enumerate(self.faces):
            value = None if face is None else of(face)
            if value is not None:
                values[row], valid[row] = value.ravel(), True
        return vector_array(values, valid)

    def _scores(self, of: Callable[[DetectedFace], float | None]) -> pa.Array:
        values = [None if face is None else of(face) for face in self.faces]
        valid = np.array([value is not None for value in values], bool)
        return scalar_array(np.array([value or 0.0 for value in values]), valid, pa.float32())


def _count(rows: _Rows, frames: SessionFrames) -> dict[str, Any]:
    by_status = Counter(rows.status)
    words = ("ok", "low_confidence", "no_face", "decode_error")
    return {
        "frames": len(rows.status),
        "frames_expected": frames.n_expected,
        "frames_decoded": len(rows.status) - by_status["decode_error"],
        "packets_lost": frames.n_lost,
        **{word: by_status[word] for word in words},
    }


def _warn(recording: Session, frames: SessionFrames, counts: Mapping[str, Any], size: tuple[int, int]) -> None:
    decoded, expected = counts["frames_decoded"], counts["frames_expected"]
    if counts["decode_error"] or counts["packets_lost"] or (expected is not None and decoded < expected):
        log.warning(
            "detect %s: %s is damaged or cut short: %d frames decoded, %s expected",
            *(recording.session_id, frames.source.name, decoded, "an unknown number" if expected is None else expected),
        )
        if frames.matched_by == "order" and recording.manifest.rgb.file is not None:
            log.warning(
                "detect %s: frames were matched with the timestamps by order, as their times differ from the"
                " container's; if frames are missing before the end, later times are wrong",
                recording.session_id,
            )
    rgb = recording.manifest.rgb
    for name, said, found in (("width", rgb.width, size[0]), ("height", rgb.height, size[1])):
        if said is not None and said != found:
            log.warning(
                "detect %s: rgb.%s is %d in session.toml, %d in the frames", recording.session_id, name, said, found
            )
