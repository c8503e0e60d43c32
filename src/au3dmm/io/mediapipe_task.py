"""A user's own `face_landmarker.task`: a zip of TFLite models for MediaPipe's Face Landmarker.

Its published version (storage.googleapis.com/mediapipe-models, face_landmarker/float16/1, Apache-2.0) has 3.8 MB: a
BlazeFace of short range, a mesh of 478 points (the 468, then 10 of the irises) that sees 256 x 256 px, a model for
blendshapes and a description of a face, which are left alone here.
"""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from au3dmm.errors import AssetError, os_reason
from au3dmm.io.tflite import read_signature

TASK_FINDER = "face_detector.tflite"
TASK_MESH = "face_landmarks_detector.tflite"
PUBLISHED_TASKS = ("64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",)
"""sha256 of the published versions."""
MOST_BYTES = 64 * 2**20
"""Of the file, and of each model in it: ten times as much as published."""
_FINDER_INPUT = (1, 128, 128, 3)
_FINDER_OUTPUTS = ((1, 896, 16), (1, 896, 1))
_SIDES = (64, 512)  # px
N_POINTS = (468, 478)
"""What a mesh may have; the first 468 are the same in both."""


class TaskModels(NamedTuple):
    """The models of a task.

    Attributes
    ----------
    finder, mesh : bytes
        TFLite files.
    side_px : int
        Side of the mesh's input.
    n_points : int
        468 or 478.
    """

    finder: bytes
    mesh: bytes
    side_px: int
    n_points: int


def read_task(path: Path) -> TaskModels:
    """Read the models of a task from a file, as `task_models`.

    Raises
    ------
    AssetError
        As `task_models`, or if the file cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise AssetError(f"{path}: {size} bytes, expected a face_landmarker.task of {MOST_BYTES} at most")
        content = path.read_bytes()
    except OSError as err:
        raise AssetError(f"{path}: cannot be read: {os_reason(err)}") from err
    return task_models(content, str(path))


def task_models(content: bytes, name: str) -> TaskModels:
    """Take the models out of a `face_landmarker.task`, and see that they are such; nothing in it is executed.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        For the message.

    Raises
    ------
    AssetError
        If it is no zip, is damaged or too large, lacks a model, or a model has other inputs and outputs.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as z:
            finder, mesh = (_member(z, member, name) for member in (TASK_FINDER, TASK_MESH))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as err:
        raise AssetError(
            f"{name}: not a face_landmarker.task, or damaged ({' '.join(str(err).split()) or type(err).__name__});"
            " expected a zip of TFLite models"
        ) from err
    side, n_points = _mesh_form(mesh, f"{name}: {TASK_MESH}")
    _check_finder(finder, f"{name}: {TASK_FINDER}")
    return TaskModels(finder, mesh, side, n_points)


def _member(z: zipfile.ZipFile, member: str, name: str) -> bytes:
    there = [info for info in z.infolist() if info.filename == member]
    if len(there) != 1:
        others = ", ".join(sorted({info.filename for info in z.infolist()})[:6]) or "nothing"
        found = "it is there twice" if there else f"in it are {others[:200]}"
        raise AssetError(f"{name}: no {member} in it ({found}); expected MediaPipe's face_landmarker.task")
    with z.open(there[0]) as file:  # what the zip says of the size may be wrong: reading stops
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise AssetError(f"{name}: {member} in it has more than {MOST_BYTES} bytes")
    return data


def _check_finder(content: bytes, name: str) -> None:
    signature = read_signature(content, name)
    shapes = [tensor.shape for tensor in signature.inputs], sorted(t.shape for t in signature.outputs)
    floats = all(tensor.is_float32 for tensor in (*signature.inputs, *signature.outputs))
    if shapes != ([_FINDER_INPUT], sorted(_FINDER_OUTPUTS)) or not floats:
        raise AssetError(
            f"{name}: reads {shapes[0]} and gives {shapes[1]}{'' if floats else ', not all float32'}; expected"
            f" {_FINDER_INPUT} and {', '.join(map(str, _FINDER_OUTPUTS))}, BlazeFace of short range"
        )


def _mesh_form(content: bytes, name: str) -> tuple[int, int]:
    """Return side of the input and number of points of a mesh."""
    signature = read_signature(content, name)
    inputs, outputs = [t.shape for t in signature.inputs], [t.shape for t in signature.outputs]
    sizes = [_size(shape) for shape in outputs]
    square = len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0] == (1, inputs[0][1], inputs[0][1], 3)
    floats = all(tensor.is_float32 for tensor in (*signature.inputs, *signature.outputs[:2]))
    # after the points comes how surely it is a face; what else may follow is not used
    fits = len(sizes) >= 2 and sizes[0] in {3 * n for n in N_POINTS} and sizes[1] == 1
    if not (square and floats and fits and _SIDES[0] <= inputs[0][1] <= _SIDES[1]):
        raise AssetError(
            f"{name}: reads {inputs} and gives {outputs}{'' if floats else ', not float32'}; expected a square of"
            f" (1, 256, 256, 3), or {_SIDES[0]} to {_SIDES[1]} px, and first 3 x {' or 3 x '.join(map(str, N_POINTS))}"
            " numbers, then one: a face mesh"
        )
    return inputs[0][1], sizes[0] // 3


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
