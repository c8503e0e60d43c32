"""Stage identity: a subject's neutral face and identity coefficients (step one of the two-step fit)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.config import IdentityParams
from au3dmm.core.fitting import CameraSettings, fit_expression, fit_neutral
from au3dmm.core.landmarks import N_LANDMARKS, eye_distance
from au3dmm.core.neutral import NeutralSearch, find_neutral
from au3dmm.core.neutral_trust import NeutralTest, judge_neutral
from au3dmm.core.same_person import PeopleTest, compare_people
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.landmark_table import read_landmark_track
from au3dmm.io.session import read_session
from au3dmm.io.table_schemas import identity_schema
from au3dmm.io.tables import vector_array, word_array, write_table
from au3dmm.stages.identity_doubts import IdentityDoubts
from au3dmm.stages.preparation import (
    BasisAtLandmarks,
    camera_metadata,
    camera_settings,
    plane_landmarks,
    read_basis_at_landmarks,
)

READS = ("sessions:session", "sessions:camera", "sessions:landmarks", "bases")
WRITES = ("identity",)
# 2: all recordings of a subject together; 3: a sparser prior where neutral frames are sought, dense points; 4: the
# search begins at several places, and says how far the face can be believed
VERSION = 4


def run(
    *,
    sessions: Sequence[Path],
    landmarks: Sequence[Path],
    bases: Path,
    identity: Path,
    params: IdentityParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Estimate a subject's neutral face from one or more recordings and write `identity.parquet`.

    A recording in which no face was found adds nothing, and is not named in the table.

    Parameters
    ----------
    sessions, landmarks : sequences of Path
        The subject's manifests, and the landmark table of each.
    bases : Path
        The basis file.
    identity : Path
        The table to write: one row.
    params : IdentityParams
        Which frames are neutral, and how the face is fitted to them.
    stamp : mapping, optional
        What the pipeline knows: stage, fingerprint, inputs. Goes into the file's metadata.
    progress : callable, optional
        Called with recordings read and their number.

    Returns
    -------
    dict
        ``sessions`` used, ``neutral_frames``, ``rmse_px``, ``rmse_iod``, ``flags``; ``neutral``, how far the face can
        be believed; ``people``, whether there are two; and ``warnings``, both in words.

    Raises
    ------
    FitError
        If no frame of any recording has usable landmarks.
    SchemaError
        If an input is not what it should be, or the recordings are of different people.
    """
    model = read_basis_at_landmarks(bases, params.landmarks)
    template, components_id, components_au = model.template, model.components_id, model.components_au
    clips = []
    for done, (manifest, table) in enumerate(zip(sessions, landmarks, strict=True)):
        clips.append(_read_clip(manifest, table, params, model))
        if progress:
            progress(done + 1, len(sessions))
    subjects = sorted({clip.subject_id for clip in clips})
    if len(subjects) != 1:
        raise SchemaError(f"identity: recordings of {len(subjects)} subjects ({', '.join(subjects)}); expected of one")
    seen_clips = [clip for clip in clips if len(clip.frame_index)]
    if not seen_clips:
        raise FitError(_nobody(clips))
    settings = seen_clips[0].settings
    seen = np.concatenate([clip.through(settings) for clip in seen_clips])
    starts = np.cumsum([0, *(len(clip.frame_index) for clip in seen_clips[:-1])])
    weights = model.weights(params.jaw_weight)
    how: Any = {"sigma_id_px": params.sigma_id_px, "sigma_offset_m": params.sigma_offset_m}
    search: NeutralSearch | None = None
    test: NeutralTest | None = None
    people: PeopleTest | None = None
    if params.neutral == "first_frame":
        used = starts
        neutral = fit_neutral(
            seen[used],
            template,
            components_id,
            weights,
            settings,
            **how,
            alternations=params.alternations,
        )
    else:
        search = find_neutral(
            seen,
            starts,
            template,
            components_id,
            components_au,
            weights,
            settings,
            **how,
            alternations=params.alternations,
            sigma_px=params.sigma_px,
            l1=params.l1,
            ridge=params.ridge,
            share=params.neutral_share,
            frames_max=params.neutral_frames_max,
            passes=params.neutral_passes,
        )
        neutral, used = search.neutral, search.frames
        test = judge_neutral(
            search,
            seen,
            template,
            components_id,
            components_au,
            weights,
            settings,
            **how,
            alternations=params.alternations,
        )
        people = compare_people(seen, starts, search, template, components_id, weights, settings, **how)
    rest = fit_expression(
        seen[used],
        neutral.shape,
        np.zeros((1, *template.shape)),
        weights,
        settings,
        sigma_px=params.sigma_px,
        joint_pose=False,
        nonnegative=False,
        l1=0.0,
    )
    rmse_px = np.sqrt(((rest.fitted - seen[used])[:, :N_LANDMARKS] ** 2).sum(2).mean(1))
    rmse_iod = rmse_px / eye_distance(seen[used])
    places = [(clip.session_id, int(i)) for clip in seen_clips for i in clip.frame_index]
    frames = [{"session_id": places[row][0], "frame_index": places[row][1]} for row in used]
    doubts = IdentityDoubts(
        subjects[0],
        [places[row] for row in used],
        [clip.session_id for clip in seen_clips],
        len(used) if search is None else len(search.looked_at),
        search is not None and search.starts_active,
        test,
        people,
        places,
    )
    n_dense = len(template) - N_LANDMARKS
    schema = identity_schema(len(components_id), n_dense)
    table = pa.Table.from_arrays(
        [
            pa.array(subjects),
            pa.array([[clip.session_id for clip in seen_clips]]),
            word_array(["ok"]),
            pa.array([doubts.flags], pa.list_(pa.string())),
            vector_array(neutral.alpha_id[None]),
            vector_array(neutral.alpha_id_std[None]),
            vector_array(neutral.shape[None, :N_LANDMARKS]),
            vector_array(neutral.offset[None, :N_LANDMARKS]),
            pa.array([frames], schema.field("neutral_frames").type),
            pa.array([float(np.median(rmse_px))], pa.float32()),
            pa.array([float(np.median(rmse_iod))], pa.float32()),
            *doubts.columns(),
            *([vector_array(neutral.shape[None, N_LANDMARKS:])] if n_dense else []),
        ],
        schema=schema,
    )
    summary = {
        "sessions": len(seen_clips),
        "neutral_frames": len(used),
        "rmse_px": round(float(np.median(rmse_px)), 4),
        "rmse_iod": round(float(np.median(rmse_iod)), 5),
        "flags": doubts.flags,
        **doubts.summary(),
    }
    search_result = {}
    if search is not None:
        search_result = {
            "neutral_energy_mm": round(float(np.median(search.energy_mm)), 4),
            "start_energy_mm": round(search.start_energy_mm, 4),
        }
    metadata = {
        "stage": "identity",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "basis": model.metadata,
        "camera": camera_metadata(settings),
        "landmark_scheme": "ibug68",
        "dense_points": n_dense,
        "units": "alpha in standard deviations; landmarks and offsets m, y up, z towards the camera; rmse px",
        "neutral_search": search_result,
        "neutral": doubts.summary()["neutral"],
        "people": doubts.summary()["people"],
        "counts": {
            "sessions": len(clips),
            "frames": sum(len(clip.status) for clip in clips),
            "usable": len(places),
            "used": len(used),
        },
    }
    write_table(identity, "identity", table, metadata)
    return summary


@dataclass(frozen=True)
class _Clip:
    """What the neutral face needs of one recording: smoothed points (n, L, 2) of the frames that can be fitted."""

    session_id: str
    subject_id: str
    status: tuple[str, ...]
    frame_index: NDArray[np.int32]
    plane: NDArray[np.float64]
    settings: CameraSettings

    def through(self, camera: CameraSettings) -> NDArray[np.float64]:
        """Return the landmarks as `camera` would have seen them.

        Pixels over focal length are directions, whatever the camera: recordings of one face by cameras of several
        resolutions are brought to one scale, which is exact for pinhole cameras.
        """
        return np.asarray(self.plane * (camera.focal_px / self.settings.focal_px))


def _read_clip(manifest: Path, landmarks: Path, params: IdentityParams, model: BasisAtLandmarks) -> _Clip:
    recording = read_session(manifest)
    track = read_landmark_track(landmarks, dense=params.landmarks == "dense")
    plane, fittable = plane_landmarks(params, track, model)
    settings = camera_settings(params, track, recording)
    rows = np.flatnonzero(fittable)
    return _Clip(
        recording.session_id, recording.subject_id, track.status, track.frame_index[rows], plane[rows], settings
    )


def _nobody(clips: Sequence[_Clip]) -> str:
    status = [word for clip in clips for word in clip.status]
    n, usable = len(status), status.count("ok")
    who = f"session {clips[0].session_id!r}"
    if len(clips) > 1:
        who = f"subject {clips[0].subject_id!r}, {len(clips)} sessions"
    if usable:
        return (
            f"{who}: landmarks in {usable} of {n} frames, but those of no face (or the basis' landmarks are not);"
            " check the overlay, the landmark file and the basis"
        )
    found = ", ".join(f"{status.count(word)} {word}" for word in sorted(set(status)))
    return (
        f"{who}: no face in any of {n} frames ({found}); expected at least one; check the video, or try another"
        " --detector"
    )
