"""The papers' landmark detector: 3D-FAN with S3FD boxes (Bulat and Tzimiropoulos 2017).

Networks and weights are those of the library face-alignment; all around them is ours, as the library (1.5.0) puts
landmarks on whole px and on a grid of 1/128 of the crop, reads frames one by one, looks for boxes in each, crops far
outside the image without bounds, executes one weight file as a pickle, and downloads what is missing.
`fan_decode = "official"` with `fan_box_every = 1` and `fan_box_image_px = 0` gives its numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import DetectParams
from au3dmm.core.landmarks import N_LANDMARKS
from au3dmm.detectors.base import DetectedFace, in_order
from au3dmm.detectors.fan_boxes import S3fdBoxes, usable
from au3dmm.detectors.fan_crops import CROP_PX, SIDE_PX, crop_frames, cut_crop
from au3dmm.detectors.fan_decode import CELLS, to_image
from au3dmm.detectors.fan_networks import FanNetworks
from au3dmm.detectors.fan_tracking import Face, Request, faces_as_found, faces_of_span
from au3dmm.detectors.fan_weights import check_device, folded, load_weights
from au3dmm.io.weight_needs import needed_weights
from au3dmm.io.weights import FAN_DEPTH, FAN_LANDMARKS, FAN_S3FD, file_sha256, published_prefix

log = logging.getLogger(__name__)

MOST_FRAMES = 64
"""Frames held for a batch where each is searched for boxes: as many crops at a time keep any device busy."""


class BoxFinder(Protocol):
    """Finds faces' boxes; the library's own detectors are such."""

    def detect_from_image(self, image: NDArray[np.uint8]) -> Sequence[NDArray[np.floating]]:
        """Return x0, y0, x1, y1, score of each face of an RGB image."""


class FaceAlignmentDetector:
    """3D-FAN; its networks are built when the first image comes.

    Frames are answered in spans of ``fan_box_every``, of which only the first is searched for boxes (`fan_tracking`);
    nothing is kept from one span to the next. `detect` answers a frame as a span of its own. So where a video is cut
    between spans nothing changes; where it is cut elsewhere, landmarks change by what another crop of the same face
    changes.

    Parameters
    ----------
    params : DetectParams
        ``min_detection_score``, ``min_landmark_score`` and those that begin with ``fan_`` are used.
    device : str
        Of torch: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    boxes : BoxFinder, optional
        Instead of S3FD.
    weights_folder : Path, optional
        Where weights are looked for before torch.hub's folder.
    networks : FanNetworks, optional
        Instead of those of the weights: no weights are needed then if `boxes` are given, too.

    Raises
    ------
    AssetError
        If a weight file is missing or not the published one (``fan_weights = "any"`` takes others). A file that holds
        more than tensors is refused when it is first needed, and so is a device that is not there (ConfigError).

    Notes
    -----
    Sets torch to one thread: one per worker process is fastest over many videos, and fixes the order of sums.
    """

    name = "face_alignment"
    n_dense = 0

    def __init__(
        self,
        params: DetectParams,
        device: str = "cpu",
        boxes: BoxFinder | None = None,
        weights_folder: Path | None = None,
        networks: FanNetworks | None = None,
    ) -> None:
        self._params, self._device, self._boxes, self._networks = params, device, boxes, networks
        self._s3fd: S3fdBoxes | None = None
        self._files: dict[str, Path] = {}
        self._identity: dict[str, Any] = {"name": self.name, "weights": {}, "weights_verified": False}
        if networks is None or boxes is None:
            self._files = _files(params, weights_folder)
            self._identity = face_alignment_identity(params, weights_folder)
            if not self._identity["weights_verified"]:
                log.warning(
                    "face_alignment: weights in %s are not the published ones (sha256 differs from their names);"
                    " the landmarks are worth what the weights are",
                    self._files[FAN_LANDMARKS].parent,
                )

    @property
    def batch_size(self) -> int:
        """Frames of a span, or of a batch if each is searched for boxes."""
        every = self._params.fan_box_every
        return every if every > 1 else min(self._params.fan_batch, MOST_FRAMES)

    @property
    def period(self) -> int:
        """Frames of a span."""
        return self._params.fan_box_every

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks."""
        mixed = self._params.fan_precision == "mixed" and self._device.startswith("cuda")
        return {
            **self._identity,
            "computed_in": "mixed" if mixed else "float32",
            "boxes": "s3fd" if self._boxes is None else type(self._boxes).__name__,
            "versions": {"face-alignment": version("face-alignment"), "torch": version("torch")},
            "has_z": self._params.fan_depth,
        }

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return all faces of an RGB image (H, W, 3), from left to right."""
        return self.detect_batch([image], [frame_index])[0]

    def detect_batch(
        self, images: Sequence[NDArray[np.uint8]], frame_indices: Sequence[int]
    ) -> list[list[DetectedFace]]:
        """Return all faces of each frame of a span (of its images that could be decoded), from left to right."""
        if not images:
            return []
        self._build()

        def find(frame: int) -> NDArray[np.float64]:
            return usable(self._found(images[frame]), images[frame].shape)

        def locate(requests: Sequence[Request], depth: bool) -> list[Face]:
            return self._located(images, requests, depth)

        if self._params.fan_box_every == 1:
            spans = faces_as_found(len(images), find, locate)
        else:
            spans = faces_of_span(len(images), find, locate, self._params.min_landmark_score)
        return [in_order(map(_detected, faces)) for faces in spans]

    def _found(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        if self._boxes is not None:
            return np.array(self._boxes.detect_from_image(image), np.float64).reshape(-1, 5)
        assert self._s3fd is not None
        return self._s3fd(image)

    def _located(self, images: Sequence[NDArray[np.uint8]], requests: Sequence[Request], depth: bool) -> list[Face]:
        assert self._networks is not None
        if not requests:
            return []
        centres, scales = crop_frames(np.stack([request.box_px for request in requests]))
        cuts = [
            (lambda i=i, request=request: self._cut(images[request.frame], centres[i], float(scales[i])))
            for i, request in enumerate(requests)
        ]
        read = self._networks(cuts, depth=depth)
        place = _official_places if self._params.fan_decode == "official" else to_image
        faces = []
        for i, request in enumerate(requests):
            landmarks = np.zeros((N_LANDMARKS, 3), np.float32)
            landmarks[:, :2] = place(read.cells[i], centres[i], float(scales[i]))
            landmarks[:, 2] = read.depth[i] * (SIDE_PX * scales[i] / CROP_PX)  # positive towards the camera already
            faces.append(Face(request, landmarks, float(np.mean(read.scores[i]))))
        return faces

    def _cut(self, image: NDArray[np.uint8], centre: NDArray[np.float64], scale: float) -> Any:
        """Return one crop (3, 256, 256) on the device."""
        half = SIDE_PX * scale / 2
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half, image.shape[1::-1])
        if self._params.fan_decode != "official" or (high - low < 2).any():  # the library cannot cut beside an image
            return cut_crop(image, centre, scale, self._device)
        import torch
        from face_alignment.utils import crop

        planes = crop(image, centre, scale).transpose(2, 0, 1)
        return torch.from_numpy(planes.astype(np.float32) / 255.0).to(self._device)

    def _build(self) -> None:
        if self._networks is not None and (self._boxes is not None or self._s3fd is not None):
            return
        check_device(self._device)
        import torch
        from face_alignment.detection.sfd.net_s3fd import s3fd
        from face_alignment.models import FAN, ResNetDepth

        torch.set_num_threads(1)
        params = self._params
        if self._boxes is None:
            network = load_weights(s3fd(), self._files[FAN_S3FD])
            self._s3fd = S3fdBoxes(network, self._device, params.min_detection_score, params.fan_box_image_px)
        if self._networks is None:
            self._networks = FanNetworks(
                load_weights(FAN(4), self._files[FAN_LANDMARKS]),
                folded(load_weights(ResNetDepth(), self._files[FAN_DEPTH])) if params.fan_depth else None,
                device=self._device,
                decode=params.fan_decode,
                flip=params.fan_flip,
                precision=params.fan_precision,
                batch_size=params.fan_batch,
                use_compile=params.fan_compile,
            )


def face_alignment_identity(params: DetectParams, weights_folder: Path | None = None) -> dict[str, Any]:
    """Return the detector's name, its weights' sha256 by file name, whether they are the published ones, precision.

    Raises
    ------
    AssetError
        If a weight file is missing, or is not the published one and ``fan_weights`` is not ``any``.
    """
    weights = {name: file_sha256(path) for name, path in _files(params, weights_folder).items()}
    return {
        "name": "face_alignment",
        "weights": weights,
        "weights_verified": all(sha.startswith(published_prefix(name)) for name, sha in weights.items()),
        "precision": params.fan_precision,
        "min_detection_score": params.min_detection_score,
    }


def _files(params: DetectParams, weights_folder: Path | None) -> dict[str, Path]:
    return needed_weights(params.model_copy(update={"detector": "face_alignment"}), weights_folder)


def _official_places(cells: NDArray[np.float32], centre_px: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    """Return landmarks (68, 2) in whole px as the library does, by its own function: on ties, its last bit decides."""
    from face_alignment.utils import transform_np

    return np.array([transform_np(cell, centre_px, scale, CELLS, True) for cell in cells], np.float32)


def _detected(face: Face) -> DetectedFace:
    return DetectedFace(
        box_px=face.request.box_px.astype(np.float32),
        detection_score=face.request.detection_score,
        landmarks_px=face.landmarks_px,
        landmark_score=face.score,
    )
