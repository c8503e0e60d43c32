"""Action unit intensities from 0 to 5 out of coefficients, and how sure they are.

The fitted displacement is explained by the displacement fields of action units: sparse and not negative, each half of
the face by itself. Intensities are linear in the displacement from the neutral face; 5 is what the strongest of those
who showed the unit in the corpus reached (`unit_fields`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.sparse_codes import encode_products
from au3dmm.errors import SchemaError

FULL = 5.0
"""The intensity at an activation of 1; FACS' letters A to E are 1 to 5."""
SIDES = ("left", "right")
UNSIDED = frozenset((8, 17, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32, 35, 36, 37, 38, 39))
"""Numbers of the units that lie on the midline and are read as a whole only."""
DIRECTED = frozenset((30,))
"""Numbers of the units whose left and right are directions (of the jaw): two units, each shown by the whole face."""
STATES = ("observable", "weak", "unobservable")
"""What `states_of` says of an intensity."""
_OBSERVABLE, _WEAK = 0.6, 0.3
_FIT = 0.2
_SPARSE = 0.01  # l1, as a share of the fields' rms length
_RIDGE = 0.001  # of fields of length 1


@dataclass(frozen=True)
class Intensities:
    """How intensities are read off the K coefficients of a basis.

    Attributes
    ----------
    units : tuple of A str
        Like ``AU12``; ``AU26/27`` are two that no displacement of the corpus tells apart.
    gram : (2, A, A) array
        Inner products of the units' fields on the left and on the right half of the face, at an activation of 1, m^2.
    products : (2, A, K) array
        Those of fields and components, m^2 per standard deviation.
    residual : (n, 2) array
        What is left to chance even where alpha is known, for each of `names`: standard deviation where next to nothing
        is read, and what joins it as a share of the intensity where more is.
    explained : (n,) array
        Share of the intensity's variance over the corpus that is read off the codes of people not learnt from, 0 to 1.
    """

    units: tuple[str, ...]
    gram: NDArray[np.float64]
    products: NDArray[np.float64]
    residual: NDArray[np.float64]
    explained: NDArray[np.float64]

    def __post_init__(self) -> None:
        a, n = len(self.units), len(self.names)
        k = self.products.shape[2] if self.products.ndim == 3 else 0
        for name, array, shape in (
            ("gram", self.gram, (2, a, a)),
            ("products", self.products, (2, a, k)),
            ("residual", self.residual, (n, 2)),
            ("explained", self.explained, (n,)),
        ):
            if array.shape != shape:
                raise SchemaError(f"intensities: {name} has shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                raise SchemaError(f"intensities: {name} holds values that are not finite")
        if len(set(self.units)) != a:
            raise SchemaError("intensities: two units have one name; expected a name each")
        if not (self._lengths() > 0).all():
            raise SchemaError("intensities: a unit moves nothing; expected fields longer than 0")
        if (self.residual < 0).any() or (self.explained < 0).any() or (self.explained > 1).any():
            raise SchemaError("intensities: residuals below 0, or shares outside 0 to 1")

    @property
    def names(self) -> tuple[str, ...]:
        """The n intensities: ``AU12``, ``AU12_left``, ``AU12_right``; of units on the midline the whole alone."""
        return intensity_names(self.units)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Intensity per standard deviation of alpha if no other unit is shown (n, K)."""
        alone = FULL * self.products / np.einsum("saa->sa", self.gram)[:, :, None]
        return self._by_name(np.moveaxis(alone, 0, -1).swapaxes(0, 1)).T

    def read(self, alpha: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the intensities (T, n) of coefficients (T, K), >= 0; the whole of a unit is the mean of its sides.

        Of each half, ``min |alpha C - x E|^2 + 2 l1 |x|_1 + l2 |x|^2`` over x >= 0, E being the fields of length 1.

        Raises
        ------
        SchemaError
            If there are not K coefficients.
        """
        if alpha.ndim != 2 or alpha.shape[1] != self.products.shape[2]:
            raise SchemaError(f"intensities: alpha {alpha.shape}, expected (T, {self.products.shape[2]})")
        lengths = self._lengths()
        found = np.zeros((len(alpha), len(self.units), 2))
        for side in range(2):
            length = lengths[side]
            given = np.asarray(alpha, np.float64) @ (self.products[side] / length[:, None]).T
            x = np.zeros_like(given)
            encode_products(
                lambda part, given=given: given[part],  # type: ignore[misc]
                self.gram[side] / length / length[:, None],
                x,
                _SPARSE * float(np.sqrt((length**2).mean())),
                _RIDGE / 2,
                nonnegative=True,
                sweeps=500,
                tolerance=1e-6,
                workers=1,
            )
            found[:, :, side] = FULL * x / length
        return self._by_name(found)

    def _lengths(self) -> NDArray[np.float64]:
        return np.asarray(np.sqrt(np.maximum(np.einsum("saa->sa", self.gram), 0)))

    def _by_name(self, sides: NDArray[np.float64]) -> NDArray[np.float64]:
        return by_name(self.units, sides)


def intensity_names(units: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the intensities of some units.

    Examples
    --------
    >>> intensity_names(["AU12", "AU26/27"])
    ('AU12', 'AU12_left', 'AU12_right', 'AU26/27')
    """
    return tuple(unit + ending for unit in units for ending in ("", *(f"_{s}" for s in SIDES if has_sides(unit))))


def by_name(units: Sequence[str], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn values (T, A, 2) of the units' left and right into those of `intensity_names` (T, n)."""
    columns = []
    for u, unit in enumerate(units):
        columns.append(sides[:, u].mean(1))
        if has_sides(unit):
            columns += [sides[:, u, 0], sides[:, u, 1]]
    return np.stack(columns, 1)


def has_sides(unit: str) -> bool:
    """Say whether a unit is read on the left and on the right, too.

    Examples
    --------
    >>> has_sides("AU12"), has_sides("AU25"), has_sides("AU43/45")
    (True, False, True)
    """
    return not (UNSIDED | DIRECTED) & {number_of(part) for part in unit.split("/")}


def unit_of(tag: str) -> str:
    """Return the unit that a tag speaks of.

    Examples
    --------
    >>> unit_of("AU12_left"), unit_of("AU30_left")
    ('AU12', 'AU30_left')
    """
    return tag if number_of(tag) in DIRECTED else tag.partition("_")[0]


def number_of(unit: str) -> int:
    """Return the number in the name of an action unit.

    Raises
    ------
    SchemaError
        If there is none.

    Examples
    --------
    >>> number_of("AU12_left"), number_of("27")
    (12, 27)
    """
    digits = unit.removeprefix("AU").partition("_")[0]
    if not digits.isdigit():
        raise SchemaError(f"intensities: {unit!r} is no action unit; expected AU and a number")
    return int(digits)


def intensity_noise(
    weights: NDArray[np.floating], alpha_std: NDArray[np.floating], correlation: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return what the uncertainty of alpha makes of each intensity (T, n): the root of ``w' S w``.

    S has the frame's standard deviations of alpha and the session's correlations between them: components that move the
    same landmarks are anticorrelated, so that their sum is surer than each.

    Parameters
    ----------
    weights : (n, K) array
        `Intensities.weights`.
    alpha_std : (T, K) array
        Of the frames.
    correlation : (K, K) array
        Of the errors of alpha.
    """
    s, r = np.asarray(alpha_std, np.float64), np.asarray(correlation, np.float64)
    variance = np.empty((len(s), len(weights)))
    for i, w in enumerate(np.asarray(weights, np.float64)):
        scaled = s * w
        variance[:, i] = np.einsum("tk,tk->t", scaled @ r, scaled)
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def noise_of_session(weights: NDArray[np.floating], covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what landmark noise alone makes of each intensity (n,), given covariances of alpha (T, K, K).

    It does not depend on what is shown: a recording in which nothing moves says as much of what could be seen.
    """
    mean = np.asarray(covariance, np.float64).mean(0)
    return np.asarray(intensity_noise(weights, np.sqrt(np.diag(mean))[None], correlation_of(mean[None]))[0])


def intensity_std(
    intensity: NDArray[np.floating], noise: NDArray[np.floating], residual: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the standard deviation of intensities (T, n): ``sqrt(noise^2 + r0^2 + (r1^2 + f^2) y^2)``.

    f = 0.2 is what the fit's own bias adds (shrinkage, a neutral face that is not quite that), on simulated people.

    Parameters
    ----------
    intensity, noise : (T, n) array
        As read, and as `intensity_noise` says.
    residual : (n, 2) array
        r0 and r1 of each; see `Intensities`.
    """
    y = np.asarray(intensity, np.float64)
    by_chance = residual[:, 0] ** 2 + (residual[:, 1] ** 2 + _FIT**2) * y**2
    return np.asarray(np.sqrt(np.asarray(noise, np.float64) ** 2 + by_chance))


def observability(explained: NDArray[np.floating], noise: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much can be known of each intensity (n,), 0 to 1: ``explained / (1 + noise^2)``.

    What the basis can tell of it, halved by a noise of one step of intensity.
    """
    return np.asarray(np.asarray(explained) / (1 + np.asarray(noise) ** 2))


def states_of(values: NDArray[np.floating]) -> tuple[str, ...]:
    """Say of each observability which state it is: from 0.6 on observable, from 0.3 on weak.

    Examples
    --------
    >>> states_of(np.array([0.9, 0.4, 0.1]))
    ('observable', 'weak', 'unobservable')
    """
    return tuple(STATES[0] if o >= _OBSERVABLE else STATES[1] if o >= _WEAK else STATES[2] for o in values)


def alpha_covariance(
    neutral: NDArray[np.floating],
    components: NDArray[np.floating],
    weights: NDArray[np.floating],
    cameras: NDArray[np.floating],
    sigma_px: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return the posterior covariance (T, K, K) of alpha, prior N(0, I), with scale, rotation and translation unknown.

    Parameters
    ----------
    neutral : (L, 3) array
        Neutral face at the points that are fitted, m.
    components : (K, L, 3) array
        m per standard deviation.
    weights : (L,) array
        Of the points.
    cameras : (T, 2, 3) array
        px per m.
    sigma_px : (T,) array
        Noise of a point of weight 1, px.
    """
    wn = weights / weights.sum()
    shape = neutral - wn @ neutral
    shape = shape / np.sqrt((shape**2).sum(1).mean())
    turns = np.cross(np.eye(3)[:, None], np.eye(3))
    # a change of pose by 1 moves the face by a metre: next to no prior
    pose = np.stack([shape, *(shape @ turn for turn in turns)])
    columns = np.concatenate([pose, components - (wn @ components)[:, None]])
    found = np.empty((len(cameras), len(components), len(components)))
    for i, (camera, sigma) in enumerate(zip(cameras, sigma_px, strict=True)):
        design = (columns @ camera.T * np.sqrt(weights)[:, None]).reshape(len(columns), -1) / sigma
        found[i] = np.linalg.inv(design @ design.T + np.eye(len(columns)))[len(pose) :, len(pose) :]
    return found


def correlation_of(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the correlations (K, K) of the mean of covariances (T, K, K)."""
    mean = np.asarray(covariance, np.float64).mean(0)
    std = np.sqrt(np.diag(mean))
    return np.asarray(mean / std / std[:, None])
