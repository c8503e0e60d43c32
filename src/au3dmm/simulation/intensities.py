"""Intensities of simulated people: learnt from a tagged corpus, read off fitted coefficients, with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.config import BasesParams
from au3dmm.core.fit_terms import REFERENCE_EYE_PX, landmark_weights
from au3dmm.core.intensities import (
    FULL,
    SIDES,
    Intensities,
    alpha_covariance,
    by_name,
    correlation_of,
    intensity_noise,
    intensity_std,
    noise_of_session,
    observability,
    states_of,
)
from au3dmm.core.intensity_learning import TaggedRows, learn_intensities
from au3dmm.core.reduction import reduce_rows
from au3dmm.errors import FitError
from au3dmm.simulation.estimate import Estimate
from au3dmm.simulation.faces import FACIAL_UNITS, FaceFamily
from au3dmm.simulation.recordings import Recordings, draw_person
from au3dmm.simulation.tagged import TaggedTakes, gains, halves, record_tagged, unit_fields
from au3dmm.simulation.training import LearntBasis

_RANK = 128
_SHOWN = 1.0
_QUANTILE = 0.95
_TURNS_DEG = [[0, 0], [15, 0], [-15, 5], [5, 10], [-5, -10]]


@dataclass(frozen=True)
class Reading:
    """How intensities are read, and what the truth is in their unit.

    Attributes
    ----------
    reader : Intensities
        Learnt from tags alone.
    full : (A, 2) array
        True displacement, along the mean field and as a share of an average person's, that is 5, left and right.
    shares : (A, 24) array
        How far the field of each of `FACIAL_UNITS` is that of each unit that is read: 0 but for its own parts.
    """

    reader: Intensities
    full: NDArray[np.float64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class IntensityMeasure:
    """One intensity, over all frames (T).

    Attributes
    ----------
    observability, state
        See `core.intensities.observability`.
    error : float
        Mean absolute error where the truth is at least 1, in steps of intensity.
    off : float
        Rms of what is read where nothing is shown.
    correlation, agreement : float
        Pearson's r with the truth, and ICC(3,1): 1 only if there is no error of scale, either.
    within_1, within_2 : float
        Share of the frames read as at least 1 of which the truth lies within one and two standard deviations.
    """

    observability: float
    state: str
    error: float
    off: float
    correlation: float
    agreement: float
    within_1: float
    within_2: float


def learn_reading(
    family: FaceFamily, basis: LearntBasis, *, params: BasesParams | None = None, actors: int = 10
) -> Reading:
    """Learn intensities for a basis from a tagged corpus, as ``fit-bases`` does.

    Raises
    ------
    FitError
        If no unit is shown often enough.
    """
    chosen = params or BasesParams()
    corpus = record_tagged(family, actors=actors)
    n = corpus.offsets.shape[1] // 3
    reduced = reduce_rows(
        lambda block, stride: corpus.offsets[::stride],
        [len(corpus.offsets)],
        3 * n,
        min(_RANK, *corpus.offsets.shape),
    )
    components = basis.components_au[:, :n]
    stddev = np.linalg.norm(components.reshape(len(components), -1), axis=1)
    learnt = learn_intensities(
        TaggedRows(
            reduced.coordinates,
            reduced.directions,
            halves(family, n),
            corpus.takes,
            corpus.tags,
            tuple(int(corpus.owner[take[0]]) for take in corpus.takes),
        ),
        components,
        stddev,
        l1=chosen.l1 * float(np.sqrt(reduced.energy / len(corpus.offsets))),
        l2=chosen.l2,
        nonnegative=chosen.codes == "nonnegative",
    )
    if learnt.intensities is None:
        raise FitError(f"intensities: no unit is shown often enough; too few: {learnt.left_out}")
    reader = learnt.intensities
    shares = _shares(family, reader.units)
    return Reading(reader, _full(corpus, reader.units, shares), shares)


def true_intensities(reading: Reading, recordings: Recordings, family: FaceFamily, seed: int) -> NDArray[np.float64]:
    """Return what should be read (S, C, T, n): displacement along each unit's mean field, 5 as in the corpus."""
    points = slice(family.n_landmarks, family.n_landmarks + family.n_metric)
    units = reading.reader.units
    found = []
    for s, shown in enumerate(recordings.units):
        moved = shown * gains(family, draw_person(family, seed, s)[1], points)
        frames = _of_units(moved.reshape(-1, *moved.shape[2:]), reading.shares)
        found.append(by_name(units, FULL * frames / reading.full).reshape(*moved.shape[:2], -1))
    return np.stack(found)


def measure_intensities(
    reading: Reading,
    basis: LearntBasis,
    family: FaceFamily,
    found: Estimate,
    truth: NDArray[np.float64],
    *,
    jaw_weight: float,
    sigma_px: float,
) -> dict[str, IntensityMeasure]:
    """Compare intensities read off fitted coefficients with the truth (S, C, T, n), one by one."""
    reader, k = reading.reader, found.alpha.shape[-1]
    scale = REFERENCE_EYE_PX / family.eye_m
    cameras = scale * Rotation.from_euler("yx", _TURNS_DEG, degrees=True).as_matrix()[:, :2]
    sigma = np.full(len(cameras), sigma_px)
    covariance = alpha_covariance(
        family.points[:68], basis.components_au[:, :68], landmark_weights(jaw_weight), cameras, sigma
    )
    noise = intensity_noise(reader.weights, found.alpha_std.reshape(-1, k), correlation_of(covariance))
    values = reader.read(found.alpha.reshape(-1, k))
    std = intensity_std(values, noise, reader.residual)
    known = observability(reader.explained, noise_of_session(reader.weights, covariance))
    flat = truth.reshape(-1, truth.shape[-1])
    measures = {}
    for i, (name, state) in enumerate(zip(reader.names, states_of(known), strict=True)):
        y, t, z = values[:, i], flat[:, i], np.abs(values[:, i] - flat[:, i]) / std[:, i]
        shown, read = t >= _SHOWN, y >= _SHOWN
        measures[name] = IntensityMeasure(
            float(known[i]),
            state,
            _mean(np.abs(y - t)[shown]),
            float(np.sqrt(_mean(y[t <= 0] ** 2))),
            float(np.corrcoef(y, t)[0, 1]) if y.std() > 0 and t.std() > 0 else 0.0,
            agreement(y, t),
            _mean(z[read] <= 1),
            _mean(z[read] <= 2),
        )
    return measures


def agreement(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return ICC(3,1) of two raters (Shrout & Fleiss 1979): 1 for equal ratings up to a constant.

    Examples
    --------
    >>> agreement(np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))
    1.0
    """
    rows = np.stack([first, second], 1).astype(np.float64)
    rows -= rows.mean(0)
    n = len(rows)
    between = 2 * ((rows.mean(1)) ** 2).sum() / (n - 1)
    within = ((rows - rows.mean(1, keepdims=True)) ** 2).sum() / (n - 1)
    return float((between - within) / (between + within)) if between + within > 0 else 0.0


def _shares(family: FaceFamily, units: tuple[str, ...]) -> NDArray[np.float64]:
    fields = unit_fields(family, family.expressions)[:, family.metric].reshape(len(FACIAL_UNITS), -1)
    found = np.zeros((len(units), len(FACIAL_UNITS)))
    for a, unit in enumerate(units):
        parts = _parts(unit)
        largest = max(parts, key=lambda i: float(fields[i] @ fields[i]))
        for i in parts:
            found[a, i] = fields[i] @ fields[largest] / (fields[largest] @ fields[largest])
    return found


def _parts(unit: str) -> list[int]:
    return [FACIAL_UNITS.index(f"AU{number}") for number in unit.removeprefix("AU").split("/")]


def _of_units(shown: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each unit that is read is shown (N, A, 2), of (N, 24, 2): the largest of its parts."""
    return np.stack([(shown * share[:, None]).max(1) for share in shares], 1)


def _full(corpus: TaggedTakes, units: tuple[str, ...], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    shown = _of_units(corpus.shown, shares)
    full = np.empty((len(units), 2))
    for a, unit in enumerate(units):
        names = {FACIAL_UNITS[i] for i in _parts(unit)}
        for side, ending in enumerate(SIDES):
            tagged = names | {f"{name}_{ending}" for name in names}
            peaks = [
                shown[take, a, side].max()
                for take, tags in zip(corpus.takes, corpus.tags, strict=True)
                if tagged & set(tags)
            ]
            full[a, side] = np.quantile(peaks, _QUANTILE)
    return full


def _mean(values: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def summary(measures: Mapping[str, IntensityMeasure], state: str, field: str) -> float:
    """Return the mean of a field over the intensities in a state; NaN without any."""
    values = [getattr(m, field) for m in measures.values() if m.state == state]
    values = [value for value in values if np.isfinite(value)]
    return float(np.mean(values)) if values else float("nan")
