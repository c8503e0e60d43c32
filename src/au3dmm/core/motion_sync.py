"""Relate the RGB clock to the event clock by motion that both cameras see, or say that it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.clock import ClockModel
from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_curve import WIDEST_DRIFT, OffsetCurve, least_apart_us, offset_curve
from au3dmm.core.motion_peak import Peak, Place, climb, compared, locate, near_curve
from au3dmm.core.motion_track import Array, MotionTrack, allowed_bursts_us, make_tracks
from au3dmm.errors import FitError

DRIFT_PPM = 50.0
"""Standard deviation of the drift between the clocks of two cameras, where it is not measured."""

PIXEL_US = 1500.0
"""Standard deviation of how late event pixels answer (threshold, light), of which the data say nothing, us."""

_CANDIDATES = 6
_RATIO, _MARGIN = 2.5, 8.0  # of the evidence for the peak against that for the runner-up; see `_check_unique`
_ALIKE = 1.25  # nearer together than this they are as good as equal
_UNUSUAL = 4.0  # standard deviations of drifts at which one is believed although it is not well known
_ZOOM_US, _ZOOM_STEP_US = 150_000.0, 2_000.0


@dataclass(frozen=True)
class MotionFit:
    """A clock found from motion, how well it is known, and why.

    Attributes
    ----------
    model : ClockModel
    offset_std_us : float
        Standard error of event times in the middle of the recording, us.
    drift_std_ppm : float
        Standard error of the drift; `DRIFT_PPM` where the drift is not measured, but taken to be 0.
    uncertainty_us : float
        Standard error of event times at the worse end of the recording, us.
    drift_measured : bool
    correlation : float
        At the peak.
    rival_us, rival_correlation : float or None
        The runner-up: its offset minus that of the peak, us.
    ratio : float
        Evidence for the peak over evidence for the runner-up; inf without one.
    way : int
        Which row of the energies was taken.
    n_intervals, n_used : int
        Frame intervals, and those compared.
    curve_us, curve : (G,) arrays
        Correlation at all offsets, counted from the peak, us.
    zoom_us, zoom : (Z,) arrays
        The same close to the peak, exactly.
    rival_zoom_us, rival_zoom : (Y,) arrays or None
        The same close to the runner-up, exactly.
    seen_us, seen_rgb, seen_events : (K,) arrays
        What was compared: RGB times, us, and the contrasts of both, mean 0 and standard deviation 1.
    """

    model: ClockModel
    offset_std_us: float
    drift_std_ppm: float
    uncertainty_us: float
    drift_measured: bool
    correlation: float
    rival_us: float | None
    rival_correlation: float | None
    ratio: float
    way: int
    n_intervals: int
    n_used: int
    curve_us: Array
    curve: Array
    zoom_us: Array
    zoom: Array
    rival_zoom_us: Array | None
    rival_zoom: Array | None
    seen_us: NDArray[np.int64]
    seen_rgb: Array
    seen_events: Array


def fit_motion_clock(
    t_rgb_us: NDArray[np.int64],
    energy: Array,
    rate: EventRate,
    *,
    usual: int = 0,
    min_overlap: float = 0.5,
    min_correlation: float = 0.3,
) -> MotionFit:
    """Find offset and drift at which motion in RGB frames and the rate of events rise and fall together.

    Compared are contrasts: by how much the rate within a frame interval exceeds that of the 0.35 s around it. The
    event rate is integrated over exactly the interval between two frames, shifted by the offset in question. All
    offsets are tried by which at least `min_overlap` of the shorter recording overlaps; the best few are climbed, and
    the best must be clearly better than the others.

    The drift is measured where its standard error comes out below 50 ppm, which clocks differ by anyway, or where one
    beyond what clocks do is plain; otherwise it is taken to be 0, and 50 ppm join the uncertainty.

    Parameters
    ----------
    t_rgb_us : (N,) int64 array
        Middle of the exposures on the RGB clock, strictly increasing, us.
    energy : (V, N - 1) array
        Motion between each frame and the next, not negative (`core.motion_energy`). Rows are ways to measure it, by
        increasing contrast threshold: their spread joins the uncertainty.
    rate : EventRate
        Events, in bins much shorter than a frame interval.
    usual : int
        The row of the threshold that event cameras usually have. It is taken, or one above it by which the correlation
        is higher. Lower thresholds correlate more for the mere number of events, and are late.
    min_overlap : float
        See above, 0 to 1.
    min_correlation : float
        At the peak.

    Raises
    ------
    FitError
        "cannot tell": if nothing moves, too little overlaps, no peak is high enough, or two offsets are about as good.
    """
    t = np.asarray(t_rgb_us, np.int64)
    if t.ndim != 1 or len(t) < 2:
        raise FitError(f"motion: times {t.shape}, expected those of two frames or more")
    tracks = make_tracks((t - t[0]).astype(np.float64), np.atleast_2d(np.asarray(energy, np.float64)))
    calm = rate.limited(tracks[0].interval_us, allowed_bursts_us(float(rate.end_us - rate.t0_us)))
    curve = offset_curve(tracks[usual], calm, min_overlap)
    best, rival, ratio = _highest(tracks[usual], calm, curve)
    _check_unique(best, rival, ratio, min_correlation)
    ways = [climb(track, calm, best.offset_us, best.drift) for track in tracks]
    way = usual + int(np.argmax([peak.evidence for peak in ways[usual:]]))
    track = tracks[way]
    place = _with_or_without_drift(track, calm, ways[way])
    found = place.peak
    half = track.length_us / 2
    measured = place.drift_std > 0
    # a drift that was taken to be 0 shifts the ends, and the offset if motion is not spread evenly over the recording
    unknown = 0.0 if measured else DRIFT_PPM * 1e-6 * half
    others = [climb(other, calm, found.offset_us, found.drift).offset_us for other in tracks]
    method = np.hypot((max(others) - min(others)) / 2, PIXEL_US)
    seen_us, seen_rgb, seen_events = compared(track, calm, found)
    # shown is what the clock was found by: the same threshold, the same runner-up
    shown = curve if way == usual else offset_curve(track, calm, min_overlap)
    beside = np.linspace(-1.5, 1.5, 37) * track.interval_us
    rival_us, rival_zoom = (None, None) if rival is None else _near(track, calm, rival, beside)
    zoom_us = np.arange(-_ZOOM_US, _ZOOM_US + 1, _ZOOM_STEP_US)
    offset = (rate.t0_us - int(t[0])) + found.offset_us - found.drift * (half + int(t[0]))
    return MotionFit(
        model=ClockModel(float(offset), found.drift * 1e6),
        offset_std_us=float(np.hypot(np.hypot(place.offset_std_us, unknown * place.lean), method)),
        drift_std_ppm=float(place.drift_std * 1e6) if measured else DRIFT_PPM,
        uncertainty_us=float(np.hypot(np.hypot(place.end_std_us, unknown * (1 + abs(place.lean))), method)),
        drift_measured=measured,
        correlation=found.correlation,
        rival_us=None if rival_us is None else rival_us - found.offset_us,
        rival_correlation=None if rival_zoom is None else float(rival_zoom[len(beside) // 2]),
        ratio=ratio,
        way=way,
        n_intervals=len(t) - 1,
        n_used=len(seen_us),
        curve_us=shown.offset_us - found.offset_us,
        curve=shown.correlation,
        zoom_us=zoom_us,
        zoom=near_curve(track, calm, found, zoom_us),
        rival_zoom_us=None if rival_us is None else rival_us - found.offset_us + beside,
        rival_zoom=rival_zoom,
        seen_us=np.rint(seen_us).astype(np.int64) + int(t[0]),
        seen_rgb=seen_rgb,
        seen_events=seen_events,
    )


def _highest(track: MotionTrack, rate: EventRate, curve: OffsetCurve) -> tuple[Peak, Peak | None, float]:
    """Return the best peak, the runner-up if there is one, and the ratio of their evidence."""
    apart = least_apart_us(track.interval_us)
    peaks = [climb(track, rate, curve.offset_us[i], curve.drift[i]) for i in curve.peaks(_CANDIDATES, apart)]
    peaks.sort(key=lambda peak: -peak.evidence)
    best = peaks[0]
    rivals = [peak for peak in peaks[1:] if abs(peak.offset_us - best.offset_us) >= apart / 2 and peak.evidence > 0]
    if not rivals:
        return best, None, float("inf")
    return best, rivals[0], best.evidence / rivals[0].evidence


def _near(track: MotionTrack, rate: EventRate, peak: Peak, beside_us: Array) -> tuple[float, Array]:
    """Climb a peak that another threshold has found, and return its offset and the correlation beside it."""
    top = climb(track, rate, peak.offset_us, peak.drift)
    return top.offset_us, near_curve(track, rate, top, beside_us)


def _check_unique(best: Peak, rival: Peak | None, ratio: float, min_correlation: float) -> None:
    """Refuse a peak that others are near to.

    The runner-up shows what chance or a repeated movement reaches. Asked for are 2.5 times its evidence, and 8 more
    (units of log likelihood). In simulations 1 of 400 pairs of recordings that have nothing to do with each other got
    through so, and of 300 periodic movements 1, with the right peak; a tenth of the true peaks are refused, most of
    them in recordings of 3 to 6 s.
    """
    if best.correlation < min_correlation:
        raise FitError(
            f"cannot tell: motion and event rate correlate by {best.correlation:.2f} at best, expected at least"
            f" {min_correlation:.2f}"
        )
    margin = best.evidence - (rival.evidence if rival else 0.0)
    if rival is not None and (ratio < _RATIO or margin < _MARGIN):
        apart = f"{abs(rival.offset_us - best.offset_us) / 1e3:.0f} ms"
        both = f"(correlation {best.correlation:.2f} and {rival.correlation:.2f})"
        if ratio < _ALIKE:
            raise FitError(
                f"cannot tell: two offsets {apart} apart fit motion and event rate about equally well {both}"
            )
        raise FitError(
            f"cannot tell: the best offset fits motion and event rate better than another {apart} from it {both}, but"
            f" not by enough: evidence {best.evidence:.1f} against {rival.evidence:.1f}, expected {_RATIO} times as"
            f" much and {_MARGIN:.0f} more"
        )
    if margin < _MARGIN:
        raise FitError(
            f"cannot tell: too little motion: a correlation of {best.correlation:.2f} over so short a time may be"
            " chance"
        )


def _with_or_without_drift(track: MotionTrack, rate: EventRate, peak: Peak) -> Place:
    """Return the place of a peak, with the drift if that is known well enough."""
    prior = DRIFT_PPM * 1e-6
    free = _try_locate(track, rate, peak, with_drift=True)
    if isinstance(free, Place) and abs(free.peak.drift) > WIDEST_DRIFT:
        free = FitError("cannot tell: a drift that clocks do not have")
    if isinstance(free, Place) and free.drift_std < prior:
        return free
    held = _try_locate(track, rate, climb(track, rate, peak.offset_us, 0.0), with_drift=False)
    if isinstance(free, Place) and abs(free.peak.drift) > _UNUSUAL * np.hypot(free.drift_std, prior):
        without = held.peak.evidence if isinstance(held, Place) else 0.0
        if free.peak.evidence - without > _MARGIN:
            return free
    if isinstance(held, FitError):
        raise held
    return held


def _try_locate(track: MotionTrack, rate: EventRate, peak: Peak, *, with_drift: bool) -> Place | FitError:
    try:
        return locate(track, rate, peak, with_drift=with_drift)
    except FitError as err:  # a recording may be too short for a peak in the direction of the drift
        return err
