"""What the two fitting stages do alike before they fit: choose a camera, smooth and turn the landmarks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import FitParams, IdentityParams, Points
from au3dmm.core.camera import focal_from_field_of_view, principal_point, to_plane
from au3dmm.core.fitting import CameraSettings, implausible, landmark_weights
from au3dmm.core.intensities import Intensities
from au3dmm.core.landmarks import EYELIDS, N_LANDMARKS
from au3dmm.core.mediapipe_mesh import EYELIDS as MESH_EYELIDS
from au3dmm.core.placement import spread_weights
from au3dmm.core.smoothing import smooth_landmarks
from au3dmm.errors import ConfigError, SchemaError, SessionError
from au3dmm.io.bases import basis_metadata, read_bases
from au3dmm.io.landmark_table import LandmarkTrack
from au3dmm.io.session import Session

# an affine image of the template is this near to any face, as a share of the eye distance; random points are at 0.8
_MAX_MISFIT_IOD = 0.35
# across the image; wider ones are fisheyes, which are no pinholes
_WIDEST_DEG = 150.0


@dataclass(frozen=True)
class BasisAtLandmarks:
    """What the two fitting stages need of a basis.

    Attributes
    ----------
    template, components_id, components_au : arrays
        At the L points that are fitted: (L, 3), (K_id, L, 3), (K_au, L, 3), m. The first 68 are iBUG's.
    metadata : dict
        What a table says of the basis.
    dense_index : (L - 68,) int array
        Which of the detector's dense points the others are.
    dense_weights : (L - 68,) array
        Their weights, from how well their places are known.
    intensities : Intensities or None
        How action unit intensities are read off the coefficients, if the basis says.
    std_factor : (K_au,) array or None
        What standard deviations of the AU coefficients are multiplied by, if the basis says.
    """

    template: NDArray[np.float64]
    components_id: NDArray[np.float64]
    components_au: NDArray[np.float64]
    metadata: dict[str, Any]
    dense_index: NDArray[np.int64]
    dense_weights: NDArray[np.float64]
    intensities: Intensities | None = None
    std_factor: NDArray[np.float64] | None = None

    def weights(self, jaw_weight: float) -> NDArray[np.float64]:
        """Return the weight of each point (L,)."""
        return np.concatenate([landmark_weights(jaw_weight), self.dense_weights])


def read_basis_at_landmarks(path: Path, points: Points = "ibug68") -> BasisAtLandmarks:
    """Read a basis file, once per process while it is unchanged: a run over a dataset needs it thousands of times.

    Parameters
    ----------
    path : Path
        The file.
    points : {"ibug68", "dense"}
        What is fitted: the 68, or dense points as well.

    Raises
    ------
    SchemaError
        As `read_bases`.
    ConfigError
        If dense points are asked for, and the basis has no places for them.
    """
    try:
        said = os.stat(path)
        state = (said.st_size, said.st_ino, said.st_mtime_ns, said.st_ctime_ns)
    except OSError:
        state = None  # read_bases says what is wrong
    known = _read_basis(str(path), state, points)
    return BasisAtLandmarks(
        known.template.copy(),
        known.components_id.copy(),
        known.components_au.copy(),
        dict(known.metadata),
        known.dense_index.copy(),
        known.dense_weights.copy(),
        known.intensities,
        None if known.std_factor is None else known.std_factor.copy(),
    )


@lru_cache(maxsize=2)
def _read_basis(path: str, state: tuple[int, ...] | None, points: Points) -> BasisAtLandmarks:
    model = read_bases(path)
    metadata, at68 = basis_metadata(Path(path), model), model.landmarks()
    if points == "ibug68":
        return BasisAtLandmarks(
            *at68, metadata, np.zeros(0, np.int64), np.zeros(0), model.intensities, model.std_factor_au
        )
    at_dense = model.dense_landmarks()
    if model.dense is None or at_dense is None:
        raise ConfigError(
            f"{path}: landmarks = 'dense', but it has no places of dense points; `au3dmm assets place-landmarks --bases"
            f" {path} --out FILE` writes a basis that has, or use landmarks = 'ibug68'"
        )
    template, components_id, components_au = (
        np.concatenate([a, b], axis=-2) for a, b in zip(at68, at_dense, strict=True)
    )
    n = len(model.dense.landmark_index)
    weights = np.ones(n) if model.dense.spread_m is None else spread_weights(model.dense.spread_m)
    index = model.dense.landmark_index.astype(np.int64)
    return BasisAtLandmarks(
        template, components_id, components_au, metadata, index, weights, model.intensities, model.std_factor_au
    )


def camera_settings(params: FitParams | IdentityParams, track: LandmarkTrack, session: Session) -> CameraSettings:
    """Return the camera of a recording: with its own focal length, or one guessed from the field of view.

    Raises
    ------
    SessionError
        If the focal length it states is one of no lens: in millimetres, say.
    """
    stated = session.manifest.rgb.focal_px
    least = focal_from_field_of_view(track.width, _WIDEST_DEG)
    if stated is not None and stated < least:
        raise SessionError(
            f"{session.path}: rgb.focal_px = {stated:g}, but at {track.width} px of width that is a lens of more than"
            f" {_WIDEST_DEG:g} degrees; expected at least {least:.0f} px (millimetres / sensor width *"
            f" {track.width}), or leave it out"
        )
    focal = stated or focal_from_field_of_view(track.width, params.field_of_view_deg)
    return CameraSettings(params.camera, params.perspective_passes, focal)


def camera_metadata(settings: CameraSettings) -> dict[str, Any]:
    """Return what a table says of the camera; ``focal_px`` is null where no perspective was corrected."""
    return {"model": settings.model, "focal_px": settings.focal, "perspective_passes": settings.perspective_passes}


def plane_landmarks(
    params: FitParams | IdentityParams, track: LandmarkTrack, model: BasisAtLandmarks
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the smoothed points (T, L, 2) of a basis on the image plane, px relative to the image centre, y up.

    The second value (T,) says which frames can be fitted: status ok, and landmarks that are those of a face.

    Raises
    ------
    SchemaError
        If dense points are wanted that the track has not got.
    """
    centre = principal_point(track.width, track.height)
    plane = to_plane(track.landmarks_px[..., :2], centre)
    fittable = track.usable & ~implausible(plane, model.template[:N_LANDMARKS], _MAX_MISFIT_IOD)
    if len(model.dense_index):
        plane = np.concatenate([plane, to_plane(_dense_points(track, model), centre)], axis=1)
        fittable &= np.isfinite(plane).all((1, 2))
    another_face = np.array(["face_switched" in flags for flags in track.flags], dtype=bool)
    lids = np.concatenate([EYELIDS, N_LANDMARKS + np.flatnonzero(np.isin(model.dense_index, MESH_EYELIDS))])
    smooth = smooth_landmarks(
        plane, track.t_rgb_us, fittable, params.smoothing_us, another_face, lids, params.spike_iod
    )
    return smooth, fittable


def _dense_points(track: LandmarkTrack, model: BasisAtLandmarks) -> NDArray[np.float64]:
    have = 0 if track.dense_px is None else track.dense_px.shape[1]
    if track.dense_px is None or have <= model.dense_index.max():
        name = (track.metadata.get("detector") or {}).get("name", "its detector")
        raise SchemaError(
            f"landmarks = 'dense', but {name} gave {have} dense points, expected MediaPipe's 468; use detector ="
            " 'mediapipe', or landmarks = 'ibug68'"
        )
    return track.dense_px[:, model.dense_index, :2].astype(np.float64)
