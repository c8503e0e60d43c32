"""Read where the 68 landmarks lie on a corpus' mesh: vertices, or triangles with barycentric coordinates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import N_LANDMARKS, LandmarkEmbedding
from au3dmm.errors import SchemaError, os_reason

_EXPECTED = (
    "expected 68 vertex numbers (JSON list, npy or txt), or a JSON object with face_index (68) and barycentric (68, 3)"
)


def read_corpus_landmarks(path: Path, n_vertices: int, faces: NDArray[np.int32] | None) -> LandmarkEmbedding:
    """Read the 68 iBUG landmarks of a mesh.

    Parameters
    ----------
    path : Path
        JSON, npy or text.
    n_vertices : int
        Of the mesh.
    faces : (F, 3) int32 array or None
        Its triangles; landmarks are kept as places on triangles.

    Raises
    ------
    SchemaError
        If the file is missing or holds something else, a vertex or triangle does not exist, or there are no triangles.
    """
    data = _read(path)
    if faces is None:
        raise SchemaError(f"{path}: landmarks, but the corpus' files hold no triangles; use PLY or OBJ with faces")
    try:
        if isinstance(data, dict):
            face_index, weights = np.asarray(data["face_index"]), np.asarray(data["barycentric"], np.float64)
        else:
            face_index, weights = _at_vertices(path, np.asarray(data), n_vertices, faces)
        if face_index.shape != (N_LANDMARKS,) or face_index.dtype.kind not in "iu":
            raise SchemaError(f"face_index of {face_index.dtype} {face_index.shape}")
        if not 0 <= int(face_index.min()) <= int(face_index.max()) < len(faces):
            raise SchemaError(f"triangle {int(face_index.max())} of {len(faces)}")
        return LandmarkEmbedding(face_index.astype(np.int32), weights)
    except (KeyError, TypeError, ValueError, OverflowError) as err:
        raise SchemaError(f"{path}: not landmarks: {err!r}; {_EXPECTED}") from err
    except SchemaError as err:
        raise SchemaError(f"{path}: {str(err).removeprefix(f'{path}: ')}; {_EXPECTED}") from err


def _read(path: Path) -> Any:
    try:
        match path.suffix.lower():
            case ".json":
                return json.loads(path.read_text(encoding="utf-8-sig"))
            case ".npy":
                return np.load(path, allow_pickle=False)
            case ".txt":
                return [int(word) for word in path.read_text(encoding="utf-8-sig").replace(",", " ").split()]
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}; {_EXPECTED}") from err
    except (ValueError, EOFError, SyntaxError, MemoryError, RecursionError) as err:
        reason = " ".join(str(err).split())[:200]
        raise SchemaError(f"{path}: not landmarks: {reason}; {_EXPECTED}") from err
    raise SchemaError(f"{path}: ends in {path.suffix or 'nothing'}, expected .json, .npy or .txt")


def _at_vertices(
    path: Path, vertices: NDArray[Any], n_vertices: int, faces: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a triangle with each vertex, and weights that are 1 at it."""
    if vertices.shape != (N_LANDMARKS,) or vertices.dtype.kind not in "iu":
        raise SchemaError(f"{path}: {vertices.dtype} {vertices.shape}")
    if not 0 <= int(vertices.min()) <= int(vertices.max()) < n_vertices:
        raise SchemaError(f"{path}: vertex {int(vertices.max())}, but the mesh has {n_vertices}")
    face_index, weights = np.zeros(N_LANDMARKS, np.int64), np.zeros((N_LANDMARKS, 3))
    for k, vertex in enumerate(vertices):
        triangles, corners = np.nonzero(faces == vertex)
        if not len(triangles):
            raise SchemaError(f"{path}: vertex {vertex} is in no triangle")
        face_index[k] = triangles[0]
        weights[k, corners[0]] = 1.0
    return face_index, weights
