import numpy as np
import pytest

from au3dmm.core.reduction import reduce_rows
from au3dmm.errors import FitError


def low_rank(n=3000, d=90, rank=12, noise=1e-3, seed=0):
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((n, rank)) * np.geomspace(3, 0.3, rank)
    return (left @ rng.standard_normal((rank, d)) + noise * rng.standard_normal((n, d))).astype(np.float32)


def reduce(rows, rank, size=512, **options):
    cuts = [(i, min(i + size, len(rows))) for i in range(0, len(rows), size)]

    def read(block, stride):
        start, stop = cuts[block]
        return rows[start:stop:stride]

    return reduce_rows(read, [b - a for a, b in cuts], rows.shape[1], rank, **options)


def test_directions_and_singular_values_are_those_of_numpy():
    rows = low_rank()
    found = reduce(rows, 12)
    _, singular, directions = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(found.singular_values, singular[:12], rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(found.directions * directions[:12], 1)), 1, atol=1e-4)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(12), atol=1e-5)
    np.testing.assert_allclose(found.coordinates, rows @ found.directions.T, atol=2e-4)


def test_the_residual_is_what_the_directions_leave_out():
    rows = low_rank(noise=0.05)
    found = reduce(rows, 12)
    left = rows.astype(np.float64) - found.coordinates.astype(np.float64) @ found.directions
    assert found.residual == pytest.approx((left**2).sum(), rel=1e-2)
    assert found.energy == pytest.approx((rows.astype(np.float64) ** 2).sum(), rel=1e-6)
    best = (np.linalg.svd(rows, compute_uv=False)[12:] ** 2).sum()
    assert best * (1 - 1e-3) <= found.residual <= best * 1.05


def test_the_result_does_not_depend_on_the_number_of_threads():
    rows = low_rank()
    one, three = reduce(rows, 8, workers=1), reduce(rows, 8, workers=3)
    assert np.array_equal(one.coordinates, three.coordinates)
    assert np.array_equal(one.directions, three.directions)


def test_many_rows_are_sketched_from_some_and_projected_whole():
    rows = low_rank(n=20_000, d=30, rank=5)
    read = []

    def block(i, stride):
        read.append(stride)
        return rows[i * 1000 : (i + 1) * 1000 : stride]

    found = reduce_rows(block, [1000] * 20, 30, 5)
    assert sorted(set(read)) == [1, 2]
    assert found.coordinates.shape == (20_000, 5)
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(rows, compute_uv=False)[:5], rtol=1e-3)


def test_rank_beyond_the_rows_and_bad_values_are_refused():
    rows = low_rank(n=20, d=9, rank=3)
    with pytest.raises(FitError, match="rank 10 of 20 rows and 9 columns; expected 1 to 9"):
        reduce(rows, 10)
    assert reduce(rows, 9).residual == pytest.approx(0, abs=1e-2)
    rows[7, 3] = np.inf
    with pytest.raises(FitError, match="not finite"), np.errstate(invalid="ignore"):
        reduce(rows, 3)
