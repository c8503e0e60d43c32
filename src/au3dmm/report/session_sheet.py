"""The contact sheet of a session's page: a few instants, each with its frames and meshes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.errors import Au3dmmError, SchemaError
from au3dmm.io.session import Session
from au3dmm.report.mesh_views import webp
from au3dmm.report.page_parts import data_address
from au3dmm.report.session_charts import TimeAxis
from au3dmm.report.session_files import FittedFrames, SessionFiles
from au3dmm.report.session_head import displacement_mm
from au3dmm.report.session_pictures import MeshPainter, choose_instants, event_thumbnails, rgb_thumbnails
from au3dmm.report.session_predictions import Regressed

_NEAR_US = 100_000  # an event frame farther away shows another instant


@dataclass(frozen=True)
class Photographs:
    """That pictures of the face are wanted, and the recording that RGB ones come from; None if it was not found."""

    session: Session | None


def contact_sheet(
    files: SessionFiles,
    painter: MeshPainter | None,
    photographs: Photographs | None,
    regressed: Regressed | None,
    t_us: NDArray[np.int64],
    axis: TimeAxis,
    missing: list[str],
) -> tuple[dict[str, Any] | None, bool]:
    """Return the contact sheet, and whether pictures of the face are in it.

    Parameters
    ----------
    files : SessionFiles
        The session.
    painter : MeshPainter or None
        Draws its meshes; None where there is no basis.
    photographs : Photographs or None
        None: no picture of the face.
    regressed : Regressed or None
        What a model says.
    t_us : (N,) int64 array
        When its RGB frames were taken, session clock.
    axis : TimeAxis
        Times are told from its beginning.
    missing : list of str
        What cannot be shown is added to it.
    """
    fitted = files.fitted
    if fitted is None or not len(t_us):
        return None, False
    alpha = fitted.alpha
    bases = painter.bases if painter is not None else None
    chosen = choose_instants(_energy(alpha, bases), t_us, np.asarray(np.isfinite(alpha).all(1)))
    if not chosen:
        return None, False
    columns: list[tuple[str, list[Any]]] = []
    if photographs is not None:
        columns += _photographs(files, photographs, fitted, t_us, chosen, missing)
    biometric = any(picture is not None for _, pictures in columns for picture in pictures)
    if painter is not None:
        columns.append(("fitted mesh", list(painter.draw(alpha[chosen]))))
        if regressed is not None:
            said = regressed.at(t_us[chosen])
            known = np.asarray(np.isfinite(said).all(1)).tolist()
            drawn = [picture if ok else None for picture, ok in zip(painter.draw(said), known, strict=True)]
            columns.append((f"from the events, by {regressed.model}", drawn))
    if not columns:
        return None, False
    instants = []
    for i, row in enumerate(chosen):
        far = None if bases is None else f"{float(displacement_mm(bases, alpha[row]).max()):.2g}"
        seconds = f"{(int(t_us[row]) - axis.first_us) / 1e6:.3f}"
        pictures = [_picture(name, drawn[i]) for name, drawn in columns]
        instants.append({"frame": int(fitted.frame_index[row]), "seconds": seconds, "far": far, "pictures": pictures})
    return {"columns": [name for name, _ in columns], "instants": instants}, biometric


def _energy(alpha: NDArray[np.float32], bases: Bases | None) -> NDArray[np.float64]:
    """Return how far each frame's face is from neutral: at the landmarks, or in coefficients."""
    known = np.nan_to_num(alpha.astype(np.float64))
    if bases is None:
        return np.asarray(np.linalg.norm(known, axis=1))
    moved = np.tensordot(known, bases.landmarks()[2], axes=1)
    return np.asarray(np.sqrt((moved**2).sum(2).mean(1)))


def _photographs(
    files: SessionFiles,
    photographs: Photographs,
    fitted: FittedFrames,
    t_us: NDArray[np.int64],
    chosen: list[int],
    missing: list[str],
) -> list[tuple[str, list[Any]]]:
    columns: list[tuple[str, list[Any]]] = []
    try:
        if photographs.session is None:
            raise SchemaError("session.toml was not found")
        landmarks = None if fitted.landmarks_px is None else fitted.landmarks_px[chosen]
        wanted = [int(fitted.frame_index[row]) for row in chosen]
        columns.append(("RGB frame", list(rgb_thumbnails(photographs.session, wanted, landmarks))))
    except Au3dmmError as err:
        missing.append(f"no RGB pictures: {' '.join(str(err).split())}")
    frames, rows = files.event_frames, files.rows
    if frames is not None and rows is not None and len(rows.status):
        nearest = [int(np.abs(rows.label_us - t_us[row]).argmin()) for row in chosen]
        near = np.abs(rows.label_us[nearest] - t_us[chosen]) < _NEAR_US
        index = [int(rows.index[i]) if ok else None for i, ok in zip(nearest, near, strict=True)]
        columns.append(("event frame", list(event_thumbnails(frames, index))))
    return columns


def _picture(name: str, picture: NDArray[np.uint8] | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    if picture.shape[2] == 3:
        picture = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)
    return {
        "name": name,
        "address": data_address(webp(picture, 82), "image/webp"),
        "width": picture.shape[1],
        "height": picture.shape[0],
    }
