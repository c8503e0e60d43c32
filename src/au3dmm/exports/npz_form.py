"""npz: arrays of numbers that `numpy.load` reads without pickle; NaN, or -1, where there is no value."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.exports.selection import Selection
from au3dmm.io.table_schemas import FLAGS
from au3dmm.io.tables import vectors

Progress = Callable[[int, int | None], None]
Arrays = Iterator[tuple[str, NDArray[Any]]]


def write_npz_files(selection: Selection, folder: Path, progress: Progress | None = None) -> int:
    """Write `labels.npz`, `sessions.npz` and `annotations.npz`; return the number of rows of labels."""
    total = sum(row.frames_event for row in selection.rows)
    write_arrays(folder / "labels.npz", _labels(selection))
    if progress:
        progress(total, total)
    write_arrays(folder / "sessions.npz", _table(selection.sessions_table()))
    write_arrays(folder / "annotations.npz", _table(selection.annotations_table()))
    if selection.options.identity:
        write_arrays(folder / "identity.npz", _table(selection.identities()))
    if selection.options.landmarks:
        for row in selection.rows:
            if row.status != "failed":
                write_arrays(folder / "landmarks" / f"{row.session_id}.npz", frame_arrays(selection.landmarks(row)))
    return total


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an npz whose bytes depend on nothing but the arrays, holding one of them at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as z:
        for name, array in arrays:
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o600 << 16
            with z.open(member, "w", force_zip64=True) as f:
                np.lib.format.write_array(f, np.ascontiguousarray(array), allow_pickle=False)


def frame_arrays(table: pa.Table) -> Arrays:
    """Return ``landmarks`` (T, 68, 3) and ``boxes`` (T, 4) of RGB frames, px, NaN where there are none."""
    yield "frame_index", table["frame_index"].to_numpy()
    yield "t_rgb_us", table["t_rgb_us"].to_numpy()
    yield "status", _text(table["status"])
    boxes, _ = vectors(table, "box_px")
    yield "boxes", boxes
    points, valid = vectors(table, "landmarks_px")
    yield "landmarks", points.reshape(-1, 68, 3)
    yield "valid", valid
    yield "score", numbers(table["landmark_score"])


def _labels(selection: Selection) -> Arrays:
    names = selection.names_au
    for field in selection.label_fields:
        pieces = [table[field.name] for table in selection.labels([field.name])]
        kind = field.type if not pieces else pieces[0].type
        column = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], type=kind)
        if pa.types.is_dictionary(kind):
            yield from _words(field.name, column)
        elif pa.types.is_fixed_size_list(kind):
            values, valid = vectors(pa.table({field.name: column}), field.name)
            yield field.name, values
            if field.name == "alpha_au":
                yield "valid", valid
        elif pa.types.is_list(kind):
            yield field.name, _bits(column)
        else:
            yield field.name, numbers(column)
    yield "names_au", np.array(names, dtype=str)
    if selection.names_intensity:
        yield "names_intensity", np.array(selection.names_intensity, dtype=str)
    yield "flag_names", np.array(FLAGS)


def _words(name: str, column: pa.ChunkedArray) -> Arrays:
    """A number per row, -1 for none, and the words that the numbers stand for."""
    text = column.cast(pa.string())
    names = sorted(value for value in text.unique().to_pylist() if value is not None)
    place = {value: i for i, value in enumerate(names)}
    codes = np.array([place.get(value, -1) for value in text.to_pylist()], np.int32)
    yield name, codes
    yield f"{name}_names", np.array(names, dtype=str)


def _bits(column: pa.ChunkedArray) -> NDArray[np.uint16]:
    bit = {flag: 1 << i for i, flag in enumerate(FLAGS)}
    return np.array([sum(bit[flag] for flag in flags or ()) for flags in column.to_pylist()], np.uint16)


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return numbers, with NaN for none among real numbers and -1 among whole ones."""
    if column.null_count:
        column = column.fill_null(float("nan") if pa.types.is_floating(column.type) else -1)
    return np.asarray(column.to_numpy())


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.array([value or "" for value in column.to_pylist()], dtype=str)


def _table(table: pa.Table) -> Arrays:
    for field in table.schema:
        column = table[field.name]
        if pa.types.is_fixed_size_list(field.type):
            yield field.name, vectors(table, field.name)[0]
        elif pa.types.is_string(field.type):
            yield field.name, _text(column)
        elif pa.types.is_boolean(field.type):
            yield field.name, np.asarray(column.to_numpy())
        else:
            yield field.name, numbers(column)


def array_map(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Yield the arrays of a mapping."""
    yield from arrays.items()
