"""How far each tagged sequence shows its action units, frame by frame, on one half of the face.

Tags name what a sequence shows, not how much of it: the displacement field of each unit is learnt together with its
activation in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.sparse_codes import encode_products
from au3dmm.errors import FitError

_ROUNDS = 15
_FIELD_RIDGE = 1e-2  # of a unit's own energy: units that are never shown apart share what they show
_ACTIVATION_RIDGE = 1e-3
FULL_QUANTILE = 0.95
"""Which quantile of a unit's peaks, over the sequences that show it, is an activation of 1."""
ALIKE = 0.9
"""Cosine between the fields of two units above which their displacement does not tell them apart."""


@dataclass(frozen=True)
class UnitFields:
    """What A units look like on one half of the face, and how far N frames show them.

    Attributes
    ----------
    fields : (A, R) float64 array
        Displacement at an activation of 1, along the directions of the reduction.
    activation : (N, A) float64 array
        0 where a frame's sequence does not show the unit; 1 at the 95 % quantile of the peaks of those that do.
    """

    fields: NDArray[np.float64]
    activation: NDArray[np.float64]


def learn_unit_fields(
    coordinates: NDArray[np.floating],
    gram: NDArray[np.float64],
    takes: Sequence[NDArray[np.int64]],
    shown: NDArray[np.bool_],
) -> UnitFields:
    """Find fields e and activations x >= 0 that explain tagged sequences: ``z_t ~ sum_u x_tu e_u``.

    x_tu is 0 where the sequence of frame t is not tagged with u. Alternating least squares: it begins with the
    projection of each sequence's offsets on its own peak as the activation of all its units, which tells units apart
    by the sequences that show one without the other; from then on by their courses in time, too. Sequences of which
    the tagged units leave much unexplained count less: people show things that nobody tagged.

    Parameters
    ----------
    coordinates : (N, R) array
        Offsets from neutral along the directions of a reduction, m.
    gram : (R, R) array
        Inner products of the directions on this half of the face.
    takes : sequence of S int arrays
        Rows of each sequence.
    shown : (S, A) bool array
        Which units each is tagged with, on this half.

    Raises
    ------
    FitError
        If shapes disagree, or a unit is shown by no sequence.
    """
    n_units = shown.shape[1] if shown.ndim == 2 else 0
    if shown.shape != (len(takes), n_units) or gram.shape != (coordinates.shape[1],) * 2:
        raise FitError(f"units: {len(takes)} sequences, tags {shown.shape}, gram {gram.shape} and rows"
                       f" {coordinates.shape} disagree")  # fmt: skip
    if not shown.any(0).all():
        raise FitError(f"units: {int((~shown.any(0)).sum())} of {n_units} are shown by no sequence")
    z = np.asarray(coordinates, np.float64)
    x = np.zeros((len(z), n_units))
    for rows, units in zip(takes, shown, strict=True):
        part = z[rows]
        peak = part[int(np.argmax(np.einsum("ij,ij->i", part @ gram, part)))]
        energy = float(peak @ gram @ peak)
        if energy > 0:
            x[np.ix_(rows, np.flatnonzero(units))] = np.maximum(part @ (gram @ peak) / energy, 0)[:, None]
    trust = np.zeros(len(z))
    for rows, units in zip(takes, shown, strict=True):
        trust[rows] = 1 / max(int(units.sum()), 1) ** 2
    fields = _best_fields(x, z, trust)
    for _ in range(_ROUNDS):
        products, inner = z @ (gram @ fields.T), fields @ gram @ fields.T
        for rows, units in zip(takes, shown, strict=True):
            which = np.flatnonzero(units)
            if len(which):
                x[np.ix_(rows, which)] = _activations(products[np.ix_(rows, which)], inner[np.ix_(which, which)])
        full = _full(x, takes, shown)
        x /= full
        trust = _trust(z, x, fields * full[:, None], gram, takes)
        fields = _best_fields(x, z, trust)
    return UnitFields(fields, x)


def peaks(activation: NDArray[np.floating], takes: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the largest activation (S, A) in each sequence."""
    return np.stack([np.asarray(activation[rows].max(0), np.float64) for rows in takes])


def alike(fields: NDArray[np.float64], gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines (A, A) between fields on a half of the face, 0 on the diagonal."""
    inner = fields @ gram @ fields.T
    length = np.sqrt(np.maximum(np.diag(inner), np.finfo(float).tiny))
    cosine = inner / length / length[:, None]
    np.fill_diagonal(cosine, 0)
    return np.asarray(cosine)


def _best_fields(x: NDArray[np.float64], z: NDArray[np.float64], trust: NDArray[np.float64]) -> NDArray[np.float64]:
    weighted = x * trust[:, None]
    inner = weighted.T @ x
    inner += np.diag(_FIELD_RIDGE * np.diag(inner) + np.finfo(float).tiny)
    return np.asarray(np.linalg.solve(inner, weighted.T @ z))


def _trust(
    z: NDArray[np.float64],
    x: NDArray[np.float64],
    fields: NDArray[np.float64],
    gram: NDArray[np.float64],
    takes: Sequence[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Return a weight for each row: the less, the more of its sequence the tagged units leave unexplained."""
    rest = z - x @ fields
    energy = np.einsum("ij,ij->i", rest @ gram, rest)
    of_take = np.array([energy[rows].mean() for rows in takes])
    usual = max(float(np.median(of_take)), np.finfo(float).tiny)
    trust = np.zeros(len(z))
    for rows, left in zip(takes, of_take, strict=True):
        trust[rows] = 1 / (1 + left / usual)
    return trust


def _activations(products: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    ridge = _ACTIVATION_RIDGE * max(float(np.diag(inner).mean()), np.finfo(float).tiny)
    found = np.zeros_like(products)
    encode_products(
        lambda part: products[part], inner, found, 0.0, ridge / 2,
        nonnegative=True, sweeps=500, tolerance=1e-6, workers=1,
    )  # fmt: skip
    return found


def _full(x: NDArray[np.float64], takes: Sequence[NDArray[np.int64]], shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    largest = peaks(x, takes)
    full = np.array([np.quantile(largest[shown[:, u], u], FULL_QUANTILE) for u in range(shown.shape[1])])
    return np.where(full > 0, full, 1.0)
