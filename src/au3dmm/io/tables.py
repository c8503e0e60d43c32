"""The Parquet tables: their schemas, how they are written and read, and vectors in and out of them.

Version history (docs/formats.md describes each column)
-------------------------------------------------------
landmarks 1, identity 1, coefficients 1, event_frames 1, labels 1 : first.
dataset_labels 1, sessions 1, annotations 1 : first; of a whole dataset (io/label_dataset.py, io/sessions_index.py,
    io/annotations.py).
identity 2 : neutral_dense_m, where dense points were fitted.
identity 3 : how far the neutral face can be believed (io/identity_columns.py).
coefficients 2, labels 2, dataset_labels 2 : aperture_left, aperture_right, mouth_open.
coefficients 3, labels 3, dataset_labels 3 : confidence; alpha_au_std covers what it says; au_intensity, au_intensity_std, if the
    basis has intensities.
event_frames 2 : n_saturated; shapes are (channels, height, width), and the metadata says what stored numbers mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import au3dmm
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import atomic_path
from au3dmm.io.identity_columns import neutral_fields

METADATA_KEY = b"au3dmm"
SCHEMA_VERSION = {
    "landmarks": 1,
    "identity": 3,
    "coefficients": 3,
    "event_frames": 2,
    "labels": 3,
    "dataset_labels": 3,
    "sessions": 1,
    "annotations": 1,
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
    "not_neutral_start",
    "neutral_doubtful",
    "two_subjects",
    "interpolated",
)

_WORD = pa.dictionary(pa.int8(), pa.string())


def vector(length: int, nullable: bool = False) -> pa.DataType:
    """Return the type of a column of vectors of `length` float32; with `nullable`, single values may be missing."""
    return pa.list_(pa.field("element", pa.float32(), nullable=nullable), length)


def _f(name: str, kind: pa.DataType, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


def landmarks_schema(n_dense: int = 0) -> pa.Schema:
    """Row per RGB frame. `n_dense` is the number of dense landmarks the detector gives, 0 if it gives none."""
    fields = [
        _f("frame_index", pa.int32()),
        _f("t_rgb_us", pa.int64()),
        _f("status", _WORD),
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
    return pa.schema(fields)


def identity_schema(k_id: int, n_dense: int = 0, version: int = SCHEMA_VERSION["identity"]) -> pa.Schema:
    """One row: the neutral face of a subject. `n_dense` is the number of dense points fitted beside the 68."""
    used = pa.struct([_f("session_id", pa.string()), _f("frame_index", pa.int32())])
    return pa.schema(
        [
            _f("subject_id", pa.string()),
            _f("session_ids", pa.list_(pa.string())),
            _f("status", _WORD),
            _f("flags", pa.list_(pa.string())),
            _f("alpha_id", vector(k_id)),
            _f("alpha_id_std", vector(k_id)),
            _f("neutral_landmarks_m", vector(204)),
            _f("offset_m", vector(204)),
            _f("neutral_frames", pa.list_(used)),
            _f("rmse_px", pa.float32()),
            _f("rmse_iod", pa.float32()),
            *(neutral_fields(_WORD) if version > 2 else []),
            *([_f("neutral_dense_m", vector(3 * n_dense))] if n_dense else []),
        ]
    )


def coefficients_schema(k_au: int, version: int = SCHEMA_VERSION["coefficients"], n_intensity: int = 0) -> pa.Schema:
    """Row per RGB frame: action units, pose, openings, and `n_intensity` intensities if the basis has them."""
    return pa.schema(
        [
            _f("frame_index", pa.int32()),
            _f("t_rgb_us", pa.int64()),
            _f("status", _WORD),
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
            _f("status", _WORD),
            *([_f("n_saturated", pa.int32())] if version > 1 else []),
            _f("pixels", pa.binary(n_bytes)),
        ]
    )


def labels_schema(k_au: int, version: int = SCHEMA_VERSION["labels"], n_intensity: int = 0) -> pa.Schema:
    """Row per event frame: what training reads, with `n_intensity` intensities if the basis has them."""
    return pa.schema(
        [
            _f("session_id", _WORD),
            _f("subject_id", _WORD),
            _f("event_frame_index", pa.int32()),
            _f("t_start_us", pa.int64()),
            _f("t_end_us", pa.int64()),
            _f("t_label_us", pa.int64()),
            _f("n_events", pa.int64()),
            _f("rgb_frame_index", pa.int32(), nullable=True),
            _f("dt_us", pa.int64(), nullable=True),
            _f("align", _WORD),
            _f("status", _WORD),
            _f("flags", pa.list_(pa.string())),
            _f("landmark_score", pa.float32(), nullable=True),
            _f("alpha_au", vector(k_au), nullable=True),
            _f("alpha_au_std", vector(k_au), nullable=True),
            *_pose_fields(),
            *_later_fields(version),
            *(_f(name, vector(n_intensity, True), True) for name in INTENSITIES if n_intensity),
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


def vector_array(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """Turn (N, ...) numbers into a column of N flat float32 vectors, null where `valid` (N,) is False.

    Examples
    --------
    >>> vector_array(np.arange(4.0).reshape(2, 2), np.array([True, False])).to_pylist()
    [[0.0, 1.0], None]
    """
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(len(values), -1)
    mask = None
    if valid is not None and not np.all(valid):
        flat = np.where(valid[:, None], flat, np.float32(0))  # equal tables give equal bytes
        mask = pa.array(~valid)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), type=vector(flat.shape[1]), mask=mask)


def scalar_array(values: NDArray[Any], valid: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Turn (N,) numbers into a column of type `kind`, null where `valid` (N,) is False."""
    return pa.array(np.where(valid, values, 0), mask=~valid).cast(kind)


def word_array(words: Sequence[str]) -> pa.Array:
    """Turn words such as statuses into a dictionary column."""
    return pa.array(list(words), type=pa.string()).dictionary_encode().cast(_WORD)


def vectors(table: pa.Table, column: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a column of vectors without losing its null rows.

    Arrow's own ``flatten()`` drops null rows silently, which shifts every later row.

    Parameters
    ----------
    table : pyarrow.Table
        Any table of au3dmm.
    column : str
        A column of fixed-size vectors, for example ``"alpha_au"``.

    Returns
    -------
    values : (N, K) float32 array
        One row per row of the table; NaN where the row is null.
    valid : (N,) bool array
        False where the row is null.

    Raises
    ------
    SchemaError
        If there is no such column, or it does not hold vectors.
    """
    if column not in table.column_names:
        raise SchemaError(f"no column {column!r}; there are: {', '.join(table.column_names)}")
    kind = table.schema.field(column).type
    if not pa.types.is_fixed_size_list(kind):
        raise SchemaError(f"column {column!r} is {kind}, not a column of vectors")
    array = table.column(column).combine_chunks()
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    values = np.empty((len(table), kind.list_size), np.float32)
    row = 0
    for chunk in chunks:
        start = chunk.offset * kind.list_size
        part = chunk.values.to_numpy(zero_copy_only=False)[start : start + len(chunk) * kind.list_size]
        values[row : row + len(chunk)] = part.reshape(len(chunk), kind.list_size)
        row += len(chunk)
    valid = np.asarray(table.column(column).is_valid().to_numpy())
    values[~valid] = np.nan
    return values, valid


def names_au(table: pa.Table) -> list[str]:
    """Return the name of each coefficient of ``alpha_au`` in a table of labels or coefficients.

    Raises
    ------
    SchemaError
        If the table does not say.
    """
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    names = json.loads(text).get("basis", {}).get("names_au") if text else None
    if not names:
        raise SchemaError("this table does not name its coefficients; read it with au3dmm.read_labels(path)")
    return [str(name) for name in names]


def action_units(table: pa.Table) -> list[list[str]]:
    """Return the action units that each coefficient of ``alpha_au`` goes with, the strongest first.

    For a basis that `fit_bases` learnt: those whose tags the component follows (docs/formats.md). For a basis that does
    not say, the coefficient's own name, if it is that of an action unit (``AU12_left``).

    Raises
    ------
    SchemaError
        If the table does not name its coefficients.
    """
    names = names_au(table)
    found = json.loads(table.schema.metadata[METADATA_KEY]).get("basis", {}).get("action_units")
    if isinstance(found, list) and len(found) == len(names):
        return [[str(unit) for unit in units] for units in found]
    return [[name] if name.startswith("AU") else [] for name in names]


def write_table(path: Path, kind: str, table: pa.Table, metadata: Mapping[str, Any], rows: int = 65536) -> None:
    """Write `table` atomically as Parquet with `metadata`; see `write_batches`.

    Parameters
    ----------
    path : Path
        The file to write.
    kind : str
        Which table it is: a key of `SCHEMA_VERSION`.
    table : pyarrow.Table
        Its columns in the order of the schema.
    metadata : mapping
        What made it: stage, fingerprint, params, units, counts.
    rows : int
        Rows per row group.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_batches(path, kind, table.schema, [table], metadata, rows)


def write_batches(
    path: Path,
    kind: str,
    schema: pa.Schema,
    batches: Iterable[pa.Table],
    metadata: Mapping[str, Any],
    rows: int = 65536,
) -> None:
    """Write tables of one `schema` one after another into one Parquet file, atomically, holding one at a time.

    `metadata` goes in as JSON under the key ``au3dmm``. Equal tables and metadata give equal bytes: there is no
    wall-clock time in them. Each batch begins a row group, so batches of `rows` rows are what readers like.
    Pictures are compressed by LZ4, which reads twice as fast as zstd, in files half as large again
    (docs/benchmarks.md).

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    stamp = {
        "table": kind,
        "schema_version": SCHEMA_VERSION[kind],
        "package": f"au3dmm {au3dmm.__version__}",
        **metadata,
    }
    text = json.dumps(stamp, sort_keys=True, ensure_ascii=False)
    schema = schema.with_metadata({METADATA_KEY: text.encode()})
    floats = [f"{field.name}.list.element" for field in schema if pa.types.is_fixed_size_list(field.type)]
    words = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    pictures = [field.name for field in schema if pa.types.is_fixed_size_binary(field.type)]
    others = [name for name in schema.names if name not in pictures]
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 3}
    if pictures:  # the least and the greatest picture tell nobody anything
        how = {
            "compression": dict.fromkeys(others, "zstd") | dict.fromkeys(pictures, "lz4"),
            "compression_level": dict.fromkeys(others, 3),
            "write_statistics": others,
        }
    with (
        atomic_path(path) as tmp,
        pq.ParquetWriter(
            tmp,
            schema,
            use_dictionary=words or False,
            use_byte_stream_split=floats or False,
            **how,
        ) as writer,
    ):
        for batch in batches:
            writer.write_table(batch.replace_schema_metadata(schema.metadata), row_group_size=rows)


def read_table(path: Path, kind: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one of our tables whole.

    Raises
    ------
    SchemaError
        If the file is missing, is not Parquet, is not an au3dmm table, or is another table than `kind`.
    """
    # not pq.read_table: what makes it good at folders costs three times as much for a clip's table
    with _opened(path, pq.ParquetFile) as file:
        check_kind(path, metadata_of(path, file.metadata), kind)
        missing = sorted(set(columns or ()) - set(file.schema_arrow.names))
        if missing:
            raise SchemaError(f"{path}: no column {', '.join(missing)}; it has {', '.join(file.schema_arrow.names)}")
        try:
            return file.read(None if columns is None else list(columns), use_threads=False)
        except (pa.ArrowException, OSError) as err:
            raise SchemaError(f"{path}: cannot be read as Parquet: {err}") from err


def check_kind(path: Path, metadata: Mapping[str, Any], kind: str | None = None) -> None:
    """Refuse the table at `path`, which says `metadata` of itself, if it is not `kind` or newer than this au3dmm.

    Raises
    ------
    SchemaError
        What it is, and what was expected.
    """
    found, version = metadata.get("table"), metadata.get("schema_version")
    if kind is not None and found != kind:
        raise SchemaError(f"{path}: this is a table of {found}, expected {kind}")
    if found not in SCHEMA_VERSION or version not in range(1, SCHEMA_VERSION[found] + 1):
        raise SchemaError(
            f"{path}: {found} schema version {version}, but au3dmm {au3dmm.__version__} reads up to"
            f" {SCHEMA_VERSION.get(str(found), 0)}; update au3dmm or make the file again"
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata that au3dmm wrote into a Parquet file.

    Raises
    ------
    SchemaError
        If the file is missing, cut short, or not written by au3dmm.
    """
    return read_footer(path)[1]


def read_footer(path: Path) -> tuple[pq.FileMetaData, dict[str, Any]]:
    """Return what Parquet knows of a file without its rows, and the JSON metadata that au3dmm wrote into it.

    Raises
    ------
    SchemaError
        If the file is missing, cut short, or not written by au3dmm.
    """
    footer = _opened(path, pq.read_metadata)
    return footer, metadata_of(path, footer)


def _opened(path: Path, how: Callable[[Path], Any]) -> Any:
    try:
        return how(path)
    except FileNotFoundError as err:
        raise SchemaError(f"{path}: no such file") from err
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except pa.ArrowException as err:
        raise SchemaError(f"{path}: not a Parquet file, or cut short: {err}") from err


def metadata_of(path: Path, footer: pq.FileMetaData) -> dict[str, Any]:
    """Return the JSON metadata that au3dmm wrote into the file at `path`, whose footer was read.

    Raises
    ------
    SchemaError
        If there is none.
    """
    text = (footer.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise SchemaError(f"{path}: Parquet, but not written by au3dmm (no {METADATA_KEY.decode()!r} metadata)")
    value: dict[str, Any] = json.loads(text)
    return value
