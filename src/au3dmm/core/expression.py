"""Step two of the fit: action units and pose on every frame, given the subject's neutral face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import Cameras, Pose, fit_cameras, pose_of
from au3dmm.core.codes import Codes, solve_codes
from au3dmm.core.expression_kernels import move_cameras, pull_back, see
from au3dmm.core.fit_terms import EYES, CameraSettings, noise_px

# Small pose changes solved together with alpha: 5 % of scale and 0.1 rad per unit, with a weak prior
_POSE_SCALE, _POSE_ANGLE, _POSE_PRIOR = 0.05, 0.1, 0.01
_TURNS = np.cross(np.eye(3)[:, None], np.eye(3))  # x @ _TURNS[k] = e_k x x
# frames at a time, so that what is made of them stays in the processor's cache
_BLOCK = 256


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
    ridge: float = 1.0,
    camera: NDArray[np.float64] | None = None,
    eyes: tuple[int, int] = EYES,
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
    ridge : float
        Precision of the Gaussian prior of alpha: 1 where alpha is taken to be N(0, 1).
    camera : (T, 2, 3) array, optional
        Known cameras, px per metre; then none is fitted and no perspective is removed.
    eyes : (int, int)
        Which landmarks are the outer eye corners.

    Raises
    ------
    FitError
        If the landmarks of a frame determine no camera or no alpha.
    """
    problem = _Problem.of(neutral, components, weights, joint_pose, ridge)
    seen, codes = problem.solve(landmarks, settings, camera, sigma_px, nonnegative, l1, reweight, eyes, spread=True)
    n = len(landmarks)
    moved = seen.camera
    if joint_pose:
        moved = np.empty_like(moved)
        move_cameras(seen.camera, codes.pose, _POSE_SCALE, _POSE_ANGLE, moved)
    focal = settings.focal if camera is None else None
    # the last three numbers of a shape are its weighted mean
    base = np.append(neutral.T.ravel(), problem.middle)
    flat = np.concatenate([components.transpose(0, 2, 1).reshape(len(components), -1), problem.middles], axis=1)
    shift = np.empty((n, 2))
    pose = Pose(np.empty((n, 3, 3)), np.empty(n), np.empty((n, 2)))
    fitted = np.empty((n, len(weights), 2))
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
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
    ridge: float = 1.0,
    eyes: tuple[int, int] = EYES,
) -> NDArray[np.float64]:
    """Return `alpha` (T, K) of `fit_expression` alone, in half the time."""
    problem = _Problem.of(neutral, components, weights, joint_pose, ridge)
    return problem.solve(landmarks, settings, None, sigma_px, nonnegative, l1, reweight, eyes, spread=False)[1].alpha


@dataclass(frozen=True)
class _Problem:
    """What is the same in all frames.

    `centred` (3, L) is the neutral face about its weighted mean `middle` (3,), `middles` (K, 3) are the weighted means
    of the components; `columns` (3 L, N) are the pose columns and the components, centred and weighted, `gram`
    (6, N, N) their products for the pairs of axes, and `prior` (N,) their prior precisions.
    """

    neutral: NDArray[np.float64]
    weights: NDArray[np.float64]
    middle: NDArray[np.float64]
    middles: NDArray[np.float64]
    centred: NDArray[np.float64]
    columns: NDArray[np.float64]
    gram: NDArray[np.float64]
    prior: NDArray[np.float64]
    n_pose: int

    @classmethod
    def of(
        cls,
        neutral: NDArray[np.float64],
        components: NDArray[np.float64],
        weights: NDArray[np.float64],
        joint_pose: bool,
        ridge: float,
    ) -> _Problem:
        wn = weights / weights.sum()
        middle = wn @ neutral
        middles = wn @ components
        centred = neutral - middle
        columns = components - middles[:, None]
        n_pose = 0
        if joint_pose:
            turns = [_POSE_ANGLE * centred @ turn for turn in _TURNS]
            columns = np.concatenate([np.stack([_POSE_SCALE * centred, *turns]), columns])
            n_pose = 4
        axes = columns.transpose(2, 1, 0)
        prior = np.full(len(columns), ridge)
        prior[:n_pose] = _POSE_PRIOR
        weighted = weights[:, None] * axes
        pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        grams = [axes[a].T @ weighted[b] for a, b in pairs]
        gram = np.stack([g if i < 3 else g + g.T for i, g in enumerate(grams)])
        flat = np.ascontiguousarray(weighted.reshape(-1, len(columns)))
        return cls(neutral, weights, middle, middles, np.ascontiguousarray(centred.T), flat, gram, prior, n_pose)

    def solve(
        self,
        landmarks: NDArray[np.float64],
        settings: CameraSettings,
        camera: NDArray[np.float64] | None,
        sigma_px: float,
        nonnegative: bool,
        l1: float,
        reweight: float,
        eyes: tuple[int, int],
        *,
        spread: bool,
    ) -> tuple[Cameras, Codes]:
        n = len(landmarks)
        if camera is None:
            seen = fit_cameras(
                landmarks, self.neutral, self.weights, settings.model, settings.perspective_passes, settings.focal_px
            )
        else:
            seen = Cameras(camera, np.zeros((n, 3)), self.weights / self.weights.sum() @ landmarks)
        right = np.empty((n, len(self.prior)))
        mix = np.empty((n, 6))
        pulled = np.empty((min(n, _BLOCK), self.columns.shape[0]))
        for start in range(0, n, _BLOCK):
            part = slice(start, start + _BLOCK)
            block = pulled[: len(right[part])]
            pull_back(
                landmarks[part], self.centred, seen.camera[part], seen.tilt[part], seen.centre[part], block, mix[part]
            )
            np.matmul(block, self.columns, out=right[part])
        variance = noise_px(sigma_px, seen.camera, self.neutral, eyes=eyes) ** 2
        # components are in units of their rms: a Gaussian of that size stands for the prior where spread is asked for
        wider = np.maximum(self.prior, 1.0)
        wider[: self.n_pose] = _POSE_PRIOR
        codes = solve_codes(
            self.gram,
            mix,
            right,
            self.prior,
            variance,
            self.n_pose,
            nonnegative,
            l1,
            reweight=reweight,
            spread=spread,
            spread_prior=wider,
        )
        return seen, codes
