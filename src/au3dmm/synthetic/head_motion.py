"""Move the procedural head's face: one displacement field per action unit of FACS.

Fields follow the muscles' pull as the FACS manual (Ekman, Friesen & Hager 2002) describes it; sizes are those of a
maximal contraction, in mm, which is `FULL` standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from au3dmm.synthetic.head_mesh import HeadMesh
from au3dmm.synthetic.head_patches import (
    CORNER,
    EYE_COLUMNS,
    LID_RINGS,
    MARGIN_RING,
    eyeball_front,
    lip_line,
)
from au3dmm.synthetic.head_shape import EYE_RADIUS, Array, Skin, bump, make_skin, sigmoid, smooth_max

FULL = 3.0
"""alpha at which an action unit is as strong as it gets."""
JAW_AXIS = np.array([-14.0, -2.0])
"""(y, z) of the axis through both condyles about which the jaw opens, mm."""
Pull = tuple[float, float, float, float, float, float, float]
"""Centre (x, y), width (x, y) and direction (x, y, z) of a smooth pull, mm."""


@dataclass(frozen=True)
class Muscles:
    """The neutral head together with the weights that fields are made of.

    Attributes
    ----------
    moving : (V,) array
        1 on the front of the face and in the mouth, 0 on eyeballs, ears, teeth and behind.
    off_lids : (V,) array
        0 on the lid margins, growing to 1 away from them: brows and cheeks leave the lids to the lid fields.
    lower : (V,) array
        0 above and 1 below the mouth; it jumps where the lips meet and blends at the corners.
    jaw : (V,) array
        How far a vertex goes with the jaw bone.
    """

    mesh: HeadMesh
    skin: Skin
    moving: Array
    off_lids: Array
    lower: Array
    jaw: Array

    @property
    def x(self) -> Array:
        """Return x of every vertex, mm; positive on the subject's left."""
        return np.asarray(self.mesh.points[:, 0])

    def pull(self, *pulls: Pull, weight: Array | float = 1.0) -> Array:
        """Return smooth pulls of the left side only, (V, 3) mm."""
        x, y, _ = self.mesh.points.T
        field = np.zeros_like(self.mesh.points)
        for cx, cy, sx, sy, *direction in pulls:
            field += (weight * self.moving * self.off_lids * bump(x, y, cx, cy, sx, sy))[:, None] * direction
        return field

    def pull_both(self, *pulls: Pull, weight: Array | float = 1.0) -> Array:
        """Return smooth pulls of both sides, mirror images of each other, (V, 3) mm."""
        x, y, _ = self.mesh.points.T
        field = np.zeros_like(self.mesh.points)
        side = np.tanh(x / 4)  # no sideways jump at the midline
        for cx, cy, sx, sy, dx, dy, dz in pulls:
            w = weight * self.moving * self.off_lids * bump(np.abs(x), y, cx, cy, sx, sy)
            field += w[:, None] * np.stack([dx * side, np.full_like(x, dy), np.full_like(x, dz)], -1)
        return field

    def mirrored(self, field: Array) -> Array:
        """Return the mirror image of a field."""
        return np.asarray(field[self.mesh.mirror] * [-1, 1, 1])


def make_muscles(mesh: HeadMesh) -> Muscles:
    """Work out the weights of the neutral head's vertices."""
    x, y, z = mesh.points.T
    ax = np.abs(x)
    part, ring, column = mesh.part, mesh.ring, mesh.column
    is_mouth = part == "mouth"
    rigid = np.isin(part, ["eyeball", "ear", "teeth_upper", "teeth_lower"])
    moving = np.where(rigid, 0.0, np.where(is_mouth & (ring < 2), 0.4, sigmoid((z - 18) / 6)))
    share = np.concatenate([np.zeros(MARGIN_RING + 1), np.array(LID_RINGS) ** 0.7])
    off_lids = np.where(part == "eye", share[np.clip(ring, 0, len(share) - 1)], 1.0)
    # the border between what goes with the upper and the lower jaw runs from the mouth corner up to the ear
    border = np.where(ax < 26, lip_line(np.minimum(ax, 26)), np.interp(z, [0, 30, 60, 76], [-32, -47, -62, -69]))
    below = border - y
    side = np.where(is_mouth, np.sign(column - CORNER), np.sign(below))
    below = np.where(is_mouth & (ring >= 0), side * (np.abs(below) + 1.2 * np.clip(1 - ax / 25, 0, 1)), below)
    softness = 0.03 + 6.5 * np.clip((ax - 10) / 18, 0, 1) ** 2 + 6 * sigmoid((30 - z) / 8)
    lower = np.where(is_mouth & (ring < 0), 0.5, sigmoid(below / softness))
    throat = np.interp(y, [-135, -122, -108, -90], [62, 42, 12, -18])
    jaw = np.where(rigid, 0.0, lower * sigmoid((z - throat) / 14) * sigmoid((z + 20) / 6) * sigmoid((y + 150) / 6))
    jaw = np.where(is_mouth, lower, np.where(part == "teeth_lower", 1.0, jaw))
    return Muscles(mesh, make_skin(), moving, off_lids, lower, jaw)


def move_lids(m: Muscles, upper: Array, lower: Array, medial: Array | float = 0.0) -> Array:
    """Return how the left eye's lids slide over the eyeball, (V, 3) mm.

    Parameters
    ----------
    m : Muscles
        The neutral head.
    upper, lower : (EYE_COLUMNS,) arrays
        Upward motion of the margin at each column, mm; `upper` is read above, `lower` below the corners.
    medial : (EYE_COLUMNS,) array or float
        Motion of the lower lid towards the nose, mm.
    """
    mesh = m.mesh
    columns = np.arange(EYE_COLUMNS)
    rise = np.where(columns <= EYE_COLUMNS // 2, upper, lower)
    shift = np.where(columns > EYE_COLUMNS // 2, -medial, 0.0)
    for motion in (rise, shift):
        motion[[0, EYE_COLUMNS // 2]] = 0.0  # the corners stay
    where = np.flatnonzero((mesh.part == "eye") & (mesh.points[:, 0] > 0))
    ring, column, p = mesh.ring[where], mesh.column[where], mesh.points[where]
    share = np.concatenate([np.ones(MARGIN_RING + 1), (1 - np.array(LID_RINGS)) ** 1.3])[ring]
    moved = p.copy()
    moved[:, 0] += shift[column] * share
    moved[:, 1] += rise[column] * share

    def surface(xy: Array) -> Array:
        return smooth_max(m.skin.front(xy)[:, 2], eyeball_front(xy, EYE_RADIUS + 1.6), 2.0)

    behind = ring < MARGIN_RING
    along_ball = eyeball_front(moved[:, :2], EYE_RADIUS) - eyeball_front(p[:, :2], EYE_RADIUS)
    dz = np.where(behind, along_ball, surface(moved[:, :2]) - surface(p[:, :2]))
    # the field is a straight line and the ball is round: end a little further out, so as not to cut through it halfway
    dz += 0.012 * (rise[column] * share) ** 2
    field = np.zeros_like(mesh.points)
    field[where] = moved - p
    field[where, 2] = dz
    return field


def turn_jaw(m: Muscles, angle: float) -> Array:
    """Return the jaw opened by `angle` rad about the condyles, (V, 3) mm."""
    y, z = (m.mesh.points[:, 1:] - JAW_AXIS).T
    sine, cosine = np.sin(angle), np.cos(angle)
    dy, dz = cosine * y - sine * z - y, sine * y + cosine * z - z
    return np.asarray(m.jaw[:, None] * np.stack([0 * y, dy, dz], -1))


def swing_jaw(m: Muscles, amount: float) -> Array:
    """Return the jaw swung to the left, its chin by `amount` mm, (V, 3) mm.

    It turns about the left condyle, so that the right side comes forward, and the teeth guide it down a little.
    """
    x, _, z = m.mesh.points.T
    angle = amount / 80.0
    turn = np.stack([angle * (z - JAW_AXIS[1]), np.full_like(x, -0.25 * amount), -angle * (x - 60)], -1)
    return np.asarray(m.jaw[:, None] * turn)


def squeeze_lips(m: Muscles, share: float) -> Array:
    """Return the lips made thinner: every point goes `share` of its way towards the line where they meet, (V, 3)."""
    x, y, _ = m.mesh.points.T
    w = m.moving * bump(x, y, 0, -69, 22, 9)
    field = np.zeros_like(m.mesh.points)
    field[:, 1] = share * w * (lip_line(np.minimum(np.abs(x), 26)) - y)
    return field


def make_action_units(mesh: HeadMesh) -> dict[str, Array]:
    """Return the displacement field of each action unit at alpha = 1, (V, 3) mm.

    Names are ``AUn``, or ``AUn_left`` and ``AUn_right`` (exact mirror images) where faces can move one side alone.
    """
    m = make_muscles(mesh)
    up, low = 1 - m.lower, m.lower
    columns = np.arange(EYE_COLUMNS)
    eye = np.flatnonzero((mesh.part == "eye") & (mesh.points[:, 0] > 0) & (mesh.ring == MARGIN_RING))
    margin = mesh.points[eye[np.argsort(mesh.column[eye])]]
    opposite = margin[(-columns) % EYE_COLUMNS]  # the other lid at the same place along the eye
    opening = np.abs(margin[:, 1] - opposite[:, 1])
    still = np.zeros(EYE_COLUMNS)
    arc = opening / opening.max()

    one_sided = {
        "AU2": m.pull((44, 29, 13, 14, 0, 8.5, 0.0)),
        "AU5": move_lids(m, 2.6 * arc, still),
        "AU6": m.pull((45, -14, 15, 11, -1.5, 6.5, 3.0), (56, 2, 7, 9, -2.5, 0.5, 0.5))
        + move_lids(m, still, 1.2 * arc),
        "AU10": m.pull((13, -58, 11, 8, 0, 6.5, 1.8), weight=up) + m.pull((22, -46, 7, 9, 0.5, 3.5, 1.5)),
        "AU12": m.pull((27, -69, 12, 12, 8.0, 9.0, -5.0), (43, -36, 13, 11, 1.0, 5.0, 3.0)),
        "AU14": m.pull((28, -69, 7.5, 7, 3.5, 1.0, -5.5)),
        "AU15": m.pull((24, -73, 12, 9, 1.5, -8.0, -2.0)),
        "AU20": m.pull((27, -71, 12, 13, 9.5, -2.0, -4.0)),
        "AU30": swing_jaw(m, 9.0),
        "AU43": move_lids(m, -0.93 * opening, 0.07 * opening, 1.5 * arc) + m.pull((31, -8, 11, 5, -1.2, 0.3, 0)),
    }
    # lips: everything scales with the distance from the middle, so that the corners travel most
    inward = m.pull_both((0, -69, 24, 14, -1, 0, 0))[:, 0] * np.abs(m.x)
    narrow = np.stack([inward, 0 * inward, 0 * inward], -1)
    forward = m.pull_both((0, -69, 17, 10, 0, 0, 1))
    both_sided = {
        "AU1": m.pull_both((13, 29, 12, 14, 0, 8.5, 0.5)),
        "AU4": m.pull_both((20, 24, 18, 11, -4.5, -6.0, 1.0)),
        "AU7": _both(m, move_lids(m, -0.9 * arc, 2.4 * arc)),
        "AU9": m.pull_both((9, -10, 8, 13, 0, 5.0, 1.5), (14, -41, 7, 8, 1.0, 5.0, 1.0), (11, 17, 10, 8, -1, -3.5, 0.5))
        + m.pull_both((10, -57, 12, 6, 0, 2.5, 0.5), weight=up),
        "AU16": m.pull_both((9, -77, 12, 9, 1.5, -5.5, 0.5), weight=low) + m.pull_both((0, -97, 16, 9, 0, -1.5, 0)),
        "AU17": m.pull_both((0, -97, 17, 12, 0, 8.0, 2.5))
        + m.pull_both((0, -75, 18, 7, 0, 4.5, 3.0), weight=low)
        + m.pull_both((0, -64, 18, 6, 0, 2.8, 1.2), weight=up),
        "AU18": 0.36 * narrow
        + 8.0 * forward
        + m.pull_both((0, -59, 8, 4, 0, 1.8, 0), weight=up)
        + m.pull_both((0, -78, 8, 4, 0, -1.4, 0), weight=low),
        "AU22": 0.13 * narrow
        + 6.0 * forward
        + m.pull_both((0, -63, 16, 7, 0, 4.0, 0), weight=up)
        + m.pull_both((0, -75, 16, 7, 0, -4.0, 0), weight=low),
        "AU23": 0.08 * narrow - 1.0 * forward + squeeze_lips(m, 0.32),
        "AU24": -0.08 * narrow
        - 3.0 * forward
        + squeeze_lips(m, 0.12)
        + m.pull_both((0, -79, 20, 8, 0, 2.8, 0.0), weight=low),
        "AU25": m.pull_both((0, -65, 17, 8, 0, 2.2, 0.3), weight=up)
        + m.pull_both((0, -74, 17, 9, 0, -5.5, 0), weight=low),
        "AU26": turn_jaw(m, np.deg2rad(17.0)) + 0.10 * narrow,
        "AU27": turn_jaw(m, np.deg2rad(23.0)) + 0.42 * narrow + m.pull_both((0, -64, 18, 9, 0, 5.0, 0.5), weight=up),
        "AU28": -6.5 * forward + squeeze_lips(m, 0.62) + m.pull_both((0, -96, 18, 11, 0, 4.0, 1.0)),
    }
    fields: dict[str, Array] = {}
    for name in sorted({*one_sided, *both_sided}, key=lambda name: int(name[2:])):
        if name in one_sided:
            fields[f"{name}_left"] = one_sided[name] / FULL
            fields[f"{name}_right"] = m.mirrored(one_sided[name]) / FULL
        else:
            fields[name] = both_sided[name] / FULL
    return fields


def _both(m: Muscles, field: Array) -> Array:
    return np.asarray(field + m.mirrored(field))
