"""Step two of the fit: action units and pose on every frame, given the subject's neutral face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import Pose, pose_of
from au3dmm.core.expression_equations import BLOCK, POSE_ANGLE, POSE_SCALE, Problem, Rates
from au3dmm.core.expression_kernels import move_cameras, see
from au3dmm.core.fit_terms import EYES, CameraSettings, noise_px
from au3dmm.core.outliers import draw_outliers

_ROBUST_PASSES = 2
SOLVING = frozenset({"joint_pose", "l1", "reweight", "l1_by_size", "robust", "shrink", "ridge"})
"""What `fit_expression` is told beside landmarks, camera, noise and the sign of codes; parameters have these names."""


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
    fitted : (T, L, 2) array
        Fitted landmarks, image plane px, y up.
    """

    alpha: NDArray[np.float64]
    alpha_std: NDArray[np.float64]
    dof: NDArray[np.float64]
    pose: Pose
    camera: NDArray[np.float64]
    fitted: NDArray[np.float64]


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
    reweight: float = 0.0,
    l1_by_size: float = 0.0,
    robust: float = 0.0,
    shrink: float = 0.0,
    ridge: float = 1.0,
    camera: NDArray[np.float64] | None = None,
    eyes: tuple[int, int] = EYES,
    spread: bool = True,
) -> ExpressionFit:
    """Fit action units to every frame, given the subject's neutral face.

    Minimises ``|l - (A S + t) - A C alpha|_W^2 + ridge sigma^2 |alpha|^2`` over alpha and t (FACEMORPHIC sec. 5.2, eq.
    2, whose printed form is dimensionally wrong), where the components are centred over the landmarks, which is the
    exact joint optimum over t; sigma grows with the size of the face. With `joint_pose`, small changes of scale and
    rotation are solved together with alpha; with `nonnegative`, alpha >= 0 and ``2 l1 sigma^2 sum(alpha)`` is added.
    The normal matrix is mixed from six precomputed Gram matrices by the six entries of A'A.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane relative to the principal point, px, y up.
    neutral : (L, 3) array
        Neutral landmarks, m.
    components : (K, L, 3) array
        AU components at the landmarks, m per standard deviation.
    weights : (L,) array
        Landmark weights.
    settings : CameraSettings
        Camera.
    sigma_px : float
        Landmark noise, px at 144 px between the outer eye corners.
    joint_pose, nonnegative : bool
        See above.
    l1 : float
        Rate of the exponential prior; used if `nonnegative`.
    reweight : float
        If not 0, the rate is ``reweight / (alpha + 0.25)`` in a second solve; see `solve_codes`.
    l1_by_size : float
        p: rates count ``alpha_k (c_k / c)^p`` instead of alpha_k, where c_k is the weighted rms displacement of the
        landmarks by component k and c the median of those; used if `nonnegative`.
    robust : float
        If not 0: landmarks whose residual is more than so many noise deviations count for less, in up to two more fits
        of the frames that have such; see `outliers.draw_outliers`. `alpha_std` and `dof` remain those of the first.
    shrink : float
        If not 0: alpha is multiplied by ``max(0, 1 - shrink sigma^2 / (s^2 |C alpha|^2_W))``, with s the scale in px
        per m (James & Stein's positive part): a displacement that noise could make becomes none.
    ridge : float
        Precision of the Gaussian prior of alpha: 1 where alpha is taken to be N(0, 1).
    camera : (T, 2, 3) array, optional
        Known cameras, px per metre; then none is fitted and no perspective is removed.
    eyes : (int, int)
        Which landmarks are the outer eye corners.
    spread : bool
        Whether `alpha_std` and `dof` are wanted: NaN otherwise, in less time.

    Raises
    ------
    FitError
        If the landmarks of a frame determine no camera or no alpha.
    """
    problem = Problem.of(neutral, components, weights, joint_pose, ridge, l1_by_size if nonnegative else 0.0)
    rates = Rates(sigma_px, nonnegative, l1, reweight, shrink, eyes)
    fit = fit_once(problem, landmarks, settings, camera, rates, spread=spread)
    rows = np.arange(len(landmarks))
    for _ in range(_ROBUST_PASSES if robust > 0 else 0):
        sigma = noise_px(sigma_px, fit.camera[:, :, :3], neutral, eyes=eyes)
        rows, drawn = draw_outliers(landmarks, fit.fitted, weights, sigma, robust, rows)
        if not len(rows):
            break
        known = None if camera is None else camera[rows]
        again = fit_once(problem, drawn, settings, known, rates, spread=False)
        fit.alpha[rows], fit.camera[rows], fit.fitted[rows] = again.alpha, again.camera, again.fitted
        for old, new in zip(_parts(fit.pose), _parts(again.pose), strict=True):
            old[rows] = new
    return fit


def _parts(pose: Pose) -> tuple[NDArray[np.float64], ...]:
    return pose.rotation, pose.scale, pose.translation


def fit_once(
    problem: Problem,
    landmarks: NDArray[np.float64],
    settings: CameraSettings,
    camera: NDArray[np.float64] | None,
    rates: Rates,
    *,
    spread: bool,
) -> ExpressionFit:
    """Fit every frame of a prepared problem, as `fit_expression` does, once and with all landmarks."""
    seen, codes = problem.solve(landmarks, settings, camera, rates, spread=spread)
    components, weights = problem.components, problem.weights
    n, joint_pose = len(landmarks), problem.n_pose > 0
    moved = seen.camera
    if joint_pose:
        moved = np.empty_like(moved)
        move_cameras(seen.camera, codes.pose, POSE_SCALE, POSE_ANGLE, moved)
    focal = settings.focal if camera is None else None
    # the last three numbers of a shape are its weighted mean
    base = np.append(problem.neutral.T.ravel(), problem.middle)
    flat = np.concatenate([components.transpose(0, 2, 1).reshape(len(components), -1), problem.middles], axis=1)
    shift = np.empty((n, 2))
    pose = Pose(np.empty((n, 3, 3)), np.empty(n), np.empty((n, 2)))
    fitted = np.empty((n, len(weights), 2))
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        shape = codes.alpha[part] @ flat + base
        shift[part] = seen.centre[part] - (moved[part] @ shape[:, -3:, None])[..., 0]
        now = pose_of(moved[part], shift[part], problem.middle, focal)
        pose.rotation[part], pose.scale[part], pose.translation[part] = now.rotation, now.scale, now.translation
        if settings.model == "scaled_orthographic":
            rows = now.scale[:, None, None] * now.rotation
            see(shape, rows, now.translation, rows[:, 2] * (0.0 if focal is None else 1 / focal), fitted[part])
        else:
            see(shape, moved[part], shift[part], np.zeros((len(shape), 3)), fitted[part])
    camera_and_shift = np.concatenate([moved, shift[:, :, None]], axis=2)
    return ExpressionFit(codes.alpha, codes.std, codes.dof, pose, camera_and_shift, fitted)


def fit_alpha(
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
    reweight: float = 0.0,
    l1_by_size: float = 0.0,
    shrink: float = 0.0,
    ridge: float = 1.0,
    eyes: tuple[int, int] = EYES,
) -> NDArray[np.float64]:
    """Return `alpha` (T, K) of `fit_expression` alone, in half the time; all landmarks count."""
    problem = Problem.of(neutral, components, weights, joint_pose, ridge, l1_by_size if nonnegative else 0.0)
    rates = Rates(sigma_px, nonnegative, l1, reweight, shrink, eyes)
    return problem.solve(landmarks, settings, None, rates, spread=False)[1].alpha
