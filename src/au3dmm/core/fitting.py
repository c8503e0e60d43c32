"""The two-step fit: a subject's neutral face (identity), then action units on every frame, given that face.

Follows FACEMORPHIC sec. 5.2 (Ferrari et al.) in its form: a camera from the landmarks, then ridge regression of
what the camera does not explain on the components. Departures, each a parameter, are in docs/method.md and
docs/decisions.md; with an affine camera, ridge codes, no joint pose and no offsets it is the published method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import deform
from au3dmm.core.camera import CameraModel, Pose, fit_affine, fit_camera, pose_of, project
from au3dmm.core.codes import solve_codes
from au3dmm.core.landmarks import JAW, N_LANDMARKS, eye_distance
from au3dmm.core.ridge import solve_normal
from au3dmm.errors import FitError

REFERENCE_EYE_PX = 144.0
"""The size of face, outer eye corner to outer eye corner, at which noise levels in px are stated."""

# Small pose changes solved together with alpha: 5 % of scale and 0.1 rad per unit, with a weak prior
_POSE_SCALE, _POSE_ANGLE, _POSE_PRIOR = 0.05, 0.1, 0.01
_CROSS = np.array(
    [
        [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
    ],
    np.float64,
)


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


@dataclass(frozen=True)
class Neutral:
    """A subject's neutral face at the landmarks.

    Attributes
    ----------
    alpha_id, alpha_id_std : (K_id,) array
        Identity coefficients and their posterior standard deviations.
    offset : (68, 3) array
        Personal offset of each landmark from the identity model, m.
    shape : (68, 3) array
        ``T + alpha_id . C_id + offset`` at the landmarks, m.
    """

    alpha_id: NDArray[np.float64]
    alpha_id_std: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: NDArray[np.float64]


@dataclass(frozen=True)
class ExpressionFit:
    """Action units and pose of T frames.

    Attributes
    ----------
    alpha, alpha_std : (T, K) array
        Coefficients and their posterior standard deviations.
    dof : (T,) array
        Effective degrees of freedom.
    pose : Pose
        Rotation, scale and translation.
    camera : (T, 2, 4) array
        Affine camera ``[A | t]``, image plane px, y up, after perspective is removed.
    fitted : (T, 68, 2) array
        Fitted landmarks, image plane px, y up.
    """

    alpha: NDArray[np.float64]
    alpha_std: NDArray[np.float64]
    dof: NDArray[np.float64]
    pose: Pose
    camera: NDArray[np.float64]
    fitted: NDArray[np.float64]


def landmark_weights(jaw_weight: float) -> NDArray[np.float64]:
    """Return a weight per landmark (68,): `jaw_weight` on the contour, which slides with yaw, 1 elsewhere."""
    weights = np.ones(N_LANDMARKS)
    weights[JAW] = jaw_weight
    return weights


def noise_px(sigma_px: float, camera: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a noise level stated at `REFERENCE_EYE_PX` to the size of the face in each frame.

    With ``s^2 = |A|_F^2 / 2`` the face's eye corners are ``s * eye distance`` px apart. A penalty that did not grow
    with s^2 would mean something else for a face twice as large.

    Parameters
    ----------
    sigma_px : float
        Noise, px, at 144 px between the outer eye corners.
    camera : (T, 2, 3) array
        px per metre.
    shape : (68, 3) array
        Neutral landmarks, m.
    """
    scale = np.sqrt((camera**2).sum((1, 2)) / 2)
    return np.asarray(sigma_px * scale * eye_distance(shape) / REFERENCE_EYE_PX)


def implausible(
    landmarks: NDArray[np.float64], template: NDArray[np.float64], max_rmse_iod: float
) -> NDArray[np.bool_]:
    """Say which frames have landmarks that are not those of any face.

    That is: on a line or a point, or farther than `max_rmse_iod` from every affine image of the template. Looked for
    before smoothing, which would spread such a frame over its neighbours.

    Parameters
    ----------
    landmarks : (T, 68, 2) array
        Image plane, px; frames with NaN are not judged.
    template : (68, 3) array
        m.
    max_rmse_iod : float
        RMS distance as a share of the distance between the outer eye corners.

    Returns
    -------
    (T,) bool array
    """
    finite = np.asarray(np.isfinite(landmarks).all((1, 2)))
    seen = np.where(finite[:, None, None], landmarks, 0.0)
    seen = seen - seen.mean(1, keepdims=True)
    m = np.einsum("fli,flj->fij", seen, seen)
    flat = m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] ** 2 <= 1e-4 * (m[:, 0, 0] + m[:, 1, 1]) ** 2
    residual = seen - (template - template.mean(0)) @ fit_affine(seen, template, np.ones(N_LANDMARKS)).swapaxes(1, 2)
    rmse = np.sqrt((residual**2).sum(2).mean(1))
    return np.asarray(finite & (flat | (rmse > max_rmse_iod * eye_distance(seen))))


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
) -> Neutral:
    """Estimate a neutral face from n frames: ``S_i = T_i + Phi_i b + d_i``, b ~ N(0, I), d_i ~ N(0, sigma_d^2 I).

    Step 4 of docs/method.md, in closed form given the cameras, alternated with them. The n frames together count as
    one observation (their annotation errors are the same errors). With one frame, an affine camera, no offset and
    one alternation it is step one of FACEMORPHIC sec. 5.2 with ``lambda = sigma_id^2``.

    Parameters
    ----------
    landmarks : (n, 68, 2) array
        Frames taken as neutral; image plane relative to the principal point, px, y up.
    template : (68, 3) array
        Template at the landmarks, m.
    components : (K, 68, 3) array
        Identity components at the landmarks, m per standard deviation.
    weights : (68,) array
        Landmark weights.
    settings : CameraSettings
        Camera.
    sigma_id_px : float
        Landmark noise of the mean neutral, px at 144 px between the outer eye corners.
    sigma_offset_m : float
        Standard deviation of the personal offsets, m; 0 leaves them out.
    alternations : int
        Times camera and shape are solved in turn.

    Raises
    ------
    FitError
        If there is no frame, or the landmarks determine no camera.
    """
    if not len(landmarks):
        raise FitError("identity: no frame with landmarks; expected at least one")
    wn = weights / weights.sum()
    phi = components.transpose(1, 2, 0)
    # centred over the landmarks: the exact joint optimum over the image translation
    phi_c = phi - np.einsum("l,lak->ak", wn, phi)
    base = template - wn @ template
    shape = template
    k = len(components)
    b, cov, offset = np.zeros(k), np.eye(k), np.zeros_like(template)
    for _ in range(alternations):
        camera, seen = fit_camera(
            landmarks, shape, weights, settings.model, settings.perspective_passes, settings.focal_px
        )
        precision = 1 / (len(camera) * noise_px(sigma_id_px, camera, shape) ** 2)
        residual = seen - (wn @ seen)[:, None] - base @ camera.swapaxes(1, 2)
        h = weights[:, None, None] * np.einsum("f,fia,fib->ab", precision, camera, camera)
        g = weights[:, None] * np.einsum("f,fli,fia->la", precision, residual, camera)
        if sigma_offset_m > 0:
            d = np.linalg.inv(h + np.eye(3) / sigma_offset_m**2)
            hd = h @ d
            m, gm = h - hd @ h, g - np.einsum("lab,lb->la", hd, g)
        else:
            d, m, gm = np.zeros_like(h), h, g
        normal = np.einsum("lak,lab,lbm->km", phi_c, m, phi_c, optimize=True) + np.eye(k)
        b, cov = solve_normal(normal, np.einsum("lak,la->k", phi_c, gm))
        offset = np.einsum("lab,lb->la", d, g - np.einsum("lab,lb->la", h, phi_c @ b))
        shape = template + phi @ b + offset
    return Neutral(b, np.sqrt(np.diag(cov)), offset, shape)


def fit_expression(
    landmarks: NDArray[np.float64],
    neutral: NDArray[np.float64],
    components: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
    *,
    sigma_px: float,
    joint_pose: bool,
    nonnegative: bool,
    l1: float,
    camera: NDArray[np.float64] | None = None,
) -> ExpressionFit:
    """Fit action units to every frame, given the subject's neutral face.

    Minimises ``|l - (A S + t) - A C alpha|_W^2 + sigma^2 |alpha|^2`` over alpha and t (FACEMORPHIC sec. 5.2, eq. 2,
    whose printed form is dimensionally wrong), where the components are centred over the landmarks, which is the
    exact joint optimum over t; sigma grows with the size of the face. With `joint_pose`, small changes of scale and
    rotation are solved together with alpha; with `nonnegative`, alpha >= 0 and ``2 l1 sigma^2 sum(alpha)`` is added.
    The normal matrix is mixed from six precomputed Gram matrices by the six entries of A'A.

    Parameters
    ----------
    landmarks : (T, 68, 2) array
        Image plane relative to the principal point, px, y up.
    neutral : (68, 3) array
        Neutral landmarks, m.
    components : (K, 68, 3) array
        AU components at the landmarks, m per standard deviation.
    weights : (68,) array
        Landmark weights.
    settings : CameraSettings
        Camera.
    sigma_px : float
        Landmark noise, px at 144 px between the outer eye corners.
    joint_pose, nonnegative : bool
        See above.
    l1 : float
        Rate of the exponential prior; used if `nonnegative`.
    camera : (T, 2, 3) array, optional
        Known cameras, px per metre; then none is fitted and no perspective is removed.

    Raises
    ------
    FitError
        If the landmarks of a frame determine no camera or no alpha.
    """
    wn = weights / weights.sum()
    if camera is None:
        camera, seen = fit_camera(
            landmarks, neutral, weights, settings.model, settings.perspective_passes, settings.focal_px
        )
        focal = settings.focal
    else:
        seen, focal = landmarks, None
    centred = neutral - wn @ neutral
    columns = components.transpose(1, 2, 0)
    n_pose = 0
    if joint_pose:
        turns = [_POSE_ANGLE * centred @ cross.T for cross in _CROSS]
        columns = np.concatenate([np.stack([_POSE_SCALE * centred, *turns], axis=-1), columns], axis=-1)
        n_pose = 4
    columns = columns - np.einsum("l,lak->ak", wn, columns)
    prior = np.ones(columns.shape[-1])
    prior[:n_pose] = _POSE_PRIOR
    residual = seen - (wn @ seen)[:, None] - centred @ camera.swapaxes(1, 2)
    right = (residual @ camera).reshape(len(camera), -1) @ (weights[:, None, None] * columns).reshape(
        -1, columns.shape[-1]
    )
    codes = solve_codes(
        _gram(columns, weights),
        _mix(camera),
        right,
        prior,
        noise_px(sigma_px, camera, neutral) ** 2,
        n_pose,
        nonnegative,
        l1,
    )
    moved = camera
    if joint_pose:
        change = np.eye(3) + codes.pose[:, :1, None] * _POSE_SCALE * np.eye(3)
        change = change + np.einsum("fi,iab->fab", codes.pose[:, 1:] * _POSE_ANGLE, _CROSS)
        moved = camera @ change
    shape = deform(neutral, components, codes.alpha)
    shift = wn @ seen - np.einsum("fia,fa->fi", moved, wn @ shape)
    pose = pose_of(moved, shift, wn @ neutral, focal)
    if settings.model == "scaled_orthographic":
        fitted = project(shape, pose, focal)
    else:
        fitted = shape @ moved.swapaxes(1, 2) + shift[:, None]
    return ExpressionFit(
        codes.alpha, codes.std, codes.dof, pose, np.concatenate([moved, shift[:, :, None]], axis=2), fitted
    )


def _gram(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = (columns[:, axis] for axis in range(3))
    w = weights[:, None]
    pairs = [(x, x), (y, y), (z, z), (x, y), (x, z), (y, z)]
    grams = [a.T @ (w * b) for a, b in pairs]
    return np.stack([g if i < 3 else g + g.T for i, g in enumerate(grams)])


def _mix(camera: NDArray[np.float64]) -> NDArray[np.float64]:
    m = camera.swapaxes(1, 2) @ camera
    return np.stack([m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], m[:, 0, 1], m[:, 0, 2], m[:, 1, 2]], axis=1)
