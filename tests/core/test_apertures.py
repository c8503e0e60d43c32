"""Planted openings, seen from everywhere."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.apertures import measure_apertures
from au3dmm.core.camera import Pose, project
from au3dmm.core.landmarks import MIRROR, eye_distance
from demo_basis import few_components

BASES = few_components()
NEUTRAL = BASES.landmarks()[0]
UPPER, LOWER = {"left": [43, 44], "right": [37, 38]}, {"left": [47, 46], "right": [41, 40]}
WIDTH = {"left": (42, 45), "right": (36, 39)}


def poses(angles_deg, scale=1200.0):
    """Heads turned by (yaw, pitch, roll), here and there in the image."""
    turns = Rotation.from_euler("yxz", angles_deg, degrees=True).as_matrix()
    n = len(turns)
    rng = np.random.default_rng(0)
    return Pose(turns, np.full(n, scale), rng.normal(0, 40, (n, 2)))


def seen(shape, pose, focal):
    return project(np.broadcast_to(shape, (len(pose.scale), *shape.shape)), pose, focal)


def opened(left=1.0, right=1.0, mouth_m=0.0):
    """The neutral face with its lids as far open as told, 1 being neutral, and the inner lips apart by `mouth_m`."""
    face = NEUTRAL.copy()
    for side, share in (("left", left), ("right", right)):
        gap = NEUTRAL[UPPER[side]] - NEUTRAL[LOWER[side]]
        face[UPPER[side]] = NEUTRAL[LOWER[side]] + share * gap
    face[[61, 62, 63]] = face[[67, 66, 65]] + [0, mouth_m, 0]
    return face


def own_aperture(side):
    gap = NEUTRAL[UPPER[side]].mean(0) - NEUTRAL[LOWER[side]].mean(0)
    return np.linalg.norm(gap) / np.linalg.norm(NEUTRAL[WIDTH[side][1]] - NEUTRAL[WIDTH[side][0]])


@pytest.mark.parametrize("focal", [None, 600.0])
def test_planted_openings_are_measured_from_the_front(focal):
    pose = poses([(0, 0, 0)])
    found = measure_apertures(seen(opened(0.5, 0.0, 0.012), pose, focal), NEUTRAL, pose, focal)
    assert found.left[0] == pytest.approx(0.5 * own_aperture("left"), rel=0.02)
    assert abs(found.right[0]) < 1e-9
    assert found.mouth[0] == pytest.approx(0.012 / eye_distance(NEUTRAL), rel=0.03)


@pytest.mark.parametrize("angles", [(25, 0, 0), (-25, 0, 0), (0, 20, 0), (0, -20, 0), (15, 15, 40)])
def test_a_turned_head_opens_its_eyes_no_less(angles):
    pose = poses([(0, 0, 0), angles])
    found = measure_apertures(seen(opened(0.8, 0.6, 0.01), pose, 600.0), NEUTRAL, pose, 600.0)
    for measured in (found.left, found.right, found.mouth):
        assert measured[1] == pytest.approx(measured[0], rel=0.03)


def test_the_size_of_the_face_in_the_image_does_not_matter():
    near, far = poses([(5, 5, 0)], 2000.0), poses([(5, 5, 0)], 500.0)
    face = opened(0.7, 0.7, 0.008)
    a = measure_apertures(seen(face, near, None), NEUTRAL, near, None)
    b = measure_apertures(seen(face, far, None), NEUTRAL, far, None)
    for x, y in zip((a.left, a.right, a.mouth), (b.left, b.right, b.mouth), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9)


def test_the_far_eye_of_a_head_turned_away_has_no_aperture():
    pose = poses([(50, 0, 0), (-50, 0, 0)])
    assert pose.rotation[0, 0, 2] > 0, "the first looks to its own left"
    found = measure_apertures(seen(opened(), pose, None), NEUTRAL, pose, None)
    assert np.isnan(found.left).tolist() == [True, False]
    assert np.isnan(found.right).tolist() == [False, True]
    assert np.isfinite(found.mouth).all()


def test_the_mirrored_face_has_mirrored_apertures():
    flip = np.array([-1.0, 1.0])
    pose = poses([(12, 5, 3)])
    points = seen(opened(0.4, 0.9, 0.005), pose, None)
    mirror3 = np.diag([-1.0, 1.0, 1.0])
    other = Pose(mirror3 @ pose.rotation @ mirror3, pose.scale, pose.translation * flip)
    here = measure_apertures(points, NEUTRAL, pose, None)
    there = measure_apertures(points[:, MIRROR] * flip, NEUTRAL[MIRROR] * [-1, 1, 1], other, None)
    np.testing.assert_allclose(there.left, here.right, rtol=1e-9)
    np.testing.assert_allclose(there.right, here.left, rtol=1e-9)
    np.testing.assert_allclose(there.mouth, here.mouth, rtol=1e-9)


def test_a_neutral_face_with_closed_eyes_still_gives_numbers():
    closed = opened(0.0, 0.0)
    pose = poses([(0, 0, 0)])
    found = measure_apertures(seen(NEUTRAL, pose, None), closed, pose, None)
    assert 0.1 < found.left[0] < 0.6
    assert 0.1 < found.right[0] < 0.6
