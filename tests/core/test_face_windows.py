import numpy as np
import pytest

from au3dmm.core.face_windows import sample_cells, turned_box


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5, np.pi])
def test_a_box_is_found_however_it_is_turned(angle):
    rng = np.random.default_rng(0)
    box = np.concatenate([rng.uniform(-1, 1, (50, 2)) * (30, 10), [[-30, 4], [30, -2], [7, -10], [-3, 10]]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle, sides = turned_box(box @ turn.T + (90, 110), angle)
    np.testing.assert_allclose(middle, (90, 110), atol=1e-12)
    np.testing.assert_allclose(sides, (60, 20), atol=1e-12)


def test_points_may_have_more_columns_and_any_layout():
    points = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32).T
    assert turned_box(points, 0.3) == turned_box(points[:, :2].astype(np.float64).copy(), 0.3)


def test_one_point_has_a_box_without_size():
    middle, sides = turned_box(np.array([[3.0, 4.0]]), 1.0)
    np.testing.assert_allclose(middle, (3, 4))
    assert sides == (0, 0)


def by_hand(features, x, y):
    """Linear interpolation with nothing (0) outside, one place at a time."""
    total = np.zeros(features.shape[2])
    for row in range(features.shape[0]):
        for column in range(features.shape[1]):
            total += features[row, column] * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
    return total


def test_cells_are_sampled_as_by_hand():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 7, 3)).astype(np.float32)
    maps = np.array([[[1.3, -0.4, 0.2], [0.4, 0.9, -0.7]], [[0.5, 0.2, 4.6], [-0.3, 0.8, 2.1]]])  # some lie outside
    found = sample_cells(features, maps, 4)
    assert found.dtype == np.float32
    expected = [[[by_hand(features, *(m[:, :2] @ (j, i) + m[:, 2])) for j in range(4)] for i in range(4)] for m in maps]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("shift", [1e30, -1e30, np.inf, np.nan, 4.0, -1.0])
def test_there_is_nothing_outside_however_far(shift):
    maps = np.array([[[0.0, 0, shift], [0, 0, 1.0]]])
    assert (sample_cells(np.ones((4, 4, 2), np.float32), maps, 3) == 0).all()


def test_the_last_row_and_column_are_inside():
    features = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    assert sample_cells(features, np.array([[[0.0, 0, 3.0], [0, 0, 2.0]]]), 1).item() == 11
