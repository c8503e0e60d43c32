"""What depends on the time of an event alone, computed once per run of events of equal time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.packed_events import PackedEvents
from au3dmm.core.window_events import Part


class RunValues:
    """One number per run of events, or two.

    Attributes
    ----------
    values, rest : (N,) arrays
        Of the runs that hold events, in order; the arrays have more room than that.
    ends : (N,) int64 array
        Number of the first event after each of them.
    n : int
        How many there are.
    """

    def __init__(self, dtype: type[np.generic], rest: type[np.generic] = np.uint8) -> None:
        self.values: NDArray[Any] = np.empty(0, dtype)
        self.rest: NDArray[Any] = np.empty(0, rest)
        self.ends = np.empty(0, np.int64)
        self.n = 0

    def _make_room(self, part: Part) -> PackedEvents:
        runs = part.end_run - part.first_run + 1
        if runs > len(self.ends):
            self.values = np.empty(2 * runs, self.values.dtype)
            self.rest = np.empty(2 * runs, self.rest.dtype)
            self.ends = np.empty(2 * runs, np.int64)
        return part.events

    def look_up(self, part: Part, end_us: int, table: NDArray[np.uint16]) -> None:
        """Set values to ``table[age]``, age: us from the run to `end_us`; the last entry holds beyond the table."""
        e = self._make_room(part)
        self.n = _look_up(
            e.run_us, e.run_at, part.first_run, part.end_run, part.now_us, end_us, table, self.values, self.ends
        )

    def linear(self, part: Part, start_us: int, length_us: int, full: int) -> None:
        """Set values to ``full (t - start_us + 1) / length_us``, rounded (halves up)."""
        e = self._make_room(part)
        self.n = _linear(
            e.run_us, e.run_at, part.first_run, part.end_run, part.now_us, start_us, length_us, full, self.values,
            self.ends,
        )  # fmt: skip

    def slice_bit(self, part: Part, start_us: int, length_us: int, n_slices: int) -> None:
        """Set values to ``1 << i``, i: in which of the equal slices of the window the run is."""
        e = self._make_room(part)
        self.n = _slice_bit(
            e.run_us, e.run_at, part.first_run, part.end_run, part.now_us, start_us, length_us, n_slices, self.values,
            self.ends,
        )  # fmt: skip

    def bins(self, part: Part, start_us: int, length_us: int, bins: int, step: int) -> None:
        """Set values to `step` times the bin at or before the run, and rest to how far it is from there, in parts.

        A bin is ``length_us / (bins - 1)`` long, that is `length_us` of these parts.
        """
        e = self._make_room(part)
        self.n = _bins(
            e.run_us, e.run_at, part.first_run, part.end_run, part.now_us, start_us, length_us, bins, step, self.values,
            self.rest, self.ends,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _look_up(run_us, run_at, run, end, now, window_end, table, values, ends):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    last = table.shape[0] - 1
    for r in range(run, end):
        some = run_at[r + 1] > run_at[r]
        now = max(now, run_us[r]) if some else now
        values[n] = table[min(max(window_end - now, 0), last)] if some else 0
        ends[n] = run_at[r + 1]
        n += some
    return n


@njit(cache=True, nogil=True)
def _linear(run_us, run_at, run, end, now, start, length, full, values, ends):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for r in range(run, end):
        some = run_at[r + 1] > run_at[r]
        now = max(now, run_us[r]) if some else now
        # the quotient is correctly rounded, and nearer to a half than 1 / (2 length) only if it is one
        over = min(max(now - start + 1, 0), length)
        values[n] = np.uint16(np.float64(full * over) / length + 0.5) if some else 0
        ends[n] = run_at[r + 1]
        n += some
    return n


@njit(cache=True, nogil=True)
def _slice_bit(run_us, run_at, run, end, now, start, length, n_slices, values, ends):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for r in range(run, end):
        some = run_at[r + 1] > run_at[r]
        now = max(now, run_us[r]) if some else now
        over = min(max(now - start, 0), length - 1)
        values[n] = np.int64(1) << np.int64(np.float64(over * n_slices) / length) if some else 0
        ends[n] = run_at[r + 1]
        n += some
    return n


@njit(cache=True, nogil=True)
def _bins(run_us, run_at, run, end, now, start, length, bins, step, values, rest, ends):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for r in range(run, end):
        some = run_at[r + 1] > run_at[r]
        now = max(now, run_us[r]) if some else now
        at = (bins - 1) * min(max(now - start, 0), length) if some else 0
        k = np.int64(np.float64(at) / length)
        values[n] = k * step
        rest[n] = at - k * length
        ends[n] = run_at[r + 1]
        n += some
    return n
