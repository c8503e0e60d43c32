"""Correlation at all offsets."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_curve import OffsetCurve, evidence, least_apart_us, offset_curve
from au3dmm.core.motion_track import make_tracks
from au3dmm.errors import FitError
from simulated_motion import simulate


def test_the_coarse_curve_is_the_correlation_of_what_overlaps() -> None:
    # two routes: by Fourier transform, and offset by offset
    case = simulate(9, seconds=6, mismatch=0.2, fps=25, jitter_us=0)
    track = make_tracks(case.t_rgb_us - case.t_rgb_us[0].astype(float), case.energy)[0]
    curve = offset_curve(track, case.rate, 0.5)
    inside = np.flatnonzero(curve.correlation)[20:-20:29]
    for i in inside:
        there = case.rate.t0_us + track.t_us + curve.offset_us[i]
        x = track.contrasts(case.rate.before(there))
        known = (there[track.low] >= case.rate.t0_us) & (there[track.high] <= case.rate.end_us)
        exact = np.corrcoef(track.value[known], x[known])[0, 1]
        assert curve.correlation[i] == pytest.approx(exact, abs=0.15)
    top = curve.offset_us[np.argmax(curve.evidence)]
    middle = (case.t_rgb_us[0] + case.t_rgb_us[-1]) / 2
    planted = case.true.to_event_us(np.array([middle])) - case.rate.t0_us - (middle - case.t_rgb_us[0])
    assert abs(top - planted[0]) <= track.interval_us


def test_evidence_grows_with_time_and_correlation() -> None:
    r = np.array([0.2, 0.5, 0.9])
    assert (np.diff(evidence(r, 5e6, 33_333)) > 0).all()
    assert evidence(0.5, 1e7, 33_333) == pytest.approx(2 * evidence(0.5, 5e6, 33_333))
    assert evidence(0.5, 1e7, 250_000) == pytest.approx(evidence(0.5, 5e6, 33_333))  # no more values than frames
    assert evidence(-0.9, 1e7, 33_333) == 0


def test_nothing_is_said_of_offsets_at_which_too_little_overlaps() -> None:
    case = simulate(3, seconds=10, mismatch=0.1, fps=30)
    track = make_tracks(case.t_rgb_us - case.t_rgb_us[0].astype(float), case.energy)[0]
    length_us = case.rate.end_us - case.rate.t0_us
    for share in (0.3, 0.9):
        curve = offset_curve(track, case.rate, share)
        inside = curve.offset_us[curve.correlation != 0]
        away = (1 - share) * track.length_us
        assert inside.min() >= -away - 100_000
        assert inside.max() <= length_us - track.length_us + away + 100_000
        assert inside.max() - inside.min() > 1.5 * away


def test_peaks_are_told_apart_by_their_distance() -> None:
    offset = 10_000.0 * np.arange(9)
    e = np.array([0, 1, 0, 5, 0, 4, 0, 3, 0], float)
    curve = OffsetCurve(offset, e / 10, e, np.zeros(9))
    assert curve.peaks(9, 0.0).tolist() == [3, 5, 7, 1]
    assert curve.peaks(9, 30_000.0).tolist() == [3, 7]
    assert curve.peaks(1, 0.0).tolist() == [3]
    assert (least_apart_us(33_333), least_apart_us(100_000)) == (80_000, 200_000)


def test_no_motion_has_no_curve() -> None:
    track = make_tracks(33_333.0 * np.arange(60), np.ones((1, 59)))[0]
    with pytest.raises(FitError, match="cannot tell: at no offset do motion"):
        offset_curve(track, EventRate(0, 1000, np.ones(2500)), 0.5)
