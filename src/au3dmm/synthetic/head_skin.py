"""Spread the vertices of the procedural head's skin: on lines where colours or features change, and evenly between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

from au3dmm.synthetic.head_patches import Patch
from au3dmm.synthetic.head_shape import Array, Skin, bump, sigmoid

Label = NDArray[np.str_]

# Control points of the hairline on the subject's left, from the forehead over the temple and behind the ear to the
# nape, mm. What the ear hides need not be right.
# fmt: off
HAIRLINE = np.array([
    [0, 70, 68], [25, 70, 64], [45, 66, 51], [58, 55, 43], [64, 40, 36], [68, 22, 24], [70, 4, 14], [71, -15, 8],
    [71, -23, 1], [71, -15, -12], [71, -10, -25], [71, -18, -38], [68, -34, -50], [60, -53, -62],
    [40, -67, -76], [0, -72, -84],
], float)
# fmt: on
BROW_X = np.array([10.0, 14, 24, 38, 46, 57])
BROW_Y = np.array([20.6, 21.5, 24.3, 26.4, 24.5, 17.6])
BROW_HALF = np.array([1.9, 2.8, 3.1, 2.5, 2.1, 1.3])
COLLAR_SHARE = 0.870
"""Where the clothing begins, as a share of the way (in t) from the crown to the chest."""


@dataclass(frozen=True)
class SkinVertices:
    """Skin vertices of the left half: (azimuth, t) and a label each; the rims of the patches come first.

    Labels: ``skin brow nostril scalp shirt``.
    """

    q: Array
    label: Label
    eye_rim: Array
    mouth_rim: Array

    @property
    def n_rim(self) -> int:
        """Number of vertices at the start that belong to the patches."""
        return len(self.eye_rim) + len(self.mouth_rim)


def spacing(points: Array) -> Array:
    """Return the wanted distance between skin vertices at points (N, 3), (N,) mm."""
    x, y, z = points.T
    ax = np.abs(x)
    front = sigmoid((z - 15) / 8) * sigmoid((y + 118) / 4) * sigmoid((78 - y) / 4)
    face = 6.2 - 2.4 * bump(ax, y, 0, -40, 40, 45)
    face -= 2.9 * bump(ax, y, 10, -42, 9, 7) + 1.2 * bump(ax, y, 0, -14, 10, 16)
    face -= 1.6 * bump(ax, y, 34, 23, 22, 6)
    rest = 12.0 + 4 * sigmoid((-160 - y) / 10) + 4 * sigmoid((-z - 60) / 20)
    return np.asarray(np.maximum(front * face + (1 - front) * rest, 2.0))


def inside(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Return which of (N, 2) points lie inside a polygon (M, 2), by counting crossings.

    Examples
    --------
    >>> inside(np.array([[0.5, 0.5], [2.0, 0.5]]), np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]))
    array([ True, False])
    """
    x, y = points[:, :1], points[:, 1:]
    x0, y0 = polygon.T
    x1, y1 = np.roll(polygon, -1, axis=0).T
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    return np.asarray((crosses & (x < x0 + (y - y0) * (x1 - x0) / rise)).sum(1) % 2 == 1)


def nostril(scale: float) -> Array:
    """Return the rim of the left nostril made larger by `scale`, (10, 2) mm, frontal."""
    angle = np.arange(10) * np.pi / 5
    x, y, turn = 3.3 * scale * np.cos(angle), 1.5 * scale * np.sin(angle), np.deg2rad(12)
    return np.stack([6.5 + np.cos(turn) * x - np.sin(turn) * y, -45.2 + np.sin(turn) * x + np.cos(turn) * y], -1)


def brow_rows() -> Array:
    """Return five rows of places along the left eyebrow, (5, 23, 2) mm, frontal; the middle three are hair."""
    x = np.linspace(BROW_X[0], BROW_X[-1], 23)
    middle = np.stack([x, PchipInterpolator(BROW_X, BROW_Y)(x)], -1)
    across = np.gradient(middle, axis=0)[:, ::-1] * [-1, 1]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    half = np.interp(x, BROW_X, BROW_HALF)
    beside = 1.3  # mm of skin, so that the edge is crisp
    return np.stack([middle + across * d[:, None] for d in (half + beside, half, 0 * half, -half, -half - beside)])


def _brow_ends() -> Array:
    rows = brow_rows()[1:4]
    return np.concatenate([rows[:, 0] + [-1.4, 0], rows[:, -1] + [0.9, -1.3]])


def hairline(skin: Skin) -> Array:
    """Return the hairline as a fine curve (N, 2) of (azimuth, t) from the forehead to the nape."""
    a, t = np.meshgrid(np.linspace(0, np.pi, 400), np.linspace(0, skin.loft.t_end, 500), indexing="ij")
    grid = np.stack([a.ravel(), t.ravel()], -1)
    _, nearest = cKDTree(skin.loft.points(*grid.T)).query(HAIRLINE)
    knots = grid[nearest]
    knots[0, 0], knots[-1, 0] = 0.0, np.pi
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(HAIRLINE, axis=0), axis=1))])
    return np.asarray(CubicSpline(way, knots)(np.linspace(0, way[-1], 2000)))


def place_along(skin: Skin, curve: Array, scale: float = 1.0) -> Array:
    """Place vertices by `spacing` along a fine curve (N, 2) of (azimuth, t); both ends are included."""
    p = skin.points(*curve.T)
    step = np.linalg.norm(np.diff(p, axis=0), axis=1)
    count = np.concatenate([[0], np.cumsum(step / (scale * spacing(0.5 * (p[1:] + p[:-1]))))])
    at = np.linspace(0, count[-1], max(2, round(count[-1]) + 1))
    return np.stack([np.interp(at, count, curve[:, k]) for k in (0, 1)], -1)


def _pair(skin: Skin, curve: Array, offset: float) -> list[tuple[str, Array]]:
    """Place two parallel rows of vertices `offset` mm either side of a curve that ends on the midline."""
    tangent = np.gradient(curve, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    knots_t, knots_s = skin.loft.t_knots, skin.loft.s_knots
    mm_per_unit = np.interp(curve[:, 1], knots_t, np.gradient(knots_s, knots_t))
    sideways = (offset / mm_per_unit)[:, None] * np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    sideways[[0, -1], 0] = 0.0
    # both rows have their vertices abreast, so that the triangles between them do not cross the line
    place = place_along(skin, curve, 0.4)
    nearest = ((curve[None] - place[:, None]) ** 2).sum(-1).argmin(1)
    return [("skin", place + sideways[nearest]), ("skin", place - sideways[nearest])]


def _fixed(skin: Skin, eye: Patch, mouth: Patch, back_scale: float) -> SkinVertices:
    """Place the vertices on lines; one too close to an earlier one is left out."""
    eye_rim = skin.parameters(eye.points[eye.grid[-1], :2])
    mouth_rim = skin.parameters(mouth.points[mouth.grid[-1], :2])
    mouth_rim[[0, -1], 0] = 0.0
    t = np.linspace(0, skin.loft.t_end, 4000)
    a = np.linspace(0, np.pi, 2000)
    front = np.stack([0 * t, t], -1)
    collar = np.stack([a, np.full_like(a, COLLAR_SHARE * skin.loft.t_end)], -1)
    rows = [skin.parameters(row) for row in brow_rows()]
    lines: list[tuple[str, Array]] = [
        ("skin", eye_rim),
        ("skin", mouth_rim),
        ("skin", np.stack([np.linspace(0, np.pi, 8), np.zeros(8)], -1)),  # around the crown
        ("skin", place_along(skin, np.stack([a, np.full_like(a, skin.loft.t_end)], -1))),
        *[("brow" if 0 < i < 4 else "skin", row) for i, row in enumerate(rows)],
        ("skin", skin.parameters(_brow_ends())),
        ("nostril", np.concatenate([skin.parameters(nostril(0.62)), skin.parameters(nostril(0.01)[:1])])),
        ("skin", skin.parameters(nostril(1.15))),
        *_pair(skin, collar, 1.0),
        *_pair(skin, hairline(skin), 1.3),
        ("skin", place_along(skin, front[t <= mouth_rim[0, 1]])),
        ("skin", place_along(skin, front[t >= mouth_rim[-1, 1]])),
        ("skin", place_along(skin, np.stack([np.full_like(t, np.pi), t], -1), back_scale)),
    ]
    q = np.concatenate([line for _, line in lines])
    label = np.concatenate([np.full(len(line), name, dtype="<U8") for name, line in lines])
    p = skin.points(*q.T)
    wanted = 0.4 * spacing(p)
    keep = np.ones(len(q), bool)
    structured = sum(len(line) for _, line in lines[:-3])  # rows laid out with care are never thinned
    for i in range(structured, len(q)):
        others = np.flatnonzero(keep[:i])
        keep[i] = bool((np.linalg.norm(p[others] - p[i], axis=1) > wanted[i]).all())
    return SkinVertices(q[keep], label[keep], eye_rim, mouth_rim)


def _relax(skin: Skin, fixed: Array, holes: list[Array], n_free: int, seed: int) -> Array:
    """Spread `n_free` vertices (azimuth, t) by `spacing` among `fixed` ones: Lloyd's algorithm on samples."""
    rng = np.random.default_rng(seed)
    q = rng.uniform([0, 0], [np.pi, skin.loft.t_end], (250_000, 2))
    h = 1e-4
    p = skin.points(*q.T)
    da, dt = (skin.points(q[:, 0] + h, q[:, 1]) - p) / h, (skin.points(q[:, 0], q[:, 1] + h) - p) / h
    weight = np.linalg.norm(np.cross(da, dt), axis=1) / spacing(p) ** 2
    for hole in holes:
        weight[inside(q, hole)] = 0
    picked = rng.choice(len(q), 60_000, p=weight / weight.sum())
    samples, places = q[picked], p[picked]
    # in two dimensions Lloyd's centres have the square root of the density: weigh samples by it once more
    mass = 1 / spacing(places) ** 2
    fixed_places = skin.points(*fixed.T)
    free = samples[rng.choice(len(samples), n_free, replace=False)]
    for _ in range(45):
        centres = np.concatenate([fixed_places, skin.points(*free.T)])
        _, owner = cKDTree(centres).query(places)
        owner = owner - len(fixed)
        mine = owner >= 0
        total = np.bincount(owner[mine], mass[mine], n_free)[:, None]
        moment = np.stack([np.bincount(owner[mine], (mass * samples[:, k])[mine], n_free) for k in (0, 1)], -1)
        # rounded, so that the last digits, in which processors differ, do not grow from one round to the next
        free = np.asarray(np.where(total > 0, moment / np.maximum(total, 1e-12), free), np.float64).round(9)
    return np.asarray(free)


def spread_vertices(
    skin: Skin, eye: Patch, mouth: Patch, wanted: int, n_parts: int, n_parts_middle: int, seed: int
) -> SkinVertices:
    """Choose the skin's vertices so that the whole, mirrored head has exactly `wanted`.

    Parameters
    ----------
    skin, eye, mouth : Skin, Patch, Patch
        The surface, and the patches whose rims the skin continues.
    wanted : int
        Number of vertices of the whole head.
    n_parts, n_parts_middle : int
        Vertices of the structured parts of the left half and the crown, and how many of them lie on the midline.
    seed : int
        Seed of the samples.
    """
    for back_scale in np.linspace(1.0, 0.8, 21):  # the midline needs an odd number of vertices if `wanted` is odd
        fixed = _fixed(skin, eye, mouth, float(back_scale))
        own = fixed.q[fixed.n_rim :, 0]
        middle = n_parts_middle + int(((own == 0) | (own == np.pi)).sum())
        half = n_parts + len(own)
        n_free, odd = divmod(wanted - middle - 2 * (half - middle), 2)
        if not odd:
            break
    assert not odd, "no spacing at the back of the head gives the midline the right parity"
    brow = brow_rows()
    holes = [
        fixed.eye_rim,
        fixed.mouth_rim,
        skin.parameters(np.concatenate([brow[0], _brow_ends()[3:], brow[-1, ::-1], _brow_ends()[2::-1]])),
        skin.parameters(nostril(1.15)),
    ]
    free = _relax(skin, fixed.q, holes, n_free, seed)
    q = np.concatenate([fixed.q, free])
    label = np.concatenate([fixed.label, np.full(n_free, "skin")])
    scalp = inside(q, np.concatenate([hairline(skin), [[np.pi, -1.0], [0.0, -1.0]]]) + [0, 1e-9])
    label[scalp | ((q[:, 0] == np.pi) & (q[:, 1] < hairline(skin)[-1, 1]))] = "scalp"
    label[q[:, 1] > COLLAR_SHARE * skin.loft.t_end] = "shirt"
    return SkinVertices(q, label, fixed.eye_rim, fixed.mouth_rim)
