"""Stage identity: a subject's neutral face and identity coefficients (step one of the two-step fit)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from au3dmm.config import IdentityParams
from au3dmm.core.fitting import fit_expression, fit_neutral, landmark_weights
from au3dmm.core.landmarks import eye_distance
from au3dmm.core.neutral import find_neutral
from au3dmm.errors import FitError
from au3dmm.io.bases import basis_metadata, read_bases
from au3dmm.io.landmark_table import LandmarkTrack, read_landmark_track
from au3dmm.io.session import read_session
from au3dmm.io.tables import identity_schema, vector_array, word_array, write_table
from au3dmm.stages.preparation import camera_metadata, camera_settings, plane_landmarks

READS = ("session:session", "session:camera", "landmarks", "bases")
WRITES = ("identity",)
VERSION = 1


def run(
    *,
    session: Path,
    landmarks: Path,
    bases: Path,
    identity: Path,
    params: IdentityParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Estimate the neutral face of a session's subject and write `identity.parquet`.

    Returns
    -------
    dict
        ``neutral_frames``, ``rmse_px``, ``rmse_iod`` and ``flags``.

    Raises
    ------
    FitError
        If no frame has usable landmarks.
    SchemaError
        If an input is not what it should be.
    """
    recording = read_session(session)
    track = read_landmark_track(landmarks)
    model = read_bases(bases)
    template, components_id, components_au = model.landmarks()
    plane, fittable = plane_landmarks(params, track, template)
    usable = np.flatnonzero(fittable)
    if not len(usable):
        raise FitError(_nobody(recording.session_id, track))
    settings = camera_settings(params, track, recording)
    weights = landmark_weights(params.jaw_weight)
    seen = plane[usable]
    flags: list[str] = []
    if params.neutral == "first_frame":
        used = np.array([0])
        neutral = fit_neutral(
            seen[used],
            template,
            components_id,
            weights,
            settings,
            sigma_id_px=params.sigma_id_px,
            sigma_offset_m=params.sigma_offset_m,
            alternations=params.alternations,
        )
        energy = None
    else:
        search = find_neutral(
            seen,
            np.array([0]),
            template,
            components_id,
            components_au,
            weights,
            settings,
            sigma_id_px=params.sigma_id_px,
            sigma_offset_m=params.sigma_offset_m,
            alternations=params.alternations,
            sigma_px=params.sigma_px,
            l1=params.l1,
            share=params.neutral_share,
            frames_max=params.neutral_frames_max,
            passes=params.neutral_passes,
        )
        neutral, used, energy = search.neutral, search.frames, search
        if search.starts_active:
            flags.append("not_neutral_start")
    rest = fit_expression(
        seen[used],
        neutral.shape,
        np.zeros((1, 68, 3)),
        weights,
        settings,
        sigma_px=params.sigma_px,
        joint_pose=False,
        nonnegative=False,
        l1=0.0,
    )
    rmse_px = np.sqrt(((rest.fitted - seen[used]) ** 2).sum(2).mean(1))
    rmse_iod = rmse_px / eye_distance(seen[used])
    frames = [{"session_id": recording.session_id, "frame_index": int(i)} for i in track.frame_index[usable[used]]]
    schema = identity_schema(model.k_id)
    table = pa.Table.from_arrays(
        [
            pa.array([recording.subject_id]),
            pa.array([[recording.session_id]]),
            word_array(["ok"]),
            pa.array([flags], pa.list_(pa.string())),
            vector_array(neutral.alpha_id[None]),
            vector_array(neutral.alpha_id_std[None]),
            vector_array(neutral.shape[None]),
            vector_array(neutral.offset[None]),
            pa.array([frames], schema.field("neutral_frames").type),
            pa.array([float(np.median(rmse_px))], pa.float32()),
            pa.array([float(np.median(rmse_iod))], pa.float32()),
        ],
        schema=schema,
    )
    summary = {
        "neutral_frames": len(used),
        "rmse_px": round(float(np.median(rmse_px)), 4),
        "rmse_iod": round(float(np.median(rmse_iod)), 5),
        "flags": flags,
    }
    search_result = {}
    if energy is not None:
        search_result = {
            "neutral_energy_mm": round(float(np.median(energy.energy_mm)), 4),
            "start_energy_mm": round(energy.start_energy_mm, 4),
        }
    metadata = {
        "stage": "identity",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "basis": basis_metadata(bases, model),
        "camera": camera_metadata(settings),
        "landmark_scheme": "ibug68",
        "units": "alpha in standard deviations; landmarks and offsets m, y up, z towards the camera; rmse px",
        "neutral_search": search_result,
        "counts": {"frames": len(track.status), "usable": len(usable), "used": len(used)},
    }
    write_table(identity, "identity", table, metadata)
    if progress:
        progress(1, 1)
    return summary


def _nobody(session_id: str, track: LandmarkTrack) -> str:
    n = len(track.status)
    if track.usable.any():
        return (
            f"session {session_id!r}: landmarks in {track.usable.sum()} of {n} frames, but those of no face (or the"
            " basis' landmarks are not); check the overlay, the landmark file and the basis"
        )
    found = ", ".join(f"{track.status.count(word)} {word}" for word in sorted(set(track.status)))
    return (
        f"session {session_id!r}: no face in any of {n} frames ({found}); expected at least one; check the video, or"
        " try another --detector"
    )
