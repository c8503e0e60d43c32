"""The papers' landmark detector: 3D-FAN with S3FD boxes, by the face-alignment library (Bulat and Tzimiropoulos 2017).

The library's quirks that matter here (face-alignment 1.5.0): x and y lie on whole px and on a grid of 1/128 of the
face crop; it warns whenever an image has no face; it crops far outside the image without bounds; it loads one weight
file as a pickle that may run code; without weights it downloads them.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace, in_order
from au3dmm.errors import AssetError, ConfigError
from au3dmm.io.weights import face_alignment_files, file_sha256, published_prefix, torch_hub_folder

log = logging.getLogger(__name__)

MIN_BOX_PX = 4.0
MAX_BOX_SIDES = 2.0  # of the image's longer side: beyond it a crop is all border, and its memory unbounded


class BoxFinder(Protocol):
    """Finds faces' boxes; the library's own detectors are such."""

    def detect_from_image(self, image: NDArray[np.uint8]) -> Sequence[NDArray[np.floating]]:
        """Return x0, y0, x1, y1, score of each face of an RGB image."""


class FaceAlignmentDetector:
    """3D-FAN; its networks are built when the first image comes.

    Parameters
    ----------
    params : DetectParams
        ``min_detection_score`` is used.
    device : str
        Of torch: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    boxes : BoxFinder, optional
        Instead of S3FD.

    Raises
    ------
    AssetError
        If a weight file is missing. A file that holds more than tensors is refused when it is first needed, and so is
        a device that is not there (ConfigError).

    Notes
    -----
    Sets torch to one thread: one per worker process is fastest over many videos, and fixes the order of sums.
    """

    name = "face_alignment"
    n_dense = 0

    def __init__(self, params: DetectParams, device: str = "cpu", boxes: BoxFinder | None = None) -> None:
        self._params = params
        self._device = device
        self._boxes = boxes
        self._files = face_alignment_files()
        self._network: Any = None
        self._identity = face_alignment_identity(params)
        if not self._identity["weights_verified"]:
            log.warning(
                "face_alignment: weights in %s are not the published ones (sha256 differs from their names);"
                " the landmarks are worth what the weights are",
                torch_hub_folder(),
            )

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks."""
        return {
            **self._identity,
            "boxes": "s3fd" if self._boxes is None else type(self._boxes).__name__,
            "versions": {"face-alignment": version("face-alignment"), "torch": version("torch")},
            "has_z": True,
        }

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return all faces of an RGB image (H, W, 3), from left to right."""
        if self._network is None:
            self._network = _build(self._files, self._device, self._params.min_detection_score)
        finder = self._network.face_detector if self._boxes is None else self._boxes
        longest = MAX_BOX_SIDES * max(image.shape[:2])
        boxes = [
            np.asarray(box, np.float64) for box in finder.detect_from_image(image) if _sane(box, image.shape, longest)
        ]
        if not boxes:
            return []
        points, scores, _ = self._network.get_landmarks_from_image(
            image, detected_faces=boxes, return_landmark_score=True
        )
        # z is px and positive towards the camera already
        return in_order(
            DetectedFace(
                box_px=box[:4].astype(np.float32),
                detection_score=float(box[4]),
                landmarks_px=np.asarray(landmarks, np.float32),
                landmark_score=float(np.mean(score)),
            )
            for box, landmarks, score in zip(boxes, points, scores, strict=True)
        )


def face_alignment_identity(params: DetectParams) -> dict[str, Any]:
    """Return the detector's name, its weights' sha256 by file name, whether they are the published ones, precision.

    Raises
    ------
    AssetError
        If a weight file is missing.
    """
    weights = {name: file_sha256(path) for name, path in face_alignment_files().items()}
    return {
        "name": "face_alignment",
        "weights": weights,
        "weights_verified": all(sha.startswith(published_prefix(name)) for name, sha in weights.items()),
        "precision": "float32",
        "min_detection_score": params.min_detection_score,
    }


def vet_weights(path: Path) -> None:
    """Refuse a weight file that holds anything but tensors and numbers, before the library unpickles it unguarded.

    Raises
    ------
    AssetError
        If it cannot be loaded with torch's restricted unpickler.
    """
    import torch

    with torch.serialization.safe_globals(_harmless()):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, OSError) as err:
            reason = str(err).strip().splitlines()[0]
            raise AssetError(
                f"{path}: not loaded: holds something other than tensors, or is damaged ({reason}); copy the published"
                " file there again"
            ) from err


def _harmless() -> list[Any]:
    """Numpy scalars under their present and their old names: checkpoints keep a best accuracy beside their tensors."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [np.dtype(kind) for kind in ("f8", "f4", "i8", "i4", "?")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *{type(kind) for kind in kinds}]


def check_device(device: str) -> None:
    """Refuse a torch device that this machine has not.

    Raises
    ------
    ConfigError
        Names the device and what there is.
    """
    import torch

    have = ["cpu"]
    if torch.cuda.is_available():
        have += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        have.append("mps")
    if device not in have:
        raise ConfigError(
            f"device {device!r} is not on this machine for torch {torch.__version__}; use {', '.join(have)}"
        )


def _build(files: dict[str, Path], device: str, min_score: float) -> Any:
    check_device(device)
    for path in files.values():
        vet_weights(path)
    import face_alignment
    import torch

    torch.set_num_threads(1)
    return face_alignment.FaceAlignment(
        face_alignment.LandmarksType.THREE_D,
        device=device,
        compile=False,  # compiling takes a minute and a C++ compiler, and its cache outlives torch versions
        flip_input=False,
        face_detector_kwargs={"filter_threshold": min_score},
    )


def _sane(box: NDArray[np.floating], shape: tuple[int, ...], longest: float) -> bool:
    """Whether a box is a place in the image that can be cropped."""
    x0, y0, x1, y1 = (float(edge) for edge in box[:4])
    inside = 0 <= (x0 + x1) / 2 < shape[1] and 0 <= (y0 + y1) / 2 < shape[0]  # False for NaN too
    return inside and min(x1 - x0, y1 - y0) >= MIN_BOX_PX and max(x1 - x0, y1 - y0) <= longest
