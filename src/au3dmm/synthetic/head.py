"""The embedded head: a procedural human head of 5023 vertices with colours, regions and the 68 iBUG landmarks.

It has FLAME's number of vertices and nothing else of it: another topology, made of formulas only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.synthetic.head_colour import make_regions, paint
from au3dmm.synthetic.head_landmarks import place_landmarks
from au3dmm.synthetic.head_mesh import HeadMesh, make_head_mesh
from au3dmm.synthetic.head_shape import Array

ROUND_M = 1e-7


@dataclass(frozen=True)
class Head:
    """The default head, ready for use.

    Attributes
    ----------
    vertices : (5023, 3) float64 array
        m, y up, z out of the face; the origin is amid the head at eye height.
    faces : (F, 3) int32 array
        Counter-clockwise seen from outside.
    mirror : (5023,) int32 array
        Mirror partner of each vertex.
    albedo : (5023, 3) uint8 array
        sRGB.
    regions : dict of str to int32 arrays
        Vertex indices by name.
    embedding : LandmarkEmbedding
        The 68 iBUG landmarks.
    mesh : HeadMesh
        What it was made from, mm.
    """

    vertices: Array
    faces: NDArray[np.int32]
    mirror: NDArray[np.int32]
    albedo: NDArray[np.uint8]
    regions: dict[str, NDArray[np.int32]]
    embedding: LandmarkEmbedding
    mesh: HeadMesh


def build_head(seed: int = 0) -> Head:
    """Build the default head; equal seeds give equal heads.

    Parameters
    ----------
    seed : int
        Seed of the samples by which the skin's vertices are spread; the shape does not depend on it.
    """
    mesh = make_head_mesh(seed)
    return Head(
        vertices=np.round(mesh.points * 1e-3 / ROUND_M) * ROUND_M,
        faces=mesh.faces.astype(np.int32),
        mirror=mesh.mirror.astype(np.int32),
        albedo=paint(mesh),
        regions=make_regions(mesh),
        embedding=place_landmarks(mesh),
        mesh=mesh,
    )
