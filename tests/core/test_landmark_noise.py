import numpy as np
import pytest

from au3dmm.core.landmark_noise import jitter_px, residual_noise_px
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
