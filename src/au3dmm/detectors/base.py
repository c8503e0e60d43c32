"""What every landmark detector is: a protocol, and the faces it returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import N_LANDMARKS


@dataclass(frozen=True)
class DetectedFace:
    """One face in one image. `(0, 0)` is the centre of the top-left pixel, y down.

    Attributes
    ----------
    box_px : (4,) float32 array
        x0, y0, x1, y1 of the face, px; it may reach over the image's border.
    detection_score : float or None
        How sure the detector is of the box; None if it does not say.
    landmarks_px : (68, 3) float32 array
        iBUG order; x, y px; z px, positive towards the camera (all 0 from a detector without depth).
    landmark_score : float or None
        How sure the detector is of the landmarks; None if it does not say.
    dense_px : (N, 3) float32 array or None
        Its own dense landmarks, units and axes as `landmarks_px`.
    """

    box_px: NDArray[np.float32]
    detection_score: float | None
    landmarks_px: NDArray[np.float32]
    landmark_score: float | None
    dense_px: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        assert self.box_px.shape == (4,)
        assert self.landmarks_px.shape == (N_LANDMARKS, 3)


class LandmarkDetector(Protocol):
    """Finds faces and their landmarks, image by image.

    An answer depends on nothing but the image and its index, unless the detector is a `StatefulDetector`.
    """

    @property
    def name(self) -> str:
        """As in the pipeline file."""

    @property
    def n_dense(self) -> int:
        """Number of dense landmarks it gives, 0 if none."""

    def describe(self) -> dict[str, Any]:
        """Return what made the landmarks: name, weights (sha256 by file name), versions, parameters; plain values."""

    def detect(self, image: NDArray[np.uint8], frame_index: int) -> list[DetectedFace]:
        """Return all faces of an RGB image (H, W, 3), as `in_order` puts them."""


@runtime_checkable
class StatefulDetector(LandmarkDetector, Protocol):
    """Remembers frames, but none from before the latest index that is a multiple of `chunk_frames`.

    So whoever begins at such an index gets the same answers as from the beginning.
    """

    @property
    def chunk_frames(self) -> int:
        """Frames between two indices where it may be begun; 1 if anywhere."""

    def reset(self) -> None:
        """Forget the frames seen so far."""


@runtime_checkable
class BatchDetector(LandmarkDetector, Protocol):
    """A detector that answers several frames at once faster, or better, than one by one.

    What one call shows it is all it knows: nothing is kept from call to call.
    """

    @property
    def batch_size(self) -> int:
        """Consecutive frames that it likes to get at once."""

    @property
    def period(self) -> int:
        """A video gives the same answers wherever it is begun at a multiple of this many frames."""

    def detect_batch(
        self, images: Sequence[NDArray[np.uint8]], frame_indices: Sequence[int]
    ) -> list[list[DetectedFace]]:
        """Return all faces of each of these consecutive frames, as `in_order` puts them."""


def in_order(faces: Iterable[DetectedFace]) -> list[DetectedFace]:
    """Sort faces from left to right in the image, then from top to bottom.

    An order by place and not by score: of two people side by side, the same one stays first while scores change.
    """
    return sorted(faces, key=lambda face: tuple(float(edge) for edge in face.box_px))


def bounding_box(landmarks_px: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return x0, y0, x1, y1 around landmarks (N, D).

    Examples
    --------
    >>> bounding_box(np.array([[1.0, 5.0], [4.0, 2.0]]))
    array([1., 2., 4., 5.], dtype=float32)
    """
    xy = landmarks_px[:, :2]
    return np.concatenate([xy.min(0), xy.max(0)]).astype(np.float32)


def overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return intersection over union of two boxes x0, y0, x1, y1.

    Examples
    --------
    >>> overlap(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2]))
    0.3333333333333333
    """
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0
