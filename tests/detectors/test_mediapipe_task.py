"""The models of a user's task find what they find elsewhere."""

import logging
import shutil

import numpy as np
import pytest

from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity
from au3dmm.detectors.mediapipe import MediapipeDetector
from au3dmm.detectors.mediapipe_task import TaskMesh
from au3dmm.errors import AssetError
from au3dmm.io.images import read_image
from au3dmm.io.mediapipe_task import TASK_MESH, TaskModels
from au3dmm.io.weights import MEDIAPIPE_FAR, MEDIAPIPE_TASK
from models import mediapipe_folder
from tasks import task_parts, write_task

TASK = DetectParams(mediapipe_models="task")


@pytest.fixture
def folder(tmp_path):
    """A folder of weights with a task made of the wheel's models, the far finder, and nothing else."""
    shutil.copy(mediapipe_folder() / MEDIAPIPE_FAR, tmp_path)
    write_task(tmp_path / MEDIAPIPE_TASK, task_parts())
    return tmp_path


@pytest.mark.weights
def test_a_task_of_the_wheels_models_finds_what_these_find(folder, shared_data, caplog):
    with caplog.at_level(logging.WARNING):
        task = MediapipeDetector(TASK, folder)
    assert "is none of the published versions (its sha256 begins with" in caplog.text
    plain = MediapipeDetector(DetectParams(mediapipe_refine=False), mediapipe_folder())
    for path in sorted((shared_data / "images").glob("*.jpg")):
        image = read_image(path)
        (a,), (b,) = task.detect(image, 0), plain.detect(image, 0)
        np.testing.assert_array_equal(a.landmarks_px, b.landmarks_px)
        np.testing.assert_array_equal(a.dense_px, b.dense_px)
        assert a.landmark_score == b.landmark_score
    assert task.describe()["mediapipe_models"] == "task"
    assert set(task.describe()["weights"]) == {MEDIAPIPE_TASK, MEDIAPIPE_FAR}


@pytest.mark.weights
def test_what_a_task_is_made_of_is_part_of_what_makes_the_landmarks(folder):
    before = detector_identity(TASK, None, folder)
    assert set(before["weights"]) == {MEDIAPIPE_TASK, MEDIAPIPE_FAR}
    write_task(folder / MEDIAPIPE_TASK, {**task_parts(), "more": b"x"})
    assert detector_identity(TASK, None, folder) != before
    near = TASK.model_copy(update={"mediapipe_range": "short"})
    (folder / MEDIAPIPE_FAR).unlink()
    assert list(detector_identity(near, None, folder)["weights"]) == [MEDIAPIPE_TASK]
    MediapipeDetector(near, folder)


@pytest.mark.weights
def test_a_missing_or_broken_task_is_told_in_one_line(folder):
    mesh = bytearray(task_parts()[TASK_MESH])
    at = len(mesh) - 60_000  # in the graph, behind the weights
    mesh[at : at + 50_000] = bytes(50_000)
    write_task(folder / MEDIAPIPE_TASK, {**task_parts(), TASK_MESH: bytes(mesh)})
    with pytest.raises(AssetError, match=MEDIAPIPE_TASK) as err:
        MediapipeDetector(TASK, folder)
    assert "\n" not in str(err.value)
    (folder / MEDIAPIPE_TASK).unlink()
    with pytest.raises(AssetError, match="not there; run `au3dmm weights add FILE"):
        MediapipeDetector(TASK, folder)


def test_points_beyond_the_mesh_are_left_out_and_places_do_not_depend_on_the_inputs_side(monkeypatch):
    def model(content):
        side, n = content
        points = np.zeros((n, 3), np.float32)
        points[:] = (side / 2 + 0.5, side / 4, side / 8)
        return lambda image: [points.ravel()[None], np.float32([[2.0]]), np.float32([[9.0]])]

    monkeypatch.setattr("au3dmm.detectors.mediapipe_task.Model", model)
    from au3dmm.detectors.mediapipe_models import Region

    region = Region(np.array([100.0, 80.0]), 64.0, 0.0)
    image = np.zeros((160, 200, 3), np.uint8)
    for side, n in ((192, 468), (256, 478)):
        mesh, presence = TaskMesh(TaskModels(b"", (side, n), side, n))(image, region)
        assert mesh.shape == (468, 3)
        np.testing.assert_allclose(mesh[0], (100 + 32 / side, 80 - 16 + 0 / side, -8), atol=0.2)
        assert presence == pytest.approx(1 / (1 + np.exp(-2)))
