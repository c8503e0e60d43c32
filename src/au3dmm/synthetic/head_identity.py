"""Vary the procedural head: smooth changes of proportion, one per way in which heads differ."""

from __future__ import annotations

import numpy as np

from au3dmm.synthetic.head_mesh import HeadMesh
from au3dmm.synthetic.head_motion import Muscles, make_muscles
from au3dmm.synthetic.head_patches import MARGIN_RING, lip_line
from au3dmm.synthetic.head_shape import EYE_CENTRE, Array, bump, sigmoid


def make_proportions(mesh: HeadMesh) -> dict[str, Array]:
    """Return the displacement of each proportion at one standard deviation of the population, (V, 3) mm each.

    The last ones make the two sides of the face differ. Eyeballs keep their shape: they follow their lids by a
    translation and a change of size.
    """
    m = make_muscles(mesh)
    x, y, z = mesh.points.T
    ax, side = np.abs(x), np.tanh(x / 4)
    zero = np.zeros_like(x)
    front = sigmoid((z - 14) / 6)
    neck = sigmoid((y + 125) / 8)  # 0 on the shoulders
    throat = m.jaw
    eye = front * bump(ax, y, 31.5, 0, 17, 13)
    nose = front * bump(ax, y, 0, -32, 13, 13)
    bridge = front * bump(ax, y, 0, -8, 8, 14)
    wing = front * bump(ax, y, 13, -40, 7, 7)
    mouth = front * bump(ax, y, 0, -69, 26, 14)
    # nothing may part the lips: their thickness grows from the line where they meet
    above = y - lip_line(np.minimum(ax, 26))
    upper = front * bump(ax, y, 0, -65, 18, 9) * (1 - m.lower) * np.clip(above / 8, 0, 1.5)
    lower = front * bump(ax, y, 0, -73, 18, 9) * m.lower * np.clip(-above / 10, 0, 1.5)
    chin = front * bump(ax, y, 0, -103, 20, 14)
    brow = front * bump(ax, y, 33, 24, 24, 10)
    fall = sigmoid((-92 - y) / 6)

    def field(dx: Array = zero, dy: Array = zero, dz: Array = zero) -> Array:
        return np.stack([dx, dy, dz], -1)

    shapes = {
        "width": field(dx=0.032 * x),
        "depth": field(dz=0.030 * z),
        "face length": field(dy=0.035 * np.minimum(y, 0) * neck - 4.0 * (1 - neck)),
        "skull height": field(dy=0.045 * np.maximum(y - 20, 0)),
        "forehead slope": field(dz=-3.0 * sigmoid((y - 45) / 10) * sigmoid((z - 10) / 10)),
        "jaw width": field(dx=0.07 * x * sigmoid((-48 - y) / 10) * neck * sigmoid((z + 30) / 10)),
        "chin length": field(dy=-4.0 * fall * throat),
        "chin forward": field(dz=2.6 * chin),
        "lower face forward": field(dz=2.0 * sigmoid((-50 - y) / 10) * front * neck),
        "nose length": field(dy=-2.4 * nose),
        "nose height": field(dz=2.4 * nose),
        "nose width": field(dx=1.5 * side * wing),
        "bridge height": field(dz=1.7 * bridge),
        "eye spacing": field(dx=1.7 * side * eye),
        "eye size": eye[:, None] * 0.07 * (mesh.points - EYE_CENTRE * np.stack([np.sign(x), zero + 1, zero + 1], -1)),
        "eye height": field(dy=1.5 * eye),
        "eye slant": field(dy=0.09 * (ax - 31.5) * eye),
        "brow height": field(dy=2.0 * brow * m.off_lids),
        "brow forward": field(dz=1.5 * brow * m.off_lids),
        "mouth width": field(dx=0.09 * x * mouth),
        "mouth height": field(dy=1.8 * mouth),
        "upper lip": field(dy=1.3 * upper, dz=0.9 * upper),
        "lower lip": field(dy=-1.4 * lower, dz=1.0 * lower),
        "cheekbones": field(
            dx=1.8 * side * front * bump(ax, y, 58, -14, 12, 14), dz=1.6 * front * bump(ax, y, 50, -16, 14, 14)
        ),
        "cheeks": field(
            dx=2.2 * side * front * bump(ax, y, 54, -52, 14, 18), dz=1.8 * front * bump(ax, y, 42, -48, 14, 16)
        ),
        "nose aside": field(dx=1.0 * nose),
        "jaw aside": field(dx=1.3 * fall * throat),
        "one eye higher": field(dy=0.8 * side * (eye + brow)),
        "one mouth corner higher": field(dy=0.035 * x * mouth),
    }
    return {name: _carry_eyeballs(m, shape) for name, shape in shapes.items()}


def _carry_eyeballs(m: Muscles, shape: Array) -> Array:
    """Replace the displacement of each eyeball by the similarity (no rotation) that its lid margin follows best."""
    mesh, shape = m.mesh, shape.copy()
    for sign in (1, -1):
        here = sign * mesh.points[:, 0] > 0
        margin = np.flatnonzero(here & (mesh.part == "eye") & (mesh.ring == MARGIN_RING))
        ball = here & (mesh.part == "eyeball")
        p = mesh.points[margin]
        centred = p - p.mean(0)
        growth = (centred * shape[margin]).sum() / (centred**2).sum()
        shape[ball] = shape[margin].mean(0) + growth * (mesh.points[ball] - p.mean(0))
    return shape
