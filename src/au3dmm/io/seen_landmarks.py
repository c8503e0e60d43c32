"""Landmarks that were found in a recording's RGB frames, and the cameras that the fit saw its faces with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.core.camera import Pose, principal_point, to_plane
from au3dmm.core.landmarks import N_LANDMARKS, eye_distance
from au3dmm.errors import SchemaError
from au3dmm.io.landmark_table import read_landmark_track
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.tables import read_metadata, read_table, vectors


@dataclass(frozen=True)
class SeenLandmarks:
    """The T RGB frames of a recording that were fitted.

    Attributes
    ----------
    t_rgb_us : (T,) int64 array
        Exposure midpoints on the RGB clock, us; ascending.
    frame_index : (T,) int64 array
        Which frames.
    landmarks_px : (T, 68, 2) float64 array
        As they were detected: px, y down, not smoothed.
    cameras : (T, 3, 4) float64 array
        ``h = camera @ (X, 1)`` of a point X, m: it appears at ``h[:2] / h[2]``, px, y down.
    unit_px : (T,) float64 array
        Distance of the outer eye corners, px.
    neutral_m : (68, 3) float64 array
        The neutral face's landmarks, with the offsets that the fit gave them.
    """

    t_rgb_us: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    landmarks_px: NDArray[np.float64]
    cameras: NDArray[np.float64]
    unit_px: NDArray[np.float64]
    neutral_m: NDArray[np.float64]


def pose_cameras(pose: Pose, focal_px: float, centre_px: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return poses of T frames and a focal length as cameras (T, 3, 4) to px with y down; see `SeenLandmarks`.

    Examples
    --------
    >>> pose = Pose(np.eye(3)[None], np.array([1000.0]), np.array([[5.0, 0.0]]))
    >>> x, y, w = pose_cameras(pose, 500.0, np.array([160.0, 120.0]))[0] @ [0.01, 0.02, 0.0, 1.0]
    >>> float(x / w), float(y / w)
    (175.0, 100.0)
    """
    n = len(pose.scale)
    scaled = pose.rotation * pose.scale[:, None, None]
    depth = np.concatenate([-scaled[:, 2] / focal_px, np.ones((n, 1))], 1)
    plane = np.concatenate([scaled[:, :2], pose.translation[:, :, None]], 2)
    turned = plane * np.array([1.0, -1.0])[:, None]
    return np.concatenate([turned + np.asarray(centre_px)[:, None] * depth[:, None], depth[:, None]], 1)


def read_seen_landmarks(run: RunFolder, session_id: str, subject_id: str) -> SeenLandmarks:
    """Read what landmarks and fit say of the frames of a recording.

    The camera of a frame is the affine one of the fit, or where that took perspective away (`focal_px` in the
    metadata), its pose and focal length: what puts the fit's own face where its landmarks were.

    Raises
    ------
    SchemaError
        If a table is missing or damaged, or tables are of other frames.
    """
    folder = run.session(session_id)
    places = [folder / "identity.parquet", run.subject(subject_id) / "identity.parquet"]
    identity = next((path for path in places if path.is_file()), places[0])
    fitted, found = folder / "coefficients.parquet", folder / "landmarks.parquet"
    for path in (found, fitted, identity):
        if not path.is_file():
            raise SchemaError(
                f"{path}: no such file; loss.landmarks needs landmarks, coefficients and identity of every recording"
                " that it learns from: keep them beside the labels, label again, or set loss.landmarks = 0"
            )
    track = read_landmark_track(found)
    columns = ["frame_index", "status", "rotation_vector", "scale_px_per_m", "translation_px", "camera"]
    table, about = read_table(fitted, "coefficients", columns), read_metadata(fitted)
    if not np.array_equal(table["frame_index"].to_numpy(), track.frame_index):
        raise SchemaError(
            f"{fitted}: {len(table)} frames, which are not the {len(track.frame_index)} of {found.name}; label again"
        )
    neutral, _ = vectors(read_table(identity, "identity", ["neutral_landmarks_m"]), "neutral_landmarks_m")
    camera, ok = vectors(table, "camera")
    rows = np.flatnonzero(ok & track.usable)
    seen = track.landmarks_px[rows, :, :2]
    return SeenLandmarks(
        track.t_rgb_us[rows].astype(np.int64),
        track.frame_index[rows].astype(np.int64),
        seen,
        _cameras(table, about, camera, rows, track.width, track.height),
        eye_distance(seen),
        neutral[0].reshape(N_LANDMARKS, 3).astype(np.float64),
    )


def _cameras(
    table: Any, about: dict[str, Any], camera: NDArray[Any], rows: NDArray[np.int64], width: int, height: int
) -> NDArray[np.float64]:
    focal = (about.get("camera") or {}).get("focal_px")
    if focal is None:
        last = np.tile(np.array([0.0, 0.0, 0.0, 1.0]), (len(rows), 1, 1))
        return np.concatenate([camera[rows].reshape(-1, 2, 4).astype(np.float64), last], 1)
    centre = principal_point(width, height)
    turn, shift = (vectors(table, name)[0][rows].astype(np.float64) for name in ("rotation_vector", "translation_px"))
    scale = np.asarray(table["scale_px_per_m"].to_numpy(zero_copy_only=False), np.float64)[rows]
    rotation = Rotation.from_rotvec(turn.reshape(-1, 3)).as_matrix()
    return pose_cameras(Pose(rotation, scale, to_plane(shift.reshape(-1, 2), centre)), float(focal), centre)
