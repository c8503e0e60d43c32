"""How well RGB motion and event rate agree at every offset between their clocks, and which offsets stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_track import Array, Mask, MotionTrack, rate_on_grid, track_on_grid
from au3dmm.errors import FitError

WIDEST_DRIFT = 2.0e-3
"""Largest drift that is tried or believed, us per us: frame times that are nominal are off by a thousandth (29.97 taken
for 30)."""

_APART_US = 80_000.0  # motion has no two peaks nearer than this
_PER_SECOND = 8.0  # values that do not depend on each other, in contrasts against 0.35 s
_LEAST = 8.0  # intervals


@dataclass(frozen=True)
class OffsetCurve:
    """Correlation at G evenly spaced offsets.

    Attributes
    ----------
    offset_us : (G,) array
        Event time minus RGB time in the middle of the RGB recording, us; they count from the first bin and the first
        frame.
    correlation : (G,) array
        The one with most evidence of all drifts tried; 0 where too little overlaps.
    evidence : (G,) array
        See `evidence`.
    drift : (G,) array
        The drift that it was found with, us per us.
    """

    offset_us: Array
    correlation: Array
    evidence: Array
    drift: Array

    def peaks(self, n: int, apart_us: float) -> NDArray[np.int64]:
        """Return the numbers of the `n` local maxima with most evidence, no two nearer than this; best first."""
        e = self.evidence
        tops = np.flatnonzero((e > 0) & (e >= np.r_[-np.inf, e[:-1]]) & (e > np.r_[e[1:], -np.inf]))
        found: list[int] = []
        for i in tops[np.argsort(-e[tops], kind="stable")]:
            if len(found) == n:
                break
            if all(abs(self.offset_us[i] - self.offset_us[k]) >= apart_us for k in found):
                found.append(int(i))
        return np.array(found, np.int64)


def evidence(correlation: Array | float, length_us: Array | float, interval_us: float) -> Array:
    """Return the log likelihood ratio of positive correlations against none, 0 of others: ``-n / 2 log(1 - r^2)``.

    A high correlation over little time is worth less than a somewhat lower one over much.

    Parameters
    ----------
    correlation : (...) array or float
    length_us : (...) array or float
        Over how much time, us. It counts 8 independent values per second, or as many as there are frames.
    interval_us : float
        Between frames, us.

    Examples
    --------
    >>> evidence(np.array([0.9, 0.5, -0.5]), 3e6, 33_333.0).round(1)
    array([19.9,  3.5,  0. ])
    """
    r = np.clip(correlation, 0.0, 1 - 1e-9)
    n = np.asarray(length_us) * min(_PER_SECOND * 1e-6, 1 / interval_us)
    return np.asarray(-0.5 * n * np.log1p(-r * r))


def least_apart_us(interval_us: float) -> float:
    """Return how far two peaks must lie apart to be two, us."""
    return max(_APART_US, 2 * interval_us)


def offset_curve(track: MotionTrack, rate: EventRate, min_overlap: float) -> OffsetCurve:
    """Correlate a track with an event rate at all offsets, in steps of half a frame interval.

    Means, variances and products are taken over what overlaps at each offset (masked correlation: Padfield 2012).
    Where the recording is long enough for it to matter, drifts up to 0.2 % are tried, too.

    Parameters
    ----------
    track : MotionTrack
        RGB motion.
    rate : EventRate
        Events.
    min_overlap : float
        Share of the shorter of the two recordings that must overlap.

    Raises
    ------
    FitError
        If motion and events rise and fall together nowhere.
    """
    step = max(track.interval_us / 2, float(rate.bin_us))
    x, known_x = rate_on_grid(rate, track.interval_us, step)
    half = track.length_us / 2
    reach = WIDEST_DRIFT * half
    n_side = int(np.ceil(reach / track.interval_us)) if reach > track.interval_us / 2 else 0
    n_more = int(np.ceil(reach / step)) + 1 if n_side else 0
    n_track = int(np.ceil(track.length_us * (1 + WIDEST_DRIFT) / step)) + 2
    grid = step * np.arange(-n_track - n_more, len(x) + n_more + 1)
    best_r, best_e, best_drift = np.zeros((3, len(grid)))
    for drift in np.linspace(-WIDEST_DRIFT, WIDEST_DRIFT, 2 * n_side + 1) if n_side else (0.0,):
        y, known_y = track_on_grid(track, step, drift)
        least = max(min_overlap * min(int(known_x.sum()), int(known_y.sum())), _LEAST * track.interval_us / step)
        lag, r, n = _masked_correlation(y, known_y, x, known_x, least)
        e = evidence(r, n * step, track.interval_us)
        place = lag * step + drift * half  # the drift does nothing in the middle
        r, e = np.interp(grid, place, r, 0.0, 0.0), np.interp(grid, place, e, 0.0, 0.0)
        better = (e > best_e) | ((best_e == 0) & (best_r == 0))
        best_r, best_e = np.where(better, r, best_r), np.where(better, e, best_e)
        best_drift = np.where(better, drift, best_drift)
    if not (best_e > 0).any():
        raise FitError(
            "cannot tell: at no offset do motion in the RGB frames and the rate of events rise and fall together"
        )
    return OffsetCurve(grid.astype(np.float64), best_r, best_e, best_drift)


def _masked_correlation(
    y: Array, known_y: Mask, x: Array, known_x: Mask, least: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return lags (of x behind y), correlation and overlap at each; both are 0 where less than `least` overlaps."""
    size = next_fast_len(len(x) + len(y) - 1, real=True)
    y, x = y / max(float(y.std()), 1e-300), x / max(float(x.std()), 1e-300)
    of_x = [rfft(v, size) for v in (known_x.astype(np.float64), x, x * x)]
    of_y = [np.conj(rfft(v, size)) for v in (known_y.astype(np.float64), y, y * y)]

    def sums(i: int, j: int) -> Array:
        cyclic = irfft(of_x[i] * of_y[j], size)
        return np.concatenate([cyclic[size - len(y) + 1 :], cyclic[: len(x)]])

    n = np.rint(sums(0, 0))
    count = np.maximum(n, 1.0)
    sum_x, sum_y = sums(1, 0), sums(0, 1)
    spread_x, spread_y = sums(2, 0) - sum_x**2 / count, sums(0, 2) - sum_y**2 / count
    # where one of them hardly varies, the quotient would be noise of the transform
    enough = (n >= least) & (spread_x > 1e-6 * count) & (spread_y > 1e-6 * count)
    scale = np.sqrt(np.where(enough, spread_x * spread_y, 1.0))
    r = np.where(enough, (sums(1, 1) - sum_x * sum_y / count) / scale, 0.0)
    return np.arange(1 - len(y), len(x)), r, np.where(enough, n, 0.0)
