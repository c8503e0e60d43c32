"""Squares around faces: planted boxes that move, jitter, go missing."""

import numpy as np
import pytest

from au3dmm.core.face_crop import MARGIN, RAISED, face_squares, square_box
from au3dmm.errors import FitError

T_US = 40_000 * np.arange(100)
SHAPE = np.random.default_rng(1).uniform(-1, 1, (68, 2))
SHAPE[:4] = [[-1, 0], [1, 0], [0, -1], [0, 1]]  # its box is [-1, 1] on both axes


def face(centre, half):
    return np.asarray(centre, float)[:, None] + SHAPE * np.asarray(half, float)[:, None, None]


def test_a_still_face_has_the_square_that_is_stated():
    squares = face_squares(face([(50, 60)] * 100, [20] * 100), np.ones(100, bool), T_US)
    np.testing.assert_allclose(squares, [[50, 60 - RAISED * 40, (1 + 2 * MARGIN) * 40]] * 100)


def test_jitter_and_a_few_wrong_faces_leave_it_still_and_a_slow_walk_is_followed():
    rng = np.random.default_rng(0)
    walk = np.stack([50 + 2 * T_US * 1e-6, np.full(100, 60.0)], 1)
    points = face(walk + rng.normal(0, 1, (100, 2)), 20 + rng.normal(0, 1, 100))
    points[40:43] += 300  # another face for a tenth of a second
    squares = face_squares(points, np.ones(100, bool), T_US)
    assert np.abs(squares[13:-13, 0] - walk[13:-13, 0]).max() < 1.0
    assert np.abs(np.diff(squares[:, 0])).max() < 0.4
    assert np.abs(np.diff(squares[:, 2])).max() < 0.4


def test_frames_without_a_face_have_what_lies_between_and_no_face_gives_none():
    valid = np.ones(100, bool)
    valid[30:60] = valid[:5] = False
    points = face([(50, 60)] * 100, [20] * 100)
    points[~valid] = np.nan
    np.testing.assert_allclose(face_squares(points, valid, T_US)[:, 0], 50)
    assert face_squares(points, np.zeros(100, bool), T_US) is None
    assert face_squares(points[40:41], np.ones(1, bool), T_US[:1]).shape == (1, 3)


def test_whole_pixels_keep_the_centre_within_half_a_pixel():
    rng = np.random.default_rng(0)
    for x, y, side in rng.uniform(5, 100, (50, 3)):
        y0, y1, x0, x1 = square_box(np.array([x, y, side]))
        assert y1 - y0 == x1 - x0 == round(side)
        assert abs((x0 + x1 - 1) / 2 - x) <= 0.5
        assert abs((y0 + y1 - 1) / 2 - y) <= 0.5


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(FitError, match="face squares"):
        face_squares(np.zeros((3, 68, 3)), np.ones(3, bool), T_US[:3])
