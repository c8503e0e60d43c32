"""The two-step fit: a subject's neutral face (identity), then action units on every frame, given that face.

Follows FACEMORPHIC sec. 5.2 (Ferrari et al.) in its form: a camera from the landmarks, then ridge regression of
what the camera does not explain on the components. Departures, each a parameter, are in docs/method.md and
docs/decisions.md; with an affine camera, ridge codes, no joint pose and no offsets it is the published method.

Step one is here, step two in `expression`, what both are told in `fit_terms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import fit_cameras
from au3dmm.core.expression import SOLVING, ExpressionFit, fit_alpha, fit_expression
from au3dmm.core.fit_terms import EYES, REFERENCE_EYE_PX, CameraSettings, implausible, landmark_weights, noise_px
from au3dmm.core.identity_kernels import eliminate_offsets, shape_equations
from au3dmm.core.ridge import solve_normal
from au3dmm.errors import FitError

__all__ = [
    "EYES",
    "REFERENCE_EYE_PX",
    "SOLVING",
    "CameraSettings",
    "ExpressionFit",
    "Neutral",
    "fit_alpha",
    "fit_expression",
    "fit_neutral",
    "implausible",
    "landmark_weights",
    "noise_px",
]


@dataclass(frozen=True)
class Neutral:
    """A subject's neutral face at the landmarks.

    Attributes
    ----------
    alpha_id, alpha_id_std : (K_id,) array
        Identity coefficients and their posterior standard deviations.
    offset : (L, 3) array
        Personal offset of each landmark from the identity model, m.
    shape : (L, 3) array
        ``T + alpha_id . C_id + offset`` at the landmarks, m.
    """

    alpha_id: NDArray[np.float64]
    alpha_id_std: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: NDArray[np.float64]


def fit_neutral(
    landmarks: NDArray[np.float64],
    template: NDArray[np.float64],
    components: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
    *,
    sigma_id_px: float,
    sigma_offset_m: float,
    alternations: int,
    eyes: tuple[int, int] = EYES,
) -> Neutral:
    """Estimate a neutral face from n frames: ``S_i = T_i + Phi_i b + d_i``, b ~ N(0, I), d_i ~ N(0, sigma_d^2 I).

    Step 4 of docs/method.md, in closed form given the cameras, alternated with them. The n frames together count as
    one observation (their annotation errors are the same errors). With one frame, an affine camera, no offset and
    one alternation it is step one of FACEMORPHIC sec. 5.2 with ``lambda = sigma_id^2``.

    Parameters
    ----------
    landmarks : (n, L, 2) array
        Frames taken as neutral; image plane relative to the principal point, px, y up.
    template : (L, 3) array
        Template at the landmarks, m.
    components : (K, L, 3) array
        Identity components at the landmarks, m per standard deviation.
    weights : (L,) array
        Landmark weights.
    settings : CameraSettings
        Camera.
    sigma_id_px : float
        Landmark noise of the mean neutral, px at 144 px between the outer eye corners.
    sigma_offset_m : float
        Standard deviation of the personal offsets, m; 0 leaves them out.
    alternations : int
        Times camera and shape are solved in turn.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Raises
    ------
    FitError
        If there is no frame, or the landmarks determine no camera.
    """
    if not len(landmarks):
        raise FitError("identity: no frame with landmarks; expected at least one")
    wn = weights / weights.sum()
    k = len(components)
    phi = components.transpose(1, 2, 0)
    # centred over the landmarks: the exact joint optimum over the image translation
    phi_c = np.ascontiguousarray(phi - (wn @ phi.reshape(len(wn), -1)).reshape(3, k))
    flat = phi_c.reshape(-1, k)
    base = template - wn @ template
    shape = template
    b, covariance, offset = np.zeros(k), np.eye(k), np.zeros_like(template)
    h, g, reduced = np.empty((3, 3)), np.empty_like(template), np.empty_like(template)
    kept, m = np.empty((len(wn), 3, 3)), np.empty((len(wn), 3, 3))
    for _ in range(alternations):
        seen = fit_cameras(landmarks, shape, weights, settings.model, settings.perspective_passes, settings.focal_px)
        precision = 1 / (len(landmarks) * noise_px(sigma_id_px, seen.camera, shape, eyes=eyes) ** 2)
        centred = shape - wn @ shape
        shape_equations(landmarks, centred, base, seen.camera, seen.tilt, seen.centre, precision, weights, h, g)
        if sigma_offset_m > 0:
            eliminate_offsets(h, g, weights, 1 / sigma_offset_m**2, kept, m, reduced)
        else:
            kept[:], m[:], reduced[:] = 0.0, weights[:, None, None] * h, g
        normal = flat.T @ (m @ phi_c).reshape(-1, k) + np.eye(k)
        b, covariance = solve_normal(normal, flat.T @ reduced.ravel())
        rest = g - weights[:, None] * ((phi_c @ b) @ h)
        offset = (kept @ rest[..., None])[..., 0]
        shape = template + phi @ b + offset
    return Neutral(b, np.sqrt(np.diag(covariance)), offset, shape)
