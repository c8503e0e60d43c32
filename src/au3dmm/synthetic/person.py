"""A synthetic person: a head with an identity that makes expressions, ready to be lit and drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases, deform
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.synthetic.render import ambient_occlusion, light_skin, to_linear

_MOST_UNUSUAL = 1.5  # standard deviations: further out, the parts of a procedural head no longer fit each other


@dataclass(frozen=True)
class Person:
    """Someone to film.

    Attributes
    ----------
    bases : Bases
        What the head is made of.
    alpha_id : (K_id,) array
        Who it is, standard deviations.
    neutral : (V, 3) array
        The neutral head, m.
    albedo : (V, 3) array
        Linear reflectance, 0 to 1.
    openness : (V,) array
        How much of the sky each vertex of the neutral head sees, 0 to 1.
    """

    bases: Bases
    alpha_id: NDArray[np.float64]
    neutral: NDArray[np.float64]
    albedo: NDArray[np.float64]
    openness: NDArray[np.float64]

    def lit(
        self, alpha_au: NDArray[np.floating], rotation: NDArray[np.floating], translation: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the head making an expression, placed in the world: vertices (V, 3), m, and colours (V, 3), linear.

        Parameters
        ----------
        alpha_au : (K_au,) array
            Standard deviations.
        rotation : (3, 3) array
            Mesh to world axes.
        translation : (3,) array
            m
        """
        active = np.flatnonzero(alpha_au)  # an expression moves a few of them
        head = deform(self.neutral, self.bases.components_au[active], alpha_au[active])
        world = head @ rotation.T + translation
        return world, light_skin(world, self.bases.faces, self.albedo, self.openness)


def make_person(bases: Bases, albedo: NDArray[np.uint8], seed: int) -> Person:
    """Make someone up: ``alpha_id ~ N(0, 1)``, clipped at 1.5.

    Parameters
    ----------
    bases : Bases
        The two models.
    albedo : (V, 3) uint8 array
        sRGB reflectance of each vertex.
    seed : int
        Who.

    Raises
    ------
    SchemaError
        If the colours are not one per vertex.
    """
    if albedo.shape != bases.template.shape:
        raise SchemaError(f"person: albedo {albedo.shape} for a head of {bases.template.shape}; expected one shape")
    rng = np.random.default_rng([seed, 3])
    alpha_id = np.clip(rng.standard_normal(bases.k_id), -_MOST_UNUSUAL, _MOST_UNUSUAL)
    neutral = deform(bases.template, bases.components_id, alpha_id)
    return Person(bases, alpha_id, neutral, to_linear(albedo), ambient_occlusion(neutral, bases.faces))


def default_person(seed: int) -> Person:
    """Make someone up out of the embedded head and its demo basis.

    Raises
    ------
    AssetError
        If the embedded files are missing.
    """
    return make_person(read_bases(asset_path(DEMO_BASES)), read_default_head().albedo, seed)
