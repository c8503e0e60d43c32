import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.sparse_codes import encode
from au3dmm.errors import FitError


def random_problem(seed, n=60, k=9, r=20):
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((k, r))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    return rng.standard_normal((n, r)) * 2, atoms


def cost(rows, atoms, codes, l1, l2):
    residual = rows - codes @ atoms
    return 0.5 * (residual**2).sum(1) + l1 * np.abs(codes).sum(1) + l2 * (codes**2).sum(1)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_codes_equal_those_of_scikit_learns_lasso(nonnegative, l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, atoms = random_problem(0)
    ours = encode(rows, atoms, 0.4, l2, nonnegative=nonnegative, tolerance=1e-12, sweeps=100_000)
    # the ridge term is a lasso on more observations: 1/2 |0 - sqrt(2 l2) a|^2
    design = np.vstack([atoms.T, np.sqrt(2 * l2) * np.eye(len(atoms))])
    lasso = linear_model.Lasso(
        alpha=0.4 / len(design), fit_intercept=False, positive=nonnegative, tol=1e-14, max_iter=1_000_000
    )
    theirs = np.stack([lasso.fit(design, np.concatenate([row, np.zeros(len(atoms))])).coef_ for row in rows])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(cost(rows, atoms, ours, 0.4, l2), cost(rows, atoms, theirs, 0.4, l2), atol=1e-6)
    assert (theirs == 0).mean() > 0.1  # the penalty was felt


@pytest.mark.parametrize("nonnegative", [True, False])
def test_codes_satisfy_the_optimality_conditions(nonnegative):
    rows, atoms = random_problem(1)
    l1, l2 = 0.7, 0.2
    a = encode(rows, atoms, l1, l2, nonnegative=nonnegative, tolerance=1e-12, sweeps=100_000)
    slope = (rows - a @ atoms) @ atoms.T - 2 * l2 * a
    used = a != 0
    np.testing.assert_allclose(slope[used], l1 * np.sign(a[used]), atol=1e-8)
    assert (slope[~used] <= l1 + 1e-8).all()
    if not nonnegative:
        assert (slope[~used] >= -l1 - 1e-8).all()
    else:
        assert (a >= 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), l1=st.floats(0, 2), share=st.floats(0.1, 1))
def test_a_larger_penalty_never_lengthens_the_codes(seed, l1, share):
    rows, atoms = random_problem(seed, n=5, k=6, r=8)
    small = encode(rows, atoms, l1 * share, tolerance=1e-10, sweeps=20_000)
    large = encode(rows, atoms, l1, tolerance=1e-10, sweeps=20_000)
    assert (np.abs(large).sum(1) <= np.abs(small).sum(1) + 1e-6).all()


def test_codes_depend_neither_on_the_number_of_threads_nor_on_the_start():
    rng = np.random.default_rng(2)
    rows, atoms = random_problem(2, n=5000)
    alone = encode(rows, atoms, 0.5)
    assert np.array_equal(alone, encode(rows, atoms, 0.5, workers=3))
    warm = encode(rows, atoms, 0.5, start=np.abs(rng.standard_normal(alone.shape)), tolerance=1e-12, sweeps=20_000)
    np.testing.assert_allclose(warm, encode(rows, atoms, 0.5, tolerance=1e-12, sweeps=20_000), atol=1e-9)


def test_the_start_is_not_changed_and_types_are_kept():
    rows, atoms = random_problem(3)
    start = np.ones((len(rows), len(atoms)), np.float32)
    codes = encode(rows.astype(np.float32), atoms, 0.5, start=start)
    assert codes.dtype == np.float32
    assert (start == 1).all()


@pytest.mark.parametrize(
    ("atoms", "l1", "l2", "message"),
    [
        (np.ones((2, 3)), 0.1, 0.0, r"rows \(4, 5\) and atoms \(2, 3\)"),
        (np.ones((2, 5)), -0.1, 0.0, "l1 = -0.1"),
        (np.ones((2, 5)), 0.1, -1.0, "l2 = -1.0"),
        (np.array([[1.0] * 5, [0.0] * 5]), 0.1, 0.0, "atom 1 is zero"),
    ],
)
def test_bad_arguments_are_named(atoms, l1, l2, message):
    with pytest.raises(FitError, match=message):
        encode(np.ones((4, 5)), atoms, l1, l2)
