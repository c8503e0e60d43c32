"""Stage frames: cut the event stream into windows and make an event frame of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from au3dmm.config import FramesParams
from au3dmm.core.canvases import Canvas, PolarityCanvas
from au3dmm.core.event_frames import Windows, rgb_windows
from au3dmm.core.representations import EventFrame
from au3dmm.errors import FitError, SessionError
from au3dmm.io.clock import Clock, read_clock, read_clock_metadata
from au3dmm.io.event_frame_table import write_event_frames
from au3dmm.io.event_framing import frame_canvas, frame_grid, regular_windows, stream_frames
from au3dmm.io.events.stream import EventFile
from au3dmm.io.session import read_session
from au3dmm.io.session_events import open_session_events
from au3dmm.io.tables import read_table

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
    grid = frame_grid(events.height, events.width, params)
    canvas = frame_canvas(events, params)
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
        windows = regular_windows(first, last, shift, params)
    except FitError as err:
        raise SessionError(f"session {session_id!r}: {err}") from err
    if not len(windows):
        raise SessionError(
            f"session {session_id!r}: events last {last - first} us, too short for one complete window; choose a"
            " shorter accumulation_us, more frames per second, or windows = 'rgb'"
        )
    return windows


def _frames(
    events: EventFile, windows: Windows, canvas: Canvas, progress: Callable[[int, int | None], None] | None
) -> Iterator[EventFrame]:
    stream = events.stream()
    for done, frame in enumerate(stream_frames(stream, windows, canvas), 1):
        yield frame
        if progress:
            progress(done, len(windows))
    # read on to the end, so that the report is that of the whole file
    if isinstance(canvas, PolarityCanvas) and not windows.overlap:
        stream.paint(canvas.buffer, _END_OF_TIME)
    else:
        for _ in stream:
            pass
    stream.report.check(events.path)
