"""Offsets of frames from their subjects' neutral heads: what an AU-3DMM is learnt from."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.errors import FitError


def frame_offsets(
    frames: NDArray[np.floating],
    rotation: NDArray[np.floating],
    translation: NDArray[np.floating],
    neutrals: NDArray[np.floating],
    which: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Return ``rotation x + translation - neutral`` for every vertex of every frame.

    Parameters
    ----------
    frames : (n, V, 3) array
        m
    rotation, translation : (n, 3, 3) and (n, 3) arrays
        The rigid motion that brings each frame onto its neutral, m.
    neutrals : (S, V, 3) array
        m
    which : (n,) int array
        Neutral of each frame.

    Returns
    -------
    (n, 3 V) float32 array
        m; x1 y1 z1 x2 ...

    Raises
    ------
    FitError
        If shapes disagree, or a frame names a neutral that does not exist.
    """
    n = len(frames)
    shapes_ok = frames.ndim == 3 and frames.shape[1:] == neutrals.shape[1:] and neutrals.shape[2:] == (3,)
    if not (shapes_ok and rotation.shape == (n, 3, 3) and translation.shape == (n, 3) and which.shape == (n,)):
        raise FitError(
            f"offsets: frames {frames.shape}, rotation {rotation.shape}, translation {translation.shape}, neutrals"
            f" {neutrals.shape} and {which.shape} of their numbers disagree"
        )
    if n and not 0 <= which.min() <= which.max() < len(neutrals):
        raise FitError(f"offsets: a frame names neutral {which.max()}, but there are {len(neutrals)}")
    out = np.empty((n, frames.shape[1] * 3), np.float32)
    _subtract(
        np.ascontiguousarray(frames, np.float32),
        rotation.astype(np.float64),
        translation.astype(np.float64),
        np.ascontiguousarray(neutrals, np.float32),
        which.astype(np.int64),
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _subtract(frames, rotation, translation, neutrals, which, out):  # type: ignore[no-untyped-def]
    for i in range(frames.shape[0]):
        neutral = neutrals[which[i]]
        r, t = rotation[i], translation[i]
        r00, r01, r02 = r[0, 0], r[0, 1], r[0, 2]
        r10, r11, r12 = r[1, 0], r[1, 1], r[1, 2]
        r20, r21, r22 = r[2, 0], r[2, 1], r[2, 2]
        for v in range(frames.shape[1]):
            x, y, z = frames[i, v, 0], frames[i, v, 1], frames[i, v, 2]
            out[i, 3 * v] = r00 * x + r01 * y + r02 * z + t[0] - neutral[v, 0]
            out[i, 3 * v + 1] = r10 * x + r11 * y + r12 * z + t[1] - neutral[v, 1]
            out[i, 3 * v + 2] = r20 * x + r21 * y + r22 * z + t[2] - neutral[v, 2]
