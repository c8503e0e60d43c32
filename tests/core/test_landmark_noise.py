import numpy as np
import pytest

from au3dmm.core.landmark_noise import jitter_px, residual_noise_px, span_jitter, still_jitter
from au3dmm.errors import FitError
from faces import make_face


def test_jitter_is_the_planted_noise_of_each_landmark_whatever_moves_evenly():
    rng = np.random.default_rng(0)
    noise = np.where(np.arange(68) < 17, 2.0, 0.5)
    even = np.cumsum(np.ones((600, 1, 2)), axis=0)
    tracks = even + rng.normal(size=(600, 68, 2)) * noise[:, None]
    tracks[300:] += 5000.0  # another clip, elsewhere: no difference may reach across
    found = jitter_px(tracks, np.array([0, 300]))
    np.testing.assert_allclose(found, noise, rtol=0.15)


def test_jitter_needs_three_frames_in_a_row():
    with pytest.raises(FitError, match="three frames in a row"):
        jitter_px(np.zeros((4, 68, 2)), np.array([0, 2]))


def test_what_a_fit_leaves_over_is_stated_at_144_px_and_ignores_a_few_bad_frames():
    rng = np.random.default_rng(0)
    face = make_face().template[:, :2]
    for size in (500.0, 2000.0):
        seen = np.broadcast_to(face * size, (400, 68, 2))
        scale = size * np.linalg.norm(face[45] - face[36]) / 144
        left = seen + rng.normal(size=seen.shape) * 0.7 * scale
        left[:40] += 300.0
        assert residual_noise_px(left, seen, np.ones(68)) == pytest.approx(0.7, rel=0.03)


def test_no_frame_is_refused():
    with pytest.raises(FitError, match="no frame"):
        residual_noise_px(np.zeros((0, 68, 2)), np.zeros((0, 68, 2)), np.ones(68))


def wandering(n, noise, moves, seed=0):
    """Landmarks of a face that shakes where `moves` (n,) is not 0, 100 px between the eyes."""
    rng = np.random.default_rng(seed)
    face = rng.uniform(0, 100, (68, 2))
    face[36], face[45] = (0, 50), (100, 50)
    return face + rng.normal(size=(n, 68, 2)) * noise + rng.normal(size=(n, 1, 2)) * moves[:, None, None]


def test_the_jitter_of_a_session_is_that_of_its_still_spans():
    moves = np.where(np.arange(320) < 128, 0.0, 4.0)  # still for 40 % of the time
    spans = span_jitter(wandering(320, 0.3, moves), np.arange(320) > 0)
    assert spans.shape == (10, 2)
    px, iod = still_jitter(spans)
    assert px == pytest.approx(0.3, rel=0.05)
    assert iod == pytest.approx(0.003, rel=0.05)
    assert np.median(spans[:, 0]) > 3, "the median would be that of the shaking"


def test_choosing_the_stillest_spans_hardly_lowers_the_noise_of_a_face_that_is_always_still():
    px, _ = still_jitter(span_jitter(wandering(3200, 0.5, np.zeros(3200)), np.arange(3200) > 0))
    assert px == pytest.approx(0.5, rel=0.02)


def test_no_difference_reaches_over_a_gap_or_to_another_face():
    tracks, unbroken = wandering(64, 0.2, np.zeros(64)), np.arange(64) > 0
    tracks[20:] += 500
    tracks[40:43] = np.nan
    unbroken[[20, 40, 41, 42, 43]] = False
    assert still_jitter(span_jitter(tracks, unbroken))[0] == pytest.approx(0.2, rel=0.08)


def test_spans_with_too_few_frames_in_a_row_say_nothing():
    tracks = wandering(32, 0.2, np.zeros(32))
    assert still_jitter(span_jitter(tracks, np.arange(32) % 2 > 0)) is None
    assert still_jitter(span_jitter(tracks[:9], np.arange(9) > 0)) is None
    assert still_jitter(span_jitter(tracks[:10], np.arange(10) > 0)) is not None
    assert still_jitter(span_jitter(tracks[:0], np.zeros(0, bool))) is None
