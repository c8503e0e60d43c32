"""Faces of many frames: in batches where a detector takes them, in smaller pictures where frames are huge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.base import DetectedFace, LandmarkDetector
from au3dmm.io.frames import Frame
from au3dmm.io.images import resize_area


@dataclass(frozen=True)
class FoundFaces:
    """What was found in one frame.

    Attributes
    ----------
    frame_index, t_rgb_us : int
        As in `Frame`.
    image_size : (int, int) or None
        Width and height, px; None if the frame could not be decoded.
    faces : list of DetectedFace
        All faces.
    second : list of DetectedFace or None
        Those of the second detector; None if it was not asked.
    """

    frame_index: int
    t_rgb_us: int
    image_size: tuple[int, int] | None
    faces: list[DetectedFace]
    second: list[DetectedFace] | None = None


@dataclass(frozen=True)
class Seen:
    """A frame as detectors see it.

    Attributes
    ----------
    frame_index, t_rgb_us : int
        As in `Frame`.
    image : (h, w, 3) uint8 array or None
        Shrunk if it was large; None if it could not be decoded.
    image_size : (int, int) or None
        Width and height of the frame itself, px.
    factor : (float, float)
        Its px per px of `image`, in x and y.
    """

    frame_index: int
    t_rgb_us: int
    image: NDArray[np.uint8] | None
    image_size: tuple[int, int] | None
    factor: tuple[float, float]


class FaceFinder:
    """Asks one detector, and now and then a second one.

    Whoever collects frames for a call collects them as `seen` makes them: at once, so that huge ones are not kept.

    Parameters
    ----------
    detector : LandmarkDetector
        The one whose faces are taken.
    second : LandmarkDetector, optional
        The one that checks.
    every : int
        Frames whose index is a multiple of it are checked.
    max_side_px : int
        Images with a longer side are shrunk to it before a network sees them; 0 = never.

    Attributes
    ----------
    batch_size : int
        Frames that it likes to get at once.
    period : int
        It may start anew at frames whose index is a multiple of this: no detector remembers what was before, and no
        batch reaches across.
    """

    def __init__(
        self,
        detector: LandmarkDetector,
        second: LandmarkDetector | None = None,
        every: int = 1,
        max_side_px: int = 0,
    ) -> None:
        self._detector, self._second, self._every, self._max_side = detector, second, every, max_side_px
        # what checks sees single frames, far apart: its batches play no part
        self.batch_size = _batch_size(detector)
        begins = int(getattr(second, "chunk_frames", 1))
        self.period = int(np.lcm.reduce([self.batch_size, _period(detector), begins]))
        # one that looks landmarks up does not need the image
        self._shrinks = bool(max_side_px) and any(_sees(one) for one in (detector, second) if one is not None)

    def seen(self, frame: Frame | Seen) -> Seen:
        """Return a frame as detectors see it: no larger than they need it."""
        if isinstance(frame, Seen):
            return frame
        if frame.image is None:
            return Seen(frame.frame_index, frame.t_rgb_us, None, None, (1.0, 1.0))
        size = (frame.image.shape[1], frame.image.shape[0])
        image, factor = shrunk(frame.image, self._max_side) if self._shrinks else (frame.image, (1.0, 1.0))
        return Seen(frame.frame_index, frame.t_rgb_us, image, size, factor)

    def __call__(self, frames: Sequence[Frame | Seen]) -> list[FoundFaces]:
        """Find the faces of consecutive frames."""
        seen = [self.seen(frame) for frame in frames]
        checked = [i for i, frame in enumerate(seen) if self._second and frame.frame_index % self._every == 0]
        faces = _detected(self._detector, seen)
        second: dict[int, list[DetectedFace]] = {}
        if self._second is not None and checked:
            found = _detected(self._second, [seen[i] for i in checked])
            second = dict(zip(checked, found, strict=True))
        return [
            FoundFaces(
                frame.frame_index,
                frame.t_rgb_us,
                frame.image_size,
                faces[i],
                second.get(i) if frame.image is not None else None,
            )
            for i, frame in enumerate(seen)
        ]


def _detected(detector: LandmarkDetector, frames: Sequence[Seen]) -> list[list[DetectedFace]]:
    """Return the faces of each frame; of one without image, none."""
    there = [frame for frame in frames if frame.image is not None]
    images = [frame.image for frame in there if frame.image is not None]
    found = _asked(detector, images, [frame.frame_index for frame in there])
    # landmarks that were looked up are those of the frame itself
    factors = [frame.factor if _sees(detector) else (1.0, 1.0) for frame in there]
    faces = iter([[enlarged(face, factor) for face in one] for one, factor in zip(found, factors, strict=True)])
    return [[] if frame.image is None else next(faces) for frame in frames]


def _asked(detector: LandmarkDetector, images: list[NDArray[np.uint8]], indices: list[int]) -> list[list[DetectedFace]]:
    together = getattr(detector, "detect_batch", None)
    if together is None:
        return [detector.detect(image, index) for image, index in zip(images, indices, strict=True)]
    size = _batch_size(detector)
    # batches are those of frames without gaps, whichever of these could be decoded
    found: list[list[DetectedFace]] = []
    for _, group in groupby(range(len(indices)), key=lambda i: indices[i] // size):
        these = list(group)
        found += together([images[i] for i in these], [indices[i] for i in these])
    return found


def _sees(detector: LandmarkDetector) -> bool:
    return bool(getattr(detector, "sees", True))


def _batch_size(detector: LandmarkDetector) -> int:
    return int(getattr(detector, "batch_size", 1))


def _period(detector: LandmarkDetector) -> int:
    """Return at multiples of how many frames a detector may start: 1 if it remembers nothing."""
    return int(getattr(detector, "period", getattr(detector, "chunk_frames", 1)))


def shrunk(image: NDArray[np.uint8], max_side_px: int) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Shrink an image (H, W, 3) by area so that no side is longer than `max_side_px`.

    Networks look at some 200 px across a face: of a larger one their samples skip most pixels, and keep the noise.

    Returns
    -------
    image : (h, w, 3) uint8 array
        The image itself if it is small enough.
    factor : (float, float)
        Its px per px of the result, in x and y.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= max_side_px:
        return image, (1.0, 1.0)
    size = (max(1, round(height * max_side_px / longest)), max(1, round(width * max_side_px / longest)))
    return resize_area(image, size), (width / size[1], height / size[0])


def enlarged(face: DetectedFace, factor: tuple[float, float]) -> DetectedFace:
    """Return a face of a shrunk image where it is in the image itself; z grows like x."""
    if factor == (1.0, 1.0):
        return face
    by = np.array([*factor, factor[0]])
    return replace(
        face,
        box_px=_moved(face.box_px.reshape(2, 2), by[:2]).ravel(),
        landmarks_px=_moved(face.landmarks_px, by),
        dense_px=None if face.dense_px is None else _moved(face.dense_px, by),
    )


def _moved(points: NDArray[np.float32], by: NDArray[np.float64]) -> NDArray[np.float32]:
    # (0, 0) is the centre of a pixel: its corner, (-0.5, -0.5), is what stays where it is
    corner = np.array([0.5, 0.5, 0.0])[: points.shape[1]]
    return np.asarray((points + corner) * by - corner, np.float32)
