"""Read where landmarks lie on a mesh, from every file in which the FLAME world keeps that.

What is in them (C the contour, 17 points; I the inner 51; M the 105 of MediaPipe's points that have a place on FLAME):

- ``flame_static_embedding.pkl``: I. ``flame_static_embedding_68.pkl``: C and I.
- ``flame_dynamic_embedding.npy``: C for every degree of yaw; the first entry is the frontal one.
- ``landmark_embedding.npy`` (DECA), ``landmark_embedding_with_eyes.npy`` (VHAP): C and I.
- ``mediapipe_landmark_embedding.npz``: M.
- ``landmarks68.json`` (ours), or 68 vertex indices as a list (.json, .npy, .txt): C and I.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import topology_hash
from au3dmm.core.landmark_order import check_landmarks68
from au3dmm.core.landmarks import N_LANDMARKS, DenseEmbedding, LandmarkEmbedding, eye_distance, landmark_positions
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.bases import read_npz
from au3dmm.io.pickles import read_object_npy, read_pickle

N_CONTOUR, N_INNER = 17, 51
WHICH_FILE = (
    "flame_static_embedding_68.pkl, DECA's landmark_embedding.npy, flame_static_embedding.pkl together with"
    " flame_dynamic_embedding.npy, or a JSON list of 68 vertex indices"
)
_KEYS = (
    ("full_lmk_faces_idx", "full_lmk_bary_coords"),
    ("static_lmk_faces_idx", "static_lmk_bary_coords"),
    ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
    ("lmk_face_idx", "lmk_b_coords"),
)
_MAX_NUMBERS = 1_000_000  # in lists; a contour by yaw has 4000
_ENDINGS = (".pkl", ".npy", ".npz", ".json", ".txt")
_MEDIAPIPE_CORNERS = {33: 36, 263: 45, 61: 48, 291: 54}
"""MediaPipe's points at the outer corners of eyes and mouth, and iBUG's."""
_CORNER_OFF = 0.2  # of the outer eye distance: annotations differ by 0.05


@dataclass(frozen=True)
class HeadLandmarks:
    """All that is known of landmarks on a mesh.

    Attributes
    ----------
    embedding : LandmarkEmbedding
        The 68 of iBUG.
    dense : DenseEmbedding, optional
        MediaPipe's.
    """

    embedding: LandmarkEmbedding
    dense: DenseEmbedding | None = None


_Part = tuple[str, LandmarkEmbedding, NDArray[np.int32] | None]
"""``full``, ``inner``, ``contour`` or ``dense``; where; and which points those of ``dense`` are."""


def read_landmark_embedding(
    paths: Sequence[Path], vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> HeadLandmarks:
    """Read the landmarks of a mesh from one file, or from several that complete each other.

    Parameters
    ----------
    paths : sequence of Path
        See the module.
    vertices : (V, 3) array
        The mesh, y up, z out of the face, any unit: on it is checked that the points are iBUG's, in order.
    faces : (F, 3) int array
        Its triangles, in the order that the files mean.

    Raises
    ------
    SchemaError
        If a file cannot be read or holds no landmarks, the files do not make up the 68 or contradict each other, or
        the points do not lie on the mesh where iBUG's do.
    """
    found: dict[str, tuple[Path, LandmarkEmbedding, NDArray[np.int32] | None]] = {}
    for path in paths:
        for kind, embedding, index in _read_parts(path, len(vertices), faces):
            if kind in found:
                raise SchemaError(f"{path}: {_KINDS[kind]}, which {found[kind][0].name} gives already; leave out one")
            found[kind] = (path, embedding, index)
    embedding = _complete(paths, found)
    for path, places, _ in found.values():
        _check_places(path, places, faces)
    positions = landmark_positions(vertices, faces, embedding)
    try:
        check_landmarks68(positions)
    except SchemaError as err:
        raise SchemaError(f"{', '.join(path.name for path in paths)}: on this mesh, {err}") from err
    dense = None
    if "dense" in found:
        path, places, index = found["dense"]
        assert index is not None, "dense points are read with their index"
        _check_dense(path, index, landmark_positions(vertices, faces, places), positions)
        dense = DenseEmbedding("mediapipe", index, places)
    return HeadLandmarks(embedding, dense)


_KINDS = {
    "full": "the 68 landmarks",
    "inner": "the inner 51 landmarks",
    "contour": "the 17 landmarks of the contour",
    "dense": "MediaPipe's landmarks",
}


def read_landmarks_json(path: Path) -> tuple[LandmarkEmbedding, str | None]:
    """Read our own format; return the landmarks and the hash of the mesh they were made for.

    Raises
    ------
    SchemaError
        If the file is missing, damaged, or not the 68 landmarks of iBUG.
    """
    data = _read_json(path)
    try:
        scheme, mesh = data["scheme"], data["topology_hash"]
        embedding = LandmarkEmbedding(np.array(data["face_index"], np.int32), np.array(data["barycentric"], np.float64))
    except (KeyError, TypeError, ValueError, OverflowError) as err:
        raise SchemaError(f"{path}: not a landmark embedding of au3dmm: {err!r}") from err
    except SchemaError as err:
        raise SchemaError(f"{path}: {err}") from err
    if scheme != "ibug68" or len(embedding.face_index) != N_LANDMARKS:
        raise SchemaError(f"{path}: {len(embedding.face_index)} landmarks of {scheme!r}, expected the 68 of 'ibug68'")
    return embedding, str(mesh)


def landmarks_json(embedding: LandmarkEmbedding, mesh_hash: str) -> dict[str, Any]:
    """Return what `read_landmarks_json` reads, to be written as JSON."""
    return {
        "scheme": "ibug68",
        "topology_hash": mesh_hash,
        "face_index": embedding.face_index.tolist(),
        "barycentric": embedding.barycentric.tolist(),
    }


def _complete(
    paths: Sequence[Path], found: Mapping[str, tuple[Path, LandmarkEmbedding, NDArray[np.int32] | None]]
) -> LandmarkEmbedding:
    if "full" in found:
        others = [kind for kind in ("inner", "contour") if kind in found]
        if others:
            path = found[others[0]][0]
            raise SchemaError(f"{path}: {_KINDS[others[0]]}, but {found['full'][0].name} gives all 68; leave out one")
        return found["full"][1]
    if {"inner", "contour"} <= found.keys():
        contour, inner = found["contour"][1], found["inner"][1]
        return LandmarkEmbedding(
            np.concatenate([contour.face_index, inner.face_index]),
            np.concatenate([contour.barycentric, inner.barycentric]),
        )
    if "inner" in found:
        raise SchemaError(
            f"{found['inner'][0]}: the inner 51 landmarks, expected 68; give flame_dynamic_embedding.npy as well (it"
            " has the 17 of the contour), or flame_static_embedding_68.pkl or DECA's landmark_embedding.npy instead"
        )
    what = " and ".join(_KINDS[kind] for kind in found) or "no landmarks"
    raise SchemaError(f"{', '.join(map(str, paths)) or 'landmarks'}: {what}, expected the 68 of iBUG: {WHICH_FILE}")


def _read_parts(path: Path, n_vertices: int, faces: NDArray[np.integer]) -> list[_Part]:
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise SchemaError(f"{path}: landmarks are read from {' '.join(_ENDINGS)} files, e.g. {WHICH_FILE}")
    data: Any
    if ending == ".pkl":
        data = read_pickle(path)
    elif ending == ".npy":
        data = read_object_npy(path)
    elif ending == ".npz":
        data = read_npz(path)
    elif ending == ".json":
        data = _read_json(path)
        if isinstance(data, dict) and "scheme" in data:
            return [_ours(path, n_vertices, faces)]
    else:
        data = _read_text(path)
    if isinstance(data, dict):
        return _parts_of_dict(path, data)
    return [("full", _on_vertices(path, data, n_vertices, faces), None)]


def _ours(path: Path, n_vertices: int, faces: NDArray[np.integer]) -> _Part:
    embedding, mesh = read_landmarks_json(path)
    expected = topology_hash(n_vertices, faces)
    if mesh != expected:
        raise SchemaError(f"{path}: made for topology {str(mesh)[:12]}, but the mesh is {expected[:12]}")
    return "full", embedding, None


def _parts_of_dict(path: Path, data: Mapping[str, Any]) -> list[_Part]:
    parts: list[_Part] = []
    for index_key, weights_key in _KEYS:
        index, weights = _array(data.get(index_key)), _array(data.get(weights_key))
        if index is None or weights is None:
            continue
        table = index.ndim == 2 and index.shape[0] > 1 and index.shape[1] == N_CONTOUR
        if table or (index.ndim == 2 and len(index) == 1):  # the contour by yaw, from 0 degrees; or one batch
            index, weights = index[0], weights[0]
        part = _part(path, index_key, index, weights, _array(data.get("landmark_indices")))
        if part[0] == "full":  # DECA's file holds the inner ones and a table of contours beside all 68
            return [part]
        parts.append(part)
    if not parts:
        keys = ", ".join(sorted(map(str, data))[:8]) or "nothing"
        raise SchemaError(f"{path}: no landmarks in it, but {keys}; expected {WHICH_FILE}")
    return parts


def _part(
    path: Path,
    key: str,
    index: NDArray[Any],
    weights: NDArray[Any],
    points: NDArray[Any] | None,
) -> _Part:
    if index.ndim != 1 or index.dtype.kind not in "iu" or weights.shape != (len(index), 3):
        raise SchemaError(
            f"{path}: {key} {index.dtype} {index.shape} with weights {weights.shape}; expected (N,) triangles, (N, 3)"
        )
    n = len(index)
    if points is not None:
        if points.shape != (n,) or points.dtype.kind not in "iu" or len(np.unique(points)) != n:
            raise SchemaError(f"{path}: landmark_indices {points.shape} for {n} landmarks, expected one each")
        return "dense", _embedding(path, index, weights), points.astype(np.int32)
    # VHAP's files append the eyes' centres to the 51 and the 68
    kinds = {17: ("contour", 17), 51: ("inner", 51), 53: ("inner", 51), 68: ("full", 68), 70: ("full", 68)}
    if n not in kinds:
        raise SchemaError(f"{path}: {n} landmarks, expected 68, 51 or 17 of iBUG: {WHICH_FILE}")
    kind, used = kinds[n]
    return kind, _embedding(path, index[:used], weights[:used]), None


def _embedding(path: Path, index: NDArray[Any], weights: NDArray[Any]) -> LandmarkEmbedding:
    if index.max(initial=0) > np.iinfo(np.int32).max:
        raise SchemaError(f"{path}: names triangle {index.max()}; no mesh has as many")
    try:
        return LandmarkEmbedding(index.astype(np.int32), weights.astype(np.float64))
    except SchemaError as err:
        raise SchemaError(f"{path}: {err}") from err


def _check_places(path: Path, embedding: LandmarkEmbedding, faces: NDArray[np.integer]) -> None:
    low, high = embedding.face_index.min(), embedding.face_index.max()
    if low < 0 or high >= len(faces):
        raise SchemaError(
            f"{path}: names triangle {low if low < 0 else high}, but the mesh has {len(faces)}; it is for another mesh"
        )
    if embedding.barycentric.min() < -0.5:
        worst = int(embedding.barycentric.min(1).argmin())
        raise SchemaError(
            f"{path}: landmark {worst} lies outside its triangle (weights"
            f" {np.round(embedding.barycentric[worst], 2).tolist()}), expected weights of 0 to 1"
        )


def _check_dense(
    path: Path, index: NDArray[np.int32], dense: NDArray[np.float64], positions: NDArray[np.float64]
) -> None:
    eyes = float(eye_distance(positions))
    for point, partner in _MEDIAPIPE_CORNERS.items():
        for place in dense[index == point]:
            off = float(np.linalg.norm(place - positions[partner])) / eyes
            if off > _CORNER_OFF:
                raise SchemaError(
                    f"{path}: MediaPipe's point {point} lies {off:.2f} outer eye distances from iBUG's {partner},"
                    " expected the same corner; it is for another mesh, or in another order"
                )


def _on_vertices(path: Path, data: Any, n_vertices: int, faces: NDArray[np.integer]) -> LandmarkEmbedding:
    """Place landmarks on vertices: each in the first triangle that has it for a corner."""
    index = _array(data)
    if index is None or index.ndim != 1 or len(index) != N_LANDMARKS or index.dtype.kind not in "iu":
        found = "no list of numbers" if index is None else f"{index.dtype} {index.shape}"
        raise SchemaError(f"{path}: {found}, expected 68 vertex indices, or {WHICH_FILE}")
    if index.min() < 0 or index.max() >= n_vertices:
        wrong = index.min() if index.min() < 0 else index.max()
        raise SchemaError(f"{path}: names vertex {wrong}, but the mesh has {n_vertices}; it is for another mesh")
    flat = np.asarray(faces).ravel()
    order = np.argsort(flat, kind="stable")
    at = np.searchsorted(flat, index, sorter=order)
    corner = order[np.minimum(at, len(order) - 1)]
    loose = index[flat[corner] != index]
    if len(loose):
        raise SchemaError(f"{path}: vertex {loose[0]} is in no triangle of the mesh; choose one of its surface")
    return LandmarkEmbedding((corner // 3).astype(np.int32), np.eye(3)[corner % 3])


def _array(value: Any) -> NDArray[Any] | None:
    """Return a plain array of numbers, also of a list of equal arrays; None for what is none (torch's tensors)."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value if value.dtype.kind in "iuf" else None
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value) or not _is_table(value):
        return None
    try:
        made = np.array([np.asarray(part) for part in value])
    except (ValueError, TypeError):
        return None
    return made if made.dtype.kind in "iuf" else None


def _is_table(value: Any) -> bool:
    """Whether a list holds numbers, arrays, or lists of lists of numbers, and not so many that a file may mean harm."""
    level: list[Any] = [value]
    left = _MAX_NUMBERS
    for _ in range(4):
        left -= sum(map(len, level))
        if left < 0:  # few bytes can name one list a million times
            return False
        parts = [part for rows in level for part in rows if not isinstance(part, (int, float, np.number))]
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        left -= sum(part.size for part in arrays)
        level = [part for part in parts if not isinstance(part, np.ndarray)]
        if not level:
            return left >= 0
        if not all(isinstance(part, (list, tuple)) for part in level):
            return False
    return False


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (ValueError, RecursionError) as err:
        raise SchemaError(f"{path}: not a landmark embedding: {err!r}; expected JSON") from err


def _read_text(path: Path) -> Any:
    try:
        words = path.read_text(encoding="utf-8").replace(",", " ").split()
        return np.array([int(word) for word in words], np.int64)
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except (ValueError, OverflowError) as err:
        raise SchemaError(f"{path}: not a list of vertex indices: {err}; expected 68 whole numbers") from err
