import numpy as np
import pytest

from au3dmm.core.landmark_agreement import disagreement_iod


def test_the_distance_of_two_detectors_is_that_of_the_inner_points_in_eye_distances():
    points = np.random.default_rng(0).uniform(0, 100, (68, 3))
    points[36], points[45] = (0, 0, 5), (50, 0, -5)
    other = points + [3, 4, 100]
    other[:17] += 50  # the jaw is drawn on another line
    assert disagreement_iod(points, other) == pytest.approx(0.1)
    assert disagreement_iod(points * 3, other * 3) == pytest.approx(0.1)
