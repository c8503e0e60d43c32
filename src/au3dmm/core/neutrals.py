"""Neutral heads of a corpus: the one in the middle of several, how far each is from being neutral, and their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.registration import register, register_frames
from au3dmm.errors import FitError

SUSPECT_M = 1.5e-3
SUSPECT_RATIO = 3.0


@dataclass(frozen=True)
class Medoid:
    """The head in the middle of several.

    Attributes
    ----------
    index : int
        Which one.
    head : (V, 3) array
        As it stands in the corpus, m.
    distance : (n,) array
        Of each, registered, from it: rms over the vertices, m.
    """

    index: int
    head: NDArray[np.float64]
    distance: NDArray[np.float64]


def find_medoid(heads: NDArray[np.floating]) -> Medoid:
    """Find the head with the least sum of distances to the others, all registered to each other.

    Parameters
    ----------
    heads : (n, V, 3) array
        Candidates for one subject's neutral, m, in any pose.

    Raises
    ------
    FitError
        If there is none, or they cannot be registered.
    """
    if len(heads) == 0:
        raise FitError("neutral: no candidates; expected at least one head")
    points = np.asarray(heads, np.float64)
    rotation, translation = register_frames(points, points[0])
    still = np.matmul(points, rotation.transpose(0, 2, 1)) + translation[:, None]
    flat = still.reshape(len(still), -1) - still[0].ravel()
    square = (flat**2).sum(1)
    apart = np.sqrt(np.maximum(square[:, None] + square - 2 * flat @ flat.T, 0) / points.shape[1])
    index = int(np.argmin(apart.sum(1)))
    return Medoid(index, points[index], apart[index])


def suspects(distance: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which heads are too far away to be neutral: beyond 1.5 mm (rms), and beyond three times the median.

    Parameters
    ----------
    distance : (n,) array
        Of a subject's neutral from the nearest of its frames, or of candidates from their medoid, m.

    Examples
    --------
    >>> suspects(np.array([0.0002, 0.0003, 0.004]))
    array([False, False,  True])
    """
    # the median of the others: of two, one is not its own excuse
    others = [np.median(np.delete(distance, i)) if len(distance) > 1 else 0.0 for i in range(len(distance))]
    return np.asarray(np.asarray(distance) > np.maximum(SUSPECT_M, SUSPECT_RATIO * np.array(others)))


def register_neutrals(
    heads: NDArray[np.floating], reference: NDArray[np.floating], rounds: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Register neutral heads rigidly onto their own mean, which stays in the reference's frame.

    Generalised Procrustes analysis without scale (Gower 1975): size is part of an identity.

    Parameters
    ----------
    heads : (n, V, 3) array
        m
    reference : (V, 3) array
        A head in the frame wanted, m.
    rounds : int
        Times the mean is taken anew.

    Returns
    -------
    registered : (n, V, 3) array
        m
    rotation : (n, 3, 3) array
    translation : (n, 3) array
        What moved each head there, m.

    Raises
    ------
    FitError
        If the heads cannot be registered.
    """
    mean = np.asarray(reference, np.float64)
    moved = np.asarray(heads, np.float64)
    motions = []
    for _ in range(rounds):
        motions = [register(head, mean) for head in heads]
        moved = np.stack([motion.apply(head) for motion, head in zip(motions, heads, strict=True)])
        centre = moved.mean(0)
        mean = register(centre, reference).apply(centre)
    return moved, np.stack([m.rotation for m in motions]), np.stack([m.translation for m in motions])
