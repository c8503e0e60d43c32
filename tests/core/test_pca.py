import numpy as np
import pytest

from au3dmm.core.pca import fit_pca
from au3dmm.errors import FitError


def test_components_are_those_of_numpys_svd():
    rows = np.random.default_rng(0).standard_normal((9, 40)) + 5
    found = fit_pca(rows, 4)
    _, singular, directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.stddev, singular[:4] / np.sqrt(8))
    np.testing.assert_allclose(np.abs((found.directions * directions[:4]).sum(1)), 1, atol=1e-12)
    np.testing.assert_allclose(found.explained, (np.cumsum(singular**2) / (singular**2).sum())[:4])


def test_n_heads_give_n_minus_one_components():
    rows = np.random.default_rng(0).standard_normal((22, 300))
    assert len(fit_pca(rows).stddev) == 21
    with pytest.raises(FitError, match="22 components of 22 rows, which determine 21"):
        fit_pca(rows, 22)


def test_repeated_heads_add_no_component():
    rows = np.random.default_rng(0).standard_normal((5, 300))
    assert len(fit_pca(np.concatenate([rows, rows[:3]])).stddev) == 4


def test_rows_are_rebuilt_and_codes_have_unit_variance():
    rows = np.random.default_rng(1).standard_normal((12, 50))
    p = fit_pca(rows)
    codes = (rows - p.mean) @ p.directions.T / p.stddev
    np.testing.assert_allclose(p.mean + codes * p.stddev @ p.directions, rows, atol=1e-12)
    np.testing.assert_allclose(codes.var(0, ddof=1), 1)


def test_signs_are_fixed():
    rows = np.random.default_rng(2).standard_normal((6, 10))
    a, b = fit_pca(rows), fit_pca(rows[::-1])
    np.testing.assert_allclose(a.directions, b.directions, atol=1e-9)
    assert (a.directions[np.arange(5), np.abs(a.directions).argmax(1)] > 0).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((1, 3)), "at least 2"),
        (np.ones((4, 3)), "all equal"),
        (np.array([[0.0, np.nan], [1, 2]]), "not finite"),
    ],
)
def test_rows_without_components_are_refused(rows, message):
    with pytest.raises(FitError, match=message):
        fit_pca(rows)
