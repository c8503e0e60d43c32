"""Landmarks at the times of labels: what can teach refined faces without true motion (AU-D3DFace, eq. 12 and 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError
from au3dmm.io.mesh_truth import read_label_delays
from au3dmm.io.seen_landmarks import SeenLandmarks, read_seen_landmarks
from au3dmm.training.mesh_controls import at_times
from au3dmm.training.mesh_data import MeshData

_N = 68


@dataclass(frozen=True)
class LandmarkRows:
    """Landmarks of N rows of labels; what stands in rows that are not `known` says nothing.

    Attributes
    ----------
    points : (N, 68, 2) float32 array
        Detected, px, y down, without `offsets`.
    cameras : (N, 3, 4) float32 array
        See `SeenLandmarks`.
    unit : (N,) float32 array
        Outer eye distance, px; 1 where it is not known.
    known : (N,) bool array
        Whether the row's landmarks are known.
    neutral : mapping of int to (68, 3) float32 array
        By recording: landmarks of the neutral face, m.
    directions : (R, 68, 3) float32 array
        How landmarks move, m per mm: `MotionSpace.landmarks`.
    offsets : mapping of str to (68, 2) float64 array
        By person: where landmarks lie beside those of the coarse face in most frames, outer eye distances.
    """

    points: NDArray[np.float32]
    cameras: NDArray[np.float32]
    unit: NDArray[np.float32]
    known: NDArray[np.bool_]
    neutral: dict[int, NDArray[np.float32]]
    directions: NDArray[np.float32]
    offsets: dict[str, NDArray[np.float64]]


def read_landmark_rows(mesh: MeshData, used: Sequence[int]) -> LandmarkRows:
    """Read landmarks and cameras of recordings, and put them at the times of their labels.

    Both are linear between RGB frames, as the labels' coefficients are. How far landmarks lie beside those of the
    coarse face in the median over all frames of a person is taken off them: that is the neutral face's error, and the
    detector's; no motion can explain it, and it is larger than what motion explains.

    Parameters
    ----------
    mesh : MeshData
        Whose labels.
    used : sequence of int
        Which of its recordings.

    Raises
    ------
    ConfigError
        If no row of them has landmarks.
    SchemaError
        If a table is missing or damaged.
    """
    labels, n = mesh.labels, len(mesh.labels.alpha)
    points, cameras = np.zeros((n, _N, 2), np.float32), np.zeros((n, 3, 4), np.float32)
    unit, known, neutral = np.ones(n, np.float32), np.zeros(n, bool), {}
    delays = read_label_delays(labels.run.labels)
    for i in used:
        session = labels.sessions[i]
        seen = read_seen_landmarks(labels.run, session.session_id, session.subject_id)
        neutral[i] = seen.neutral_m.astype(np.float32)
        rows = session.rows
        values = _at_labels(seen, labels.rgb_frame_index[rows], delays[rows])
        there = np.isfinite(values).all(1) & labels.valid[rows]
        values = np.where(there[:, None], values, 0.0)
        points[rows] = values[:, : 2 * _N].reshape(-1, _N, 2)
        cameras[rows] = values[:, 2 * _N : -1].reshape(-1, 3, 4)
        unit[rows] = np.where(there, values[:, -1], 1.0)
        known[rows] = there
    if not known.any():
        raise ConfigError(
            f"{labels.run.path}: no frame of {len(used)} recordings has both landmarks and a label: there is nothing"
            " for loss.landmarks; set it to 0"
        )
    directions = mesh.space.landmarks(mesh.bases.faces, mesh.bases.embedding)
    beside: dict[str, list[NDArray[np.float64]]] = {}
    for i in used:
        session = labels.sessions[i]
        at = session.first + np.flatnonzero(known[session.rows])
        coarse = np.tensordot(labels.alpha[at] @ mesh.space.of_alpha, directions, 1) + neutral[i]
        away = (points[at] - _projected(coarse, cameras[at])) / unit[at, None, None]
        beside.setdefault(session.subject_id, []).append(away)
    offsets = {person: np.median(np.concatenate(parts), 0) for person, parts in beside.items() if sum(map(len, parts))}
    for i in used:
        rows, person = labels.sessions[i].rows, labels.sessions[i].subject_id
        if person in offsets:
            points[rows] -= np.where(known[rows], unit[rows], 0)[:, None, None] * offsets[person]
    return LandmarkRows(points, cameras, unit, known, neutral, directions.astype(np.float32), offsets)


def _projected(points: NDArray[np.floating], cameras: NDArray[np.floating]) -> NDArray[np.float64]:
    seen = np.einsum("tij,tnj->tni", cameras[:, :, :3], points) + cameras[:, None, :, 3]
    return np.asarray(seen[..., :2] / seen[..., 2:])


def _at_labels(
    seen: SeenLandmarks, frame_index: NDArray[np.integer], delay_us: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return landmarks, camera and unit (n, 149) of so many us after RGB frames; NaN where they are not known."""
    n = len(seen.t_rgb_us)
    flat = (seen.landmarks_px.reshape(n, 2 * _N), seen.cameras.reshape(n, 12), seen.unit_px.reshape(n, 1))
    values = np.concatenate(flat, 1)
    out = np.full((len(frame_index), values.shape[1]), np.nan)
    if not len(values):
        return out
    place = np.searchsorted(seen.frame_index, frame_index).clip(max=len(values) - 1)
    fitted = seen.frame_index[place] == frame_index
    wanted = seen.t_rgb_us[place] + delay_us
    # frames that were not fitted are not in it: the shortest step is one frame's
    steps = np.diff(seen.t_rgb_us)
    interval = float(steps.min()) if len(steps) else 0.0
    out[fitted] = at_times(values, seen.t_rgb_us, wanted[fitted], interval)
    return out
