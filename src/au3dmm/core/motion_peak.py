"""Climb a peak of the correlation between RGB motion and event rate, and tell how well its place is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from au3dmm.core.event_rate import EventRate
from au3dmm.core.motion_curve import evidence
from au3dmm.core.motion_track import Array, MotionTrack
from au3dmm.errors import FitError

# Half width of the parabola that is put through the peak. The correlation has wiggles of a few ms: a narrower parabola
# takes them for the peak's curvature, and states an uncertainty that is too small.
_REACH_US = 12_000.0
# What only one camera sees (another person, a hand, a blink that the other view hides) lasts about as long as one
# movement: over this long disagreement is averaged, and where it is large, the recording counts less. On 400
# simulated recordings that were not used to choose it, errors fall from 1.8 to 1.6 ms (median), 5.5 to 5.0 ms (of nine
# in ten) and 22 to 15 ms (worst).
_SPELL_US = 400_000.0
_BLOCK_US = 500_000.0  # motion further apart than this is independent
_MOST_BLOCKS = 40
# Blocks' worth of scatter that the place and the weights take up, as they are fitted to the same data: in simulations
# errors are then as large as stated, in recordings of 3 to 12 s and in longer ones.
_TAKEN = 4.0
_ROUNDS = 30
_DONE_US = 10.0


@dataclass(frozen=True)
class Peak:
    """A clock by which motion and events agree better than by others near it.

    Attributes
    ----------
    offset_us : float
        Event time minus RGB time in the middle of the RGB recording, us; they count from the first bin and the first
        frame.
    drift : float
        us per us.
    correlation : float
    evidence : float
        See `core.motion_curve.evidence`.
    """

    offset_us: float
    drift: float
    correlation: float
    evidence: float


@dataclass(frozen=True)
class Place:
    """A peak and how well its place is known.

    Attributes
    ----------
    peak : Peak
    offset_std_us : float
        Standard error of the offset in the middle of the recording, us.
    end_std_us : float
        Standard error at the worse end of the recording, us, as far as it comes from the correlation.
    drift_std : float
        Standard error of the drift, us per us; 0 if it was held.
    lean : float
        If a drift that was held is wrong by d, the offset is wrong by `lean` * d * half the recording.
    """

    peak: Peak
    offset_std_us: float
    end_std_us: float
    drift_std: float
    lean: float


def climb(track: MotionTrack, rate: EventRate, offset_us: float, drift: float) -> Peak:
    """Find the peak within one and a half frame intervals of an offset, the drift held."""
    reach = 1.5 * track.interval_us
    near = track.part(track.within(rate, offset_us, drift, reach + _REACH_US))

    def score(offset: float) -> float:
        return _correlation(near.value, _changes(near, rate, offset, drift))

    starts = offset_us + track.interval_us * np.arange(-8, 9) / 8
    at = float(starts[int(np.argmax([score(start) for start in starts]))])
    steps = np.linspace(-_REACH_US, _REACH_US, 9)
    for _ in range(_ROUNDS):
        r = np.array([score(at + step) for step in steps])
        a, b, _ = np.polyfit(steps, r, 2)
        move = -b / (2 * a) if a < 0 else steps[int(np.argmax(r))]
        at += float(np.clip(move, -_REACH_US, _REACH_US))
        if abs(at - offset_us) > reach or abs(move) < _DONE_US:
            break
    at = float(np.clip(at, offset_us - reach, offset_us + reach))
    return _peak(near, rate, at, drift)


def locate(track: MotionTrack, rate: EventRate, peak: Peak, *, with_drift: bool) -> Place:
    """Climb on, the drift being free if so wanted, and estimate standard errors.

    Where motion and events disagree for longer than a frame or two, one camera sees what the other does not: such
    spells are weighted down, as in a regression with Cauchy's weights (Holland and Welsch 1977), so the place found is
    not quite that of the highest plain correlation.

    At the peak the gradient of the correlation vanishes. The standard error of its place is that of the gradient,
    from its scatter over blocks of half a second (or a fortieth of the recording, if that is longer), divided by the
    curvature; both are taken from a parabola over 12 ms to either side. How far the place lies from `peak`, where all
    weights were alike, joins it.

    Raises
    ------
    FitError
        If the correlation has no peak there.
    """
    half = track.length_us / 2
    side = np.linspace(-_REACH_US, _REACH_US, 5)
    # offset, and what the drift adds at the end: both in us
    points = np.array([(a, b) for a in side for b in (side if with_drift else side[2:3])])
    gradient, seconds = _quadratic(points, with_drift)
    near = track.part(track.within(rate, peak.offset_us, peak.drift, 3 * _REACH_US))
    at = np.array([peak.offset_us, peak.drift * half])
    weight = np.ones(len(near.left))
    for i in range(_ROUNDS):
        if i < _ROUNDS // 2:  # afterwards they stay, so that the climb ends
            weight = _agreement(near, _changes(near, rate, at[0], at[1] / half), weight)
        y = _standard(near.value, weight)
        x = np.array([_standard(_changes(near, rate, at[0] + a, (at[1] + b) / half), weight) for a, b in points])
        r = x @ (weight * y)
        bend = (seconds @ r)[[[0, 1], [1, 2]]] if with_drift else (seconds @ r)[:, None]
        if not (np.linalg.eigvalsh(bend) < 0).all():
            raise FitError("cannot tell: the correlation of motion and events has no clear peak")
        move = np.clip(-np.linalg.solve(bend, gradient @ r), -_REACH_US, _REACH_US)
        at[: len(move)] += move
        if np.abs(move).max() < _DONE_US or abs(at[0] - peak.offset_us) > 2 * _REACH_US:
            break
    # what each interval contributes to the correlation, and so to its gradient
    share = weight * (y * x - r[:, None] / 2 * (y * y + x * x))
    covariance = _covariance(near, weight, (gradient @ share).T @ np.linalg.inv(bend))
    # how far the weights have moved the place shows how far what only one camera sees may have
    covariance[0, 0] += (at[0] - peak.offset_us) ** 2
    found = _peak(near, rate, float(at[0]), float(at[1] / half))
    offset_std = float(np.sqrt(covariance[0, 0]))
    if with_drift:
        end = covariance[0, 0] + covariance[1, 1] + 2 * abs(covariance[0, 1])
        return Place(found, offset_std, float(np.sqrt(end)), float(np.sqrt(covariance[1, 1]) / half), 0.0)
    # an interval tells as much of the offset as its contrast changes with it, squared
    told = weight * (x[-1] - x[0]) ** 2
    lean = float((told * (near.centre_us / half - 1)).sum() / max(float(told.sum()), 1e-300))
    return Place(found, offset_std, offset_std, 0.0, lean)


def compared(track: MotionTrack, rate: EventRate, peak: Peak) -> tuple[Array, Array, Array]:
    """Return what agrees by a clock: centres of intervals (us after the first frame), RGB and event contrasts (K,).

    Both contrasts have mean 0 and standard deviation 1.
    """
    inside = track.part(track.within(rate, peak.offset_us, peak.drift, 0.0))
    return inside.centre_us, _standard(inside.value), _standard(_changes(inside, rate, peak.offset_us, peak.drift))


def near_curve(track: MotionTrack, rate: EventRate, peak: Peak, beside_us: Array) -> Array:
    """Return the correlation (G,) at offsets `beside_us` (G,) from the peak, over the same intervals at all of them."""
    near = track.part(track.within(rate, peak.offset_us, peak.drift, float(np.abs(beside_us).max())))
    if len(near.left) < 2:
        near = track
    return np.array([_correlation(near.value, _changes(near, rate, peak.offset_us + b, peak.drift)) for b in beside_us])


def _changes(track: MotionTrack, rate: EventRate, offset_us: float, drift: float) -> Array:
    return track.contrasts(rate.before(track.there(rate, offset_us, drift)))


def _peak(track: MotionTrack, rate: EventRate, offset_us: float, drift: float) -> Peak:
    r = _correlation(track.value, _changes(track, rate, offset_us, drift))
    length = len(track.left) * track.interval_us
    return Peak(offset_us, drift, r, float(evidence(r, length, track.interval_us)))


def _agreement(track: MotionTrack, changes: Array, weight: Array) -> Array:
    """Return how much intervals (K,) count, in all 1: less in spells in which motion and events disagree."""
    if not len(changes):
        return weight
    apart = (_standard(track.value, weight) - _standard(changes, weight)) ** 2
    n = max(1, round(_SPELL_US / track.interval_us))
    mean = np.convolve(apart, np.ones(n), "same") / np.convolve(np.ones(len(apart)), np.ones(n), "same")
    usual = float(np.median(mean))
    again = 1 / (1 + mean / usual) if usual > 0 else np.ones(len(mean))
    return np.asarray(again / again.sum())


def _standard(x: Array, weight: Array | None = None) -> Array:
    """Give values mean 0 and standard deviation 1, each counted by its weight (any unit; None: all alike)."""
    if not len(x):
        return x
    share = np.full(len(x), 1 / len(x)) if weight is None else weight / weight.sum()
    x = x - share @ x
    size = float(np.sqrt(share @ (x * x)))
    return np.asarray(x / size) if size > 0 else x


def _correlation(y: Array, x: Array) -> float:
    return float(_standard(y) @ _standard(x)) / max(len(y), 1)


def _quadratic(points: Array, with_drift: bool) -> tuple[Array, Array]:
    """Return the matrices that turn values at points (P, 2) into the gradient and second derivatives at (0, 0)."""
    a, b = points.T
    columns = [np.ones(len(a)), a, b, a * a / 2, a * b, b * b / 2]
    if not with_drift:
        columns = [columns[0], columns[1], columns[3]]
    fitted = np.linalg.pinv(np.stack(columns, 1))
    first = 1 + (2 if with_drift else 1)
    return fitted[1:first], fitted[first:]


def _covariance(track: MotionTrack, weight: Array, influence: Array) -> Array:
    """Return the covariance (D, D) of a sum of influences (K, D): of intervals or of blocks of them, if that is larger.

    Neighbours may depend on each other, so blocks are what counts; but a few blocks may agree by chance, and those of
    little weight hardly count.
    """
    length = max(_BLOCK_US, track.length_us / _MOST_BLOCKS)
    _, block = np.unique((track.centre_us // length).astype(np.int64), return_inverse=True)
    if block.max() < 1:
        raise FitError("cannot tell: motion lasts less than a second")
    each = np.bincount(block, weight)
    sums = np.stack([np.bincount(block, column) for column in influence.T], 1)
    sums -= each[:, None] / each.sum() * sums.sum(0)
    n = max(float(each.sum() ** 2 / (each @ each)), 1.5)
    # so that twice the standard error covers 95 %, however few the blocks
    widen = float(stdtrit(n - 1, 0.975)) / 1.96
    blocks, single = widen**2 * n / max(n - _TAKEN, 1.0) * sums.T @ sums, influence.T @ influence
    return np.asarray(blocks if np.trace(blocks) > np.trace(single) else single)
