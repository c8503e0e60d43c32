"""The clock from motion, for stage sync: read the RGB frames, predict their events, compare with those that came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import SyncParams
from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_energy import MotionEnergy
from au3dmm.core.motion_sync import MotionFit, fit_motion_clock
from au3dmm.errors import FitError, SessionError
from au3dmm.io.frames import session_frames
from au3dmm.io.images import resize_area
from au3dmm.io.session import Session

# Shorter side of the pictures that motion is measured in, px: fewer smooth away what moves, more is mostly noise
_SIDE_PX = 180
# Contrast thresholds as shares of the usual one: what cameras are set to. Their spread joins the uncertainty.
_THRESHOLDS = (0.5, 1.0, 2.0)
_USUAL = 1
_MARGIN = 0.15  # of the face box, to each side
_REPORT_EVERY = 16
_POINTS, _SEEN, _SEEN_US = 2000, 600, 10_000_000
_REGIONS = ("frame", "face")


@dataclass(frozen=True)
class MotionClock:
    """A clock found from motion, and where that motion was seen.

    Attributes
    ----------
    fit : MotionFit
    region : str
        ``frame``, or ``face``: only what lies in the face's box.
    threshold : float
        Contrast threshold by which events were predicted, natural logarithm of brightness.
    """

    fit: MotionFit
    region: str
    threshold: float


def from_motion(
    session: Session,
    params: SyncParams,
    face_box: NDArray[np.float64] | None,
    rate: EventRate,
    progress: Callable[[int, int | None], None] | None = None,
) -> MotionClock:
    """Compare motion in the RGB frames with the rate of events.

    Motion is measured in whole frames and in the face's box; the one that agrees better is taken. Event cameras see
    all that moves, so that is mostly the whole frame, unless others move in it whom the event camera does not see.

    Parameters
    ----------
    session, params
        The recording and how it is compared.
    face_box : (4,) array or None
        x0, y0, x1, y1, px: where the face is.
    rate : EventRate
        Events of the recording.
    progress : callable, optional
        Called now and then with frames read and frames expected.

    Raises
    ------
    SessionError
        If the frames cannot be read.
    FitError
        If motion cannot tell.
    """
    t_us, energy, thresholds = _measure(session, params.motion_threshold, face_box, progress)
    found: list[MotionClock] = []
    failure: FitError | None = None
    for region, rows in zip(_REGIONS, energy, strict=False):
        try:
            fit = fit_motion_clock(
                t_us,
                rows,
                rate,
                usual=_USUAL,
                min_overlap=params.motion_overlap,
                min_correlation=params.motion_correlation,
            )
        except FitError as err:
            failure = failure or err
            continue
        found.append(MotionClock(fit, region, thresholds[fit.way]))
    if not found:
        assert failure is not None, "each region gives a fit or a failure"
        raise failure
    return max(found, key=lambda one: one.fit.correlation)


def face_box(boxes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return one box (4,) for a whole recording: around where the face is in most of its frames; None without any.

    Parameters
    ----------
    boxes : (N, 4) array
        x0, y0, x1, y1 of the face in each frame that has one, px.
    """
    if not len(boxes):
        return None
    low, high = np.quantile(boxes[:, :2], 0.05, axis=0), np.quantile(boxes[:, 2:], 0.95, axis=0)
    margin = _MARGIN * (high - low)
    return np.concatenate([low - margin, high + margin])


def motion_evidence(found: MotionClock) -> dict[str, Any]:
    """Return what the picture of a clock from motion is drawn from.

    ``curve`` holds the correlation at all offsets (of neighbours the highest, where there are too many), ``zoom`` that
    near the peak and ``rival_zoom`` that near the runner-up (None without one), ``seen`` both contrasts over the ten
    seconds in which most moves; offsets count from the one found.
    """
    fit = found.fit
    some = np.flatnonzero(fit.curve)
    first, last = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, len(fit.curve))
    group = -(-(last - first) // _POINTS)
    padded = np.pad(fit.curve[first:last], (0, -(last - first) % group), constant_values=-1.0).reshape(-1, group)
    step = float(fit.curve_us[1] - fit.curve_us[0])
    busy = _busiest(fit)
    return {
        "kind": "motion",
        "region": found.region,
        "contrast_threshold": found.threshold,
        "correlation": round(fit.correlation, 4),
        "rival_us": None if fit.rival_us is None else round(fit.rival_us),
        "rival_correlation": None if fit.rival_correlation is None else round(fit.rival_correlation, 4),
        "drift_measured": fit.drift_measured,
        "n_intervals": fit.n_intervals,
        "n_used": fit.n_used,
        "curve": {
            "first_us": round(float(fit.curve_us[first]) + step * (group - 1) / 2, 1),
            "step_us": round(step * group, 3),
            "correlation": padded.max(1).round(4).tolist(),
        },
        "zoom": {
            "first_us": float(fit.zoom_us[0]),
            "step_us": float(fit.zoom_us[1] - fit.zoom_us[0]),
            "correlation": fit.zoom.round(4).tolist(),
        },
        "rival_zoom": None
        if fit.rival_zoom_us is None or fit.rival_zoom is None
        else {
            "first_us": round(float(fit.rival_zoom_us[0]), 1),
            "step_us": round(float(fit.rival_zoom_us[1] - fit.rival_zoom_us[0]), 3),
            "correlation": fit.rival_zoom.round(4).tolist(),
        },
        "seen": {
            "t_rgb_us": fit.seen_us[busy].tolist(),
            "rgb": fit.seen_rgb[busy].round(3).tolist(),
            "events": fit.seen_events[busy].round(3).tolist(),
        },
    }


def _busiest(fit: MotionFit) -> slice:
    """Return the intervals of the ten seconds, or the 600 intervals, in which most happens."""
    t = fit.seen_us
    stop = np.minimum(np.searchsorted(t, t + _SEEN_US), np.arange(len(t)) + _SEEN)
    activity = np.r_[0.0, np.cumsum(np.abs(fit.seen_rgb) + np.abs(fit.seen_events))]
    start = int(np.argmax(activity[stop] - activity[: len(t)]))
    return slice(start, int(stop[start]))


def _measure(
    session: Session,
    threshold: float,
    box_px: NDArray[np.float64] | None,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[float]]:
    """Return times (N,), energies (R, V, N - 1) and thresholds (V,) of the frames that can be decoded."""
    frames = session_frames(session)
    thresholds = [threshold * share for share in _THRESHOLDS]
    energy: MotionEnergy | None = None
    shape = (0, 0)
    times: list[int] = []
    rows: list[NDArray[np.float64]] = []
    n = 0
    for n, frame in enumerate(frames, 1):
        if progress is not None and n % _REPORT_EVERY == 0:
            progress(0, None)  # the stage counts events, not frames: say that it is alive
        if frame.image is None:
            continue
        height, width = frame.image.shape[:2]
        if energy is None:
            scale = min(1.0, _SIDE_PX / min(height, width))
            shape = (max(1, round(height * scale)), max(1, round(width * scale)))
            energy = MotionEnergy(thresholds, _box(box_px, (height, width), shape))
        moved = energy.add(resize_area(frame.image, shape))
        times.append(frame.t_rgb_us)
        if moved is not None:
            rows.append(moved)
    if not rows:
        raise SessionError(f"{frames.source}: {len(times)} frames can be decoded, expected two or more")
    return np.array(times, np.int64), np.stack(rows, axis=2), thresholds


def _box(
    box_px: NDArray[np.float64] | None, size: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return a box of the frames as rows and columns of the pictures that motion is measured in; None if it is all."""
    if box_px is None:
        return None
    scale = np.array([shape[1], shape[0]]) / [size[1], size[0]]
    x0, y0 = np.clip(np.floor(box_px[:2] * scale), 0, None).astype(int)
    x1, y1 = np.minimum(np.ceil(box_px[2:] * scale), [shape[1], shape[0]]).astype(int)
    inside = x1 - x0 >= 2 and y1 - y0 >= 2 and (x1 - x0) * (y1 - y0) < shape[0] * shape[1]
    return (int(y0), int(y1), int(x0), int(x1)) if inside else None
