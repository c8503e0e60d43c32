"""Learn how much less or more sure than stated each AU component is, from people whose movements are known.

What `uncertainty` states is right for all components together. Some are missed or mixed up more often than others,
much alike in whoever is looked at, so that is found once for a basis: known movements are seen by a camera, fitted as
recordings are, and compared with the codes that explain them best (docs/accuracy.md, "Is the uncertainty true?").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import CameraModel
from au3dmm.core.coverage import SHOWN
from au3dmm.core.fitting import EYES, REFERENCE_EYE_PX, CameraSettings, fit_expression, landmark_weights
from au3dmm.core.sparse_codes import encode_products
from au3dmm.core.uncertainty import measure_uncertainty
from au3dmm.errors import FitError

FRAMES_MOST = 6000
"""Frames of a group that are worth looking at: more change little."""

LEAST, MOST = 0.5, 2.0
"""Factors are held within these."""

_WITHIN = 0.683  # of the shown codes, within one standard deviation
_FEW = 30  # shown codes that are believed half
# a pattern found on some movements fits others as well if this share of its logarithm is taken (chosen on seeds 501 to
# 503: what single action units, combined ones and speech have in common)
_SHARED = 0.8
_DISTANCE_M, _TURN_DEG = 0.6, 20.0
_RIDGE = 1e-5  # of the mean squared length of a component: keeps codes that explain nothing small


@dataclass(frozen=True)
class KnownMotion:
    """N frames of S people, of which everything is known.

    Attributes
    ----------
    heads : (S, 68, 3) array
        Landmarks of the neutral heads, m.
    offsets : (N, 68, 3) array
        How far the landmarks have moved, m.
    owner : (N,) int array
        Whose each frame is.
    codes : (N, K) array
        What alpha should be: see `best_codes`.
    """

    heads: NDArray[np.float64]
    offsets: NDArray[np.floating]
    owner: NDArray[np.int64]
    codes: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.owner)
        if self.heads.shape[1:] != (68, 3) or self.offsets.shape != (n, 68, 3) or len(self.codes) != n:
            raise FitError(
                f"factors: heads {self.heads.shape}, offsets {self.offsets.shape} and codes {self.codes.shape} of {n}"
                " frames; expected (S, 68, 3), (N, 68, 3) and (N, K)"
            )
        if n and not 0 <= self.owner.min() <= self.owner.max() < len(self.heads):
            raise FitError(f"factors: a frame of person {self.owner.max()}, but there are {len(self.heads)} heads")


def best_codes(products: NDArray[np.float64], gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the codes >= 0 (N, K) that explain displacements best, by least squares with a ridge of 1e-5.

    Parameters
    ----------
    products : (N, K) array
        Displacements times components, summed over the points, m^2.
    gram : (K, K) array
        Components times components, m^2.

    Examples
    --------
    >>> best_codes(np.array([[4.0, -2.0]]), 2 * np.eye(2)).round(3)
    array([[2., 0.]])
    """
    scale = float(np.diag(gram).mean())
    scaled = products / scale
    codes = np.zeros(products.shape)
    encode_products(
        lambda part: scaled[part],
        gram / scale,
        codes,
        0.0,
        _RIDGE / 2,
        nonnegative=True,
        sweeps=500,
        tolerance=1e-5,
        workers=1,
    )
    return codes


def learn_std_factors(
    groups: Sequence[KnownMotion],
    components: NDArray[np.float64],
    *,
    sigma_px: float,
    jaw_weight: float,
    camera: CameraModel,
    perspective_passes: int,
    partner: NDArray[np.int64] | None = None,
    seed: int = 0,
    **how: Any,
) -> NDArray[np.float64]:
    """Learn by what the stated standard deviation of each component is to be multiplied (K,).

    Every frame is seen from 60 cm, turned by up to 20 degrees about each axis, with noise of the size that the fit
    believes in, and fitted with the neutral face known. With z = |alpha - code| / std, q_k is the 68.3 % quantile of z
    over the frames in which component k shows (alpha or code above `coverage.SHOWN`): the factor that would be right
    here. Components that show in few frames are drawn to 1. Factors are the geometric mean over the groups, to the
    power of 0.8, which is what they have in common with other movements; times one number, so that their geometric mean
    is 1: the basis has seen these people, so only what differs between components counts.

    Parameters
    ----------
    groups : sequence of KnownMotion
        Movements of different kinds, which count alike; one without shown codes does not count.
    components : (K, 68, 3) array
        AU components at the landmarks, m per standard deviation.
    sigma_px : float
        Landmark noise, px at 144 px between the outer eye corners.
    jaw_weight, camera, perspective_passes
        As fits are told: weight of the contour, camera model, corrections for perspective.
    partner : (K,) int array, optional
        Mirror partner of each component: partners get the same factor.
    seed : int
        Of turns and noise.
    **how
        The rest of what `fit_expression` is told.

    Raises
    ------
    FitError
        If codes are of another number of components, or landmarks determine no fit.
    """
    k = len(components)
    rng = np.random.default_rng(seed)
    weights = landmark_weights(jaw_weight)
    patterns = []
    for motion in groups:
        if motion.codes.shape[1:] != (k,):
            raise FitError(f"factors: codes {motion.codes.shape}, expected (N, {k}) as there are {k} components")
        rate = np.full(motion.codes.shape, np.nan)
        shown = np.zeros(motion.codes.shape, bool)
        turn = Rotation.from_euler("yxz", rng.uniform(-_TURN_DEG, _TURN_DEG, (len(rate), 3)), degrees=True)
        noise = rng.standard_normal((len(rate), 68, 2)) * sigma_px / np.sqrt(weights)[:, None]
        for person in np.unique(motion.owner):
            mine = np.flatnonzero(motion.owner == person)
            head = motion.heads[person]
            seen, focal_px = _see(head, motion.offsets[mine], turn[mine].as_matrix())
            seen += noise[mine]
            settings = CameraSettings(camera, perspective_passes, focal_px)
            fit = fit_expression(seen, head, components, weights, settings, sigma_px=sigma_px, nonnegative=True, **how)
            doubt = measure_uncertainty(fit, seen, head, weights, sigma_px=sigma_px, measured_px=None, nonnegative=True)
            rate[mine] = np.abs(fit.alpha - motion.codes[mine]) / doubt.std
            shown[mine] = (fit.alpha > SHOWN) | (motion.codes[mine] > SHOWN)
        if shown.any():
            patterns.append(_pattern(rate, shown, partner))
    if not patterns:
        return np.ones(k)
    log = _SHARED * np.mean(patterns, axis=0)
    # rounded, so that another linear algebra library writes the same file
    return np.asarray(np.round(np.clip(np.exp(log - log.mean()), LEAST, MOST), 4))


def _see(
    head: NDArray[np.float64], offsets: NDArray[np.floating], turn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return landmarks (n, 68, 2) as a pinhole sees them, px, y up, and its focal length, px."""
    middle = head.mean(0)
    points = (head - middle + offsets) @ turn.swapaxes(1, 2)
    scale = REFERENCE_EYE_PX / float(np.linalg.norm(head[EYES[1]] - head[EYES[0]]))
    return scale * points[..., :2] / (1 - points[..., 2:] / _DISTANCE_M), scale * _DISTANCE_M


def _pattern(
    rate: NDArray[np.float64], shown: NDArray[np.bool_], partner: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Return the logarithm of each component's own quantile (K,), 0 on average over what is shown."""
    k = rate.shape[1]
    log, count = np.zeros(k), np.zeros(k)
    for i in range(k):
        both = [i] if partner is None or partner[i] == i else [i, int(partner[i])]
        z = np.concatenate([rate[shown[:, j], j] for j in both])
        count[i] = len(z)
        if len(z):
            log[i] = np.log(max(float(np.quantile(z, _WITHIN)), 1e-3))
    log -= (count @ log) / count.sum()
    return np.asarray(log * count / (count + _FEW))
