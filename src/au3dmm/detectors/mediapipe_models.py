"""MediaPipe's 468-point face mesh on the LiteRT runtime, and the turned squares of the image that it is given.

The model, its input and where to look for a face follow MediaPipe 0.10.21, modules/face_landmark (Kartynnik et al.
2019, arXiv:1907.06724), but crops are sampled so that pixel centres correspond (`crop_map`; MediaPipe's OpenCV route
is off by half a crop pixel).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.core.face_windows import turned_box

N_MESH = 468
MESH_SIZE = 192
REGION_SCALE = 1.5  # MediaPipe's margin around a box
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners in the mesh

UNIT: NDArray[np.float32] = np.arange(256, dtype=np.float32) / np.float32(255)
"""What `as_floats` makes of a byte for the meshes: 0..1."""


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
    c, s = math.cos(region.angle_rad) * region.side_px / n, math.sin(region.angle_rad) * region.side_px / n
    x, y = region.centre_px
    half = (n - 1) / 2
    return np.array([[c, -s, x - half * (c - s)], [s, c, y - half * (s + c)]])


def crop(image: NDArray[np.uint8], matrix: NDArray[np.float64], n: int, replicate: bool) -> NDArray[np.uint8]:
    """Cut an n x n crop out of `image` (H, W, 3) by `matrix` of `crop_map`; outside it is the border, or black.

    Where crop pixels are two image pixels apart or more, blocks of image pixels are averaged first: sampling some and
    skipping others would pass their noise on (measured: a third of it is left on frames of 1920 x 1080).
    """
    step = max(1, int(math.hypot(matrix[0, 0], matrix[1, 0]) + 1e-9))
    image, matrix = _averaged(image, matrix, n, step)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    # with a fourth channel OpenCV takes less than half the time
    four = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), matrix, (n, n), flags=flags, borderMode=border)
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), np.uint8)


def as_floats(pixels: NDArray[np.uint8], table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a table of 256 floats says for each byte of an image (H, W, 3)."""
    # the same floats as from arithmetic, in a fifth of numpy's time
    return np.asarray(cv2.LUT(pixels, table), np.float32)


def _averaged(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], n: int, step: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut out what a crop sees, blocks of `step` x `step` pixels averaged; return that image and the map into it."""
    height, width = image.shape[:2]
    x, columns = _blocks(matrix[0], n, step, width)
    y, rows = _blocks(matrix[1], n, step, height)
    if columns < 1 or rows < 1:  # next to nothing of the image is inside
        return image, matrix
    part = image[y : y + rows * step, x : x + columns * step]
    small = part if step == 1 else cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    moved = (matrix - np.array([[0, 0, x + (step - 1) / 2], [0, 0, y + (step - 1) / 2]])) / step
    return np.asarray(small, np.uint8), moved


def _blocks(row: NDArray[np.float64], n: int, step: int, size: int) -> tuple[int, int]:
    """Return where the image pixels that a crop sees along x or y begin, and how many blocks of them there are."""
    by_column, by_row, at_first = map(float, row)
    last = n - 1
    least = at_first + min(0.0, by_column * last) + min(0.0, by_row * last)
    most = at_first + max(0.0, by_column * last) + max(0.0, by_row * last)
    low = min(max(math.floor(least) - 2 * step, 0), size - 1)
    high = min(max(math.ceil(most) + 2 * step + 1, low + 1), size)
    return low, (high - low) // step


class FaceMesh:
    """The 468-point mesh of one face.

    Parameters
    ----------
    model : bytes
        ``face_landmark.tflite``.
    """

    def __init__(self, model: bytes) -> None:
        self._model = Model(model)

    def __call__(self, image: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float64], float]:
        """Return the mesh (468, 3) of the face in `region`, x, y, z px with z towards the camera, and its presence."""
        matrix = crop_map(region, MESH_SIZE)
        cut = crop(image, matrix, MESH_SIZE, replicate=True)
        outputs = self._model(as_floats(cut, UNIT))
        mesh = next(x for x in outputs if x.size == 3 * N_MESH).reshape(N_MESH, 3).astype(np.float64)
        presence = next(x for x in outputs if x.size == 1).ravel()
        return to_image(mesh, matrix, region), float(sigmoid(presence)[0])


def to_image(mesh: NDArray[np.float64], matrix: NDArray[np.float64], region: Region) -> NDArray[np.float64]:
    """Turn a mesh (468, 3) as the model gives it into image px; `matrix` is the crop's.

    The model's z is in units of its x, about the head's middle, and negative towards the camera. Its x and y count
    from the crop's edge: faces and their mirror images then agree best (docs/decisions.md).
    """
    (a, b, x), (c, d, y) = matrix.tolist()
    whole = np.array([[a, c, 0], [b, d, 0], [0, 0, -region.side_px / MESH_SIZE]])
    return np.asarray(mesh @ whole + np.array([x - (a + b) / 2, y - (c + d) / 2, 0]))


def region_of_box(box_px: NDArray[np.float64], keypoints_px: NDArray[np.float64]) -> Region:
    """Return where to look for a mesh, given a box (4,) and keypoints (6, 2) of BlazeFace: turned as the eyes are."""
    low, high = box_px[:2], box_px[2:]
    right, left = keypoints_px[:2]
    return Region((low + high) / 2, REGION_SCALE * float((high - low).max()), _direction(left - right))


def region_of_mesh(mesh_px: NDArray[np.float64]) -> Region:
    """Return where to look again, given a mesh (468, 3): the turned square around it, with a margin."""
    angle = _direction(mesh_px[_LEFT_EYE] - mesh_px[_RIGHT_EYE])
    middle, sides = turned_box(mesh_px, angle)
    return Region(np.array(middle), REGION_SCALE * max(sides), angle)


def between(before: Region, after: Region, weight: float) -> Region:
    """Return the region that is `weight` of the way from one to the other, turning the short way.

    Examples
    --------
    >>> half = between(Region(np.zeros(2), 10.0, 3.0), Region(np.ones(2), 20.0, -3.0), 0.5)
    >>> half.side_px, round(half.angle_rad, 6)
    (15.0, 3.141593)
    """
    turn = (after.angle_rad - before.angle_rad + np.pi) % (2 * np.pi) - np.pi
    return Region(
        before.centre_px + weight * (after.centre_px - before.centre_px),
        before.side_px + weight * (after.side_px - before.side_px),
        before.angle_rad + weight * turn,
    )


def _direction(vector: NDArray[np.float64]) -> float:
    return float(np.arctan2(vector[1], vector[0]))


def sigmoid(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-x))``."""
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


class Model:
    """One float model, on one thread (the order of its sums, and so its answer, is fixed)."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _native_chatter_off():
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        self._inputs = [given["index"] for given in self._interpreter.get_input_details()]
        self._outputs = [out["index"] for out in self._interpreter.get_output_details()]

    def __call__(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return all outputs for inputs (H, W, C), in the model's order."""
        for index, value in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, value[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
