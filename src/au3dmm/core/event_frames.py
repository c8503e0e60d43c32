"""Event frames: which windows of time they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError


@dataclass(frozen=True)
class Windows:
    """N windows ``[start, end)`` on the unshifted event clock, us; neither starts nor ends ever go back.

    Attributes
    ----------
    start_us, end_us : (N,) int64 arrays

    Raises
    ------
    FitError
        If a window is empty, or starts or ends before the one before it does.
    """

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]

    def __post_init__(self) -> None:
        if (np.diff(self.start_us) < 0).any() or (np.diff(self.end_us) < 0).any():
            raise FitError("event frames: windows go back in time, expected starts and ends in order")
        if (self.start_us >= self.end_us).any():
            k = int(np.argmax(self.start_us >= self.end_us))
            start, end = self.start_us[k], self.end_us[k]
            raise FitError(f"event frames: window {k} is [{start}, {end}) us, expected an end after its start")

    def __len__(self) -> int:
        return len(self.start_us)

    @property
    def overlap(self) -> bool:
        """Whether an event may lie in more than one window."""
        return bool((self.start_us[1:] < self.end_us[:-1]).any())


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
    not 30). A window ends, and excludes, its end; it starts one accumulation time before: windows overlap if that is
    longer than the period, and leave events out if it is shorter. The first end is the first one after the first
    event, so the first window may begin before the stream does. A frame is emitted when an event at or after its end
    arrives, so the last period, which is not complete, gives none. Periods without events give frames too.

    The SDK's ``force_generate()`` adds one frame of the last, incomplete period, whose time is that of the last event
    (`forced_window`): it is not on the grid, and is left out here as the SDK leaves it out unless it is called.

    Parameters
    ----------
    first_event_us, last_event_us : int
        Span of the stream on the unshifted clock, us.
    t_shift_us : int
        Origin of the grid, us.
    accumulation_us : int
        Length of a window, us.
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
    return _ending_on_grid(start + period, last_event_us, accumulation_us, period)


def forced_window(last_event_us: int, accumulation_us: int) -> Windows:
    """Return the window of the frame that the SDK's ``force_generate()`` adds: it includes the last event.

    Its events are those from one accumulation time before the last event up to that event itself, and the SDK gives it
    the time of the last event, which is one less than the end that is excluded here.

    Examples
    --------
    >>> forced_window(120_000, 33_000)
    Windows(start_us=array([87000]), end_us=array([120001]))
    """
    return Windows(np.array([last_event_us - accumulation_us]), np.array([last_event_us + 1]))


def sliding_windows(
    first_event_us: int, last_event_us: int, t_shift_us: int, accumulation_us: int, step_us: int
) -> Windows:
    """Return windows of one length, one every `step_us`, that lie wholly within the stream.

    Ends lie on the grid of the periodic windows, at ``t_shift_us + m step_us``: the same instants as in the vendor's
    tools, whatever is found out later about the RGB clock, so a better clock moves labels and never frames. Unlike the
    periodic ones, all windows are whole: the first one ends at least one accumulation time after the first event. Every
    frame then shows the same length of time.

    Parameters
    ----------
    first_event_us, last_event_us : int
        Span of the stream on the unshifted clock, us.
    t_shift_us : int
        Origin of the grid, us.
    accumulation_us : int
        Length of a window, us; windows overlap if it is longer than the step.
    step_us : int
        From one window to the next, us.

    Raises
    ------
    FitError
        If the step is shorter than 1 us.

    Examples
    --------
    >>> windows = sliding_windows(1_200, 9_000, 0, 4_000, 1_000)
    >>> windows.start_us, windows.end_us
    (array([2000, 3000, 4000, 5000]), array([6000, 7000, 8000, 9000]))
    """
    if step_us < 1:
        raise FitError(f"sliding windows: a step of {step_us} us, expected at least 1")
    first_end = t_shift_us - (t_shift_us - first_event_us - accumulation_us) // step_us * step_us
    return _ending_on_grid(first_end, last_event_us, accumulation_us, step_us)


def _ending_on_grid(first_end: int, last_event_us: int, length: int, step: int) -> Windows:
    n = max((last_event_us - first_end) // step + 1, 0)
    end = first_end + step * np.arange(n, dtype=np.int64)
    return Windows(end - length, end)
