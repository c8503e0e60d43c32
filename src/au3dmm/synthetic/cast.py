"""The people of a synthetic dataset: each has a face, colours, a lamp and a place before the cameras of their own."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.shading import Lighting
from au3dmm.io.assets import DefaultHead
from au3dmm.synthetic.head_colour import HAIR, IRIS, LIP, SHIRT, SKIN
from au3dmm.synthetic.person import Person, embody, with_eyes, with_neck
from au3dmm.synthetic.render import to_linear, to_srgb
from au3dmm.synthetic.session_setup import Setup

_MOST_UNUSUAL = 2.0
_FACE_BRIGHTNESS = 0.3  # linear
Colour = tuple[int, int, int]
# sRGB, from light to dark
SKINS: tuple[tuple[str, Colour], ...] = (
    ("very light", (240, 206, 186)),
    ("light", (226, 180, 156)),
    ("light brown", (206, 158, 126)),
    ("olive", (190, 148, 112)),
    ("brown", (160, 112, 80)),
    ("dark brown", (122, 82, 58)),
    ("very dark", (98, 66, 50)),
)
HAIRS: tuple[tuple[str, Colour], ...] = (
    ("black", (30, 26, 26)),
    ("dark brown", (62, 44, 36)),
    ("brown", (94, 66, 46)),
    ("fair", (170, 134, 88)),
    ("red", (132, 66, 36)),
    ("grey", (150, 148, 146)),
)
EYES: tuple[tuple[str, Colour], ...] = (
    ("brown", (86, 54, 34)),
    ("dark brown", (52, 34, 26)),
    ("blue", (92, 118, 140)),
    ("green", (98, 116, 84)),
    ("grey", (116, 122, 124)),
)
_DARK_SKIN = 4  # from this one on, hair and eyes are dark


@dataclass(frozen=True)
class Look:
    """What a subject looks like, and how they are lit and filmed.

    Attributes
    ----------
    skin, lips, hair, eyes, shirt : (int, int, int)
        sRGB.
    words : mapping of str to str
        The same for people; not about anybody.
    lighting : Lighting
        The lamp.
    tint : (float, float, float)
        Its colour.
    setup : Setup
        Where the cameras stand.
    """

    skin: Colour
    lips: Colour
    hair: Colour
    eyes: Colour
    shirt: Colour
    words: Mapping[str, str]
    lighting: Lighting
    tint: tuple[float, float, float]
    setup: Setup


def subject_name(number: int) -> str:
    """Return the name of a subject.

    Examples
    --------
    >>> subject_name(0), subject_name(1234)
    ('S001', 'S1235')
    """
    return f"S{number + 1:03d}"


def draw_look(seed: int, number: int, setup: Setup) -> Look:
    """Draw what subject `number` of a dataset looks like; the others do not matter.

    Parameters
    ----------
    seed : int
        Of the dataset.
    number : int
        From 0 on; skins go through the whole range before one comes again.
    setup : Setup
        What all subjects share.
    """
    rng = np.random.default_rng([seed, number, 1])
    rounds, place = divmod(number, len(SKINS))
    kind = int(np.random.default_rng([seed, rounds, 2]).permutation(len(SKINS))[place])
    skin_word, skin = SKINS[kind]
    hair_word, hair = HAIRS[int(rng.integers(2 if kind >= _DARK_SKIN else len(HAIRS)))]
    eyes_word, eyes = EYES[int(rng.integers(2 if kind >= _DARK_SKIN else len(EYES)))]
    skin = _varied(skin, rng, 5)
    # lips are redder and darker than the skin around them, by more or less
    red = np.array([1.0, 0.66, 0.70]) ** rng.uniform(0.6, 1.25)
    lips = _colour(np.array(skin) * rng.uniform(0.82, 0.92) * red)
    shirt = _colour(255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.55), rng.uniform(0.2, 0.6))))
    azimuth, height = np.radians(rng.uniform(-55, 55)), np.radians(rng.uniform(15, 50))
    lighting = Lighting(
        (float(np.sin(azimuth) * np.cos(height)), float(np.sin(height)), float(np.cos(azimuth) * np.cos(height))),
        key=float(rng.uniform(0.5, 0.72)),
        ambient=float(rng.uniform(0.36, 0.5)),
        ground=float(rng.uniform(0.18, 0.28)),
        wrap=float(rng.uniform(0.2, 0.45)),
    )
    warmth = rng.uniform(-0.07, 0.09)
    side = 1.0 if rng.random() < 0.5 else -1.0
    setup = replace(
        setup,
        distance_m=float(rng.uniform(0.38, 0.45)),
        rgb_place_m=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05))),
        rgb_target_m=(float(rng.uniform(-0.02, 0.02)), float(rng.uniform(-0.03, 0.0))),
        event_place_m=(side * float(rng.uniform(0.05, 0.09)), float(rng.uniform(-0.03, 0.04))),
    )
    return Look(
        skin=skin,
        lips=lips,
        hair=_varied(hair, rng, 6),
        eyes=_varied(eyes, rng, 8),
        shirt=shirt,
        words={"skin": skin_word, "hair": hair_word, "eyes": eyes_word},
        lighting=lighting,
        tint=(1.0 + float(warmth), 1.0, 1.0 - float(warmth)),
        setup=setup,
    )


def demo_subject(bases: Bases, head: DefaultHead, look: Look, alpha_id: NDArray[np.float64]) -> Person:
    """Make a person of the embedded head with a look."""
    person = with_eyes(with_neck(embody(bases, recoloured(head, look), alpha_id)), head)
    return exposed(replace(person, lighting=look.lighting, tint=look.tint), head.regions["face"])


def exposed(person: Person, face: NDArray[np.integer]) -> Person:
    """Set the exposure as a camera would: half the way, in stops, to a face of middle brightness.

    Parameters
    ----------
    person : Person
        Under their lamp.
    face : (N,) int array
        Vertices of the skin of the face.
    """
    found = float(person.lit(person.neutral)[face].mean())
    gain = float(np.clip((_FACE_BRIGHTNESS / found) ** 0.5, 0.7, 2.8))
    red, green, blue = person.tint
    return replace(person, tint=(gain * red, gain * green, gain * blue))


def draw_identity(seed: int, number: int, k_id: int) -> NDArray[np.float64]:
    """Draw who subject `number` is, (K_id,): ``alpha_id ~ N(0, 1)`` within 2 standard deviations."""
    rng = np.random.default_rng([seed, number, 3])
    return np.asarray(np.clip(rng.standard_normal(k_id), -_MOST_UNUSUAL, _MOST_UNUSUAL))


def recoloured(head: DefaultHead, look: Look) -> NDArray[np.uint8]:
    """Return the embedded head's colours (V, 3), sRGB, with everything of skin, lips, hair, eyes and shirt replaced.

    A part's shades stay: each of its vertices is multiplied, in linear light, by new over old.
    """
    linear = to_linear(head.albedo)
    part = np.full(len(linear), "skin", dtype="U8")
    for region, name in (
        *(("scalp", "hair"), ("brows", "hair"), ("clothing", "shirt"), ("lips", "lips"), ("inner_mouth", "mouth")),
        *(("teeth", "teeth"), ("left_eyeball", "ball"), ("right_eyeball", "ball")),
    ):
        part[head.regions[region]] = name
    # of the balls only the irises: what is blue rather than white, red or black
    colour = head.albedo.astype(float)
    iris = (part == "ball") & (np.linalg.norm(colour - IRIS, axis=1) < 70)
    part[iris] = "eyes"
    brows = np.zeros(len(part), bool)
    brows[head.regions["brows"]] = True
    new = {"skin": look.skin, "lips": look.lips, "hair": look.hair, "eyes": look.eyes, "shirt": look.shirt}
    old = {"skin": SKIN, "lips": LIP, "hair": HAIR, "eyes": IRIS, "shirt": SHIRT}
    for name, target in new.items():
        here = part == name
        linear[here] *= _linear(target) / _linear(old[name])
    # brows are darker than the skin under them, whatever the hair
    hairy = np.minimum(0.7 * _linear(look.hair), 0.4 * _linear(look.skin))
    shades = to_linear(head.albedo)[brows]
    linear[brows] = shades * hairy / np.median(shades, axis=0)
    linear[part == "mouth"] *= np.minimum(1.0, _linear(look.lips) / _linear(LIP))
    return to_srgb(linear)


def _linear(colour: Colour | NDArray[np.float64]) -> NDArray[np.float64]:
    return to_linear(np.asarray(colour).astype(np.uint8))


def _colour(value: NDArray[np.float64]) -> Colour:
    r, g, b = (int(v) for v in np.clip(np.rint(value), 0, 255))
    return r, g, b


def _varied(colour: Colour, rng: np.random.Generator, by: float) -> Colour:
    return _colour(np.array(colour) + rng.normal(0, by) + rng.normal(0, by / 3, 3))
