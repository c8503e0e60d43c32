"""Landmarks that were detected elsewhere, served as if detected now."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.base import DetectedFace, in_order
from au3dmm.errors import ConfigError, SessionError
from au3dmm.io.frames import session_frames
from au3dmm.io.hashing import sha256_file
from au3dmm.io.landmark_files import read_landmark_file
from au3dmm.io.session import LandmarksSection, Session
from au3dmm.io.video import packet_times


class PrecomputedDetector:
    """Looks faces up by ``frame_index``; a frame that the file does not name has no face.

    Parameters
    ----------
    session : Session
        Its manifest's ``[landmarks]`` says which file.

    Raises
    ------
    ConfigError
        If the manifest has no ``[landmarks]``.
    SessionError
        If the file cannot be read, or it counts frames where some of the recording's were not there to be counted.
    """

    name = "precomputed"
    sees = False  # it does not look at images, so they need not be shrunk for it

    def __init__(self, session: Session) -> None:
        section = landmarks_section(session)
        path = session.file(section.file)
        self._identity = precomputed_identity(session)
        self._landmarks = read_landmark_file(path, section.format)
        if self._landmarks.n_counted is not None:
            _check_count(session, path, self._landmarks.n_counted)
        self._rows: dict[int, list[int]] = {}
        for row, frame in enumerate(self._landmarks.frame_index.tolist()):
            self._rows.setdefault(frame, []).append(row)
        dense = self._landmarks.dense_px
        self.n_dense = 0 if dense is None else dense.shape[1]

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks, as far as the file says."""
        return {**self._identity, "format": self._landmarks.format, "has_z": self._landmarks.has_z}

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return the faces that the file has for a frame, from left to right."""
        found = self._landmarks
        return in_order(
            DetectedFace(
                box_px=found.box_px[row],
                detection_score=_or_none(found.detection_score[row]),
                landmarks_px=found.landmarks_px[row],
                landmark_score=_or_none(found.landmark_score[row]),
                dense_px=None if found.dense_px is None else found.dense_px[row],
            )
            for row in self._rows.get(frame_index, ())
        )


def landmarks_section(session: Session) -> LandmarksSection:
    """Return the manifest's ``[landmarks]``.

    Raises
    ------
    ConfigError
        If it has none.
    """
    section = session.manifest.landmarks
    if section is None:
        raise ConfigError(
            f"{session.path}: no [landmarks], which the detector 'precomputed' reads; add [landmarks] with file = ..."
            " or choose another --detector"
        )
    return section


def precomputed_identity(session: Session) -> dict[str, Any]:
    """Return the detector's name, and the landmark file's name and sha256."""
    section = landmarks_section(session)
    path = session.file(section.file)
    return {"name": "precomputed", "file": path.name, "sha256": sha256_file(path)}


def _check_count(session: Session, path: Path, n_counted: int) -> None:
    """Refuse landmarks that count only the frames that decode, where others lie between these: they would shift.

    Decodes the recording if the count is not that of all frames.
    """
    frames = session_frames(session)
    n_expected = frames.n_expected
    if n_expected is None:  # some containers do not say
        n_expected = len(packet_times(frames.source))
    if n_counted == n_expected:
        return
    decoded = np.array([frame.image is not None for frame in frames], bool)
    if n_counted == decoded.sum() and not decoded[:n_counted].all():
        raise SessionError(
            f"{path}: landmarks of {n_counted} frames without frame_index, as many as can be decoded of the"
            f" {len(decoded)} of {frames.source}; frame {int(np.argmin(decoded))} cannot, so whose landmarks come after"
            f" it cannot be told; expected {len(decoded)} frames, or a frame_index for each face (npz or au3dmm CSV)"
        )


def _or_none(value: np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None
