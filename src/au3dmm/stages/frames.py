"""Stage frames: cut the event stream into windows and paint an event frame of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
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
from au3dmm.io.clock import Clock, read_clock, read_clock_metadata
from au3dmm.io.events import EventFile
from au3dmm.io.images import resize_area
from au3dmm.io.session import read_session
from au3dmm.io.tables import event_frames_schema, read_table, word_array, write_batches
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
        ``frames, no_events, height, width``.

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
    outside = (windows.end_us <= found.first_event_us) | (windows.start_us > found.last_event_us)
    # the same file was decoded for its clock: its report is known before the frames are, which can then be streamed
    event_file = read_clock_metadata(clock).get("event_file", events.describe())
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
        "event_file": event_file,
        "counts": {"ok": int((~outside).sum()), "no_events": int(outside.sum())},
    }
    schema = event_frames_schema(shape[0] * shape[1])
    painted = _paint(events, windows, box, shape, progress)
    write_batches(event_frames, "event_frames", schema, _batches(painted, windows, outside, schema), metadata, _ROWS)
    return {
        "frames": len(windows),
        "no_events": int(outside.sum()),
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
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of events and the pixels of each window in turn."""
    painter = PolarityPainter(windows, events.height, events.width, box)
    feeds = (painter.feed(b.events["t"], b.events["x"], b.events["y"], b.events["p"]) for b in events.blocks())
    for painted in itertools.chain(feeds, (painter.finish() for _ in range(1))):
        for k, n, frame in painted:
            yield n, (frame if frame.shape == shape else resize_area(frame, shape)).tobytes()
            if progress:
                progress(k + 1, len(windows))


def _batches(
    painted: Iterator[tuple[int, bytes]], windows: Windows, outside: NDArray[np.bool_], schema: pa.Schema
) -> Iterator[pa.Table]:
    start = 0
    while part := list(itertools.islice(painted, _ROWS)):
        rows = slice(start, start + len(part))
        yield pa.Table.from_arrays(
            [
                pa.array(np.arange(rows.start, rows.stop), pa.int32()),
                pa.array(windows.start_us[rows], pa.int64()),
                pa.array(windows.end_us[rows], pa.int64()),
                pa.array([n for n, _ in part], pa.int64()),
                word_array(["no_events" if out else "ok" for out in outside[rows]]),
                pa.array([pixels for _, pixels in part], schema.field("pixels").type),
            ],
            schema=schema,
        )
        start = rows.stop
    assert start == len(windows), "the painter yields every window once, in order"
