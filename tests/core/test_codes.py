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
