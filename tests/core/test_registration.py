import numpy as np
import pytest

from au3dmm.core.registration import register
from au3dmm.errors import FitError
from faces import make_face, random_rotations


@pytest.mark.parametrize("scale", [False, True])
def test_a_planted_motion_is_recovered(scale):
    rng = np.random.default_rng(0)
    points = make_face().template
    rotation = random_rotations(rng, 1, 170)[0]
    size = 1.7 if scale else 1.0
    target = size * points @ rotation.T + [0.1, -0.2, 1.5]
    found = register(points, target, scale=scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, [0.1, -0.2, 1.5], atol=1e-12)
    assert found.scale == pytest.approx(size)
    np.testing.assert_allclose(found.apply(points), target, atol=1e-12)


def test_a_mirrored_target_gets_a_rotation_not_a_reflection():
    points = make_face().template
    found = register(points, points * [-1.0, 1.0, 1.0])
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_points_without_weight_do_not_count():
    points = make_face().template
    target = points + [1.0, 2.0, 3.0]
    target[:10] += 5
    weights = np.r_[np.zeros(10), np.ones(58)]
    np.testing.assert_allclose(register(points, target, weights).translation, [1, 2, 3], atol=1e-12)


def test_points_on_a_line_are_refused():
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    with pytest.raises(FitError, match="on a line"):
        register(line, line)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(FitError, match=r"expected \(N, 3\) twice"):
        register(np.zeros((4, 3)), np.zeros((5, 3)))


def test_too_few_weighted_points_are_refused():
    with pytest.raises(FitError, match="2 points with weight"):
        register(np.eye(3), np.eye(3), np.array([1.0, 1.0, 0.0]))
