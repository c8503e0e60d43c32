"""Fit simulated recordings by the functions and parameters that the stages `identity` and `fit` use."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import FitParams, IdentityParams, Params
from au3dmm.core.fitting import CameraSettings, ExpressionFit, fit_expression, fit_neutral
from au3dmm.core.landmark_noise import NOISE_FRAMES, believed_noise_px
from au3dmm.core.neutral import find_neutral, spread_evenly
from au3dmm.core.smoothing import smooth_landmarks
from au3dmm.core.uncertainty import Uncertainty, measure_uncertainty
from au3dmm.errors import ConfigError
from au3dmm.simulation.clips import INTERVAL_US
from au3dmm.simulation.recordings import Recordings
from au3dmm.simulation.training import LearntBasis, Signs

_GAP_US = 1_000_000  # between two clips: far more than is smoothed over
_BLOCK = 4096


@dataclass(frozen=True)
class Method:
    """How to fit.

    Attributes
    ----------
    identity, fit : IdentityParams, FitParams
        As in a pipeline file.
    basis : str
        Sign of the basis' codes.
    true_neutral : bool
        Whether the fit is told the true neutral face: a bound, nothing that exists.
    """

    identity: IdentityParams = field(default_factory=IdentityParams)
    fit: FitParams = field(default_factory=FitParams)
    basis: Signs = "nonnegative"
    true_neutral: bool = False


def make_method(preset: str = "robust", **values: Any) -> Method:
    """Make a method from a preset and changes to it.

    Parameters
    ----------
    preset : str
        ``robust`` or ``paper``; the published method learns signed codes.
    **values
        Parameters of `IdentityParams` and `FitParams` by name: of both where both have it (``sigma_px``), of one with
        its section before it (``identity__sigma_px``); and ``basis`` and ``true_neutral``.

    Raises
    ------
    ConfigError
        If there is no such parameter, or a value is out of range.

    Examples
    --------
    >>> make_method("paper", camera="scaled_orthographic").fit.camera
    'scaled_orthographic'
    """
    sections: dict[str, dict[str, Any]] = {"identity": {}, "fit": {}}
    fields = {"identity": IdentityParams.model_fields, "fit": FitParams.model_fields}
    own: dict[str, Any] = {"basis": "signed" if preset == "paper" else "nonnegative"}
    for name, value in values.items():
        section, _, rest = name.partition("__")
        if name in ("basis", "true_neutral"):
            own[name] = value
        elif section in sections and rest in fields[section]:
            sections[section][rest] = value
        else:
            owners = [s for s in sections if name in fields[s]]
            if not owners:
                raise ConfigError(f"method: no parameter {name!r} in identity or fit")
            for s in owners:
                sections[s][name] = value
    try:
        return Method(
            IdentityParams(preset=preset, **sections["identity"]), FitParams(preset=preset, **sections["fit"]), **own
        )
    except ValueError as err:
        raise ConfigError(f"method: {' '.join(str(err).split())}") from err


@dataclass(frozen=True)
class Estimate:
    """What was fitted to S subjects of C clips of T frames.

    Attributes
    ----------
    alpha, alpha_std : (S, C, T, K) float32 array
        Coefficients and their standard deviations.
    rotation : (S, C, T, 3, 3) float32 array
        Of the head.
    neutral_rows : tuple of S lists of int arrays
        Frames (of the subject's C x T, in order) from which each neutral face was taken.
    seconds : float
        Processor time of it all: smoothing, identity, fit.
    confidence : (S, C, T) float32 array, optional
        Of each frame; nothing scores simulated landmarks, so it is what the fit alone says.
    """

    alpha: NDArray[np.float32]
    alpha_std: NDArray[np.float32]
    rotation: NDArray[np.float32]
    neutral_rows: tuple[list[NDArray[np.int64]], ...]
    seconds: float
    confidence: NDArray[np.float32] | None = None

    @property
    def frames_per_second(self) -> float:
        """Frames per second of processor time."""
        return float(np.prod(self.alpha.shape[:3]) / max(self.seconds, 1e-9))


def estimate(recordings: Recordings, basis: LearntBasis, method: Method) -> Estimate:
    """Fit all recordings: subject by subject, the neutral face first, then every frame.

    A neutral face is found from all clips of a subject (``pool = "subject"``; in groups if the condition pools fewer),
    or from each clip alone (``pool = "session"``).

    Raises
    ------
    FitError
        If landmarks determine no fit.
    """
    n_subjects, n_clips, n_frames, n_landmarks = recordings.landmarks.shape[:4]
    components = basis.components_au[:, :n_landmarks]
    shape = (n_subjects, n_clips, n_frames)
    alpha = np.empty((*shape, len(components)), np.float32)
    std = np.empty_like(alpha)
    rotation = np.empty((*shape, 3, 3), np.float32)
    confidence = np.empty(shape, np.float32)
    pooled = recordings.condition.clips_pooled if method.identity.pool == "subject" else 1
    used: list[list[NDArray[np.int64]]] = []
    began = time.process_time()
    for s in range(n_subjects):
        clips = recordings.landmarks[s].reshape(-1, n_landmarks, 2).astype(np.float64)
        for_identity = _smoothed(clips, n_frames, method.identity)
        ways = {(p.smoothing_us, p.spike_iod) for p in (method.identity, method.fit)}
        for_fit = for_identity if len(ways) == 1 else _smoothed(clips, n_frames, method.fit)
        rows_used: list[NDArray[np.int64]] = []
        for first in range(0, n_clips, pooled):
            rows = np.arange(first * n_frames, min(first + pooled, n_clips) * n_frames)
            if method.true_neutral:
                shape_neutral = recordings.neutral[s]
            else:
                shape_neutral, chosen = _neutral(for_identity[rows], n_frames, recordings, basis, method)
                rows_used.append(rows[chosen])
            sigma_px, measured_px = method.fit.sigma_px, None
            if method.fit.noise == "measured":
                some = for_fit[spread_evenly(rows, NOISE_FRAMES)]
                first_fit = _fit(some, shape_neutral, recordings, components, method, sigma_px, spread=False)
                weights = _weights(recordings, method.fit.jaw_weight)
                sigma_px, measured_px = believed_noise_px(sigma_px, first_fit.fitted, some, weights)
            for start in range(0, len(rows), _BLOCK):
                part = rows[start : start + _BLOCK]
                found = _fit(for_fit[part], shape_neutral, recordings, components, method, sigma_px)
                at = np.unravel_index(part, shape[1:])
                seen = for_fit[part]
                doubt = _uncertainty(found, seen, shape_neutral, recordings, basis, method, sigma_px, measured_px)
                alpha[s][at], std[s][at], confidence[s][at] = found.alpha, doubt.std, doubt.certainty
                rotation[s][at] = found.pose.rotation
        used.append(rows_used)
    return Estimate(alpha, std, rotation, tuple(used), time.process_time() - began, confidence)


def _weights(recordings: Recordings, jaw_weight: float) -> NDArray[np.float64]:
    return np.where(recordings.contour, jaw_weight, 1.0)


def _smoothed(landmarks: NDArray[np.float64], n_frames: int, params: IdentityParams | FitParams) -> NDArray[np.float64]:
    n = len(landmarks)
    if not params.smoothing_us and not params.spike_iod:
        return landmarks
    index = np.arange(n)
    t_us = index * INTERVAL_US + index // n_frames * _GAP_US
    return smooth_landmarks(landmarks, t_us, np.ones(n, bool), params.smoothing_us, spike_iod=params.spike_iod)


def _neutral(
    landmarks: NDArray[np.float64], n_frames: int, recordings: Recordings, basis: LearntBasis, method: Method
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a neutral face (L, 3) and the rows it was taken from, as stage `identity` does."""
    p, n = method.identity, landmarks.shape[1]
    settings = CameraSettings(p.camera, p.perspective_passes, recordings.focal_px)
    weights = _weights(recordings, p.jaw_weight)
    starts = np.arange(0, len(landmarks), n_frames)
    template, identity = basis.template[:n], basis.components_id[:, :n]
    if p.neutral == "first_frame":
        options = _options(fit_neutral, p)
        return fit_neutral(landmarks[starts], template, identity, weights, settings, **options).shape, starts
    renamed = {"share": p.neutral_share, "frames_max": p.neutral_frames_max, "passes": p.neutral_passes}
    search = find_neutral(
        landmarks,
        starts,
        template,
        identity,
        basis.components_au[:, :n],
        weights,
        settings,
        **_options(find_neutral, p, **renamed),
    )
    return search.neutral.shape, search.frames


def _fit(
    landmarks: NDArray[np.float64],
    neutral: NDArray[np.float64],
    recordings: Recordings,
    components: NDArray[np.float64],
    method: Method,
    sigma_px: float,
    *,
    spread: bool = True,
) -> ExpressionFit:
    p = method.fit
    return fit_expression(
        landmarks,
        neutral,
        components,
        _weights(recordings, p.jaw_weight),
        CameraSettings(p.camera, p.perspective_passes, recordings.focal_px),
        **_options(fit_expression, p, nonnegative=p.codes == "nonnegative", sigma_px=sigma_px, spread=spread),
    )


def _uncertainty(
    found: ExpressionFit,
    landmarks: NDArray[np.float64],
    neutral: NDArray[np.float64],
    recordings: Recordings,
    basis: LearntBasis,
    method: Method,
    sigma_px: float,
    measured_px: float | None,
) -> Uncertainty:
    return measure_uncertainty(
        found,
        landmarks,
        neutral,
        _weights(recordings, method.fit.jaw_weight),
        sigma_px=sigma_px,
        measured_px=measured_px,
        nonnegative=method.fit.codes == "nonnegative",
        factors=basis.std_factors,
    )


def _options(function: Callable[..., Any], params: Params, **renamed: Any) -> dict[str, Any]:
    """Return what a function of core takes by keyword: the parameters of the same name, and those of another one.

    So a parameter that config and core call alike is measured here without another line.
    """
    wanted = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    wanted.discard("camera")  # core's are known cameras, config's is their model
    return {name: getattr(params, name) for name in sorted(wanted) if hasattr(params, name)} | renamed
