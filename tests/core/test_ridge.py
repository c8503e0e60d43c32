import numpy as np
import pytest

from au3dmm.core.ridge import solve_ridge
from au3dmm.errors import FitError


def test_ridge_equals_least_squares_on_augmented_equations():
    rng = np.random.default_rng(0)
    design, target, penalty = rng.normal(size=(30, 5)), rng.normal(size=30), rng.uniform(0.1, 2, 5)
    rows = np.concatenate([design, np.diag(np.sqrt(penalty))])
    expected = np.linalg.lstsq(rows, np.concatenate([target, np.zeros(5)]), rcond=None)[0]
    np.testing.assert_allclose(solve_ridge(design, target, penalty), expected, atol=1e-12)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(FitError, match=r"design \(3, 2\), target \(4,\)"):
        solve_ridge(np.zeros((3, 2)), np.zeros(4), np.ones(2))


def test_equations_that_determine_nothing_are_refused():
    with pytest.raises(FitError, match="1 equations do not determine 2"):
        solve_ridge(np.ones((1, 2)), np.ones(1), np.zeros(2))
