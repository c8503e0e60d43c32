"""Contrasts of motion."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_track import make_tracks, rate_on_grid, track_on_grid


def motion(t_s: np.ndarray) -> np.ndarray:
    """How much has moved before each time."""
    return 5 * t_s + np.cumsum(np.r_[0, np.diff(t_s)] * 4 * np.sin(7 * t_s) ** 2 * (1 + np.sin(2.3 * t_s)))


FINE_S = np.arange(0, 6, 0.001)
BEFORE = motion(FINE_S)


def before(t_us: np.ndarray) -> np.ndarray:
    return np.interp(t_us / 1e6, FINE_S, BEFORE)


def test_frames_and_events_of_one_motion_have_the_same_contrasts() -> None:
    rng = np.random.default_rng(0)
    t_us = np.cumsum(rng.uniform(28_000, 38_000, 150))
    track = make_tracks(t_us - t_us[0], np.diff(before(t_us))[None])[0]
    rate = EventRate(0, 1000, 900 * np.diff(BEFORE))
    x = track.contrasts(rate.before(track.there(rate, t_us[0], 0.0)))
    assert np.corrcoef(x, track.value)[0, 1] > 0.9999
    assert track.within(rate, t_us[0], 0.0, 0.0).all()
    assert 0 < track.within(rate, t_us[0] + 2e6, 0.0, 0.0).mean() < 0.8


def test_a_drift_turns_about_the_middle() -> None:
    track = make_tracks(33_333.0 * np.arange(61), np.ones((1, 60)))[0]
    rate = EventRate(500, 1000, np.ones(10))
    shift = track.there(rate, 7_000.0, 1e-3) - 500 - track.t_us - 7_000
    assert shift[[0, 30, 60]] == pytest.approx([-1000, 0, 1000], abs=0.1)


def test_nothing_is_compared_across_a_gap_or_a_lost_value() -> None:
    t_us = 33_333.0 * np.arange(100)
    t_us[60:] += 400_000
    energy = np.ones((1, 99))
    energy[0, 20] = np.nan
    track = make_tracks(t_us, energy)[0]
    assert not np.isin([20, 59], track.left).any()
    assert set(track.left) == set(range(99)) - {20, 59}
    for gap in (20, 59):
        assert not ((track.low <= gap) & (track.high > gap)).any()


def test_a_burst_is_limited() -> None:
    rng = np.random.default_rng(0)
    energy = rng.uniform(0.5, 1.5, (1, 120))
    plain = make_tracks(33_333.0 * np.arange(121), energy)[0]
    energy[0, 70] = 1000
    burst = make_tracks(33_333.0 * np.arange(121), energy)[0]
    assert np.abs(burst.value[70]) < 3 * np.abs(plain.value).max()
    away = np.abs(np.arange(120) - 70) > 6
    assert np.corrcoef(burst.value[away], plain.value[away])[0, 1] > 0.99


def test_each_row_is_a_track_of_its_own() -> None:
    rng = np.random.default_rng(1)
    energy = rng.uniform(0.5, 1.5, (3, 80))
    tracks = make_tracks(33_333.0 * np.arange(81), energy)
    for row, track in zip(energy, tracks, strict=True):
        np.testing.assert_array_equal(track.value, make_tracks(33_333.0 * np.arange(81), row[None])[0].value)


def test_on_a_grid_both_are_what_they_are_at_frames() -> None:
    t_us = 40_000.0 * np.arange(100)
    track = make_tracks(t_us, np.diff(before(t_us + 1e6))[None])[0]
    rate = EventRate(0, 1000, 900 * np.diff(BEFORE))
    y, known_y = track_on_grid(track, 20_000.0, 0.0)
    x, known_x = rate_on_grid(rate, 40_000.0, 20_000.0)
    assert known_y[: 2 * 99].all()
    assert not known_x[[0, -1]].any()
    assert y[1 : 2 * 99 : 2] == pytest.approx(track.value)  # centres of intervals
    # beside the ends, where the video knows less of what is around an interval than the events do
    assert np.corrcoef(x[51 : 51 + 2 * 99 : 2][5:-5], track.value[5:-5])[0, 1] > 0.999
    stretched = track_on_grid(track, 20_000.0, 0.01)[0]
    assert len(stretched) == pytest.approx(1.01 * len(y), abs=1)
