"""Which weight files a detection reads, and whether it can: one answer for whoever detects and whoever asks before."""

from __future__ import annotations

from pathlib import Path

from au3dmm.config import DetectParams
from au3dmm.errors import AssetError
from au3dmm.io.weights import (
    FAN_DEPTH,
    FAN_LANDMARKS,
    FAN_S3FD,
    face_alignment_files,
    file_sha256,
    mediapipe_files,
    mediapipe_needs,
    published_prefix,
    weights_folder,
)


def needed_names(params: DetectParams) -> tuple[str, ...]:
    """Return the names of the files that the detector of `params` reads; the one that checks it is not asked.

    Examples
    --------
    >>> needed_names(DetectParams(mediapipe_range="short", mediapipe_refine=False))
    ('face_detection_short_range.tflite', 'face_landmark.tflite')
    >>> needed_names(DetectParams(detector="precomputed"))
    ()
    """
    if params.detector == "mediapipe":
        return mediapipe_needs(params.mediapipe_range, params.mediapipe_refine, params.mediapipe_models)
    if params.detector == "face_alignment":
        return (FAN_S3FD, FAN_LANDMARKS, *((FAN_DEPTH,) if params.fan_depth else ()))
    return ()


def needed_weights(params: DetectParams, folder: Path | None = None) -> dict[str, Path]:
    """Return the paths of the files that the detector of `params` reads, by name.

    Parameters
    ----------
    params : DetectParams
        ``detector``, ``mediapipe_range``, ``mediapipe_refine``, ``mediapipe_models``, ``fan_depth`` and ``fan_weights``
        are used.
    folder : Path, optional
        By default `weights_folder`.

    Raises
    ------
    AssetError
        If one is missing, or is not the published file where it has to be.
    """
    names = needed_names(params)
    if params.detector == "mediapipe":
        return mediapipe_files(folder or weights_folder(), names)
    if params.detector != "face_alignment":
        return {}
    files = face_alignment_files(folder, names)
    other = [name for name, path in files.items() if not file_sha256(path).startswith(published_prefix(name))]
    if other and params.fan_weights == "published":
        name = other[0]
        raise AssetError(
            f"{files[name]}: not the published file: its sha256 begins with {file_sha256(files[name])[:10]}, expected"
            f' {published_prefix(name)}; copy it there again, or set detect.fan_weights = "any" if you trained your own'
        )
    return files
