"""Arrows stand where the movement is strong, point where it goes, and leave the rest of the picture alone."""

import numpy as np
import pytest

from au3dmm.report.arrows import draw_motion, pick_spots

SIZE = 200


def plain():
    picture = np.full((SIZE, SIZE, 4), 255, np.uint8)
    picture[..., :3] = (200, 80, 120)
    return picture


def draw(places, moved, *, facing=1.0, openness=1.0, largest=10.0, picture=None):
    n = len(places)
    picture = plain() if picture is None else picture
    return draw_motion(
        picture, np.array(places, float), np.array(moved, float), np.full(n, facing), np.full(n, openness), largest
    )


def ink(picture):
    return np.nonzero((picture[..., :3] < 60).all(-1))


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1), (0.6, 0.8)])
def test_an_arrow_points_where_the_spot_moves(direction):
    moved = 10 * np.array(direction)
    y, x = ink(draw([(100, 90)], [moved]))
    along = (x - 100) * direction[0] + (y - 90) * direction[1]
    assert along.max() - along.min() == pytest.approx(0.15 * SIZE, abs=4)
    assert (along.max() + along.min()) / 2 == pytest.approx(0, abs=1.5)
    assert along.mean() > 1  # its head is wider than its shaft


def test_length_is_movement_within_the_picture():
    long, short = (draw([(100, 90)], [(moved, 0)]) for moved in (10, 6))
    extent = [np.ptp(ink(picture)[1]) for picture in (long, short)]
    assert extent[1] / extent[0] == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize(
    "more", [{"facing": 0.1}, {"openness": 0.1}, {"largest": 40.0}, {"largest": 0.0}],
    ids=["turned away", "in a hole", "towards the camera", "still"],
)  # fmt: skip
def test_no_arrow_where_it_would_not_be_seen(more):
    np.testing.assert_array_equal(draw([(100, 90)], [(10, 0)], **more), plain())


@pytest.mark.parametrize("place", [(4, 90), (197, 90), (100, 3), (100, 190), (-50, 90), (100, 900)])
def test_no_arrow_is_cut_by_the_edge(place):
    np.testing.assert_array_equal(draw([place], [(10, 0)]), plain())


def test_an_arrow_beyond_the_head_is_drawn_on_nothing():
    picture = draw([(100, 90)], [(10, 0)], picture=np.zeros((SIZE, SIZE, 4), np.uint8))
    assert picture[90, 100].tolist() == [30, 30, 34, 255]
    assert picture[90, 100 - 40].tolist() == [0, 0, 0, 0]
    outline = (picture[..., :3] > 200).all(-1) & (picture[..., 3] > 0)
    assert outline.any()


def test_the_picture_given_is_not_drawn_on():
    picture = plain()
    draw([(100, 90)], [(10, 0)], picture=picture)
    np.testing.assert_array_equal(picture, plain())


def test_spots_are_the_strongest_and_lie_apart():
    rng = np.random.default_rng(0)
    places, strength = rng.uniform(0, 100, (500, 2)), rng.uniform(1, 2, 500)
    usable = strength < 1.9
    spots = pick_spots(places, strength, usable, 20.0)
    assert len(spots) == 6
    assert usable[spots].all()
    assert strength[spots[0]] == strength[usable].max()
    assert (np.diff(strength[spots]) <= 0).all()
    apart = np.linalg.norm(places[spots][:, None] - places[spots], axis=-1)
    assert apart[~np.eye(6, dtype=bool)].min() >= 20


def test_weak_spots_are_left_out():
    places = np.array([[0.0, 0], [50, 0], [90, 0]])
    assert pick_spots(places, np.array([1.0, 0.5, 0.4]), np.ones(3, bool), 5.0).tolist() == [0, 1]
    assert pick_spots(places, np.zeros(3), np.ones(3, bool), 5.0).size == 0
    assert pick_spots(places, np.ones(3), np.zeros(3, bool), 5.0).size == 0
