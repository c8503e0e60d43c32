import numpy as np

from au3dmm.core.face_paint import LIGHT, paint_eyes, paint_skin
from demo_basis import few_components

BASES = few_components()
MARKS = BASES.landmarks()[0]


def test_lips_and_brows_are_where_the_landmarks_are():
    lip = (MARKS[51] + MARKS[62]) / 2
    places = np.array([lip, MARKS[19], MARKS[24], MARKS[30], (MARKS[36] + MARKS[48]) / 2])
    colour = paint_skin(places, np.ones(len(places)), MARKS, LIGHT)
    np.testing.assert_allclose(colour[0], LIGHT.lips, atol=0.05)
    assert (colour[1:3].max(1) < 0.35).all(), "brows are dark"
    np.testing.assert_allclose(colour[3:], [LIGHT.skin] * 2, atol=1e-9)


def test_the_back_of_the_head_has_no_face():
    behind = MARKS[[19, 51, 57]] - [0, 0, 0.15]
    colour = paint_skin(behind, -np.ones(3), MARKS, LIGHT)
    np.testing.assert_allclose(colour, [LIGHT.skin] * 3)


def test_eyes_are_drawn_between_the_lids_and_nowhere_else():
    image = np.full((200, 300, 3), 0.4)
    marks = np.zeros((68, 2))
    for first, x in ((36, 100.0), (42, 200.0)):
        marks[first : first + 6] = [(x - 20, 100), (x - 8, 92), (x + 8, 92), (x + 20, 100), (x + 8, 108), (x - 8, 108)]
    painted = paint_eyes(image, marks, 1700.0, LIGHT)
    assert painted[100, 100].max() < 0.1, "a pupil"
    assert painted[100, 86].min() > 0.25, "the white"
    changed = np.abs(painted - image).max(2) > 1e-9
    rows = np.flatnonzero(changed.any(1))
    assert rows.min() > 85
    assert rows.max() < 115
    assert set(np.flatnonzero(changed.any(0))) <= set(range(76, 125)) | set(range(176, 225))
    assert (image == 0.4).all(), "the picture given is left as it was"


def test_eyes_outside_the_picture_are_left_out():
    image = np.full((20, 20, 3), 0.4)
    marks = np.full((68, 2), -500.0) + np.arange(68)[:, None] * [3.0, 1.0]
    np.testing.assert_array_equal(paint_eyes(image, marks, 1000.0, LIGHT), image)
