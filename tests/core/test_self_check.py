import numpy as np
import pytest

from au3dmm.core.coverage import LEVELS
from au3dmm.core.fitting import CameraSettings, fit_expression
from au3dmm.core.self_check import check_uncertainty, liveliest, merge_checks
from au3dmm.core.uncertainty import Uncertainty, measure_uncertainty
from au3dmm.errors import FitError

RNG = np.random.default_rng(1)
NEUTRAL = RNG.normal(0, 0.04, (68, 3))
NEUTRAL[36], NEUTRAL[45] = (-0.045, 0.03, 0.0), (0.045, 0.03, 0.0)
COMPONENTS = RNG.normal(0, 0.001, (4, 68, 3))
WEIGHTS = np.ones(68)
SETTINGS = CameraSettings("scaled_orthographic", 0, 1000.0)
SIZE_PX = 1.0


def fit(points):
    how = {"joint_pose": True, "nonnegative": True, "l1": 0.5, "ridge": 0.1}
    return fit_expression(points, NEUTRAL, COMPONENTS, WEIGHTS, SETTINGS, sigma_px=SIZE_PX, **how)


def doubt_of(found, points):
    how = {"sigma_px": SIZE_PX, "measured_px": SIZE_PX, "nonnegative": True}
    return measure_uncertainty(found, points, NEUTRAL, WEIGHTS, **how)


def planted(n=60):
    alpha = np.maximum(RNG.normal(0.5, 1.0, (n, 4)), 0)
    shape = NEUTRAL + np.einsum("tk,kla->tla", alpha, COMPONENTS)
    camera = np.zeros((n, 2, 3))
    camera[:, [0, 1], [0, 1]] = 1600.0
    return alpha, np.einsum("tca,tla->tlc", camera, shape), camera


def check(doubt=doubt_of, size_px=SIZE_PX, n=60):
    return check_uncertainty(fit, doubt, *planted(n), NEUTRAL, WEIGHTS, size_px=size_px)


def test_a_right_model_with_the_noise_it_believes_is_covered_at_least_as_stated():
    found = check()
    for coverage in (found.independent, found.shared):
        assert coverage.n_shown > 100
        assert coverage.shown_1 > 0.66
        assert coverage.shown_wide > 0.93


def test_an_uncertainty_that_is_far_too_small_is_seen():
    def too_sure(found, points):
        return Uncertainty(0.05 * found.alpha_std, np.ones(len(points)), np.ones(len(points)))

    found = check(too_sure)
    assert found.independent.shown_wide < 0.5
    assert found.shared.shown_wide < 0.5


def test_noise_that_neighbours_share_is_harder_and_as_large():
    seen = []

    def remember(found, points):
        seen.append(points)
        return doubt_of(found, points)

    check_uncertainty(fit, remember, *(exact := planted()), NEUTRAL, WEIGHTS, size_px=SIZE_PX)
    sizes = [np.sqrt(((points - exact[1]) ** 2).mean()) for points in seen]
    across = 1600 * 0.09 / 144  # eye corners of 0.09 m at 1600 px per m
    assert sizes == pytest.approx([SIZE_PX * across] * 2, rel=0.05)


def test_equal_sessions_give_equal_counts():
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state
    first = check(n=20).summary()
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state
    assert check(n=20).summary() == first


def test_without_a_frame_there_is_nothing_to_check():
    alpha, fitted, camera = (x[:0] for x in planted())
    with pytest.raises(FitError, match="no frame"):
        check_uncertainty(fit, doubt_of, alpha, fitted, camera, NEUTRAL, WEIGHTS, size_px=1.0)


def test_lively_frames_are_spread_over_the_recording():
    alpha = np.zeros((100, 2))
    alpha[40:80, 1] = 1.0
    rows = liveliest(alpha, 10)
    assert len(rows) == 10
    assert np.isin(rows, np.arange(40, 80)).sum() >= 8
    assert liveliest(np.ones((1, 3)), 10).tolist() == [0]


def summary(shown, within, determined, noise_px=1.0):
    counts = {"shown": shown, "within": [within] * len(LEVELS)}
    both = {"independent": counts, "shared": counts}
    return {"frames": 10, "noise_px": noise_px, "levels": list(LEVELS), **both, "determined": determined}


def test_sessions_add_up_in_any_order():
    one, two = summary(10, 7, [0.2, 0.8], 1.0), summary(30, 20, [0.4, 0.6], 2.0)
    found = merge_checks([one, two])
    assert found == merge_checks([two, one])
    assert (found["sessions"], found["frames"], found["noise_px"]) == (2, 20, 1.5)
    assert found["shared"] == {"shown": 40, "within": [27] * len(LEVELS)}
    assert found["determined"] == [0.3, 0.7]
    assert merge_checks([]) is None
    assert merge_checks([{**one, "levels": [1.0]}]) is None
