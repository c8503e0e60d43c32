"""Pictures of a head: lit per pixel, coloured by a value per vertex, seen from the front or turned."""

from __future__ import annotations

from collections.abc import Sequence
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
_INSIDE = 0.03  # linear grey of what is seen from behind
_HOLE = 0.1  # share of the light in the depth of a nostril
_MARGIN, _FADE = 0.03, 0.1  # of a picture's height


@dataclass(frozen=True)
class Framing:
    """What part of space a picture shows.

    Attributes
    ----------
    centre : (3,) array
        Shown in the picture's middle; the camera turns around it, m.
    height_m, width_m : float
        From the picture's lower to its upper edge, and from its left to its right one, m.
    fade_m : float
        Over this height above the lower edge the head fades out, m; 0 cuts it there.
    """

    centre: NDArray[np.float64]
    height_m: float
    width_m: float
    fade_m: float = 0.0

    def width(self, height: int) -> int:
        """Return the width of a picture of this height, px."""
        return round(height * self.width_m / self.height_m)


def frame_face(landmarks: NDArray[np.floating], *, aspect: float = 0.84) -> Framing:
    """Frame a face, from its chin to above its forehead.

    Parameters
    ----------
    landmarks : (68, 3) array
        m, y up, z out of the face.
    aspect : float
        Width of the picture, in heights.
    """
    unit = float(eye_distance(landmarks))
    low, high = landmarks[8, 1] - 0.4 * unit, landmarks[17:27, 1].mean() + 0.72 * unit
    ears = landmarks[[0, 16]]
    # turned about a point between the ears, the visible half of the face stays in the picture's middle
    height = float(high - low)
    return Framing(np.array([ears[:, 0].mean(), (low + high) / 2, ears[:, 2].mean()]), height, aspect * height)


def frame_heads(heads: NDArray[np.floating], floor_m: float, turns_deg: Sequence[float]) -> Framing:
    """Frame heads so that all of them, above a floor, are whole in a picture of each turn of the camera.

    Pictures of the same heads and floor have one height, and so one scale, whatever their turns.

    Parameters
    ----------
    heads : (N, V, 3) array
        m, y up, z out of the face.
    floor_m : float
        Nothing below it counts, m: of necks and shoulders as much is shown as fits.
    turns_deg : sequence of float
        Turns of the camera, degrees; their mirror images count too.

    Returns
    -------
    Framing
        With a margin at the top and the sides; heads fade out just above the floor.
    """
    points = heads.reshape(-1, 3)
    points = points[points[:, 1] >= floor_m]
    if not len(points):  # a surface so small that the floor is all there is of it
        points = heads.reshape(-1, 3)
    high = float(points[:, 1].max())
    height = (high - floor_m) * (1 + _MARGIN)
    # the widest heads decide: its hull's corners are among those that are farthest out in some direction of x and z
    middle = points[:, [0, 2]].astype(np.float64)
    centre_x = float(middle[:, 0].min() + middle[:, 0].max()) / 2
    turns = np.radians([sign * turn for turn in turns_deg for sign in (1, -1)])
    aside = (middle[:, :1] - centre_x) * np.cos(turns) - middle[:, 1:] * np.sin(turns)
    low, up = aside.min(0), aside.max(0)
    # turned about a point of this depth, both three-quarter views lie in the middle of their pictures
    sines = np.sin(turns)
    depth = float(-((low + up) / 2 @ sines) / (sines @ sines)) if (sines @ sines) > 1e-9 else 0.0
    half = max(float((up + depth * sines).max()), float(-(low + depth * sines).min()))
    centre = np.array([centre_x, floor_m + height / 2, depth])
    return Framing(centre, height, 2 * half + _MARGIN * height, _FADE * height)


def draw_head(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    framing: Framing,
    *,
    turn_deg: float = FRONT_DEG,
    height: int = 300,
    values: NDArray[np.floating] | None = None,
    openness: NDArray[np.floating] | None = None,
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
        Of the picture, px; its width follows from the framing.
    values : (V,) array, optional
        0 to 1 (clipped), looked up in `HEAT` at every pixel; None draws in grey.

    openness : (V,) array, optional
        0 (deep in a hole) to 1, dims the light; see `report.openness`. None lights holes like the rest.

    Returns
    -------
    (height, width, 4) uint8 array
        sRGB and opacity (not multiplied).

    Examples
    --------
    >>> corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> draw_head(corner, np.array([[0, 1, 2]]), Framing(np.zeros(3), 1.0, 0.84), height=4).shape
    (4, 3, 4)
    """
    rotation = turned(turn_deg)
    width = framing.width(height)
    places, depth = project(vertices, framing, turn_deg, height)
    # Light is worked out per pixel, from the mean normal and value of what it sees of the skin. Triangles seen from
    # behind, in an open mouth or an eye socket without an eyeball, use one more vertex of zeros and are drawn dark.
    skin = np.zeros((len(vertices), 6), np.float32)
    skin[:, :3] = vertex_normals(vertices, faces) @ rotation.T
    skin[:, 3] = 1
    skin[:, 4] = 0 if values is None else np.clip(values, 0, 1)
    skin[:, 5] = 1 if openness is None else openness
    behind = _seen_from_behind(places, faces)
    hidden = faces[behind]
    first = len(vertices)
    used, hidden = np.unique(hidden, return_inverse=True)
    corners = np.array(faces, np.int32)
    corners[behind] = hidden.reshape(-1, 3) + first
    image, coverage = render_mesh(
        np.concatenate([places, places[used]]),
        np.concatenate([depth, depth[used]]),
        corners,
        np.concatenate([skin, np.zeros((len(used), 6), np.float32)]),
        height,
        width,
        supersample=_SUPERSAMPLE,
    )
    coverage[_holes(coverage)] = 1  # which nothing is seen in, as in what is seen from behind
    hit = coverage > 0
    pixels = image[hit] / coverage[hit, None]
    share = pixels[:, 3:4]  # of the pixel that is skin
    part = np.maximum(share, 1e-6)
    normals = pixels[:, :3] / np.maximum(np.sqrt(np.einsum("ij,ij->i", pixels[:, :3], pixels[:, :3])), 1e-6)[:, None]
    if values is None:
        light = shade(normals, _linear(np.array(CLAY)), _CLAY_LIGHT)
    else:
        at = np.rint(pixels[:, 4:5] / part * (len(HEAT) - 1)).astype(np.int64)[:, 0]
        light = shade(normals, _HEAT_LINEAR[np.minimum(at, len(HEAT) - 1)], _HEAT_LIGHT)
    light *= _dimmed(pixels[:, 5:] / part)
    picture = np.zeros((height, width, 4), np.uint8)
    picture[hit, :3] = _ENCODED[np.rint(np.clip(share * light + (1 - share) * _INSIDE, 0, 1) * _STEPS).astype(np.int64)]
    picture[..., 3] = np.rint(255 * coverage * _fade(framing, height)[:, None])
    return picture


def turned(turn_deg: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) of a head that a camera sees which goes round to the subject's left by an angle."""
    return np.asarray(Rotation.from_euler("y", -turn_deg, degrees=True).as_matrix())


def project(
    vertices: NDArray[np.floating], framing: Framing, turn_deg: float, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where points (V, 3) are in a picture: (V, 2) px and (V,) depth, px, smaller is nearer."""
    seen = (vertices - framing.centre) @ turned(turn_deg).T * (height / framing.height_m)
    return np.stack([seen[:, 0] + (framing.width(height) - 1) / 2, (height - 1) / 2 - seen[:, 1]], 1), -seen[:, 2]


def on_paper(
    picture: NDArray[np.uint8], paper: tuple[int, int, int] | NDArray[np.uint8] = (255, 255, 255)
) -> NDArray[np.uint8]:
    """Lay a picture with opacity (..., 4) on a colour, or on colours (..., 3); return (..., 3)."""
    opacity = picture[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(picture[..., :3] * opacity + np.asarray(paper, np.float32) * (1 - opacity)), np.uint8)


def webp(picture: NDArray[np.uint8], quality: int = 88) -> bytes:
    """Encode a picture (H, W, 4) as WebP, which keeps its opacity and is a tenth of a PNG."""
    bgra = np.ascontiguousarray(picture[..., [2, 1, 0, 3]])
    done, data = cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done, "OpenCV refused a picture that was drawn here"
    return bytes(data.tobytes())


def _seen_from_behind(places: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.bool_]:
    x, y = places[:, 0][faces.T], places[:, 1][faces.T]
    # y is down, so triangles that face the camera run clockwise
    return np.asarray((x[1] - x[0]) * (y[2] - y[0]) > (y[1] - y[0]) * (x[2] - x[0]))


def _holes(coverage: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels are not (wholly) covered and enclosed by ones that are: eyes and mouths of a mere mask."""
    _, labels = cv2.connectedComponents((coverage < 1).astype(np.uint8), connectivity=4)
    outside = np.zeros(int(labels.max()) + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[edge] = True
    outside[0] = True  # what is covered
    return np.asarray(~outside[labels])


def _dimmed(openness: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the share of light that is left: nearly all of it until a place is enclosed, then little."""
    x = np.clip((openness - 0.12) / 0.4, 0, 1)
    return np.asarray(_HOLE + (1 - _HOLE) * x * x * (3 - 2 * x))


def _fade(framing: Framing, height: int) -> NDArray[np.float64]:
    """Return the opacity of each row."""
    if framing.fade_m <= 0:
        return np.ones(height)
    x = np.clip((height - 0.5 - np.arange(height)) / height * framing.height_m / framing.fade_m, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _linear(srgb: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4))


def _encoded(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))


HEAT = _heat()
"""(256, 3) sRGB colours of a heat map, from nothing to the largest value."""
_HEAT_LINEAR = _linear(HEAT)
_STEPS = 4095  # of linear light; the darkest two differ by 1 in 255
_ENCODED = np.rint(255 * _encoded(np.linspace(0, 1, _STEPS + 1))).astype(np.uint8)
