"""What the code released with FACEMORPHIC computes, for comparing with it; labels are never made like this.

It differs from the published method, and so from the preset ``paper``, in one step: the image translation is added to
the projection of every component, too. So coefficients depend on where the image's origin is (docs/method.md, step 5).
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from au3dmm.simulation.estimate import Estimate
from au3dmm.simulation.recordings import Recordings
from au3dmm.simulation.training import LearntBasis

LAMBDA_PX2 = 100.0
"""What its batch script uses, for identity and for action units."""
_MEAN_OF_CODES = 0.22  # of a dictionary's codes, whose rms is 1: the released weights are means of codes
_FLAME_VERTICES = 5023
_CENTRE_PX = (320.0, 240.0)


def released_alpha(
    landmarks: NDArray[np.float64],
    shape: NDArray[np.float64],
    components: NDArray[np.float64],
    penalty: NDArray[np.float64],
    *,
    leak: bool = True,
) -> NDArray[np.float64]:
    """Fit each frame by itself: an affine camera, then ``(Y'Y + diag(penalty)) alpha = Y'x`` on the rest x.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        px from the image's corner.
    shape : (L, 3) array
        What is deformed, m.
    components : (K, L, 3) array
        m per unit of alpha.
    penalty : (K,) array
        px^2 per unit of alpha, squared.
    leak : bool
        Whether Y_k is ``A C_k + t``, as released, or ``A C_k``, centred, as the equation means.

    Returns
    -------
    (T, K) array
    """
    middle = shape.mean(0)
    inverse = np.linalg.pinv(shape - middle)
    alpha = np.empty((len(landmarks), len(components)))
    for row, seen in enumerate(landmarks):
        camera = (inverse @ (seen - seen.mean(0))).T
        shift = seen.mean(0) - camera @ middle
        rest = (seen - shape @ camera.T - shift).ravel()
        projected = components @ camera.T
        projected = projected + shift if leak else projected - projected.mean(1, keepdims=True)
        columns = projected.reshape(len(components), -1)
        alpha[row] = np.linalg.solve(columns @ columns.T + np.diag(penalty), columns @ rest)
    return alpha


def estimate_as_released(recordings: Recordings, basis: LearntBasis, *, leak: bool = True) -> Estimate:
    """Fit simulated recordings so: identity from each clip's first frame, then every frame.

    Its penalties are 100 px^2 over the weight of a component: for identity the variance, which makes it 100 px^2 for
    coefficients in standard deviations; for action units the mean code of atoms that have norm 1 on FLAME's 5023
    vertices. alpha_std is not known, and 1.
    """
    s, c, t, n = recordings.landmarks.shape[:4]
    identity, units = basis.components_id[:, :n], basis.components_au[:, :n]
    size = np.linalg.norm(basis.components_au.reshape(len(units), -1), axis=1)
    size *= np.sqrt(_FLAME_VERTICES / basis.components_au.shape[1])
    penalty_id, penalty_au = np.full(len(identity), LAMBDA_PX2), LAMBDA_PX2 * size / _MEAN_OF_CODES
    alpha = np.empty((s, c, t, len(units)), np.float32)
    began = time.process_time()
    for person in range(s):
        for clip in range(c):
            seen = recordings.landmarks[person, clip].astype(np.float64) * [1, -1] + _CENTRE_PX
            alpha_id = released_alpha(seen[:1], basis.template[:n], identity, penalty_id, leak=leak)[0]
            shape = basis.template[:n] + np.tensordot(alpha_id, identity, 1)
            alpha[person, clip] = released_alpha(seen, shape, units, penalty_au, leak=leak)
    seconds = time.process_time() - began
    turned = np.broadcast_to(np.eye(3, dtype=np.float32), (s, c, t, 3, 3))
    first = [[np.array([t * clip]) for clip in range(c)] for _ in range(s)]
    return Estimate(alpha, np.ones_like(alpha), turned, tuple(first), seconds)
