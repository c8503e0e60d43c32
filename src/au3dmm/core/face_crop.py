"""Squares around a face that moves, steady enough for a network to see the face change and not the square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, uniform_filter1d

from au3dmm.errors import FitError

MARGIN = 0.2
"""What is left on each side of the landmarks, as a share of the longer side of their box."""
RAISED = 0.1
"""How far the square is raised, as the same share: landmarks begin at the brows, faces at the hair."""
SMOOTHED_US = 1_000_000


def face_squares(
    landmarks_px: NDArray[np.floating], valid: NDArray[np.bool_], t_us: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the square around the face in each frame: its centre and its side.

    Its side is that of the box of the landmarks and `MARGIN` to either side. Centre and side are taken over a second:
    the running median, in which wrong landmarks of a few frames have no part, and then the running mean. Frames without
    a face have what lies between those before and after.

    Parameters
    ----------
    landmarks_px : (T, 68, 2) array
        Landmarks, px; anything where `valid` is False.
    valid : (T,) bool array
        Frames in which there is a face.
    t_us : (T,) int64 array
        Times, strictly increasing, us.

    Returns
    -------
    (T, 3) float64 array or None
        x, y of the centre and side, px; None if there is a face in no frame.

    Raises
    ------
    FitError
        If shapes disagree.
    """
    n = len(t_us)
    if landmarks_px.shape[:1] != (n,) or landmarks_px.shape[2:] != (2,) or valid.shape != (n,):
        raise FitError(f"face squares: landmarks {landmarks_px.shape}, times {t_us.shape}, valid {valid.shape}")
    if not valid.any():
        return None
    points = landmarks_px[valid].astype(np.float64)
    least, most = points.min(1), points.max(1)
    longer = (most - least).max(1)
    centre = (least + most) / 2
    found = np.c_[centre[:, 0], centre[:, 1] - RAISED * longer, (1 + 2 * MARGIN) * longer]
    t = (t_us - t_us[0]) * 1e-6
    whole = np.stack([np.interp(t, t[valid], column) for column in found.T], 1)
    step = float(np.median(np.diff(t_us))) if n > 1 else SMOOTHED_US
    window = 2 * int(SMOOTHED_US / step / 2) + 1
    if window > 1:
        whole = median_filter(whole, (window, 1), mode="nearest")
        whole = uniform_filter1d(whole, window, axis=0, mode="nearest")
    return whole


def square_box(square: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Return the whole pixels of a square as ``(y0, y1, x0, x1)``; they may lie beyond the image.

    Examples
    --------
    >>> square_box(np.array([50.0, 30.0, 20.0]))
    (20, 40, 40, 60)
    """
    side = max(round(float(square[2])), 1)
    # pixel i reaches from i - 1/2 to i + 1/2
    x0, y0 = (round(float(c) + 0.5 - side / 2) for c in square[:2])
    return y0, y0 + side, x0, x0 + side
