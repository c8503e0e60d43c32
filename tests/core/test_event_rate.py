"""Events per bin."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core import event_rate
from au3dmm.core.event_rate import EventRate, RateMeter, burst_limit
from au3dmm.core.packed_events import PackedEvents, pack
from au3dmm.errors import FitError


def events_at(t: np.ndarray) -> PackedEvents:
    zeros = np.zeros(len(t), np.int64)
    return pack(t, zeros, zeros, zeros)


def test_a_stream_is_counted_as_a_whole_however_it_is_cut() -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(5_000_123, 9_000_000, 20_000))
    whole = np.bincount((t - 5_000_000) // 1000)
    for cuts in ([], [1], [3000, 3000, 12_345], list(range(500, 20_000, 500))):
        meter = RateMeter()
        for part in np.split(t, cuts):
            meter.add(events_at(part))
        rate = meter.result()
        assert rate.t0_us == int(t[0]) // 1000 * 1000
        np.testing.assert_array_equal(rate.counts, whole[(rate.t0_us - 5_000_000) // 1000 :])


def test_events_that_step_back_before_the_first_count_with_it() -> None:
    meter = RateMeter()
    meter.add(events_at(np.array([10_000, 9_990, 10_500, 12_000])))
    meter.add(events_at(np.array([9_995])))
    rate = meter.result()
    assert (rate.t0_us, rate.counts.tolist()) == (10_000, [4.0, 0.0, 1.0])


def test_counts_between_times_are_those_of_the_events() -> None:
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 1_000_000, 50_000))
    meter = RateMeter()
    meter.add(events_at(t))
    edges = np.sort(rng.integers(0, 1_000_000, 40)).astype(float)
    found = np.diff(meter.result().before(edges))
    exact = np.diff(np.searchsorted(t, edges))
    assert np.abs(found - exact).max() < 40  # half of the events of a bin


def test_a_burst_is_scaled_down_and_nothing_else() -> None:
    counts = np.tile([40.0, 60.0, 50.0, 45.0], 500)
    counts[700:705] += 5000
    rate = EventRate(0, 1000, counts)
    calm = rate.limited(20_000, 40_000)
    assert counts[690:715].sum() > 20 * counts[:25].sum()
    assert calm.counts[690:715].sum() < 1.6 * counts[:25].sum()
    assert calm.counts[:650] == pytest.approx(counts[:650])
    assert (calm.counts <= counts).all()
    assert burst_limit(counts, 5, 1.5) == 90.0


def test_no_events_and_endless_ones_are_told_when_the_rate_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FitError, match="cannot tell: no events"):
        RateMeter().result()
    monkeypatch.setattr(event_rate, "MAX_BINS", 100)
    meter = RateMeter()
    meter.add(events_at(np.array([0, 50_000])))
    meter.add(events_at(np.array([60_000, 7_200_000_000])))
    meter.add(events_at(np.array([60_000])))
    with pytest.raises(FitError, match=r"cannot tell: the events last 2\.0 h, expected at most 0\.0 h"):
        meter.result()
