"""Cameras, light and pictures of a synthetic head."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import from_plane, principal_point, project
from au3dmm.synthetic.render import (
    View,
    ViewPainter,
    ambient_occlusion,
    light_skin,
    look_at,
    soft_background,
    to_linear,
    to_srgb,
)


def box(size, open_top=False):
    """Corners of a cube and its triangles, counter-clockwise seen from outside."""
    v = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) * size
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [0, 2, 6, 4], [1, 5, 7, 3]]
    quads += [] if open_top else [[2, 3, 7, 6]]
    return v, np.array([t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])])


def view(**changes):
    values = {"width": 64, "height": 48, "focal_px": 60.0, "position": np.array([0.1, 0.2, 2.0]), "rotation": np.eye(3)}
    return View(**(values | changes))


def test_axes_of_a_camera_are_a_rotation_that_looks_at_its_target():
    axes = look_at((0.1, 0.0, -0.2), (0.5, 0.3, 2.0), roll_rad=0.1)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    camera = view(position=np.array([0.5, 0.3, 2.0]), rotation=axes)
    px, distance = camera.project(np.array([[0.1, 0.0, -0.2]]))
    np.testing.assert_allclose(px[0], principal_point(64, 48), atol=1e-9)
    assert distance[0] == pytest.approx(np.sqrt(0.4**2 + 0.3**2 + 2.2**2))


def test_up_is_up_and_right_is_right_in_the_image():
    px, _ = view().project(np.array([[0.1, 0.2, 0], [0.2, 0.2, 0], [0.1, 0.3, 0]]))
    assert px[1, 0] > px[0, 0]
    assert px[2, 1] < px[0, 1]


def test_the_pose_of_a_head_projects_as_the_camera_does():
    rng = np.random.default_rng(0)
    axes = look_at((0, 0, 0), (0.3, 0.1, 2.0), roll_rad=0.2)
    camera = view(position=np.array([0.3, 0.1, 2.0]), rotation=axes)
    rotation = Rotation.from_rotvec(rng.normal(0, 0.2, (5, 3))).as_matrix()
    shift, points = rng.normal(0, 0.1, (5, 3)), rng.normal(0, 0.1, (20, 3))
    pose = camera.head_pose(rotation, shift)
    seen = from_plane(project(np.stack([points] * 5), pose, camera.focal_px), principal_point(64, 48))
    for i in range(5):
        np.testing.assert_allclose(seen[i], camera.project(points @ rotation[i].T + shift[i])[0], atol=1e-9)


def test_a_scaled_view_sees_the_same_in_other_pixels():
    points = np.random.default_rng(0).normal(0, 0.2, (9, 3))
    small = view().scaled(0.5)
    assert (small.width, small.height) == (32, 24)
    np.testing.assert_allclose((small.project(points)[0] + 0.5) * 2, view().project(points)[0] + 0.5, atol=1e-9)


def test_the_bottom_of_a_pit_sees_less_sky_than_a_convex_body():
    outside, triangles = box(0.1)
    assert ambient_occlusion(outside, triangles).min() > 0.9
    inside, walls = box(0.1, open_top=True)
    pit = np.concatenate([inside, inside * 0.8])
    both = np.concatenate([walls, walls[:, ::-1] + 8])  # thick walls: an outer and an inner side
    openness = ambient_occlusion(pit, both)
    bottom = inside[:, 1] < 0
    assert openness[8:][bottom].max() < 0.5
    assert openness[:8][bottom].min() > 0.9


def test_skin_is_darker_away_from_the_light_and_in_pits():
    v, f = box(0.1)
    colours = light_skin(v, f, np.full((8, 3), 0.5), np.ones(8))
    lit, unlit = np.argmin(v @ [1, -1, -1]), np.argmax(v @ [1, -1, -1])
    assert colours[lit].mean() > 2 * colours[unlit].mean()
    assert light_skin(v, f, np.full((8, 3), 0.5), np.zeros(8)).max() == 0


def test_a_body_covers_its_part_of_the_background_only():
    v, f = box(0.2)
    background = np.full((48, 64, 3), 0.25)
    image = ViewPainter(view(), f, 8, background).picture(v, np.full((8, 3), 0.75))
    covered = np.abs(image - 0.25).max(-1) > 0.2
    px, _ = view().project(v)
    y, x = np.nonzero(covered)
    assert abs(x.min() - px[:, 0].min()) < 1.5
    assert abs(y.max() - px[:, 1].max()) < 1.5
    assert (image[~covered & (np.abs(image - 0.25).max(-1) == 0)] == 0.25).all()
    assert image[0, 0].tolist() == [0.25, 0.25, 0.25]


def test_a_painter_remembers_nothing_of_the_picture_before():
    v, f = box(0.2)
    background = np.full((48, 64, 1), 0.25)
    colours = np.random.default_rng(0).uniform(0, 1, (8, 1))
    painter = ViewPainter(view(), f, 8, background)
    first = painter.picture(v, colours)
    assert not np.array_equal(painter.picture(v + [0.1, 0.05, 0.2], colours), first)
    assert np.array_equal(painter.picture(v, colours), first)
    window, drawn = painter.window(v, colours)
    assert np.array_equal(first[window], drawn)
    assert (np.delete(first.ravel(), np.ravel_multi_index(np.mgrid[window].reshape(2, -1), (48, 64))) == 0.25).all()


def test_light_of_one_channel_is_the_mix_of_three():
    v, f = box(0.1)
    rng = np.random.default_rng(0)
    albedo, openness, weights = rng.uniform(0, 1, (8, 3)), rng.uniform(0, 1, 8), np.array([0.2, 0.7, 0.1])
    three = light_skin(v, f, albedo, openness)
    np.testing.assert_allclose(light_skin(v, f, (albedo @ weights)[:, None], openness)[:, 0], three @ weights)


def test_a_background_is_soft_and_depends_on_the_seed():
    room = soft_background(64, 48, 0)
    assert room.shape == (48, 64, 3)
    assert room.min() > 0
    assert np.abs(np.diff(room[:, 16:48], axis=1)).max() < 0.03
    assert not np.array_equal(room, soft_background(64, 48, 1))


def test_srgb_bytes_survive_linear_light():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_srgb(to_linear(levels)), levels)
    noise = 2.0 * np.random.default_rng(0).standard_normal(10_000)
    assert to_srgb(np.full(10_000, 0.2), noise).std() == pytest.approx(2.0, rel=0.05)
