"""The equations of step two: what all frames share, and the coefficients that each frame gets from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.camera import Cameras, fit_cameras
from au3dmm.core.codes import Codes, solve_codes
from au3dmm.core.expression_kernels import pull_back
from au3dmm.core.fit_terms import CameraSettings, noise_px, squared_scale

POSE_SCALE, POSE_ANGLE = 0.05, 0.1
"""Small pose changes solved together with alpha: 5 % of scale and 0.1 rad per unit, with a weak prior."""
BLOCK = 256
"""Frames at a time, so that what is made of them stays in the processor's cache."""

_POSE_PRIOR = 0.01
_TURNS = np.cross(np.eye(3)[:, None], np.eye(3))  # x @ _TURNS[k] = e_k x x
_POSES = 4
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
# a component that hardly moves the landmarks counts as one that moves them by this share of the most that one does
_LEAST_SIZE = 0.01


@dataclass(frozen=True)
class Rates:
    """Noise and prior, as in `fit_expression`."""

    sigma_px: float
    nonnegative: bool
    l1: float
    reweight: float
    shrink: float
    eyes: tuple[int, int]


@dataclass(frozen=True)
class Problem:
    """What is the same in all frames.

    `centred` (3, L) is the neutral face about its weighted mean `middle` (3,), `middles` (K, 3) are the weighted means
    of the components; `columns` (3 L, N) are the pose columns and the components, centred and weighted, `gram`
    (6, N, N) their products for the pairs of axes, and `prior` (N,) their prior precisions. The last K columns are the
    components in units `unit` (K,) of alpha; `energy` (K, K) has the squared displacement of the landmarks, weighted.
    """

    neutral: NDArray[np.float64]
    components: NDArray[np.float64]
    weights: NDArray[np.float64]
    middle: NDArray[np.float64]
    middles: NDArray[np.float64]
    centred: NDArray[np.float64]
    columns: NDArray[np.float64]
    gram: NDArray[np.float64]
    prior: NDArray[np.float64]
    unit: NDArray[np.float64]
    energy: NDArray[np.float64]
    n_pose: int

    @classmethod
    def of(
        cls,
        neutral: NDArray[np.float64],
        components: NDArray[np.float64],
        weights: NDArray[np.float64],
        joint_pose: bool,
        ridge: float,
        by_size: float,
    ) -> Problem:
        """Prepare the equations; `by_size` is ``l1_by_size`` of `fit_expression`, 0 for codes of either sign."""
        wn = weights / weights.sum()
        middles = wn @ components
        columns = components - middles[:, None]
        scaled = (columns * wn[:, None]).reshape(len(columns), -1)
        energy = weights.sum() * (scaled @ columns.reshape(len(columns), -1).T)
        size = np.sqrt(np.maximum(np.diag(energy), 0.0))
        unit = np.ones(len(columns))
        if by_size > 0 and size.any():
            size = np.maximum(size, _LEAST_SIZE * size.max())
            unit = (np.median(size) / size) ** by_size
            columns = columns * unit[:, None, None]
        n_pose = _POSES if joint_pose else 0
        n = n_pose + len(columns)
        prior = np.full(n, ridge)
        prior[:n_pose] = _POSE_PRIOR
        # the pose columns are the neutral face's: `at` writes them
        axes = np.zeros((3, len(weights), n))
        axes[:, :, n_pose:] = columns.transpose(2, 1, 0)
        weighted = weights[:, None] * axes
        products = _products(axes, weighted)
        blank = cls(
            neutral, components, weights, np.zeros(3), middles, np.zeros((3, 0)), weighted.reshape(-1, n),
            products, prior, unit, energy, n_pose,
        )  # fmt: skip
        return blank.at(neutral)

    def at(self, neutral: NDArray[np.float64]) -> Problem:
        """Return the same problem for another neutral face (L, 3); what the components alone determine is kept."""
        middle = self.weights / self.weights.sum() @ neutral
        centred = np.ascontiguousarray((neutral - middle).T)
        columns, gram = self.columns, self.gram
        if self.n_pose:
            p, n = self.n_pose, columns.shape[1]
            pose = np.empty((3, len(neutral), p))
            pose[:, :, 0] = POSE_SCALE * centred
            for k, turn in enumerate(_TURNS):
                pose[:, :, 1 + k] = POSE_ANGLE * (turn.T @ centred)
            columns = columns.copy()
            weighted = columns.reshape(3, -1, n)
            weighted[:, :, :p] = self.weights[:, None] * pose
            gram = gram.copy()
            gram[:, :p] = _products(pose, weighted)
            gram[:, p:, :p] = gram[:, :p, p:].swapaxes(1, 2)
        return replace(self, neutral=neutral, middle=middle, centred=centred, columns=columns, gram=gram)

    def solve(
        self,
        landmarks: NDArray[np.float64],
        settings: CameraSettings,
        camera: NDArray[np.float64] | None,
        rates: Rates,
        *,
        spread: bool,
    ) -> tuple[Cameras, Codes]:
        """Return each frame's camera, and pose, alpha, and (with `spread`) std and dof in units of alpha.

        Raises
        ------
        FitError
            If the landmarks of a frame determine no camera or no alpha.
        """
        n = len(landmarks)
        if camera is None:
            seen = fit_cameras(
                landmarks, self.neutral, self.weights, settings.model, settings.perspective_passes, settings.focal_px
            )
        else:
            seen = Cameras(camera, np.zeros((n, 3)), self.weights / self.weights.sum() @ landmarks)
        right = np.empty((n, len(self.prior)))
        mix = np.empty((n, 6))
        pulled = np.empty((min(n, BLOCK), self.columns.shape[0]))
        for start in range(0, n, BLOCK):
            part = slice(start, start + BLOCK)
            block = pulled[: len(right[part])]
            pull_back(
                landmarks[part], self.centred, seen.camera[part], seen.tilt[part], seen.centre[part], block, mix[part]
            )
            np.matmul(block, self.columns, out=right[part])
        variance = noise_px(rates.sigma_px, seen.camera, self.neutral, eyes=rates.eyes) ** 2
        # components are in units of their rms: a Gaussian of that size stands for the prior where spread is asked for
        wider = np.full(len(self.prior), _POSE_PRIOR)
        wider[self.n_pose :] = np.maximum(self.prior[self.n_pose :], 1.0) * self.unit**2
        codes = solve_codes(
            self.gram,
            mix,
            right,
            self.prior,
            variance,
            self.n_pose,
            rates.nonnegative,
            rates.l1,
            reweight=rates.reweight,
            spread=spread,
            spread_prior=wider,
        )
        np.multiply(codes.alpha, self.unit, out=codes.alpha)
        np.multiply(codes.std, self.unit, out=codes.std)
        if rates.shrink > 0:
            moved = ((codes.alpha @ self.energy) * codes.alpha).sum(1) * squared_scale(seen.camera)
            kept = np.maximum(1 - rates.shrink * variance / np.maximum(moved, 1e-12), 0.0)
            np.multiply(codes.alpha, kept[:, None], out=codes.alpha)
        return seen, codes


def _products(some: NDArray[np.float64], weighted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products (6, P, N) of columns (3, L, P) with weighted ones (3, L, N) for the pairs of axes."""
    products = [
        some[a].T @ weighted[b] if a == b else some[a].T @ weighted[b] + some[b].T @ weighted[a] for a, b in _PAIRS
    ]
    return np.stack(products)
