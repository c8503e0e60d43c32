"""The stretch of time that an RGB frame stands for, where there are no event frames to say it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError


def frame_windows(
    t_us: NDArray[np.int64], exposure_us: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the window ``[start, end)`` of each RGB frame, whole us.

    That is the frame's exposure, where its length is known. Otherwise it reaches half-way to the frames before and
    after, at most half a median interval: frames that are missing make no window longer. A frame's own time always lies
    in its window.

    Parameters
    ----------
    t_us : (N,) int64 array
        Times of the frames: the middle of their exposures, strictly increasing, us.
    exposure_us : (N,) int64 array, optional
        Lengths of their exposures, us. Left aside where ends would go back.

    Returns
    -------
    start_us, end_us : (N,) int64 arrays
        Ends increase strictly.

    Raises
    ------
    FitError
        If times do not increase, or there is not one exposure for each.

    Examples
    --------
    >>> frame_windows(np.array([0, 40, 80, 400]))
    (array([-20,  20,  60, 380]), array([ 20,  60, 100, 420]))
    >>> frame_windows(np.array([100, 140]), np.array([8, 8]))
    (array([ 96, 136]), array([104, 144]))
    """
    t = np.asarray(t_us, np.int64)
    steps = np.diff(t)
    if (steps <= 0).any():
        i = int(np.argmax(steps <= 0)) + 1
        raise FitError(f"RGB frame times do not increase: {t[i]} us after {t[i - 1]} us")
    if exposure_us is not None:
        if len(exposure_us) != len(t):
            raise FitError(f"{len(exposure_us)} exposures for {len(t)} RGB frames")
        length = np.maximum(np.asarray(exposure_us, np.int64), 1)
        start = t - length // 2
        if (np.diff(start + length) > 0).all():
            return start, start + length
    if not len(steps):
        return t.copy(), t + 1
    half = max(int(np.median(steps)) // 2, 1)
    # the end of one is the start of the next, and an end lies after its frame's own time
    reach = np.minimum(np.maximum(steps // 2, 1), half)
    end = np.r_[t[:-1] + reach, t[-1] + half]
    start = np.r_[t[0] - half, t[1:] - np.minimum(steps - reach, half)]
    return start, end
