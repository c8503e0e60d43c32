"""How far two detectors are apart on one face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import JAW, N_LANDMARKS, eye_distance

INNER = np.arange(len(JAW), N_LANDMARKS)
"""Brows, nose, eyes and mouth: where detectors mean the same points. They draw the jaw on different lines."""


def disagreement_iod(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return the mean distance of the 51 inner landmarks, as a share of the outer eye distance of `a`.

    Parameters
    ----------
    a, b : (68, 2 or 3) arrays
        Landmarks of one face, px; z is not used.

    Examples
    --------
    >>> a = np.random.default_rng(0).uniform(0, 100, (68, 2))
    >>> a[[36, 45]] = [[0.0, 0.0], [100.0, 0.0]]
    >>> round(disagreement_iod(a, a + [3.0, 4.0]), 6)
    0.05
    """
    across = float(eye_distance(np.asarray(a[:, :2], np.float64)))
    apart = np.linalg.norm(np.asarray(a[INNER, :2], np.float64) - np.asarray(b[INNER, :2], np.float64), axis=1)
    return float(apart.mean()) / max(across, 1e-6)
