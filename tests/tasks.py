"""A stand-in for MediaPipe's face_landmarker.task, put together from the wheel's own models."""

import zipfile

from au3dmm.io.mediapipe_task import TASK_FINDER, TASK_MESH
from au3dmm.io.weights import MEDIAPIPE_DETECTION, MEDIAPIPE_MESH
from models import mediapipe_folder


def task_parts():
    """Return the models that a task must have, by name; skip where MediaPipe's have not been fetched."""
    folder = mediapipe_folder()
    return {
        TASK_FINDER: (folder / MEDIAPIPE_DETECTION).read_bytes(),
        TASK_MESH: (folder / MEDIAPIPE_MESH).read_bytes(),
        "face_blendshapes.tflite": b"not used here",
        "geometry_pipeline_metadata_landmarks.binarypb": b"nor this",
    }


def write_task(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as z:
        for name, data in parts.items():
            z.writestr(name, data)
    return path
