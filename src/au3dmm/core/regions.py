"""Which part of the head each vertex belongs to, and its mirror partner, on any mesh with the 68 landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import MIRROR, N_LANDMARKS, eye_distance
from au3dmm.core.raster import checked_faces, rasterise
from au3dmm.errors import SchemaError

REGIONS = ("forehead", "brows", "eyes", "nose", "cheeks", "lips", "chin", "jaw", "ears", "scalp", "neck")
"""Names of the numbers that `vertex_regions` returns."""

_SEEN_FROM = ((0, 0), (-45, 0), (45, 0), (-90, 0), (90, 0), (0, -50), (-45, -35), (45, -35))
"""Directions, degrees to the subject's left and up; those below zero look up at the chin."""
_SEEN_PX = 640  # finer than the triangles of a face of 20,000 vertices

# Places that stand for a region, for the subject's left half and the midline: the mean of some landmarks, moved by
# (outwards, up, forwards) eye distances. A vertex belongs to the place nearest to it; the right half is mirrored.
# fmt: off
_PLACES: dict[str, tuple[tuple[tuple[int, ...], tuple[float, float, float]], ...]] = {
    "forehead": (
        ((21, 22), (0, 0.22, 0)), ((21, 22), (0, 0.5, -0.12)), ((23,), (0, 0.24, -0.02)), ((24,), (0, 0.24, -0.04)),
        ((24,), (0, 0.5, -0.2)), ((25,), (0.02, 0.24, -0.1)), ((26,), (0.06, 0.1, -0.16)), ((26,), (0.02, 0.34, -0.25)),
        ((26, 45), (0.14, 0.05, -0.25)),
    ),
    "brows": (
        ((22,), (0, 0, 0)), ((22, 23), (0, 0, 0)), ((23,), (0, 0, 0)), ((23, 24), (0, 0, 0)), ((24,), (0, 0, 0)),
        ((24, 25), (0, 0, 0)), ((25,), (0, 0, 0)), ((25, 26), (0, 0, 0)), ((26,), (0, 0, 0)), ((21, 22), (0, 0, 0)),
    ),
    "eyes": (
        *(((i,), (0, 0, 0)) for i in range(42, 48)), ((43, 44, 46, 47), (0, 0, 0)),
        ((43, 44, 46, 47), (0, 0, -0.14)), ((43, 44, 46, 47), (0, 0, -0.28)), ((46, 47), (0, -0.08, 0)),
        ((43, 24), (0, -0.03, 0)), ((44, 25), (0, -0.03, 0)), ((45,), (0.06, 0, -0.06)),
    ),
    "nose": (
        ((27,), (0, 0, 0)), ((28,), (0, 0, 0)), ((29,), (0, 0, 0)), ((30,), (0, 0, 0)), ((33,), (0, 0, 0)),
        ((34,), (0, 0, 0)), ((35,), (0, 0, 0)), ((35,), (0.06, 0.08, -0.02)), ((28,), (0.1, 0, -0.1)),
        ((29,), (0.12, 0, -0.12)), ((30,), (0.08, 0.02, -0.08)), ((27, 42), (0, 0, 0)), ((30, 33), (0, 0, -0.2)),
    ),
    "cheeks": (
        ((35, 46, 47), (0.1, -0.05, -0.04)), ((46, 47, 54), (0.06, 0, 0)), ((45, 54), (0.08, 0.02, -0.05)),
        ((45, 13), (0, 0.02, 0.02)), ((54, 14), (0, 0.1, 0.02)), ((45, 14), (0, 0, 0.04)), ((54, 13), (0, 0.05, 0.04)),
        ((45, 15), (0, -0.05, 0.03)), ((35, 54, 46), (0.06, 0, -0.02)),
    ),
    "lips": (
        *(((i,), (0, 0, 0)) for i in (51, 52, 53, 54, 55, 56, 57, 62, 63, 64, 65, 66)), ((33, 51), (0, -0.04, 0)),
        ((35, 52), (0, -0.05, 0)), ((62, 66), (0, 0, -0.15)), ((62, 66), (0, 0, -0.35)), ((54,), (0, 0, -0.15)),
    ),
    "chin": (
        ((8,), (0, 0, 0)), ((8, 57), (0, 0, 0.02)), ((8, 57), (0, -0.1, 0)), ((9,), (0, 0.05, 0)), ((9, 56), (0, 0, 0)),
        ((9, 10, 55), (0, -0.02, 0)),
    ),
    "jaw": (
        ((10,), (0, 0, 0)), ((11,), (0, 0, 0)), ((12,), (0, 0, 0)), ((13,), (0, 0, -0.02)),
        ((10, 54), (0.06, -0.08, 0)), ((11, 54), (0.1, -0.05, 0)), ((14,), (0, 0, -0.1)), ((13,), (-0.05, -0.02, -0.2)),
    ),
    "ears": (
        ((16,), (0.05, 0, -0.18)), ((16,), (0.12, 0.1, -0.2)), ((15,), (0.06, 0, -0.18)), ((16,), (0.1, 0.26, -0.22)),
        ((16,), (0.2, 0.1, -0.38)), ((15,), (0.12, 0, -0.34)),
    ),
    "scalp": (
        ((21, 22), (0, 0.85, -0.3)), ((24,), (0.05, 0.85, -0.45)), ((26,), (0.12, 0.55, -0.6)),
        ((16,), (0, 0.55, -0.3)), ((16,), (-0.1, 0.3, -0.8)), ((16,), (-0.6, 0.6, -1.2)),
        ((16,), (-0.6, 0.1, -1.2)), ((27,), (0, 0.9, -1.2)), ((16,), (-0.3, 0.9, -0.6)),
    ),
    "neck": (
        ((8,), (0, -0.22, -0.3)), ((10,), (-0.1, -0.25, -0.3)), ((12,), (-0.1, -0.3, -0.35)), ((8,), (0, -0.6, -0.5)),
        ((12,), (-0.05, -0.7, -0.5)), ((13,), (-0.1, -0.3, -0.7)), ((13,), (-0.6, -0.2, -1.1)), ((8,), (0, -1.1, -0.5)),
        ((12,), (0.3, -1.1, -0.6)), ((8,), (0, -0.12, -0.16)), ((12,), (0.3, -1.2, -1.2)),
    ),
}
# fmt: on


def head_axes(landmarks: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a point of the head's mirror plane and the head's axes, from the landmarks' left and right partners.

    Parameters
    ----------
    landmarks : (68, 3) array
        Of a roughly upright head: y up, z out of the face, any unit.

    Returns
    -------
    origin : (3,) array
        Mean of the midpoints between partners, in the unit of `landmarks`.
    axes : (3, 3) array
        Rows: to the subject's left (the plane's normal), up, forwards; orthonormal, right-handed.

    Raises
    ------
    SchemaError
        If there are not 68 finite landmarks, or left and right are the same places.
    """
    if landmarks.shape != (N_LANDMARKS, 3) or not np.isfinite(landmarks).all():
        raise SchemaError(f"regions: landmarks {landmarks.shape}, expected {N_LANDMARKS} finite points in 3D")
    marks = np.asarray(landmarks, np.float64)
    # right to left: points 45, 54, ... are the left partners, whose number differs between groups
    across = marks - marks[MIRROR]
    leftwards = across * np.sign(across @ (marks[45] - marks[36]))[:, None]
    normal = leftwards.sum(0)
    length = float(np.linalg.norm(normal))
    if not length > 0:
        raise SchemaError("regions: the left and right landmarks are the same places, expected a face")
    normal /= length
    up = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
    up /= np.linalg.norm(up)
    return ((marks + marks[MIRROR]) / 2).mean(0), np.stack([normal, up, np.cross(normal, up)])


def mirror_vertices(template: NDArray[np.floating], landmarks: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return for each vertex the one nearest to its mirror image; on a symmetric mesh, its partner.

    Parameters
    ----------
    template : (V, 3) array
        m, y up, z out of the face.
    landmarks : (68, 3) array
        Of this head, m.

    Returns
    -------
    (V,) int array
        Index of the partner.

    Raises
    ------
    SchemaError
        If the landmarks are not those of a face.
    """
    origin, axes = head_axes(landmarks)
    normal = axes[0]
    mirrored = template - 2 * ((template - origin) @ normal)[:, None] * normal
    return np.asarray(cKDTree(template).query(mirrored)[1], np.int64)


def vertex_regions(template: NDArray[np.floating], landmarks: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return the region of the head that each vertex belongs to.

    A region is where some places are nearest that are given by the landmarks and shifts in eye distances, so that any
    mesh is divided alike. What lies inside the head (teeth, eyeballs) belongs to the region before it.

    Parameters
    ----------
    template : (V, 3) array
        m, y up, z out of the face.
    landmarks : (68, 3) array
        Of this head, m.

    Returns
    -------
    (V,) int8 array
        Index into `REGIONS`.

    Raises
    ------
    SchemaError
        If the landmarks are not those of a face.
    """
    _, axes = head_axes(landmarks)
    unit = float(eye_distance(landmarks))
    places, regions = [], []
    for region, name in enumerate(REGIONS):
        for points, shift in _PLACES[name]:
            for side, numbers in ((1, np.array(points)), (-1, MIRROR[np.array(points)])):
                moved = unit * np.array(shift) * (side, 1, 1) @ axes
                places.append(landmarks[numbers].mean(0) + moved)
                regions.append(region)
    nearest = cKDTree(np.array(places)).query(template)[1]
    return np.asarray(np.array(regions, np.int8)[nearest])


def vertex_sides(template: NDArray[np.floating], landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far each vertex lies to the subject's left of the mirror plane (V,), m; negative to the right."""
    origin, axes = head_axes(landmarks)
    return np.asarray((template - origin) @ axes[0])


def skin_areas(template: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the area of skin around each vertex: what can be seen of the head from outside, from the front half.

    Parameters
    ----------
    template : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles, counter-clockwise seen from outside.

    Returns
    -------
    (V,) array
        A third of the triangles around it, m^2; 0 inside the head (teeth, gums, the hidden part of an eyeball).
    """
    tri = checked_faces(faces, len(template))
    seen = np.zeros(len(tri), bool)
    size = float(np.ptp(template, axis=0).max(initial=0)) or 1.0
    centred = np.asarray(template, np.float64) - (template.max(0) + template.min(0)) / 2
    for yaw, pitch in _SEEN_FROM:
        turned = centred @ Rotation.from_euler("yx", [-yaw, pitch], degrees=True).as_matrix().T
        places = np.stack([turned[:, 0], -turned[:, 1]], 1) * (_SEEN_PX / (1.5 * size)) + _SEEN_PX / 2
        a, b, c = (places[tri[:, i]] for i in range(3))
        towards = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        raster = rasterise(places, -turned[:, 2], tri, _SEEN_PX, _SEEN_PX)
        hit = np.zeros(len(tri), bool)
        hit[raster.triangle[raster.covered]] = True
        seen |= hit & towards
    a, b, c = (np.asarray(template, np.float64)[tri[:, i]] for i in range(3))
    area = np.where(seen, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6, 0)
    return np.asarray(np.bincount(tri.ravel(), np.repeat(area, 3), len(template)), np.float64)
