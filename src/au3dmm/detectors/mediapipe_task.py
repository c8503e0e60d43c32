"""The mesh of a user's `face_landmarker.task` on the LiteRT runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.mediapipe_models import N_MESH, Model, Region, crop, crop_map, sigmoid
from au3dmm.errors import AssetError
from au3dmm.io.mediapipe_task import TASK_FINDER, TASK_MESH, TaskModels


def check_runs(models: TaskModels, name: str) -> None:
    """Refuse models that LiteRT cannot build.

    Raises
    ------
    AssetError
        Names the model.
    """
    for member, content in ((TASK_FINDER, models.finder), (TASK_MESH, models.mesh)):
        try:
            Model(content)
        except (RuntimeError, ValueError) as err:
            reason = " ".join(str(err).split())[:200]
            raise AssetError(f"{name}: {member} in it cannot be run: {reason}; expected MediaPipe's own") from err


class TaskMesh:
    """The 468-point mesh of one face by the mesh model of a task; points of irises are left out.

    What goes in and comes out is as in MediaPipe's Face Landmarker: pixels from 0 to 1, points in pixels of the crop,
    then the logit of there being a face. What comes after is not used there either.

    Parameters
    ----------
    models : TaskModels
        From `io.mediapipe_task`.
    """

    def __init__(self, models: TaskModels) -> None:
        self._model = Model(models.mesh)
        self._size, self._n_points = models.side_px, models.n_points

    def __call__(self, image: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float64], float]:
        """Return the mesh (468, 3) of the face in `region`, px, and its presence, as `FaceMesh` does."""
        matrix = crop_map(region, self._size)
        cut = crop(image, matrix, self._size, replicate=True)
        raw, presence = self._model(cut.astype(np.float32) / np.float32(255))[:2]
        mesh = raw.reshape(self._n_points, 3)[:N_MESH].astype(np.float64)
        # as `mediapipe_models.to_image`, for an input of any side
        xy = (mesh[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        depth = -mesh[:, 2] * region.side_px / self._size
        return np.column_stack([xy, depth]), float(sigmoid(presence.ravel())[0])
