"""How many events come when: the stream of a whole recording as one histogram over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.errors import FitError

MAX_BINS = 1 << 24
"""4.6 hours at 1 ms: what a clock that jumps may cost in memory is bounded."""

BURST_TIMES = 1.5
"""How far above the rest a burst may stay."""


@dataclass(frozen=True)
class EventRate:
    """Events per bin.

    Attributes
    ----------
    t0_us : int
        Where the first bin begins, us on the unshifted event clock.
    bin_us : int
        Length of a bin, us.
    counts : (M,) float64 array
        Events in each bin.

    Examples
    --------
    >>> rate = EventRate(1000, 10, np.array([2.0, 4.0]))
    >>> rate.before(np.array([1000.0, 1005.0, 1015.0, 9000.0]))
    array([0., 1., 4., 6.])
    """

    t0_us: int
    bin_us: int
    counts: NDArray[np.float64]

    @property
    def end_us(self) -> int:
        """Where the last bin ends, us."""
        return self.t0_us + self.bin_us * len(self.counts)

    def before(self, t_us: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many events come before each time, linear within a bin; nothing comes outside the bins."""
        place = np.asarray(t_us - self.t0_us, np.float64) / self.bin_us
        return np.asarray(_before(self._cumulative, place.ravel()), np.float64).reshape(place.shape)

    @cached_property
    def _cumulative(self) -> NDArray[np.float64]:
        return np.concatenate([np.zeros(1), np.cumsum(self.counts, dtype=np.float64)])

    def limited(self, width_us: float, top_us: float, times: float = BURST_TIMES) -> EventRate:
        """Scale bursts down to `times` the rate that is exceeded for `top_us` in all.

        A light that is switched gives more events in one frame interval than a face in a minute; it would decide
        every correlation alone.

        Parameters
        ----------
        width_us : float
            Rates are taken over this long, us.
        top_us : float
            How much of the recording may be bursts, us.
        times : float
            How far above the rest they may stay.
        """
        width = min(max(1, round(width_us / self.bin_us)), len(self.counts))
        sums = np.convolve(self.counts, np.ones(width), "same") if width > 1 else self.counts
        cap = burst_limit(sums, round(top_us / self.bin_us), times)
        scale = np.minimum(1.0, cap / np.maximum(sums, 1e-300))
        return EventRate(self.t0_us, self.bin_us, self.counts * scale)


def burst_limit(rate: NDArray[np.float64], n_top: int, times: float) -> float:
    """Return `times` the (n_top + 1)-th largest value, at least the smallest positive one.

    Examples
    --------
    >>> burst_limit(np.array([1.0, 2.0, 90.0, 1.0]), 1, 3.0)
    6.0
    """
    ordered = np.sort(rate)[::-1]
    limit = times * float(ordered[min(n_top, len(ordered) - 1)])
    return limit if limit > 0 else float(ordered[0])


class RateMeter:
    """Counts the events of a stream per bin, chunk by chunk.

    Parameters
    ----------
    bin_us : int
        Length of a bin, us.

    Examples
    --------
    >>> from au3dmm.core.packed_events import pack
    >>> meter = RateMeter(10)
    >>> meter.add(pack([103, 104, 121], [0, 0, 0], [0, 0, 0], [1, 1, 1]))
    >>> meter.result()
    EventRate(t0_us=100, bin_us=10, counts=array([2., 0., 1.]))
    """

    def __init__(self, bin_us: int = 1000) -> None:
        self._bin_us = bin_us
        self._t0_us = 0
        self._counts = np.zeros(0, np.int64)
        self._used = 0

    def add(self, events: PackedEvents) -> None:
        """Count the events of the next chunk; what is earlier than the first event of all counts with it."""
        if not len(events.run_us):
            return
        if not self._used:
            self._t0_us = int(events.run_us[0]) // self._bin_us * self._bin_us
        n = max(1, (int(events.run_us.max()) - self._t0_us) // self._bin_us + 1)
        if n > MAX_BINS:  # told by `result`: who does not ask for it does not care
            self._used = n
        if self._used > MAX_BINS:
            return
        if n > len(self._counts):
            grown = np.zeros(max(n, 2 * len(self._counts), 1 << 12), np.int64)
            grown[: self._used] = self._counts[: self._used]
            self._counts = grown
        self._used = max(self._used, n)
        _count(events.run_us, events.run_at, self._t0_us, self._bin_us, self._counts)

    def result(self) -> EventRate:
        """Return the histogram so far.

        Raises
        ------
        FitError
            If there was no event, or they last longer than `MAX_BINS` bins.
        """
        if not self._used:
            raise FitError("cannot tell: no events")
        if self._used > MAX_BINS:
            hours = self._bin_us / 3.6e9
            raise FitError(
                f"cannot tell: the events last {self._used * hours:.1f} h, expected at most {MAX_BINS * hours:.1f} h"
            )
        return EventRate(self._t0_us, self._bin_us, self._counts[: self._used].astype(np.float64))


@njit(cache=True, nogil=True)
def _count(run_us, run_at, t0_us, bin_us, counts):  # type: ignore[no-untyped-def]
    for k in range(run_us.shape[0]):
        counts[max(0, (run_us[k] - t0_us) // bin_us)] += run_at[k + 1] - run_at[k]


@njit(cache=True, nogil=True)
def _before(cumulative, place):  # type: ignore[no-untyped-def]
    """Interpolate the running count at places counted in bins."""
    last = cumulative.shape[0] - 1
    out = np.empty(place.shape[0])
    for i in range(place.shape[0]):
        at = min(max(place[i], 0.0), float(last))
        k = min(int(at), last - 1)
        out[i] = cumulative[k] + (at - k) * (cumulative[k + 1] - cumulative[k])
    return out
