"""Paint the procedural head: an albedo per vertex, and named regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.synthetic.head_mesh import HeadMesh
from au3dmm.synthetic.head_patches import BORDER_RING, CORNER, EYE_COLUMNS, LINE_RING, MARGIN_RING
from au3dmm.synthetic.head_shape import EYE_CENTRE, Array, bump, sigmoid

SKIN = np.array([226, 180, 156], float)
FLUSH = np.array([214, 138, 118], float)
SHADE = np.array([168, 116, 98], float)
LIP = np.array([190, 112, 102], float)
NOSTRIL = np.array([72, 34, 30], float)
BROW = np.array([84, 60, 46], float)
HAIR = np.array([74, 56, 46], float)
SHIRT = np.array([66, 82, 104], float)
MOUTH = np.array([58, 18, 18], float)
TEETH = np.array([232, 224, 208], float)
SCLERA = np.array([238, 232, 226], float)
IRIS = np.array([92, 118, 128], float)
LIMBUS = np.array([38, 48, 54], float)
PUPIL = np.array([14, 12, 12], float)
LASHES = np.array([70, 46, 40], float)
LID_EDGE = np.array([206, 142, 128], float)


def _blend(colour: Array, target: Array, weight: Array) -> None:
    colour += np.clip(weight, 0, 1)[:, None] * (target - colour)


def paint(mesh: HeadMesh) -> NDArray[np.uint8]:
    """Return the albedo of every vertex, (V, 3) uint8 sRGB.

    Parameters
    ----------
    mesh : HeadMesh
        The neutral head.
    """
    x, y, z = mesh.points.T
    ax = np.abs(x)
    part, ring, column = mesh.part, mesh.ring, mesh.column
    colour = np.tile(SKIN, (len(x), 1))
    front = sigmoid((z - 25) / 8)
    # blood shows in cheeks, nose, ears and around the eyes; a little unevenness keeps it from looking like plastic
    _blend(colour, FLUSH, 0.36 * front * bump(ax, y, 42, -28, 15, 13) + 0.30 * front * bump(ax, y, 6, -36, 10, 9))
    _blend(colour, FLUSH, 0.22 * front * bump(ax, y, 0, -100, 20, 12) + 0.35 * (part == "ear"))
    _blend(colour, SHADE, 0.30 * front * bump(ax, y, 31, 0, 17, 13))
    wobble = np.sin(0.31 * ax + 1.0) * np.sin(0.27 * y) + np.sin(0.17 * ax + 0.23 * y + 0.11 * z + 2.0)
    colour += 2.0 * wobble[:, None] * np.array([1.0, 1.1, 1.0])
    _blend(colour, SHADE, 0.45 * sigmoid((-112 - y) / 3) * sigmoid((y + 150) / 8) * sigmoid((z - 0) / 8))
    _blend(colour, SHADE, 0.55 * ((part == "ear") & (ring <= 1)))
    _blend(colour, BROW, 0.82 * (part == "brow"))
    colour[part == "nostril"] = NOSTRIL
    colour[part == "scalp"] = HAIR
    colour[part == "shirt"] = SHIRT

    is_mouth = part == "mouth"
    red = is_mouth & (ring >= LINE_RING) & (ring <= BORDER_RING)
    above = is_mouth & (column < CORNER)
    colour[red] = LIP * np.where(above[red], 0.90, 1.0)[:, None]
    _blend(colour, MOUTH, 0.55 * (is_mouth & (ring == LINE_RING)) + 1.0 * (is_mouth & (ring < LINE_RING)))
    _blend(colour, LIP, 0.6 * (is_mouth & (ring == LINE_RING - 1)))
    cap = is_mouth & (ring < 0)
    colour[cap] = MOUTH * 0.5
    colour[is_mouth & (ring == 0)] = MOUTH * 0.5

    is_lid = part == "eye"
    top = is_lid & (column > 1) & (column < EYE_COLUMNS // 2)
    _blend(colour, LASHES, 0.85 * (top & (ring == MARGIN_RING)))
    _blend(colour, LID_EDGE, 0.8 * (is_lid & ~(top & (ring == MARGIN_RING)) & (ring <= MARGIN_RING)))
    _blend(colour, SHADE, 0.35 * (top & (ring == MARGIN_RING + 4)))

    ball = part == "eyeball"
    off = mesh.points - np.where(x[:, None] > 0, EYE_CENTRE, EYE_CENTRE * [-1, 1, 1])
    angle = np.arccos(np.clip(off[:, 2] / np.maximum(np.linalg.norm(off, axis=1), 1e-9), -1, 1))
    colour[ball] = SCLERA
    _blend(colour, SHADE, ball * 0.30 * sigmoid((off[:, 1] - 4.0) / 1.0))  # the upper lid's shadow
    _blend(colour, FLUSH, ball * 0.35 * sigmoid((np.abs(off[:, 0]) - 9.5) / 1.0))
    colour[ball & (ring <= 4) & (ring >= 0)] = IRIS
    _blend(colour, LIMBUS, 0.75 * (ball & (ring == 4)) + 0.2 * (ball & (ring == 2)))
    colour[ball & (angle < np.deg2rad(10.5))] = PUPIL
    colour[np.char.startswith(part, "teeth")] = TEETH
    return np.asarray(np.clip(np.round(colour), 0, 255).astype(np.uint8))


def make_regions(mesh: HeadMesh) -> dict[str, NDArray[np.int32]]:
    """Return vertex indices by name: eyes, brows, nose, mouth, and what lies around the face."""
    part, ring, column = mesh.part, mesh.ring, mesh.column
    x, y, z = mesh.points.T
    skin = np.isin(part, ["skin", "brow", "nostril"])
    neck = skin & (y < -105) & (z < np.interp(y, [-135, -122, -105], [60, 30, 0]))
    lips = (part == "mouth") & (ring >= LINE_RING) & (ring <= BORDER_RING)
    lid = (part == "eye") & (ring <= MARGIN_RING + 4)
    above = (column > 0) & (column < EYE_COLUMNS // 2)
    masks = {
        "left_eyeball": (part == "eyeball") & (x > 0),
        "right_eyeball": (part == "eyeball") & (x < 0),
        "upper_lids": lid & above,
        "lower_lids": lid & (column > EYE_COLUMNS // 2),
        "brows": part == "brow",
        "nostrils": part == "nostril",
        "lips": lips,
        "upper_lip": lips & (column < CORNER),
        "lower_lip": lips & (column > CORNER),
        "inner_mouth": (part == "mouth") & (ring < LINE_RING),
        "teeth": np.char.startswith(part, "teeth"),
        "ears": part == "ear",
        "scalp": part == "scalp",
        "clothing": part == "shirt",
        "neck": neck,
        "face": (skin & ~neck & (z > 0)) | lips | (part == "eye") | ((part == "mouth") & (ring > BORDER_RING)),
    }
    return {name: np.flatnonzero(mask).astype(np.int32) for name, mask in masks.items()}
