"""Components are drawn where they move the head, whole, and on the scale of what is seen."""

from dataclasses import replace

import numpy as np
import pytest

from au3dmm.report.component_views import BasisPictures
from au3dmm.report.mesh_views import on_paper
from demo_basis import few_components

HEIGHT = 120


@pytest.fixture(scope="module")
def demo():
    return few_components()


@pytest.fixture(scope="module")
def pictures(demo):
    return BasisPictures(demo)


def warm(picture):
    """Where the heat map is coloured: more red than blue."""
    return picture[..., 0].astype(int) - picture[..., 2] > 40


def test_heat_is_where_the_component_moves_the_head(demo, pictures):
    heat = pictures.component(1, "left", HEIGHT)
    front, side = (framing.width(HEIGHT) for framing in (pictures.of_components.front, pictures.of_components.side))
    assert heat.picture.shape == (HEIGHT, front + side, 4)
    assert heat.largest_mm == pytest.approx(2e3 * np.linalg.norm(demo.components_au[1], axis=1).max())
    y, x = np.nonzero(warm(on_paper(heat.picture[:, :front])))
    assert x.min() > 0.4 * front  # the subject's left is on our right
    assert 0.5 * HEIGHT < y.mean() < 0.85 * HEIGHT  # at the mouth


def test_a_right_component_is_seen_from_the_right(pictures):
    front = pictures.of_components.front.width(HEIGHT)
    left = on_paper(pictures.component(1, "left", HEIGHT).picture)
    right = on_paper(pictures.component(2, "right", HEIGHT).picture)
    hot = [warm(picture[:, front:]) for picture in (left, right)]
    assert hot[0].sum() == pytest.approx(hot[1].sum(), rel=0.05)
    assert (hot[0] != hot[1][:, ::-1]).mean() < 0.02


def test_opposite_movements_look_different(demo):
    # the same heat map, so it is the arrows that tell
    aside = np.zeros_like(demo.components_au[:2])
    spot = np.exp(-((demo.template - demo.landmarks()[0][8]) ** 2).sum(1) / 0.02**2)
    aside[0, :, 0], aside[1, :, 0] = 0.0001 * spot, -0.0001 * spot
    both = BasisPictures(replace(demo, components_au=aside, stddev_au=np.ones(2), names_au=("a", "b")))
    front = both.of_components.front.width(HEIGHT)
    one, other = (on_paper(both.component(k, "left", HEIGHT).picture)[:, :front].astype(int) for k in (0, 1))
    changed = np.abs(one - other).max(-1) > 60
    assert 10 < changed.sum() < 400
    np.testing.assert_allclose(np.nonzero(changed)[0].mean() / HEIGHT, 0.8, atol=0.12)


@pytest.mark.parametrize(("axis", "sign"), [(0, 1), (0, -1), (1, 1), (1, -1)])
def test_arrows_point_the_way_the_head_moves(demo, axis, sign):
    moved = np.zeros_like(demo.components_au[:1])
    # on the forehead, over which nothing is dark
    spot = demo.landmarks()[0][27] + (0, 0.045, 0)
    moved[0, :, axis] = sign * 1e-4 * np.exp(-((demo.template - spot)[:, :2] ** 2).sum(1) / 0.012**2)
    one = BasisPictures(replace(demo, components_au=moved, stddev_au=np.ones(1), names_au=("a",)))
    front = one.of_components.front.width(240)
    picture = one.component(0, "left", 240).picture[:90, :front].astype(int)
    ink = np.nonzero((np.abs(picture[..., :3] - (30, 30, 34)) < 12).all(-1) & (picture[..., 3] == 255))
    along = ink[1 - axis] * (sign if axis == 0 else -sign)  # y is down in pictures
    assert len(along) > 40
    # the head of an arrow is where most of its ink is
    assert along.mean() > (along.min() + along.max()) / 2 + 0.8


def test_a_component_that_moves_nothing_can_be_drawn(demo):
    still = BasisPictures(replace(demo, components_au=demo.components_au * 0))
    heat = still.component(0, "both", 60)
    assert heat.largest_mm == 0
    assert not warm(on_paper(heat.picture)).any()


def test_identity_components_change_the_head_both_ways(pictures):
    mean, less, more = (pictures.identity(0, a, 80) for a in (0, -2, 2))
    np.testing.assert_array_equal(mean, pictures.identity(None, 0, 80))
    for one, other in ((mean, less), (mean, more), (less, more)):
        assert (np.abs(one.astype(int) - other).max(-1) > 10).mean() > 0.02


def test_the_scale_of_an_identity_leaves_out_what_is_not_shown(demo):
    moved = np.zeros_like(demo.components_id)
    chin = demo.landmarks()[0][8, 1]
    moved[0, demo.template[:, 1] < chin - 0.06, 0] = 0.05  # shoulders
    moved[0, demo.template[:, 1] > chin, 1] = 0.001
    pictures = BasisPictures(replace(demo, components_id=moved))
    assert pictures.identity_heat(0, 60).largest_mm == pytest.approx(2.0)


@pytest.mark.parametrize("alpha", [-2.0, 2.0])
def test_every_head_is_whole_in_its_pictures(demo, pictures, alpha):
    for k in range(demo.k_id):
        front = pictures.of_identities.front.width(HEIGHT)
        picture = pictures.identity(k, alpha, HEIGHT)
        for view in (picture[:, :front], picture[:, front:]):
            assert not view[0, :, 3].any()
            assert not view[:, [0, -1], 3].any()
            assert view[-1, :, 3].max() < 30  # faded out
            assert view[HEIGHT // 2, :, 3].max() == 255


def test_a_head_that_opens_its_mouth_keeps_its_chin(demo):
    wide = demo.components_au.copy()
    wide[0] = (0, -0.02, 0)
    assert BasisPictures(replace(demo, components_au=wide)).of_components.front.height_m == pytest.approx(
        BasisPictures(demo).of_components.front.height_m + 0.04, abs=0.012
    )
