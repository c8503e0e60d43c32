"""Read a head that someone else made, FLAME's or any other, and bring it into metres, upright and in FLAME's place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import topology_hash
from au3dmm.core.landmarks import eye_distance, landmark_positions
from au3dmm.errors import SchemaError
from au3dmm.io.hashing import sha256_file
from au3dmm.io.heads import FLAME_TOPOLOGY, Head
from au3dmm.io.landmark_embeddings import WHICH_FILE, read_landmark_embedding
from au3dmm.io.mesh import Mesh, read_mesh
from au3dmm.io.pickles import Opaque, read_pickle

FLAME_VERTICES, FLAME_TRIANGLES = 5023, 9976
LANDMARK_FILES = (
    *("flame_static_embedding_68.pkl", "landmark_embedding.npy", "landmark_embedding_with_eyes.npy"),
    *("landmarks68.json", "flame_static_embedding.pkl", "flame_dynamic_embedding.npy"),
)
"""Names under which landmarks on FLAME are handed around."""

UNITS = {"metres": 1.0, "centimetres": 1e-2, "millimetres": 1e-3, "micrometres": 1e-6}
_EYES_M = 0.089  # between the outer eye corners, on average
_EYES_RANGE_M = (0.05, 0.16)
_INNER_CENTRE_M = np.array([0.0, -0.005, 0.048])  # of the inner 51 landmarks in FLAME's own frame
_FAR_M = 0.1  # DECA's, COMA's and VHAP's templates lie 1.5 m up; other people's heads differ by a centimetre


@dataclass(frozen=True)
class ImportedHead:
    """A head, and what was done to bring it into our frame.

    Attributes
    ----------
    head : Head
        In metres.
    unit : str
        Of the file: a key of `UNITS`.
    moved_m : tuple of float
        Added to its positions, m; zeros if it lay in place.
    """

    head: Head
    unit: str
    moved_m: tuple[float, float, float]


def import_head(
    path: Path, landmarks: Sequence[Path], *, name: str, flame: bool, licence: str | None = None
) -> ImportedHead:
    """Read a head and its landmarks, and check both.

    Parameters
    ----------
    path : Path
        A model of FLAME (.pkl) or a mesh (.ply, .obj, ...).
    landmarks : sequence of Path
        Files that make up the 68 landmarks; see `au3dmm.io.landmark_embeddings`.
    name : str
        Under which it will be known.
    flame : bool
        Whether it must be FLAME's topology.
    licence : str, optional
        Its licence, in words.

    Raises
    ------
    SchemaError
        If the head cannot be read, is not FLAME's topology although `flame`, does not stand upright and look along z,
        is of no known unit, or the landmarks are missing or do not fit it.
    """
    mesh = read_head_mesh(path)
    if flame:
        check_flame(path, mesh)
    if not landmarks:
        raise SchemaError(_no_landmarks(path, flame))
    marks = read_landmark_embedding(landmarks, mesh.vertices, mesh.faces)
    positions = landmark_positions(mesh.vertices, mesh.faces, marks.embedding)
    unit = _unit(path, float(eye_distance(positions)))
    centre = UNITS[unit] * positions[17:].mean(0)
    moved = _INNER_CENTRE_M - centre if np.linalg.norm(_INNER_CENTRE_M - centre) > _FAR_M else np.zeros(3)
    files = ", ".join(f"{file.name} (sha256 {sha256_file(file)[:12]})" for file in (path, *landmarks))
    head = Head(
        name=name,
        vertices=UNITS[unit] * mesh.vertices + moved,
        faces=mesh.faces,
        embedding=marks.embedding,
        dense=marks.dense,
        licence=licence or f"as it came with {path.name}; not given on import",
        source=files,
    )
    return ImportedHead(head, unit, (float(moved[0]), float(moved[1]), float(moved[2])))


def read_head_mesh(path: Path) -> Mesh:
    """Read the template of a FLAME model (.pkl), or a mesh, with vertices and triangles in the file's order.

    Raises
    ------
    SchemaError
        If the file cannot be read, or holds no template with triangles.
    """
    ending = path.suffix.lower()
    mesh = _of_model(path) if ending == ".pkl" else read_mesh(path)
    if not len(mesh.faces):
        raise SchemaError(f"{path}: {len(mesh.vertices)} vertices without triangles; expected a mesh")
    return mesh


def check_flame(path: Path, mesh: Mesh) -> None:
    """Refuse a mesh that is not FLAME's topology, vertex by vertex and triangle by triangle.

    Raises
    ------
    SchemaError
        If it is not.
    """
    found = topology_hash(len(mesh.vertices), mesh.faces)
    if found == FLAME_TOPOLOGY:
        return
    counts = f"{len(mesh.vertices)} vertices and {len(mesh.faces)} triangles"
    if (len(mesh.vertices), len(mesh.faces)) == (FLAME_VERTICES, FLAME_TRIANGLES):
        counts += f" as FLAME has, but not FLAME's triangles in FLAME's order (hash {found[:12]})"
    raise SchemaError(
        f"{path}: {counts}; expected FLAME's {FLAME_VERTICES} and {FLAME_TRIANGLES} (hash {FLAME_TOPOLOGY[:12]});"
        " use --mesh for a head of another topology"
    )


def _of_model(path: Path) -> Mesh:
    model = read_pickle(path)
    if not isinstance(model, Mapping) or "v_template" not in model or "f" not in model:
        keys = ", ".join(sorted(map(str, model))[:8]) if isinstance(model, Mapping) else f"a {type(model).__name__}"
        hint = "; that is a landmark file: give it with --landmarks" if "lmk" in keys else ""
        raise SchemaError(f"{path}: holds {keys or 'nothing'}, expected a FLAME model with v_template and f{hint}")
    vertices, faces = _array(path, "v_template", model["v_template"], "iuf"), _array(path, "f", model["f"], "iuf")
    if not np.isfinite(vertices).all():
        raise SchemaError(f"{path}: {int((~np.isfinite(vertices).all(1)).sum())} vertices are not finite")
    if not ((faces >= 0) & (faces < len(vertices)) & (faces == np.floor(faces))).all():
        raise SchemaError(f"{path}: f names vertices that are not there; there are {len(vertices)}")
    return Mesh(vertices.astype(np.float64), faces.astype(np.int32))


def _array(path: Path, key: str, value: Any, kinds: str) -> NDArray[Any]:
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == 3 and value.dtype.kind in kinds:
        return value
    found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    found = f"{value.name}, which cannot be read without its library" if isinstance(value, Opaque) else found
    raise SchemaError(f"{path}: {key} is {found}, expected an array (N, 3) of numbers")


def _unit(path: Path, eyes: float) -> str:
    unit = min(UNITS, key=lambda name: abs(math.log(eyes * UNITS[name] / _EYES_M)))
    low, high = _EYES_RANGE_M
    if not low <= eyes * UNITS[unit] <= high:
        raise SchemaError(
            f"{path}: the outer eye corners are {eyes:.4g} apart, which is no head in {', '.join(UNITS)}; expected"
            f" {low} to {high} m"
        )
    return unit


def _no_landmarks(path: Path, flame: bool) -> str:
    what = WHICH_FILE if flame else "a JSON list of 68 vertex indices in iBUG order, or landmarks68.json"
    beside = [name for name in LANDMARK_FILES if flame and (path.parent / name).is_file()]
    found = f"; {beside[0]} lies beside it: add --landmarks {path.parent / beside[0]}" if beside else ""
    return (
        f"{path}: a head is fitted by its 68 landmarks, and this file does not say where they are; give --landmarks:"
        f" {what}{found}"
    )
