"""What the two fitting stages do alike before they fit: choose a camera, smooth and turn the landmarks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import FitParams, IdentityParams
from au3dmm.core.camera import focal_from_field_of_view, principal_point, to_plane
from au3dmm.core.fitting import CameraSettings, implausible
from au3dmm.core.smoothing import smooth_landmarks
from au3dmm.io.bases import basis_metadata, read_bases
from au3dmm.io.landmark_table import LandmarkTrack
from au3dmm.io.session import Session

# an affine image of the template is this near to any face, as a share of the eye distance; random points are at 0.8
_MAX_MISFIT_IOD = 0.35


@dataclass(frozen=True)
class BasisAtLandmarks:
    """What the two fitting stages need of a basis.

    Attributes
    ----------
    template, components_id, components_au : arrays
        At the landmarks: (68, 3), (K_id, 68, 3), (K_au, 68, 3), m.
    metadata : dict
        What a table says of the basis.
    """

    template: NDArray[np.float64]
    components_id: NDArray[np.float64]
    components_au: NDArray[np.float64]
    metadata: dict[str, Any]


def read_basis_at_landmarks(path: Path) -> BasisAtLandmarks:
    """Read a basis file, once per process while it is unchanged: a run over a dataset needs it thousands of times.

    Raises
    ------
    SchemaError
        As `read_bases`.
    """
    try:
        said = os.stat(path)
        state = (said.st_size, said.st_ino, said.st_mtime_ns, said.st_ctime_ns)
    except OSError:
        state = None  # read_bases says what is wrong
    known = _read_basis(str(path), state)
    return BasisAtLandmarks(
        known.template.copy(), known.components_id.copy(), known.components_au.copy(), dict(known.metadata)
    )


@lru_cache(maxsize=2)
def _read_basis(path: str, state: tuple[int, ...] | None) -> BasisAtLandmarks:
    model = read_bases(path)
    return BasisAtLandmarks(*model.landmarks(), basis_metadata(Path(path), model))


def camera_settings(params: FitParams | IdentityParams, track: LandmarkTrack, session: Session) -> CameraSettings:
    """Return the camera of a recording: with its own focal length, or one guessed from the field of view."""
    focal = session.manifest.rgb.focal_px or focal_from_field_of_view(track.width, params.field_of_view_deg)
    return CameraSettings(params.camera, params.perspective_passes, focal)


def camera_metadata(settings: CameraSettings) -> dict[str, Any]:
    """Return what a table says of the camera; ``focal_px`` is null where no perspective was corrected."""
    return {"model": settings.model, "focal_px": settings.focal, "perspective_passes": settings.perspective_passes}


def plane_landmarks(
    params: FitParams | IdentityParams, track: LandmarkTrack, template: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return smoothed landmarks (T, 68, 2) on the image plane, px relative to the image centre, y up.

    The second value (T,) says which frames can be fitted: status ok, and landmarks that are those of a face.
    """
    plane = to_plane(track.landmarks_px[..., :2], principal_point(track.width, track.height))
    fittable = track.usable & ~implausible(plane, template, _MAX_MISFIT_IOD)
    another_face = np.array(["face_switched" in flags for flags in track.flags], dtype=bool)
    return smooth_landmarks(plane, track.t_rgb_us, fittable, params.smoothing_us, another_face), fittable
