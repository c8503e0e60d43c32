"""Event frames on disk: written row group by row group, and read back in clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from au3dmm.core.canvases import Encoding
from au3dmm.core.event_frames import Windows
from au3dmm.core.representations import EventFrame
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.arguments import whole_number
from au3dmm.io.table_schemas import event_frames_schema
from au3dmm.io.tables import check_kind, read_footer, word_array, write_batches

DTYPES = ("uint8", "uint16", "float16")
_GROUP_BYTES = 1 << 20  # a clip of 75 frames then reads little that it does not need, and few groups
_MOST_GROUPS = 1 << 12  # the list of groups (600 bytes each) is read before any frame


@dataclass(frozen=True)
class EventFrameInfo:
    """What a table of event frames holds.

    Attributes
    ----------
    n_frames : int
        Rows.
    shape : (int, int, int)
        Channels, height, width of a frame.
    dtype : numpy.dtype
        As stored.
    scale, zero : float
        ``value = (stored - zero) * scale``.
    metadata : dict
        All that the file says of itself: ``representation`` (formula, channels, unit), ``windows``, ...
    """

    n_frames: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    scale: float
    zero: float
    metadata: dict[str, Any]


def rows_per_group(n_bytes: int, n_frames: int) -> int:
    """Return how many frames of `n_bytes` bytes lie in a row group.

    Examples
    --------
    >>> rows_per_group(65536, 472), rows_per_group(655360, 472), rows_per_group(64, 10**6)
    (16, 4, 245)
    """
    # a group takes memory while it is written, and a little time of its own when it is read
    return max(min(_GROUP_BYTES // n_bytes, 64), min(4 * _GROUP_BYTES // n_bytes, 4), 1, -(-n_frames // _MOST_GROUPS))


def write_event_frames(
    path: Path,
    windows: Windows,
    frames: Iterable[EventFrame],
    has_events: NDArray[np.bool_],
    shape: tuple[int, int, int],
    encoding: Encoding,
    metadata: Mapping[str, Any],
) -> int:
    """Write one row per window, holding one row group at a time; return how many values were too large to be stored.

    Parameters
    ----------
    path : Path
        The file to write.
    windows : Windows
        N windows.
    frames : iterable of EventFrame
        One per window, in order.
    has_events : (N,) bool array
        False where the window lies outside the event stream: ``status`` is then ``no_events``.
    shape : (int, int, int)
        Channels, height, width.
    encoding : Encoding
        What the stored numbers mean.
    metadata : mapping
        What made the file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    dtype = np.dtype(encoding.dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    rows = rows_per_group(n_bytes, len(windows))
    said = {
        **metadata,
        "shape": list(shape),
        "dtype": dtype.name,
        "scale": encoding.scale,
        "zero": encoding.zero,
        "representation": {
            "name": encoding.name,
            "channels": list(encoding.channels),
            "unit": encoding.unit,
            "formula": encoding.formula,
            "source": encoding.source,
        },
    }
    saturated = [0]

    def batches() -> Iterator[pa.Table]:
        left, start = iter(frames), 0
        while part := list(itertools.islice(left, rows)):
            saturated[0] += sum(frame.n_saturated for frame in part)
            yield _batch(windows, part, has_events, start, n_bytes)
            start += len(part)
        assert start == len(windows), "every window gives one frame"

    write_batches(path, "event_frames", event_frames_schema(n_bytes), batches(), said, rows)
    return saturated[0]


def _batch(
    windows: Windows, frames: list[EventFrame], has_events: NDArray[np.bool_], start: int, n_bytes: int
) -> pa.Table:
    stop = start + len(frames)
    pixels = pa.py_buffer(np.stack([frame.pixels for frame in frames]))
    return pa.Table.from_arrays(
        [
            pa.array(np.arange(start, stop), pa.int32()),
            pa.array(windows.start_us[start:stop], pa.int64()),
            pa.array(windows.end_us[start:stop], pa.int64()),
            pa.array([frame.n_events for frame in frames], pa.int64()),
            word_array(["ok" if ok else "no_events" for ok in has_events[start:stop]]),
            pa.array([frame.n_saturated for frame in frames], pa.int32()),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(n_bytes), len(frames), [None, pixels]),
        ],
        schema=event_frames_schema(n_bytes),
    )


def read_event_frame_info(path: Path) -> EventFrameInfo:
    """Say what a table of event frames holds, without reading its frames.

    Raises
    ------
    SchemaError
        If the file is missing, cut short or no table of event frames, or its metadata does not fit its pixels.
    """
    return _opened(path)[1]


def read_clip(path: Path | str, first: int, n: int, *, as_float: bool = False) -> NDArray[Any]:
    """Read frames ``first`` to ``first + n - 1``.

    Only the row groups that hold them are read. What a file says of itself is kept for the next call, so that reading
    many clips of many files costs little more than decompressing them. Safe to call from several threads or processes.

    Parameters
    ----------
    path : Path or str
        A table of event frames.
    first, n : int
        Which frames; `first` is an ``event_frame_index``.
    as_float : bool
        Whether to return values, in the unit of the metadata, instead of stored numbers.

    Returns
    -------
    (n, C, H, W) array
        Of the stored dtype, or float32 values: ``(stored - zero) * scale``.

    Raises
    ------
    ConfigError
        If `first` or `n` is no whole number, or `n` is negative.
    SchemaError
        If the file is missing, cut short or no table of event frames, or does not have these frames.
    """
    path = Path(path)
    first, n = whole_number("first", first), whole_number("n", n)
    footer, info, starts = _opened(path)
    if n < 0:
        raise ConfigError(f"{path}: {n} frames from number {first} on asked for, expected 0 or more")
    if not 0 <= first <= info.n_frames - n:
        asked = f"{n} frame{'' if n == 1 else 's'} from number {first} on"
        there = f"0 to {info.n_frames - 1}" if info.n_frames else "none"
        raise SchemaError(f"{path}: {asked} asked for, there are {there}")
    out = np.empty((n, *info.shape), info.dtype)
    if n:
        groups = range(*np.searchsorted(starts, [first, first + n - 1], "right") + (-1, 0))
        try:
            with pq.ParquetFile(path, metadata=footer) as file:
                column = file.read_row_groups(list(groups), ["pixels"], use_threads=False)["pixels"]
        except (pa.ArrowException, OSError) as err:
            raise SchemaError(f"{path}: cannot be read as Parquet: {err}") from err
        _copy(column.slice(first - int(starts[groups.start]), n), out)
    if not as_float:
        return out
    return (out.astype(np.float32) - np.float32(info.zero)) * np.float32(info.scale)


def _copy(column: pa.ChunkedArray, out: NDArray[Any]) -> None:
    row, n_bytes = 0, out[0].nbytes
    for chunk in column.chunks:
        pixels = np.frombuffer(chunk.buffers()[1], out.dtype, len(chunk) * out[0].size, chunk.offset * n_bytes)
        out[row : row + len(chunk)] = pixels.reshape(len(chunk), *out.shape[1:])
        row += len(chunk)
    assert row == len(out), "row groups are as long as the footer says"


def _opened(path: Path) -> tuple[Any, EventFrameInfo, NDArray[np.int64]]:
    try:
        found = path.stat()
    except OSError:
        return _read_footer(path, 0, 0, 0)  # which says what is wrong
    return _read_footer(path, found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=128)
def _read_footer(path: Path, inode: int, mtime_ns: int, size: int) -> tuple[Any, EventFrameInfo, NDArray[np.int64]]:
    """Return the footer, what it says, and the number of the first frame of each row group, and after the last."""
    footer, metadata = read_footer(path)
    check_kind(path, metadata, "event_frames")
    schema = footer.schema.to_arrow_schema()
    shape, dtype = metadata.get("shape"), metadata.get("dtype")
    if dtype not in DTYPES or not isinstance(shape, list) or len(shape) not in (2, 3):
        raise SchemaError(f"{path}: shape {shape} and dtype {dtype}, expected a shape and one of {', '.join(DTYPES)}")
    n_bytes = schema.field("pixels").type.byte_width if "pixels" in schema.names else 0
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if n_bytes != expected:
        raise SchemaError(f"{path}: {n_bytes} bytes per frame, expected {expected} for shape {shape} and dtype {dtype}")
    if len(shape) == 2:  # version 1: polarity only
        shape, metadata = [1, *shape], {"scale": 1 / 128, "zero": 128.0, **metadata}
    info = EventFrameInfo(
        footer.num_rows, tuple(shape), np.dtype(dtype), float(metadata["scale"]), float(metadata["zero"]), metadata
    )
    rows = [footer.row_group(k).num_rows for k in range(footer.num_row_groups)]
    return footer, info, np.r_[0, np.cumsum(rows, dtype=np.int64)]
