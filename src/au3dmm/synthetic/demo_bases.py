"""Make the demonstration bases of the procedural head: identity components and action units, for trying out."""

from __future__ import annotations

import numpy as np

from au3dmm.core.basis import Bases
from au3dmm.core.intensities import Intensities, intensity_names, number_of, unit_of
from au3dmm.core.landmarks import landmark_positions
from au3dmm.core.regions import vertex_sides
from au3dmm.synthetic.head import Head
from au3dmm.synthetic.head_identity import make_proportions
from au3dmm.synthetic.head_motion import make_action_units
from au3dmm.synthetic.head_shape import Array

K_ID = 22
POPULATION = 400
ROUND_M = 1e-7
"""Components are rounded to this, m: far below any landmark's noise, and it compresses well."""
MAXIMAL = 3.0
"""Coefficient of a maximal contraction, which has intensity 5."""
_MIDDLE_M = 0.02
PROVENANCE = (
    "procedural head and FACS-like fields made of formulas by au3dmm.synthetic.make_assets; no scans, no FLAME;"
    " for trying out only"
)


def make_demo_bases(head: Head, seed: int = 0) -> Bases:
    """Make bases with the default head as template.

    Identity components are the principal components of a seeded population of parametric heads, drawn in mirror
    pairs (p and -p) so that its mean is the default head; each is stored times its standard deviation. Action units
    are the fields of `head_motion`, alpha = 1 being a moderate and 3 a maximal contraction.

    Parameters
    ----------
    head : Head
        The default head.
    seed : int
        Seed of the population.

    Returns
    -------
    Bases
        With ``basis_kind = "demo"``.
    """
    proportions = np.stack(list(make_proportions(head.mesh).values())) * 1e-3
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((POPULATION // 2, len(proportions)))
    people = np.concatenate([draws, -draws])
    flat = proportions.reshape(len(proportions), -1)
    # the population lies in the span of a few fields: its PCA is that of its covariance in an orthonormal basis of it
    basis, factor = np.linalg.qr(flat.T)
    codes = people @ factor.T
    _, singular, directions = np.linalg.svd(codes / np.sqrt(len(codes) - 1), full_matrices=False)
    stddev = singular[:K_ID]
    components = _signed(directions[:K_ID] @ basis.T) * stddev[:, None]
    units = make_action_units(head.mesh)
    components_au = _rounded(np.stack(list(units.values())) * 1e-3)
    components_id = _rounded(components.reshape(K_ID, -1, 3))
    return Bases(
        template=head.vertices,
        faces=head.faces,
        components_id=components_id,
        components_au=components_au,
        stddev_id=np.linalg.norm(components_id, axis=(1, 2)),
        stddev_au=np.linalg.norm(components_au, axis=(1, 2)),
        embedding=head.embedding,
        names_au=tuple(units),
        intensities=_intensities(head, tuple(units), components_au),
        info={
            "basis_kind": "demo",
            "is_flame_topology": False,
            "licence": "Apache-2.0",
            "provenance": PROVENANCE,
            "seed": seed,
        },
    )


def _intensities(head: Head, names: tuple[str, ...], components: Array) -> Intensities:
    """Read each unit off its own components: there is nothing to learn where the fields are known."""
    units = tuple(sorted({unit_of(name) for name in names}, key=lambda unit: (number_of(unit), unit)))
    marks = landmark_positions(head.vertices, head.faces, head.embedding)
    left = np.clip(0.5 + vertex_sides(head.vertices, marks) / _MIDDLE_M, 0, 1)
    own = np.array([[unit_of(name) == unit for name in names] for unit in units], np.float64)
    flat = components.reshape(len(components), -1)
    fields = MAXIMAL * own @ flat
    masks = [np.repeat(half, 3) for half in (left, 1 - left)]
    n = len(intensity_names(units))
    return Intensities(
        units,
        np.stack([(fields * mask) @ fields.T for mask in masks]),
        np.stack([(fields * mask) @ flat.T for mask in masks]),
        np.zeros((n, 2)),
        np.ones(n),
    )


def _signed(rows: Array) -> Array:
    """Turn each row so that its largest entry is positive: a principal component's sign is arbitrary."""
    largest = np.argmax(np.abs(rows), axis=1)
    return np.asarray(rows * np.sign(rows[np.arange(len(rows)), largest])[:, None])


def _rounded(components: Array) -> Array:
    return np.asarray(np.round(components / ROUND_M) * ROUND_M + 0.0)
