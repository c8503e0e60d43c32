"""From an open event file to event frames: the part of the sensor, the windows, and one pass over the stream."""

from __future__ import annotations

from collections.abc import Iterator

from au3dmm.config import FramesParams
from au3dmm.core.canvases import Canvas, PolarityCanvas
from au3dmm.core.event_frames import Windows, periodic_windows, sliding_windows
from au3dmm.core.pixel_grid import PixelGrid, centred_square
from au3dmm.core.representations import EventFrame, frames_of, make_canvas, painted_frames
from au3dmm.io.events.stream import EventFile, EventStream


def frame_grid(height: int, width: int, params: FramesParams) -> PixelGrid:
    """Return the crop of a sensor and the cells that it is resampled to.

    Parameters
    ----------
    height, width : int
        Sensor, px.
    params : FramesParams
        Its ``crop`` and ``size_px``.
    """
    box = centred_square(height, width) if params.crop == "centre" else (0, height, 0, width)
    rows, columns = box[1] - box[0], box[3] - box[2]
    scale = params.size_px / min(rows, columns) if params.size_px else 1.0
    return PixelGrid((height, width), box, (round(rows * scale), round(columns * scale)))


def frame_canvas(file: EventFile, params: FramesParams) -> Canvas:
    """Return what the event frames of a file are drawn on."""
    grid = frame_grid(file.height, file.width, params)
    return make_canvas(params.representation, grid, bins=params.bins, tau_us=params.tau_us, tbr_bits=params.tbr_bits)


def regular_windows(first_us: int, last_us: int, t_shift_us: int, params: FramesParams) -> Windows:
    """Return the windows of a stream that need no RGB frames: periodic or sliding.

    Parameters
    ----------
    first_us, last_us : int
        First and last event, us on the unshifted clock.
    t_shift_us : int
        Origin of the grid, us.
    params : FramesParams
        With ``windows`` other than ``rgb``.

    Raises
    ------
    FitError
        If a period is too short.
    """
    if params.windows == "sliding":
        return sliding_windows(first_us, last_us, t_shift_us, params.accumulation_us, params.step_us)
    return periodic_windows(first_us, last_us, t_shift_us, params.accumulation_us, params.fps)


def stream_frames(stream: EventStream, windows: Windows, canvas: Canvas) -> Iterator[EventFrame]:
    """Yield the frame of each window in one pass; what is left of the stream after the last one is not read.

    Memory is bounded: a block of events, and where windows overlap the events of one window.
    """
    if isinstance(canvas, PolarityCanvas) and not windows.overlap:
        yield from painted_frames(stream.paint, windows, canvas)
    else:
        yield from frames_of((chunk.events for chunk in stream), windows, canvas)
