"""A contact sheet to look at: frames with their landmarks, and beside each the fitted mesh drawn over the face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import GROUPS, N_LANDMARKS
from au3dmm.core.raster import render_mesh
from au3dmm.core.shading import Lighting, shade, vertex_normals
from au3dmm.errors import SchemaError

# Okabe & Ito's colours, which stay apart for colour-blind readers
DETECTED = (240, 228, 66)
FITTED = (0, 114, 178)
MESH = (86, 180, 233)
_PAPER, _PADDING, _INK, _FAINT, _HALO = ((grey, grey, grey) for grey in (250, 225, 40, 130, 20))
CLOSED = {"right_eye", "left_eye", "outer_lips", "inner_lips"}
_GAP, _CAPTION, _HEADER = 8, 24, 34
_MARGIN = 1.5  # side of the crop, in sides of the box around the landmarks
_OPACITY = 0.75
_SUBPIXEL = 4  # bits of a pixel that OpenCV draws with


def overlay_sheet(
    frames: Sequence[NDArray[np.uint8]],
    landmarks_px: NDArray[np.floating],
    projected_vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    fitted_landmarks_px: NDArray[np.floating] | None = None,
    captions: Sequence[str] | None = None,
    title: str = "",
    cell_px: int = 360,
    columns: int = 2,
) -> NDArray[np.uint8]:
    """Draw a few frames: on the left of each cell the landmarks, on the right the fitted mesh, half transparent.

    Parameters
    ----------
    frames : sequence of n (H, W, 3) uint8 arrays
        RGB
    landmarks_px : (n, 68, 2 or 3) array
        Detected landmarks, px; NaN where a frame has no face.
    projected_vertices : (n, V, 3) array
        The fitted mesh in the image: x, y, px, y down, and z, px, towards the camera; NaN where nothing was fitted.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    fitted_landmarks_px : (n, 68, 2 or 3) array, optional
        Where the fitted mesh has its landmarks, px: drawn as small rings.
    captions : sequence of n str, optional
        Below each cell; ASCII. See `frame_caption`.
    title : str
        At the top, before the legend; ASCII.
    cell_px : int
        Side of one picture.
    columns : int
        Cells per row.

    Returns
    -------
    (height, width, 3) uint8 array
        RGB

    Raises
    ------
    SchemaError
        If there are no frames, or the arrays do not have one entry for each.
    """
    n = len(frames)
    lines = list(captions) if captions is not None else [""] * n
    fitted = np.full((n, N_LANDMARKS, 2), np.nan) if fitted_landmarks_px is None else fitted_landmarks_px
    counts = {"frames": n, "landmarks": len(landmarks_px), "meshes": len(projected_vertices)}
    counts |= {"fitted landmarks": len(fitted), "captions": len(lines)}
    if n == 0 or set(counts.values()) != {n}:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise SchemaError(f"overlay: {found}; expected one of each per frame, and a frame")
    for name, points in (("landmarks", landmarks_px), ("fitted landmarks", fitted)):
        if points.shape[1] != N_LANDMARKS:
            raise SchemaError(f"overlay: {name} {points.shape}, expected (n, {N_LANDMARKS}, 2 or 3)")
    columns = min(columns, n)
    rows = -(-n // columns)
    width, height = 2 * cell_px + _GAP, cell_px + _CAPTION
    sheet = np.full((_HEADER + rows * (height + _GAP), columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    _legend(sheet, title)
    for i, frame in enumerate(frames):
        y = _HEADER + i // columns * (height + _GAP)
        x = _GAP + i % columns * (width + _GAP)
        corner, zoom = crop_square(frame, landmarks_px[i], cell_px)
        crop = cut_square(frame, corner, zoom, cell_px)
        left, right = crop.copy(), crop
        _draw_landmarks(left, to_cell(landmarks_px[i], corner, zoom), to_cell(fitted[i], corner, zoom))
        right = draw_mesh(right, projected_vertices[i], faces, corner, zoom)
        sheet[y : y + cell_px, x : x + cell_px] = left
        sheet[y : y + cell_px, x + cell_px + _GAP : x + width] = right
        _text(sheet, lines[i], (x + 2, y + cell_px + 17), _INK)
    return sheet


def frame_caption(frame_index: int, t_us: int, status: str, rmse_px: float | None, rmse_iod: float | None) -> str:
    """Return one line about a frame; numbers that are missing are left out.

    Examples
    --------
    >>> frame_caption(12, 466_667, "ok", 1.234, 0.0123)
    'frame 12   0.467 s   rmse 1.23 px, 1.2 % of outer eye distance'
    >>> frame_caption(13, 500_000, "no_face", None, None)
    'frame 13   0.500 s   no_face'
    """
    parts = [f"frame {frame_index}", f"{t_us * 1e-6:.3f} s"]
    if status != "ok":
        parts.append(status)
    if rmse_px is not None and np.isfinite(rmse_px):
        share = f", {rmse_iod:.1%} of outer eye distance" if rmse_iod is not None and np.isfinite(rmse_iod) else ""
        parts.append(f"rmse {rmse_px:.2f} px" + share.replace("%", " %"))
    return "   ".join(parts)


def crop_square(
    frame: NDArray[np.uint8], landmarks: NDArray[np.floating], cell_px: int
) -> tuple[NDArray[np.float64], float]:
    """Return the top-left corner (px, of the frame) of the square to show, and cell px per frame px."""
    points = landmarks[np.isfinite(landmarks[:, :2]).all(1), :2]
    size = np.array([frame.shape[1], frame.shape[0]], np.float64)
    centre, side = (size - 1) / 2, float(size.min())
    if len(points) > 1:
        low, high = points.min(0), points.max(0)
        # the landmarks end at the brows: look a little higher than their middle to see the forehead
        centre = (low + high) / 2 - (0, 0.1 * (high - low)[1])
        side = max(16.0, _MARGIN * float((high - low).max()))
    return np.asarray(centre - side / 2), cell_px / side


def to_cell(points: NDArray[np.floating], corner: NDArray[np.float64], zoom: float) -> NDArray[np.float64]:
    """Return points (..., 2 or more), px of the frame, as (..., 2) px of the square cut from it."""
    return np.asarray((points[..., :2] - corner) * zoom - 0.5)


def cut_square(frame: NDArray[np.uint8], corner: NDArray[np.float64], zoom: float, cell_px: int) -> NDArray[np.uint8]:
    """Cut a square (cell_px, cell_px, 3) out of a frame, grey where that has nothing."""
    to_frame = np.array([[1 / zoom, 0, corner[0] + 0.5 / zoom], [0, 1 / zoom, corner[1] + 0.5 / zoom]])
    flags = (cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(frame, to_frame, (cell_px, cell_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    # a pixel reaches half a pixel around its centre, and beyond the last one is paper
    for axis in (0, 1):
        at = to_frame[axis, 2] + np.arange(cell_px) / zoom
        np.moveaxis(cut, 1 - axis, 0)[(at < -0.5) | (at > frame.shape[1 - axis] - 0.5)] = _PADDING
    return np.asarray(cut, np.uint8)


def _draw_landmarks(image: NDArray[np.uint8], detected: NDArray[np.float64], fitted: NDArray[np.float64]) -> None:
    # rings first, so that what was detected is never hidden by what was fitted to it
    _dots(image, fitted, _PAPER, 3.0, 2)
    _dots(image, fitted, FITTED, 3.0, 1)
    scale = 1 << _SUBPIXEL
    for name, group in GROUPS.items():
        points = detected[list(group)]
        if np.isfinite(points).all():
            line = np.rint(points * scale).astype(np.int32)
            cv2.polylines(image, [line], name in CLOSED, DETECTED, 1, cv2.LINE_AA, _SUBPIXEL)
    _dots(image, detected, _HALO, 2.0, -1)
    _dots(image, detected, DETECTED, 1.4, -1)


def _dots(
    image: NDArray[np.uint8], points: NDArray[np.float64], colour: tuple[int, int, int], radius: float, width: int
) -> None:
    scale = 1 << _SUBPIXEL
    for x, y in np.rint(points[np.isfinite(points).all(1)] * scale).astype(int).tolist():
        cv2.circle(image, (x, y), round(radius * scale), colour, width, cv2.LINE_AA, _SUBPIXEL)


def draw_mesh(
    image: NDArray[np.uint8],
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    corner: NDArray[np.float64],
    zoom: float,
) -> NDArray[np.uint8]:
    """Draw a mesh (V, 3), px of the frame and depth, half transparent over a square that was cut from it."""
    if not np.isfinite(vertices).all():
        return image
    # the camera's axes are the mesh's: x right, y up, z towards the camera
    normals = vertex_normals(vertices * (1, -1, 1), faces)
    light = Lighting(direction=(-0.45, 0.5, 0.75), key=1.0, ambient=0.12, ground=0.05, wrap=0.0)
    colours = shade(normals, (np.array(MESH) / 255) ** 2.2, light)
    drawn, coverage = render_mesh(
        to_cell(vertices, corner, zoom), -vertices[:, 2], faces, colours, *image.shape[:2], cull_back=True
    )
    mean = drawn / np.maximum(coverage, 1e-6)[..., None]
    mesh = 255 * np.clip(mean, 0, 1) ** (1 / 2.2)
    weight = _OPACITY * coverage[..., None]
    return np.asarray(np.rint(weight * mesh + (1 - weight) * image), np.uint8)


def _legend(sheet: NDArray[np.uint8], title: str) -> None:
    x = _GAP + 2
    if title:
        _text(sheet, title, (x, 22), _INK, bold=True)
        x += cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 2)[0][0] + 26
    for word, colour, radius, width in (
        ("detected", DETECTED, 4, -1),
        ("fitted", FITTED, 4, 1),
        ("fitted mesh", MESH, 6, -1),
    ):
        if width < 0:
            cv2.circle(sheet, (x, 18), radius + 1, _HALO, -1, cv2.LINE_AA)
        cv2.circle(sheet, (x, 18), radius, colour, width, cv2.LINE_AA)
        _text(sheet, word, (x + 12, 22), _FAINT)
        x += 12 + cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, 0.43, 1)[0][0] + 22


def _text(
    sheet: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int], bold: bool = False
) -> None:
    size, width = (0.5, 2) if bold else (0.43, 1)
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
