"""What must be true of the rows of our tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.table_info import TableInfo, read_rows
from au3dmm.io.table_schemas import FLAGS, INTENSITIES, LATER, STATUSES
from au3dmm.io.tables import vectors

# the columns that a row has if, and only if, its status is one of these
_USABLE: dict[str, tuple[str, ...]] = {
    "landmarks": ("ok", "low_confidence"),
    "coefficients": ("ok",),
    "labels": ("ok",),
}
_FILLED: dict[str, tuple[str, ...]] = {
    "landmarks": ("landmarks_px", "box_px"),
    "coefficients": (
        *("alpha_au", "alpha_au_std", "rotation_vector", "scale_px_per_m", "translation_px"),
        *("rmse_px", "rmse_iod", "camera"),
    ),
    "labels": ("alpha_au", "alpha_au_std", "rotation_vector", "scale_px_per_m", "translation_px"),
}
_ALIGNED = ("exact", "linear", "pchip", "nearest", "index", "none")
_SHARED = ("frame_index", "t_rgb_us", "event_frame_index", "t_start_us", "t_end_us", "n_events")


class Finding(NamedTuple):
    """What was found in a table's rows, and what was expected."""

    found: str
    expected: str


def load(info: TableInfo) -> Any:
    """Read a table without its pictures, whose bytes the sha256 in `stage.json` vouches for."""
    return read_rows(info, info.small_columns)


def check_table(info: TableInfo, table: Any, codes: str | None = None) -> Iterator[Finding]:
    """Check the rows of one table.

    Parameters
    ----------
    info : TableInfo
        Whose kind and parameters say what to expect.
    table : pyarrow.Table
        Its rows, see `load`.
    codes : str, optional
        The `codes` that the session's coefficients were fitted with.
    """
    if info.kind == "identity":
        if len(table) != 1:
            yield Finding(f"{len(table)} rows", "1")
    elif not len(table):
        yield Finding("no rows", "one per frame")
    yield from _words(table)
    yield from _times(info, table)
    if info.kind == "event_frames":
        yield from _pictures(info, table)
    status = np.array(table["status"].to_pylist())
    if info.kind in _USABLE:
        usable = np.isin(status, _USABLE[info.kind])
        for column in _FILLED[info.kind]:
            yield from _nulls(table, column, usable, status)
        for column in LATER:
            if column in table.column_names:
                yield from _extra(table, column, usable, status)
        for column in INTENSITIES:
            if column in table.column_names:
                yield from _nulls(table, column, usable, status)
    if "confidence" in table.column_names:
        value = table["confidence"].to_numpy(zero_copy_only=False).astype(np.float64)
        bad = np.asarray(table["confidence"].is_valid().to_numpy()) & ~((value >= 0) & (value <= 1))
        if bad.any():
            yield Finding(f"confidence is {value[np.argmax(bad)]:.3g} in {_rows(bad)}", "0 to 1")
    for column in _vector_columns(table):
        values, valid = vectors(table, column)
        if column in INTENSITIES:  # what cannot be observed is null, in all rows
            known = np.isfinite(values[valid]).any(0)
            if (values[valid][:, known] < 0).any():
                yield Finding(f"{column} is negative", "intensities from 0")
            values = values[:, known]
        bad = valid & ~np.isfinite(values).all(1)
        if bad.any():
            yield Finding(f"{column} is not finite in {_rows(bad)}", "finite numbers")
        if column.endswith("_std") and (values[valid] < 0).any():
            yield Finding(f"{column} is negative", "standard deviations >= 0")
    if codes == "nonnegative" and "alpha_au" in table.column_names:
        values, valid = vectors(table, "alpha_au")
        bad = valid & (np.nan_to_num(values) < 0).any(1)
        if bad.any():
            yield Finding(f"alpha_au is negative in {_rows(bad)}", "codes >= 0 (codes = nonnegative)")


def check_pair(first: Any, second: Any, name: str) -> Iterator[Finding]:
    """Check that `second` has a row for every row of `first`, the file `name`, with equal frames and times."""
    if len(first) != len(second):
        yield Finding(f"{len(second)} rows", f"{len(first)}, as many as {name}")
        return
    for column in _SHARED:
        if column in first.column_names and column in second.column_names:
            differs = first[column].to_numpy() != second[column].to_numpy()
            if differs.any():
                yield Finding(f"{column} differs in {_rows(differs)}", f"{column} of {name}")


def check_rgb_rows(fitted: Any, labels: Any, name: str) -> Iterator[Finding]:
    """Check that labels of a recording without events are those of its RGB frames, which the file `name` holds."""
    if len(fitted) != len(labels):
        yield Finding(f"{len(labels)} rows", f"{len(fitted)}, as many as {name}: there are no events")
        return
    for column, said in (("rgb_frame_index", "frame_index"), ("t_label_us", "t_rgb_us"), ("status", "status")):
        differs = np.array(labels[column].to_pylist()) != np.array(fitted[said].to_pylist())
        if differs.any():
            yield Finding(f"{column} differs in {_rows(differs)}", f"{said} of {name}: there are no events")


def _words(table: Any) -> Iterator[Finding]:
    for column, known in (("status", STATUSES), ("align", _ALIGNED)):
        if column in table.column_names:
            unknown = sorted(set(map(str, table[column].to_pylist())) - set(known))
            if unknown:
                yield Finding(f"{column} {', '.join(unknown)}", f"one of {', '.join(known)}")
    if "flags" in table.column_names:
        unknown = sorted({str(flag) for flags in table["flags"].to_pylist() for flag in flags or ()} - set(FLAGS))
        if unknown:
            yield Finding(f"flag {', '.join(unknown)}", f"flags out of {', '.join(FLAGS)}")


def _times(info: TableInfo, table: Any) -> Iterator[Finding]:
    columns = table.column_names
    if "event_frame_index" in columns:
        index = table["event_frame_index"].to_numpy()
        wrong = index != np.arange(len(index))
        if wrong.any():
            yield Finding(f"event_frame_index is not consecutive at {_rows(wrong)}", "0, 1, 2, ...")
    for column in ("frame_index", "t_rgb_us", "t_end_us"):
        if column in columns:
            back = np.append(False, np.diff(table[column].to_numpy()) <= 0)
            if back.any():
                yield Finding(f"{column} does not increase at {_rows(back)}", "increasing values")
    if "t_start_us" in columns:
        start, end = table["t_start_us"].to_numpy(), table["t_end_us"].to_numpy()
        empty = start >= end
        if empty.any():
            yield Finding(f"t_start_us >= t_end_us in {_rows(empty)}", "windows that end after they start")
        by_index = info.metadata.get("params", {}).get("method") == "index"  # then the label is the RGB frame's time
        if "t_label_us" in columns and not by_index:
            label = table["t_label_us"].to_numpy()
            outside = (label < start) | (label > end)
            if outside.any():
                yield Finding(f"t_label_us lies outside its window in {_rows(outside)}", "t_start_us..t_end_us")


def _pictures(info: TableInfo, table: Any) -> Iterator[Finding]:
    shape, dtype = info.metadata.get("shape"), info.metadata.get("dtype")
    try:
        expected = math.prod(shape) * np.dtype(dtype).itemsize  # type: ignore[arg-type]
    except TypeError:
        yield Finding(f"metadata shape {shape}, dtype {dtype}", "the shape and dtype of a frame")
        return
    found = info.schema.field("pixels").type.byte_width
    if found != expected:
        yield Finding(f"{found} bytes per frame", f"{expected} for shape {shape} and dtype {dtype}")
    for column in ("n_events", "n_saturated"):
        if column in table.column_names and (table[column].to_numpy() < 0).any():
            yield Finding(f"{column} is negative", "counts >= 0")


def _nulls(table: Any, column: str, usable: NDArray[np.bool_], status: NDArray[np.str_]) -> Iterator[Finding]:
    valid = np.asarray(table[column].is_valid().to_numpy())
    missing = usable & ~valid
    if missing.any():
        word = status[np.argmax(missing)]
        yield Finding(f"{column} is null in {_rows(missing)}", f"a value where status is {word}")
    yield from _extra(table, column, usable, status)


def _extra(table: Any, column: str, usable: NDArray[np.bool_], status: NDArray[np.str_]) -> Iterator[Finding]:
    extra = np.asarray(table[column].is_valid().to_numpy()) & ~usable
    if extra.any():
        word = status[np.argmax(extra)]
        yield Finding(f"{column} has a value in {_rows(extra)}", f"null where status is {word}")


def _vector_columns(table: Any) -> list[str]:
    return [f.name for f in table.schema if str(f.type).startswith("fixed_size_list")]


def _rows(bad: NDArray[np.bool_]) -> str:
    """Say which rows.

    Examples
    --------
    >>> _rows(np.array([False, True, True]))
    'row 1 and 1 more'
    """
    n = int(bad.sum())
    return f"row {int(np.argmax(bad))}" + (f" and {n - 1} more" if n > 1 else "")
