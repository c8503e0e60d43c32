"""Event frames of a stream: six representations, each a function of the events in one window alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.canvases import (
    BinaryCanvas,
    Canvas,
    CountCanvas,
    LastTimeCanvas,
    PolarityCanvas,
    TimeSurfaceCanvas,
    VoxelCanvas,
)
from au3dmm.core.event_frames import Windows
from au3dmm.core.packed_events import PackedEvents
from au3dmm.core.pixel_grid import PixelGrid
from au3dmm.core.window_events import EventBuffer, EventCursor
from au3dmm.errors import FitError

REPRESENTATIONS = ("polarity", "count", "voxel", "time_surface", "last_time", "tbr")


@dataclass(frozen=True)
class EventFrame:
    """One window's frame.

    Attributes
    ----------
    n_events : int
        Events in the window, on the whole sensor.
    pixels : (C, H, W) array
        Of the representation's dtype.
    n_saturated : int
        Values that were too large to be stored, and are stored as the largest that can be.
    """

    n_events: int
    pixels: NDArray[Any]
    n_saturated: int = 0


def make_canvas(name: str, grid: PixelGrid, *, bins: int = 5, tau_us: float = 10_000.0, tbr_bits: int = 8) -> Canvas:
    """Return the canvas of a representation.

    Parameters
    ----------
    name : str
        One of `REPRESENTATIONS`.
    grid : PixelGrid
        What part of the sensor is shown, and how large.
    bins : int
        voxel: bins of time, at least 1.
    tau_us : float
        time_surface: time after which it has decayed to 1/e, us.
    tbr_bits : int
        tbr: slices of the window, 1 to 16.

    Raises
    ------
    FitError
        If there is no such representation, or a parameter is out of range.
    """
    if name == "polarity":
        return PolarityCanvas(grid)
    if name == "count":
        return CountCanvas(grid)
    if name == "voxel" and bins >= 1:
        return VoxelCanvas(grid, bins)
    if name == "time_surface" and tau_us > 0:
        return TimeSurfaceCanvas(grid, tau_us)
    if name == "last_time":
        return LastTimeCanvas(grid)
    if name == "tbr" and 1 <= tbr_bits <= 16:
        return BinaryCanvas(grid, tbr_bits)
    if name in REPRESENTATIONS:
        raise FitError(f"{name}: bins {bins}, tau_us {tau_us}, tbr_bits {tbr_bits}, expected > 0, > 0, and 1 to 16")
    raise FitError(f"representation {name!r}, expected one of {', '.join(REPRESENTATIONS)}")


def represent(events: PackedEvents, start_us: int, end_us: int, canvas: Canvas) -> EventFrame:
    """Show the events of one window; `events` may hold others, too.

    Examples
    --------
    >>> from au3dmm.core.packed_events import pack
    >>> events = pack(np.array([3, 5]), np.array([0, 2]), np.array([0, 0]), np.array([1, 0]))
    >>> represent(events, 0, 10, make_canvas("count", PixelGrid((1, 3), (0, 1, 0, 3), (1, 3)))).pixels.tolist()
    [[[0, 0, 1]], [[1, 0, 0]]]
    """
    return next(frames_of([events], Windows(np.array([start_us]), np.array([end_us])), canvas))


def frames_of(chunks: Iterable[PackedEvents], windows: Windows, canvas: Canvas) -> Iterator[EventFrame]:
    """Show each window of a stream in turn, in one pass and in bounded memory.

    Where windows do not overlap, events go from the chunk to the canvas; where they do, those of the present window are
    held (`EventBuffer`) and shown again in each.

    Parameters
    ----------
    chunks : iterable of PackedEvents
        The stream; a chunk may be overwritten when the next one is asked for.
    windows : Windows
        Which frames to make.
    canvas : Canvas
        Of the representation.

    Yields
    ------
    EventFrame
        One per window, in order. The stream is not read beyond the last window.

    Raises
    ------
    FitError
        If windows overlap and hold too many events.
    """
    cursor = EventCursor(chunks)
    spans = zip(windows.start_us.tolist(), windows.end_us.tolist(), strict=True)
    if not windows.overlap:
        for start, end in spans:
            for _ in cursor.take(start):
                pass
            canvas.clear(start, end)
            n = 0
            for part in cursor.take(end):
                canvas.add(part)
                n += len(part)
            yield EventFrame(n, *canvas.read())
        return
    buffer = EventBuffer()
    for start, end in spans:
        buffer.forget_before(start)
        for _ in cursor.take(start):
            pass
        for part in cursor.take(end):
            buffer.append(part)
        canvas.clear(start, end)
        canvas.add(buffer.part())
        yield EventFrame(len(buffer.part()), *canvas.read())


def painted_frames(
    paint: Callable[[NDArray[np.uint8], int], int], windows: Windows, canvas: PolarityCanvas
) -> Iterator[EventFrame]:
    """Show each window of a stream that paints by itself; windows must not overlap.

    Parameters
    ----------
    paint : callable
        ``paint(frame, until_us)`` paints the events that come next and are before `until_us`, and returns how many:
        see `au3dmm.io.events.EventStream.paint`.
    windows : Windows
        Which frames to make.
    canvas : PolarityCanvas
        What is painted on.

    Yields
    ------
    EventFrame
        One per window, in order.

    Raises
    ------
    FitError
        If windows overlap.
    """
    if windows.overlap:
        raise FitError("event frames: windows overlap, expected windows that can be painted one after the other")
    before = None
    for start, end in zip(windows.start_us.tolist(), windows.end_us.tolist(), strict=True):
        if start != before:
            paint(canvas.buffer, start)  # events of no window
        canvas.clear(start, end)
        yield EventFrame(paint(canvas.buffer, end), *canvas.read())
        before = end
