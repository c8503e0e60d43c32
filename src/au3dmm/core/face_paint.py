"""Paint a bare head so that a detector of faces knows it: skin, lips, brows and eyes, by the 68 landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import GROUPS

Colour = tuple[float, float, float]
_BROW_HALF_M = 0.0030
_SOFT_M = 0.0010  # how far colours run into each other
_IRIS_M = 0.0059
_PUPIL_M = 0.0022
_SEAM_M = 0.0007
_LASH_PX = 1.6
_MARGIN_M = 0.006
_SEAM = (0.02, 0.008, 0.008)
_PUPIL = (0.004, 0.004, 0.004)


@dataclass(frozen=True)
class Palette:
    """Reflectances, linear, 0 to 1: red, green, blue.

    Attributes
    ----------
    skin, lips, hair, iris : (float, float, float)
        Of the parts of a face.
    """

    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour


LIGHT = Palette((0.72, 0.46, 0.34), (0.56, 0.22, 0.19), (0.10, 0.06, 0.04), (0.10, 0.17, 0.24))
MIDDLE = Palette((0.45, 0.26, 0.17), (0.33, 0.12, 0.10), (0.03, 0.02, 0.015), (0.06, 0.03, 0.015))
DARK = Palette((0.20, 0.105, 0.065), (0.15, 0.05, 0.045), (0.012, 0.01, 0.009), (0.03, 0.015, 0.01))


def paint_skin(
    points: NDArray[np.floating], facing: NDArray[np.floating], landmarks: NDArray[np.float64], palette: Palette
) -> NDArray[np.float64]:
    """Return the reflectance of points of a neutral head: skin, with lips and brows where the landmarks say.

    Parameters
    ----------
    points : (N, 3) array
        On the head as it looks straight ahead, m, y up, z out of the face.
    facing : (N,) array
        z of the unit normals there: the back of the head has neither lips nor brows.
    landmarks : (68, 3) array
        iBUG landmarks of the head, m.
    palette : Palette
        Colours.

    Returns
    -------
    (N, 3) array
        Linear reflectance.

    Examples
    --------
    >>> marks = np.zeros((68, 3))
    >>> paint_skin(np.array([[0.2, 0.0, 0.0]]), np.ones(1), marks, LIGHT)
    array([[0.72, 0.46, 0.34]])
    """
    colour = np.tile(np.array(palette.skin), (len(points), 1))
    front = np.clip(facing / 0.2, 0, 1) * (points[:, 2] > landmarks[27:36, 2].mean() - 0.06)
    flat = np.asarray(points[:, :2], np.float64)
    for group in ("right_brow", "left_brow"):
        line = landmarks[list(GROUPS[group]), :2]
        here = _around(flat, line)
        near = distance_to_line(flat[here], line)
        _mix(colour, here, palette.hair, 0.85 * front[here] * np.clip((_BROW_HALF_M - near) / _SOFT_M + 0.5, 0, 1))
    outer, inner = landmarks[48:60, :2], landmarks[60:68, :2]
    here = _around(flat, outer)
    edge = distance_to_line(flat[here], np.vstack([outer, outer[:1]]))
    edge *= np.where(inside_polygon(flat[here], outer), 1, -1)
    _mix(colour, here, palette.lips, front[here] * np.clip(edge / _SOFT_M + 0.5, 0, 1))
    near = distance_to_line(flat[here], np.vstack([inner, inner[:1]]))
    _mix(colour, here, _SEAM, 0.8 * front[here] * np.clip((_SEAM_M - near) / _SEAM_M + 0.5, 0, 1))
    return colour


def paint_eyes(
    image: NDArray[np.float64], landmarks_px: NDArray[np.float64], px_per_m: float, palette: Palette
) -> NDArray[np.float64]:
    """Return a picture with eyes drawn between the lids, whatever the mesh has there (a hole, a ball, a closed skin).

    Parameters
    ----------
    image : (H, W, 3) array
        Linear brightness.
    landmarks_px : (68, 2) array
        iBUG landmarks in the picture, px, y down.
    px_per_m : float
        Size of the face: of the iris.
    palette : Palette
        Colours.
    """
    painted = np.array(image, np.float64)
    for first in (36, 42):
        lids = landmarks_px[first : first + 6]
        rim = _rounded(lids)
        low = np.maximum(np.floor(rim.min(0)).astype(int) - 3, 0)
        high = np.ceil(rim.max(0)).astype(int) + 4
        part = painted[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            continue
        rows, columns = np.mgrid[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]]
        at = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64)
        near = distance_to_line(at, np.vstack([rim, rim[:1]]))
        within = np.clip(near * np.where(inside_polygon(at, rim), 1, -1) + 0.5, 0, 1)
        from_centre = np.linalg.norm(at - lids.mean(0), axis=1)
        flat = part.reshape(-1, 3).copy()
        shade = np.clip(flat.mean(1, keepdims=True) / np.mean(palette.skin), 0.25, 1.2)
        ball = 0.5 * shade * np.ones(3)
        everywhere = np.arange(len(at))
        _mix(ball, everywhere, palette.iris, np.clip(_IRIS_M * px_per_m - from_centre + 0.5, 0, 1))
        _mix(ball, everywhere, _PUPIL, np.clip(_PUPIL_M * px_per_m - from_centre + 0.5, 0, 1))
        flat += within[:, None] * (ball - flat)
        lash = distance_to_line(at, rim[: len(rim) // 2 + 1])
        _mix(flat, everywhere, palette.hair, 0.8 * np.clip(_LASH_PX - lash, 0, 1))
        painted[low[1] : low[1] + part.shape[0], low[0] : low[0] + part.shape[1]] = flat.reshape(part.shape)
    return painted


def distance_to_line(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of points (N, 2) to a polyline (M, 2), in their unit.

    Examples
    --------
    >>> distance_to_line(np.array([[0.5, 2.0], [3.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))
    array([2., 2.])
    """
    best = np.full(len(points), np.inf)
    for a, b in pairwise(np.asarray(line, np.float64)):
        length2 = float((b - a) @ (b - a))
        along = np.clip((points - a) @ (b - a) / max(length2, 1e-30), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return best


def inside_polygon(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of (N, 2) points lie inside a polygon (M, 2), by counting crossings.

    Examples
    --------
    >>> inside_polygon(np.array([[0.5, 0.5], [2.0, 0.5]]), np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]))
    array([ True, False])
    """
    odd = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        rise = b[1] - a[1] if b[1] != a[1] else 1.0
        odd ^= crosses & (points[:, 0] < a[0] + (points[:, 1] - a[1]) / rise * (b[0] - a[0]))
    return odd


def _rounded(corners: NDArray[np.float64], steps: int = 6) -> NDArray[np.float64]:
    """Round a closed polygon off with a Catmull-Rom curve through its corners."""
    t = np.arange(steps)[:, None] / steps
    parts = []
    for k in range(len(corners)):
        a, b, c, d = (corners[(k + i) % len(corners)] for i in (-1, 0, 1, 2))
        parts.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate(parts)


def _around(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which points lie in the box around a line, and a margin."""
    return np.flatnonzero(((points > line.min(0) - _MARGIN_M) & (points < line.max(0) + _MARGIN_M)).all(1))


def _mix(colour: NDArray[np.float64], rows: NDArray[np.int64], other: Colour, share: NDArray[np.floating]) -> None:
    colour[rows] += np.asarray(share)[:, None] * (np.array(other) - colour[rows])
