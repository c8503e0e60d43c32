"""Smooth tracks in time by timestamps: a local quadratic that never looks across a gap."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.landmarks import EYELIDS, LEFT_OUTER_EYE, RIGHT_OUTER_EYE
from au3dmm.core.spikes import without_spikes
from au3dmm.errors import FitError

_MAX_GAP_US = 100_000


def smooth_tracks(
    tracks: NDArray[np.floating],
    t_us: NDArray[np.int64],
    valid: NDArray[np.bool_],
    window_us: int,
    max_gap_us: int,
    breaks: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Replace each value by that of a quadratic fitted to the window around it (Savitzky & Golay 1964).

    The window is `window_us` long, centred where it can be and pushed inside at the ends of a run, so that ends
    are smoothed too. On evenly spaced frames this is a Savitzky-Golay filter of order 2 with polynomial ends.

    Parameters
    ----------
    tracks : (T, D) array
        Values; rows where `valid` is False are ignored.
    t_us : (T,) int64 array
        Times, strictly increasing, us.
    valid : (T,) bool array
        Which rows hold values.
    window_us : int
        Length of the window, us; 0 returns the tracks as they are.
    max_gap_us : int
        Neighbours farther apart than this, or with an invalid row between them, belong to different runs.
    breaks : (T,) bool array, optional
        Rows that begin a run of their own.

    Returns
    -------
    (T, D) float64 array
        Invalid rows are returned as they came. Windows with fewer than four values are not smoothed.

    Raises
    ------
    FitError
        If times do not increase, or shapes disagree.
    """
    if tracks.ndim != 2 or t_us.shape != tracks.shape[:1] or valid.shape != tracks.shape[:1]:
        raise FitError(f"smoothing: tracks {tracks.shape}, times {t_us.shape} and valid {valid.shape} disagree")
    if len(t_us) > 1 and not (np.diff(t_us) > 0).all():
        raise FitError(f"smoothing: times do not increase at row {int(np.argmin(np.diff(t_us))) + 1}")
    if window_us <= 0:
        return np.array(tracks, np.float64)
    # fresh memory costs more than the arithmetic: no copy of what is only read
    values = np.ascontiguousarray(tracks, np.float64)
    smooth = np.empty_like(values)
    smooth[~valid] = values[~valid]
    for start, stop in runs(t_us, valid, max_gap_us, breaks):
        _smooth_run(values[start:stop], t_us[start:stop].astype(np.float64), float(window_us), smooth[start:stop])
    return smooth


def smooth_landmarks(
    landmarks: NDArray[np.floating],
    t_us: NDArray[np.int64],
    valid: NDArray[np.bool_],
    window_us: int,
    breaks: NDArray[np.bool_] | None = None,
    eyelids: NDArray[np.integer] = EYELIDS,
    spike_iod: float = 0.0,
    eyes: tuple[int, int] = (RIGHT_OUTER_EYE, LEFT_OUTER_EYE),
) -> NDArray[np.float64]:
    """Smooth landmarks (T, L, 2) with `smooth_tracks`, but never the eyelids: a blink is shorter than the window.

    `eyelids` says which landmarks those are, `eyes` which are the outer eye corners; the defaults are for the iBUG
    order. Before, landmarks that jump alone, by more than `spike_iod` of the (median) distance between the eye corners,
    are put back, eyelids or not: see `spikes.without_spikes`; 0 leaves them.

    Runs end at invalid frames, before frames where `breaks` (T,) is True (another face), and at intervals longer than
    100 ms or one and a half median intervals.

    Raises
    ------
    FitError
        If times do not increase.
    """
    interval = float(np.median(np.diff(t_us))) if len(t_us) > 1 else 0.0
    max_gap_us = max(_MAX_GAP_US, int(1.5 * interval))
    if spike_iod > 0 and valid.any():
        across = np.linalg.norm(landmarks[valid, eyes[1]] - landmarks[valid, eyes[0]], axis=-1)
        jump_px = spike_iod * float(np.median(across))
        landmarks = without_spikes(landmarks, runs(t_us, valid, max_gap_us, breaks), jump_px)
    flat = landmarks.reshape(len(landmarks), -1)
    smooth = smooth_tracks(flat, t_us, valid, window_us, max_gap_us, breaks)
    smooth = smooth.reshape(landmarks.shape)
    smooth[:, eyelids] = landmarks[:, eyelids]
    return smooth


def runs(
    t_us: NDArray[np.int64], valid: NDArray[np.bool_], max_gap_us: int, breaks: NDArray[np.bool_] | None = None
) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of valid rows without a gap longer than `max_gap_us`; `breaks` begin runs.

    Examples
    --------
    >>> runs(np.array([0, 10, 20, 90, 100]), np.array([True, True, False, True, True]), 50)
    [(0, 2), (3, 5)]
    """
    index = np.flatnonzero(valid)
    if not len(index):
        return []
    apart = (np.diff(index) > 1) | (np.diff(t_us[index]) > max_gap_us)
    if breaks is not None:
        apart |= breaks[index][1:]
    cut = np.flatnonzero(apart) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(index, cut)]


@njit(cache=True)
def _smooth_run(values, t, window, out):  # type: ignore[no-untyped-def]
    n, d = values.shape
    lo = 0
    hi = 0
    for i in range(n):
        begin = min(max(t[i] - window / 2, t[0]), t[n - 1] - window)
        while lo < n and t[lo] < begin - 0.5:
            lo += 1
        if hi < lo:
            hi = lo
        while hi < n and t[hi] <= begin + window + 0.5:
            hi += 1
        m = hi - lo
        if m < 4:
            for k in range(d):
                out[i, k] = values[i, k]
            continue
        # normal equations of a quadratic in x = (t - t_i) / window; its value at x = 0 is wanted
        s0 = s1 = s2 = s3 = s4 = 0.0
        for j in range(lo, hi):
            x = (t[j] - t[i]) / window
            s0 += 1.0
            s1 += x
            s2 += x * x
            s3 += x * x * x
            s4 += x * x * x * x
        c0 = s2 * s4 - s3 * s3
        c1 = s2 * s3 - s1 * s4
        c2 = s1 * s3 - s2 * s2
        det = s0 * c0 + s1 * c1 + s2 * c2
        for k in range(d):
            out[i, k] = 0.0
        for j in range(lo, hi):
            x = (t[j] - t[i]) / window
            weight = (c0 + c1 * x + c2 * x * x) / det
            for k in range(d):
                out[i, k] += weight * values[j, k]
