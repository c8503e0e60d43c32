"""A synthetic person: a head with an identity that makes expressions, ready to be lit and drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import Bases, deform
from au3dmm.core.landmarks import landmark_positions
from au3dmm.core.shading import Lighting
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, DefaultHead, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.synthetic.motion import MOST
from au3dmm.synthetic.render import STUDIO, ambient_occlusion, light_skin, to_linear

_MOST_UNUSUAL = 1.5  # standard deviations: further out, the parts of a procedural head no longer fit each other
_RETREAT_M = 1.6e-3
# below the chin: where the neck begins to stay behind when the head turns, and where it stays altogether, m
_NECK_TOP_M, _NECK_BOTTOM_M = 0.012, 0.085
_PIVOT_M = (0.0, -0.09, -0.03)
_CHIN = 8


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
    follows : (V,) array
        How far each vertex goes with the head's turns: 1 on the head, 0 on the shoulders.
    pivot : (3,) array
        Where the head turns about, m.
    eyeballs : tuple of (str, (N,) int array)
        Action unit that closes an eye, and the vertices of its ball. They draw back by 1.6 mm under the closing lid,
        which in some people would not cover them otherwise: motion that no basis holds, and nobody sees.
    lighting : Lighting
        World axes.
    tint : (3,) array
        Colour of the light: red, green, blue.
    """

    bases: Bases
    alpha_id: NDArray[np.float64]
    neutral: NDArray[np.float64]
    albedo: NDArray[np.float64]
    openness: NDArray[np.float64]
    follows: NDArray[np.float64]
    pivot: NDArray[np.float64]
    eyeballs: tuple[tuple[str, NDArray[np.int32]], ...] = ()
    lighting: Lighting = STUDIO
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def head(self, alpha_au: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the head (V, 3), m, with an expression of `alpha_au` (K_au,) standard deviations."""
        head = self.neutral.copy()
        for k in np.flatnonzero(alpha_au):  # an expression moves a few of them
            head += alpha_au[k] * self.bases.components_au[k]
        for unit, ball in self.eyeballs:
            head[ball, 2] -= _RETREAT_M * min(1.0, alpha_au[self.bases.names_au.index(unit)] / MOST)
        return head

    def placed(
        self, alpha_au: NDArray[np.floating], rotation_vector: NDArray[np.floating], shift: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return the head making an expression, turned and moved: vertices (V, 3) in the world, m.

        Parameters
        ----------
        alpha_au : (K_au,) array
            Standard deviations.
        rotation_vector : (3,) array
            rad, about the pivot; `head_place` says where the head's origin comes to lie.
        shift : (3,) array
            m
        """
        p = self.head(alpha_au) - self.pivot
        turned = p @ Rotation.from_rotvec(rotation_vector).as_matrix().T
        angle = float(np.linalg.norm(rotation_vector))
        bends = self.follows < 1
        if angle > 0 and bends.any():
            # Rodrigues: below the chin each vertex turns by its share of the angle
            axis, neck, share = np.asarray(rotation_vector) / angle, p[bends], angle * self.follows[bends, None]
            along = (neck @ axis)[:, None] * axis
            turned[bends] = along + np.cos(share) * (neck - along) + np.sin(share) * np.cross(axis, neck)
        return np.asarray(turned + self.pivot + self.follows[:, None] * shift)

    def head_place(self, rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the origin of heads comes to lie that are turned by (T, 3, 3) and moved by (T, 3): (T, 3), m."""
        return np.asarray(self.pivot - rotation @ self.pivot + shift)

    def lit(self, vertices: NDArray[np.floating], channels: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """Return the colours of the placed head, linear brightness.

        Parameters
        ----------
        vertices : (V, 3) array
            In the world, m.
        channels : (3,) array, optional
            Weights of red, green and blue; None keeps them apart.

        Returns
        -------
        (V, 3) or (V, 1) array
        """
        if channels is None:
            albedo, white = self.albedo * self.tint, np.asarray(self.tint)
        else:
            albedo, white = self._grey(channels), np.array([self.tint @ channels])
        return light_skin(vertices, self.bases.faces, albedo, self.openness, self.lighting, white)

    def beyond_basis(self) -> list[str]:
        """Say in words which motion the truth's coefficients and poses leave out."""
        left_out = []
        if (self.follows < 1).any():
            left_out.append("the neck bends and the shoulders stay: the pose is that of the head, from the chin up")
        if self.eyeballs:
            left_out.append(f"eyeballs draw back by up to {1e3 * _RETREAT_M:.1f} mm under closing lids")
        return left_out

    def _grey(self, channels: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray((self.albedo * self.tint) @ channels)[:, None]


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
    rng = np.random.default_rng([seed, 3])
    alpha_id = np.clip(rng.standard_normal(bases.k_id), -_MOST_UNUSUAL, _MOST_UNUSUAL)
    return embody(bases, albedo, alpha_id)


def embody(bases: Bases, albedo: NDArray[np.uint8], alpha_id: NDArray[np.float64]) -> Person:
    """Make the person with these colours and identity; head and shoulders turn as one.

    Raises
    ------
    SchemaError
        If the colours are not one per vertex.
    """
    if albedo.shape != bases.template.shape:
        raise SchemaError(f"person: albedo {albedo.shape} for a head of {bases.template.shape}; expected one shape")
    neutral = deform(bases.template, bases.components_id, alpha_id)
    openness = ambient_occlusion(neutral, bases.faces)
    return Person(bases, alpha_id, neutral, to_linear(albedo), openness, np.ones(len(neutral)), np.zeros(3))


def with_neck(person: Person) -> Person:
    """Let the head turn on its neck: shoulders stay, and the neck bends; up from the chin nothing changes."""
    chin = landmark_positions(person.bases.template, person.bases.faces, person.bases.embedding)[_CHIN, 1]
    below = chin - person.bases.template[:, 1]
    share = np.clip((_NECK_BOTTOM_M - below) / (_NECK_BOTTOM_M - _NECK_TOP_M), 0, 1)
    return replace(person, follows=share * share * (3 - 2 * share), pivot=np.array(_PIVOT_M))


def default_person(seed: int) -> Person:
    """Make someone up out of the embedded head and its demo basis.

    Raises
    ------
    AssetError
        If the embedded files are missing.
    """
    head = read_default_head()
    return with_eyes(with_neck(make_person(read_bases(asset_path(DEMO_BASES)), head.albedo, seed)), head)


def with_eyes(person: Person, head: DefaultHead) -> Person:
    """Let the balls of the embedded head draw back under closing lids."""
    sides = (("AU43_left", "left_eyeball"), ("AU43_right", "right_eyeball"))
    return replace(person, eyeballs=tuple((unit, head.regions[region]) for unit, region in sides))
