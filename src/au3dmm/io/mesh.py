"""Meshes on disk (PLY, OBJ, STL, ...) by trimesh, with the order of vertices and triangles as it stands in the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_bytes


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes
    ----------
    vertices : (V, 3) float64 array
        In the file's own unit.
    faces : (F, 3) int32 array
        Triangles; quads are split.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]


def read_mesh(path: Path, n_vertices: int | None = None) -> Mesh:
    """Read a mesh without merging, reordering or dropping a vertex: its topology is its meaning.

    Parameters
    ----------
    path : Path
        PLY, OBJ or another format that trimesh reads.
    n_vertices : int, optional
        How many vertices are expected.

    Raises
    ------
    SchemaError
        If the file is missing, is no mesh, has other than `n_vertices` vertices, or vertices that are not finite.
    """
    try:
        with path.open("rb") as f:
            loaded = trimesh.load(
                f, file_type=path.suffix.lstrip(".").lower(), force="mesh", process=False, maintain_order=True
            )
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, NotImplementedError) as err:
        # trimesh raises whatever its parser stumbles over
        raise SchemaError(f"{path}: not a mesh that trimesh can read: {err}") from err
    vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float64)
    faces = np.asarray(getattr(loaded, "faces", np.zeros((0, 3))), np.int32)
    if not len(vertices):
        raise SchemaError(f"{path}: no vertices in it; expected a mesh")
    if n_vertices is not None and len(vertices) != n_vertices:
        raise SchemaError(f"{path}: {len(vertices)} vertices, expected {n_vertices}; this is another topology")
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(1)).sum())
        raise SchemaError(f"{path}: {bad} of {len(vertices)} vertices are not finite")
    return Mesh(vertices, faces)


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a mesh atomically as binary PLY or as OBJ, by the ending of `path`, vertices in order.

    Raises
    ------
    OutputError
        If the file cannot be written.
    SchemaError
        If the ending is neither ``.ply`` nor ``.obj``.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in ("ply", "obj"):
        raise SchemaError(
            f"{path}: meshes are written as .ply or .obj, not as {path.suffix or 'a file without ending'}"
        )
    data = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type=kind)
    write_bytes(path, data if isinstance(data, bytes) else str(data).encode())
