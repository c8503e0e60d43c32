"""MediaPipe's BlazeFace on the LiteRT runtime: finds faces, near (short range) and far (full range).

The models, their anchors and what their numbers mean follow MediaPipe 0.10.21, modules/face_detection (Bazarevsky et
al. 2019, arXiv:1907.05047).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.mediapipe_models import Model, Region, as_floats, crop, crop_map, sigmoid

SHORT_RANGE = ((16, 2), (8, 6))
"""Grids of anchors as (cells along a side, anchors per cell): 896 of the short-range model."""
FULL_RANGE = ((48, 1),)
"""2304 of the full-range model."""
_NMS_OVERLAP = 0.3
_SIGNED_UNIT: NDArray[np.float32] = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)


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


def anchors(grids: tuple[tuple[int, int], ...] = SHORT_RANGE) -> NDArray[np.float64]:
    """Return BlazeFace's anchor centres (N, 2), in 0..1 of its input: `grids` one after the other, each by rows."""
    out = []
    for cells, per_cell in grids:
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
        ``face_detection_short_range.tflite`` or ``face_detection_full_range_sparse.tflite``.
    min_score : float
        Candidates scored below are dropped.
    size : int
        Side of its input, px: 128 and 192.
    grids : tuple
        `SHORT_RANGE` or `FULL_RANGE`.
    """

    def __init__(
        self, model: bytes, min_score: float, size: int = 128, grids: tuple[tuple[int, int], ...] = SHORT_RANGE
    ) -> None:
        self._model = Model(model)
        self._anchors = anchors(grids)
        self._size = size
        self._min_logit = math.log(min_score) - math.log1p(-min_score) if 0 < min_score < 1 else math.inf
        if min_score <= 0:
            self._min_logit = -math.inf

    def __call__(self, image: NDArray[np.uint8]) -> BlazeFaces:
        """Find all faces of an RGB image (H, W, 3)."""
        n, (height, width) = self._size, image.shape[:2]
        whole = Region(np.array([(width - 1) / 2, (height - 1) / 2]), float(max(height, width)), 0.0)
        matrix = crop_map(whole, n)
        small = crop(image, matrix, n, replicate=False)
        outputs = self._model(as_floats(small, _SIGNED_UNIT))
        logits = next(x for x in outputs if x.shape[-1] == 1)[0, :, 0]
        sure = logits >= self._min_logit
        raw = next(x for x in outputs if x.shape[-1] == 16)[0, sure].astype(np.float64)
        places = raw.reshape(-1, 8, 2) / n  # centre and size of the box, then the keypoints
        places[:, 0] += self._anchors[sure]
        places[:, 2:] += self._anchors[sure, None]
        places[:, :2] = np.stack([places[:, 0] - places[:, 1] / 2, places[:, 0] + places[:, 1] / 2], axis=1)
        places, scores = merge_boxes(places, sigmoid(logits[sure]))
        # 0..1 is from edge to edge of the input, whose first pixel centre is half a pixel inside
        places = (places * n - 0.5) @ matrix[:, :2].T + matrix[:, 2]
        return BlazeFaces(places[:, :2].reshape(-1, 4), places[:, 2:], scores)
