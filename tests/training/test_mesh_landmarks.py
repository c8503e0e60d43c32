"""Refined faces taught by landmarks alone: at the times of labels, known where they were found, and better for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.seen_landmarks import SeenLandmarks
from au3dmm.io.training_labels import read_training_labels
from au3dmm.models import Prediction
from au3dmm.training.clips import collate
from au3dmm.training.losses import training_loss
from au3dmm.training.measures import score_clips
from au3dmm.training.mesh_clips import MeshClips
from au3dmm.training.mesh_data import read_mesh_data
from au3dmm.training.mesh_evaluating import evaluate_meshes
from au3dmm.training.mesh_landmarks import _at_labels, read_landmark_rows
from au3dmm.training.run import TrainOptions, train
from au3dmm.training.setup import read_setup
from au3dmm.training.units import unknown_units
from au3dmm.training_config import DataParams, LossParams, MeshParams, load_training
from mesh_landmarks_run import LOST, write_all_landmarks
from mesh_run import write_mesh_run, write_truth
from training_run import UNITS

SMALL = [
    *("options.dim=16", "options.depth=1", "options.heads=2", "options.mlp=16", "options.token_hidden=8"),
    *("options.dropout=0.0", "mesh.n_motion=8", "data.n_frames=6", "loss.classes=0", "loss.alpha=0"),
    *("loss.mesh=0", "loss.landmarks=2", "monitor=loss", "lr=1e-2", "batch=8", "epochs=15"),
]
ALONE = LossParams(classes=0, alpha=0, landmarks=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = write_mesh_run(tmp_path_factory.mktemp("run"), truth=False)
    write_all_landmarks(run)
    return run


@pytest.fixture(scope="module")
def mesh(run):
    return read_mesh_data(unknown_units(read_training_labels(run), ()), MeshParams(n_motion=8), range(8))


@pytest.fixture(scope="module")
def rows(mesh):
    return read_landmark_rows(mesh, range(3))


def seen(frames, values):
    n = len(frames)
    cameras = np.tile(np.eye(3, 4), (n, 1, 1))
    points = np.tile(np.array(values, float)[:, None, None], (1, 68, 2))
    t_us = 1000 + 100 * np.array(frames, np.int64)
    return SeenLandmarks(t_us, np.array(frames, np.int64), points, cameras, np.ones(n), np.zeros((68, 3)))


def test_landmarks_are_linear_between_frames_and_unknown_beside_lost_ones():
    frames = seen([0, 1, 2, 6, 7], [0.0, 1.0, 2.0, 6.0, 7.0])
    index, delay = np.array([0, 1, 2, 2, 4, -1, 6, 7]), np.array([50, -25, 0, 60, 0, 0, 30, 30])
    found = _at_labels(frames, index, delay)
    np.testing.assert_allclose(found[:, 0], [0.5, 0.75, 2.0, np.nan, np.nan, np.nan, 6.3, 7.0])
    assert found.shape == (8, 2 * 68 + 12 + 1)
    assert np.isnan(_at_labels(seen([], []), index, delay)).all()


def test_rows_have_the_landmarks_of_their_frames(mesh, rows):
    expected = np.arange(12) != LOST[0]
    for session in mesh.labels.sessions[:3]:
        np.testing.assert_array_equal(rows.known[session.rows], expected)
    assert not rows.known[mesh.labels.sessions[3].first :].any()  # nobody asked for these
    assert sorted(rows.neutral) == [0, 1, 2]
    assert rows.directions.shape == (8, 68, 3)
    assert (rows.unit[rows.known] > 20).all()
    assert np.isfinite(rows.points).all()


def test_what_lies_beside_in_all_frames_of_a_person_is_taken_off(tmp_path, mesh, rows):
    """The neutral face's error is no motion: with it or without it, there is the same to learn."""
    other = write_mesh_run(tmp_path, truth=False)
    write_all_landmarks(other, beside=0.1)
    labels = unknown_units(read_training_labels(other), ())
    found = read_landmark_rows(read_mesh_data(labels, MeshParams(n_motion=8), range(8)), range(3))
    assert list(found.offsets) == ["S0"]
    np.testing.assert_allclose(found.offsets["S0"], rows.offsets["S0"] + 0.1, atol=1e-3)
    np.testing.assert_allclose(found.points[rows.known], rows.points[rows.known], atol=0.05)


def batch_of(mesh, rows, first=0, n=2):
    clips = MeshClips(mesh, range(first, first + n), DataParams(n_frames=14, every=1), ["AU1"], landmarks=rows)
    return collate([clips[0, i] for i in range(n)])


def loss_of(motion, batch):
    prediction = Prediction(torch.zeros(len(motion), 2), None, None, None, motion)
    return training_loss(prediction, batch, ALONE)["landmarks"]


def test_the_true_motion_costs_less_than_the_coarse_and_descent_finds_it(mesh, rows):
    """What the space holds of the truth is 0.8 of the labels, in recordings without the unit that no component has."""
    # these people are never at rest: what the median took for the neutral face's error is put back
    back = rows.points + rows.known[:, None, None] * rows.unit[:, None, None] * rows.offsets["S0"]
    batch = batch_of(mesh, replace(rows, points=back.astype(np.float32)), 1)
    of_alpha = torch.from_numpy(mesh.space.of_alpha).float()
    coarse = batch["coefficients"] @ of_alpha
    assert float(loss_of(0.8 * coarse, batch)) < 0.1 * float(loss_of(coarse, batch))
    factor = torch.tensor(1.0, requires_grad=True)
    step = torch.optim.Adam([factor], lr=0.01)
    for _ in range(60):
        step.zero_grad()
        loss_of(factor * coarse, batch).backward()
        assert torch.isfinite(factor.grad)
        step.step()
    assert float(factor.detach()) == pytest.approx(0.8, abs=0.02)


def test_frames_without_landmarks_teach_nothing_and_a_clip_without_any_counts_nowhere(mesh, rows):
    batch = batch_of(mesh, rows, 1)
    assert batch["landmarks_known"].sum(1).tolist() == [11, 11]  # 12 rows, one lost; two frames of padding
    motion = torch.zeros(2, 14, 8, requires_grad=True)
    loss_of(motion, batch).backward()
    assert not motion.grad[~batch["landmarks_known"]].any()
    assert motion.grad[batch["landmarks_known"]].abs().amax(1).min() > 0
    nothing = {**batch, "landmarks_known": torch.zeros_like(batch["landmarks_known"])}
    assert float(loss_of(motion, nothing).detach()) == 0
    prediction = Prediction(torch.zeros(2, 2), None, None, None, motion.detach())
    assert [score.n_moved for score in score_clips(prediction, batch, ALONE)] == [11, 11]
    assert [score.n_moved for score in score_clips(prediction, nothing, ALONE)] == [0, 0]


def test_faces_learnt_from_landmarks_alone_are_nearer_the_true_ones(run, tmp_path):
    params = load_training(None, SMALL, "au_d3dface")
    train(run, params, tmp_path, TrainOptions(device="cpu"))
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert "landmarks" in log[0].split(",")
    # the truth comes afterwards, so that nothing could learn from it; without the unit that no component shows
    for u, au in list(enumerate(UNITS))[1:]:
        write_truth(run.path.parents[2] / "truth" / f"S2_{au}.json", u, 12)
    found = evaluate_meshes(tmp_path / "best.pt", run, "val", surfaces=0)["rows"]
    assert found["refined"]["vertex_rms_mm"] < 0.9 * found["coarse"]["vertex_rms_mm"]


def test_what_cannot_work_is_refused_in_one_line(tmp_path, caplog):
    without = write_mesh_run(tmp_path, truth=False)
    with pytest.raises(SchemaError, match=r"landmarks\.parquet: no such file; loss\.landmarks needs") as err:
        read_setup(without, load_training(None, SMALL, "au_d3dface"), cache=tmp_path)
    assert "\n" not in str(err.value)
    with pytest.raises(ConfigError, match=r"loss\.landmarks = 2, but this model refines no faces"):
        training_loss(Prediction(torch.zeros(1, 2), None, None), {}, LossParams(classes=0, alpha=0, landmarks=2))
    write_all_landmarks(without)
    read_setup(without, load_training(None, [*SMALL, "loss.mesh=1"], "au_d3dface"), cache=tmp_path)
    assert "refined faces are taught by landmarks alone" in caplog.text
