import numpy as np
import pytest

from au3dmm.core.camera import (
    closest_scaled_orthographic,
    fit_affine,
    fit_camera,
    focal_from_field_of_view,
    from_plane,
    pose_of,
    principal_point,
    project,
    rotation_of,
    to_plane,
)
from au3dmm.errors import FitError
from faces import make_face, random_rotations, see_pinhole


def test_the_flip_is_its_own_inverse_and_turns_y_only():
    centre = principal_point(640, 480)
    np.testing.assert_allclose(centre, [319.5, 239.5])
    points = np.array([[319.5, 239.5], [320.5, 239.5], [319.5, 240.5]])
    plane = to_plane(points, centre)
    np.testing.assert_allclose(plane, [[0, 0], [1, 0], [0, -1]])
    np.testing.assert_allclose(from_plane(plane, centre), points)


def test_field_of_view_gives_the_focal_length():
    assert focal_from_field_of_view(640, 90) == pytest.approx(320)


def test_affine_cameras_are_recovered_and_equal_the_pseudo_inverse():
    rng = np.random.default_rng(0)
    shape = make_face().template
    a = rng.normal(size=(5, 2, 3)) * 1000
    seen = shape @ a.swapaxes(1, 2) + rng.normal(size=(5, 1, 2))
    np.testing.assert_allclose(fit_affine(seen, shape, np.ones(68)), a, atol=1e-6)
    noisy = seen + rng.normal(size=seen.shape)
    expected = (np.linalg.pinv(shape - shape.mean(0)) @ (noisy[2] - noisy[2].mean(0))).T
    np.testing.assert_allclose(fit_affine(noisy, shape, np.ones(68))[2], expected, atol=1e-8)


def test_the_closest_scaled_orthographic_camera_is_the_polar_factor():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, 2, 3))
    near, scale = closest_scaled_orthographic(a)
    for i in range(20):
        u, d, vt = np.linalg.svd(a[i], full_matrices=False)
        np.testing.assert_allclose(near[i], d.mean() * u @ vt, atol=1e-12)
        assert scale[i] == pytest.approx(d.mean())
    rotation = rotation_of(near, scale)
    np.testing.assert_allclose(rotation @ rotation.swapaxes(1, 2), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


def test_perspective_passes_bring_a_pinhole_image_to_a_scaled_orthographic_one():
    shape = make_face().template
    rng = np.random.default_rng(1)
    rotation = random_rotations(rng, 8, 25)
    place = np.tile([0.03, 0.0, 0.4], (8, 1))
    seen = see_pinhole(np.broadcast_to(shape, (8, 68, 3)), rotation, place, 600.0)

    def misfit(passes):
        camera, corrected = fit_camera(seen, shape, np.ones(68), "scaled_orthographic", passes, 600.0)
        centred = corrected - corrected.mean(1, keepdims=True)
        return np.abs(centred - (shape - shape.mean(0)) @ camera.swapaxes(1, 2)).max()

    errors = [misfit(n) for n in (0, 1, 2, 8)]
    assert errors[0] > 3
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 0.01


@pytest.mark.parametrize("focal", [None, 700.0])
def test_pose_projects_like_the_camera_it_came_from(focal):
    shape = make_face().template
    rng = np.random.default_rng(3)
    rotation = random_rotations(rng, 4)
    scale = np.array([900.0, 1000, 1100, 1200])
    camera = scale[:, None, None] * rotation[:, :2]
    shift = rng.normal(size=(4, 2)) * 40
    centre = shape.mean(0)
    pose = pose_of(camera, shift, centre, focal)
    flat = shape @ camera.swapaxes(1, 2) + shift[:, None]
    if focal is not None:
        depth = np.einsum("ta,la->tl", rotation[:, 2], shape - centre)
        flat = flat / (1 - depth * scale[:, None] / focal)[..., None]
    np.testing.assert_allclose(project(np.broadcast_to(shape, (4, 68, 3)), pose, focal), flat, atol=1e-9)
    np.testing.assert_allclose(project(shape, pose, focal, 2), flat[2], atol=1e-9)


def test_collinear_image_landmarks_are_refused_with_the_frame():
    a = np.stack([np.eye(3)[:2], np.array([[1.0, 0, 0], [1.0, 0, 0]])])
    with pytest.raises(FitError, match="frame 1 of 2"):
        closest_scaled_orthographic(a)
