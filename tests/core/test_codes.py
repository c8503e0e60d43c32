import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from au3dmm.core.codes import solve_codes
from au3dmm.errors import FitError


def problem(rng, n_frames, k, p=0):
    n = k + p
    columns = rng.normal(size=(40, 3, n))
    x, y, z = (columns[:, a] for a in range(3))
    grams = [x.T @ x, y.T @ y, z.T @ z, x.T @ y, x.T @ z, y.T @ z]
    gram = np.stack([g if i < 3 else g + g.T for i, g in enumerate(grams)])
    camera = rng.normal(size=(n_frames, 2, 3))
    m = camera.swapaxes(1, 2) @ camera
    mix = np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], m[:, 0, 1], m[:, 0, 2], m[:, 1, 2]], 1)
    full = np.einsum("fia,lan->flin", camera, columns).reshape(n_frames, -1, n)
    target = rng.normal(size=(n_frames, 80)) * 3
    return gram, mix, np.einsum("fmn,fm->fn", full, target), full, target


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 24), st.integers(0, 4), st.floats(0, 3))
def test_nonnegative_codes_meet_the_optimality_conditions(seed, k, p, l1):
    rng = np.random.default_rng(seed)
    gram, mix, right, full, target = problem(rng, 6, k, p)
    variance = rng.uniform(0.05, 2, 6)
    prior = np.r_[np.full(p, 0.01), np.ones(k)]
    codes = solve_codes(gram, mix, right, prior, variance, p, True, l1)
    assert (codes.alpha >= 0).all()
    x = np.concatenate([codes.pose, codes.alpha], axis=1)
    for f in range(6):
        q = full[f].T @ full[f] + variance[f] * np.diag(prior)
        slope = q @ x[f] - full[f].T @ target[f]
        slope[p:] += l1 * variance[f]
        scale = np.abs(full[f].T @ target[f]).max()
        assert np.abs(slope[:p]).max(initial=0) < 1e-9 * scale
        on = codes.alpha[f] > 0
        assert np.abs(slope[p:][on]).max(initial=0) < 1e-9 * scale
        assert slope[p:][~on].min(initial=0) > -1e-9 * scale


@pytest.mark.parametrize("reweight", [0.5, 3.0])
def test_a_second_solve_weights_each_coefficient_by_the_first(reweight):
    rng = np.random.default_rng(3)
    gram, mix, right, full, target = problem(rng, 11, 14, 4)
    variance, prior = rng.uniform(0.5, 2, 11), np.r_[np.full(4, 0.01), np.full(14, 0.1)]
    first = solve_codes(gram, mix, right, prior, variance, 4, True, 3.0).alpha
    codes = solve_codes(gram, mix, right, prior, variance, 4, True, 3.0, reweight=reweight)
    for f in range(11):
        # a weighted l1 of non-negative unknowns only changes the right-hand side
        q = full[f].T @ full[f] + variance[f] * np.diag(prior)
        b = full[f].T @ target[f] - variance[f] * np.r_[np.zeros(4), reweight / (first[f] + 0.25)]
        slope = (q @ np.r_[codes.pose[f], codes.alpha[f]] - b)[4:]
        on = codes.alpha[f] > 0
        assert np.abs(slope[on]).max(initial=0) < 1e-9 * np.abs(b).max()
        assert slope[~on].min(initial=0) > -1e-9 * np.abs(b).max()
    alone = [
        solve_codes(gram, mix[f : f + 1], right[f : f + 1], prior, variance[f : f + 1], 4, True, 3.0, reweight=reweight)
        for f in range(11)
    ]
    np.testing.assert_array_equal(codes.alpha, np.concatenate([one.alpha for one in alone]))
    np.testing.assert_array_equal(codes.std, np.concatenate([one.std for one in alone]))


def test_nonnegative_codes_equal_scipys_nnls():
    rng = np.random.default_rng(0)
    gram, mix, right, full, target = problem(rng, 10, 12)
    codes = solve_codes(gram, mix, right, np.ones(12), np.full(10, 0.3), 0, True, 0.0)
    for f in range(10):
        rows = np.concatenate([full[f], np.sqrt(0.3) * np.eye(12)])
        expected, _ = nnls(rows, np.r_[target[f], np.zeros(12)])
        np.testing.assert_allclose(codes.alpha[f], expected, atol=1e-10)


def test_the_answer_does_not_depend_on_the_frames_before():
    rng = np.random.default_rng(4)
    gram, mix, right, _, _ = problem(rng, 30, 16)
    v = np.full(30, 0.5)
    whole = solve_codes(gram, mix, right, np.ones(16), v, 0, True, 0.5).alpha
    parts = [solve_codes(gram, mix[a : a + 1], right[a : a + 1], np.ones(16), v[:1], 0, True, 0.5) for a in range(30)]
    np.testing.assert_array_equal(whole, np.concatenate([c.alpha for c in parts]))


def test_std_and_dof_are_those_of_the_posterior_with_the_pose_marginalised():
    rng = np.random.default_rng(1)
    gram, mix, right, full, _ = problem(rng, 3, 5, 4)
    prior = np.r_[np.full(4, 0.01), np.ones(5)]
    codes = solve_codes(gram, mix, right, prior, np.full(3, 0.7), 4, False, 0.0)
    for f in range(3):
        covariance = np.linalg.inv(full[f].T @ full[f] / 0.7 + np.diag(prior))[4:, 4:]
        np.testing.assert_allclose(codes.std[f], np.sqrt(np.diag(covariance)), atol=1e-12)
        assert codes.dof[f] == pytest.approx(5 - np.trace(covariance))


def test_numbers_that_are_not_finite_are_refused():
    rng = np.random.default_rng(1)
    gram, mix, right, _, _ = problem(rng, 3, 5)
    right[1, 2] = np.nan
    with pytest.raises(FitError, match="not finite"):
        solve_codes(gram, mix, right, np.ones(5), np.ones(3), 0, True, 0.0)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(FitError, match="disagree"):
        solve_codes(np.zeros((6, 3, 3)), np.zeros((2, 6)), np.zeros((2, 4)), np.ones(3), np.ones(2), 0, True, 0.0)


def test_singular_equations_are_refused_with_the_frame():
    with pytest.raises(FitError, match="frame 0 of 1"):
        solve_codes(
            np.zeros((6, 2, 2)), np.zeros((1, 6)), np.zeros((1, 2)), np.array([0.0, 0.0]), np.ones(1), 0, False, 0
        )


@pytest.mark.parametrize("k", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("p", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("n_frames", [1, 8, 13])
def test_any_number_of_frames_components_and_pose_columns_is_solved(k, p, n_frames):
    rng = np.random.default_rng(k + 10 * p)
    gram, mix, right, full, target = problem(rng, n_frames, k, p)
    prior = np.r_[np.full(p, 0.01), np.ones(k)]
    codes = solve_codes(gram, mix, right, prior, np.full(n_frames, 0.7), p, False, 0.0)
    x = np.concatenate([codes.pose, codes.alpha], axis=1)
    for f in range(n_frames):
        expected = np.linalg.solve(full[f].T @ full[f] + 0.7 * np.diag(prior), full[f].T @ target[f])
        np.testing.assert_allclose(x[f], expected, atol=1e-9)


def test_a_frame_has_the_same_bits_wherever_it_stands_among_others():
    rng = np.random.default_rng(5)
    gram, mix, right, _, _ = problem(rng, 20, 9, 4)
    prior, v = np.r_[np.full(4, 0.01), np.ones(9)], np.full(20, 0.5)
    whole = solve_codes(gram, mix, right, prior, v, 4, True, 0.5)
    order = rng.permutation(20)
    mixed = solve_codes(gram, mix[order], right[order], prior, v, 4, True, 0.5)
    for name in ("pose", "alpha", "std", "dof"):
        np.testing.assert_array_equal(getattr(whole, name)[order], getattr(mixed, name))


def test_a_support_that_is_hard_to_find_is_found():
    # strongly correlated components: exchanging all that is wrong at once goes round in circles
    for seed in range(30):
        rng = np.random.default_rng(seed)
        columns = rng.normal(size=(60, 1, 1)) + 0.05 * rng.normal(size=(60, 3, 24))
        x, y, z = (columns[:, a] for a in range(3))
        gram = np.stack([x.T @ x, y.T @ y, z.T @ z, *(g + g.T for g in (x.T @ y, x.T @ z, y.T @ z))])
        mix = np.array([[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
        target = rng.normal(size=120)
        full = np.concatenate([x, y])
        right = (full.T @ target)[None]
        codes = solve_codes(gram, mix, right, np.ones(24), np.array([1e-3]), 0, True, 0.0)
        expected, _ = nnls(
            np.concatenate([full, np.sqrt(1e-3) * np.eye(24)]), np.r_[target, np.zeros(24)], maxiter=2000
        )
        np.testing.assert_allclose(codes.alpha[0], expected, atol=1e-7)


def test_std_and_dof_are_not_computed_unless_asked_for():
    rng = np.random.default_rng(1)
    gram, mix, right, _, _ = problem(rng, 3, 5)
    codes = solve_codes(gram, mix, right, np.ones(5), np.ones(3), 0, True, 0.0, spread=False)
    assert np.isnan(codes.std).all()
    assert np.isnan(codes.dof).all()


def test_deviations_with_another_prior_are_those_of_a_fit_with_that_prior():
    rng = np.random.default_rng(3)
    gram, mix, right, _, _ = problem(rng, 9, 6, 4)
    right = np.abs(right)  # so that some coefficients are positive
    prior, wider = np.r_[np.full(4, 0.01), np.full(6, 0.1)], np.r_[np.full(4, 0.01), np.ones(6)]
    v = np.full(9, 0.5)
    codes = solve_codes(gram, mix, right, prior, v, 4, True, 0.5, spread_prior=wider)
    same = solve_codes(gram, mix, right, prior, v, 4, True, 0.5)
    other = solve_codes(gram, mix, right, wider, v, 4, False, 0.0)
    np.testing.assert_array_equal(codes.alpha, same.alpha)
    np.testing.assert_allclose(codes.dof, other.dof)
    np.testing.assert_allclose(codes.std, other.std, rtol=1e-12)
    # signs and l1 say nothing of the deviations
    assert (codes.alpha > 0).any()
    assert (codes.alpha == 0).any()
