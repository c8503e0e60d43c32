"""MediaPipe's face mesh as a landmark detector: 468 dense points, and the 68 landmarks among them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace, bounding_box, in_order, overlap
from au3dmm.detectors.mediapipe_models import N_MESH, BlazeFace, FaceMesh, region_of_box, region_of_mesh
from au3dmm.io.weights import MEDIAPIPE_DETECTION, MEDIAPIPE_MESH, read_mediapipe

SAME_FACE = 0.5  # two meshes that share more than this are one face found twice

# fmt: off
IBUG_TO_MESH: tuple[tuple[int, ...], ...] = (
    (127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,),
    (400,), (379,), (365,), (397, 288), (361, 288), (323,), (454,), (356,),
    (70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,),
    (168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,),
    (33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,),
    (61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,),
    (78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,),
)
# fmt: on
"""Mesh vertices whose mean is each of the 68 landmarks.

The correspondence published by P. Yan (Mediapipe_2_Dlib_Landmarks, MIT), the closest of five public tables to two
other detectors, with jaw point 13 made the mirror image of 3; the jaw, 0-16, is where detectors mean different things.
"""


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
