import numpy as np
import pytest

from au3dmm.core.smoothing import smooth_landmarks
from au3dmm.core.spikes import without_spikes
from faces import make_face

JUMP = 9.0


def track(n=60, seed=0, noise=1.0):
    """A face that drifts and nods, with noise, px."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None, None]
    place = make_face().template[:, :2] * 1500
    return place + np.array([0.8, -0.3]) * t + 6 * np.sin(t / 9) + rng.normal(size=(n, 68, 2)) * noise


def test_a_landmark_that_jumps_for_a_frame_or_two_is_put_back_and_nothing_else_is_touched():
    clean = track()
    seen = clean.copy()
    seen[20, 5] += [15.0, 4.0]
    seen[33:35, 50] += [-12.0, 12.0]
    seen[0, 37] += [0.0, 20.0]
    found = without_spikes(seen, [(0, 60)], JUMP)
    hit = np.zeros((60, 68), bool)
    hit[20, 5] = hit[33:35, 50] = hit[0, 37] = True
    np.testing.assert_array_equal((found != seen).any(2), hit)
    assert np.linalg.norm(found - clean, axis=2).max() < 7  # noise, and the motion of two frames


def test_landmarks_that_jump_together_with_a_neighbour_are_a_blink():
    seen = track()
    lids = [37, 38, 43, 44]
    place = seen.mean(0)
    place[[38, 44]] = place[[37, 43]] + 4.0  # side by side, as lids are
    seen = np.repeat(place[None], 60, 0)
    seen[30:32, lids] -= [0.0, 14.0]
    np.testing.assert_array_equal(without_spikes(seen, [(0, 60)], JUMP), seen)


def test_what_lasts_for_three_frames_is_a_movement():
    seen = track(noise=0.0)
    seen[20:23, 60] += [14.0, 0.0]
    np.testing.assert_array_equal(without_spikes(seen, [(0, 60)], JUMP), seen)


def test_nothing_is_compared_across_runs_or_in_runs_shorter_than_five_frames():
    seen = track(24, noise=0.0)
    seen[10:] += 500.0  # another place: no jump inside a run
    spans = [(0, 10), (10, 20), (20, 24)]
    seen[22, 3] += 40.0
    np.testing.assert_array_equal(without_spikes(seen, spans, JUMP), seen)


@pytest.mark.parametrize("n_landmarks", [4, 5, 68])
def test_each_axis_is_compared_with_the_median_of_numpy(n_landmarks):
    rng = np.random.default_rng(3)
    seen = rng.normal(size=(40, n_landmarks, 2)) * 5
    found = without_spikes(seen, [(0, 40)], 1e-9)  # what does not move along with a neighbour becomes the median
    middle = np.stack([np.median(seen[min(max(f - 2, 0), 35) :][:5], axis=0) for f in range(40)])
    changed = (found != seen).any(2)
    assert changed.mean() > 0.3
    np.testing.assert_allclose(found[changed], middle[changed], atol=1e-12)


def test_smoothing_spreads_a_jump_unless_it_is_put_back_first():
    rng = np.random.default_rng(0)
    clean = track(noise=0.3)
    seen = clean.copy()
    frames, which = rng.integers(3, 57, 20), rng.integers(0, 36, 20)
    seen[frames, which] += 25.0
    t_us, valid = np.arange(60) * 33_333, np.ones(60, bool)
    true = smooth_landmarks(clean, t_us, valid, 300_000)
    left, put_back = (smooth_landmarks(seen, t_us, valid, 300_000, spike_iod=s) for s in (0.0, 0.06))
    assert np.abs(put_back - true).max() < 0.2 * np.abs(left - true).max()


def test_the_jump_is_a_share_of_the_faces_size():
    seen = track(noise=0.0)
    seen[20, 5] += 14.0
    t_us, valid = np.arange(60) * 33_333, np.ones(60, bool)
    small = smooth_landmarks(seen, t_us, valid, 300_000, spike_iod=0.06)
    large = smooth_landmarks(3 * seen, t_us, valid, 300_000, spike_iod=0.06)
    np.testing.assert_allclose(large, 3 * small, atol=1e-9)
    rows = np.ones(60, bool)
    rows[:3] = False  # frames without a face hold anything
    seen[:3] = np.nan
    assert np.isfinite(smooth_landmarks(seen, t_us, rows, 300_000, spike_iod=0.06)[3:]).all()
