"""What both steps of the fit are told: camera model, weights and noise of landmarks, and which frames show no face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import CameraModel, fit_affine
from au3dmm.core.landmarks import JAW, LEFT_OUTER_EYE, N_LANDMARKS, RIGHT_OUTER_EYE

REFERENCE_EYE_PX = 144.0
"""The size of face, outer eye corner to outer eye corner, at which noise levels in px are stated."""

EYES = (RIGHT_OUTER_EYE, LEFT_OUTER_EYE)
"""Which two of the landmarks are the outer eye corners, in the iBUG order."""

# frames at a time, so that what is made of them stays in the processor's cache
_BLOCK = 256


@dataclass(frozen=True)
class CameraSettings:
    """How the camera of a frame is found.

    Attributes
    ----------
    model : "scaled_orthographic" or "affine"
        Camera model.
    perspective_passes : int
        Corrections for perspective; 0 = none.
    focal_px : float
        Focal length, px; used if perspective is corrected.
    """

    model: CameraModel
    perspective_passes: int
    focal_px: float

    @property
    def focal(self) -> float | None:
        """Focal length for projecting, px; None without perspective."""
        return self.focal_px if self.perspective_passes else None


def landmark_weights(jaw_weight: float) -> NDArray[np.float64]:
    """Return a weight per landmark (68,): `jaw_weight` on the contour, which slides with yaw, 1 elsewhere."""
    weights = np.ones(N_LANDMARKS)
    weights[JAW] = jaw_weight
    return weights


def squared_scale(camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``|A|_F^2 / 2`` of cameras (T, 2, 3): the squared scale, if they are scaled orthographic."""
    return np.asarray(np.einsum("fij,fij->f", camera, camera) / 2)


def noise_px(
    sigma_px: float, camera: NDArray[np.float64], shape: NDArray[np.float64], *, eyes: tuple[int, int] = EYES
) -> NDArray[np.float64]:
    """Scale a noise level stated at `REFERENCE_EYE_PX` to the size of the face in each frame.

    With ``s^2 = |A|_F^2 / 2`` the face's eye corners are ``s * eye distance`` px apart. A penalty that did not grow
    with s^2 would mean something else for a face twice as large.

    Parameters
    ----------
    sigma_px : float
        Noise, px, at 144 px between the outer eye corners.
    camera : (T, 2, 3) array
        px per metre.
    shape : (L, 3) array
        Neutral landmarks, m.
    eyes : (int, int)
        Which landmarks are the outer eye corners.
    """
    return np.asarray(sigma_px * np.sqrt(squared_scale(camera)) * _between(shape, eyes) / REFERENCE_EYE_PX)


def implausible(
    landmarks: NDArray[np.float64],
    template: NDArray[np.float64],
    max_rmse_iod: float,
    *,
    eyes: tuple[int, int] = EYES,
) -> NDArray[np.bool_]:
    """Say which frames have landmarks that are not those of any face.

    That is: on a line or a point, or farther than `max_rmse_iod` from every affine image of the template. Looked for
    before smoothing, which would spread such a frame over its neighbours.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane, px; frames with NaN are not judged.
    template : (L, 3) array
        m.
    max_rmse_iod : float
        RMS distance as a share of the distance between the outer eye corners.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Returns
    -------
    (T,) bool array
    """
    n = landmarks.shape[1]
    finite = np.asarray(np.isfinite(landmarks).all((1, 2)))
    judged = np.zeros(len(landmarks), bool)
    rows = np.flatnonzero(finite)
    centred = template - template.mean(0)
    spread = centred.T @ centred
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        seen = landmarks[part]
        seen = seen - seen.mean(1, keepdims=True)
        m = seen.swapaxes(1, 2) @ seen
        total = m[:, 0, 0] + m[:, 1, 1]
        flat = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] ** 2 <= 1e-4 * total**2
        affine = fit_affine(seen, template, np.ones(n))
        # what the affine image does not explain: the residual is orthogonal to it
        rest = total - ((affine @ spread) * affine).sum((1, 2))
        judged[part] = flat | (rest > n * (max_rmse_iod * _between(seen, eyes)) ** 2)
    return judged


def _between(points: NDArray[np.float64], eyes: tuple[int, int]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[..., eyes[1], :] - points[..., eyes[0], :], axis=-1))
