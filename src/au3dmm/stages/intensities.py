"""Action unit intensities of a session: read off the fitted coefficients, with what can be known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fit_terms import noise_px
from au3dmm.core.fitting import ExpressionFit
from au3dmm.core.intensities import (
    STATES,
    Intensities,
    alpha_covariance,
    correlation_of,
    intensity_noise,
    intensity_std,
    noise_of_session,
    observability,
    states_of,
)
from au3dmm.core.neutral import spread_evenly

_FRAMES = 64  # of a session, from which the correlations between coefficients are taken


@dataclass(frozen=True)
class UnitIntensities:
    """Intensities of T frames.

    Attributes
    ----------
    names : tuple of n str
        As in `core.intensities.Intensities.names`.
    values, std : (T, n) array
        Intensities and their standard deviations.
    observability : (n,) array
        See `core.intensities.observability`, at the session's median noise.
    states : tuple of n str
        Of `core.intensities.STATES`.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    std: NDArray[np.float64]
    observability: NDArray[np.float64]
    states: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which have values in the table (n,): all but the unobservable."""
        return np.array([state != STATES[2] for state in self.states], bool)

    def metadata(self) -> dict[str, Any]:
        """Return what the table says of them; nothing if there are none."""
        if not self.names:
            return {}
        return {
            "intensity": {
                "names": list(self.names),
                "observability": [round(float(value), 4) for value in self.observability],
                "states": list(self.states),
            }
        }

    def summary(self) -> dict[str, Any]:
        """Return the names of those that are weak or unobservable; nothing if there are no intensities."""
        if not self.names:
            return {}
        return {
            state: [name for name, found in zip(self.names, self.states, strict=True) if found == state]
            for state in STATES[1:]
        }


def no_intensities(n_frames: int) -> UnitIntensities:
    """Return those of a basis that has none."""
    return UnitIntensities((), np.zeros((n_frames, 0)), np.zeros((n_frames, 0)), np.zeros(0), ())


def read_intensities(
    reader: Intensities,
    blocks: Sequence[ExpressionFit],
    alpha_std: NDArray[np.float64],
    neutral: NDArray[np.float64],
    components: NDArray[np.float64],
    weights: NDArray[np.float64],
    sigma_px: float,
) -> UnitIntensities:
    """Read the intensities of all fitted frames.

    Parameters
    ----------
    reader : Intensities
        Of the basis.
    blocks : sequence of ExpressionFit
        The fit, one frame at least.
    alpha_std : (T, K) array
        What is stated of its coefficients.
    neutral : (L, 3) array
        Neutral face, m.
    components : (K, L, 3) array
        At the points that were fitted, m per standard deviation.
    weights : (L,) array
        Of the points.
    sigma_px : float
        Noise that the fit believed, px at 144 px between the outer eye corners.
    """
    alpha = np.concatenate([block.alpha for block in blocks])
    cameras = np.concatenate([block.camera[:, :, :3] for block in blocks])
    some = spread_evenly(np.arange(len(alpha)), _FRAMES)
    noise_of = noise_px(sigma_px, cameras[some], neutral)
    covariance = alpha_covariance(neutral, components, weights, cameras[some], noise_of)
    noise = intensity_noise(reader.weights, alpha_std, correlation_of(covariance))
    values = reader.read(alpha)
    known = observability(reader.explained, noise_of_session(reader.weights, covariance))
    return UnitIntensities(reader.names, values, intensity_std(values, noise, reader.residual), known, states_of(known))
