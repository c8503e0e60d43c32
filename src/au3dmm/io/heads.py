"""Heads that bases are built on: the shipped one, and those a user imported, each a folder in the user's data.

``heads/<name>/head.npz`` is the head, whole in one file: ``vertices``, ``faces``, ``landmark_face_index``,
``landmark_barycentric``, ``dense_index dense_face_index dense_barycentric dense_spread_m`` where a dense detector's
points are known (the last where it was measured),
and ``info``, a JSON text. ``landmarks68.json`` beside it is for other programs, ``head.png`` for people.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import landmark_hash, topology_hash
from au3dmm.core.landmarks import N_LANDMARKS, DenseEmbedding, LandmarkEmbedding, eye_distance, landmark_positions
from au3dmm.errors import AssetError, ConfigError, SchemaError
from au3dmm.io.assets import read_default_head
from au3dmm.io.atomic import write_json
from au3dmm.io.bases import read_npz, write_npz
from au3dmm.io.dense_arrays import dense_arrays, dense_info, read_dense
from au3dmm.io.landmark_embeddings import landmarks_json

FLAME_TOPOLOGY = "cf115f9976714c685d63f9598306448c0c279a60c7f89f26b2d96d475222d316"
"""`topology_hash` of FLAME's 5023 vertices and 9976 triangles."""
SHIPPED = "procedural"
HEAD_FILE, LANDMARK_FILE, PICTURE_FILE = "head.npz", "landmarks68.json", "head.png"
FORMAT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ARRAYS = {
    "vertices": (2, "f"),
    "faces": (2, "iu"),
    "landmark_face_index": (1, "iu"),
    "landmark_barycentric": (2, "f"),
    "info": (0, "U"),
}


@dataclass(frozen=True)
class Head:
    """A neutral head with its landmarks.

    Attributes
    ----------
    name : str
        Like ``flame``.
    vertices : (V, 3) float64 array
        m, y up, z out of the face.
    faces : (F, 3) int32 array
        Triangles, counter-clockwise seen from outside.
    embedding : LandmarkEmbedding
        The 68 iBUG landmarks.
    dense : DenseEmbedding, optional
        Places of a dense detector's points.
    licence, source : str
        In words: under which it may be used, and the files it came from.
    """

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    embedding: LandmarkEmbedding
    dense: DenseEmbedding | None = None
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3 or self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise SchemaError(
                f"head {self.name}: vertices {self.vertices.shape}, faces {self.faces.shape}; expected (V, 3), (F, 3)"
            )
        if not np.isfinite(self.vertices).all():
            raise SchemaError(f"head {self.name}: vertices that are not finite")
        if len(self.embedding.face_index) != N_LANDMARKS:
            raise SchemaError(
                f"head {self.name}: {len(self.embedding.face_index)} landmarks, expected the {N_LANDMARKS} of iBUG"
            )
        for embedding in (self.embedding, *((self.dense.embedding,) if self.dense else ())):
            landmark_positions(self.vertices, self.faces, embedding)  # raises if they are not on this mesh

    @property
    def is_flame_topology(self) -> bool:
        """Whether vertices and triangles are those of FLAME."""
        return self.topology_hash() == FLAME_TOPOLOGY

    def topology_hash(self) -> str:
        """Return the hash of the mesh topology."""
        return topology_hash(len(self.vertices), self.faces)

    def landmark_hash(self) -> str:
        """Return the hash of the landmark embedding."""
        return landmark_hash(self.embedding)

    def landmarks(self) -> NDArray[np.float64]:
        """Return the 68 landmarks (68, 3), m."""
        return landmark_positions(self.vertices, self.faces, self.embedding)

    def dense_landmarks(self) -> NDArray[np.float64] | None:
        """Return the dense detector's points (N, 3), m; None if their places are not known."""
        return landmark_positions(self.vertices, self.faces, self.dense.embedding) if self.dense else None

    def eye_distance_m(self) -> float:
        """Return the distance between the outer eye corners, m."""
        return float(eye_distance(self.landmarks()))


def heads_folder() -> Path:
    """Return the folder of imported heads: ``$AU3DMM_HEADS``, else ``au3dmm/heads`` in the user's data."""
    given = os.environ.get("AU3DMM_HEADS")
    if given:
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "au3dmm" / "heads"


def check_name(name: str) -> None:
    """Refuse a name that is no folder's, or the shipped head's.

    Raises
    ------
    ConfigError
        If so.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a head: expected up to 64 letters, digits and ._-")
    if name == SHIPPED:
        raise ConfigError(f"{name!r} is the shipped head; choose another name")


def write_head(head: Head, folder: Path | None = None) -> Path:
    """Write a head as ``<folder>/<name>/head.npz``, atomically, and its landmarks as JSON; return its folder.

    Parameters
    ----------
    head : Head
        Its name is its folder's.
    folder : Path, optional
        Of all heads; None means `heads_folder`.

    Raises
    ------
    ConfigError
        If its name cannot be one.
    OutputError
        If the files cannot be written.
    """
    check_name(head.name)
    out = (folder or heads_folder()) / head.name
    arrays: dict[str, NDArray[Any]] = {
        "vertices": head.vertices.astype(np.float64),
        "faces": head.faces.astype(np.int32),
        "landmark_face_index": head.embedding.face_index.astype(np.int32),
        "landmark_barycentric": head.embedding.barycentric.astype(np.float64),
    }
    info = {
        "format_version": FORMAT_VERSION,
        "licence": head.licence,
        "source": head.source,
        "topology_hash": head.topology_hash(),
        "landmark_hash": head.landmark_hash(),
        "is_flame_topology": head.is_flame_topology,
    }
    if head.dense is not None:
        info["dense"] = dense_info(head.dense)
        arrays |= dense_arrays(head.dense)
    arrays["info"] = np.array(json.dumps(info, sort_keys=True, ensure_ascii=False))
    # head.npz comes last: the folder is a head once it is there
    write_json(out / LANDMARK_FILE, landmarks_json(head.embedding, head.topology_hash()))
    write_npz(out / HEAD_FILE, arrays)
    return out


def read_head(name: str, folder: Path | None = None) -> Head:
    """Read a head by its name; ``procedural`` is the shipped one.

    Raises
    ------
    AssetError
        If there is none of that name.
    SchemaError
        If its file is damaged.
    """
    if name == SHIPPED:
        default = read_default_head()
        return Head(
            SHIPPED, default.vertices, default.faces, default.embedding, None, "Apache-2.0", "au3dmm, made of formulas"
        )
    folder = folder or heads_folder()
    if not _NAME.fullmatch(name) or not (folder / name / HEAD_FILE).is_file():
        there = ", ".join([SHIPPED, *head_names(folder)])
        raise AssetError(
            f"no head {name!r} in {folder}; there are {there}; `au3dmm assets import --flame FILE --landmarks FILE`"
            " adds FLAME"
        )
    return _read(name, folder / name / HEAD_FILE)


def head_names(folder: Path | None = None) -> list[str]:
    """Return the names of the imported heads, sorted; damaged ones too."""
    found = (folder or heads_folder()).glob(f"*/{HEAD_FILE}")
    return sorted(path.parent.name for path in found if _NAME.fullmatch(path.parent.name))


def find_head(
    *, topology_hash: str | None = None, n_vertices: int | None = None, folder: Path | None = None
) -> Head | None:
    """Find the head whose vertices correspond to those of a corpus.

    Parameters
    ----------
    topology_hash : str, optional
        Of the corpus' triangles (`au3dmm.core.basis.topology_hash`): finds the shipped head, too.
    n_vertices : int, optional
        For a corpus without triangles. Only imported heads are found so: the shipped one has as many vertices as FLAME
        by design, and none in common.
    folder : Path, optional
        Of all heads; None means `heads_folder`.

    Returns
    -------
    Head or None
        None if no head fits.

    Raises
    ------
    ConfigError
        If several fit that are not the same mesh with the same landmarks.
    SchemaError
        If none fits, and one that may be it is damaged.
    """
    fitting: list[Head] = []
    damage: SchemaError | None = None
    for name in [*head_names(folder), *([SHIPPED] if topology_hash else [])]:
        try:
            head = read_head(name, folder)
        except SchemaError as err:
            damage = damage or err
            continue
        fits = head.topology_hash() == topology_hash if topology_hash else len(head.vertices) == n_vertices
        if fits:
            fitting.append(head)
    if not fitting and damage is not None:
        raise damage
    if len({(head.topology_hash(), head.landmark_hash()) for head in fitting}) > 1:
        names = ", ".join(head.name for head in fitting)
        raise ConfigError(f"heads {names} all fit, and differ in mesh or landmarks; say which with --head NAME")
    return fitting[0] if fitting else None


def _read(name: str, path: Path) -> Head:
    arrays = read_npz(path)
    for key, (ndim, kinds) in _ARRAYS.items():
        array = arrays.get(key)
        if array is None or array.ndim != ndim or array.dtype.kind not in kinds:
            found = "is missing" if array is None else f"is {array.dtype} {array.shape}"
            raise SchemaError(f"{path}: not a head of au3dmm: {key} {found}; import it again with --force")
    info = _info(path, arrays["info"])
    try:
        head = Head(
            name=name,
            vertices=arrays["vertices"].astype(np.float64),
            faces=arrays["faces"].astype(np.int32),
            embedding=_embedding(arrays["landmark_face_index"], arrays["landmark_barycentric"]),
            dense=read_dense(arrays, info.get("dense") or {"scheme": info.get("dense_scheme", "mediapipe")}),
            licence=str(info.get("licence", "")),
            source=str(info.get("source", "")),
        )
    except SchemaError as err:
        raise SchemaError(f"{path}: {err}; import it again with --force") from err
    for key, found in (("topology_hash", head.topology_hash()), ("landmark_hash", head.landmark_hash())):
        if info.get(key) != found:
            raise SchemaError(
                f"{path}: {key} {found[:12]} of its arrays is not the {str(info.get(key))[:12]} it was written with;"
                " import it again with --force"
            )
    return head


def _info(path: Path, text: NDArray[Any]) -> Mapping[str, Any]:
    try:
        info = json.loads(str(text))
    except (ValueError, RecursionError) as err:
        raise SchemaError(f"{path}: info is not JSON: {err}; import it again with --force") from err
    if not isinstance(info, dict) or info.get("format_version") != FORMAT_VERSION:
        found = info.get("format_version") if isinstance(info, dict) else type(info).__name__
        raise SchemaError(f"{path}: head format {found}, expected {FORMAT_VERSION}; import it again with --force")
    return info


def _embedding(face_index: NDArray[Any], barycentric: NDArray[Any]) -> LandmarkEmbedding:
    return LandmarkEmbedding(face_index.astype(np.int32), barycentric.astype(np.float64))
