"""Places that were planted on the demo head, seen from several sides, are found again."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.placement import (
    Placement,
    cast_points,
    place_points,
    select_points,
    skin_triangles,
    spread_weights,
)
from au3dmm.core.raster import rasterise
from au3dmm.errors import FitError
from demo_basis import few_components

BASES = few_components()
V, F = BASES.template, BASES.faces
MARKS = BASES.landmarks()[0]
TURNS = [Rotation.from_euler("y", a, degrees=True).as_matrix() for a in (-20, 0, 20)]


def camera(turn, size=400, px_per_m=1500.0, away=0.8):
    """The demo head, turned, in a picture of `size` px."""
    turned = (V - MARKS.mean(0)) @ turn.T
    distance = away - turned[:, 2]
    px = px_per_m * away * turned[:, :2] * [1, -1] / distance[:, None] + (size - 1) / 2
    return px, distance


@pytest.fixture(scope="module")
def skin():
    return skin_triangles(F, len(V), BASES.embedding)


def some_places(skin, n=40):
    """Places in the middle of the face, well away from its outline."""
    rng = np.random.default_rng(0)
    middle = V[F].mean(1)
    front = skin & (np.abs(middle[:, 0]) < 0.03) & (np.abs(middle[:, 1] - MARKS[30, 1]) < 0.06)
    front &= middle[:, 2] > MARKS[[36, 45], 2].mean()
    which = rng.choice(np.flatnonzero(front), n, replace=False).astype(np.int32)
    return LandmarkEmbedding(which, rng.dirichlet(np.ones(3), n))


def test_skin_has_neither_eyeballs_nor_teeth(skin):
    from au3dmm.io.assets import read_default_head

    regions = read_default_head().regions
    used = set(np.unique(F[skin]))
    assert set(regions["lips"]) <= used
    for part in ("left_eyeball", "right_eyeball", "teeth"):
        assert not used & set(regions[part]), part


def test_points_are_cast_back_to_where_they_were_seen(skin):
    px, distance = camera(TURNS[2])
    raster = rasterise(px, -1 / distance, F[skin], 400, 400, cull_back=True)
    triangle = np.where(raster.covered, np.flatnonzero(skin)[np.maximum(raster.triangle, 0)], -1).astype(np.int32)
    places = landmark_positions(V, F, some_places(skin))
    turned = (places - MARKS.mean(0)) @ TURNS[2].T
    seen = 1500.0 * 0.8 * turned[:, :2] * [1, -1] / (0.8 - turned[:, 2:]) + 399 / 2
    found = cast_points(seen, triangle, px, distance, V, F, 2.0)
    off = np.linalg.norm(found - places, axis=1)
    visible = off < 0.004  # the others lie behind the nose
    assert visible.mean() > 0.6
    assert np.median(off[visible]) < 3e-4, "a third of a millimetre: a pixel is 0.7 mm"


def test_a_point_off_the_mesh_is_nowhere_and_one_beside_it_is_at_the_edge(skin):
    px, distance = camera(np.eye(3))
    raster = rasterise(px, -1 / distance, F, 400, 400)
    found = cast_points(
        np.array([[2.0, 200.0], [-50.0, 10.0], [np.nan, 3.0], [200.0, 200.0]]),
        raster.triangle,
        px,
        distance,
        V,
        F,
        3.0,
    )
    assert np.isfinite(found).all(1).tolist() == [False, False, False, True]
    edge = int(np.flatnonzero(raster.covered[200])[0])
    beside = np.array([[edge - 2.0, 200.0], [edge - 6.0, 200.0]])
    assert np.isfinite(cast_points(beside, raster.triangle, px, distance, V, F, 3.0)).all(1).tolist() == [True, False]


def test_the_median_of_the_views_is_taken_and_their_disagreement_is_told(skin):
    places = some_places(skin, 12)
    truth = landmark_positions(V, F, places)
    rng = np.random.default_rng(1)
    hits = truth + rng.normal(0, 0.0005, (9, 12, 3))
    hits[0, :6] += 0.05  # one view is far off
    hits[:, 11] = np.nan
    towards = np.tile([0.0, 0.0, 1.0], (9, 1))
    placed = place_points(hits, towards, V, F, skin)
    found = landmark_positions(V, F, placed.embedding)
    assert np.linalg.norm(found - truth, axis=1)[:11].max() < 0.0015
    assert np.isinf(placed.spread_m[11])
    assert (placed.spread_m[:6] > 0.02).all()
    assert (placed.spread_m[6:11] < 0.0015).all()


def test_mirror_partners_get_mirrored_places_and_one_spread(skin):
    places = some_places(skin, 10)
    right = landmark_positions(V, F, places)
    truth = np.concatenate([right, right * [-1, 1, 1]])  # the demo head is symmetric
    mirror = np.roll(np.arange(20), 10)
    hits = truth + np.random.default_rng(2).normal(0, 0.002, (7, 20, 3))
    towards = np.tile([0.0, 0.0, 1.0], (7, 1))
    placed = place_points(hits, towards, V, F, skin, mirror)
    found = landmark_positions(V, F, placed.embedding)
    np.testing.assert_allclose(found[10:], found[:10] * [-1, 1, 1], atol=2e-4)
    np.testing.assert_allclose(placed.spread_m[10:], placed.spread_m[:10], rtol=1e-6)


def test_views_from_behind_a_point_do_not_count(skin):
    place = some_places(skin, 1)
    truth = landmark_positions(V, F, place)
    hits = np.concatenate([np.tile(truth, (5, 1, 1)), np.tile(truth + [0.004, 0, 0], (4, 1, 1))])
    towards = np.array([[0.0, 0, 1]] * 5 + [[0.0, 0, -1]] * 4)
    placed = place_points(hits, towards, V, F, skin)
    assert placed.seen[0] == pytest.approx(5 / 9)
    assert placed.spread_m[0] < 1e-6


def test_nothing_seen_is_an_error_in_one_line(skin):
    with pytest.raises(FitError, match="no view shows a single point"):
        place_points(np.full((3, 4, 3), np.nan), np.ones((3, 3)), V, F, skin)


def test_points_on_the_seam_of_the_lips_or_uncertain_ones_are_not_fitted():
    seam = (MARKS[62] + MARKS[66]) / 2
    cheek = (MARKS[36] + MARKS[48]) / 2
    positions = np.array([seam, cheek, cheek * [-1, 1, 1], MARKS[30], MARKS[8]])
    spread = np.array([1e-4, 1e-3, 5e-3, 1e-3, np.inf])
    placement = Placement(LandmarkEmbedding(np.zeros(5, np.int32), np.tile([1.0, 0, 0], (5, 1))), spread, np.ones(5))
    assert select_points(placement, positions, MARKS).tolist() == [1, 3]
    mirror = np.array([0, 2, 1, 3, 4])
    assert select_points(placement, positions, MARKS, mirror).tolist() == [3], "its partner is uncertain"
    assert select_points(placement, positions, MARKS, left_out=frozenset({3})).tolist() == [1]


def test_weights_fall_with_the_spread():
    weights = spread_weights(np.array([0.0, 0.001, 0.002]))
    assert weights[0] == 1
    assert (np.diff(weights) < 0).all()
