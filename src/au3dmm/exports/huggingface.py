"""A folder as the Hugging Face hub and `datasets` read it: Parquet per split, configurations in the README's head.

Words are text here: many readers of `datasets` do not take Arrow's dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from au3dmm.exports.selection import NO_PART, Selection
from au3dmm.io.label_dataset import GROUP_ROWS, PART_ROWS, plain
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.tables import METADATA_KEY

Progress = Callable[[int, int | None], None]
_NAMES = {"val": "validation"}


def write_huggingface(selection: Selection, folder: Path, progress: Progress | None = None) -> int:
    """Write the Parquet files; return the number of rows of labels. `configurations` says what is where."""
    done, total = 0, sum(row.frames_event for row in selection.rows)
    metadata = _metadata(selection)
    parts = selection.parts()
    schema = plain(pa.schema(selection.label_fields).empty_table()).schema
    for part, rows in parts.items():
        n = sum(row.frames_event for row in rows)
        shards = -(-n // PART_ROWS) if part == NO_PART else max(1, -(-n // PART_ROWS))
        batches = (plain(table) for table in selection.labels(part=part))
        groups = _rows_of(batches, GROUP_ROWS)
        for shard in range(shards):
            path = folder / "data" / f"{hub_split(part)}-{shard:05d}-of-{shards:05d}.parquet"
            some = islice(groups, PART_ROWS // GROUP_ROWS)
            done += _write(path, some, schema.with_metadata(metadata))
            if progress:
                progress(done, total)
        _write(folder / "sessions" / f"{hub_split(part)}.parquet", [selection.sessions_table(rows)])
        if selection.options.landmarks:
            _write(folder / "landmarks" / f"{hub_split(part)}.parquet", _landmarks(selection, rows))
    said = selection.annotations_table()
    if len(said):
        _write(folder / "annotations" / "everything.parquet", [said])
    if selection.options.identity:
        _write(folder / "identity" / "everything.parquet", [selection.identities()])
    return done


def configurations(folder: Path) -> list[dict[str, Any]]:
    """Return the ``configs`` of the README's head, for the files that are there."""
    found = []
    for name, place in {
        "labels": "data",
        **{n: n for n in ("sessions", "annotations", "landmarks", "identity")},
    }.items():
        files = sorted(path.name for path in (folder / place).glob("*.parquet"))
        splits = list(dict.fromkeys(file.removesuffix(".parquet").split("-")[0] for file in files))
        if not splits:
            continue
        order = {"train": 0, "validation": 1, "test": 2}
        splits.sort(key=lambda split: (order.get(split, 3), split))
        data = [
            {"split": s, "path": f"{place}/{s}-*.parquet" if place == "data" else f"{place}/{s}.parquet"}
            for s in splits
        ]
        found.append({"config_name": name, "data_files": data} | ({"default": True} if name == "labels" else {}))
    return found


def hub_split(part: str) -> str:
    """Name a part as the hub does.

    Examples
    --------
    >>> [hub_split(part) for part in ("train", "val", "fold 3")]
    ['train', 'validation', 'fold_3']
    """
    return _NAMES.get(part, part.replace(" ", "_"))


def _landmarks(selection: Selection, rows: Sequence[IndexRow]) -> Iterator[pa.Table]:
    for row in rows:
        if row.status != "failed":
            table = selection.landmarks(row).replace_schema_metadata(None)
            for at, (name, value) in enumerate((("session_id", row.session_id), ("subject_id", row.subject_id))):
                table = table.add_column(at, pa.field(name, pa.string()), pa.array([value] * len(table), pa.string()))
            yield table


def _metadata(selection: Selection) -> dict[bytes, bytes]:
    kept = (
        "basis",
        "detector",
        "landmark_scheme",
        "align",
        "windows",
        "clock",
        "units",
        "dataset",
        "splits",
        "package",
    )
    said = {key: selection.metadata[key] for key in kept if key in selection.metadata}
    text = json.dumps({"export": "huggingface", **said}, sort_keys=True, ensure_ascii=False)
    return {METADATA_KEY: text.encode()}


def _rows_of(batches: Iterable[pa.Table], n: int) -> Iterator[pa.Table]:
    """Cut tables of any length, the empty ones included, into tables of `n` rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in batches:
        waiting.append(table)
        rows += len(table)
        while rows >= n:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, n).combine_chunks()
            waiting, rows = [joined.slice(n)], rows - n
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def _write(path: Path, tables: Iterable[pa.Table], schema: pa.Schema | None = None) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            writer = writer or _writer(path, schema or table.schema)
            writer.write_table(table.replace_schema_metadata(writer.schema.metadata), row_group_size=GROUP_ROWS)
            rows += len(table)
        if writer is None and schema is not None:
            writer = _writer(path, schema)  # a part whose sessions all failed
    finally:
        if writer is not None:
            writer.close()
    return rows


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    floats = [f"{f.name}.list.element" for f in schema if pa.types.is_fixed_size_list(f.type)]
    words = [f.name for f in schema if pa.types.is_string(f.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=words or False,
        use_byte_stream_split=floats or False,
    )
