"""The consolidated labels of a dataset: the labels of all recordings one after another, in Parquet files of one schema.

Whatever the number of recordings, one row group is in memory at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from au3dmm.errors import SchemaError
from au3dmm.io import tables
from au3dmm.io.atomic import remove_leftovers
from au3dmm.io.table_schemas import INTENSITIES, LATER, SCHEMA_VERSION, labels_schema
from au3dmm.io.tables import check_kind, metadata_of, read_footer, write_batches

KIND = "dataset_labels"
GROUP_ROWS = 65_536
PART_ROWS = 16 * GROUP_ROWS
NAME = pa.dictionary(pa.int32(), pa.string())
"""A column of names, of which a dataset may have thousands."""
_WORD = pa.dictionary(pa.int8(), pa.string())
_PIECES = 256  # a table of a few rows takes far more memory than its rows
_ADDED = ("au", "task", "split", "fold")


@dataclass(frozen=True)
class LabelSource:
    """The labels of one recording, and what every row of them gets.

    Attributes
    ----------
    path : Path
        Its `labels.parquet`.
    rows : int
        Rows in it.
    session_id, subject_id : str
        Which recording, and of whom.
    au, task, split, fold
        See `sessions.parquet`.
    """

    path: Path
    rows: int
    session_id: str
    subject_id: str
    au: str | None = None
    task: str | None = None
    split: str | None = None
    fold: int | None = None


def dataset_labels_schema(
    k_au: int, version: int = SCHEMA_VERSION["dataset_labels"], n_intensity: int = 0
) -> pa.Schema:
    """Row per event frame of every recording: the columns of labels, then ``au``, ``task``, ``split``, ``fold``."""
    fields = [
        pa.field(field.name, NAME, nullable=False) if field.name in ("session_id", "subject_id") else field
        for field in labels_schema(k_au, version, n_intensity)
    ]
    kinds = {"au": NAME, "task": NAME, "split": _WORD, "fold": pa.int8()}
    return pa.schema([*fields, *(pa.field(name, kinds[name], nullable=True) for name in _ADDED)])


def part_path(folder: Path, number: int) -> Path:
    """Return the path of one of the files."""
    return folder / f"part-{number:05d}.parquet"


def label_parts(folder: Path) -> list[Path]:
    """Return the files of consolidated labels, in order."""
    return sorted(folder.glob("part-*.parquet"))


def write_label_parts(
    folder: Path,
    sources: Sequence[LabelSource],
    k_au: int,
    metadata: Mapping[str, Any],
    progress: Callable[[int, int | None], None] | None = None,
    *,
    n_intensity: int = 0,
) -> list[Path]:
    """Write the labels of all recordings, in the order given, into ``part-00000.parquet`` and so on.

    Parameters
    ----------
    folder : Path
        Where to; what an earlier, larger dataset left is removed.
    sources : sequence of LabelSource
        The recordings.
    k_au : int
        Coefficients of all of them.
    metadata : mapping
        For every file.
    progress : callable, optional
        Called with recordings done and recordings in all.
    n_intensity : int
        Intensities of all of them; labels from before there were any have nulls.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SchemaError
        If a table is not what was said of it.
    OutputError
        If a file cannot be written.
    """
    schema = dataset_labels_schema(k_au, n_intensity=n_intensity)
    total = sum(source.rows for source in sources)
    groups = _groups(_tables(sources, schema, progress))
    parts: list[Path] = []
    written = 0
    for number in range(-(-total // PART_ROWS)):
        path = part_path(folder, number)
        seen: list[int] = []
        some = itertools.islice(groups, PART_ROWS // GROUP_ROWS)
        write_batches(path, KIND, schema, _counted(some, seen), metadata, GROUP_ROWS)
        written += sum(seen)
        parts.append(path)
    rest = sum(len(table) for table in groups)
    assert (written, rest) == (total, 0), "every row once"
    for path in label_parts(folder):
        if path not in parts:
            path.unlink()
    if folder.is_dir():
        remove_leftovers(folder)
    return parts


def iter_labels(
    folder: Path, columns: Sequence[str] | None = None, split: str | None = None, fold: int | None = None
) -> Iterator[pa.Table]:
    """Read consolidated labels, one row group after another.

    Parameters
    ----------
    folder : Path
        ``dataset/labels``.
    columns : sequence of str, optional
        Which; default: all. What older versions did not have (`table_schemas.LATER`) is null.
    split, fold : optional
        Only rows of this part.

    Raises
    ------
    SchemaError
        If a file is not what it should be.
    """
    wanted = {"split": split, "fold": fold}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    for path in label_parts(folder):
        check_kind(path, read_footer(path)[1], KIND)
        try:
            with pq.ParquetFile(path) as file:
                there = file.schema_arrow.names
                names = _names_now(there) if columns is None else list(columns)
                lacking = [name for name in LATER if name in names and name not in there]
                read = [*names, *(name for name in wanted if name not in names)]
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number, columns=[name for name in read if name not in lacking])
                    for name in lacking:
                        table = table.append_column(pa.field(name, pa.float32()), pa.nulls(len(table), pa.float32()))
                    for name, value in wanted.items():
                        column = table[name]
                        if pa.types.is_dictionary(column.type):
                            column = column.cast(pa.string())
                        table = table.filter(pc.fill_null(pc.equal(column, value), False))
                    yield table.select(names)
        except (pa.ArrowException, OSError) as err:
            raise SchemaError(f"{path}: cannot be read as Parquet: {err}") from err


def _names_now(there: list[str]) -> list[str]:
    """Return the columns of a file of any version, and those that came later, in today's order."""
    place = there.index(_ADDED[0]) if _ADDED[0] in there else len(there)
    return [*there[:place], *(name for name in LATER if name not in there), *there[place:]]


def read_labels_dataset(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read consolidated labels whole.

    Raises
    ------
    SchemaError
        If there are none, or a file is not what it should be.
    """
    parts = label_parts(folder)
    if not parts:
        raise SchemaError(f"{folder}: no part-*.parquet in it; expected consolidated labels; au3dmm run writes them")
    metadata = read_footer(parts[0])[0].metadata[tables.METADATA_KEY]
    table = pa.concat_tables(iter_labels(folder, columns))
    return table.replace_schema_metadata({tables.METADATA_KEY: metadata})


def read_label_table(path: Path, kind: str = "labels") -> tuple[pa.Table, dict[str, Any]]:
    """Read a table and its metadata, opening the file once: datasets have thousands.

    Raises
    ------
    SchemaError
        If the file is missing, damaged or another table.
    """
    try:
        with pq.ParquetFile(path) as file:
            metadata = metadata_of(path, file.metadata)
            check_kind(path, metadata, kind)
            # a pool of threads takes longer to start than a small table to read
            return file.read(use_threads=file.metadata.num_rows > 20_000), metadata
    except (pa.ArrowException, OSError) as err:
        raise SchemaError(f"{path}: cannot be read as Parquet: {err}") from err


def plain(table: pa.Table) -> pa.Table:
    """Turn words into text: not everybody reads dictionaries."""
    columns = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    fields = [
        pa.field(f.name, c.type, nullable=f.nullable, metadata=f.metadata)
        for f, c in zip(table.schema, columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def _tables(
    sources: Sequence[LabelSource], schema: pa.Schema, progress: Callable[[int, int | None], None] | None
) -> Iterator[pa.Table]:
    for done, source in enumerate(sources, 1):
        yield with_constants(source, read_label_table(source.path)[0], schema)
        if progress is not None:
            progress(done, len(sources))


def with_constants(source: LabelSource, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the labels of one recording the columns that consolidated labels have.

    Raises
    ------
    SchemaError
        If they are of another recording, or have other rows or columns than was said.
    """
    n = len(table)
    if n != source.rows:
        raise SchemaError(f"{source.path}: {n} rows, expected the {source.rows} that it had a moment ago; run again")
    named: dict[str, Any] = {"session_id": source.session_id, "subject_id": source.subject_id}
    for column, name in named.items():
        found = table[column].unique().to_pylist() if column in table.column_names else []
        if found not in ([name], []):
            raise SchemaError(
                f"{source.path}: {column} {', '.join(map(repr, found))}, expected {name!r}; it is of another recording:"
                " delete it and run au3dmm again"
            )
    named |= {name: getattr(source, name) for name in _ADDED}
    columns = []
    for field in schema:
        if field.name in named:
            columns.append(_constant(named[field.name], n, field.type))
        elif field.name in table.column_names and table.schema.field(field.name).type.equals(field.type):
            columns.append(table[field.name])
        elif field.name in (*LATER, *INTENSITIES) and field.name not in table.column_names:
            columns.append(pa.nulls(n, field.type))  # older labels: whoever withdraws is forgotten there, too
        else:
            raise SchemaError(f"{source.path}: no column {field.name} of {field.type}; delete it and run au3dmm again")
    return pa.Table.from_arrays(columns, schema=schema)


def _constant(value: object, n: int, kind: pa.DataType) -> pa.Array:
    if value is None:
        return pa.nulls(n, kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array([0] * n, kind.index_type), pa.array([str(value)]))
    return pa.array([value] * n, kind)


def _groups(batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut tables of any length into tables of `GROUP_ROWS`; the last may be shorter."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in batches:
        waiting.append(table)
        rows += len(table)
        if len(waiting) >= _PIECES:
            waiting = [_whole(pa.concat_tables(waiting))]
        while rows >= GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            yield _whole(joined.slice(0, GROUP_ROWS))
            waiting = [joined.slice(GROUP_ROWS)]
            rows -= GROUP_ROWS
    if rows:
        yield _whole(pa.concat_tables(waiting))


def _whole(table: pa.Table) -> pa.Table:
    # one chunk per column: where dictionaries differ from chunk to chunk, Parquet gives up its own
    return table.unify_dictionaries().combine_chunks()


def _counted(batches: Iterable[pa.Table], seen: list[int]) -> Iterator[pa.Table]:
    for table in batches:
        seen.append(len(table))
        yield table
