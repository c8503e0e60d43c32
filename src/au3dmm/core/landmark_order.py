"""Tell whether 68 points on a head are the 68 of iBUG, in order, on a head that stands upright and looks along z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import GROUPS, JAW, MIRROR, N_LANDMARKS, eye_distance
from au3dmm.errors import SchemaError

_APART = 0.2  # of the outer eye distance: eyes over mouth, nose tip before ears; on heads 0.6 and 1.0 at least
_MIRRORED = np.where(np.arange(N_LANDMARKS) < len(JAW), 0.3, 0.15)
"""How far points may miss their partners' mirror images, in outer eye distances; FLAME's annotation reaches 0.03."""
_BACKWARDS = (55, 56, 65)  # the lower lips run from the left to the right
_RIGHT = np.array([MIRROR[i] if i in _BACKWARDS else i for i in np.flatnonzero(np.arange(N_LANDMARKS) < MIRROR)])
_UPPER_LIDS, _LOWER_LIDS = (37, 38, 43, 44), (40, 41, 46, 47)
_UPPER_LIP, _LOWER_LIP = (50, 51, 52), (56, 57, 58)
# pairs of neighbours from the upper to the lower, by name and points
_DOWNWARDS = (
    ("brows (17-26)", (*GROUPS["right_brow"], *GROUPS["left_brow"]), "eyes (36-47)", (*range(36, 48),)),
    ("upper lids", _UPPER_LIDS, "lower lids", _LOWER_LIDS),
    ("bridge of the nose (27)", (27,), "nostrils (31-35)", (*range(31, 36),)),
    ("nostrils (31-35)", (*range(31, 36),), "upper lip", _UPPER_LIP),
    ("upper lip", _UPPER_LIP, "lower lip", _LOWER_LIP),
    ("lower lip", _LOWER_LIP, "chin (8)", (8,)),
    ("ends of the jaw (0, 16)", (0, 16), "jaw (4, 12)", (4, 12)),
    ("jaw (4, 12)", (4, 12), "chin (8)", (8,)),
)


def check_landmarks68(positions: NDArray[np.floating]) -> None:
    """Refuse points that are not the 68 of iBUG in order, on a head with y up and z out of the face.

    Parameters
    ----------
    positions : (68, 3) array
        Landmarks read off a neutral head; any unit, any origin.

    Raises
    ------
    SchemaError
        Saying what is wrong: lying down, looking backwards, left for right, another order, or lopsided.
    """
    if positions.shape != (N_LANDMARKS, 3) or not np.isfinite(positions).all():
        raise SchemaError(f"landmarks {positions.shape}, expected ({N_LANDMARKS}, 3) numbers")
    eyes = float(eye_distance(positions))
    if not eyes > 0:
        raise SchemaError("landmarks: the outer eye corners (36, 45) are one point; expected iBUG order")
    p = (positions - positions.mean(0)) / eyes
    height = p[36:48].mean(0) - p[48:68].mean(0)
    depth = p[30] - p[[0, 16]].mean(0)
    if height[1] < _APART:
        raise SchemaError(
            f"landmarks: eyes (36-47) lie {_vector(height)} outer eye distances from the mouth (48-67), expected them"
            " above it: another order of points, or a head without y up"
        )
    if depth[2] < _APART:
        raise SchemaError(
            f"landmarks: the nose tip (30) lies {_vector(depth)} outer eye distances from the ends of the jaw (0, 16),"
            " expected before them: another order of points, or a head that does not look along z"
        )
    wrong = _RIGHT[p[_RIGHT, 0] >= p[MIRROR[_RIGHT], 0]]
    if len(wrong) == len(_RIGHT):
        raise SchemaError(
            "landmarks: left and right are exchanged: point 36 lies at larger x than 45, expected the subject's right"
            " (0-7, 17-21, 36-41) at smaller x; the points are in mirrored order, or the mesh is a mirror image"
        )
    if len(wrong):
        raise SchemaError(
            f"landmarks: point {wrong[0]} does not lie at smaller x than its mirror partner {MIRROR[wrong[0]]}, nor do"
            f" {len(wrong) - 1} others of the subject's right; expected iBUG order"
        )
    for upper, above, lower, below in _DOWNWARDS:
        if not p[list(above), 1].mean() > p[list(below), 1].mean():
            raise SchemaError(f"landmarks: {upper} lie below {lower}; expected iBUG order")
    _check_symmetry(p)


def _check_symmetry(p: NDArray[np.float64]) -> None:
    centred = p - [(p[:, 0] + p[MIRROR, 0]).mean() / 2, 0, 0]
    off = np.linalg.norm(centred - centred[MIRROR] * [-1, 1, 1], axis=1)
    worst = int((off / _MIRRORED).argmax())
    if not off[worst] < _MIRRORED[worst]:
        raise SchemaError(
            f"landmarks: point {worst} misses the mirror image of its partner {MIRROR[worst]} by {off[worst]:.2f} outer"
            f" eye distances, expected below {_MIRRORED[worst]}: another order of points, or a turned head"
        )


def _vector(v: NDArray[np.floating]) -> str:
    return f"({', '.join(f'{x:.2f}' for x in v)})"
