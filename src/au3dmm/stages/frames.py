"""Stage frames: cut the event stream into windows and paint an event frame of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import FramesParams
from au3dmm.core.event_frames import (
    BACKGROUND,
    NEGATIVE,
    POSITIVE,
    PolarityPainter,
    Windows,
    centred_square,
    periodic_windows,
    rgb_windows,
)
from au3dmm.errors import FitError, SessionError
from au3dmm.io.clock import Clock, read_clock
from au3dmm.io.events import EventCounts, EventFile
from au3dmm.io.images import resize_area
from au3dmm.io.session import read_session
from au3dmm.io.tables import event_frames_schema, read_table, word_array, write_table
from au3dmm.stages.sync import open_session_events

READS = ("session:events", "landmarks", "clock")
WRITES = ("event_frames",)
VERSION = 1

_ROWS = 256  # per row group: 16 MiB of pixels at 256 x 256


def run(
    *,
    session: Path,
    landmarks: Path,
    clock: Path,
    event_frames: Path,
    params: FramesParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Paint the event frames in one pass over the stream and write their table, one row per window.

    Pixels are painted at the sensor's size, cropped, and resampled by area, so they may lie between the three values
    of the palette. Windows that lie outside the event stream have ``status = no_events``.

    Returns
    -------
    dict
        ``frames, no_events, events, events_dropped, height, width``.

    Raises
    ------
    SessionError
        If the recording has no readable events, or is too short for a single frame.
    SchemaError
        If the landmarks or the clock are not what they should be.
    """
    recording = read_session(session)
    events = open_session_events(recording)
    found = read_clock(clock)
    windows = _windows(recording.session_id, params, found, landmarks)
    box = (
        centred_square(events.height, events.width) if params.crop == "centre" else (0, events.height, 0, events.width)
    )
    shape = _output_shape(box, params.size_px)
    pixels, n_events, counts = _paint(events, windows, box, shape, progress)
    outside = (windows.end_us <= found.first_event_us) | (windows.start_us > found.last_event_us)
    table = _table(windows, n_events, outside, pixels)
    metadata = {
        "stage": "frames",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "shape": list(shape),
        "dtype": "uint8",
        "palette": {"negative": NEGATIVE, "background": BACKGROUND, "positive": POSITIVE},
        "windows": params.windows,
        "sensor": {"width": events.width, "height": events.height},
        "crop": {"y0": box[0], "y1": box[1], "x0": box[2], "x1": box[3]},
        "units": "t_start_us (included) and t_end_us (excluded): us on the unshifted event clock; n_events on the"
        " whole sensor; pixels: rows from top to bottom, resampled by area",
        "clock": found.summary(),
        "event_file": {**events.describe(), **asdict(counts)},
        "counts": {"ok": int((~outside).sum()), "no_events": int(outside.sum())},
    }
    write_table(event_frames, "event_frames", table, metadata, rows=_ROWS)
    return {
        "frames": len(windows),
        "no_events": int(outside.sum()),
        "events": counts.events,
        "events_dropped": counts.dropped_before_start + counts.dropped_out_of_range,
        "height": shape[0],
        "width": shape[1],
    }


def _windows(session_id: str, params: FramesParams, clock: Clock, landmarks: Path) -> Windows:
    try:
        if params.windows == "rgb":
            table = read_table(landmarks, "landmarks", ["t_rgb_us"])
            return rgb_windows(clock.model.to_event_us(table["t_rgb_us"].to_numpy()))
        windows = periodic_windows(
            clock.first_event_us, clock.last_event_us, clock.t_shift_us, params.accumulation_us, params.fps
        )
    except FitError as err:
        raise SessionError(f"session {session_id!r}: {err}") from err
    if not len(windows):
        raise SessionError(
            f"session {session_id!r}: events last {clock.last_event_us - clock.first_event_us} us, too short for one"
            " complete period; choose more frames per second or windows = 'rgb'"
        )
    return windows


def _output_shape(box: tuple[int, int, int, int], size: int) -> tuple[int, int]:
    height, width = box[1] - box[0], box[3] - box[2]
    if size == 0:
        return height, width
    scale = size / min(height, width)
    return round(height * scale), round(width * scale)


def _paint(
    events: EventFile,
    windows: Windows,
    box: tuple[int, int, int, int],
    shape: tuple[int, int],
    progress: Callable[[int, int | None], None] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], EventCounts]:
    pixels = np.empty((len(windows), *shape), np.uint8)
    n_events = np.zeros(len(windows), np.int64)
    counts = EventCounts()
    painter = PolarityPainter(windows, events.height, events.width, box)

    def keep(painted: Iterator[tuple[int, int, NDArray[np.uint8]]]) -> None:
        for k, n, frame in painted:
            pixels[k] = frame if frame.shape == shape else resize_area(frame, shape)
            n_events[k] = n
            if progress:
                progress(k + 1, len(windows))

    for block in events.blocks():
        counts = block.counts
        keep(painter.feed(block.events["t"], block.events["x"], block.events["y"], block.events["p"]))
    keep(painter.finish())
    return pixels, n_events, counts


def _table(
    windows: Windows, n_events: NDArray[np.int64], outside: NDArray[np.bool_], pixels: NDArray[np.uint8]
) -> pa.Table:
    n = len(windows)
    n_bytes = int(np.prod(pixels.shape[1:]))
    kind = pa.binary(n_bytes)
    # the pixels are shared, not copied
    column = pa.FixedSizeBinaryArray.from_buffers(kind, n, [None, pa.py_buffer(pixels)])
    return pa.Table.from_arrays(
        [
            pa.array(np.arange(n), pa.int32()),
            pa.array(windows.start_us, pa.int64()),
            pa.array(windows.end_us, pa.int64()),
            pa.array(n_events, pa.int64()),
            word_array(["no_events" if out else "ok" for out in outside]),
            column,
        ],
        schema=event_frames_schema(n_bytes),
    )
