"""The structured parts of the procedural head: eyelids, lips and mouth, eyeballs, ears, teeth.

Rows of vertices run along the edges that matter (lid margins, lip borders), so that edges stay crisp and a landmark
can lie exactly on them. All parts are of the subject's left side (x >= 0); `head_mesh` mirrors them. Millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.synthetic.head_shape import EYE_CENTRE, EYE_RADIUS, Array, Skin, smooth_max

Index = NDArray[np.int64]

EYE_COLUMNS = 40
"""Vertices around an eye; column 0 is the outer corner, 10 the top, 20 the inner corner, 30 the bottom."""
LID_RINGS = (0.06, 0.14, 0.24, 0.36, 0.5, 0.66, 0.83, 1.0)
"""Skin rings around an eye, from the lid margin (0) to the rim of the patch (1)."""
MARGIN_RING = 2
"""Ring of the eye patch that is the front edge of the lid margins; 0 and 1 lie behind it."""
MOUTH_COLUMNS = 27
"""Vertices from the middle of the upper lip (0) over the corner (13) to the middle of the lower lip (26)."""
CORNER = MOUTH_COLUMNS // 2
LIP_RINGS = (0.0, 0.12, 0.34, 0.66, 1.0)
"""Rings of a lip, from the line where the lips meet (0) to the border of the red (1)."""
LINE_RING = 4
"""Ring of the mouth patch where the lips meet; 0-3 line the inside of the mouth."""
BORDER_RING = LINE_RING + len(LIP_RINGS) - 1
AROUND_MOUTH = (0.2, 0.45, 0.72, 1.0)


@dataclass(frozen=True)
class Patch:
    """Points (N, 3), outward triangles (F, 3), and the grid (rings, columns) of vertex indices, rim last."""

    points: Array
    faces: Index
    grid: Index


def strips(grid: Index, closed: bool) -> Index:
    """Return the triangles between neighbouring rings of a grid of vertex indices.

    Columns run counter-clockwise and rings outwards, seen from outside.

    Examples
    --------
    >>> strips(np.array([[0, 1], [2, 3]]), closed=False)
    array([[0, 2, 3],
           [0, 3, 1]])
    """
    right = np.roll(grid, -1, axis=1) if closed else grid[:, 1:]
    left = grid if closed else grid[:, :-1]
    a, b, c, d = left[:-1], left[1:], right[1:], right[:-1]
    quads = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], -2)
    return np.asarray(quads.reshape(-1, 3))


def lid_margin() -> Array:
    """Return the almond of an open eye, (EYE_COLUMNS, 2) mm, frontal, counter-clockwise from the outer corner."""
    angle = 2 * np.pi * np.arange(EYE_COLUMNS) / EYE_COLUMNS
    along = np.cos(angle)
    inner, outer = np.array([17.6, -1.7]), np.array([44.8, 0.2])
    x = 0.5 * (inner[0] + outer[0]) + 0.5 * (outer[0] - inner[0]) * along
    line = np.interp(x, [inner[0], outer[0]], [inner[1], outer[1]])
    # the upper lid is highest a little towards the nose, the lower lid lowest a little towards the temple
    upper, lower = np.interp(along, [-1, -0.08, 1], [-1, 0, 1]), np.interp(along, [-1, 0.16, 1], [-1, 0, 1])
    y = np.where(angle < np.pi, line + 5.7 * (1 - upper**2) ** 0.9, line - 4.3 * (1 - lower**2) ** 0.9)
    return np.stack([x, y], -1)


def eyeball_front(xy: Array, radius: float) -> Array:
    """Return the depth of a sphere about the eye's centre at frontal places (N, 2); it falls off beyond the rim."""
    d = np.linalg.norm(xy - EYE_CENTRE[:2], axis=-1)
    edge = 0.93 * radius
    inside = np.sqrt(np.maximum(radius**2 - np.minimum(d, edge) ** 2, 0))
    steep = edge / np.sqrt(radius**2 - edge**2)
    return np.asarray(EYE_CENTRE[2] + inside - steep * np.maximum(d - edge, 0))


def make_eye_patch(skin: Skin) -> Patch:
    """Build the lids and the skin around the left eye, with the almond opening."""
    margin = lid_margin()
    angle = 2 * np.pi * np.arange(EYE_COLUMNS) / EYE_COLUMNS
    rim = np.array([32.0, -1.0]) + np.stack([18.6 * np.cos(angle), 16.0 * np.sin(angle)], -1)
    centre = margin.mean(0)
    rings = []
    for f in (0.0, *LID_RINGS):
        xy = (1 - f) * margin + f * rim
        socket = skin.front(xy)[:, 2]
        z = smooth_max(socket, eyeball_front(xy, EYE_RADIUS + 1.6), 2.0)
        # the fold above the upper lid
        crease = np.exp(-0.5 * ((f - 0.36) / 0.10) ** 2) * np.clip(np.sin(angle), 0, 1) ** 0.5
        rings.append(np.column_stack([xy, z + (socket - z) * f**3 - 1.1 * crease]))
    front = rings[0]
    # behind the margin: its back edge on the eyeball, then a flap that hugs it so that no gap shows
    inward = centre - margin
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    xy = margin + 0.5 * inward
    edge = np.column_stack([xy, np.minimum(front[:, 2] - 1.0, eyeball_front(xy, EYE_RADIUS + 0.35))])
    # at the corners, which lie beside the ball, it runs inwards and under the ball instead
    columns = np.arange(EYE_COLUMNS)
    corner = np.isin(columns, [0, 1, 2, 18, 19, 20, 21, 22, 38, 39])
    xy = margin + np.where(corner, 4.5, -2.6)[:, None] * inward
    under = np.minimum(edge[:, 2] - 0.5, eyeball_front(xy, EYE_RADIUS) - 0.8)
    flap = np.column_stack(
        [xy, np.where(corner, under, np.minimum(edge[:, 2] - 1.5, eyeball_front(xy, EYE_RADIUS + 0.35)))]
    )
    points = np.concatenate([flap, edge, *rings])
    grid = np.arange(len(points)).reshape(-1, EYE_COLUMNS)
    return Patch(points, strips(grid, closed=True), grid)


def lip_line(x: Array) -> Array:
    """Return the height of the line where the lips meet."""
    return np.asarray(-67.9 - 1.0 * (x / 25) ** 2 - 0.5 * np.exp(-0.5 * (x / 5) ** 2) + 0.3)


def make_mouth_patch(skin: Skin) -> Patch:
    """Build the left half of the lips, the skin around them and the pocket behind them."""
    angle = np.pi * np.arange(MOUTH_COLUMNS) / (MOUTH_COLUMNS - 1)  # 0 above, pi below
    upper = np.arange(MOUTH_COLUMNS) < CORNER
    middle = np.arange(MOUTH_COLUMNS) == CORNER
    across = np.sin(angle)
    across[[0, -1]] = 0
    line_x = 24.6 * across
    line = np.stack([line_x, lip_line(line_x) + np.where(middle, 0, np.where(upper, -0.08, 0.08))], -1)
    border_x = 26.2 * across
    top = np.interp(border_x, [0, 2.5, 6.5, 12, 18, 23, 26.2], [-59.7, -59.2, -58.4, -60.0, -63.1, -66.7, -69.2])
    bottom = np.interp(border_x, [0, 6, 12, 18, 23, 26.2], [-78.4, -78.2, -77.0, -74.2, -71.3, -69.2])
    border = np.stack([border_x, np.where(upper, top, bottom)], -1)
    centre_y, above, below = -69.0, 16.8, 19.0
    rim = np.stack([38.0 * across, centre_y + np.where(upper, above, below) * np.cos(angle)], -1)
    rim[CORNER, 1] = centre_y

    line_z = skin.front(line)[:, 2] - np.interp(line[:, 0], [0, 14, 24.6], [4.6, 3.4, 1.2])
    line_z = np.where(upper, line_z, line_z[::-1])  # both lips meet at one depth
    border_z = skin.front(border)[:, 2]
    full = np.sqrt(np.clip(1 - (border_x / 26.2) ** 2, 0, 1))
    rings = []
    for f in LIP_RINGS:
        xy = (1 - f) * line + f * border
        swell = np.where(upper, 1.3, 2.5) * full * np.sin(np.pi * f**0.7)
        rings.append(np.column_stack([xy, line_z + (border_z - line_z) * f**0.55 + swell]))
    for f in AROUND_MOUTH:
        rings.append(skin.front((1 - f) * border + f * rim))
    # inside: the lips' backs, then a pocket wide enough for the teeth
    inside = []
    for back, taller, narrower in ((36.0, 12.0, 0.9), (14.0, 13.0, 1.1), (6.5, 8.0, 1.04), (2.2, 1.1, 0.995)):
        side = np.where(middle, 0, np.where(upper, 1.0, -1.0)) * (0.15 + 0.85 * full) * taller
        inside.append(np.column_stack([line[:, 0] * narrower, line[:, 1] + side, line_z - back]))
    points = np.concatenate([*inside, *rings])
    points[np.isclose(points[:, 0], 0), 0] = 0.0
    grid = np.arange(len(points)).reshape(-1, MOUTH_COLUMNS)
    # columns run clockwise seen from in front (from above over the subject's left side): turn the grid for `strips`
    faces = strips(grid[:, ::-1], closed=False)
    cap = len(points)
    points = np.vstack([points, [0.0, points[grid[0], 1].mean(), points[grid[0], 2].min() - 4]])
    fan = np.stack([np.full(MOUTH_COLUMNS - 1, cap), grid[0, 1:], grid[0, :-1]], -1)
    return Patch(points, np.concatenate([faces, fan]), grid)


EYEBALL_COLUMNS = 24
EYEBALL_ANGLES = np.deg2rad([5.5, 10.0, 11.0, 18.5, 25.6, 27.4, 35, 45, 57, 73, 96, 130])
"""Angle of each ring from the line of sight: pupil edge between 1 and 2, iris edge between 4 and 5, rad."""


def make_eyeball() -> Patch:
    """Build the left eyeball, looking straight ahead; point 0 is the middle of the pupil."""
    turn = 2 * np.pi * np.arange(EYEBALL_COLUMNS) / EYEBALL_COLUMNS
    cornea = 0.8 * np.clip(1 - (EYEBALL_ANGLES / 0.49) ** 2, 0, 1)
    radius = EYE_RADIUS + cornea
    out, depth = radius * np.sin(EYEBALL_ANGLES), radius * np.cos(EYEBALL_ANGLES)
    ring = np.stack([np.outer(out, np.cos(turn)), np.outer(out, np.sin(turn)), np.outer(depth, np.ones_like(turn))], -1)
    points = np.concatenate([[[0, 0, EYE_RADIUS + 0.8]], ring.reshape(-1, 3), [[0, 0, -EYE_RADIUS]]]) + EYE_CENTRE
    grid = 1 + np.arange(len(EYEBALL_ANGLES) * EYEBALL_COLUMNS).reshape(-1, EYEBALL_COLUMNS)
    following = np.roll(grid, -1, axis=1)
    front = np.stack([np.zeros(EYEBALL_COLUMNS, int), grid[0], following[0]], -1)
    back = np.stack([np.full(EYEBALL_COLUMNS, len(points) - 1), following[-1], grid[-1]], -1)
    return Patch(points, np.concatenate([front, strips(grid, closed=True), back]), grid)


EAR_COLUMNS = 26


def make_ear() -> Patch:
    """Build the left auricle: a bowl with a rolled rim, its front edge sunk in the head; point 0 is its middle."""
    turn = 2 * np.pi * np.arange(EAR_COLUMNS) / EAR_COLUMNS  # 0 is towards the back, a quarter is up
    cosine, sine = np.cos(turn), np.sin(turn)
    # outline: wide above, narrow at the lobe
    wide = 15.0 + 2.4 * sine - 1.0 * np.clip(-sine, 0, 1) ** 2
    outline = np.stack([wide * np.sign(cosine) * np.abs(cosine) ** 0.85, np.where(sine > 0, 28, 30) * sine], -1)
    behind = np.clip(0.5 + 0.9 * cosine + 0.35 * sine, 0, 1)  # where the rim stands free
    lobe = np.clip(-sine - 0.55, 0, 1) / 0.45
    rows = []
    for r, height in (
        (0.28, -5.2 + 0 * turn),
        (0.46, -4.5 + 3.5 * behind),
        (0.58, -1.5 + 3.4 * behind),
        (0.72, 0.2 + 0.6 * behind),
        (0.84, 0.6 - 1.3 * behind * (1 - lobe)),
        (0.93, 1.2 + 2.0 * behind * (1 - lobe)),
        (1.0, 0.6 + 0.8 * behind),
        (0.97, -1.8 + 0 * turn),
        (0.72, -9.0 + 0 * turn),
        (0.55, -16.0 + 0 * turn),
    ):
        rows.append(np.column_stack([outline * r, height]))
    local = np.concatenate([[[-1.0, -2.0, -5.8]], *rows])
    lean, tilt = np.deg2rad(23), np.deg2rad(10)
    backward = np.array([np.sin(lean), 0, -np.cos(lean)])
    normal = np.array([np.cos(lean), 0, np.sin(lean)])
    up = np.array([0, np.cos(tilt), 0]) - np.sin(tilt) * np.array([0, 0, 1.0])
    points = np.array([79.5, -17.0, -22.0]) + local @ np.stack([backward, up, normal])
    grid = 1 + np.arange(len(rows) * EAR_COLUMNS).reshape(-1, EAR_COLUMNS)
    # seen from the subject's left, the back of the head is on the right: columns run counter-clockwise
    fan = np.stack([np.zeros(EAR_COLUMNS, int), grid[0], np.roll(grid[0], -1)], -1)
    return Patch(points, np.concatenate([fan, strips(grid, closed=True)]), grid)


TEETH_COLUMNS = 9


def make_teeth(upper: bool) -> Patch:
    """Build the left half of a row of teeth as a band, from the midline backwards."""
    angle = np.linspace(0, 1.35, TEETH_COLUMNS)
    arch = np.stack([25.0 * np.sin(angle), 76.5 - 36.0 * (1 - np.cos(angle))], -1)
    arch[0, 0] = 0.0
    heights = (-58.5, -62.0, -66.0, -69.2) if upper else (-70.2, -73.5, -77.0, -80.0)
    setback = (1.5, 0.5, 0.0, 0.4) if upper else (2.2, 1.8, 2.2, 3.5)
    rows = [
        np.column_stack([arch[:, 0], np.full(TEETH_COLUMNS, y), arch[:, 1] - s])
        for y, s in zip(heights, setback, strict=True)
    ]
    points = np.concatenate(rows)
    grid = np.arange(len(points)).reshape(-1, TEETH_COLUMNS)
    return Patch(points, strips(grid, closed=False), grid)
