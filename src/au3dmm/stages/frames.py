"""Stage frames: cut the event stream into windows and make an event frame of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm.config import FramesParams
from au3dmm.core.canvases import Canvas, PolarityCanvas
from au3dmm.core.event_frames import Windows, periodic_windows, rgb_windows, sliding_windows
from au3dmm.core.pixel_grid import PixelGrid, centred_square
from au3dmm.core.representations import EventFrame, frames_of, make_canvas, painted_frames
from au3dmm.errors import FitError, SessionError
from au3dmm.io.clock import Clock, read_clock, read_clock_metadata
from au3dmm.io.event_frame_table import write_event_frames
from au3dmm.io.events.stream import EventFile, EventStream
from au3dmm.io.session import read_session
from au3dmm.io.tables import read_table
from au3dmm.stages.sync import open_session_events

READS = ("session:events", "landmarks", "clock")
WRITES = ("event_frames",)
VERSION = 2

_END_OF_TIME = int(np.iinfo(np.int64).max)


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
    """Make the event frames in one pass over the stream and write their table, one row per window.

    Frames hold the events of the crop, resampled to its cells as the representation says; windows that lie outside the
    event stream have ``status = no_events``. Memory is bounded: one row group of frames, and where windows overlap the
    events of one window.

    Returns
    -------
    dict
        ``frames, no_events, saturated, channels, height, width``.

    Raises
    ------
    SessionError
        If the recording has no readable events, is too damaged, or too short for a single frame.
    SchemaError
        If the landmarks or the clock are not what they should be.
    """
    recording = read_session(session)
    events = open_session_events(recording)
    found = read_clock(clock)
    windows = _windows(recording.session_id, params, found, landmarks)
    has_events = (windows.end_us > found.first_event_us) & (windows.start_us <= found.last_event_us)
    grid = _grid(events, params)
    canvas = make_canvas(params.representation, grid, bins=params.bins, tau_us=params.tau_us, tbr_bits=params.tbr_bits)
    shape = (len(canvas.encoding.channels), *grid.shape)
    y0, y1, x0, x1 = grid.box
    metadata = {
        "stage": "frames",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "windows": params.windows,
        "sensor": {"width": events.width, "height": events.height},
        "crop": {"y0": y0, "y1": y1, "x0": x0, "x1": x1},
        "units": "t_start_us (included) and t_end_us (excluded): us on the unshifted event clock; n_events on the"
        " whole sensor; n_saturated: values too large to be stored; pixels: channels, rows from top to bottom, columns,"
        " little-endian; value = (stored - zero) * scale",
        "clock": found.summary(),
        # the same file was decoded for its clock: its report is known before the frames are, which can then be streamed
        "event_file": read_clock_metadata(clock).get("event_file", events.describe()),
        "counts": {"ok": int(has_events.sum()), "no_events": int((~has_events).sum())},
    }
    try:
        saturated = write_event_frames(
            event_frames,
            windows,
            _frames(events, windows, canvas, progress),
            has_events,
            shape,
            canvas.encoding,
            metadata,
        )
    except FitError as err:
        raise SessionError(f"session {recording.session_id!r}: {err}") from err
    return {
        "frames": len(windows),
        "no_events": int((~has_events).sum()),
        "saturated": saturated,
        **dict(zip(("channels", "height", "width"), shape, strict=True)),
    }


def _windows(session_id: str, params: FramesParams, clock: Clock, landmarks: Path) -> Windows:
    first, last, shift = clock.first_event_us, clock.last_event_us, clock.t_shift_us
    try:
        if params.windows == "rgb":
            table = read_table(landmarks, "landmarks", ["t_rgb_us"])
            return rgb_windows(clock.model.to_event_us(table["t_rgb_us"].to_numpy()))
        if params.windows == "sliding":
            windows = sliding_windows(first, last, shift, params.accumulation_us, params.step_us)
        else:
            windows = periodic_windows(first, last, shift, params.accumulation_us, params.fps)
    except FitError as err:
        raise SessionError(f"session {session_id!r}: {err}") from err
    if not len(windows):
        raise SessionError(
            f"session {session_id!r}: events last {last - first} us, too short for one complete window; choose a"
            " shorter accumulation_us, more frames per second, or windows = 'rgb'"
        )
    return windows


def _grid(events: EventFile, params: FramesParams) -> PixelGrid:
    box = (
        centred_square(events.height, events.width) if params.crop == "centre" else (0, events.height, 0, events.width)
    )
    height, width = box[1] - box[0], box[3] - box[2]
    scale = params.size_px / min(height, width) if params.size_px else 1.0
    return PixelGrid((events.height, events.width), box, (round(height * scale), round(width * scale)))


def _frames(
    events: EventFile, windows: Windows, canvas: Canvas, progress: Callable[[int, int | None], None] | None
) -> Iterator[EventFrame]:
    stream = events.stream()
    for done, frame in enumerate(_of_stream(stream, windows, canvas), 1):
        yield frame
        if progress:
            progress(done, len(windows))
    stream.report.check(events.path)


def _of_stream(stream: EventStream, windows: Windows, canvas: Canvas) -> Iterator[EventFrame]:
    """Yield the frames, and read on to the end of the stream, so that its report is that of the whole file."""
    if isinstance(canvas, PolarityCanvas) and not windows.overlap:
        yield from painted_frames(stream.paint, windows, canvas)
        stream.paint(canvas.buffer, _END_OF_TIME)
        return
    yield from frames_of((chunk.events for chunk in stream), windows, canvas)
    for _ in stream:
        pass
