"""A session's fit to look at: reads its tables and a few of its frames, writes a contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.basis import Bases, deform
from au3dmm.core.camera import Pose, from_plane, principal_point, project, to_plane
from au3dmm.errors import SessionError
from au3dmm.io.bases import read_bases
from au3dmm.io.frames import session_frames
from au3dmm.io.images import write_image
from au3dmm.io.session import Session, read_session
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.report.overlay import frame_caption, overlay_sheet

READS = ("session:rgb", "landmarks", "identity", "coefficients", "bases")
WRITES = ("overlay",)
VERSION = 1

_REACH_M = 0.015
_FRAMES = 6


@dataclass(frozen=True)
class _Fitted:
    """What of the tables is drawn, for the frames chosen."""

    rows: NDArray[np.int64]
    landmarks_px: NDArray[np.float64]
    mesh_px: NDArray[np.float64]
    fitted_px: NDArray[np.float64]


def run(
    *,
    session: Path,
    landmarks: Path,
    identity: Path,
    coefficients: Path,
    bases: Path,
    overlay: Path,
    params: Any = None,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Draw landmarks and fitted mesh over six frames of a labelled session (PNG).

    Shown are the quietest frame, the one that fits worst, and the most active ones, spread over the recording. Has the
    form of a stage, so that the pipeline knows whether the picture still shows what was fitted; `params` and `stamp`
    are not used.

    Returns
    -------
    dict
        ``frames``: the number of frames shown.

    Raises
    ------
    SessionError
        If not one frame was fitted.
    SchemaError
        If a table is not what it should be.
    OutputError
        If the picture cannot be written.
    """
    recording, model = read_session(session), read_bases(bases)
    files = {"landmarks": landmarks, "identity": identity, "coefficients": coefficients}
    table = read_table(coefficients, "coefficients")
    status = table["status"].to_pylist()
    ok = np.array([word == "ok" for word in status])
    if not ok.any():
        raise SessionError(f"session {recording.session_id!r}: no frame was fitted, so there is nothing to draw")
    alpha, _ = vectors(table, "alpha_au")
    frame_index = table["frame_index"].to_numpy()
    t_us = table["t_rgb_us"].to_numpy()
    rmse_px = table["rmse_px"].to_numpy(zero_copy_only=False)
    rmse_iod = table["rmse_iod"].to_numpy(zero_copy_only=False)
    rows = _choose(alpha, model.landmarks()[2], rmse_iod, t_us, ok, _FRAMES)
    fitted = _place(files, model, rows)
    images = _read_images(recording, rows, progress)
    captions = [
        frame_caption(int(frame_index[row]), int(t_us[row]), status[row], float(rmse_px[row]), float(rmse_iod[row]))
        for row in rows
    ]
    sheet = overlay_sheet(
        images,
        fitted.landmarks_px,
        fitted.mesh_px,
        model.faces,
        fitted_landmarks_px=fitted.fitted_px,
        captions=captions,
        title=f"{recording.session_id}{'   (DEMO basis)' if model.is_demo else ''}",
    )
    write_image(overlay, sheet)
    return {"frames": len(rows)}


def _choose(
    alpha: NDArray[np.float32],
    components: NDArray[np.float64],
    rmse_iod: NDArray[np.float64],
    t_us: NDArray[np.int64],
    ok: NDArray[np.bool_],
    n: int,
) -> NDArray[np.int64]:
    usable = np.flatnonzero(ok)
    moved = np.tensordot(alpha[usable].astype(np.float64), components, axes=1)
    energy = np.sqrt((moved**2).sum(2).mean(1))
    by_energy = usable[np.argsort(-energy, kind="stable")]
    apart_us = (t_us[-1] - t_us[0]) / (2 * n)
    chosen = [int(by_energy[-1]), int(usable[np.argmax(rmse_iod[usable])])]
    for row in by_energy:
        if len(chosen) >= n:
            break
        if all(abs(t_us[row] - t_us[other]) >= apart_us for other in chosen):
            chosen.append(int(row))
    return np.array(sorted(set(chosen)))


def _place(files: Mapping[str, Path], bases: Bases, rows: NDArray[np.int64]) -> _Fitted:
    table = read_table(files["coefficients"], "coefficients").take(rows)
    metadata = read_metadata(files["coefficients"])
    centre = principal_point(metadata["image"]["width"], metadata["image"]["height"])
    identity = read_table(files["identity"], "identity")
    offset = vectors(identity, "offset_m")[0][0].reshape(68, 3).astype(np.float64)
    neutral_landmarks = vectors(identity, "neutral_landmarks_m")[0][0].reshape(68, 3)
    alpha_id = vectors(identity, "alpha_id")[0][0].astype(np.float64)
    head = deform(bases.template, bases.components_id, alpha_id)
    head = head + _spread_offsets(head, neutral_landmarks - offset, offset)
    alpha = vectors(table, "alpha_au")[0].astype(np.float64)
    shapes = deform(head, bases.components_au, alpha)
    marks = deform(neutral_landmarks, bases.landmarks()[2], alpha)
    observed, _ = vectors(read_table(files["landmarks"], "landmarks", ["landmarks_px"]).take(rows), "landmarks_px")
    camera = metadata["camera"]
    pose = Pose(
        Rotation.from_rotvec(vectors(table, "rotation_vector")[0]).as_matrix(),
        table["scale_px_per_m"].to_numpy().astype(np.float64),
        to_plane(vectors(table, "translation_px")[0], centre),
    )
    depth = (shapes @ pose.rotation.swapaxes(1, 2))[..., 2:] * pose.scale[:, None, None]
    if camera["model"] == "affine":
        matrix = vectors(table, "camera")[0].reshape(-1, 2, 4).astype(np.float64)
        mesh, fitted = (x @ matrix[:, :, :3].swapaxes(1, 2) + matrix[:, None, :, 3] for x in (shapes, marks))
    else:
        mesh, fitted = (from_plane(project(x, pose, camera["focal_px"]), centre) for x in (shapes, marks))
    return _Fitted(rows, observed.reshape(-1, 68, 3).astype(np.float64), np.concatenate([mesh, depth], axis=2), fitted)


def _spread_offsets(
    head: NDArray[np.float64], places: NDArray[np.floating], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spread the personal offsets of the landmarks over the head, fading within 15 mm; for the picture only."""
    squared = ((head[:, None] - places[None]) ** 2).sum(2)
    weights = np.exp(-squared / (2 * _REACH_M**2))
    return np.asarray(weights @ offset / (weights.sum(1, keepdims=True) + 0.3))


def _read_images(
    session: Session, rows: NDArray[np.int64], progress: Callable[[int, int | None], None] | None
) -> list[NDArray[np.uint8]]:
    wanted, images = set(rows.tolist()), []
    for row, frame in enumerate(session_frames(session)):
        if row in wanted and frame.image is not None:
            images.append(frame.image)
            if progress:
                progress(len(images), len(wanted))
            if len(images) == len(wanted):
                break
    return images
