"""A head to look at after its import: its 68 landmarks numbered on the face, and the head from two other sides."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import GROUPS, N_LANDMARKS
from au3dmm.core.raster import rasterise
from au3dmm.errors import SchemaError
from au3dmm.report.mesh_views import (
    FRONT_DEG,
    THREE_QUARTER_DEG,
    Framing,
    draw_head,
    frame_face,
    on_paper,
)
from au3dmm.report.openness import surface_openness

# Okabe & Ito's colours, which stay apart for colour-blind readers; darkened where text would be faint on grey
GROUP_COLOURS = {
    "jaw": (0, 114, 178),
    "right_brow": (200, 80, 0),
    "left_brow": (140, 70, 120),
    "nose": (0, 130, 95),
    "right_eye": (200, 80, 0),
    "left_eye": (140, 70, 120),
    "outer_lips": (176, 0, 32),
    "inner_lips": (60, 60, 60),
}
_CLOSED = {"right_eye", "left_eye", "outer_lips", "inner_lips"}
_PAPER, _INK, _FAINT = (255, 255, 255), (40, 40, 40), (110, 110, 110)
_FINE = 2  # drawn larger and shrunk: letters of 7 px stay legible
_HEIGHT, _HEADER, _FOOTER, _GAP = 900, 56, 56, 12
_SUBPIXEL = 4  # bits of a pixel that OpenCV draws with
_FONT, _NUMBER = cv2.FONT_HERSHEY_SIMPLEX, 0.85
_ASPECT = 0.84  # width of a view, in heights
_SIDE_DEG = 90.0
_JUMPS = {(33, 31)}  # in the line along the nose
_HALO = [(dx, dy) for dx in (-3, 0, 3) for dy in (-3, 0, 3) if dx or dy]
_BEHIND_M = 0.004  # a landmark that lies deeper than the surface there is hidden


def head_picture(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    landmarks: NDArray[np.floating],
    *,
    dense: NDArray[np.floating] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Draw the face from the front, the head from two other sides, and the mouth, with landmarks.

    Parameters
    ----------
    vertices : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    landmarks : (68, 3) array
        m; joined and coloured by group, numbered from the front; rings are hidden by the surface.
    dense : (N, 3) array, optional
        Further landmarks, m: small dots.
    title : str
        At the top; ASCII.
    notes : sequence of str
        One line each, at the bottom; ASCII.

    Returns
    -------
    (height, width, 3) uint8 array
        RGB

    Raises
    ------
    SchemaError
        If there are not 68 landmarks.
    """
    if landmarks.shape != (N_LANDMARKS, 3):
        raise SchemaError(f"head picture: landmarks {landmarks.shape}, expected ({N_LANDMARKS}, 3)")
    whole, half = _frame_head(vertices), (_HEIGHT - _GAP) // 2
    scene = _Scene(vertices, faces, landmarks, dense, surface_openness(vertices, faces))
    face = _view(scene, frame_face(landmarks), FRONT_DEG, _HEIGHT, numbered=set(GROUPS) - {"inner_lips"})
    turned = _view(scene, whole, THREE_QUARTER_DEG, half)
    side = _view(scene, whole, _SIDE_DEG, half)
    across = turned.shape[1] + _GAP + side.shape[1]
    mouth = _view(
        scene, _frame_mouth(landmarks), FRONT_DEG, round(across / _ASPECT), numbered={"outer_lips", "inner_lips"}
    )
    mouth = mouth[(len(mouth) - half) // 2 :][:half, :across]
    footer = _FOOTER + 22 * max(len(notes) - 1, 0)
    sheet = np.full((_HEADER + _HEIGHT + footer, face.shape[1] + _GAP + across, 3), _PAPER, np.uint8)
    right = face.shape[1] + _GAP
    for view, x, y in (
        (face, 0, 0),
        (turned, right, 0),
        (side, right + turned.shape[1] + _GAP, 0),
        (mouth, right, half + _GAP),
    ):
        sheet[_HEADER + y : _HEADER + y + view.shape[0], x : x + view.shape[1]] = view
    _header(sheet, title)
    for i, line in enumerate(notes):
        _text(sheet, line, (16, _HEADER + _HEIGHT + 32 + 22 * i), _FAINT, 0.55)
    return sheet


@dataclass(frozen=True)
class _Scene:
    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]
    landmarks: NDArray[np.floating]
    dense: NDArray[np.floating] | None
    openness: NDArray[np.float64]


def _frame_head(vertices: NDArray[np.floating]) -> Framing:
    """Frame the whole head so that it fits from every side."""
    low, high = vertices.min(0), vertices.max(0)
    centre = (low + high) / 2
    across = 2 * float(np.linalg.norm(vertices[:, [0, 2]] - centre[[0, 2]], axis=1).max())
    height = max(float(high[1] - low[1]), across / _ASPECT)
    return Framing(np.asarray(centre, np.float64), 1.06 * height, 1.06 * _ASPECT * height)


def _frame_mouth(landmarks: NDArray[np.floating]) -> Framing:
    mouth = landmarks[48:68]
    width = float(mouth[:, 0].max() - mouth[:, 0].min())
    middle = np.asarray((mouth.min(0) + mouth.max(0)) / 2, np.float64)
    return Framing(middle, 1.5 * width / _ASPECT, 1.5 * width)


def _view(
    scene: _Scene, framing: Framing, turn_deg: float, height: int, *, numbered: Set[str] = frozenset()
) -> NDArray[np.uint8]:
    head = draw_head(scene.vertices, scene.faces, framing, turn_deg=turn_deg, height=height, openness=scene.openness)
    picture = on_paper(head, _PAPER)
    size = (picture.shape[1], height)
    image = np.asarray(cv2.resize(picture, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_CUBIC), np.uint8)
    turn = Rotation.from_euler("y", -turn_deg, degrees=True).as_matrix()
    px_per_m, middle = _FINE * height / framing.height_m, (np.array(image.shape[1::-1]) - 1) / 2

    def place(points: NDArray[np.floating]) -> NDArray[np.float64]:
        seen = (points - framing.centre) @ turn.T
        return np.asarray(np.column_stack([middle + seen[:, :2] * (px_per_m, -px_per_m), seen[:, 2]]))

    vertices_px = place(scene.vertices)
    nearest = rasterise(vertices_px, -vertices_px[:, 2], scene.faces, *image.shape[:2]).depth
    if scene.dense is not None:
        points = place(scene.dense)
        for x, y in points[_in_sight(points, nearest), :2]:
            _dot(image, np.array([x, y]), 3, _INK)
    points = place(scene.landmarks)
    visible = _in_sight(points, nearest)
    for name, group in GROUPS.items():
        colour = GROUP_COLOURS[name]
        ring = [*range(27, 31), 33, *range(31, 36)] if name == "nose" else [*group, *group[: name in _CLOSED]]
        for a, b in pairwise(ring):
            if visible[a] and visible[b] and (a, b) not in _JUMPS:
                cv2.line(image, _fixed(points[a]), _fixed(points[b]), colour, 2, cv2.LINE_AA, _SUBPIXEL)
        for i in group:
            if visible[i] or numbered:  # hidden ones as rings, so that none is missing among the numbers
                _dot(image, points[i], 8, _PAPER)
                _dot(image, points[i], 6, colour)
                if not visible[i]:
                    _dot(image, points[i], 3.5, _PAPER)
    _draw_numbers(image, points[:, :2], numbered)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _in_sight(points: NDArray[np.float64], nearest: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which points (x, y px, z m) no surface hides."""
    x, y = (np.clip(np.rint(points[:, i]).astype(int), 0, nearest.shape[1 - i] - 1) for i in (0, 1))
    return np.asarray(-points[:, 2] < nearest[y, x] + _BEHIND_M)


def _draw_numbers(image: NDArray[np.uint8], points: NDArray[np.float64], groups: Set[str]) -> None:
    """Write each number beside its point, away from the middle of its group."""
    for name in groups:
        members = list(GROUPS[name])
        middle = points[members].mean(0)
        for i in members:
            away = points[i] - middle
            if name == "inner_lips":  # outside of these is taken by the outer lips' numbers
                # of a closed mouth, the upper ones may lie below the lower ones
                across = points[128 - i] if i not in (60, 64) else points[i] + (0, 1)
                away = np.array((0.0, -1.0 if points[i, 1] < across[1] else 1.0))
            elif name == "nose":
                away = np.array((1.0, 0.0) if i < 31 else (0.0, 1.0))
            elif name.endswith("brow"):
                away = np.array((0.0, -1.0))
            away = away / max(float(np.linalg.norm(away)), 1e-9)
            (w, h), _ = cv2.getTextSize(str(i), _FONT, _NUMBER, 2)
            centre = points[i] + away * (14 + np.abs(away) @ (w / 2, h / 2))
            at = (round(float(centre[0] - w / 2)), round(float(centre[1] + h / 2)))
            for dx, dy in _HALO:  # a thick outline: OpenCV draws letters in one thickness only
                cv2.putText(image, str(i), (at[0] + dx, at[1] + dy), _FONT, _NUMBER, _PAPER, 2, cv2.LINE_AA)
            cv2.putText(image, str(i), at, _FONT, _NUMBER, GROUP_COLOURS[name], 2, cv2.LINE_AA)


def _header(sheet: NDArray[np.uint8], title: str) -> None:
    _text(sheet, title, (16, 36), _INK, 0.75, 2)
    width = cv2.getTextSize(title, _FONT, 0.75, 2)[0][0]
    x = 16 + (width + 40 if title else 0)
    for name, colour in GROUP_COLOURS.items():
        word = name.replace("_", " ")
        cv2.circle(sheet, (x + 6, 30), 6, colour, -1, cv2.LINE_AA)
        _text(sheet, word, (x + 18, 36), _FAINT, 0.55)
        x += 18 + cv2.getTextSize(word, _FONT, 0.55, 1)[0][0] + 22
    cv2.circle(sheet, (x + 6, 30), 5, _FAINT, 2, cv2.LINE_AA)
    _text(sheet, "hidden by the surface", (x + 18, 36), _FAINT, 0.55)


def _text(
    image: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
    size: float,
    width: int = 1,
) -> None:
    cv2.putText(image, text, at, _FONT, size, colour, width, cv2.LINE_AA)


def _dot(image: NDArray[np.uint8], at: NDArray[np.float64], radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(image, _fixed(at), round(radius * (1 << _SUBPIXEL)), colour, -1, cv2.LINE_AA, _SUBPIXEL)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.rint(point[:2] * (1 << _SUBPIXEL)).astype(int).tolist()
    return x, y
