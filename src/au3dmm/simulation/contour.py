"""Contour landmarks slide with yaw: a detector marks the silhouette, which is another part of the cheek each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import JAW

PATH_POINTS = 8
_STEP_M = 0.004
_FINE = 4  # interpolated steps between two points of a path
_SOFT_M = 0.0005  # paths are followed smoothly: places this near to the outermost one share


def contour_paths(
    head: NDArray[np.float64], candidates: NDArray[np.int64], marks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each jaw landmark vertices (17, `PATH_POINTS`) on the way to the middle of the face, itself first.

    Parameters
    ----------
    head : (V, 3) array
        m
    candidates : (n,) int array
        Vertices of the face.
    marks : (68,) int array
        Vertices of the landmarks.
    """
    goal = head[marks[33]]  # below the nose: where all contours close in on
    paths = np.empty((len(JAW), PATH_POINTS), np.int64)
    places = head[candidates]
    for i in JAW:
        here = head[marks[i]]
        way = (goal - here)[:2] / np.linalg.norm((goal - here)[:2])
        paths[i] = marks[i]
        for step in range(1, PATH_POINTS):
            # the frontmost surface near a straight line in the front view
            target = here[:2] + way * step * _STEP_M
            off = np.linalg.norm(places[:, :2] - target, axis=1)
            paths[i, step] = candidates[int(np.argmin(off - 0.2 * places[:, 2]))]
    return paths


def slide(paths: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the contour landmarks are seen (T, 17, 3): on each path, the place farthest out in the picture.

    Frontal faces keep their landmarks; turned away, the far side's landmarks move onto the cheek.

    Parameters
    ----------
    paths : (T, 17, S, 3) array
        Paths of the head in each frame, before it is turned, m.
    rotation : (T, 3, 3) array
        Of the head.

    Returns
    -------
    (T, 17, 3) array
        In the head's axes, m.
    """
    share = np.linspace(0, 1, _FINE, endpoint=False)[:, None]
    parts = [paths[:, :, s, None] * (1 - share) + paths[:, :, s + 1, None] * share for s in range(paths.shape[2] - 1)]
    fine = np.concatenate([*parts, paths[:, :, -1:]], axis=2)
    # outward in the picture of a frontal head: from the middle of the paths' inner ends to the landmark
    outward = paths[:, :, 0, :2] - paths[:, :, -1, :2].mean(1, keepdims=True)
    outward /= np.linalg.norm(outward, axis=2, keepdims=True)
    seen = np.einsum("fab,fnsb->fnsa", rotation[:, :2], fine)
    frontal = fine[..., :2]
    # how much farther out than the landmark itself a place comes by turning; on frontal heads: none does
    gain = np.einsum("fnsa,fna->fns", seen - seen[:, :, :1], outward)
    gain -= np.maximum(np.einsum("fnsa,fna->fns", frontal - frontal[:, :, :1], outward), 0)
    gain -= gain.max(2, keepdims=True)
    weight = np.exp(gain / _SOFT_M)
    weight /= weight.sum(2, keepdims=True)
    return np.asarray(np.einsum("fns,fnsa->fna", weight, fine))
