"""MediaPipe's face mesh with attention on the LiteRT runtime: lips, eyes and brows are looked at once more.

``face_landmark_with_attention.tflite`` (MediaPipe 0.10.21, modules/face_landmark; Grishchenko et al. 2020,
arXiv:2006.10962) finds the mesh, cuts three windows out of its own features around lips and eyes, and finds their
points again. Cutting windows and putting points back are custom operators, which LiteRT lacks: the file is run in two
parts, and they are computed here. That pixel centres lie at 1/2 in their windows was found by comparing with the
mediapipe package (docs/benchmarks.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.face_windows import sample_cells, turned_box
from au3dmm.detectors.mediapipe_models import (
    MESH_SIZE,
    N_MESH,
    UNIT,
    Model,
    Region,
    as_floats,
    crop,
    crop_map,
    sigmoid,
    to_image,
)
from au3dmm.detectors.model_parts import part_of_model

# numbers of tensors in the published file, whose sha256 is verified
_IMAGE, _FEATURES, _MESH, _PRESENCE = 0, 35, 186, 710
_WINDOWS = (199, 200, 201)
_POINTS = (697, 700, 704)

_WINDOW = 16  # cells of features along a side of a window
_FINE = 64  # units along a side of a window in which points come out
_MARGIN = 1.5  # side of a window, in sides of the box around its points
_FEATURE_PX = 4  # crop pixels to a cell of the features

# fmt: off
LIPS = np.array([
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88, 178, 87,
    14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16, 315, 404, 320, 307,
    306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38,
    12, 268, 271, 272, 407,
])
RIGHT_EYE = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112,
    243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
])
LEFT_EYE = np.array([
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252, 256,
    341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442,
    441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336,
    285, 417,
])
# fmt: on
_PARTS = ((LIPS, 61, 291), (RIGHT_EYE, 33, 133), (LEFT_EYE, 362, 263))
"""Points of each window, and the two that lie level in it."""


class AttentionMesh:
    """The 468-point mesh of one face, with lips, eyes and brows found twice.

    Parameters
    ----------
    model : bytes
        ``face_landmark_with_attention.tflite``.
    """

    def __init__(self, model: bytes) -> None:
        self._first = Model(part_of_model(model, [_IMAGE], [_FEATURES, _MESH, _PRESENCE]))
        self._second = Model(part_of_model(model, _WINDOWS, _POINTS))

    def __call__(self, image: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float64], float]:
        """Return the mesh (468, 3) of the face in `region`, px, and its presence, as `FaceMesh` does."""
        matrix = crop_map(region, MESH_SIZE)
        cut = crop(image, matrix, MESH_SIZE, replicate=True)
        features, raw, presence = self._first(as_floats(cut, UNIT))
        mesh = raw.reshape(N_MESH, 3).astype(np.float64)
        maps = [window_map(mesh[points, :2], mesh[level[1], :2] - mesh[level[0], :2]) for points, *level in _PARTS]
        found = self._second(*cut_windows(features[0], maps))
        for (points, *_), window, fine in zip(_PARTS, maps, found, strict=True):
            mesh[points, :2] = fine[0] @ window[:, :2].T * (_WINDOW / _FINE) + window[:, 2]
        return to_image(mesh, matrix, region), float(sigmoid(presence.ravel())[0])


def window_map(points: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the map (2, 3) from cells of a window around points to crop pixels, both counted from edges.

    Parameters
    ----------
    points : (N, 2) array
        Crop pixels.
    level : (2,) array
        Direction in which the window lies.

    Examples
    --------
    >>> window_map(np.array([[10.0, 20.0], [26.0, 28.0]]), np.array([1.0, 0.0])) + 0.0
    array([[ 1.5 ,  0.  ,  6.  ],
           [ 0.  ,  0.75, 18.  ]])
    """
    angle = float(np.arctan2(level[1], level[0]))
    (x, y), sides = turned_box(points, angle)
    a, b = (side * _MARGIN / _WINDOW for side in sides)
    c, s = np.cos(angle), np.sin(angle)
    half = _WINDOW / 2
    return np.array([[c * a, -s * b, x - half * (c * a - s * b)], [s * a, c * b, y - half * (s * a + c * b)]])


def cut_windows(features: NDArray[np.float32], maps: list[NDArray[np.float64]]) -> list[NDArray[np.float32]]:
    """Sample features (48, 48, C) at the cells of windows, linearly, nothing being outside: each (16, 16, C)."""
    window = np.stack(maps)
    # from the middles of cells, in crop pixels, to those of features
    window[:, :, 2] = (window[:, :, :2].sum(2) / 2 + window[:, :, 2]) / _FEATURE_PX - 0.5
    window[:, :, :2] /= _FEATURE_PX
    return list(sample_cells(features, window, _WINDOW))
