"""The same instants of a session side by side: RGB frame, event frame, fitted mesh, and the mesh that a model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases, deform
from au3dmm.errors import Au3dmmError
from au3dmm.io.event_frame_table import read_clip, read_event_frame_info
from au3dmm.io.frames import session_frames
from au3dmm.io.session import Session
from au3dmm.report.event_picture import colour_frame
from au3dmm.report.mesh_views import draw_head, frame_face
from au3dmm.report.openness import surface_openness

INSTANTS = 6
_HEIGHT = 260  # px of a mesh
_SIDE = 220  # px of a frame
_MARGIN = 1.5  # side of the cut, in sides of the box around the landmarks
_FULL = {"polarity": 1.0, "time_surface": 1.0, "last_time": 1.0, "tbr": 1.0}


def choose_instants(
    energy: NDArray[np.floating], t_us: NDArray[np.integer], usable: NDArray[np.bool_], n: int = INSTANTS
) -> list[int]:
    """Return rows worth a look, in order of time: the quietest, and the most active ones, spread over the recording.

    Parameters
    ----------
    energy : (N,) array
        How far the face is from neutral.
    t_us : (N,) int array
        When.
    usable : (N,) bool array
        Which rows have a face; none gives none.

    Examples
    --------
    >>> choose_instants(np.array([0.1, 5, 4, 0, 3]), np.arange(5) * 1000, np.ones(5, bool), 3)
    [1, 2, 3]
    """
    rows = np.flatnonzero(usable)
    if not len(rows):
        return []
    by_energy = rows[np.argsort(-energy[rows], kind="stable")]
    apart_us = (t_us[rows[-1]] - t_us[rows[0]]) / (2 * n)
    chosen = [int(by_energy[-1])]
    for row in by_energy:
        if len(chosen) >= n:
            break
        if all(abs(int(t_us[row]) - int(t_us[other])) >= apart_us for other in chosen):
            chosen.append(int(row))
    return sorted(set(chosen))


@dataclass(frozen=True)
class MeshPainter:
    """Draws meshes of one basis, coloured by displacement, all on one scale and in one frame.

    Attributes
    ----------
    bases : Bases
        Template and components.
    largest_mm : float
        The displacement that gets the last colour.
    shape : (K_id,) array or None
        The person's identity; None draws the basis' mean.
    """

    bases: Bases
    largest_mm: float
    shape: NDArray[np.float64] | None = None

    def draw(self, alphas: NDArray[np.floating]) -> list[NDArray[np.uint8]]:
        """Return a picture (H, W, 4) for each row of (n, K) coefficients; NaN counts as 0."""
        bases = self.bases
        head = bases.template if self.shape is None else deform(bases.template, bases.components_id, self.shape)
        openness = surface_openness(head, bases.faces)
        framing = frame_face(bases.landmarks()[0])
        pictures = []
        for alpha in np.nan_to_num(np.asarray(alphas, np.float64)):
            moved = np.tensordot(alpha, bases.components_au, axes=1)
            far = 1000 * np.sqrt((moved**2).sum(1))
            pictures.append(
                draw_head(
                    head + moved,
                    bases.faces,
                    framing,
                    height=_HEIGHT,
                    values=far / (self.largest_mm or 1.0),
                    openness=openness,
                )
            )
        return pictures


def rgb_thumbnails(
    session: Session, frame_index: Sequence[int], landmarks_px: NDArray[np.floating] | None
) -> list[NDArray[np.uint8] | None]:
    """Return the faces in a few RGB frames, cut out and shrunk; None for those that cannot be read.

    Parameters
    ----------
    session : Session
        The recording, whose frames are read in order up to the last one wanted.
    frame_index : sequence of n int
        Which.
    landmarks_px : (n, 68, 3) array or None
        Where the face is; NaN, or None, shows the whole frame.
    """
    found: dict[int, NDArray[np.uint8] | None] = {}
    wanted = set(frame_index)
    for frame in session_frames(session):
        if frame.frame_index in wanted:
            found[frame.frame_index] = frame.image
            if len(found) == len(wanted):
                break
    pictures: list[NDArray[np.uint8] | None] = []
    for i, index in enumerate(frame_index):
        image = found.get(index)
        points = None if landmarks_px is None else landmarks_px[i]
        pictures.append(None if image is None else _face(image, points))
    return pictures


def event_thumbnails(path: Path, index: Sequence[int | None]) -> list[NDArray[np.uint8] | None]:
    """Return a few event frames as pictures; None where there is none, or the file cannot be read."""
    try:
        info = read_event_frame_info(path)
    except Au3dmmError:
        return [None] * len(index)
    about = info.metadata.get("representation") or {}
    name = str(about.get("name") or path.name.split(".")[1])
    pictures: list[NDArray[np.uint8] | None] = []
    for i in index:
        if i is None or not 0 <= i < info.n_frames:
            pictures.append(None)
            continue
        values = read_clip(path, i, 1, as_float=True)[0]
        full = _FULL.get(name) or float(np.percentile(np.abs(values), 99.5)) or 1.0
        picture = colour_frame(values, name, full=full)
        across = round(_SIDE * picture.shape[1] / picture.shape[0])
        pictures.append(np.asarray(cv2.resize(picture, (across, _SIDE), interpolation=cv2.INTER_AREA), np.uint8))
    return pictures


def _face(image: NDArray[np.uint8], landmarks: NDArray[np.floating] | None) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side, middle = float(min(height, width)), np.array([(width - 1) / 2, (height - 1) / 2])
    points = landmarks[:, :2][np.isfinite(landmarks[:, :2]).all(1)] if landmarks is not None else np.zeros((0, 2))
    if len(points) > 1:
        low, high = points.min(0), points.max(0)
        # landmarks end at the brows: look higher than their middle to see the forehead
        middle = (low + high) / 2 - (0, 0.1 * (high - low)[1])
        side = max(16.0, _MARGIN * float((high - low).max()))
    zoom = _SIDE / side
    to_frame = np.array(
        [[1 / zoom, 0, middle[0] - side / 2 + 0.5 / zoom], [0, 1 / zoom, middle[1] - side / 2 + 0.5 / zoom]]
    )
    # linear interpolation skips rows of what is shrunk a lot, so it is shrunk by area first
    shrink = max(1, int(side / _SIDE))
    if shrink > 1:
        image = np.asarray(
            cv2.resize(image, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA), np.uint8
        )
        to_frame /= shrink
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    grey = (128, 128, 128)
    cut = cv2.warpAffine(image, to_frame, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=grey)
    return np.asarray(cut, np.uint8)
