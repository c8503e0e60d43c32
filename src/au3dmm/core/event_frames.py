"""Event frames: which windows of time they show, and what a pixel of them holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError

NEGATIVE, BACKGROUND, POSITIVE = 0, 128, 255
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Windows:
    """N windows ``[start, end)`` on the unshifted event clock, us; neither starts nor ends ever go back.

    Attributes
    ----------
    start_us, end_us : (N,) int64 arrays
    """

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start_us)


def rgb_windows(t_us: NDArray[np.int64]) -> Windows:
    """Return one window per RGB frame: from the frame before it to its own time.

    The first window starts one median interval before the first frame.

    Parameters
    ----------
    t_us : (N,) int64 array
        Times of the RGB frames on the event clock, strictly increasing, us.

    Raises
    ------
    FitError
        If there are fewer than two frames, or their times do not increase.

    Examples
    --------
    >>> rgb_windows(np.array([100, 140, 180])).start_us
    array([ 60, 100, 140])
    """
    t = np.asarray(t_us, np.int64)
    if len(t) < 2:
        raise FitError(f"windows between RGB frames need two frames, found {len(t)}; use periodic windows")
    steps = np.diff(t)
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0)) + 1
        raise FitError(f"RGB frame times do not increase: {t[i]} us after {t[i - 1]} us")
    return Windows(np.r_[t[0] - int(np.median(steps)), t[:-1]], t.copy())


def periodic_windows(
    first_event_us: int, last_event_us: int, t_shift_us: int, accumulation_us: int, fps: float
) -> Windows:
    """Return the windows of Prophesee's ``PeriodicFrameGenerationAlgorithm`` (OpenEB 5.1.1).

    Ends lie on a grid of one period that is anchored at `t_shift_us`, the zero of the vendor's shifted clock. The
    period is ``1e6 / fps`` rounded to whole us, or the accumulation time if `fps` is 0 (33 ms give 30.303 frames/s,
    not 30). A window ends, and excludes, its end; it starts one accumulation time before. The first end is the first
    one after the first event; a frame is emitted when an event at or after its end arrives, so the last period,
    which is not complete, gives none. Periods without events give frames too.

    Parameters
    ----------
    first_event_us, last_event_us : int
        Span of the stream on the unshifted clock, us.
    t_shift_us : int
        Origin of the grid, us.
    accumulation_us : int
        Length of a window, us; windows overlap if it is longer than the period.
    fps : float
        Frames per second, or 0.

    Raises
    ------
    FitError
        If a period is shorter than 1 us.

    Examples
    --------
    >>> periodic_windows(1_000, 120_000, 0, 33_000, 0.0).end_us
    array([33000, 66000, 99000])
    >>> periodic_windows(1_000, 120_000, 0, 10_000, 30.0).start_us
    array([23333, 56666, 89999])
    """
    period = accumulation_us if fps == 0 else int(np.floor(1e6 / fps + 0.5))
    if period < 1:
        raise FitError(f"{fps} frames per second: a period of less than 1 us")
    start = t_shift_us + (first_event_us - t_shift_us) // period * period
    n = max((last_event_us - start) // period, 0)
    end = start + period * np.arange(1, n + 1, dtype=np.int64)
    return Windows(end - accumulation_us, end)


class PolarityPainter:
    """Paint polarity frames from a stream of events: per pixel, the last event within the window wins.

    It keeps the time and sign of the last event of each pixel, so that windows may overlap or leave gaps and memory
    does not grow with the stream. An event that is earlier than the one before it (cameras step back by a few us)
    counts at the time of the one before it.

    Parameters
    ----------
    windows : Windows
        Which frames to paint.
    height, width : int
        Sensor, px.
    box : (int, int, int, int), optional
        Rows ``[y0, y1)`` and columns ``[x0, x1)`` to paint, as ``(y0, y1, x0, x1)``; the whole sensor by default.
        Events are counted on the whole sensor.

    Examples
    --------
    >>> painter = PolarityPainter(Windows(np.array([0, 10]), np.array([10, 20])), 1, 3)
    >>> t, x, p = np.array([3, 5, 12]), np.array([0, 0, 2]), np.array([1, 0, 1])
    >>> [(k, n, frame.tolist()) for k, n, frame in painter.feed(t, x, np.zeros(3, int), p)]
    [(0, 2, [[0, 128, 128]])]
    >>> [(k, n, frame.tolist()) for k, n, frame in painter.finish()]
    [(1, 1, [[128, 128, 255]])]
    """

    def __init__(self, windows: Windows, height: int, width: int, box: tuple[int, int, int, int] | None = None) -> None:
        if len(windows) and ((np.diff(windows.start_us) < 0).any() or (np.diff(windows.end_us) < 0).any()):
            raise FitError("event frames: windows go back in time, expected starts and ends in order")
        self._windows = windows
        self._box = box or (0, height, 0, width)
        self._last_us = np.full((height, width), _NEVER, np.int64)
        self._positive = np.zeros((height, width), np.uint8)
        self._before_start = np.zeros(len(windows), np.int64)  # events before each window's start
        self._seen = 0
        self._now = _NEVER
        self._starts = self._ends = 0  # windows whose start, end has been passed

    def feed(
        self, t_us: NDArray[np.int64], x: NDArray[np.integer], y: NDArray[np.integer], p: NDArray[np.integer]
    ) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Take the next events of the stream and yield the frames that they complete.

        Parameters
        ----------
        t_us, x, y, p : (N,) arrays
            Time in us, column and row in px, 1 brighter or 0 darker.

        Yields
        ------
        index : int
            Which window.
        n_events : int
            Events in it, on the whole sensor.
        frame : (H, W) uint8 array
            0 negative, 128 no event, 255 positive.

        Raises
        ------
        FitError
            If an event lies outside the sensor.
        """
        height, width = self._last_us.shape
        if len(x) and (x.max() >= width or y.max() >= height or min(x.min(), y.min()) < 0):
            raise FitError(f"event at ({x.max()}, {y.max()}) on a {width}x{height} sensor")
        i = 0
        while i < len(t_us):
            stop = self._next_boundary()
            i, self._now = _paint(t_us, x, y, p, i, self._now, stop, self._last_us, self._positive)
            if i < len(t_us):  # an event at or after the boundary
                yield from self._pass(stop, self._seen + i)
        self._seen += len(t_us)

    def finish(self) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield the frames that are left after the last event; see `feed`."""
        while self._ends < len(self._windows):
            yield from self._pass(self._next_boundary(), self._seen)

    def _next_boundary(self) -> int:
        ahead = []
        if self._starts < len(self._windows):
            ahead.append(int(self._windows.start_us[self._starts]))
        if self._ends < len(self._windows):
            ahead.append(int(self._windows.end_us[self._ends]))
        return min(ahead, default=np.iinfo(np.int64).max)

    def _pass(self, boundary: int, n_before: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Go past a boundary before which there are `n_before` events."""
        windows = self._windows
        while self._starts < len(windows) and windows.start_us[self._starts] <= boundary:
            self._before_start[self._starts] = n_before
            self._starts += 1
        while self._ends < len(windows) and windows.end_us[self._ends] <= boundary:
            k = self._ends
            self._ends += 1
            yield k, n_before - int(self._before_start[k]), self._frame(int(windows.start_us[k]))

    def _frame(self, start: int) -> NDArray[np.uint8]:
        y0, y1, x0, x1 = self._box
        frame = np.empty((y1 - y0, x1 - x0), np.uint8)
        _show(self._last_us[y0:y1, x0:x1], self._positive[y0:y1, x0:x1], start, frame)
        return frame


@njit(cache=True, nogil=True)
def _paint(t, x, y, p, i, now, stop, last_us, positive):  # type: ignore[no-untyped-def]
    """Paint events from number i on that are before `stop`; return the number of the first that is not, and now."""
    while i < t.shape[0]:
        at = max(t[i], now)
        if at >= stop:
            break
        now = at
        last_us[y[i], x[i]] = at
        positive[y[i], x[i]] = p[i]
        i += 1
    return i, now


@njit(cache=True, nogil=True)
def _show(last_us, positive, start, frame):  # type: ignore[no-untyped-def]
    """Fill the frame that shows what happened since `start`."""
    for i in range(frame.shape[0]):
        for j in range(frame.shape[1]):
            sign = POSITIVE if positive[i, j] else NEGATIVE
            frame[i, j] = sign if last_us[i, j] >= start else BACKGROUND


def centred_square(height: int, width: int) -> tuple[int, int, int, int]:
    """Return the largest centred square of an image as ``(y0, y1, x0, x1)``.

    Examples
    --------
    >>> centred_square(720, 1280)
    (0, 720, 280, 1000)
    """
    side = min(height, width)
    y0, x0 = (height - side) // 2, (width - side) // 2
    return y0, y0 + side, x0, x0 + side
