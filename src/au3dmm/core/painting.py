"""Paint packed events into a frame of polarities, up to a time."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.errors import FitError

NOT_YET = int(np.iinfo(np.int64).min)
"""Running time before the first event."""


GUARD = 64
"""Bytes before the first pixel of a buffer: decoders that do not branch write there what is no event."""


def frame_buffer(height: int, width: int) -> NDArray[np.uint8]:
    """Return room for a frame of a sensor of this size, (GUARD + height * width,) uint8."""
    return np.zeros(GUARD + height * width, np.uint8)


def image_of(buffer: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the pixels of a buffer, an (H, W) view."""
    return buffer[GUARD:].reshape(height, width)


def paint_until(
    events: PackedEvents, first_run: int, now_us: int, until_us: int, buffer: NDArray[np.uint8], width: int
) -> tuple[int, int, int]:
    """Paint events whose running time is before `until_us`: 255 brighter, 0 darker, the last of a pixel wins.

    An event that is earlier than the one before it (cameras step back by a few us) counts at the time of that one.

    Parameters
    ----------
    events : PackedEvents
    first_run : int
        Run to begin with.
    now_us : int
        Running time so far, `NOT_YET` at first.
    until_us : int
        End of the time painted, excluded.
    buffer : (GUARD + H * W,) uint8 array
        See `frame_buffer`.
    width : int
        Of the sensor, px.

    Returns
    -------
    next_run, now_us, n_events : int
        The first run that was not painted, the running time, and how many events were painted.

    Raises
    ------
    FitError
        If an event lies outside the buffer.
    """
    run, now, n = _paint(events.words, events.run_us, events.run_at, first_run, now_us, until_us, buffer, width)
    if n < 0:
        raise FitError(f"an event lies outside the sensor of {(len(buffer) - GUARD) // width} rows")
    return int(run), int(now), int(n)


@njit(cache=True, nogil=True)
def _paint(words, run_us, run_at, run, now, until, buffer, width):  # type: ignore[no-untyped-def]
    n = 0
    end = np.uint32(buffer.shape[0])
    while run < run_us.shape[0]:
        if run_at[run] < run_at[run + 1]:
            at = max(now, run_us[run])
            if at >= until:
                break
            now = at
            for i in range(run_at[run], run_at[run + 1]):
                word = words[i]
                x = (word >> np.uint32(1)) & np.uint32(0x7FF)
                pixel = (word >> np.uint32(12)) * np.uint32(width) + x + np.uint32(GUARD)
                if pixel >= end:
                    return run, now, -1
                buffer[pixel] = np.uint8(0) - np.uint8(word & np.uint32(1))
            n += run_at[run + 1] - run_at[run]
        run += 1
    return run, now, n
