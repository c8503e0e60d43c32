import numpy as np
import pytest

from au3dmm.core.landmarks import GROUPS
from au3dmm.errors import SchemaError
from au3dmm.io.heads import read_head
from au3dmm.report import head_picture as module
from au3dmm.report.head_picture import GROUP_COLOURS, head_picture

HEIGHT = 450  # px; half of the usual, a quarter of the time


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_HEIGHT", HEIGHT)
        yield


@pytest.fixture(scope="module")
def head():
    return read_head("procedural")


@pytest.fixture(scope="module")
def picture(head):
    return head_picture(head.vertices, head.faces, head.landmarks(), title="a head", notes=["one", "two"])


def count(image, colour):
    return int((np.abs(image.astype(int) - colour).max(2) <= 12).sum())


def test_every_group_of_landmarks_is_seen_in_its_colour(picture):
    assert GROUP_COLOURS.keys() == GROUPS.keys()
    for colour in set(GROUP_COLOURS.values()):
        assert count(picture[60 : 50 + HEIGHT], colour) > 100  # px


def test_equal_heads_give_equal_pictures(head, picture):
    again = head_picture(head.vertices, head.faces, head.landmarks(), title="a head", notes=["one", "two"])
    np.testing.assert_array_equal(again, picture)


def test_a_landmark_that_moves_is_drawn_elsewhere(head, picture):
    moved = head.landmarks()
    moved[30, 0] += 0.01  # m
    other = head_picture(head.vertices, head.faces, moved, title="a head", notes=["one", "two"])
    changed = (other != picture).any(2)
    assert 300 < changed.sum() < 0.05 * changed.size
    face = changed[56 : 56 + HEIGHT, : int(0.84 * HEIGHT)]
    y, x = np.nonzero(face)
    assert 0.33 < y.mean() / HEIGHT < 0.6  # at the nose, in the middle
    assert x.mean() / face.shape[1] == pytest.approx(0.5, abs=0.08)


def test_dense_points_are_dots(head, picture):
    corners = head.vertices[head.faces[head.embedding.face_index]].mean(1) + [0, 0.004, 0]
    other = head_picture(
        head.vertices, head.faces, head.landmarks(), dense=corners, title="a head", notes=["one", "two"]
    )
    assert (other != picture).any(2).sum() > 300
    assert other.shape == picture.shape


def test_other_numbers_of_landmarks_are_refused(head):
    with pytest.raises(SchemaError, match=r"landmarks \(51, 3\), expected \(68, 3\)"):
        head_picture(head.vertices, head.faces, head.landmarks()[17:])
