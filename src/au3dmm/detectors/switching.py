"""Whether the face that was taken is another one than that taken last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from au3dmm.detectors.base import DetectedFace, overlap
from au3dmm.detectors.selection import SWITCH_OVERLAP

RIVAL_OVERLAP = 0.3  # the last face is still there if a box shares more with it than this
JUMP_RATIO = 1.5  # no head comes so much nearer, or goes so much farther, from one frame to the next
JUMP_WITHIN_US = 200_000  # what counts as the next frame


@dataclass(frozen=True)
class TakenFace:
    """The face that was taken last.

    Attributes
    ----------
    box_px : (4,) float32 array
        Its box.
    t_rgb_us : int
        When, us.
    """

    box_px: NDArray[np.float32]
    t_rgb_us: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; float32 numbers survive JSON."""
        return {"box_px": [float(x) for x in self.box_px], "t_rgb_us": self.t_rgb_us}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make one of the values of `to_dict`."""
        return cls(np.array(values["box_px"], np.float32), values["t_rgb_us"])


def is_another(faces: Sequence[DetectedFace], chosen: int, t_rgb_us: int, last: TakenFace) -> bool:
    """Whether the face taken in a frame is another one than the face taken last.

    It is if its box hardly overlaps the last one; if another face of the frame overlaps the last one well, and
    better; or if the box is half as large again, or as small, within `JUMP_WITHIN_US`.

    Parameters
    ----------
    faces : sequence of DetectedFace
        All faces of the frame.
    chosen : int
        Which of them was taken.
    t_rgb_us : int
        The frame's time, us.
    last : TakenFace
        The face taken last.
    """
    shared = [overlap(face.box_px, last.box_px) for face in faces]
    mine = shared[chosen]
    if mine < SWITCH_OVERLAP:
        return True
    if any(other > max(mine, RIVAL_OVERLAP) for i, other in enumerate(shared) if i != chosen):
        return True
    ratio = _side(faces[chosen].box_px) / max(_side(last.box_px), 1e-6)
    return t_rgb_us - last.t_rgb_us <= JUMP_WITHIN_US and not 1 / JUMP_RATIO < ratio < JUMP_RATIO


def _side(box_px: NDArray[np.float32]) -> float:
    return float(np.sqrt(max(float(np.prod(box_px[2:] - box_px[:2])), 0.0)))
