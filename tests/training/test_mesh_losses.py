"""Losses of refined faces against their equations, with frames that are not known, and cameras like core's."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import Pose, from_plane
from au3dmm.core.camera import project as core_project
from au3dmm.io.seen_landmarks import pose_cameras
from au3dmm.models import Prediction
from au3dmm.training.losses import training_loss
from au3dmm.training.mesh_losses import (
    MeshWeights,
    landmark_loss,
    landmark_points,
    mesh_loss,
    project,
    smoothness_loss,
)
from au3dmm.training_config import LossParams

B, L, N, R = 2, 5, 4, 3


@pytest.mark.parametrize("focal", [None, 600.0])
def test_points_appear_where_poses_say(focal):
    """Two routes: cameras in torch, and core.camera.project with the poses that they are made of."""
    rng = np.random.default_rng(0)
    points, centre = rng.normal(scale=0.05, size=(L, N, 3)), np.array([160.0, 120.0])
    rotation = Rotation.from_rotvec(rng.normal(scale=0.2, size=(L, 3))).as_matrix()
    pose = Pose(rotation, rng.uniform(900, 1100, L), rng.normal(scale=20, size=(L, 2)))
    cameras = pose_cameras(pose, focal or 1e12, centre)
    found = project(torch.from_numpy(points)[None], torch.from_numpy(cameras)[None])[0]
    np.testing.assert_allclose(found, from_plane(core_project(points, pose, focal), centre), atol=1e-6)


def test_landmarks_are_neutral_ones_plus_motion():
    rng = np.random.default_rng(0)
    motion, directions, neutral = rng.normal(size=(B, L, R)), rng.normal(size=(R, N, 3)), rng.normal(size=(B, N, 3))
    found = landmark_points(*(torch.from_numpy(v) for v in (motion, directions, neutral)))
    np.testing.assert_allclose(found[1, 2], neutral[1] + np.tensordot(motion[1, 2], directions, 1), atol=1e-9)


def known():
    mask = torch.ones(B, L, dtype=torch.bool)
    mask[0, 1] = mask[1, :3] = False
    return mask


def test_the_landmark_loss_is_the_mean_distance_in_eye_distances_of_known_frames():
    rng = np.random.default_rng(0)
    projected, landmarks = rng.normal(size=(2, B, L, N, 2))
    unit = rng.uniform(1, 2, (B, L))
    mask = known()
    landmarks[0, 1] = np.nan
    found = landmark_loss(*(torch.from_numpy(v) for v in (projected, landmarks, unit)), mask)
    each = [
        np.linalg.norm(projected[b, j] - landmarks[b, j], axis=1) / unit[b, j]
        for b in range(B)
        for j in range(L)
        if mask[b, j]
    ]
    assert float(found) == pytest.approx(np.mean(each), abs=1e-5)


def test_a_landmark_that_is_met_has_a_gradient_that_is_finite():
    at = torch.ones(1, 1, 1, 2, requires_grad=True)
    landmark_loss(at, torch.ones(1, 1, 1, 2), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)).backward()
    assert torch.isfinite(at.grad).all()


def test_smoothness_is_the_sum_of_the_paper_over_its_number_of_terms():
    z = torch.randn(1, L, 7)
    printed = sum((z[0, j] - z[0, j + 1]).abs().sum() for j in range(L - 1))
    found = smoothness_loss(z, torch.ones(1, L, dtype=torch.bool))
    assert float(found) == pytest.approx(float(printed) / ((L - 1) * 7), rel=1e-5)
    # a frame that is not there is no neighbour
    there = torch.tensor([[True, True, False, True, True]])
    expected = torch.stack([(z[0, 0] - z[0, 1]).abs(), (z[0, 3] - z[0, 4]).abs()]).mean()
    assert float(smoothness_loss(z, there)) == pytest.approx(float(expected), rel=1e-5)


def test_the_mesh_loss_is_the_mean_square_over_known_frames():
    motion, truth = torch.randn(2, B, L, R)
    mask = known()
    truth[0, 1] = torch.nan
    expected = np.mean([((motion[b, j] - truth[b, j]) ** 2).sum() for b in range(B) for j in range(L) if mask[b, j]])
    assert float(mesh_loss(motion, truth, mask)) == pytest.approx(float(expected), rel=1e-5)


def test_nothing_known_costs_nothing_and_has_gradients_of_zero():
    nothing = torch.zeros(B, L, dtype=torch.bool)
    motion = torch.randn(B, L, R, requires_grad=True)
    losses = [
        mesh_loss(motion, torch.zeros(B, L, R), nothing),
        smoothness_loss(motion, nothing),
        landmark_loss(motion[:, :, None, :2], torch.zeros(B, L, 1, 2), torch.ones(B, L), nothing),
    ]
    assert [float(loss.detach()) for loss in losses] == [0, 0, 0]
    sum(losses).backward()
    assert not motion.grad.any()


def test_the_weights_are_those_of_the_paper():
    assert (MeshWeights().landmarks, MeshWeights().smooth, MeshWeights().units) == (2, 1, 5)
    assert MeshWeights().mesh == 0


def test_the_trainers_loss_joins_them_with_the_weights_of_its_file():
    (motion, truth), z = torch.randn(2, B, L, R), torch.randn(B, L, 6)
    padding = ~known()
    batch = {"target": truth, "target_known": known(), "padding": padding}
    prediction = Prediction(torch.zeros(B, 2), None, None, {"temporal": z}, motion)
    params = LossParams(classes=0, alpha=0, mesh=3, smooth=0.5)
    found = training_loss(prediction, batch, params)
    assert set(found) == {"total", "mesh", "smooth"}
    expected = 3 * mesh_loss(motion, truth, known()) + 0.5 * smoothness_loss(z, ~padding)
    assert float(found["total"]) == pytest.approx(float(expected), rel=1e-6)
    # in evaluation nothing says how steady embeddings are
    assert set(training_loss(prediction._replace(auxiliary=None), batch, params)) == {"total", "mesh"}
