"""Place a detector's dense points on a head: draw the head, run the detector on the drawings, cast the points back.

Nobody's licensed table of correspondences is needed, and any topology will do: the 68 landmarks say where lips, brows
and eyes are painted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.config import DetectParams
from au3dmm.core.basis import landmark_hash, topology_hash
from au3dmm.core.face_paint import DARK, LIGHT, MIDDLE, Palette, paint_eyes, paint_skin
from au3dmm.core.landmarks import MIRROR, DenseEmbedding, LandmarkEmbedding, eye_distance, landmark_positions
from au3dmm.core.mediapipe_mesh import MIRROR as MESH_MIRROR
from au3dmm.core.mediapipe_mesh import SHARED
from au3dmm.core.placement import Placement, cast_points, place_points, select_points, skin_triangles
from au3dmm.core.raster import interpolate, rasterise
from au3dmm.core.shading import Lighting, shade, vertex_normals
from au3dmm.detectors.base import LandmarkDetector
from au3dmm.errors import FitError
from au3dmm.io.hashing import fingerprint
from au3dmm.io.weights import file_sha256, mediapipe_files, mediapipe_needs
from au3dmm.io.weights import weights_folder as default_folder

VERSION = 2  # 2: crops are averaged
"""Raised when places come out differently."""

_SIZE = 640  # px, square
_EYES_PX = 170.0  # the mesh network sees 192 px across the whole face: larger adds nothing
_DISTANCE_M = 0.8
_TURNS_DEG = ((0, 0), (-15, 0), (15, 0), (-30, 0), (30, 0), (0, -15), (0, 15))  # yaw, pitch
_ROOMS: tuple[tuple[Palette, Lighting], ...] = (
    (LIGHT, Lighting((-0.5, 0.5, 0.8), key=0.65, ambient=0.40, ground=0.25, wrap=0.4)),
    (MIDDLE, Lighting((0.5, 0.5, 0.8), key=0.75, ambient=0.45, ground=0.28, wrap=0.4)),
    (DARK, Lighting((0.0, 0.4, 1.0), key=0.95, ambient=0.60, ground=0.40, wrap=0.5)),
)
_REACH_M = 0.003
_SYMMETRIC_M = 0.0025
_BACKGROUND = 0.13


@dataclass(frozen=True)
class Drawn:
    """A head as drawn in one view.

    Attributes
    ----------
    image : (H, W, 3) uint8 array
        sRGB.
    triangle : (H, W) int32 array
        Triangle of the skin that each pixel sees, -1 for none.
    vertices_px : (V, 2) array
        px, y down.
    distance : (V,) array
        From the camera along its axis, m.
    """

    image: NDArray[np.uint8]
    triangle: NDArray[np.int32]
    vertices_px: NDArray[np.float64]
    distance: NDArray[np.float64]


def placement_fingerprint(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    weights_folder: Path | None = None,
) -> str:
    """Return what `place_mediapipe` depends on: the head, its landmarks and the detector's models.

    Raises
    ------
    AssetError
        If the models are missing.
    """
    models = mediapipe_files(weights_folder or default_folder(), mediapipe_needs("short", False))
    head = hashlib.sha256(np.ascontiguousarray(vertices, dtype="<f4").tobytes()).hexdigest()
    inputs = {
        "vertices": head,
        "topology": topology_hash(len(vertices), faces),
        "landmarks": landmark_hash(embedding),
        **{name: file_sha256(path) for name, path in models.items()},
    }
    return fingerprint("placement", VERSION, {}, inputs)


def place_mediapipe(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    *,
    weights_folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DenseEmbedding:
    """Find where MediaPipe's points lie on a neutral head, and keep those that are worth fitting beside the 68.

    Parameters
    ----------
    vertices, faces, embedding, progress
        As in `place_dense`.
    weights_folder : Path, optional
        Where MediaPipe's models are, if not in the usual folder.

    Returns
    -------
    DenseEmbedding
        Weights rounded to 1e-6 and spreads to 1 um, as the last digits differ between processors. None of the points
        is one of the 68 by itself.

    Raises
    ------
    AssetError
        If the models are missing.
    FitError
        If the face is not found in the drawings, or not one point is worth keeping.
    """
    from au3dmm.detectors.mediapipe import MediapipeDetector

    print_ = placement_fingerprint(vertices, faces, embedding, weights_folder)
    params = DetectParams(mediapipe_tracking=False, mediapipe_range="short", mediapipe_refine=False)
    detector = MediapipeDetector(params, weights_folder or default_folder())
    placement, info = place_dense(vertices, faces, embedding, detector, MESH_MIRROR, progress)
    positions = landmark_positions(vertices, faces, placement.embedding)
    marks = landmark_positions(vertices, faces, embedding)
    kept = select_points(placement, positions, marks, MESH_MIRROR if info["symmetric"] else None, SHARED)
    if not len(kept):
        raise FitError("placement: the views agree about none of the detector's points; is the mesh a face?")
    known = np.isfinite(placement.spread_m)
    said = detector.describe()
    return DenseEmbedding(
        "mediapipe",
        kept,
        LandmarkEmbedding(placement.embedding.face_index[kept], np.round(placement.embedding.barycentric[kept], 6)),
        np.round(placement.spread_m[kept], 6),
        {
            **info,
            "detector": {key: said[key] for key in ("name", "weights", "versions")},
            "fingerprint": print_,
            "points": len(placement.spread_m),
            "spread_all_mm": round(1e3 * float(np.median(placement.spread_m[known])), 3),
        },
    )


def place_dense(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    detector: LandmarkDetector,
    mirror: NDArray[np.integer] | None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Placement, dict[str, Any]]:
    """Find where each of the detector's dense points lies on a neutral head.

    Seven views (frontal, 15 and 30 degrees to either side, 15 up and down) under three lights and skins.

    Parameters
    ----------
    vertices : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.
    embedding : LandmarkEmbedding
        Its 68 landmarks.
    detector : LandmarkDetector
        One that gives dense points.
    mirror : (N,) int array, optional
        Mirror partner of each of the points; used if the head's own 68 landmarks are symmetric within 2.5 mm
        (annotations of symmetric heads are not exactly so).
    progress : callable, optional
        Told views done and their number.

    Returns
    -------
    placement : Placement
        Of all points.
    info : dict
        ``views, views_found``, and whether places were made ``symmetric``.

    Raises
    ------
    FitError
        If the detector finds the face in fewer than half of the views.
    """
    skin = skin_triangles(faces, len(vertices), embedding)
    marks = landmark_positions(vertices, faces, embedding)
    middle, rms = symmetry(marks)
    views = list(product(_TURNS_DEG, _ROOMS))
    hits, towards = [], []
    for done, (turn, room) in enumerate(views):
        drawn = draw_head(vertices, faces, marks, skin, turn, *room)
        found = [face.dense_px for face in detector.detect(drawn.image, 0) if face.dense_px is not None]
        if len(found) == 1:
            towards.append(_turn(turn).T @ [0.0, 0.0, 1.0])
            px_per_m = _EYES_PX / float(eye_distance(marks))
            hits.append(
                cast_points(
                    found[0][:, :2].astype(np.float64),
                    drawn.triangle,
                    drawn.vertices_px,
                    drawn.distance,
                    vertices,
                    faces,
                    _REACH_M * px_per_m,
                )
            )
        if progress:
            progress(done + 1, len(views))
    if len(hits) < len(views) / 2:
        raise FitError(
            f"placement: {detector.name} finds the head in {len(hits)} of {len(views)} drawings of it, expected at"
            " least half; does it look along z, y up, in metres, and are its 68 landmarks where they belong?"
        )
    symmetric = mirror is not None and rms < _SYMMETRIC_M
    placement = place_points(
        np.stack(hits),
        np.stack(towards),
        vertices,
        faces,
        skin,
        mirror if symmetric else None,
        middle=middle,
        seen_min=0.5,
    )
    return placement, {"views": len(views), "views_found": len(hits), "symmetric": symmetric}


def draw_head(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    marks: NDArray[np.float64],
    skin: NDArray[np.bool_],
    turn_deg: tuple[float, float],
    palette: Palette,
    lighting: Lighting,
) -> Drawn:
    """Draw a head turned by yaw and pitch, degrees, painted by its landmarks `marks` (68, 3), under a light."""
    centre = marks.mean(0)
    turn = _turn(turn_deg)
    turned = (vertices - centre) @ turn.T
    focal = _EYES_PX / float(eye_distance(marks)) * _DISTANCE_M
    px, distance = _project(turned, focal)
    visible = faces[skin]
    raster = rasterise(px, -1 / distance, visible, _SIZE, _SIZE, cull_back=True)
    seen = raster.covered
    normals = vertex_normals(turned, faces)
    straight = interpolate(raster, visible, np.concatenate([vertices, (normals @ turn)[:, 2:]], axis=1))[seen]
    albedo = paint_skin(straight[:, :3].astype(np.float64), straight[:, 3], marks, palette)
    normal = interpolate(raster, visible, normals)[seen].astype(np.float64)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    image = np.full((_SIZE, _SIZE, 3), _BACKGROUND)
    image[seen] = shade(normal, albedo, lighting)
    marks_px, _ = _project((marks - centre) @ turn.T, focal)
    image = paint_eyes(image, marks_px, focal / _DISTANCE_M, palette)
    which = np.flatnonzero(skin).astype(np.int32)
    triangle = np.where(seen, which[np.maximum(raster.triangle, 0)], -1).astype(np.int32)
    return Drawn(_developed(image), triangle, px, distance)


def symmetry(marks: NDArray[np.float64]) -> tuple[float, float]:
    """Return x of the plane about which 68 landmarks are symmetric, m, and their rms distance from that, m."""
    middle = float((marks[:, 0] + marks[MIRROR, 0]).mean() / 2)
    off = marks[MIRROR] * [-1, 1, 1] + [2 * middle, 0, 0] - marks
    return middle, float(np.sqrt((off**2).sum(1).mean()))


def _turn(turn_deg: tuple[float, float]) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler("yx", turn_deg, degrees=True).as_matrix())


def _project(points: NDArray[np.float64], focal: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    distance = _DISTANCE_M - points[:, 2]
    middle = (_SIZE - 1) / 2
    return focal * points[:, :2] * [1, -1] / distance[:, None] + middle, distance


def _developed(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn linear brightness into sRGB bytes (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * srgb), np.uint8)
