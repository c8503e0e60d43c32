import numpy as np
import pytest
from scipy.signal import savgol_filter

from au3dmm.core.smoothing import smooth_tracks
from au3dmm.errors import FitError

FRAME = 33_333


def times(n):
    return np.arange(n, dtype=np.int64) * FRAME + 1_000_000


def test_evenly_spaced_frames_get_a_savitzky_golay_filter():
    rng = np.random.default_rng(0)
    tracks = rng.normal(size=(60, 3))
    smooth = smooth_tracks(tracks, times(60), np.ones(60, bool), 8 * FRAME + 2, 100_000)
    np.testing.assert_allclose(smooth, savgol_filter(tracks, 9, 2, axis=0), atol=1e-9)


def test_quadratic_motion_is_left_alone_whatever_the_timestamps():
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.integers(10_000, 60_000, 80))
    x = (t - t[0]) * 1e-6
    tracks = np.stack([3 + 2 * x - 5 * x**2, -x], axis=1)
    np.testing.assert_allclose(smooth_tracks(tracks, t, np.ones(80, bool), 300_000, 100_000), tracks, atol=1e-8)


def test_nothing_leaks_across_a_gap_or_an_invalid_row():
    rng = np.random.default_rng(0)
    tracks = rng.normal(size=(40, 2))
    valid = np.ones(40, bool)
    valid[20] = False
    t = times(40)
    t[30:] += 500_000
    before = smooth_tracks(tracks, t, valid, 300_000, 100_000)
    changed = tracks.copy()
    changed[21:30] += 100
    after = smooth_tracks(changed, t, valid, 300_000, 100_000)
    np.testing.assert_array_equal(before[:20], after[:20])
    np.testing.assert_array_equal(before[30:], after[30:])
    np.testing.assert_array_equal(before[20], tracks[20])


def test_a_break_begins_a_run_of_its_own():
    rng = np.random.default_rng(0)
    tracks = rng.normal(size=(40, 2))
    breaks = np.arange(40) == 17
    smooth = smooth_tracks(tracks, times(40), np.ones(40, bool), 300_000, 100_000, breaks)
    for part in (slice(0, 17), slice(17, 40)):
        alone = smooth_tracks(tracks[part], times(40)[part], np.ones(40, bool)[part], 300_000, 100_000)
        np.testing.assert_array_equal(smooth[part], alone)


def test_no_window_means_no_smoothing():
    tracks = np.random.default_rng(0).normal(size=(9, 2))
    np.testing.assert_array_equal(smooth_tracks(tracks, times(9), np.ones(9, bool), 0, 100_000), tracks)


def test_runs_too_short_for_a_quadratic_are_left_alone():
    tracks = np.random.default_rng(0).normal(size=(3, 2))
    np.testing.assert_array_equal(smooth_tracks(tracks, times(3), np.ones(3, bool), 300_000, 100_000), tracks)


def test_times_that_do_not_increase_are_refused():
    with pytest.raises(FitError, match="at row 2"):
        smooth_tracks(np.zeros((4, 1)), np.array([0, 10, 5, 20]), np.ones(4, bool), 100, 100)
