"""ICT-FaceKit (MIT): a face model of 100 identity modes and FACS-like expressions, from one npz or from OBJ files.

The npz holds ``neutral`` (V, 3), ``tri`` (F, 3), ``identity`` (100, V, 3) and ``expression`` (E, V, 3) displacements,
``names`` (E,) and ``lmk68`` (68,) vertex numbers, in centimetres. The OBJ layout is the folder ``FaceXModel`` of the
public repository: ``generic_neutral_mesh.obj``, ``identity000.obj`` ..., an OBJ per expression and
``vertex_indices.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import N_LANDMARKS, LandmarkEmbedding
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.bases import read_npz
from au3dmm.io.corpora.base import Corpus
from au3dmm.io.corpora.sampled import FaceModel, sample_corpus
from au3dmm.io.hashing import quick_hash, sha256_json
from au3dmm.io.mesh import read_mesh

HEAD_VERTICES = 11248
"""The first vertices are the face, then the rest of head and neck; eyes, teeth and gums come after and are left out."""

_SUBJECTS = 40
_CM = 0.01
_LICENCE = "MIT (ICT-FaceKit)"
_LEAST_MOTION_M = 1e-3

# the action units (FACS) that ICT's expressions show; those without one keep an empty tuple
# fmt: off
_UNITS = {
    "browDown": "AU4", "browInnerUp": "AU1", "browOuterUp": "AU2", "cheekPuff": "AU34", "cheekRaiser": "AU6",
    "cheekSquint": "AU6", "eyeBlink": "AU45", "eyeLookDown": "AU64", "eyeLookUp": "AU63", "eyeSquint": "AU7",
    "eyeWide": "AU5", "jawForward": "AU29", "jawLeft": "AU30_left", "jawRight": "AU30_right", "jawOpen": "AU26",
    "mouthClose": "AU8", "mouthDimple": "AU14", "mouthFrown": "AU15", "mouthFunnel": "AU22", "mouthLowerDown": "AU16",
    "mouthPress": "AU24", "mouthPucker": "AU18", "mouthRollLower": "AU28", "mouthRollUpper": "AU28",
    "mouthShrugLower": "AU17", "mouthSmile": "AU12", "mouthStretch": "AU20", "mouthUpperUp": "AU10", "noseSneer": "AU9",
}
# fmt: on
_EYEBALLS = ("eyeLook", "Pupil")
_CORRECTS = {"mouthClose": "jawOpen"}


def read_ict(
    path: Path, *, seed: int = 0, n_subjects: int = _SUBJECTS, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Draw a corpus from ICT-FaceKit: subjects from its identity modes, takes from its expressions.

    Parameters
    ----------
    path : Path
        The npz file, or the folder that holds ``generic_neutral_mesh.obj`` (or a folder around it).
    seed : int
        Which subjects.
    n_subjects : int
        How many; they give one identity component less.
    progress : callable, optional
        Told (files read, files in all) of the OBJ layout.

    Raises
    ------
    SchemaError
        If files are missing, damaged or of another topology.
    """
    arrays, source = _from_folder(path, progress) if path.is_dir() else read_ict_npz(path)
    return sample_corpus(
        _face_model(path, arrays),
        n_subjects,
        seed=seed,
        licence=_LICENCE,
        provenance=f"ICT-FaceKit: {n_subjects} subjects drawn from its identity modes, takes from its expressions",
        source={"model": source},
    )


def _face_model(path: Path, arrays: dict[str, NDArray[Any]]) -> FaceModel:
    keep = min(HEAD_VERTICES, len(arrays["neutral"]))
    faces = arrays["tri"]
    faces = faces[(faces < keep).all(1)].astype(np.int32)
    identity = arrays["identity"][:, :keep].astype(np.float64) * _CM
    shapes = arrays["expression"][:, :keep].astype(np.float64) * _CM
    names = [str(name) for name in arrays["names"]]
    # gaze and pupils move little but the eyes, which are left out
    moves = np.linalg.norm(shapes, axis=2).max(1) > _LEAST_MOTION_M
    used = [i for i, name in enumerate(names) if moves[i] and not name.startswith(_EYEBALLS)]
    if not used:
        raise SchemaError(f"{path}: none of its {len(names)} expressions moves the face; expected ICT-FaceKit's")
    chosen = [names[i] for i in used]
    return FaceModel(
        name="ict",
        template=arrays["neutral"][:keep].astype(np.float64) * _CM,
        faces=faces,
        identity=identity,
        expressions=shapes[used],
        labels=[action_unit_labels(name) for name in chosen],
        speech=[i for i, name in enumerate(chosen) if name.startswith(("mouth", "jaw"))],
        embedding=landmark_embedding(path, faces, arrays["lmk68"].astype(np.int64)),
        needs={chosen.index(a): chosen.index(b) for a, b in _CORRECTS.items() if a in chosen and b in chosen},
    )


def action_unit_labels(name: str) -> tuple[str, ...]:
    """Return the action units of an expression.

    Examples
    --------
    >>> action_unit_labels("mouthSmile_L"), action_unit_labels("jawOpen"), action_unit_labels("mouthLeft")
    (('AU12_left',), ('AU26',), ())
    """
    base, _, side = name.partition("_")
    unit = _UNITS.get(base)
    if unit is None:
        return ()
    return (unit + {"L": "_left", "R": "_right"}.get(side, ""),)


def landmark_embedding(path: Path, faces: NDArray[np.int32], vertices: NDArray[np.int64]) -> LandmarkEmbedding:
    """Return the embedding of landmarks (68,) that are vertices of triangles (F, 3); `path` is named in errors.

    Raises
    ------
    SchemaError
        If there are not 68, or one lies on no triangle.
    """
    owner = {int(v): f for f in range(len(faces) - 1, -1, -1) for v in faces[f]}
    lost = [int(v) for v in vertices if int(v) not in owner]
    if len(vertices) != N_LANDMARKS or lost:
        raise SchemaError(
            f"{path}: {len(vertices)} landmarks, of which {len(lost)} lie on no triangle of the head; expected 68"
        )
    index = np.array([owner[int(v)] for v in vertices], np.int32)
    return LandmarkEmbedding(index, (faces[index] == vertices[:, None]).astype(np.float64))


def read_ict_npz(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Read the npz of ICT-FaceKit: its arrays by name, and what to call the source.

    Raises
    ------
    SchemaError
        If it is not one.
    """
    arrays = read_npz(path)
    shapes = {"neutral": 2, "tri": 2, "identity": 3, "expression": 3, "names": 1, "lmk68": 1}
    missing = [name for name in shapes if name not in arrays]
    if missing:
        raise SchemaError(f"{path}: not ICT-FaceKit's npz: {', '.join(missing)} missing; expected {', '.join(shapes)}")
    v = len(arrays["neutral"])
    for name, axes in shapes.items():
        array = arrays[name]
        if array.ndim != axes or (name in ("identity", "expression") and array.shape[1:] != (v, 3)):
            raise SchemaError(f"{path}: {name} has shape {array.shape}, expected {axes} axes over {v} vertices")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise SchemaError(f"{path}: {name} holds values that are not finite")
    if len(arrays["names"]) != len(arrays["expression"]):
        raise SchemaError(f"{path}: {len(arrays['names'])} names for {len(arrays['expression'])} expressions")
    if not 0 <= int(arrays["tri"].min(initial=0)) <= int(arrays["tri"].max(initial=0)) < v:
        raise SchemaError(f"{path}: a triangle names vertex {int(arrays['tri'].max())}, but there are {v}")
    return arrays, quick_hash(path)


def _from_folder(path: Path, progress: Callable[[int, int], None] | None) -> tuple[dict[str, NDArray[Any]], str]:
    neutral_file = next(iter(sorted(path.rglob("generic_neutral_mesh.obj"))), None)
    if neutral_file is None:
        raise SchemaError(f"{path}: no generic_neutral_mesh.obj in it; expected ICT-FaceKit's folder FaceXModel")
    folder = neutral_file.parent
    index_file = folder / "vertex_indices.json"
    try:
        landmarks = json.loads(index_file.read_text("utf-8"))["idx_to_landmark_verts"]
        lmk68 = np.array(landmarks, np.int64)
    except OSError as err:
        raise SchemaError(f"{index_file}: cannot be read: {os_reason(err)}; it names the landmarks") from err
    except (ValueError, KeyError, TypeError) as err:
        raise SchemaError(f"{index_file}: no list of vertices under idx_to_landmark_verts: {err!r}") from err
    neutral = read_mesh(neutral_file)
    identity_files = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    names = sorted(p.stem for p in folder.glob("*.obj") if _is_expression(p.stem))
    if not identity_files or not names:
        raise SchemaError(
            f"{folder}: {len(identity_files)} identity and {len(names)} expression OBJ files; expected 100 and 57"
        )
    files = [*identity_files, *(folder / f"{name}.obj" for name in names)]
    shapes = np.empty((len(files), *neutral.vertices.shape), np.float32)
    for i, file in enumerate(files):
        shapes[i] = read_mesh(file, len(neutral.vertices)).vertices - neutral.vertices
        if progress is not None:
            progress(i + 1, len(files))
    arrays: dict[str, NDArray[Any]] = {
        "neutral": neutral.vertices,
        "tri": neutral.faces,
        "identity": shapes[: len(identity_files)],
        "expression": shapes[len(identity_files) :],
        "names": np.array(names),
        "lmk68": lmk68,
    }
    return arrays, sha256_json({f.name: quick_hash(f) for f in [neutral_file, index_file, *files]})


def _is_expression(stem: str) -> bool:
    return stem != "generic_neutral_mesh" and not stem.startswith("identity")
