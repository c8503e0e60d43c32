"""RGB motion and event rate made comparable: in both, how a frame interval stands out from what is around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.event_rate import BURST_TIMES, EventRate, burst_limit
from au3dmm.errors import FitError

# What is slower than this is taken away. It differs between cameras (another view, another distance), and it shifts
# the peak: events of slow motion come late, as pixels have to reach their threshold first. On six seconds of rendered
# faces it takes the error from 4.2 to 1.2 ms (rms).
_AROUND_US = 350_000.0
# a contrast is divided by the root of the rate around plus this share of the mean rate: without, the few largest
# movements decide alone
_LEVEL = 0.5
_LONGEST = 2.5  # median intervals; a longer one is a gap
_LEAST = 8  # intervals
_BURST_US, _BURST_SHARE = 250_000.0, 0.01  # how much of a recording may be bursts: the longer of the two

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MotionTrack:
    """Contrasts of the rate of motion in K frame intervals; times are us after the first frame.

    Attributes
    ----------
    t_us : (N,) float64 array
        Frames.
    left, right : (K,) int64 arrays
        Frames that each interval lies between.
    low, high : (K,) int64 arrays
        Frames between which the rate around it is taken.
    value : (K,) array
        ``(rate within - rate around) / sqrt(rate around + mean rate / 2)`` of the motion in the RGB frames.
    interval_us : float
        Median interval.
    """

    t_us: Array
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    value: Array
    interval_us: float

    @property
    def length_us(self) -> float:
        """From the first frame to the last, us."""
        return float(self.t_us[-1])

    @property
    def centre_us(self) -> Array:
        """Middle of each interval, us."""
        return np.asarray((self.t_us[self.left] + self.t_us[self.right]) / 2)

    def part(self, which: Mask) -> MotionTrack:
        """Return the track of some of the intervals."""
        names = ("left", "right", "low", "high", "value")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    def contrasts(self, before: Array) -> Array:
        """Return the same contrasts, (K,), of anything of which `before` (N,) says how much comes before each frame."""
        t = self.t_us
        within = (before[self.right] - before[self.left]) / (t[self.right] - t[self.left])
        around = (before[self.high] - before[self.low]) / (t[self.high] - t[self.low])
        return _contrast(within, around, float(before[-1] - before[0]) / self.length_us)

    def there(self, rate: EventRate, offset_us: float, drift: float) -> Array:
        """Return the frames' times (N,) on the event clock, us.

        `offset_us` is event time minus RGB time in the middle of the recording, counted from the first bin and the
        first frame; `drift` is in us per us.
        """
        return np.asarray(rate.t0_us + self.t_us + offset_us + drift * (self.t_us - self.length_us / 2))

    def within(self, rate: EventRate, offset_us: float, drift: float, margin_us: float) -> Mask:
        """Whether all that an interval is compared with lies inside the event recording, by a margin."""
        there = self.there(rate, offset_us, drift)
        return np.asarray((there[self.low] >= rate.t0_us + margin_us) & (there[self.high] <= rate.end_us - margin_us))


def make_tracks(t_us: Array, energy: Array) -> list[MotionTrack]:
    """Turn motion between frames into tracks, one per row of `energy`.

    Gaps (intervals longer than 2.5 median ones) and intervals without a finite energy are left out, and nothing is
    compared across them. Short bursts are limited (see `EventRate.limited`).

    Parameters
    ----------
    t_us : (N,) float64 array
        Frames, strictly increasing, us after the first.
    energy : (V, N - 1) array
        Motion between each frame and the next, any unit, not negative; one row per way to measure it.

    Raises
    ------
    FitError
        If shapes or times are not so, or fewer than 8 intervals are left.
    """
    steps = np.diff(t_us)
    if t_us.ndim != 1 or len(t_us) < 2 or energy.ndim != 2 or energy.shape[1] != len(steps):
        raise FitError(f"motion: times {t_us.shape} and energies {energy.shape}, expected (N,) and (V, N - 1)")
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0)) + 1
        raise FitError(f"motion: frame {i} is at {t_us[i]:.0f} us, not after {t_us[i - 1]:.0f} us")
    interval = float(np.median(steps))
    good = (steps <= _LONGEST * interval) & np.isfinite(energy).all(0)
    borders = np.diff(np.r_[False, good, False].astype(np.int8))
    starts, stops = np.flatnonzero(borders == 1), np.flatnonzero(borders == -1)
    half = max(1, round((_AROUND_US / interval - 1) / 2))
    left = np.flatnonzero(good)
    run = np.searchsorted(starts, left, "right") - 1
    low, high = np.maximum(left - half, starts[run]), np.minimum(left + 1 + half, stops[run])
    kept = high - low > 2  # in a shorter run an interval is nearly all that is around it
    left, low, high = left[kept], low[kept], high[kept]
    if len(left) < _LEAST:
        raise FitError(f"cannot tell: motion is known in {len(left)} frame intervals, expected at least {_LEAST}")
    plain = MotionTrack(t_us, left, left + 1, low, high, np.zeros(len(left)), interval)
    n_top = round(allowed_bursts_us(float(steps[good].sum())) / interval)
    tracks = []
    for rate in np.where(good, energy, 0.0) / steps:
        calm = np.minimum(rate, burst_limit(rate[good], n_top, BURST_TIMES))
        tracks.append(replace(plain, value=plain.contrasts(np.r_[0.0, np.cumsum(calm * steps)])))
    return tracks


def allowed_bursts_us(length_us: float) -> float:
    """Return how much of a recording of this length may be bursts, us."""
    return max(_BURST_US, _BURST_SHARE * length_us)


def track_on_grid(track: MotionTrack, step_us: float, drift: float) -> tuple[Array, Mask]:
    """Sample a track at 0, step, 2 step, ... after its times are stretched by 1 + `drift`.

    Returns
    -------
    values, known : (G,) arrays
        0 where it is not known.
    """
    t = np.arange(0.0, track.length_us * (1 + drift) + step_us, step_us) / (1 + drift)
    k = np.minimum(np.searchsorted(track.t_us[track.right], t, "right"), len(track.left) - 1)
    known = (t >= track.t_us[track.left[k]]) & (t < track.t_us[track.right[k]])
    return np.where(known, track.value[k], 0.0), known


def rate_on_grid(rate: EventRate, interval_us: float, step_us: float) -> tuple[Array, Mask]:
    """Sample the same contrasts of an event rate at 0, step, ... after its start; see `track_on_grid`."""
    length = float(rate.end_us - rate.t0_us)
    t = np.arange(0.0, length + step_us, step_us)

    def mean(width: float) -> Array:
        low, high = np.clip(t - width / 2, 0, length), np.clip(t + width / 2, 0, length)
        n = rate.before(high + rate.t0_us) - rate.before(low + rate.t0_us)
        return np.asarray(n / np.maximum(high - low, 1.0))

    known = (t >= interval_us / 2) & (t <= length - interval_us / 2)
    around = mean(max(_AROUND_US, 3 * interval_us))
    return np.where(known, _contrast(mean(interval_us), around, float(rate.counts.sum()) / length), 0.0), known


def _contrast(within: Array, around: Array, mean: float) -> Array:
    level = np.sqrt(around + _LEVEL * mean)
    return np.asarray(np.divide(within - around, level, out=np.zeros_like(within), where=level > 0))
