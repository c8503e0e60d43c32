"""Clocks found from trigger edges: planted offset and drift."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.clock import ClockModel, TieError, fit_trigger_clock
from au3dmm.errors import FitError

KINDS = (0, 1)


def exposures(n: int, interval: float = 41_708.333, length: int = 8000) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of evenly spaced exposures, and their kinds."""
    middle = np.rint(np.arange(n) * interval).astype(np.int64)
    return np.stack([middle - length // 2, middle + length // 2], 1).ravel(), np.tile(KINDS, n)


def edges_of(model: ClockModel, t_rgb: np.ndarray, rng: np.random.Generator, noise_us: float = 1.0) -> np.ndarray:
    return np.rint(model.to_event_us(t_rgb) + rng.normal(0, noise_us, len(t_rgb))).astype(np.int64)


def worst_error(found: ClockModel, true: ClockModel, t_rgb: np.ndarray) -> float:
    ends = np.array([t_rgb.min(), t_rgb.max()])
    d_offset, d_drift = found.offset_us - true.offset_us, found.drift_ppm - true.drift_ppm
    return float(np.abs(d_offset + d_drift * 1e-6 * ends).max())


@pytest.mark.parametrize("base_us", [0, -5_000_000, 1_760_000_000_000_000])
def test_a_model_and_its_inverse_cancel(base_us: int) -> None:
    model = ClockModel(14_310_073.0 - base_us, -87.3)
    t = base_us + np.random.default_rng(0).integers(0, 4_000_000_000, 1000)
    assert np.abs(model.to_rgb_us(model.to_event_us(t)) - t).max() <= 1
    assert model.to_event_us(t).dtype == np.int64


def test_drift_is_applied_to_rgb_time_and_the_offset_is_not_stretched() -> None:
    assert ClockModel(1_000_000.0, 100.0).to_event_us(np.array([10_000_000])).tolist() == [11_001_000]
    assert ClockModel(1_000_000.0, 100.0).to_rgb_us(np.array([11_001_000])).tolist() == [10_000_000]


@pytest.mark.parametrize("seed", range(12))
def test_the_clock_is_found_with_missing_and_spurious_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t_rgb, kind = exposures(int(rng.integers(60, 600)))
    true = ClockModel(rng.uniform(-1e6, 2e7), rng.uniform(-150, 150))
    edge = edges_of(true, t_rgb, rng)
    keep = rng.random(len(edge)) > 0.01
    keep[[0, 1, -2, -1]] = True
    n_false = len(edge) // 100
    edge = np.r_[edge[keep], rng.integers(edge[0], edge[-1], n_false)]
    edge_kind = np.r_[kind[keep], rng.integers(0, 2, n_false)]
    order = rng.permutation(len(edge))
    fit = fit_trigger_clock(edge[order], t_rgb, edge_kind=edge_kind[order], exposure_kind=kind)
    assert worst_error(fit.model, true, t_rgb) < 2
    assert fit.n_expected == len(t_rgb)
    assert fit.n_edges == len(edge)
    assert keep.sum() - 2 <= fit.n_matched <= keep.sum() + n_false
    assert 0.5 < fit.residual_us < 3
    assert 0 < fit.uncertainty_us < 1


def test_the_stated_uncertainty_is_that_of_many_trials() -> None:
    rng = np.random.default_rng(3)
    t_rgb, _ = exposures(40)
    true = ClockModel(1e6, 20.0)
    fits = [fit_trigger_clock(edges_of(true, t_rgb, rng, 30.0), t_rgb) for _ in range(60)]
    at_end = [f.model.offset_us + f.model.drift_ppm * 1e-6 * t_rgb[-1] for f in fits]
    assert np.std(at_end) == pytest.approx(np.mean([f.uncertainty_us for f in fits]), rel=0.3)


@pytest.mark.parametrize("base_us", [0, 1_760_000_000_000_000])
def test_uneven_exposures_are_matched_although_edges_run_on_at_both_ends(base_us: int) -> None:
    rng = np.random.default_rng(1)
    middle = base_us + np.cumsum(rng.integers(30_000, 36_000, 300))
    true = ClockModel(2e6 - base_us - base_us * 40e-6, 40.0)
    running = np.r_[middle[0] - 33_000 * np.arange(20, 0, -1), middle, middle[-1] + 33_000 * np.arange(1, 20)]
    edge = edges_of(true, running, rng)
    fit = fit_trigger_clock(edge, middle)
    assert np.abs(fit.model.to_event_us(middle) - true.to_event_us(middle)).max() <= 2
    assert fit.n_matched == 300


def test_nominal_frame_times_a_thousandth_off_are_followed() -> None:
    t_rgb, kind = exposures(900, 33_333.333)
    true = ClockModel(3e5, 1001.0)
    fit = fit_trigger_clock(true.to_event_us(t_rgb), t_rgb, edge_kind=kind, exposure_kind=kind)
    assert worst_error(fit.model, true, t_rgb) < 1


def test_events_that_begin_late_are_matched_by_uneven_exposures() -> None:
    rng = np.random.default_rng(2)
    middle = np.cumsum(rng.integers(30_000, 36_000, 300))
    true = ClockModel(-5e5, -60.0)
    fit = fit_trigger_clock(edges_of(true, middle, rng)[100:], middle)
    assert worst_error(fit.model, true, middle) < 2
    assert fit.n_matched == 200


def test_fast_cameras_get_a_smaller_tolerance() -> None:
    t_rgb, kind = exposures(500, 1000, 200)
    true = ClockModel(777.0, 10.0)
    fit = fit_trigger_clock(true.to_event_us(t_rgb), t_rgb, edge_kind=kind, exposure_kind=kind, tolerance_us=2000)
    assert worst_error(fit.model, true, t_rgb) < 1


@pytest.mark.parametrize("change", ["one more before", "one more after", "first missing", "last missing"])
def test_evenly_spaced_exposures_that_fit_twice_are_refused(change: str) -> None:
    t_rgb = np.arange(100) * 33_333
    edge = {
        "one more before": np.r_[-33_333, t_rgb],
        "one more after": np.r_[t_rgb, 100 * 33_333],
        "first missing": t_rgb[1:],
        "last missing": t_rgb[:-1],
    }[change]
    with pytest.raises(FitError, match="cannot tell: two shifts 33333 us apart explain"):
        fit_trigger_clock(edge + 1_000_000, t_rgb)


def test_too_few_matches_are_refused() -> None:
    rng = np.random.default_rng(0)
    t_rgb, kind = exposures(100)
    with pytest.raises(
        FitError, match=r"cannot tell: \d+ of 100 exposure instants of one kind find their trigger edge"
    ):
        fit_trigger_clock(np.sort(rng.integers(0, 4_000_000, 200)), t_rgb, edge_kind=kind, exposure_kind=kind)
    with pytest.raises(FitError, match="cannot tell: 3 trigger edges for 200 exposure instants"):
        fit_trigger_clock(t_rgb[:3], t_rgb)


def test_starts_taken_for_ends_are_refused() -> None:
    t_rgb, kind = exposures(100)
    keep = np.arange(len(t_rgb)) != 50  # one edge less, so that no two shifts are equally good
    with pytest.raises(FitError, match="cannot tell: 0 of 100 exposure instants of one kind"):
        fit_trigger_clock(t_rgb[keep] + 500, t_rgb, edge_kind=1 - kind[keep], exposure_kind=kind)


def test_senseless_input_is_refused() -> None:
    t = np.arange(10)
    with pytest.raises(FitError, match=r"expected .N,. times and kinds 0 or 1"):
        fit_trigger_clock(t, t, edge_kind=t)
    with pytest.raises(FitError, match="exposures at one and the same time"):
        fit_trigger_clock(t, np.zeros(10, int))


def test_five_minutes_of_exposures_is_matched() -> None:
    t_rgb = np.arange(9_000) * 33_333
    true = ClockModel(9e6, -20.0)
    fit = fit_trigger_clock(true.to_event_us(t_rgb), t_rgb)
    assert worst_error(fit.model, true, t_rgb) < 1


def test_a_tie_is_broken_by_what_is_known_otherwise() -> None:
    t_rgb = np.arange(300) * 33_333
    true = ClockModel(5e6, 40.0)
    running = true.to_event_us(np.arange(-2000, 4000) * 33_333)  # a line that pulses on and on
    with pytest.raises(
        TieError, match=r"cannot tell: two shifts 3333\d us apart .* event time minus RGB time -?\d+ or"
    ):
        fit_trigger_clock(running, t_rgb)
    middle = t_rgb.mean()
    shift = true.offset_us + 40e-6 * middle
    for off in (-12_000, 0, 12_000):
        fit = fit_trigger_clock(running, t_rgb, near=(shift + off, 16_000))
        assert worst_error(fit.model, true, t_rgb) < 1
        assert (fit.n_matched, len(fit.spurious_us), len(fit.missing_us)) == (300, 5700, 0)
    with pytest.raises(TieError) as err:
        fit_trigger_clock(running, t_rgb, near=(shift + 16_600, 17_500))
    assert err.value.spacing_us == pytest.approx(33_333, abs=3)
    with pytest.raises(FitError, match="0 of 300 exposure instants find"):
        fit_trigger_clock(running, t_rgb, near=(shift + 16_600, 3_000))


def test_every_instant_and_every_edge_is_accounted_for() -> None:
    rng = np.random.default_rng(4)
    t_rgb, kind = exposures(200)
    true = ClockModel(3e6, -40.0)
    edge = edges_of(true, t_rgb, rng)
    lost, false = np.array([17, 18, 250]), np.array([3_100_007, 5_000_011, 9_000_013])
    all_edges, all_kinds = np.r_[np.delete(edge, lost), false], np.r_[np.delete(kind, lost), [0, 1, 1]]
    fit = fit_trigger_clock(all_edges, t_rgb, edge_kind=all_kinds, exposure_kind=kind)
    np.testing.assert_array_equal(fit.missing_us, t_rgb[lost])
    np.testing.assert_array_equal(fit.spurious_us, false)
    np.testing.assert_array_equal(fit.matched_us, np.delete(t_rgb, lost))
    np.testing.assert_array_equal(fit.kinds, np.delete(kind, lost))
    again = fit.model.to_event_us(fit.matched_us) + fit.residuals_us
    assert np.abs(again - np.delete(edge, lost)).max() <= 0.5
    assert np.sqrt(np.mean(fit.residuals_us**2)) == pytest.approx(fit.residual_us)


def test_the_standard_errors_of_offset_and_drift_are_those_of_many_trials() -> None:
    rng = np.random.default_rng(5)
    t_rgb, _ = exposures(60)
    true = ClockModel(1e6, 20.0)
    fits = [fit_trigger_clock(edges_of(true, t_rgb, rng, 30.0), t_rgb) for _ in range(60)]
    middle = (t_rgb[0] + t_rgb[-1]) / 2
    at_middle = [f.model.offset_us + f.model.drift_ppm * 1e-6 * middle for f in fits]
    assert np.std(at_middle) == pytest.approx(np.mean([f.offset_std_us for f in fits]), rel=0.3)
    assert np.std([f.model.drift_ppm for f in fits]) == pytest.approx(np.mean([f.drift_std_ppm for f in fits]), rel=0.3)
    assert all(f.offset_std_us < f.uncertainty_us for f in fits)
