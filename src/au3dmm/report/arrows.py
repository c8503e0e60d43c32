"""Arrows on a picture that show which way the strongest spots of a surface move."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_FINE = 4  # drawn larger and shrunk
_SHIFT = 4  # bits of a pixel that OpenCV draws with
# of the picture's height
_SPACING, _LONGEST, _SHAFT, _HEAD, _OUTLINE, _FOOT = 0.13, 0.15, 0.012, 0.04, 0.0055, 0.12
_INK, _LIGHT = (30, 30, 34), (255, 255, 255)
_WEAKEST = 0.4  # of the longest arrow: shorter ones look like dots
_FACING = 0.4  # smallest cosine between a spot's normal and the camera
_OPEN = 0.3  # smallest openness: below are insides of lips and nostrils


def pick_spots(
    places_px: NDArray[np.floating],
    strength: NDArray[np.floating],
    usable: NDArray[np.bool_],
    spacing_px: float,
    *,
    most: int = 6,
    least: float = 0.45,
) -> NDArray[np.int64]:
    """Choose the strongest points that lie apart from each other.

    Parameters
    ----------
    places_px : (V, 2) array
        Where they are, px.
    strength : (V,) array
        Any unit.
    usable : (V,) bool array
        The others are not chosen.
    spacing_px : float
        Least distance of two of them, px.
    most : int
        So many at most.
    least : float
        None weaker than this share of the strongest usable one.

    Returns
    -------
    (N,) int array
        Indices, strongest first; of equal ones the first.

    Examples
    --------
    >>> places = np.array([[0.0, 0], [1, 0], [9, 0], [20, 0]])
    >>> pick_spots(places, np.array([3.0, 4, 2, 1]), np.ones(4, bool), 5.0)
    array([1, 2])
    """
    left = np.where(usable, strength, 0.0)
    floor = least * float(left.max(initial=0))
    spots: list[int] = []
    while len(spots) < most and len(left):
        best = int(left.argmax())
        if left[best] <= 0 or left[best] < floor:
            break
        spots.append(best)
        left[np.hypot(*(places_px - places_px[best]).T) < spacing_px] = 0
    return np.array(spots, np.int64)


def draw_motion(
    picture: NDArray[np.uint8],
    places_px: NDArray[np.floating],
    moved_px: NDArray[np.floating],
    facing: NDArray[np.floating],
    openness: NDArray[np.floating],
    largest_px: float,
) -> NDArray[np.uint8]:
    """Draw a few arrows where a surface moves most, as long as the movement is strong.

    Parameters
    ----------
    picture : (H, W, 4) uint8 array
        sRGB and opacity (not multiplied).
    places_px : (V, 2) array
        Where the moved vertices are seen, px.
    moved_px : (V, 2) array
        How they moved within the picture, px.
    facing : (V,) array
        Cosine between their normals and the direction to the camera.
    openness : (V,) array
        0 (in a hole) to 1.
    largest_px : float
        Movement, in space, that has the longest arrow. What moves towards the camera has a short one, or none.

    Returns
    -------
    (H, W, 4) uint8 array
        A picture of its own.
    """
    height, width = picture.shape[:2]
    if largest_px <= 0:
        return picture.copy()
    # no arrow is cut by the picture's edge, or stands where the head fades out
    half = _LONGEST * height / 2
    inside = (places_px[:, 0] > half) & (places_px[:, 0] < width - half) & (places_px[:, 1] > half)
    inside &= places_px[:, 1] < (1 - _FOOT) * height
    length = np.hypot(*moved_px.T)
    usable = inside & (facing > _FACING) & (openness > _OPEN) & (length > _WEAKEST * largest_px)
    ink = np.zeros((height * _FINE, width * _FINE), np.uint8)
    light = np.zeros_like(ink)
    for i in pick_spots(places_px, length, usable, _SPACING * height):
        shape = _arrow(moved_px[i] * (_LONGEST * height / largest_px), height) + places_px[i]
        points = np.rint(((shape + 0.5) * _FINE - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(ink, [points], 255, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(light, [points], 255, cv2.LINE_8, _SHIFT)
        thick = max(1, round(2 * _OUTLINE * height * _FINE))
        cv2.polylines(light, [points], True, 255, thick, cv2.LINE_8, _SHIFT)
    out = picture.astype(np.float64)
    for mask, colour in ((light, _LIGHT), (ink, _INK)):
        share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255.0
        # over what is there, which may be half transparent at the head's edge
        alpha = share + out[..., 3:] / 255 * (1 - share)
        below = out[..., :3] * out[..., 3:] / 255 * (1 - share)
        out[..., :3] = (share * colour + below) / np.maximum(alpha, 1e-6)
        out[..., 3:] = 255 * alpha
    return np.asarray(np.rint(out), np.uint8)


def _arrow(vector: NDArray[np.floating], height: int) -> NDArray[np.float64]:
    """Return the outline (7, 2) of an arrow along a vector, px, its middle at 0."""
    length = float(np.hypot(*vector))
    along = np.asarray(vector, np.float64) / length
    across = np.array([-along[1], along[0]])
    head = min(_HEAD * height, 0.7 * length)
    shaft, wing = _SHAFT * height / 2, 0.42 * head
    outline = [(0, shaft), (length - head, shaft), (length - head, wing), (length, 0)]
    outline += [(length - head, -wing), (length - head, -shaft), (0, -shaft)]
    return np.array([(a - length / 2) * along + b * across for a, b in outline])
