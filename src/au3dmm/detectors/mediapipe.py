"""MediaPipe's face mesh as a landmark detector: 468 dense points, and the 68 landmarks among them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.core.mediapipe_mesh import IBUG_TO_MESH
from au3dmm.detectors.base import DetectedFace, bounding_box, in_order, overlap
from au3dmm.detectors.mediapipe_models import N_MESH, BlazeFace, FaceMesh, region_of_box, region_of_mesh
from au3dmm.io.weights import MEDIAPIPE_DETECTION, MEDIAPIPE_MESH, read_mediapipe

SAME_FACE = 0.5  # two meshes that share more than this are one face found twice


class MediapipeDetector:
    """BlazeFace finds all faces; each gets a mesh in a region cut from its box, then `recrops` times from its mesh.

    Nothing is kept from one frame to the next, so results do not depend on where a video is cut.

    Parameters
    ----------
    params : DetectParams
        ``min_detection_score`` and ``recrops`` are used.
    weights_folder : Path
        Where the two model files are.

    Raises
    ------
    AssetError
        If a model file is missing or is not the published one.
    """

    name = "mediapipe"
    n_dense = N_MESH

    def __init__(self, params: DetectParams, weights_folder: Path) -> None:
        models, self._sha256 = read_mediapipe(weights_folder)
        self._find = BlazeFace(models[MEDIAPIPE_DETECTION], params.min_detection_score)
        self._mesh = FaceMesh(models[MEDIAPIPE_MESH])
        self._recrops = params.recrops
        self._min_score = params.min_detection_score

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks."""
        return {
            "name": self.name,
            "weights": self._sha256,
            "precision": "float32",
            "versions": {"ai-edge-litert": version("ai-edge-litert"), "opencv": cv2.__version__},
            "min_detection_score": self._min_score,
            "recrops": self._recrops,
            "dense": "MediaPipe face mesh, 468 vertices",
            "has_z": True,
        }

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return all faces of an RGB image (H, W, 3), from left to right."""
        found = self._find(image)
        faces: list[DetectedFace] = []
        taken: list[NDArray[np.float32]] = []
        for box, keypoints, score in zip(found.boxes_px, found.keypoints_px, found.scores, strict=True):
            mesh, presence = self._mesh(image, region_of_box(box, keypoints))
            for _ in range(self._recrops):
                mesh, presence = self._mesh(image, region_of_mesh(mesh))
            around = bounding_box(mesh)
            if any(overlap(around, other) > SAME_FACE for other in taken):
                continue
            taken.append(around)
            faces.append(
                DetectedFace(
                    box_px=box.astype(np.float32),
                    detection_score=float(score),
                    landmarks_px=landmarks_of_mesh(mesh).astype(np.float32),
                    landmark_score=presence,
                    dense_px=mesh.astype(np.float32),
                )
            )
        return in_order(faces)


def landmarks_of_mesh(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the 68 landmarks (68, 3) of a face mesh (468, 3)."""
    return np.array([mesh[list(vertices)].mean(0) for vertices in IBUG_TO_MESH])
