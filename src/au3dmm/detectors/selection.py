"""Which face of a frame is the subject's, and what may be wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import LEFT_OUTER_EYE, RIGHT_OUTER_EYE, eye_distance
from au3dmm.detectors.base import DetectedFace, overlap

Policy = Literal["largest", "central", "track", "index"]
SWITCH_OVERLAP = 0.1  # a box that shares less than this with the last one taken belongs to another face
EXTREME_YAW_DEG = 45.0  # beyond it the far outer eye corner and the far jaw are hidden behind the nose
_NOSE_TIP = 30
_NOSE_DEPTH = 0.9  # the nose tip lies about this far before the outer eye corners, in half eye distances


def choose_face(
    faces: Sequence[DetectedFace],
    policy: Policy,
    image_size: tuple[int, int],
    previous: NDArray[np.floating] | None = None,
    index: int = 0,
) -> tuple[int | None, list[str]]:
    """Choose the subject's face, and say whether it is another one than before.

    Parameters
    ----------
    faces : sequence of DetectedFace
        All faces of the frame, in the detector's order (from left to right).
    policy : {"largest", "central", "track", "index"}
        The largest box; the box nearest to the image centre; the box nearest to the last one taken (to begin with,
        the largest); the `index`-th from the left, and none if there are fewer.
    image_size : (int, int)
        Width and height, px.
    previous : (4,) array, optional
        Box of the last face taken, in whichever frame that was, px.
    index : int
        For the policy ``"index"``.

    Returns
    -------
    chosen : int or None
        Index into `faces`, None if there is none to take. Equal candidates: the leftmost.
    flags : list of str
        ``["face_switched"]`` if the chosen box hardly overlaps `previous`, else empty.
    """
    if policy == "index":
        chosen = index if index < len(faces) else None
    elif not faces:
        chosen = None
    elif policy == "largest" or (policy == "track" and previous is None):
        chosen = int(np.argmax([np.prod(face.box_px[2:] - face.box_px[:2]) for face in faces]))
    else:
        goal = (np.array(image_size) - 1) / 2 if previous is None or policy == "central" else _centre(previous)
        chosen = int(np.argmin([np.linalg.norm(_centre(face.box_px) - goal) for face in faces]))
    if chosen is None:
        return None, []
    switched = previous is not None and overlap(faces[chosen].box_px, previous) < SWITCH_OVERLAP
    return chosen, ["face_switched"] if switched else []


def face_flags(face: DetectedFace, image_size: tuple[int, int], small_px: float) -> list[str]:
    """Return what may be wrong with a face: ``border``, ``small``, ``extreme_pose``.

    Parameters
    ----------
    face : DetectedFace
        The face.
    image_size : (int, int)
        Width and height, px.
    small_px : float
        Outer eye corners closer than this make it small, px.
    """
    flags = []
    places = np.concatenate([face.box_px.reshape(2, 2), face.landmarks_px[:, :2]])
    if (places < -0.5).any() or (places > np.array(image_size) - 0.5).any():
        flags.append("border")
    if float(eye_distance(face.landmarks_px[:, :2])) < small_px:
        flags.append("small")
    if abs(yaw_deg(face.landmarks_px)) > EXTREME_YAW_DEG:
        flags.append("extreme_pose")
    return flags


def yaw_deg(landmarks_px: NDArray[np.floating]) -> float:
    """Estimate how far a head is turned, degrees; positive towards the right of the image.

    ``tan(yaw) = o / 0.9``, where o is how far the nose tip lies from the middle of the outer eye corners, along the
    line through them and in units of half their distance. Good to some 10 degrees: enough for a flag.

    Parameters
    ----------
    landmarks_px : (68, 2 or 3) array
        Image landmarks, px; z is not used.
    """
    right, left = landmarks_px[RIGHT_OUTER_EYE, :2], landmarks_px[LEFT_OUTER_EYE, :2]
    half = (left - right) / 2
    length = float(half @ half)
    if length == 0:
        return 90.0
    offset = float((landmarks_px[_NOSE_TIP, :2] - (left + right) / 2) @ half) / length
    return math.degrees(math.atan(offset / _NOSE_DEPTH))


def _centre(box: NDArray[np.floating]) -> NDArray[np.floating]:
    return (box[:2] + box[2:]) / 2
