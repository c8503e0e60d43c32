"""MediaPipe's face mesh as a landmark detector: 468 dense points, and the 68 landmarks among them."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.core.mediapipe_mesh import IBUG_TO_MESH
from au3dmm.detectors.base import DetectedFace, in_order
from au3dmm.detectors.mediapipe_attention import AttentionMesh
from au3dmm.detectors.mediapipe_boxes import FULL_RANGE, BlazeFace, BlazeFaces
from au3dmm.detectors.mediapipe_models import N_MESH, FaceMesh
from au3dmm.detectors.mediapipe_task import TaskMesh, check_runs
from au3dmm.detectors.mediapipe_tracks import LOST, SETTLE, MeshOf, Track, begin, distinct, follow, match
from au3dmm.io.mediapipe_task import PUBLISHED_TASKS, TaskModels, task_models
from au3dmm.io.weights import (
    MEDIAPIPE_ATTENTION,
    MEDIAPIPE_DETECTION,
    MEDIAPIPE_FAR,
    MEDIAPIPE_MESH,
    MEDIAPIPE_TASK,
    mediapipe_needs,
    read_mediapipe,
)

log = logging.getLogger(__name__)

FAR_SCORE = 0.7
"""Least score of a far face: noise scores up to 0.62, faces with 20 px between the eyes 0.73 to 0.93."""


class MediapipeDetector:
    """BlazeFace finds faces; each gets a mesh in a region cut from its box, and then from its mesh.

    Without ``mediapipe_tracking`` every frame is on its own. With it, a face's region comes from the frame before, and
    BlazeFace looks again on every ``mediapipe_search_every``-th frame, and where a face has been lost. All begins anew
    on frames whose index is a multiple of `chunk_frames`, after `reset`, when the index does not grow, and when images
    change their size: so a video gives the same faces wherever one begins, if it is at a multiple.

    Parameters
    ----------
    params : DetectParams
        ``min_detection_score``, ``recrops`` and those whose names begin with ``mediapipe_`` are used.
    weights_folder : Path
        Where the model files are.

    Attributes
    ----------
    chunk_frames : int
        A worker may begin at any multiple of this; 1 if every frame is on its own.

    Raises
    ------
    AssetError
        If a model file is missing or is not the published one.
    """

    name = "mediapipe"
    n_dense = N_MESH

    def __init__(self, params: DetectParams, weights_folder: Path) -> None:
        needs = mediapipe_needs(params.mediapipe_range, params.mediapipe_refine, params.mediapipe_models)
        models, self._sha256 = read_mediapipe(weights_folder, needs)
        low = params.min_detection_score
        self._finders: list[BlazeFace] = []
        task = self._task(models, weights_folder) if MEDIAPIPE_TASK in models else None
        if task is not None and params.mediapipe_range != "full":
            self._finders.append(BlazeFace(task.finder, low))
        if MEDIAPIPE_DETECTION in models:
            self._finders.append(BlazeFace(models[MEDIAPIPE_DETECTION], low))
        if MEDIAPIPE_FAR in models:
            self._finders.append(BlazeFace(models[MEDIAPIPE_FAR], max(low, FAR_SCORE), 192, FULL_RANGE))
        self._mesh: MeshOf
        if task is not None:
            self._mesh = TaskMesh(task)
        elif params.mediapipe_refine:
            self._mesh = AttentionMesh(models[MEDIAPIPE_ATTENTION])
        else:
            self._mesh = FaceMesh(models[MEDIAPIPE_MESH])
        self._params = params
        self.chunk_frames = params.mediapipe_chunk_frames if params.mediapipe_tracking else 1
        self.reset()

    def _task(self, models: dict[str, bytes], folder: Path) -> TaskModels:
        """Return the models of the user's task, which LiteRT can run."""
        path, sha256 = folder / MEDIAPIPE_TASK, self._sha256[MEDIAPIPE_TASK]
        task = task_models(models[MEDIAPIPE_TASK], str(path))
        check_runs(task, str(path))
        if sha256 not in PUBLISHED_TASKS:
            log.warning(
                "mediapipe: %s is none of the published versions (its sha256 begins with %s); the landmarks are worth"
                " what its models are",
                *(path, sha256[:10]),
            )
        return task

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._tracks: list[Track] = []
        self._last: tuple[int, tuple[int, ...]] | None = None

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks."""
        used = ("min_detection_score", "recrops", *(n for n in DetectParams.model_fields if n.startswith("mediapipe_")))
        return {
            "name": self.name,
            "weights": self._sha256,
            "precision": "float32",
            "versions": {"ai-edge-litert": version("ai-edge-litert"), "opencv": cv2.__version__},
            **{name: getattr(self._params, name) for name in used},
            "dense": "MediaPipe face mesh, 468 vertices",
            "has_z": True,
        }

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return all faces of an RGB image (H, W, 3), from left to right."""
        tracks = self._follow(image, frame_index) if self._params.mediapipe_tracking else self._alone(image)
        return in_order(_face(track) for track in tracks)

    def _alone(self, image: NDArray[np.uint8]) -> list[Track]:
        return self._begin(image, self._find(image), [], self._params.recrops)

    def _follow(self, image: NDArray[np.uint8], frame_index: int) -> list[Track]:
        if self._begins(frame_index, image.shape):
            self._tracks = []
        self._last = frame_index, image.shape
        again = max(self._params.recrops - 1, 0)  # the mesh of the frame before is the first that a region is cut from
        before = self._tracks
        moved = [follow(self._mesh, image, track, again) for track in before]
        tracks = distinct(track for track in moved if track.presence >= LOST)
        in_chunk = frame_index % self.chunk_frames
        if not tracks or len(tracks) < len(before) or in_chunk % self._params.mediapipe_search_every == 0:
            found = self._find(image)
            tracks, free = match(found, tracks)
            tracks += self._begin(image, _only(found, free), tracks, max(self._params.recrops, SETTLE))
        # what is hardly a face is reported, for the landmark score to tell, but not followed
        self._tracks = [track for track in tracks if track.presence >= LOST]
        return tracks

    def _begins(self, frame_index: int, shape: tuple[int, ...]) -> bool:
        if self._last is None:
            return True
        last, last_shape = self._last
        other_chunk = frame_index // self.chunk_frames != last // self.chunk_frames
        return frame_index <= last or other_chunk or shape != last_shape

    def _find(self, image: NDArray[np.uint8]) -> BlazeFaces:
        """Return the faces that the first finder finds which finds any: near faces before far ones."""
        for find in self._finders:
            found = find(image)
            if len(found.scores):
                break
        return found

    def _begin(self, image: NDArray[np.uint8], found: BlazeFaces, others: list[Track], recrops: int) -> list[Track]:
        """Return the faces in boxes that are not among `others`, as many as there is room for."""
        new: list[Track] = []
        for box, keypoints, score in zip(found.boxes_px, found.keypoints_px, found.scores, strict=True):
            if len(others) + len(new) >= self._params.mediapipe_faces:
                break
            new.append(begin(self._mesh, image, box, keypoints, float(score), recrops))
            new = distinct([*others, *new])[len(others) :]
        return new


def landmarks_of_mesh(mesh: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the 68 landmarks (68, 3) of a face mesh (468, 3)."""
    return np.asarray((mesh[_FIRST] + mesh[_SECOND]) / 2, np.float64)


_FIRST = np.array([vertices[0] for vertices in IBUG_TO_MESH])
_SECOND = np.array([vertices[-1] for vertices in IBUG_TO_MESH])  # the same vertex, or the other of two


def _face(track: Track) -> DetectedFace:
    return DetectedFace(
        box_px=track.box_px,
        detection_score=track.score,
        landmarks_px=landmarks_of_mesh(track.mesh_px).astype(np.float32),
        landmark_score=track.presence,
        dense_px=track.mesh_px.astype(np.float32),
    )


def _only(found: BlazeFaces, which: list[int]) -> BlazeFaces:
    return BlazeFaces(found.boxes_px[which], found.keypoints_px[which], found.scores[which])
