"""Sequences of tracked meshes as Multiface has them (Wuu et al. 2022): true faces to measure reconstructions by.

A subject's folder holds ``tracked_mesh/<expression>/<frame>.obj``, the same vertices in ``<frame>.bin``, and
``<frame>_transform.txt``, the head's pose. Its licence is not free for all uses; nothing of it is shipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.mesh import read_mesh

FPS = 30.0
_MM = 1e-3
_MESH = re.compile(r"(\d+)\.(obj|bin)")


@dataclass(frozen=True)
class TrackedMeshes:
    """One expression of one subject: T frames on one mesh.

    Attributes
    ----------
    expression : str
        Its folder's name.
    frames : (T,) int64 array
        Numbers of the frames, ascending; captured at 30 per second, where none was left out.
    vertices : (T, V, 3) float64 array
        In the head's own axes, m: without the head's pose.
    faces : (F, 3) int32 array
        Triangles.
    poses : (T, 3, 4) float64 array
        Rotation and translation (m) of the head in each frame: ``x -> R x + t``; NaN where there is no such file.
    """

    expression: str
    frames: NDArray[np.int64]
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    poses: NDArray[np.float64]


def multiface_expressions(subject: Path) -> list[str]:
    """Return the expressions of which a subject's folder has meshes, sorted.

    Raises
    ------
    SchemaError
        If the folder has no ``tracked_mesh``, or nothing is in it.
    """
    folder = subject / "tracked_mesh"
    found = sorted(path.name for path in folder.glob("*") if path.is_dir() and _frames(path))
    if not found:
        raise SchemaError(f"{folder}: no <expression>/<frame>.obj or .bin in it; expected a subject of Multiface")
    return found


def read_multiface(subject: Path, expression: str, every: int = 1) -> TrackedMeshes:
    """Read the tracked meshes of an expression.

    Frames are read from ``.bin``, which is the quickest, and from ``.obj`` where there is none; triangles from the
    first ``.obj``. Millimetres become metres.

    Parameters
    ----------
    subject : Path
        Like ``m--20180227--0000--6795937--GHS``.
    expression : str
        Like ``E001_Neutral_Eyes_Open``.
    every : int
        Take every n-th of the frames that are there.

    Raises
    ------
    SchemaError
        If there are no meshes, no triangles, or a frame has another number of vertices.
    """
    folder = subject / "tracked_mesh" / expression
    numbers = _frames(folder)
    if not numbers:
        raise SchemaError(f"{folder}: no <frame>.obj or <frame>.bin in it; expected tracked meshes")
    names = sorted(numbers, key=int)[::every]
    first = next((folder / f"{name}.obj" for name in sorted(numbers, key=int) if "obj" in numbers[name]), None)
    if first is None:
        raise SchemaError(f"{folder}: no <frame>.obj in it, of which one is needed for its triangles")
    mesh = read_mesh(first)
    n = len(mesh.vertices)
    vertices = np.stack([_vertices(folder, name, numbers[name], n) for name in names])
    poses = np.stack([_pose(folder / f"{name}_transform.txt") for name in names])
    return TrackedMeshes(expression, np.array(list(map(int, names)), np.int64), _MM * vertices, mesh.faces, poses)


def _frames(folder: Path) -> dict[str, set[str]]:
    """Return which files there are of each frame, by its number as written."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*"):
        name = _MESH.fullmatch(path.name)
        if name is not None:
            found.setdefault(name[1], set()).add(name[2])
    return found


def _vertices(folder: Path, name: str, kinds: set[str], n: int) -> NDArray[np.float64]:
    if "bin" not in kinds:
        return read_mesh(folder / f"{name}.obj", n).vertices
    path = folder / f"{name}.bin"
    try:
        data = path.read_bytes()
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    if len(data) != 12 * n:
        raise SchemaError(f"{path}: {len(data)} bytes, expected {12 * n}: {n} vertices of three float32 values")
    values = np.frombuffer(data, "<f4").reshape(n, 3).astype(np.float64)
    if not np.isfinite(values).all():
        raise SchemaError(f"{path}: vertices that are not finite")
    return values


def _pose(path: Path) -> NDArray[np.float64]:
    if not path.is_file():
        return np.full((3, 4), np.nan)
    try:
        pose = np.array([[float(x) for x in line.split()] for line in path.read_text().splitlines() if line.strip()])
    except (OSError, ValueError) as err:
        raise SchemaError(f"{path}: cannot be read: {' '.join(str(err).split())[:80]}") from err
    if pose.shape not in ((3, 4), (4, 4)) or not np.isfinite(pose).all():
        raise SchemaError(f"{path}: {pose.shape} numbers, expected three rows of four")
    pose = pose[:3].copy()
    pose[:, 3] *= _MM
    return np.asarray(pose)
