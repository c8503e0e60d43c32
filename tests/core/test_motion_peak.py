"""Where a peak is, and how well that is known."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.motion_peak import climb, compared, locate, near_curve
from au3dmm.core.motion_track import MotionTrack, make_tracks
from au3dmm.errors import FitError
from simulated_motion import MotionCase, movements, record


def case_of(seed: int, **more: float) -> MotionCase:
    rng = np.random.default_rng(seed)
    t = np.arange(0, 24, 0.001)
    moved = movements(rng, t, 1.5)
    seen = [moved + 0.3 * movements(rng, t, 1) for _ in range(2)]
    return record(rng, t, *seen, seconds=20, floor=0.2, **more)


def track_of(case: MotionCase) -> MotionTrack:
    return make_tracks(case.t_rgb_us - case.t_rgb_us[0].astype(float), case.energy)[0]


def planted(case: MotionCase) -> float:
    """Event time minus RGB time in the middle, counted from the first bin and frame."""
    middle = case.exact_rgb_us[[0, -1]].mean()
    there = case.true.offset_us + (1 + case.true.drift_ppm * 1e-6) * middle
    return float(there - case.rate.t0_us - (middle - case.t_rgb_us[0]))


@pytest.mark.parametrize("start", [-45_000, -20_000, 0, 30_000, 45_000])
def test_the_peak_is_reached_from_one_and_a_half_frames_away(start: float) -> None:
    case = case_of(0)
    track = track_of(case)
    top = climb(track, case.rate, planted(case), 0.0)
    assert abs(top.offset_us - planted(case)) < 4_000
    assert climb(track, case.rate, top.offset_us + start, 0.0).offset_us == pytest.approx(top.offset_us, abs=150)


def test_errors_are_as_large_as_stated() -> None:
    scores = []
    for seed in range(30):
        case = case_of(seed)
        track = track_of(case)
        place = locate(track, case.rate, climb(track, case.rate, planted(case), 0.0), with_drift=False)
        scores.append((place.peak.offset_us - planted(case)) / place.offset_std_us)
    assert 0.5 < np.sqrt(np.mean(np.square(scores))) < 1.4
    assert abs(np.mean(scores)) < 0.5


def test_with_the_drift_free_the_ends_are_known_less_well() -> None:
    case = case_of(1, drift_ppm=400.0)
    track = track_of(case)
    top = climb(track, case.rate, planted(case), 0.0)
    held, free = (locate(track, case.rate, top, with_drift=drift) for drift in (False, True))
    assert abs(free.peak.drift - 400e-6) < 3 * free.drift_std
    assert free.end_std_us > 1.2 * free.offset_std_us
    assert (held.drift_std, held.peak.drift, held.end_std_us) == (0.0, 0.0, held.offset_std_us)
    assert free.peak.correlation > held.peak.correlation


def test_a_drift_that_is_held_wrong_shifts_the_offset_to_where_motion_is() -> None:
    # all that moves is in the last third: the offset found is that of there
    rng = np.random.default_rng(2)
    t = np.arange(0, 24, 0.001)
    moved = movements(rng, t, 4) * (t > 16) + 0.001
    case = record(rng, t, moved, moved, seconds=20, floor=0.2, drift_ppm=500.0)
    track = track_of(case)
    place = locate(track, case.rate, climb(track, case.rate, planted(case), 0.0), with_drift=False)
    assert 0.4 < place.lean < 0.9
    half = track.length_us / 2
    assert place.peak.offset_us - planted(case) == pytest.approx(place.lean * 500e-6 * half, abs=1_500)


def test_what_was_compared_has_the_correlation_of_the_peak() -> None:
    case = case_of(3)
    track = track_of(case)
    top = climb(track, case.rate, planted(case), 0.0)
    t_us, rgb, events = compared(track, case.rate, top)
    assert np.mean(rgb * events) == pytest.approx(top.correlation, abs=0.01)
    assert (t_us[0], len(t_us)) == (track.centre_us[0], len(track.left))
    beside = np.arange(-60_000.0, 60_001, 1_000)
    assert abs(beside[np.argmax(near_curve(track, case.rate, top, beside))]) < 4_000


def test_a_flat_or_short_correlation_has_no_place() -> None:
    case = case_of(4)
    track = track_of(case)
    with pytest.raises(FitError, match="cannot tell: the correlation of motion and events has no clear peak"):
        locate(track, case.rate, climb(track, case.rate, planted(case) + 60e6, 0.0), with_drift=False)
    short = track.part(track.centre_us < 400_000)
    top = climb(short, case.rate, planted(case), 0.0)
    with pytest.raises(FitError, match="cannot tell: "):
        locate(short, case.rate, top, with_drift=False)
