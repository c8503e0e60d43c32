"""Follows faces through a span of frames: boxes are found in one frame, and come from landmarks in the others.

A span is answered as a whole and nothing is kept from one to the next, so that a video may be cut between any two
spans without changing anything. Within it, boxes are found in the first frame; landmarks in its key frames (every
eighth, and the last) give boxes of their own; frames between get boxes between. All frames of a span are then read in
batches. Boxes follow landmarks and landmarks hardly follow boxes, so nothing can drift; and a box from landmarks does
not tremble as S3FD's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.base import overlap
from au3dmm.detectors.fan_crops import box_of_landmarks

KEY_EVERY = 8  # frames
_SAME = 0.3  # faces of neighbouring key frames whose boxes share more are one
_DOUBLE = 0.6  # faces of one frame whose boxes share more were two and have become one
_WORSE = 0.8  # of the score where the box was found: lower, and the face may have left
_MOVED = 0.15  # of the box's mean side: a face farther from its box's centre is read again in a box of its own
_ABSURD = 2.0  # a box that grows or shrinks by this is not of the same face
_GROWN = 1.2  # or one that is larger or smaller by this factor


@dataclass(frozen=True)
class Request:
    """A face to read: in which frame of the span, in which box, how sure S3FD is of the box, and what is expected.

    Attributes
    ----------
    frame : int
        From the span's first.
    box_px : (4,) float64 array
        x0, y0, x1, y1.
    detection_score : float or None
        Of S3FD, if it looked at this frame.
    least_score : float
        A face that scores less has left the box.
    """

    frame: int
    box_px: NDArray[np.float64]
    detection_score: float | None = None
    least_score: float = 0.0


@dataclass(frozen=True)
class Face:
    """A face that was read: its landmarks (68, 3), px, and the mean of their scores."""

    request: Request
    landmarks_px: NDArray[np.float32]
    score: float

    @property
    def box_px(self) -> NDArray[np.float64]:
        """The box around its landmarks; that in which it was read, if they are nowhere near a face."""
        used, own = self.request.box_px, box_of_landmarks(self.landmarks_px)
        growth = float(np.sum(own[2:] - own[:2]) / np.sum(used[2:] - used[:2]))
        return own if 1 / _ABSURD <= growth <= _ABSURD else used


Find = Callable[[int], NDArray[np.float64]]
"""Returns x0, y0, x1, y1, score (N, 5) of the faces of a frame."""
Locate = Callable[[Sequence[Request], bool], list[Face]]
"""Reads landmarks in boxes, with depth or without."""


def faces_as_found(n_frames: int, find: Find, locate: Locate) -> list[list[Face]]:
    """Return the faces of each frame, read in the boxes that were found there: the library's way."""
    requests = [Request(i, box[:4], float(box[4])) for i in range(n_frames) for box in find(i)]
    return _by_frame(locate(requests, True), n_frames)


def faces_of_span(n_frames: int, find: Find, locate: Locate, min_score: float) -> list[list[Face]]:
    """Return the faces of each frame of a span.

    Parameters
    ----------
    n_frames : int
        Of the span, 1 at least.
    find, locate : callable
        Find boxes in a frame; read landmarks in boxes.
    min_score : float
        Boxes are found anew where a face scores less than this and less than 0.8 times what it scored where its box was
        found, where a face has jumped, and in all frames between two key frames that show different faces.
    """
    found = _Finder(find)
    keys = sorted({*range(0, n_frames, KEY_EVERY), n_frames - 1})
    at_key = _key_faces(keys, found, locate, min_score)
    requests: list[Request] = []
    lost: set[int] = set()
    for frame in range(n_frames):
        before = max(key for key in keys if key <= frame)
        after = min(key for key in keys if key >= frame)
        pairs = _pairs(at_key[before], at_key[after])
        if pairs is None:
            lost.add(frame)
            continue
        part = (frame - before) / (after - before) if after > before else 0.0
        for one, other in pairs:
            box = (1 - part) * one.box_px + part * other.box_px
            score = one.request.detection_score if before == after else None
            requests.append(Request(frame, box, score, min(min_score, _WORSE * min(one.score, other.score))))
    faces = _settled(locate(requests, True), locate, depth=True)
    lost |= {face.request.frame for face in faces if _doubtful(face)}
    lost |= {frame for frame, of_frame in enumerate(_by_frame(faces, n_frames)) if _doubled(of_frame)}
    lost -= {frame for frame in lost if frame in found.frames}  # boxes found there already: it is what it is
    kept = [face for face in faces if face.request.frame not in lost]
    return _by_frame([*kept, *_fresh(sorted(lost), found, locate, depth=True)], n_frames)


class _Finder:
    """Finds boxes, and remembers in which frames it did."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.frames: set[int] = set()

    def __call__(self, frame: int) -> list[Request]:
        self.frames.add(frame)
        return [Request(frame, box[:4], float(box[4])) for box in self._find(frame)]


def _key_faces(keys: Sequence[int], found: _Finder, locate: Locate, min_score: float) -> dict[int, list[Face]]:
    """Return the faces of each key frame, read without depth."""
    first = locate(found(keys[0]), False)
    if not first:
        return {keys[0]: [], **_grouped(_fresh(keys[1:], found, locate, depth=False), keys[1:])}
    carried = [
        Request(key, face.box_px, least_score=min(min_score, _WORSE * face.score)) for key in keys[1:] for face in first
    ]
    others = _grouped(_settled(locate(carried, False), locate, depth=False), keys[1:])
    doubtful = [key for key, faces in others.items() if any(map(_doubtful, faces)) or _doubled(faces)]
    return {keys[0]: first, **others, **_grouped(_fresh(doubtful, found, locate, depth=False), doubtful)}


def _fresh(frames: Sequence[int], found: _Finder, locate: Locate, *, depth: bool) -> list[Face]:
    """Find boxes in each frame, and read landmarks: first in those boxes, then in boxes of their own."""
    first = locate([request for frame in frames for request in found(frame)], False)
    return locate([_in_own_box(face) for face in first], depth)


def _settled(faces: list[Face], locate: Locate, *, depth: bool) -> list[Face]:
    """Read faces that lie elsewhere than their boxes once more, in boxes of their own."""
    moved = [i for i, face in enumerate(faces) if _jumped(face)]
    again = locate([_in_own_box(faces[i]) for i in moved], depth)
    settled = dict(zip(moved, again, strict=True))
    return [settled.get(i, face) for i, face in enumerate(faces)]


def _in_own_box(face: Face) -> Request:
    return replace(face.request, box_px=face.box_px)


def _doubtful(face: Face) -> bool:
    return face.score < face.request.least_score or _jumped(face)


def _jumped(face: Face) -> bool:
    """Whether a face lies elsewhere than the box that it was read in, or is of another size."""
    used, own = face.request.box_px, face.box_px
    side = float(np.mean(used[2:] - used[:2]))
    away = float(np.linalg.norm((own[:2] + own[2:] - used[:2] - used[2:]) / 2))
    growth = float(np.mean(own[2:] - own[:2])) / side
    return not (away <= _MOVED * side and 1 / _GROWN <= growth <= _GROWN)  # NaN has jumped


def _doubled(faces: Sequence[Face]) -> bool:
    boxes = [face.box_px for face in faces]
    return any(overlap(a, b) > _DOUBLE for i, a in enumerate(boxes) for b in boxes[:i])


def _pairs(before: Sequence[Face], after: Sequence[Face]) -> list[tuple[Face, Face]] | None:
    """Return which faces of two key frames are the same; None if not every one has its partner."""
    if len(before) != len(after):
        return None
    left, pairs = list(after), []
    for face in before:
        shares = [overlap(face.box_px, other.box_px) for other in left]
        best = int(np.argmax(shares))
        if shares[best] <= _SAME:
            return None
        pairs.append((face, left.pop(best)))
    return pairs


def _grouped(faces: Sequence[Face], frames: Sequence[int]) -> dict[int, list[Face]]:
    return {frame: [face for face in faces if face.request.frame == frame] for frame in frames}


def _by_frame(faces: Sequence[Face], n_frames: int) -> list[list[Face]]:
    return list(_grouped(faces, range(n_frames)).values())
