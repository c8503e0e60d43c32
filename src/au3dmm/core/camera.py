"""Cameras: affine and scaled orthographic fits, the perspective correction, and the one flip of the y axis.

Image plane coordinates here are px relative to the principal point with y UP, like the mesh; `to_plane` and
`from_plane` are the only places where the image's downward y is turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera_kernels import cameras_of_frames, moment_weights, nearest_of_frames, poses_of_frames
from au3dmm.errors import FitError

CameraModel = Literal["scaled_orthographic", "affine"]


@dataclass(frozen=True)
class Pose:
    """Where the head is in each of T frames.

    A mesh point X (m) appears at ``(scale * (R X)_xy + translation) / (1 - (R X)_z * scale / focal)``, with a
    denominator of 1 where there is no focal length.

    Attributes
    ----------
    rotation : (T, 3, 3) array
        Mesh to camera axes (x right, y up, z towards the camera).
    scale : (T,) array
        px per metre at the depth of the mesh's origin.
    translation : (T, 2) array
        Image plane position of the mesh's origin, px, y up.
    """

    rotation: NDArray[np.float64]
    scale: NDArray[np.float64]
    translation: NDArray[np.float64]


def to_plane(points_px: NDArray[np.floating], principal_point: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn image points (..., 2), px with y down, into image plane points with y up.

    Examples
    --------
    >>> to_plane(np.array([10.0, 2.0]), np.array([4.0, 4.0]))
    array([6., 2.])
    """
    return np.asarray((points_px - principal_point) * np.array([1.0, -1.0]))


def from_plane(points: NDArray[np.floating], principal_point: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn image plane points (..., 2), y up, into image points, px with y down: the inverse of `to_plane`."""
    return np.asarray(points * np.array([1.0, -1.0]) + principal_point)


def principal_point(width: int, height: int) -> NDArray[np.float64]:
    """Return the centre of an image whose top-left pixel centre is (0, 0)."""
    return np.array([(width - 1) / 2, (height - 1) / 2])


def focal_from_field_of_view(width: int, degrees: float) -> float:
    """Return the focal length in px of a camera that sees `degrees` across `width` px."""
    return float(width / 2 / np.tan(np.radians(degrees) / 2))


def fit_affine(
    landmarks: NDArray[np.float64], shape: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit ``l_i - mean(l) = A (S_i - mean(S))`` by weighted least squares.

    With equal weights this is ``A = l pinv(L)`` on centred landmarks (FACEMORPHIC sec. 5.2; Ferrari et al.).

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane, px.
    shape : (L, 3) array
        Model landmarks, m.
    weights : (L,) array
        Non-negative weight of each landmark.

    Returns
    -------
    (T, 2, 3) array
        px per metre.

    Raises
    ------
    FitError
        If the model landmarks lie in a plane or line, or weights leave fewer than four of them.
    """
    return _fit_frames(landmarks, shape, weights, False, 0, 1.0).camera


def closest_scaled_orthographic(affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scaled orthographic camera nearest to an affine one (its polar factor), and its scale.

    With ``M = A A'``, ``d = sqrt(det M)``, ``q = sqrt(tr M + 2 d)``, ``H = (M + d I) / q``: ``s = q / 2`` and
    ``s H^-1 A`` has orthogonal rows of length s.

    Parameters
    ----------
    affine : (T, 2, 3) array
        px per metre.

    Returns
    -------
    camera : (T, 2, 3) array
        px per metre.
    scale : (T,) array
        px per metre.

    Raises
    ------
    FitError
        If a camera has collapsed to a line (all image landmarks equal or collinear).
    """
    camera = np.array(affine, np.float64)
    scale = np.empty(len(camera))
    _check(nearest_of_frames(camera, scale), len(camera))
    return camera, scale


def rotation_of(camera: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Complete scaled orthographic cameras (T, 2, 3) of `scale` (T,) to rotations (T, 3, 3)."""
    rows = camera / scale[:, None, None]
    return np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)


@dataclass(frozen=True)
class Cameras:
    """Cameras of T frames, and how their landmarks are freed of perspective.

    Attributes
    ----------
    camera : (T, 2, 3) array
        px per metre.
    tilt : (T, 3) array
        Third row of the rotation times scale / focal, 1 / m; zero without perspective.
    centre : (T, 2) array
        Weighted mean of the landmarks once perspective is removed, px.
    """

    camera: NDArray[np.float64]
    tilt: NDArray[np.float64]
    centre: NDArray[np.float64]


def fit_cameras(
    landmarks: NDArray[np.float64],
    shape: NDArray[np.float64],
    weights: NDArray[np.float64],
    model: CameraModel,
    perspective_passes: int,
    focal_px: float,
) -> Cameras:
    """Fit a camera per frame, correcting perspective `perspective_passes` times (docs/method.md, steps 2 and 3).

    Perspective is removed by moving landmarks to where a scaled orthographic camera would have seen them:
    ``l_i (1 - z_i s / f)`` with z_i the depth of landmark i, towards the camera, from the landmarks' weighted centre.
    Exact for a pinhole: with Z the centre's distance, ``l = f x / (Z - z)`` and ``s = f / Z``.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane, relative to the principal point, px.
    shape : (L, 3) array
        Model landmarks, m.
    weights : (L,) array
        Non-negative weight of each landmark.
    model : "scaled_orthographic" or "affine"
        Camera model.
    perspective_passes : int
        Corrections; 0 = none.
    focal_px : float
        Focal length, px.

    Raises
    ------
    FitError
        If the landmarks determine no camera.
    """
    return _fit_frames(landmarks, shape, weights, model == "scaled_orthographic", perspective_passes, focal_px)


def fit_camera(
    landmarks: NDArray[np.float64],
    shape: NDArray[np.float64],
    weights: NDArray[np.float64],
    model: CameraModel,
    perspective_passes: int,
    focal_px: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cameras (T, 2, 3) of `fit_cameras`, and the landmarks (T, L, 2) as they see them."""
    found = fit_cameras(landmarks, shape, weights, model, perspective_passes, focal_px)
    if not perspective_passes:
        return found.camera, landmarks
    depth = found.tilt @ (shape - weights @ shape / weights.sum()).T
    return found.camera, landmarks * (1 - depth)[..., None]


def _fit_frames(
    landmarks: NDArray[np.float64],
    shape: NDArray[np.float64],
    weights: NDArray[np.float64],
    scaled: bool,
    passes: int,
    focal_px: float,
) -> Cameras:
    n, n_landmarks = len(landmarks), len(shape)
    centred, factors, inverse = np.empty((n_landmarks, 3)), np.empty((2 * n_landmarks, 20)), np.empty((3, 3))
    if not moment_weights(np.ascontiguousarray(shape), weights / weights.sum(), centred, factors, inverse):
        raise FitError("camera: the model's landmarks lie in one plane (or too few have weight); cannot fit a pose")
    moments = landmarks.reshape(n, -1) @ factors
    found = Cameras(np.empty((n, 2, 3)), np.empty((n, 3)), np.empty((n, 2)))
    _check(
        cameras_of_frames(moments, inverse, scaled, passes, float(focal_px), found.camera, found.centre, found.tilt), n
    )
    return found


def _check(failed: int, n: int) -> None:
    if failed >= 0:
        raise FitError(f"camera: the image landmarks of frame {failed} of {n} lie on a line or a point")


def pose_of(
    camera: NDArray[np.float64],
    shift: NDArray[np.float64],
    centre: NDArray[np.float64],
    focal_px: float | None,
) -> Pose:
    """Turn cameras that see ``camera @ X + shift`` into poses whose depth is counted from the mesh's origin.

    Parameters
    ----------
    camera : (T, 2, 3) array
        px per metre; the nearest scaled orthographic one is taken.
    shift : (T, 2) array
        px.
    centre : (3,) array
        Point (m) from which the perspective correction counted depth.
    focal_px : float or None
        None where no perspective was corrected.
    """
    n = len(camera)
    pose = Pose(np.empty((n, 3, 3)), np.empty(n), np.empty((n, 2)))
    focal = 0.0 if focal_px is None else float(focal_px)
    _check(poses_of_frames(camera, shift, centre, focal, pose.rotation, pose.scale, pose.translation), n)
    return pose


def project(
    points: NDArray[np.floating], pose: Pose, focal_px: float | None, frame: int | slice = slice(None)
) -> NDArray[np.float64]:
    """Project mesh points with the poses of frames `frame`; see `Pose` for the equation.

    Parameters
    ----------
    points : (N, 3) or (T, N, 3) array
        m.
    pose : Pose
        Of T frames.
    focal_px : float or None
        Focal length, px; None for no perspective.
    frame : int or slice
        Which frames.

    Returns
    -------
    (N, 2) or (T, N, 2) array
        Image plane, px, y up.
    """
    rotation, scale, translation = pose.rotation[frame], pose.scale[frame], pose.translation[frame]
    seen = np.asarray(points, np.float64) @ np.swapaxes(rotation, -1, -2)
    plane = seen[..., :2] * scale[..., None, None] + translation[..., None, :]
    if focal_px is None:
        return np.asarray(plane)
    return np.asarray(plane / (1 - seen[..., 2:] * (scale / focal_px)[..., None, None]))
