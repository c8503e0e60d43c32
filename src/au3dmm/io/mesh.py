"""Meshes on disk (PLY, OBJ, and by trimesh others), with the order of vertices and triangles as it stands there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.mesh import Mesh
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.atomic import write_bytes
from au3dmm.io.obj import parse_obj
from au3dmm.io.ply import parse_ply

__all__ = ["Mesh", "read_mesh", "write_mesh"]

# what trimesh raises when a damaged file misleads its parsers: NameError for variables that it then never sets,
# ImportError where it would like to guess an encoding
_DAMAGE = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NameError, ImportError),
    *(NotImplementedError, EOFError, MemoryError, RecursionError),
)


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
    ending = path.suffix.lstrip(".").lower()
    try:
        data = path.read_bytes()
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    try:
        mesh = parse_obj(data) if ending == "obj" else parse_ply(data) if ending == "ply" else None
    except ValueError as err:
        raise SchemaError(f"{path}: {err}") from err
    vertices, faces = (mesh.vertices, mesh.faces) if mesh is not None else _by_trimesh(path, data, ending)
    if not len(vertices):
        raise SchemaError(f"{path}: no vertices in it; expected a mesh")
    if n_vertices is not None and len(vertices) != n_vertices:
        raise SchemaError(f"{path}: {len(vertices)} vertices, expected {n_vertices}; this is another topology")
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(1)).sum())
        raise SchemaError(f"{path}: {bad} of {len(vertices)} vertices are not finite")
    return Mesh(vertices, faces)


def _by_trimesh(path: Path, data: bytes, ending: str) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    import trimesh  # here: a quarter of a second that labelling does not need

    # fix_texture would split vertices that have several texture coordinates
    options: dict[str, Any] = {"fix_texture": False} if ending == "ply" else {}
    try:
        loaded = trimesh.load(
            io.BytesIO(data), file_type=ending, force="mesh", process=False, maintain_order=True, **options
        )
    except _DAMAGE as err:
        raise SchemaError(f"{path}: not a mesh that trimesh can read: {err}") from err
    vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), np.float64)
    return vertices, np.asarray(getattr(loaded, "faces", np.zeros((0, 3))), np.int32)


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write a mesh atomically as binary PLY or as OBJ, by the ending of `path`, vertices in order.

    Raises
    ------
    OutputError
        If the file cannot be written.
    SchemaError
        If the ending is neither ``.ply`` nor ``.obj``.
    """
    import trimesh

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("ply", "obj"):
        raise SchemaError(
            f"{path}: meshes are written as .ply or .obj, not as {path.suffix or 'a file without ending'}"
        )
    data = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type=kind)
    write_bytes(path, data if isinstance(data, bytes) else str(data).encode())
