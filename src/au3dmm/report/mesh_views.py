"""Pictures of a head: lit per pixel, coloured by a value per vertex, seen from the front or turned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import eye_distance
from au3dmm.core.raster import render_mesh
from au3dmm.core.shading import Lighting, shade, vertex_normals

FRONT_DEG = 0.0
THREE_QUARTER_DEG = 42.0
"""Turn of the camera to the subject's left; the negative of it is to the right."""
ASPECT = 0.84
"""Width of a picture, in heights."""
CLAY = (0.72, 0.71, 0.69)


def _heat(n: int = 256) -> NDArray[np.float64]:
    """Return colours (n, 3) from skin grey over orange to dark purple: reversed magma, faded into grey at its start.

    Its lightness only falls, so that it reads the same without colour vision and in grey print; it starts light,
    because dark skin shows no shape.
    """
    x = np.linspace(0, 1, n)
    magma = matplotlib.colormaps["magma"](0.9 - 0.78 * x)[:, :3]
    share = np.clip(x / 0.22, 0, 1)[:, None]
    return np.asarray(magma * share + np.array((0.86, 0.86, 0.86)) * (1 - share))


# flatter than the default light, so that the heat map's colours are those of its bar, up to a soft shade
_HEAT_LIGHT = Lighting(direction=(-0.35, 0.55, 0.9), key=0.62, ambient=0.48, ground=0.3, wrap=0.45)
_CLAY_LIGHT = Lighting(direction=(-0.55, 0.6, 0.75), key=0.95, ambient=0.24, ground=0.1, wrap=0.2)
_SUPERSAMPLE = 2
_INSIDE = 0.06  # linear grey of what is seen from behind


@dataclass(frozen=True)
class Framing:
    """What part of space a picture shows.

    Attributes
    ----------
    centre : (3,) array
        Shown in the picture's middle; the camera turns around it, m.
    height_m : float
        From the picture's lower to its upper edge, m.
    """

    centre: NDArray[np.float64]
    height_m: float


def frame_face(landmarks: NDArray[np.floating]) -> Framing:
    """Frame a face, from its chin to above its forehead.

    Parameters
    ----------
    landmarks : (68, 3) array
        m, y up, z out of the face.
    """
    unit = float(eye_distance(landmarks))
    low, high = landmarks[8, 1] - 0.4 * unit, landmarks[17:27, 1].mean() + 0.72 * unit
    ears = landmarks[[0, 16]]
    # turned about a point between the ears, the visible half of the face stays in the picture's middle
    return Framing(np.array([ears[:, 0].mean(), (low + high) / 2, ears[:, 2].mean()]), float(high - low))


def draw_head(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    framing: Framing,
    *,
    turn_deg: float = FRONT_DEG,
    height: int = 300,
    values: NDArray[np.floating] | None = None,
) -> NDArray[np.uint8]:
    """Draw a head by parallel projection, without a background.

    Parameters
    ----------
    vertices : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    framing : Framing
        What part of space is shown.
    turn_deg : float
        How far the camera goes round to the subject's left, degrees.
    height : int
        Of the picture, px; its width is `ASPECT` times that.
    values : (V,) array, optional
        0 to 1 (clipped), looked up in `HEAT` at every pixel; None draws in grey.

    Returns
    -------
    (height, width, 4) uint8 array
        sRGB and opacity (not multiplied).

    Examples
    --------
    >>> corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> draw_head(corner, np.array([[0, 1, 2]]), Framing(np.zeros(3), 1.0), height=4).shape
    (4, 3, 4)
    """
    rotation = Rotation.from_euler("y", -turn_deg, degrees=True).as_matrix()
    width = picture_width(height)
    seen = (vertices - framing.centre) @ rotation.T * (height / framing.height_m)
    places = np.stack([seen[:, 0] + (width - 1) / 2, (height - 1) / 2 - seen[:, 1]], 1)
    # Light is worked out per pixel, from the mean normal and value of what it sees of the skin. Triangles seen from
    # behind, in an open mouth or an eye socket without an eyeball, use a second set of vertices and are drawn dark.
    skin = np.column_stack([vertex_normals(vertices, faces) @ rotation.T, np.ones(len(vertices))])
    if values is not None:
        skin = np.column_stack([skin, np.clip(values, 0, 1)])
    corners = faces + np.where(_seen_from_behind(places, faces), len(vertices), 0)[:, None]
    image, coverage = render_mesh(
        np.tile(places, (2, 1)),
        np.tile(-seen[:, 2], 2),
        corners,
        np.concatenate([skin, np.zeros_like(skin)]),
        height,
        width,
        supersample=_SUPERSAMPLE,
    )
    hit = coverage > 0
    pixels = image[hit].astype(np.float64) / coverage[hit, None]
    share = pixels[:, 3:4]  # of the pixel that is skin
    normals = pixels[:, :3] / np.maximum(np.linalg.norm(pixels[:, :3], axis=1, keepdims=True), 1e-9)
    if values is None:
        light = shade(normals, _linear(np.array(CLAY)), _CLAY_LIGHT)
    else:
        at = pixels[:, 4] / np.maximum(share[:, 0], 1e-9) * (len(HEAT) - 1)
        light = shade(normals, _HEAT_LINEAR[np.clip(np.round(at), 0, len(HEAT) - 1).astype(np.int64)], _HEAT_LIGHT)
    picture = np.zeros((height, width, 4))
    picture[hit, :3] = _encoded(np.clip(share * light + (1 - share) * _INSIDE, 0, 1))
    picture[hit, 3] = coverage[hit]
    return np.asarray(np.round(picture * 255), np.uint8)


def picture_width(height: int) -> int:
    """Return the width of a picture of this height, px."""
    return round(height * ASPECT)


def on_paper(picture: NDArray[np.uint8], paper: tuple[int, int, int] = (255, 255, 255)) -> NDArray[np.uint8]:
    """Lay a picture with opacity (H, W, 4) on a colour; return (H, W, 3)."""
    opacity = picture[..., 3:].astype(np.float64) / 255
    return np.asarray(np.round(picture[..., :3] * opacity + np.array(paper) * (1 - opacity)), np.uint8)


def webp(picture: NDArray[np.uint8], quality: int = 88) -> bytes:
    """Encode a picture (H, W, 4) as WebP, which keeps its opacity and is a tenth of a PNG."""
    bgra = np.ascontiguousarray(picture[..., [2, 1, 0, 3]])
    done, data = cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done, "OpenCV refused a picture that was drawn here"
    return bytes(data.tobytes())


def _seen_from_behind(places: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.bool_]:
    a, b, c = (places[faces[:, i]] for i in range(3))
    # y is down, so triangles that face the camera run clockwise
    return np.asarray((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) > (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))


def _linear(srgb: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4))


def _encoded(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))


HEAT = _heat()
"""(256, 3) sRGB colours of a heat map, from nothing to the largest value."""
_HEAT_LINEAR = _linear(HEAT)
