"""MediaPipe's two face models on the LiteRT runtime: BlazeFace (short range) and the 468-point face mesh.

The models, their inputs and the way from one to the other follow MediaPipe 0.10.21, modules/face_detection and
modules/face_landmark (Bazarevsky et al. 2019, arXiv:1907.05047; Kartynnik et al. 2019, arXiv:1907.06724). Two
departures: crops are sampled so that pixel centres correspond (`crop_map`; MediaPipe's OpenCV route is off by half a
crop pixel), and there is no smoothing or tracking over time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

N_MESH = 468
DETECTOR_SIZE = 128
MESH_SIZE = 192
REGION_SCALE = 1.5  # MediaPipe's margin around a box
_NMS_OVERLAP = 0.3
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners in the mesh


@dataclass(frozen=True)
class Region:
    """A turned square of the image.

    Attributes
    ----------
    centre_px : (2,) float64 array
        x, y px.
    side_px : float
        Length of a side, px.
    angle_rad : float
        From the image's x axis to the square's, clockwise as seen (y is down).
    """

    centre_px: NDArray[np.float64]
    side_px: float
    angle_rad: float


@dataclass(frozen=True)
class BlazeFaces:
    """What BlazeFace finds in one image, best first.

    Attributes
    ----------
    boxes_px : (N, 4) float64 array
        x0, y0, x1, y1 px.
    keypoints_px : (N, 6, 2) float64 array
        Right eye, left eye (the subject's), nose tip, mouth, right and left ear, px.
    scores : (N,) float64 array
        0..1.
    """

    boxes_px: NDArray[np.float64]
    keypoints_px: NDArray[np.float64]
    scores: NDArray[np.float64]


def crop_map(region: Region, n: int) -> NDArray[np.float64]:
    """Return the map (2, 3) from pixel centres of an n x n crop of `region` to pixel centres of the image.

    Crop pixel i covers ``[i - 1/2, i + 1/2]``, so the middle of the crop is ``(n - 1) / 2`` and a crop of side n,
    unturned, is a copy.

    Examples
    --------
    >>> crop_map(Region(np.array([2.0, 3.0]), 8.0, 0.0), 4) + 0.0
    array([[ 2.,  0., -1.],
           [ 0.,  2.,  0.]])
    """
    c, s = np.cos(region.angle_rad) * region.side_px / n, np.sin(region.angle_rad) * region.side_px / n
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, region.centre_px - linear @ np.full(2, (n - 1) / 2)])


def crop(image: NDArray[np.uint8], matrix: NDArray[np.float64], n: int, replicate: bool) -> NDArray[np.uint8]:
    """Cut an n x n crop out of `image` (H, W, 3) by `matrix` of `crop_map`; outside it is the border, or black."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(image, matrix, (n, n), flags=flags, borderMode=border), np.uint8)


def anchors() -> NDArray[np.float64]:
    """Return the anchor centres of BlazeFace short range, (896, 2), in 0..1 of its input: cells of 8 px with two
    anchors each, then cells of 16 px with six.
    """
    out = []
    for cells, per_cell in ((16, 2), (8, 6)):
        centres = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        out.append(np.repeat(np.column_stack([x.ravel(), y.ravel()]), per_cell, axis=0))
    return np.concatenate(out)


def merge_boxes(
    places: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted non-maximum suppression: each box and those overlapping it become their mean weighted by score.

    Parameters
    ----------
    places : (N, 8, 2) array
        Two corners and six keypoints of each candidate.
    scores : (N,) array
        Their scores.

    Returns
    -------
    places : (M, 8, 2) array
        Best first.
    scores : (M,) array
        The best score of each group.
    """
    kept, best = [], []
    order = np.argsort(-scores, kind="stable")
    while len(order):
        low, high = places[order, 0], places[order, 1]
        sides = np.maximum(0, np.minimum(high, high[0]) - np.maximum(low, low[0]))
        shared = sides.prod(1)
        area = (high - low).prod(1)
        same = shared > _NMS_OVERLAP * (area + area[0] - shared)
        same[0] = True  # also a box without area
        group = order[same]
        kept.append(np.average(places[group], axis=0, weights=scores[group]))
        best.append(scores[order[0]])
        order = order[~same]
    return np.array(kept).reshape(-1, 8, 2), np.array(best)


class BlazeFace:
    """The face detector.

    Parameters
    ----------
    model : bytes
        ``face_detection_short_range.tflite``.
    min_score : float
        Candidates scored below are dropped.
    """

    def __init__(self, model: bytes, min_score: float) -> None:
        self._model = _Model(model)
        self._anchors = anchors()
        self._min_score = min_score

    def __call__(self, image: NDArray[np.uint8]) -> BlazeFaces:
        """Find all faces of an RGB image (H, W, 3)."""
        height, width = image.shape[:2]
        whole = Region(np.array([(width - 1) / 2, (height - 1) / 2]), float(max(height, width)), 0.0)
        matrix = crop_map(whole, DETECTOR_SIZE)
        small = crop(image, matrix, DETECTOR_SIZE, replicate=False)
        outputs = self._model(small.astype(np.float32) / np.float32(127.5) - np.float32(1))
        raw = next(x for x in outputs if x.shape[-1] == 16)[0].astype(np.float64)
        scores = _sigmoid(next(x for x in outputs if x.shape[-1] == 1)[0, :, 0])
        sure = scores >= self._min_score
        places = raw[sure].reshape(-1, 8, 2) / DETECTOR_SIZE  # centre and size of the box, then the keypoints
        places[:, 0] += self._anchors[sure]
        places[:, 2:] += self._anchors[sure, None]
        places[:, :2] = np.stack([places[:, 0] - places[:, 1] / 2, places[:, 0] + places[:, 1] / 2], axis=1)
        places, scores = merge_boxes(places, scores[sure])
        # 0..1 is from edge to edge of the input, whose first pixel centre is half a pixel inside
        places = (places * DETECTOR_SIZE - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        return BlazeFaces(places[:, :2].reshape(-1, 4), places[:, 2:], scores)


class FaceMesh:
    """The 468-point mesh of one face.

    Parameters
    ----------
    model : bytes
        ``face_landmark.tflite``.
    """

    def __init__(self, model: bytes) -> None:
        self._model = _Model(model)

    def __call__(self, image: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float64], float]:
        """Return the mesh (468, 3) of the face in `region`, x, y, z px with z towards the camera, and its presence.

        The model's z is in units of its x, about the head's middle, and negative towards the camera. Its x and y
        count from the crop's edge: faces and their mirror images then agree best (docs/decisions.md).
        """
        matrix = crop_map(region, MESH_SIZE)
        cut = crop(image, matrix, MESH_SIZE, replicate=True)
        outputs = self._model(cut.astype(np.float32) / np.float32(255))
        mesh = next(x for x in outputs if x.size == 3 * N_MESH).reshape(N_MESH, 3).astype(np.float64)
        presence = next(x for x in outputs if x.size == 1).ravel()
        xy = (mesh[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        z = -mesh[:, 2] * region.side_px / MESH_SIZE
        return np.column_stack([xy, z]), float(_sigmoid(presence)[0])


def region_of_box(box_px: NDArray[np.float64], keypoints_px: NDArray[np.float64]) -> Region:
    """Return where to look for a mesh, given a box (4,) and keypoints (6, 2) of BlazeFace: turned as the eyes are."""
    low, high = box_px[:2], box_px[2:]
    right, left = keypoints_px[:2]
    return Region((low + high) / 2, REGION_SCALE * float((high - low).max()), _direction(left - right))


def region_of_mesh(mesh_px: NDArray[np.float64]) -> Region:
    """Return where to look again, given a mesh (468, 3): the turned square around it, with a margin."""
    xy = mesh_px[:, :2]
    angle = _direction(xy[_LEFT_EYE] - xy[_RIGHT_EYE])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = xy @ axes.T
    low, high = turned.min(0), turned.max(0)
    return Region(axes.T @ ((low + high) / 2), REGION_SCALE * float((high - low).max()), angle)


def _direction(vector: NDArray[np.float64]) -> float:
    return float(np.arctan2(vector[1], vector[0]))


def _sigmoid(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x.astype(np.float64), -100, 100))))


@contextmanager
def _native_chatter_off() -> Iterator[None]:
    """Drop what native code writes to stderr: LiteRT reports its delegate there and has no switch for it."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Model:
    """One float model with one image input, on one thread (the order of its sums, and so its answer, is fixed)."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _native_chatter_off():
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [out["index"] for out in self._interpreter.get_output_details()]

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
