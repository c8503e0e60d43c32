"""Rows of `landmarks.parquet`: made frame by frame, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.core.landmark_agreement import disagreement_iod
from au3dmm.core.landmark_noise import span_jitter, still_jitter
from au3dmm.core.landmarks import N_LANDMARKS
from au3dmm.detectors.base import DetectedFace
from au3dmm.detectors.finding import FoundFaces
from au3dmm.detectors.selection import choose_face, face_flags
from au3dmm.detectors.switching import TakenFace, is_another
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import scalar_array, vector_array, vectors

STATUSES = ("ok", "low_confidence", "no_face", "decode_error")


@dataclass(frozen=True)
class Row:
    """One row of the table; the face is None where none was taken."""

    frame_index: int
    t_rgb_us: int
    status: str
    flags: list[str]
    n_faces: int
    face_index: int | None = None
    face: DetectedFace | None = None
    disagreement_iod: float | None = None


class Subject:
    """Chooses the subject's face, frame after frame.

    Parameters
    ----------
    params : DetectParams
        Which face, and what is wrong with one.

    Attributes
    ----------
    image_size : (int, int) or None
        Width and height of the frames, px; None before one could be decoded.
    last : TakenFace or None
        The face taken last.
    """

    def __init__(self, params: DetectParams) -> None:
        self.image_size: tuple[int, int] | None = None
        self.last: TakenFace | None = None
        self._params = params

    def to_dict(self) -> dict[str, Any]:
        """Return what is known so far, as plain values."""
        return {"image_size": self.image_size, "last": None if self.last is None else self.last.to_dict()}

    def restore(self, values: dict[str, Any]) -> None:
        """Know what was known when `to_dict` was called."""
        width, height = values["image_size"] or (0, 0)
        self.image_size = (width, height) if width else None
        self.last = None if values["last"] is None else TakenFace.from_dict(values["last"])

    def row(self, found: FoundFaces) -> Row:
        """Choose among the faces found in a frame."""
        where, params = (found.frame_index, found.t_rgb_us), self._params
        if found.image_size is None:
            return Row(*where, "decode_error", [], 0)
        self.image_size = found.image_size
        faces, last = found.faces, self.last
        previous = None if last is None else last.box_px
        chosen, _ = choose_face(faces, params.face, self.image_size, previous, params.face_index)
        if chosen is None:
            return Row(*where, "no_face", [], len(faces))
        face = faces[chosen]
        flags = face_flags(face, self.image_size, params.small_px)
        if last is not None and is_another(faces, chosen, found.t_rgb_us, last):
            flags.append("face_switched")
        self.last = TakenFace(face.box_px, found.t_rgb_us)
        apart = None
        if found.second:
            apart = min(disagreement_iod(face.landmarks_px, other.landmarks_px) for other in found.second)
            if apart > params.max_disagreement_iod:
                flags.append("detectors_disagree")
        sure = face.landmark_score is None or face.landmark_score >= params.min_landmark_score
        return Row(*where, "ok" if sure else "low_confidence", sorted(flags), len(faces), chosen, face, apart)


@dataclass
class Rows:
    """Rows that wait to become a table."""

    n_dense: int
    checked: bool
    rows: list[Row] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the tables."""
        return landmarks_schema(self.n_dense, self.checked)

    def table(self) -> pa.Table:
        """Return the rows as a table."""
        rows = self.rows
        if not rows:
            return self.schema.empty_table()
        columns = [
            pa.array([row.frame_index for row in rows], pa.int32()),
            pa.array([row.t_rgb_us for row in rows], pa.int64()),
            _statuses([row.status for row in rows]),
            pa.array([row.flags for row in rows], pa.list_(pa.string())),
            pa.array([row.n_faces for row in rows], pa.int16()),
            pa.array([row.face_index for row in rows], pa.int16()),
            self._vectors(4, lambda face: face.box_px),
            _scores([None if row.face is None else row.face.detection_score for row in rows]),
            _scores([None if row.face is None else row.face.landmark_score for row in rows]),
            self._vectors(3 * N_LANDMARKS, lambda face: face.landmarks_px),
        ]
        if self.n_dense:
            columns.append(self._vectors(3 * self.n_dense, lambda face: face.dense_px))
        if self.checked:
            columns.append(_scores([row.disagreement_iod for row in rows]))
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _vectors(self, length: int, of: Callable[[DetectedFace], NDArray[np.float32] | None]) -> pa.Array:
        values = np.zeros((len(self.rows), length), np.float32)
        valid = np.zeros(len(self.rows), bool)
        for i, row in enumerate(self.rows):
            value = None if row.face is None else of(row.face)
            if value is not None:
                values[i], valid[i] = value.ravel(), True
        return vector_array(values, valid)


def _statuses(words: list[str]) -> pa.Array:
    """Return a column with one dictionary for all tables, whichever words are in them."""
    return pa.DictionaryArray.from_arrays(pa.array([STATUSES.index(word) for word in words], pa.int8()), list(STATUSES))


def _scores(values: list[float | None]) -> pa.Array:
    valid = np.array([value is not None for value in values], bool)
    return scalar_array(np.array([value or 0.0 for value in values]), valid, pa.float32())


class Tally:
    """Counts rows and measures their noise, table by table, whoever made them.

    Parameters
    ----------
    check_every : int
        Which frames a second detector looked at, if there is one.
    """

    def __init__(self, check_every: int) -> None:
        self.n = 0
        self._check_every = check_every
        self._missed = 0
        self._status: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._spans: list[NDArray[np.float64]] = []
        self._apart: list[NDArray[np.float64]] = []

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table."""
        self.n += len(table)
        self._status.update(table["status"].to_pylist())
        flags = table["flags"].to_pylist()
        self._flags.update(flag for each in flags for flag in each)
        marks, valid = vectors(table, "landmarks_px")
        same = np.array(["face_switched" not in each for each in flags], bool)
        unbroken = valid & same & np.concatenate([[False], valid[:-1]])
        self._spans.append(span_jitter(marks.reshape(-1, N_LANDMARKS, 3)[..., :2].astype(np.float64), unbroken))
        if "disagreement_iod" in table.column_names:
            apart = table["disagreement_iod"]
            self._apart.append(apart.drop_null().to_numpy().astype(np.float64))
            looked = table["frame_index"].to_numpy() % self._check_every == 0
            self._missed += int((looked & valid & np.asarray(apart.is_null().to_numpy())).sum())

    def counts(self, frames_expected: int | None, packets_lost: int) -> dict[str, Any]:
        """Return the numbers that the stage reports."""
        return {
            "frames": self.n,
            "frames_expected": frames_expected,
            "frames_decoded": self.n - self._status["decode_error"],
            "packets_lost": packets_lost,
            **{word: self._status[word] for word in STATUSES},
        }

    def quality(self) -> dict[str, Any]:
        """Return what is known of the landmarks: jitter, flags, and how well a second detector agrees."""
        jitter = still_jitter(np.concatenate(self._spans)) if self._spans else None
        found: dict[str, Any] = {
            "jitter_px": None if jitter is None else round(jitter[0], 4),
            "jitter_iod": None if jitter is None else round(jitter[1], 6),
            "flags": dict(sorted(self._flags.items())),
        }
        if self._apart:
            apart = np.concatenate(self._apart)
            found["check"] = {
                "frames": len(apart),
                "median_iod": round(float(np.median(apart)), 5) if len(apart) else None,
                "disagree": self._flags["detectors_disagree"],
                "missed": self._missed,  # the second detector found no face where the first one did
            }
        return found
