"""The Parquet tables: how they are written and read, and vectors in and out of them."""

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
from au3dmm.io.table_schemas import SCHEMA_VERSION, WORD, vector

METADATA_KEY = b"au3dmm"


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
    return pa.array(list(words), type=pa.string()).dictionary_encode().cast(WORD)


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
