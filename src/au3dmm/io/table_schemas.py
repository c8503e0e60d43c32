"""What the Parquet tables hold: their columns, words and versions.

Version history (docs/formats.md describes each column)
-------------------------------------------------------
landmarks 1, identity 1, coefficients 1, event_frames 1, labels 1 : first.
dataset_labels 1, sessions 1, annotations 1 : first; of a whole dataset (io/label_dataset.py, io/sessions_index.py,
    io/annotations.py).
identity 2 : neutral_dense_m, where dense points were fitted.
identity 3 : how far the neutral face can be believed (io/identity_columns.py).
coefficients 2, labels 2, dataset_labels 2 : aperture_left, aperture_right, mouth_open.
coefficients 3, labels 3, dataset_labels 3 : confidence; alpha_au_std covers what it says; au_intensity and
    au_intensity_std, if the basis has intensities.
landmarks 2 : disagreement_iod, where a second detector checked the first.
predictions 1 : first; what a trained model says of a recording.
event_frames 2 : n_saturated; shapes are (channels, height, width), and the metadata says what stored numbers mean.
"""

from __future__ import annotations

import pyarrow as pa

from au3dmm.io.identity_columns import neutral_fields

SCHEMA_VERSION = {
    "landmarks": 2,
    "identity": 3,
    "coefficients": 3,
    "event_frames": 2,
    "labels": 3,
    "dataset_labels": 3,
    "sessions": 1,
    "annotations": 1,
    "predictions": 1,
}

APERTURES = ("aperture_left", "aperture_right", "mouth_open")
"""How far eyes and mouth are open: of coefficients and labels from version 2 on."""

LATER = {**dict.fromkeys(APERTURES, 2), "confidence": 3}
"""Numbers that coefficients and labels did not have from the beginning, and the version that brought them."""

INTENSITIES = ("au_intensity", "au_intensity_std")
"""Action unit intensities: of coefficients and labels from version 3 on, made with a basis that has them."""

STATUSES = ("ok", "no_face", "low_confidence", "fit_failed", "gap", "no_rgb", "no_events", "decode_error")
FLAGS = (
    "border",
    "face_switched",
    "small",
    "extreme_pose",
    "occluded",
    "detectors_disagree",
    "not_neutral_start",
    "neutral_doubtful",
    "two_subjects",
    "interpolated",
)

WORD = pa.dictionary(pa.int8(), pa.string())


def vector(length: int, nullable: bool = False) -> pa.DataType:
    """Return the type of a column of vectors of `length` float32; with `nullable`, single values may be missing."""
    return pa.list_(pa.field("element", pa.float32(), nullable=nullable), length)


def _f(name: str, kind: pa.DataType, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


def landmarks_schema(n_dense: int = 0, checked: bool = False) -> pa.Schema:
    """Row per RGB frame. `n_dense`: number of dense landmarks, 0 if none; `checked`: whether by a second detector."""
    fields = [
        _f("frame_index", pa.int32()),
        _f("t_rgb_us", pa.int64()),
        _f("status", WORD),
        _f("flags", pa.list_(pa.string())),
        _f("n_faces", pa.int16()),
        _f("face_index", pa.int16(), nullable=True),
        _f("box_px", vector(4), nullable=True),
        _f("detection_score", pa.float32(), nullable=True),
        _f("landmark_score", pa.float32(), nullable=True),
        _f("landmarks_px", vector(204), nullable=True),
    ]
    if n_dense:
        fields.append(_f("dense_px", vector(3 * n_dense), nullable=True))
    if checked:
        fields.append(_f("disagreement_iod", pa.float32(), nullable=True))
    return pa.schema(fields)


def identity_schema(k_id: int, n_dense: int = 0, version: int = SCHEMA_VERSION["identity"]) -> pa.Schema:
    """One row: the neutral face of a subject. `n_dense` is the number of dense points fitted beside the 68."""
    used = pa.struct([_f("session_id", pa.string()), _f("frame_index", pa.int32())])
    return pa.schema(
        [
            _f("subject_id", pa.string()),
            _f("session_ids", pa.list_(pa.string())),
            _f("status", WORD),
            _f("flags", pa.list_(pa.string())),
            _f("alpha_id", vector(k_id)),
            _f("alpha_id_std", vector(k_id)),
            _f("neutral_landmarks_m", vector(204)),
            _f("offset_m", vector(204)),
            _f("neutral_frames", pa.list_(used)),
            _f("rmse_px", pa.float32()),
            _f("rmse_iod", pa.float32()),
            *(neutral_fields(WORD) if version > 2 else []),
            *([_f("neutral_dense_m", vector(3 * n_dense))] if n_dense else []),
        ]
    )


def coefficients_schema(k_au: int, version: int = SCHEMA_VERSION["coefficients"], n_intensity: int = 0) -> pa.Schema:
    """Row per RGB frame: action units, pose, openings, and `n_intensity` intensities if the basis has them."""
    return pa.schema(
        [
            _f("frame_index", pa.int32()),
            _f("t_rgb_us", pa.int64()),
            _f("status", WORD),
            _f("flags", pa.list_(pa.string())),
            _f("landmark_score", pa.float32(), nullable=True),
            _f("alpha_au", vector(k_au), nullable=True),
            _f("alpha_au_std", vector(k_au), nullable=True),
            *_pose_fields(),
            _f("camera", vector(8), nullable=True),
            _f("iod_px", pa.float32(), nullable=True),
            *_later_fields(version),
            *(_f(name, vector(n_intensity, True), True) for name in INTENSITIES if n_intensity),
        ]
    )


def event_frames_schema(n_bytes: int, version: int = SCHEMA_VERSION["event_frames"]) -> pa.Schema:
    """Row per event frame; `pixels` holds `n_bytes` bytes, whose shape and dtype are in the metadata."""
    return pa.schema(
        [
            _f("event_frame_index", pa.int32()),
            _f("t_start_us", pa.int64()),
            _f("t_end_us", pa.int64()),
            _f("n_events", pa.int64()),
            _f("status", WORD),
            *([_f("n_saturated", pa.int32())] if version > 1 else []),
            _f("pixels", pa.binary(n_bytes)),
        ]
    )


def labels_schema(k_au: int, version: int = SCHEMA_VERSION["labels"], n_intensity: int = 0) -> pa.Schema:
    """Row per event frame: what training reads, with `n_intensity` intensities if the basis has them."""
    return pa.schema(
        [
            _f("session_id", WORD),
            _f("subject_id", WORD),
            _f("event_frame_index", pa.int32()),
            _f("t_start_us", pa.int64()),
            _f("t_end_us", pa.int64()),
            _f("t_label_us", pa.int64()),
            _f("n_events", pa.int64()),
            _f("rgb_frame_index", pa.int32(), nullable=True),
            _f("dt_us", pa.int64(), nullable=True),
            _f("align", WORD),
            _f("status", WORD),
            _f("flags", pa.list_(pa.string())),
            _f("landmark_score", pa.float32(), nullable=True),
            _f("alpha_au", vector(k_au), nullable=True),
            _f("alpha_au_std", vector(k_au), nullable=True),
            *_pose_fields(),
            *_later_fields(version),
            *(_f(name, vector(n_intensity, True), True) for name in INTENSITIES if n_intensity),
        ]
    )


def predictions_schema(n_classes: int, n_alpha: int, n_occurrence: int) -> pa.Schema:
    """Row per event frame: what a trained model says of the clip that ends with it; 0: it says nothing of that."""
    return pa.schema(
        [
            _f("event_frame_index", pa.int32()),
            _f("t_start_us", pa.int64()),
            _f("t_end_us", pa.int64()),
            _f("n_events", pa.int64()),
            _f("n_frames", pa.int32()),
            _f("status", WORD),
            *([_f("class", WORD, True), _f("probabilities", vector(n_classes), True)] if n_classes else []),
            *([_f("alpha_au", vector(n_alpha), True)] if n_alpha else []),
            *([_f("occurrence", vector(n_occurrence), True)] if n_occurrence else []),
        ]
    )


def _later_fields(version: int) -> list[pa.Field]:
    return [_f(name, pa.float32(), nullable=True) for name, since in LATER.items() if version >= since]


def _pose_fields() -> list[pa.Field]:
    return [
        _f("rotation_vector", vector(3), nullable=True),
        _f("scale_px_per_m", pa.float32(), nullable=True),
        _f("translation_px", vector(2), nullable=True),
        _f("rmse_px", pa.float32(), nullable=True),
        _f("rmse_iod", pa.float32(), nullable=True),
        _f("dof", pa.float32(), nullable=True),
    ]
