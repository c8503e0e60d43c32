import numpy as np
import pytest

from au3dmm.core.camera import Pose
from au3dmm.core.expression import ExpressionFit
from au3dmm.core.uncertainty import confidence, measure_uncertainty, stated_std
from au3dmm.errors import FitError

RNG = np.random.default_rng(0)
L, K = 68, 5
NEUTRAL = RNG.normal(0, 0.05, (L, 3))
PX_PER_M = 1000.0


def fit_of(alpha, std, turn_deg=0.0):
    """Return a fit of frames seen from the front, or turned about y, whose landmarks lie at random places."""
    n = len(alpha)
    a = np.radians(turn_deg)
    turned = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    camera = np.zeros((n, 2, 4))
    camera[:, [0, 1], [0, 1]] = PX_PER_M
    pose = Pose(np.tile(turned, (n, 1, 1)), np.full(n, PX_PER_M), np.zeros((n, 2)))
    fitted = RNG.normal(0, 100, (n, L, 2))
    return ExpressionFit(alpha, std, np.ones(n), pose, camera, fitted)


def doubt(fit, landmarks, **changes):
    noise = {"sigma_px": 1.0, "measured_px": None, "nonnegative": True, **changes}
    return measure_uncertainty(fit, landmarks, NEUTRAL, np.ones(L), **noise)


def noise_that_is_believed(sigma_px=1.0):
    return sigma_px * PX_PER_M * np.linalg.norm(NEUTRAL[45] - NEUTRAL[36]) / 144.0


def test_the_formula_by_hand():
    std = stated_std(np.array([[3.0, 4.0, 0.0]]), np.array([[0.2, 0.3, 0.6]]), np.array([2.0]))
    share = 0.35**2 + (1 - 0.35**2) * 25 / (25 + 0.25)
    by_hand = 2 * np.sqrt(share * np.array([0.04, 0.09, 0.36]) + 0.07 * np.array([3, 4, 0]) + 0.015 * 5)
    np.testing.assert_allclose(std[0], by_hand)


def test_a_still_face_is_more_certain_than_a_moving_one_and_never_wholly():
    posterior = np.full((2, K), 0.6)
    alpha = np.zeros((2, K))
    alpha[1, 0] = 2.0
    still, moving = stated_std(alpha, posterior, np.ones(2))
    np.testing.assert_allclose(still, 0.35 * 0.6)
    assert (moving > 2.5 * still).all()
    assert moving[0] > moving[1]


def test_no_number_of_landmarks_makes_a_moving_face_certain():
    # as many landmarks as leave no noise: what others do in their own way still comes out in all components
    alpha = np.array([[0.0, 2.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 0.0]])
    little, much, still = stated_std(alpha, np.full((3, 3), 1e-6), np.ones(3))
    assert little[0] == pytest.approx(np.sqrt(0.015 * 2))
    assert (much > little).all()
    assert (still < 1e-6).all()


def test_a_frame_that_fits_twice_as_badly_as_believed_is_twice_as_uncertain_and_a_better_one_is_not_surer():
    fit = fit_of(np.full((3, K), 0.5), np.full((3, K), 0.4))
    off = noise_that_is_believed() * np.array([0.1, 1.0, 2.0])[:, None, None] * np.ones((3, L, 2))
    found = doubt(fit, fit.fitted + off)
    np.testing.assert_allclose(found.excess, [1, 1, 2], rtol=1e-6)
    np.testing.assert_allclose(found.std[2], 2 * found.std[0])
    np.testing.assert_allclose(found.std[1], found.std[0])
    assert found.certainty[2] < found.certainty[1]


def test_the_usual_noise_is_half_way_from_what_was_believed_to_what_was_measured():
    fit = fit_of(np.zeros((1, K)), np.full((1, K), 0.4))
    seen = fit.fitted + noise_that_is_believed(3.0)
    assert doubt(fit, seen, measured_px=2.0).excess[0] == pytest.approx(3 / 1.5)


def test_certainty_is_one_without_error_and_falls_with_noise_and_turn():
    sure, unsure = (fit_of(np.zeros((1, K)), np.full((1, K), s)) for s in (0.0, 0.6))
    assert doubt(sure, sure.fitted).certainty[0] == 1.0
    assert doubt(unsure, unsure.fitted).certainty[0] == pytest.approx(1 / 1.36)
    turned = fit_of(np.zeros((1, K)), np.zeros((1, K)), turn_deg=60)
    assert doubt(turned, turned.fitted).certainty[0] == pytest.approx(0.5)


def test_codes_with_signs_keep_the_posterior():
    fit = fit_of(RNG.normal(size=(4, K)), np.full((4, K), 0.3))
    np.testing.assert_array_equal(doubt(fit, fit.fitted + 50, nonnegative=False).std, fit.alpha_std)


def test_confidence_is_between_zero_and_one_whatever_the_detector_says():
    found = confidence(np.full(4, 0.5), np.array([0.5, 3.0, -1.0, np.nan], np.float32))
    np.testing.assert_allclose(found, [0.25, 0.5, 0.0, 0.5])


def test_what_does_not_fit_together_is_refused():
    fit = fit_of(np.zeros((2, K)), np.ones((2, K)))
    with pytest.raises(FitError, match=r"landmarks \(1, 68, 2\), fitted \(2, 68, 2\)"):
        doubt(fit, fit.fitted[:1])
    fit.alpha_std[0, 0] = np.nan
    with pytest.raises(FitError, match="no standard deviations"):
        doubt(fit, fit.fitted)


def test_factors_of_components_multiply_the_deviation_and_nothing_where_codes_have_signs():
    alpha, posterior = np.abs(RNG.normal(0, 1, (4, K))), np.full((4, K), 0.5)
    fit = fit_of(alpha, posterior)
    landmarks = fit.fitted + RNG.normal(0, 3, fit.fitted.shape)
    factors = np.array([0.5, 1.0, 1.0, 1.5, 2.0])
    plain, scaled = doubt(fit, landmarks), doubt(fit, landmarks, factors=factors)
    np.testing.assert_allclose(scaled.std, plain.std * factors)
    np.testing.assert_array_equal(scaled.certainty, plain.certainty)
    signed = doubt(fit, landmarks, factors=factors, nonnegative=False)
    np.testing.assert_array_equal(signed.std, posterior)
    with pytest.raises(FitError, match=r"factors \(3,\), expected \(5,\): one per component"):
        doubt(fit, landmarks, factors=np.ones(3))
