"""The rasteriser against a naive one, and the properties that pictures rest on."""

import numpy as np
import pytest

from au3dmm.core.raster import BACKGROUND, MeshPainter, interpolate, rasterise, render_mesh
from au3dmm.errors import SchemaError

FACING = np.array([[0, 1, 2]])  # clockwise in the y-down image: faces the camera
CORNERS = np.array([[2.0, 1.0], [3.0, 14.0], [17.0, 5.0]])


def naive(px, depth, faces, height, width):
    """Every triangle against every pixel centre."""
    triangle = np.full((height, width), BACKGROUND)
    nearest = np.full((height, width), np.inf)
    for f, (i, j, k) in enumerate(faces):
        system = np.stack([px[j] - px[i], px[k] - px[i]], 1)
        for y in range(height):
            for x in range(width):
                u, v = np.linalg.solve(system, np.array([x, y]) - px[i])
                z = depth[i] + u * (depth[j] - depth[i]) + v * (depth[k] - depth[i])
                if min(u, v, 1 - u - v) >= 0 and z < nearest[y, x]:
                    triangle[y, x], nearest[y, x] = f, z
    return triangle, nearest


def test_random_triangles_are_drawn_as_a_naive_rasteriser_draws_them():
    rng = np.random.default_rng(0)
    px, depth = rng.uniform(-8, 28, (30, 2)), rng.uniform(0, 1, 30)
    faces = np.arange(30).reshape(-1, 3)
    raster = rasterise(px, depth, faces, 20, 24)
    triangle, nearest = naive(px, depth, faces, 20, 24)
    assert np.array_equal(raster.triangle, triangle)
    np.testing.assert_allclose(raster.depth, nearest, atol=1e-5)


def test_interpolated_positions_are_the_pixels_own():
    raster = rasterise(CORNERS, np.zeros(3), FACING, 20, 20)
    drawn = interpolate(raster, FACING, CORNERS)
    y, x = np.nonzero(raster.covered)
    assert len(y) > 80
    np.testing.assert_allclose(drawn[y, x], np.stack([x, y], 1), atol=1e-4)
    assert (drawn[~raster.covered] == 0).all()


def test_a_fan_of_triangles_leaves_no_hole_on_shared_edges():
    # edges through pixel centres at every slope: the centre and the rim are integers
    rim = np.array([[x, 0] for x in range(21)] + [[20, y] for y in range(1, 21)])
    rim = np.concatenate([rim, 20 - rim[1:]])
    px = np.concatenate([[[10, 10]], rim]).astype(float)
    faces = np.array([[0, i, i % len(rim) + 1] for i in range(1, len(rim) + 1)])
    assert rasterise(px, np.zeros(len(px)), faces, 21, 21).covered.all()


def test_the_nearer_triangle_wins_whatever_the_order_and_the_first_on_a_tie():
    px = np.concatenate([CORNERS, CORNERS])
    two = np.array([[0, 1, 2], [3, 4, 5]])
    depth = np.repeat([2.0, 1.0], 3)
    seen = rasterise(px, depth, two, 20, 20)
    assert set(np.unique(seen.triangle)) == {BACKGROUND, 1}
    assert set(np.unique(rasterise(px, depth, two[::-1], 20, 20).triangle)) == {BACKGROUND, 0}
    assert set(np.unique(rasterise(px, np.zeros(6), two, 20, 20).triangle)) == {BACKGROUND, 0}


def test_triangles_seen_from_behind_are_left_out_on_request():
    assert rasterise(CORNERS, np.zeros(3), FACING, 20, 20, cull_back=True).covered.any()
    assert rasterise(CORNERS, np.zeros(3), FACING[:, ::-1], 20, 20).covered.any()
    assert not rasterise(CORNERS, np.zeros(3), FACING[:, ::-1], 20, 20, cull_back=True).covered.any()


@pytest.mark.parametrize("far", [1e30, -1e30, np.nan, np.inf])
def test_corners_that_are_far_off_or_not_finite_do_no_harm(far):
    px = CORNERS.copy()
    px[2, 0] = far
    raster = rasterise(px, np.zeros(3), FACING, 20, 20)
    assert raster.triangle.shape == (20, 20)
    assert np.isfinite(far) or not raster.covered.any()
    image, coverage = render_mesh(px, np.zeros(3), FACING, np.ones((3, 1)), 20, 20)
    assert np.isfinite(image).all()
    assert np.isfinite(coverage).all()


def test_a_mesh_outside_the_image_draws_nothing():
    for shift in (-100, 100):
        image, coverage = render_mesh(CORNERS + shift, np.zeros(3), FACING, np.ones((3, 1)), 20, 20)
        assert not image.any()
        assert not coverage.any()


def test_coverage_approaches_the_area_of_the_triangle():
    (ax, ay), (bx, by), (cx, cy) = CORNERS
    area = abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2
    _, coverage = render_mesh(CORNERS, np.zeros(3), FACING, np.ones((3, 1)), 20, 20, supersample=8)
    assert coverage.sum() == pytest.approx(area, rel=0.01)
    assert ((coverage > 0) & (coverage < 1)).any()


def test_without_supersampling_the_picture_is_the_interpolated_raster():
    values = np.random.default_rng(0).uniform(0, 1, (3, 4))
    image, coverage = render_mesh(CORNERS, np.zeros(3), FACING, values, 20, 22, supersample=1)
    raster = rasterise(CORNERS, np.zeros(3), FACING, 20, 22)
    np.testing.assert_allclose(image, interpolate(raster, FACING, values), atol=1e-6)
    assert np.array_equal(coverage, raster.covered)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_painter_draws_what_rasterising_and_interpolating_do(channels):
    rng = np.random.default_rng(1)
    painter = MeshPainter(np.arange(60).reshape(-1, 3), 60, 40, 50, channels, supersample=1)
    for _ in range(3):  # the second picture is drawn in the buffers of the first
        px, depth, values = rng.uniform(-9, 58, (60, 2)), rng.uniform(0, 1, 60), rng.uniform(0, 1, (60, channels))
        raster = rasterise(px, depth, np.arange(60).reshape(-1, 3), 40, 50)
        drawing = painter.draw(px, depth, values)
        image, coverage = np.zeros((40, 50, channels)), np.zeros((40, 50))
        image[drawing.window], coverage[drawing.window] = drawing.image, drawing.coverage
        assert np.array_equal(coverage, raster.covered)
        np.testing.assert_allclose(image, interpolate(raster, np.arange(60).reshape(-1, 3), values), atol=1e-5)


def test_a_painted_fan_of_triangles_leaves_no_hole_on_shared_edges():
    rim = np.array([[x, 0] for x in range(21)] + [[20, y] for y in range(1, 21)])
    rim = np.concatenate([rim, 20 - rim[1:]])
    px = np.concatenate([[[10, 10]], rim]).astype(float)
    faces = np.array([[0, i, i % len(rim) + 1] for i in range(1, len(rim) + 1)])
    _, coverage = render_mesh(px, np.zeros(len(px)), faces, np.ones((len(px), 1)), 21, 21, supersample=1)
    assert coverage.all()


def test_a_painter_refuses_another_mesh():
    painter = MeshPainter(FACING, 3, 4, 4, 1)
    with pytest.raises(SchemaError, match=r"values \(4, 1\) for 4 vertices, expected \(3, 1\)"):
        painter.draw(np.zeros((4, 2)), np.zeros(4), np.zeros((4, 1)))


def test_a_supersampled_constant_is_its_coverage_times_the_constant():
    image, coverage = render_mesh(CORNERS, np.zeros(3), FACING, np.full((3, 2), 0.5), 20, 20, supersample=3)
    np.testing.assert_allclose(image, 0.5 * coverage[..., None] * np.ones(2), atol=1e-6)


@pytest.mark.parametrize("supersample", [2, 3, 4])
def test_supersampling_does_not_shift_the_picture(supersample):
    _, coverage = render_mesh(CORNERS, np.zeros(3), FACING, np.ones((3, 1)), 20, 20, supersample=supersample)
    centre = np.array([(coverage.sum(axis) * np.arange(20)).sum() / coverage.sum() for axis in (0, 1)])
    np.testing.assert_allclose(centre, CORNERS.mean(0), atol=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rasterise(CORNERS, np.zeros(3), np.array([[0, 1, 3]]), 4, 4), "names vertex 3, but there are 3"),
        (lambda: rasterise(CORNERS, np.zeros(3), np.array([[0, 1, -1]]), 4, 4), "names vertex -1"),
        (lambda: rasterise(CORNERS, np.zeros(3), np.array([[0, 1]]), 4, 4), r"faces have shape \(1, 2\)"),
        (lambda: rasterise(CORNERS, np.zeros(2), FACING, 4, 4), r"depth \(2,\)"),
        (lambda: render_mesh(CORNERS, np.zeros(3), FACING, np.ones((2, 1)), 4, 4), r"values \(2, 1\) for 3"),
        (lambda: render_mesh(CORNERS, np.zeros(3), FACING, np.ones((3, 1)), 4, 4, supersample=0), "supersample is 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call, message):
    with pytest.raises(SchemaError, match=message):
        call()


def test_a_raster_of_another_mesh_is_refused():
    raster = rasterise(np.concatenate([CORNERS, CORNERS]), np.zeros(6), np.array([[0, 0, 0], [3, 4, 5]]), 20, 20)
    with pytest.raises(SchemaError, match="names triangle 1, but the mesh has 1"):
        interpolate(raster, FACING, CORNERS)
