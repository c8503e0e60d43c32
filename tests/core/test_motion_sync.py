"""Clocks found from motion: planted offset and drift, and the stated uncertainty held against the truth."""

from __future__ import annotations

import re

import numpy as np
import pytest

from au3dmm.core.clock import ClockModel
from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_sync import DRIFT_PPM, PIXEL_US, fit_motion_clock
from au3dmm.errors import FitError
from simulated_motion import MotionCase, movements, record, simulate


def fit(case: MotionCase, **more: float):
    return fit_motion_clock(case.t_rgb_us, case.energy, case.rate, **more)


@pytest.mark.parametrize("drift_ppm", [-50, 0, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_clock_is_found_within_five_ms(seed: int, drift_ppm: float) -> None:
    case = simulate(seed, seconds=25, mismatch=0.15, drift_ppm=drift_ppm)
    found = fit(case)
    assert case.error_us(found.model) < 5_000
    assert found.uncertainty_us < 5_000
    assert found.correlation > 0.7


def test_the_stated_uncertainty_covers_the_truth() -> None:
    covered, refused, n = 0, 0, 24
    for seed in range(1000, 1000 + n):
        case = simulate(seed, seconds=4.0 + seed % 12)
        try:
            found = fit(case)
        except FitError:
            refused += 1
            continue
        covered += case.error_us(found.model) <= 2 * found.uncertainty_us
    assert covered >= 0.9 * (n - refused)
    assert refused <= 0.25 * n


def test_a_drift_is_measured_where_the_recording_is_long_enough() -> None:
    known = {"mismatch": 0.1, "jitter_us": 500, "fps": 30}
    long, short = simulate(1, seconds=120, drift_ppm=50, **known), simulate(1, seconds=10, drift_ppm=50, **known)
    found = fit(long)
    assert found.drift_measured
    assert found.drift_std_ppm < 30
    assert abs(found.model.drift_ppm - 50) < 3 * found.drift_std_ppm
    found = fit(short)
    assert (found.drift_measured, found.model.drift_ppm, found.drift_std_ppm) == (False, 0.0, DRIFT_PPM)
    # what the drift may do at the ends is in the uncertainty
    assert found.uncertainty_us**2 >= PIXEL_US**2 + (DRIFT_PPM * 5.0) ** 2 * 0.9


@pytest.mark.parametrize("drift_ppm", [-1000, 1900])
def test_frame_times_a_thousandth_off_are_followed(drift_ppm: float) -> None:
    case = simulate(2, seconds=45, drift_ppm=drift_ppm, mismatch=0.1, fps=30)
    found = fit(case)
    assert found.model.drift_ppm == pytest.approx(drift_ppm, abs=150)
    assert case.error_us(found.model) < 6_000


@pytest.mark.parametrize("base_us", [-5_000_000, 1_760_000_000_000_000])
def test_where_clocks_count_from_does_not_matter(base_us: int) -> None:
    case = simulate(3, seconds=15, mismatch=0.1, drift_ppm=0)
    found, moved = fit(case), fit_motion_clock(case.t_rgb_us + base_us, case.energy, case.rate)
    t = case.t_rgb_us[[0, -1]]
    assert np.abs(moved.model.to_event_us(t + base_us) - found.model.to_event_us(t)).max() <= 1
    assert moved.seen_us[0] == found.seen_us[0] + base_us
    later = EventRate(case.rate.t0_us + 77_000_000, 1000, case.rate.counts)
    assert fit_motion_clock(case.t_rgb_us, case.energy, later).model.offset_us == pytest.approx(
        found.model.offset_us + 77_000_000, abs=1
    )


def test_units_and_a_noise_floor_do_not_matter() -> None:
    case = simulate(4, seconds=15, mismatch=0.1)
    found = fit(case)
    scaled = fit_motion_clock(case.t_rgb_us, 1000 * case.energy, EventRate(case.rate.t0_us, 1000, 5 * case.rate.counts))
    assert scaled.model.offset_us == pytest.approx(found.model.offset_us, abs=1)
    floor = np.random.default_rng(0).poisson(3 * case.rate.counts.mean(), len(case.rate.counts))
    noisy = fit_motion_clock(case.t_rgb_us, case.energy, EventRate(case.rate.t0_us, 1000, case.rate.counts + floor))
    assert abs(noisy.model.offset_us - found.model.offset_us) < 3_000


def test_a_burst_in_one_recording_alone_does_not_decide() -> None:
    case = simulate(5, seconds=20, mismatch=0.1, events=1e6)
    counts, energy = case.rate.counts.copy(), case.energy.copy()
    counts[5000:5008] += 0.05 * counts.sum()
    energy[0, 200] += 0.3 * energy.sum()
    found = fit_motion_clock(case.t_rgb_us, energy, EventRate(case.rate.t0_us, 1000, counts))
    assert case.error_us(found.model) < min(5_000, 2 * found.uncertainty_us)


def test_still_ends_missing_frames_and_a_gap_are_bridged() -> None:
    case = simulate(6, seconds=20, mismatch=0.1, fps=30, jitter_us=0)
    t, energy = case.t_rgb_us, case.energy[0]
    # frames that were lost: the motion around them is known only together
    lost = np.array([50, 51, 177, 300])
    keep = np.delete(np.arange(len(t)), lost)
    cumulative = np.r_[0, np.cumsum(energy)]
    found = fit_motion_clock(t[keep], np.diff(cumulative[keep])[None], case.rate)
    assert case.error_us(found.model) < 5_000
    gap = np.delete(np.arange(len(t)), np.arange(250, 290))
    found = fit_motion_clock(t[gap], np.diff(cumulative[gap])[None], case.rate)
    assert case.error_us(found.model) < 5_000
    still = np.r_[np.zeros(5000), case.rate.counts, np.zeros(8000)]
    found = fit_motion_clock(t, case.energy, EventRate(case.rate.t0_us - 5_000_000, 1000, still))
    assert case.error_us(found.model) < 5_000


def test_events_that_begin_late_or_end_early_are_enough() -> None:
    case = simulate(7, seconds=30, mismatch=0.1)
    n = len(case.rate.counts)
    for part in (slice(n // 3, None), slice(None, 2 * n // 3)):
        rate = EventRate(case.rate.t0_us + 1000 * (part.start or 0), 1000, case.rate.counts[part])
        found = fit_motion_clock(case.t_rgb_us, case.energy, rate)
        assert case.error_us(found.model) < 2 * found.uncertainty_us
        assert found.n_used < 0.75 * found.n_intervals


def test_the_threshold_that_agrees_best_is_taken_and_their_spread_is_doubt() -> None:
    case = simulate(8, seconds=20, mismatch=0.1, jitter_us=0)
    rng = np.random.default_rng(0)
    energy = case.energy[0]
    noise = 0.3 * energy.mean() * rng.random((2, len(energy)))
    alone = fit(case)
    both = fit_motion_clock(
        case.t_rgb_us, np.stack([np.roll(energy, 1) + noise[0], energy, energy + noise[1]]), case.rate, usual=1
    )
    assert both.way == 1
    assert both.model.offset_us == pytest.approx(alone.model.offset_us, abs=1)
    shift = 1e6 / case.what["fps"]
    assert both.uncertainty_us == pytest.approx(np.hypot(alone.uncertainty_us, shift / 2), rel=0.25)
    above = fit_motion_clock(case.t_rgb_us, np.stack([energy, energy + noise[0], energy]), case.rate, usual=1)
    assert above.way == 2


def test_a_movement_that_repeats_itself_is_refused_with_both_offsets() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(0, 24, 0.001)
    nod = np.cos(np.pi * t / 0.8) ** 2
    case = record(rng, t, nod, nod, seconds=20, floor=0.1)
    with pytest.raises(
        FitError, match=r"cannot tell: two offsets \d+ ms apart fit motion and event rate about equally"
    ):
        fit(case)


def test_the_refusal_follows_the_numbers() -> None:
    said = []
    for seed in range(24):
        try:
            fit(simulate(seed, seconds=3.5, mismatch=0.4))
        except FitError as err:
            said.append(str(err))
    alike = [text for text in said if "about equally well" in text]
    better = [text for text in said if "but not by enough: evidence" in text]
    assert alike
    assert better
    for text in alike:
        high, low = map(float, re.findall(r"correlation (\d\.\d+) and (\d\.\d+)", text)[0])
        assert high < 1.3 * low + 0.1
    for text in better:
        much, less = map(float, re.findall(r"evidence (\d+\.\d) against (\d+\.\d)", text)[0])
        assert much > 1.2 * less
        assert much < 2.5 * less + 0.3 or much - less < 8.1


def test_what_one_camera_alone_sees_does_not_pull_the_clock() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(0, 24, 0.001)
    moved = movements(rng, t, 1.5)
    beside = np.zeros(len(t))
    for k in (4.0, 9.3, 15.1):  # another person walks past the RGB camera, 60 ms after a movement that both see
        beside += 4 * np.interp(t - 0.06, t, moved) * (np.abs(t - k) < 0.5)
    errors = {}
    for name, rgb in (("alone", moved), ("beside", moved + beside)):
        case = record(np.random.default_rng(1), t, rgb, moved, seconds=20, floor=0.1)
        found = fit(case)
        errors[name] = case.error_us(found.model)
        assert errors[name] < 2 * found.uncertainty_us
    assert errors["beside"] < 5_000


def test_a_drift_that_clocks_do_not_have_is_not_believed() -> None:
    case = simulate(1030)  # with the weights, half of it would be explained by 15 000 ppm
    found = fit(case)
    assert abs(found.model.drift_ppm) <= 2_000
    assert case.error_us(found.model) < 2 * found.uncertainty_us


def test_recordings_of_different_things_are_refused() -> None:
    for seed in range(8):
        here, there = simulate(seed, seconds=10), simulate(seed + 100, seconds=10)
        with pytest.raises(FitError, match="cannot tell: "):
            fit_motion_clock(here.t_rgb_us, here.energy, there.rate)


def test_a_still_recording_is_refused() -> None:
    t = np.arange(100) * 33_333
    rate = EventRate(0, 1000, np.full(3400, 20.0))
    with pytest.raises(FitError, match="cannot tell: at no offset do motion"):
        fit_motion_clock(t, np.zeros((1, 99)), rate)
    rng = np.random.default_rng(0)
    noise = EventRate(0, 1000, rng.poisson(20, 3400).astype(float))
    with pytest.raises(FitError, match="cannot tell: "):
        fit_motion_clock(t, rng.random((1, 99)), noise)


def test_senseless_input_is_refused() -> None:
    rate = EventRate(0, 1000, np.ones(1000))
    with pytest.raises(FitError, match=r"motion: times \(1,\), expected those of two frames"):
        fit_motion_clock(np.zeros(1, np.int64), np.zeros((1, 0)), rate)
    with pytest.raises(FitError, match=r"energies \(1, 5\), expected \(N,\) and \(V, N - 1\)"):
        fit_motion_clock(np.arange(5) * 33_333, np.zeros((1, 5)), rate)
    with pytest.raises(FitError, match="frame 2 is at 0 us, not after 33333 us"):
        fit_motion_clock(np.array([0, 33_333, 0, 66_666]), np.zeros((1, 3)), rate)
    with pytest.raises(FitError, match="motion is known in 5 frame intervals, expected at least 8"):
        fit_motion_clock(np.arange(6) * 33_333, np.ones((1, 5)), rate)


def test_the_result_can_be_drawn() -> None:
    case = simulate(10, seconds=12, mismatch=0.1)
    found = fit(case)
    assert found.zoom[np.abs(found.zoom_us).argmin()] == pytest.approx(found.correlation, abs=0.02)
    assert np.argmax(found.zoom) == pytest.approx(len(found.zoom) // 2, abs=3)
    assert abs(found.curve_us[np.argmax(found.curve)]) < 60_000
    assert len(found.seen_us) == len(found.seen_rgb) == len(found.seen_events) == found.n_used
    assert np.mean(found.seen_rgb * found.seen_events) == pytest.approx(found.correlation, abs=0.02)
    assert found.rival_correlation < found.correlation
    at = np.abs(found.rival_zoom_us - found.rival_us).argmin()
    assert found.rival_zoom[at] == found.rival_correlation
    # the top of a hill, not a point beside it
    assert found.rival_zoom.max() == pytest.approx(found.rival_correlation, abs=0.02)
    assert isinstance(found.model, ClockModel)
