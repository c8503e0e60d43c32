"""Stage fit: action units and pose on every RGB frame, given the subject's neutral face (step two)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from au3dmm.config import FitParams
from au3dmm.core.apertures import Apertures, measure_apertures
from au3dmm.core.camera import from_plane, principal_point, to_plane
from au3dmm.core.fitting import SOLVING, ExpressionFit, fit_expression
from au3dmm.core.landmark_noise import NOISE_FRAMES, believed_noise_px
from au3dmm.core.landmarks import N_LANDMARKS, eye_distance
from au3dmm.core.neutral import spread_evenly
from au3dmm.core.uncertainty import Uncertainty, confidence, measure_uncertainty
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.intensity_columns import sparse_vector_array
from au3dmm.io.landmark_table import LandmarkTrack, read_landmark_track
from au3dmm.io.session import read_session
from au3dmm.io.table_schemas import coefficients_schema
from au3dmm.io.tables import read_metadata, read_table, scalar_array, vector_array, vectors, word_array, write_table
from au3dmm.stages.fitted_frames import FittedFrames
from au3dmm.stages.intensities import UnitIntensities, no_intensities, read_intensities
from au3dmm.stages.preparation import camera_metadata, camera_settings, plane_landmarks, read_basis_at_landmarks

READS = ("session:camera", "landmarks", "identity", "bases")
WRITES = ("coefficients",)
# 2: a sparser prior, noise measured on the session; apertures
# 3: deviations that cover, confidence, action unit intensities; rates by size, jumps put back, outliers count less,
#    small displacements shrunk
# 4: deviations know how people's own movements come out in other components
# 5: deviations by component, where the basis knows
VERSION = 5

_BLOCK = 4096


def run(
    *,
    session: Path,
    landmarks: Path,
    identity: Path,
    bases: Path,
    coefficients: Path,
    params: FitParams,
    stamp: Mapping[str, Any] | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Fit every usable RGB frame and write `coefficients.parquet`, one row per frame.

    Returns
    -------
    dict
        ``frames``, ``ok``, ``fit_failed``, ``rmse_px_median``, ``rmse_px_p95``, ``rmse_iod_median``; and, if the basis
        has intensities, ``weak`` and ``unobservable``: their names.

    Raises
    ------
    FitError
        If not one frame could be fitted.
    SchemaError
        If an input is not what it should be, or the identity was made with another basis.
    """
    track = read_landmark_track(landmarks, dense=params.landmarks == "dense")
    model = read_basis_at_landmarks(bases, params.landmarks)
    basis = model.metadata
    neutral = _read_neutral(identity, basis, len(model.template))
    settings = camera_settings(params, track, read_session(session))
    components = model.components_au
    plane, fittable = plane_landmarks(params, track, model)
    status = list(track.status)
    for row in np.flatnonzero(track.usable & ~fittable):
        status[row] = "fit_failed"
    rows = np.flatnonzero(fittable)
    weights = model.weights(params.jaw_weight)

    nonnegative = params.codes == "nonnegative"

    def fit_points(points: NDArray[np.float64], sigma_px: float, spread: bool = True) -> ExpressionFit:
        return fit_expression(
            points,
            neutral,
            components,
            weights,
            settings,
            sigma_px=sigma_px,
            nonnegative=nonnegative,
            spread=spread,
            **params.model_dump(include=set(SOLVING)),
        )

    sigma_px, measured = params.sigma_px, None
    if params.noise == "measured" and len(rows):
        some = spread_evenly(rows, NOISE_FRAMES)
        sigma_px, measured = believed_noise_px(
            sigma_px, fit_points(plane[some], sigma_px, False).fitted, plane[some], weights
        )

    def doubt_of(fit: ExpressionFit, points: NDArray[np.float64]) -> Uncertainty:
        return measure_uncertainty(
            fit,
            points,
            neutral,
            weights,
            sigma_px=sigma_px,
            measured_px=measured,
            nonnegative=nonnegative,
            factors=model.std_factor,
        )

    blocks: list[ExpressionFit] = []
    doubts: list[Uncertainty] = []
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        blocks.append(fit_points(plane[part], sigma_px))
        doubts.append(doubt_of(blocks[-1], plane[part]))
        if progress:
            progress(start + len(part), len(rows))
    centre = principal_point(track.width, track.height)
    raw = to_plane(track.landmarks_px[..., :2], centre)  # not smoothed: a blink is shorter than the smoothing
    steps = np.cumsum([0, *(len(b.alpha) for b in blocks)])
    openings = [
        measure_apertures(raw[rows[a:b]], neutral[:N_LANDMARKS], block.pose, settings.focal)
        for a, b, block in zip(steps[:-1], steps[1:], blocks, strict=True)
    ]
    shown = (
        no_intensities(len(rows))
        if model.intensities is None or not len(rows)
        else read_intensities(
            model.intensities, blocks, np.concatenate([d.std for d in doubts]), neutral, components, weights, sigma_px
        )
    )
    table, summary = _coefficients_table(track, rows, blocks, doubts, openings, shown, status, params, len(components))
    usable = np.array([status[row] == "ok" for row in rows], bool)
    found = FittedFrames(blocks, usable)
    size_px = sigma_px if measured is None else measured
    check = found.check(lambda points: fit_points(points, sigma_px), doubt_of, neutral, weights, size_px)
    metadata = {
        "stage": "fit",
        "params": params.model_dump(mode="json"),
        **(stamp or {}),
        "basis": basis,
        "image": {"width": track.width, "height": track.height},
        "camera": camera_metadata(settings),
        "noise": {"sigma_px": round(sigma_px, 4), "measured_px": None if measured is None else round(measured, 4)},
        "uncertainty": {**check.summary(), "determined": found.determined()},
        **shown.metadata(),
        "landmark_scheme": "ibug68",
        "dense_points": len(model.dense_index),
        "detector": track.metadata.get("detector"),
        "units": "alpha in standard deviations; rotation vector rad, mesh to camera (x right, y up, z towards the"
        " camera); scale px per m at the mesh origin; translation and camera px, y down, camera = row-major [A | t]"
        " of the 2 x 4 affine camera; rmse px, and as a share of the outer eye distance; apertures as shares of the"
        " eye's width, mouth_open of the outer eye distance; confidence 0 to 1; au_intensity from 0, 5 = full",
        "counts": {word: status.count(word) for word in sorted(set(status))},
    }
    write_table(coefficients, "coefficients", table, metadata)
    return summary | shown.summary()


def _read_neutral(identity: Path, basis: Mapping[str, Any], n_points: int) -> NDArray[np.float64]:
    made_with = read_metadata(identity).get("basis", {})
    if made_with.get("file_hash") != basis["file_hash"]:
        raise SchemaError(
            f"{identity}: made with basis {str(made_with.get('file_hash'))[:19]}, but the fit is given"
            f" {basis['file_hash'][:19]}; run the identity stage again with this basis"
        )
    table = read_table(identity, "identity")
    values, _ = vectors(table, "neutral_landmarks_m")
    neutral = np.asarray(values[0].reshape(N_LANDMARKS, 3), np.float64)
    if n_points > N_LANDMARKS:
        if "neutral_dense_m" not in table.column_names:
            raise SchemaError(
                f"{identity}: made with landmarks = 'ibug68', but the fit wants 'dense'; set landmarks = 'dense' in"
                " [identity] as well"
            )
        dense, _ = vectors(table, "neutral_dense_m")
        neutral = np.concatenate([neutral, dense[0].reshape(-1, 3)])
    return neutral


def _coefficients_table(
    track: LandmarkTrack,
    rows: NDArray[np.int64],
    blocks: list[ExpressionFit],
    doubts: list[Uncertainty],
    openings: list[Apertures],
    shown: UnitIntensities,
    status: list[str],
    params: FitParams,
    k_au: int,
) -> tuple[pa.Table, dict[str, Any]]:
    n = len(status)
    centre = principal_point(track.width, track.height)

    def spread(parts: list[NDArray[np.float64]], width: int) -> NDArray[np.float64]:
        full = np.zeros((n, width))
        if parts:
            full[rows] = np.concatenate(parts).reshape(len(rows), width)
        return full

    rotation = [Rotation.from_matrix(b.pose.rotation).as_rotvec() for b in blocks]
    # image px, y down: the second row of [A | t] changes sign, then the principal point is added
    camera = [b.camera.copy() for b in blocks]
    for part in camera:
        part[:, 1] *= -1
        part[:, :, 3] += centre
    fitted = spread([b.fitted[:, :N_LANDMARKS] for b in blocks], 2 * N_LANDMARKS).reshape(n, N_LANDMARKS, 2)
    observed = to_plane(track.landmarks_px[..., :2], centre)
    iod_px = np.nan_to_num(eye_distance(observed))
    rmse_px = np.nan_to_num(np.sqrt(((fitted - observed) ** 2).sum(2).mean(1)))
    rmse_iod = rmse_px / np.maximum(iod_px, 1e-6)
    facing = spread([b.pose.rotation[:, 2, 2] for b in blocks], 1)[:, 0]
    for row in rows:
        # a head seen from behind: the landmarks are mirrored, or not those of a face
        if rmse_iod[row] > params.max_rmse_iod or facing[row] <= 0:
            status[row] = "fit_failed"
    ok = np.array([word == "ok" for word in status], dtype=bool)
    if not ok.any():
        raise FitError(
            f"{len(rows)} of {n} frames have landmarks, but not one was fitted within {params.max_rmse_iod} eye"
            " distances facing the camera; are the landmarks mirrored, or the basis' landmarks of another annotation?"
        )
    table = pa.Table.from_arrays(
        [
            pa.array(track.frame_index, pa.int32()),
            pa.array(track.t_rgb_us, pa.int64()),
            word_array(status),
            pa.array([list(f) for f in track.flags], pa.list_(pa.string())),
            scalar_array(track.score, np.isfinite(track.score), pa.float32()),
            vector_array(spread([b.alpha for b in blocks], k_au), ok),
            vector_array(spread([d.std for d in doubts], k_au), ok),
            vector_array(spread(rotation, 3), ok),
            scalar_array(spread([b.pose.scale for b in blocks], 1)[:, 0], ok, pa.float32()),
            vector_array(from_plane(spread([b.pose.translation for b in blocks], 2), centre), ok),
            scalar_array(rmse_px, ok, pa.float32()),
            scalar_array(rmse_iod, ok, pa.float32()),
            scalar_array(spread([b.dof for b in blocks], 1)[:, 0], ok, pa.float32()),
            vector_array(spread(camera, 8), ok),
            scalar_array(iod_px, ok, pa.float32()),
            *(
                _nullable(spread([getattr(o, side) for o in openings], 1)[:, 0], ok)
                for side in ("left", "right", "mouth")
            ),
            scalar_array(confidence(spread([d.certainty for d in doubts], 1)[:, 0], track.score), ok, pa.float32()),
            *(
                sparse_vector_array(spread([values], len(shown.names)), ok, shown.known)
                for values in (shown.values, shown.std)
                if shown.names
            ),
        ],
        schema=coefficients_schema(k_au, n_intensity=len(shown.names)),
    )
    summary: dict[str, Any] = {"frames": n, "ok": int(ok.sum()), "fit_failed": status.count("fit_failed")}
    if ok.any():
        summary |= {
            "rmse_px_median": round(float(np.median(rmse_px[ok])), 4),
            "rmse_px_p95": round(float(np.quantile(rmse_px[ok], 0.95)), 4),
            "rmse_iod_median": round(float(np.median(rmse_iod[ok])), 5),
        }
    return table, summary


def _nullable(values: NDArray[np.float64], ok: NDArray[np.bool_]) -> pa.Array:
    """Turn values into a column, null where a frame is not ok or the value could not be measured."""
    known = ok & np.isfinite(values)
    return scalar_array(np.where(known, values, 0), known, pa.float32())
