"""What a table on disk is, without reading its rows: kind, columns, number of rows, metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from au3dmm.errors import SchemaError
from au3dmm.io import table_schemas, tables
from au3dmm.io.annotations import annotations_schema
from au3dmm.io.label_dataset import dataset_labels_schema
from au3dmm.io.sessions_index import sessions_schema


@dataclass(frozen=True)
class TableInfo:
    """A table of ours as its file describes it.

    Attributes
    ----------
    path : Path
        The file.
    kind : str
        Which table: ``labels``, ``coefficients``, ...
    version : int
        Its schema version.
    n_rows : int
        Rows.
    schema : pyarrow.Schema
        Its columns.
    metadata : dict
        What made it.
    """

    path: Path
    kind: str
    version: int
    n_rows: int
    schema: pa.Schema
    metadata: dict[str, Any]

    @property
    def small_columns(self) -> list[str]:
        """Names of the columns that fit in memory: all but pictures."""
        return [f.name for f in self.schema if not pa.types.is_fixed_size_binary(f.type)]


def read_table_info(path: Path) -> TableInfo:
    """Read what a table is.

    Raises
    ------
    SchemaError
        If the file is missing, cut short, not written by au3dmm, or newer than this au3dmm.
    """
    footer, metadata = tables.read_footer(path)
    tables.check_kind(path, metadata)
    schema = footer.schema.to_arrow_schema().remove_metadata()
    return TableInfo(path, metadata["table"], metadata["schema_version"], footer.num_rows, schema, metadata)


def read_rows(info: TableInfo, columns: Sequence[str]) -> pa.Table:
    """Read columns of a table whose description was read: cheaper than `read_table` where there are thousands.

    Raises
    ------
    SchemaError
        If the rows cannot be read.
    """
    try:
        with pq.ParquetFile(info.path) as file:
            # a pool of threads takes longer to start than a small table to read
            return file.read(columns=list(columns), use_threads=info.n_rows > 20_000)
    except (pa.ArrowException, OSError) as err:
        raise SchemaError(f"{info.path}: cannot be read as Parquet: {err}") from err


def type_name(kind: pa.DataType) -> str:
    """Name a column's type shortly.

    Examples
    --------
    >>> type_name(table_schemas.vector(30)), type_name(pa.list_(pa.string())), type_name(pa.int64())
    ('float[30]', 'list of string', 'int64')
    >>> type_name(pa.binary(9))
    'bytes[9]'
    """
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.value_type}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_dictionary(kind):
        return "word"
    if pa.types.is_struct(kind):
        return "(" + ", ".join(f"{f.name} {type_name(f.type)}" for f in kind) + ")"
    if pa.types.is_fixed_size_binary(kind):
        return f"bytes[{kind.byte_width}]"
    return str(kind)


def schema_differences(info: TableInfo) -> list[str]:
    """Say in which columns a table differs from its schema; empty if in none.

    The number of components, of dense landmarks and of bytes per picture is taken from the table itself.
    """
    expected = _expected(info)
    found = {f.name: f for f in info.schema}
    differences = []
    for field in expected:
        mine = found.pop(field.name, None)
        if mine is None:
            differences.append(f"no column {field.name}")
        elif not mine.type.equals(field.type):
            differences.append(f"column {field.name} is {type_name(mine.type)}, expected {type_name(field.type)}")
        elif mine.nullable != field.nullable:
            differences.append(f"column {field.name} is {'' if mine.nullable else 'not '}nullable")
    differences += [f"unknown column {name}" for name in found]
    if not differences and info.schema.names != expected.names:
        differences.append(f"columns in the order {', '.join(info.schema.names)}")
    return differences


def _expected(info: TableInfo) -> pa.Schema:
    if info.kind == "landmarks":
        checked = info.version > 1 and "disagreement_iod" in info.schema.names
        return table_schemas.landmarks_schema(_length(info.schema, "dense_px", 0) // 3, checked)
    if info.kind == "identity":
        return table_schemas.identity_schema(
            _length(info.schema, "alpha_id", 1), _length(info.schema, "neutral_dense_m", 0) // 3, info.version
        )
    if info.kind == "coefficients":
        return table_schemas.coefficients_schema(*_sizes(info))
    if info.kind == "labels":
        return table_schemas.labels_schema(*_sizes(info))
    if info.kind == "dataset_labels":
        return dataset_labels_schema(*_sizes(info))
    if info.kind == "sessions":
        return sessions_schema()
    if info.kind == "annotations":
        return annotations_schema()
    return table_schemas.event_frames_schema(_length(info.schema, "pixels", 1), info.version)


def _sizes(info: TableInfo) -> tuple[int, int, int]:
    """Return coefficients, version and intensities of a table."""
    intensities = _length(info.schema, table_schemas.INTENSITIES[0], 0) if info.version > 2 else 0
    return _length(info.schema, "alpha_au", 1), info.version, intensities


def _length(schema: pa.Schema, column: str, otherwise: int) -> int:
    index = schema.get_field_index(column)
    if index < 0:
        return otherwise
    kind = schema.field(index).type
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    return int(kind.byte_width) if pa.types.is_fixed_size_binary(kind) else otherwise
