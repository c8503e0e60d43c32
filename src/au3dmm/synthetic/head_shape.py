"""The skin of the procedural head as a formula: a loft of rings, plus relief where a face has features.

Everything in the `head_*` modules is in millimetres, y up, z out of the face, the origin midway between front and
back of the head at the height of the eyes. Proportions are rounded numbers of an average
adult, checked against the mean face of ICT-FaceKit (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, LinearNDInterpolator

Array = NDArray[np.float64]

EYE_CENTRE = np.array([31.5, 0.3, 57.0])
"""Centre of the subject's left eyeball, mm: pupils 63 mm apart."""
EYE_RADIUS = 12.5

CROWN = np.array([0.0, 115.0, -25.0])

# One row per ring from crown to chest: front (y, z), side (x, y, z), back (y, z), squareness in front and behind.
# Rings tilt: the one through the chin passes the jaw angle 20 mm higher and the nape higher still.
# fmt: off
RINGS = np.array([
    [115,  -25,    0,  115,  -25,  115,  -25, 2.10, 2.10],
    [111,   10,   34,  109,  -25,  109,  -62, 2.10, 2.10],
    [ 97,   40,   56,   94,  -25,   93,  -88, 2.12, 2.10],
    [ 78,   61,   68,   73,  -25,   70, -103, 2.15, 2.10],
    [ 55,   74,   74,   48,  -24,   45, -110, 2.20, 2.10],
    [ 30,   80,   75,   25,  -22,   20, -110, 2.40, 2.15],
    [  5,   81,   73,    2,  -18,   -3, -106, 2.60, 2.15],
    [-20,   82,   71,  -20,  -14,  -24,  -99, 2.65, 2.15],
    [-45,   85,   68,  -42,  -11,  -42,  -92, 2.50, 2.15],
    [-70,   87,   64,  -60,   -9,  -58,  -86, 2.30, 2.15],
    [-92,   85,   57,  -75,  -10,  -72,  -83, 2.05, 2.10],
    [-108,  83,   51,  -88,  -14,  -84,  -82, 2.00, 2.10],
    [-117,  72,   49,  -98,  -20,  -95,  -82, 2.05, 2.10],
    [-122,  52,   48, -107,  -24, -106,  -83, 2.00, 2.10],
    [-127,  33,   48, -118,  -27, -118,  -84, 2.00, 2.10],
    [-139,  20,   49, -132,  -30, -132,  -86, 2.00, 2.10],
    [-157,  15,   53, -150,  -32, -148,  -91, 2.00, 2.10],
    [-176,  18,   68, -168,  -34, -164,  -97, 2.05, 2.10],
    [-193,  27,   97, -184,  -38, -180, -104, 2.15, 2.15],
    [-211,  41,  131, -202,  -40, -200, -111, 2.25, 2.25],
    [-232,  52,  150, -232,  -42, -230, -117, 2.35, 2.35],
], float)
# fmt: on
_POLE_GAP = 7.0  # mm of loft left out around the crown and closed by a fan


def bump(x: Array, y: Array, cx: float, cy: float, sx: float, sy: float) -> Array:
    """Return a Gaussian bump of height 1 at (cx, cy)."""
    return np.asarray(np.exp(-0.5 * ((x - cx) / sx) ** 2 - 0.5 * ((y - cy) / sy) ** 2))


def sigmoid(x: Array) -> Array:
    """Return the logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def smooth_max(a: Array, b: Array, width: float) -> Array:
    """Return a maximum whose corner is rounded over about `width`."""
    return np.asarray(0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2)))


@dataclass(frozen=True)
class Loft:
    """The head without features, as a surface over (azimuth, t).

    Azimuth is 0 in front, pi behind, rad; t runs from the crown (0) to the chest and is scaled so that equal steps
    of both are about equally long on the surface (a Mercator map), which keeps Delaunay triangles well shaped.
    """

    spline: CubicSpline
    s_knots: Array
    t_knots: Array

    @property
    def t_end(self) -> float:
        """Largest t, at the chest."""
        return float(self.t_knots[-1])

    def t_of(self, s: Array) -> Array:
        """Return t at distance `s` (mm, averaged around the ring) from the crown."""
        return np.asarray(np.interp(s, self.s_knots, self.t_knots))

    def points(self, azimuth: Array, t: Array) -> Array:
        """Return the surface at (N,) azimuths (rad) and (N,) t, (N, 3) mm."""
        s = np.interp(t, self.t_knots, self.s_knots)
        front_y, front_z, side_x, side_y, side_z, back_y, back_z, p_front, p_back = self.spline(s).T
        sine, cosine = np.sin(azimuth), np.cos(azimuth)
        is_front = cosine >= 0
        power = np.where(is_front, p_front, p_back)
        # superellipse |u|^p + |v|^p = 1 along the ray of this azimuth
        r = (np.abs(sine) ** power + np.abs(cosine) ** power) ** (-1 / power)
        u, v = sine * r, np.abs(cosine) * r
        end_y, end_z = np.where(is_front, front_y, back_y), np.where(is_front, front_z, back_z)
        return np.stack([side_x * u, side_y + (end_y - side_y) * v, side_z + (end_z - side_z) * v], -1)


def make_loft() -> Loft:
    """Spline the rings of `RINGS` and work out the Mercator scale along them."""
    columns = [RINGS[:, 0:2], RINGS[:, 2:5], RINGS[:, 5:7]]
    steps = np.mean([np.linalg.norm(np.diff(c, axis=0), axis=1) for c in columns], axis=0)
    knots = np.concatenate([[0], np.cumsum(steps)])
    slope = np.zeros(RINGS.shape[1])
    slope[[1, 2, 6]] = [1.0, 1.0, -1.0]  # the dome is horizontal at the crown
    spline = CubicSpline(knots, RINGS, bc_type=((1, slope), (2, np.zeros(RINGS.shape[1]))))
    s = np.linspace(_POLE_GAP, knots[-1], 3000)
    raw = Loft(spline, s, s)
    azimuth = np.linspace(0, np.pi, 91)
    rings = np.stack([raw.points(np.full_like(s, a), s) for a in azimuth])
    radius = np.linalg.norm(np.diff(rings, axis=0), axis=2).sum(0) / np.pi
    along = np.linalg.norm(np.diff(rings, axis=1), axis=2).mean(0)
    t = np.concatenate([[0], np.cumsum(along / (0.5 * (radius[1:] + radius[:-1])))])
    return Loft(spline, s, t)


def nose_ridge(y: Array) -> Array:
    """Return how far the bridge of the nose stands above the face at height `y`, mm."""
    knots_y = np.array([-60, -51.5, -48.0, -45.5, -42.5, -38.5, -34, -30, -25, -18, -8, 3, 12, 20])
    knots_h = np.array([0, 0.0, 1.4, 5.5, 12.0, 18.0, 21.2, 22.0, 20.3, 15.6, 8.4, 2.0, 0.4, 0])
    order = np.argsort(knots_y)
    inside = np.clip(y, -60, 20)
    return np.asarray(np.maximum(CubicSpline(knots_y[order], knots_h[order])(inside), 0))


def relief(points: Array) -> Array:
    """Return what features add to the depth (z) of loft points (N, 3), (N,) mm."""
    x, y, z = points.T
    ax = np.abs(x)
    dz = np.zeros(len(points))
    # brow ridge, glabella, the orbit under them
    dz += 1.6 * bump(ax, y, 34, 21, 15, 6) + 0.6 * bump(ax, y, 0, 16, 10, 8)
    dz += -9.0 * bump(ax, y, 20, 1, 6.5, 9) - 9.0 * bump(ax, y, 34, 1, 9, 9.5) - 7.5 * bump(ax, y, 46.5, 0, 5, 8)
    dz += -3.0 * bump(ax, y, 28, -13, 14, 6)
    # cheeks: the bone, the round of the apple, and the fold from nose to mouth
    dz += 2.6 * bump(ax, y, 47, -22, 11, 11) + 2.2 * bump(ax, y, 36, -34, 11, 11)
    along = np.clip((-40 - y) / 32, 0, 1)
    dz += -1.7 * np.exp(-0.5 * ((ax - (20 + 13 * along)) / 3.2) ** 2) * bump(y, y, -53, -53, 11, 11)
    # nose: bridge and tip, wings
    width = np.interp(y, [-46, -38, -30, -22, -10, 4, 20], [9.5, 10.2, 9.6, 8.4, 7.0, 6.4, 8.0])
    dz += nose_ridge(y) * np.exp(-np.log(2) * (ax / width) ** 2.4)
    wing = ((ax - 11.6) / 6.6) ** 2 + ((y + 39.8) / 6.8) ** 2
    dz += 10.5 * np.exp(-np.log(2) * wing**1.6) * sigmoid((y + 46.0) / 1.0)
    # mouth: philtrum, the roll of the lips' surroundings, corners, fold above the chin, chin
    dz += 3.6 * bump(ax, y, 0, -64, 17, 9) + 1.6 * bump(ax, y, 0, -77, 14, 6)
    dz += 0.8 * bump(ax, y, 4.2, -54, 1.6, 4) - 1.2 * bump(ax, y, 0, -53, 2.0, 5)
    dz += -3.0 * bump(ax, y, 27, -70, 4.5, 5)
    dz += -3.2 * bump(ax, y, 0, -87, 15, 4) + 3.2 * bump(ax, y, 0, -101, 13, 8)
    # temple hollow, and the slope below the cheekbone
    dz += -2.0 * bump(ax, y, 66, 22, 7, 16) - 2.0 * bump(ax, y, 55, -58, 9, 16)
    return np.asarray(dz * sigmoid((z - 14) / 4))


@dataclass(frozen=True)
class Skin:
    """The loft with its relief, and the way back from a frontal (x, y) to the surface."""

    loft: Loft
    lookup: LinearNDInterpolator

    def points(self, azimuth: Array, t: Array) -> Array:
        """Return the skin at (N,) azimuths and t, (N, 3) mm."""
        p = self.loft.points(azimuth, t)
        p[:, 2] += relief(p)
        return p

    def parameters(self, xy: Array) -> Array:
        """Return (azimuth, t) of frontal places (N, 2) with x >= 0, found by Newton's method to 1e-9 mm."""
        q = self.lookup(xy)
        h = 1e-5
        for _ in range(12):
            f = self.loft.points(q[:, 0], q[:, 1])[:, :2] - xy
            da = (self.loft.points(q[:, 0] + h, q[:, 1])[:, :2] - f - xy) / h
            dt = (self.loft.points(q[:, 0], q[:, 1] + h)[:, :2] - f - xy) / h
            q = q - np.linalg.solve(np.stack([da, dt], -1), f[..., None])[..., 0]
        return np.asarray(q)

    def front(self, xy: Array) -> Array:
        """Return the skin's points (N, 3) at frontal places (N, 2)."""
        flipped = np.stack([np.abs(xy[:, 0]), xy[:, 1]], -1)
        q = self.parameters(flipped)
        p = self.points(q[:, 0], q[:, 1])
        p[:, 0] = xy[:, 0]
        return p


def make_skin() -> Skin:
    """Build the loft and its frontal lookup table."""
    loft = make_loft()
    a, t = np.meshgrid(np.linspace(-0.05, 1.5, 90), np.linspace(0.3, loft.t_end, 220), indexing="ij")
    q = np.stack([a.ravel(), t.ravel()], -1)
    p = loft.points(q[:, 0], q[:, 1])
    facing = (p[:, 2] > 5) & (p[:, 1] > -112)
    return Skin(loft, LinearNDInterpolator(p[facing, :2], q[facing]))
