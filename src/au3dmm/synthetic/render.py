"""Pictures of a synthetic head: cameras, skin under soft light, and a background.

World axes are the mesh's (x right, y up, z towards the RGB camera), m; the origin is where the head rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import zoom

from au3dmm.core.camera import Pose, from_plane, principal_point
from au3dmm.core.raster import MeshPainter, rasterise
from au3dmm.core.shading import Lighting, shade, vertex_normals

STUDIO = Lighting(direction=(-0.55, 0.55, 0.75), key=0.62, ambient=0.42, ground=0.22, wrap=0.35)
_SHEEN, _SHEEN_POWER = 0.05, 24.0
_STEPS = 1 << 14


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    Attributes
    ----------
    width, height : int
        px
    focal_px : float
        px
    position : (3,) array
        In the world, m.
    rotation : (3, 3) array
        World to camera axes (x right, y up, z backwards).
    """

    width: int
    height: int
    focal_px: float
    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    def scaled(self, factor: float) -> View:
        """Return the same view with `factor` times as many pixels along each side."""
        width, height = round(self.width * factor), round(self.height * factor)
        return View(width, height, self.focal_px * factor, self.position, self.rotation)

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project world points (N, 3), m: return image points (N, 2), px with y down, and distances (N,), m."""
        seen = (points - self.position) @ self.rotation.T
        distance = -seen[:, 2]
        plane = self.focal_px * seen[:, :2] / distance[:, None]
        return from_plane(plane, principal_point(self.width, self.height)), distance

    def head_pose(self, rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> Pose:
        """Return heads placed at `rotation` (T, 3, 3), `translation` (T, 3) in the world as poses of this camera."""
        seen = (translation - self.position) @ self.rotation.T
        scale = self.focal_px / -seen[:, 2]
        return Pose(self.rotation @ rotation, scale, scale[:, None] * seen[:, :2])


def look_at(target: ArrayLike, position: ArrayLike, roll_rad: float = 0.0) -> NDArray[np.float64]:
    """Return world to camera axes of a camera at `position` that looks at `target`, turned by `roll_rad`."""
    back = np.asarray(position, np.float64) - np.asarray(target, np.float64)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    return np.asarray(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ np.stack([right, np.cross(back, right), back]))


def ambient_occlusion(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], n_directions: int = 64, size: int = 384
) -> NDArray[np.float64]:
    """Return how much of the sky each vertex sees, from depth pictures out of many directions.

    Parameters
    ----------
    vertices : (V, 3) array
        m
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    n_directions : int
        Directions, evenly over the sphere (a Fibonacci lattice).
    size : int
        Side of a depth picture, px.

    Returns
    -------
    (V,) array
        0 (a pit) to 1 (open), the directions weighted by the cosine to the normal.
    """
    normals = vertex_normals(vertices, faces)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - centre, axis=1).max())
    k = np.arange(n_directions) + 0.5
    z, turn = 1 - 2 * k / n_directions, np.pi * (1 + np.sqrt(5)) * k
    directions = np.stack([np.sqrt(1 - z * z) * np.cos(turn), z, np.sqrt(1 - z * z) * np.sin(turn)], 1)
    open_sky = np.zeros(len(vertices))
    weight = np.zeros(len(vertices))
    for direction in directions:
        axes = look_at((0.0, 0.0, 0.0), direction)
        seen = (vertices - centre) @ axes.T
        px = (seen[:, :2] * [1, -1] / radius + 1) * (size - 1) / 2
        depth = rasterise(px, -seen[:, 2], faces, size, size).depth
        column, row = np.clip(np.rint(px).astype(int), 0, size - 1).T
        # the surface itself, sloping across a pixel or two, must not count as a shadow
        visible = -seen[:, 2] < depth[row, column] + 2 * 2 * radius / size
        cosine = np.maximum(0, normals @ direction)
        open_sky += cosine * visible
        weight += cosine
    return np.asarray(open_sky / np.maximum(weight, 1e-9))


def light_skin(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    albedo: NDArray[np.floating],
    openness: NDArray[np.floating],
    lighting: Lighting = STUDIO,
    white: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return vertex colours of a lit head: matt, a faint sheen, and darker where the sky does not reach.

    Parameters
    ----------
    vertices : (V, 3) array
        In the world, m.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    albedo : (V, C) array
        Linear reflectance, 0 to 1, under the light's colour.
    openness : (V,) array
        From `ambient_occlusion`.
    lighting : Lighting
        World axes.
    white : (C,) array, optional
        The light's colour; None means 1.

    Returns
    -------
    (V, C) array
        Linear brightness.
    """
    normals = vertex_normals(vertices, faces)
    direction = np.asarray(lighting.direction) / np.linalg.norm(lighting.direction)
    half = direction + (0.0, 0.0, 1.0)
    sheen = _SHEEN * np.maximum(0, normals @ (half / np.linalg.norm(half))) ** _SHEEN_POWER
    shadow = openness[:, None]
    return np.asarray(shadow * (shade(normals, albedo, lighting) + sheen[:, None] * (1.0 if white is None else white)))


class ViewPainter:
    """Draws a lit mesh over a background as a camera sees it, picture after picture.

    Parameters
    ----------
    view : View
        The camera; the whole mesh must lie in front of it.
    faces : (F, 3) int array
        Triangles.
    n_vertices : int
        Of the mesh.
    background : (H, W, C) array
        Linear brightness.
    """

    def __init__(
        self, view: View, faces: NDArray[np.integer], n_vertices: int, background: NDArray[np.floating]
    ) -> None:
        self._view = view
        self.background = np.asarray(background, np.float32)
        channels = self.background.shape[2]
        self._painter = MeshPainter(faces, n_vertices, view.height, view.width, channels, cull_back=True)

    def window(
        self, vertices: NDArray[np.floating], colours: NDArray[np.floating]
    ) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
        """Draw vertices (V, 3), m, in colours (V, C): return which rows and columns show the mesh, and those."""
        px, distance = self._view.project(vertices)
        drawing = self._painter.draw(px, -1 / distance, colours)
        return drawing.window, drawing.image + (1 - drawing.coverage[..., None]) * self.background[drawing.window]

    def picture(self, vertices: NDArray[np.floating], colours: NDArray[np.floating]) -> NDArray[np.float32]:
        """Draw vertices (V, 3), m, in colours (V, C): return the whole picture (H, W, C), linear brightness."""
        image = self.background.copy()
        window, drawn = self.window(vertices, colours)
        image[window] = drawn
        return image


def soft_background(width: int, height: int, seed: int) -> NDArray[np.float32]:
    """Return an out-of-focus room (H, W, 3), linear brightness: a gradient, broad blots and a few soft panels."""
    rng = np.random.default_rng([seed, 2])
    coarse = rng.uniform(-1, 1, (5, 7, 3))
    # enlarging is linear: one matrix for rows and one for columns do it in no time
    down, across = (
        zoom(np.eye(n), (to / n, 1), order=3, mode="nearest", grid_mode=True) for n, to in ((5, height), (7, width))
    )
    blots = np.einsum("yi,ijc,xj->yxc", down, coarse, across, optimize=True).astype(np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    wall = (0.22 - 0.1 * y) * np.array([0.78, 0.95, 1.1], np.float32) * (1 + 0.12 * blots)
    for left, right, gain in ((0.02, 0.17, 1.5), (0.83, 0.97, 0.55)):
        edge = 1 / (1 + np.exp(-(x - left) * 90)) / (1 + np.exp((x - right) * 90))
        wall = wall * (1 + (gain - 1) * edge)
    return np.asarray(np.clip(wall, 0.01, 1), np.float32)


def to_linear(srgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Turn sRGB bytes into linear brightness, 0 to 1 (IEC 61966-2-1)."""
    c = srgb / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: NDArray[np.floating], noise: NDArray[np.floating] | None = None) -> NDArray[np.uint8]:
    """Turn linear brightness into sRGB bytes, with noise (grey levels, as many values) added to them.

    Examples
    --------
    >>> to_srgb(np.array([0.0, 0.2140, 1.0, 7.0]))
    array([  0, 127, 255, 255], dtype=uint8)
    """
    light = np.ascontiguousarray(linear, np.float32)
    srgb = np.empty(light.shape, np.uint8)
    grain = np.zeros(0, np.float32) if noise is None else np.ascontiguousarray(noise, np.float32)
    _develop(light.reshape(-1), grain.reshape(-1), _srgb_table(), srgb.reshape(-1))
    return srgb


@njit(cache=True, nogil=True)
def _develop(light, noise, table, srgb):  # type: ignore[no-untyped-def]
    # the curve from a table of 16384 steps, a twentieth of a grey level where it is steepest
    top = np.float32(len(table) - 1)
    for i in range(len(srgb)):
        level = table[int(min(max(light[i], np.float32(0)), np.float32(1)) * top + np.float32(0.5))]
        if len(noise) > 0:
            level += noise[i]
        srgb[i] = np.uint8(min(max(np.rint(level), np.float32(0)), np.float32(255)))


@cache
def _srgb_table() -> NDArray[np.float32]:
    c = np.arange(_STEPS + 1) / _STEPS
    return np.asarray(
        255 * np.where(c <= 0.0031308, 12.92 * c, 1.055 * np.maximum(c, 1e-9) ** (1 / 2.4) - 0.055), np.float32
    )
