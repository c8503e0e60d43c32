"""Relate the RGB clock to the event clock: an offset and a drift, found from trigger edges."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.edge_matching import (
    LEAST_MATCHES,
    Match,
    candidate_offsets,
    distinct,
    match,
    promising_offsets,
    refine,
    spread,
)
from au3dmm.errors import FitError

_FINE_US = 20.0  # no edge is told from another by less than this
_ROUNDING_US = 0.29  # standard deviation of a time given in whole us
_MOST_DRIFT = 0.002  # us per us: how far off the middle an offset of the first instant may be


@dataclass(frozen=True)
class ClockModel:
    """``t_us = offset_us + (1 + drift_ppm * 1e-6) * t_rgb_us``, with t_us on the unshifted event clock.

    Examples
    --------
    >>> clock = ClockModel(offset_us=500.0, drift_ppm=20.0)
    >>> clock.to_event_us(np.array([0, 1_000_000]))
    array([    500, 1000520])
    >>> clock.to_rgb_us(np.array([500, 1_000_520]))
    array([      0, 1000000])
    """

    offset_us: float
    drift_ppm: float

    def to_event_us(self, t_rgb_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn times on the RGB clock into times on the event clock, to the nearest us."""
        t = np.asarray(t_rgb_us, np.int64)
        # only the small part passes through floating point: exact for clocks that count from 1970
        there: NDArray[np.int64] = t + np.rint(self.offset_us + self.drift_ppm * 1e-6 * t).astype(np.int64)
        return there

    def to_rgb_us(self, t_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn times on the event clock into times on the RGB clock, to the nearest us."""
        t = np.asarray(t_us, np.int64)
        share = self.drift_ppm * 1e-6 / (1 + self.drift_ppm * 1e-6)
        back: NDArray[np.int64] = t - np.rint(self.offset_us + share * (t - self.offset_us)).astype(np.int64)
        return back


class TieError(FitError):
    """Several shifts explain trigger edges equally well.

    Attributes
    ----------
    spacing_us : float
        How far the nearest of them lie apart, us.
    """

    def __init__(self, message: str, spacing_us: float) -> None:
        super().__init__(message)
        self.spacing_us = spacing_us


@dataclass(frozen=True)
class ClockFit:
    """A clock model, how well it is known, and the edges that say so.

    Attributes
    ----------
    model : ClockModel
    residual_us : float
        RMS of the matched edges about the model.
    offset_std_us : float
        Standard error of event times in the middle of the recording, us.
    drift_std_ppm : float
        Standard error of the drift.
    uncertainty_us : float
        Standard error of event times where it is largest within the recording: at one of its ends.
    n_matched, n_expected, n_edges : int
        Exposure instants that found their edge, exposure instants, edges.
    matched_us, residuals_us, kinds : (n_matched,) arrays
        Instants that found their edge, us on the RGB clock, the edge's time about the model, us, and their kind.
    missing_us : (n_expected - n_matched,) int64 array
        Instants that found none, us on the RGB clock.
    spurious_us : (n_edges - n_matched,) int64 array
        Edges that belong to no instant, us on the event clock.
    """

    model: ClockModel
    residual_us: float
    offset_std_us: float
    drift_std_ppm: float
    uncertainty_us: float
    n_matched: int
    n_expected: int
    n_edges: int
    matched_us: NDArray[np.int64]
    residuals_us: NDArray[np.float64]
    kinds: NDArray[np.int64]
    missing_us: NDArray[np.int64]
    spurious_us: NDArray[np.int64]


def fit_trigger_clock(
    edge_us: NDArray[np.int64],
    exposure_us: NDArray[np.int64],
    *,
    edge_kind: NDArray[np.integer] | None = None,
    exposure_kind: NDArray[np.integer] | None = None,
    tolerance_us: float = 2000.0,
    min_matched: float = 0.5,
    near: tuple[float, float] | None = None,
) -> ClockFit:
    """Find offset and drift from trigger edges that belong to exposures, some missing and some spurious.

    Every offset that brings one of the first exposures onto an edge, or one of the first edges onto an exposure, is
    tried: a walk along both pairs each instant with the nearest edge of its kind and follows the drift. The best
    few are fitted by trimmed least squares about the mean time. The winner leaves the fewest instants without an
    edge, counted at a tolerance that the residuals themselves set.

    Parameters
    ----------
    edge_us : (E,) int64 array
        Times of trigger edges on the event clock, us.
    exposure_us : (X,) int64 array
        Instants of exposures on the RGB clock, us.
    edge_kind, exposure_kind : (E,), (X,) arrays of 0 and 1, optional
        An edge is only matched with an instant of its own kind (for example 0 = start, 1 = end of exposure).
    tolerance_us : float
        An edge this near to its exposure is its own; made smaller where exposures lie closer than four times it.
    min_matched : float
        Share of the instants of each kind that must find their edge.
    near : (float, float), optional
        A shift (event time minus RGB time in the middle of the exposures, us) that is known otherwise, and by how much
        it may be wrong, us: no other shifts are tried.

    Returns
    -------
    ClockFit

    Raises
    ------
    TieError
        "cannot tell": if two shifts explain the edges equally well (evenly spaced exposures whose first or last edges
        are missing or too many).
    FitError
        "cannot tell": if too few instants find an edge.

    Examples
    --------
    >>> exposures = np.arange(20) * 33_333
    >>> fit_trigger_clock(exposures + 700, exposures).model.offset_us
    700.0
    """
    edges, kinds_e = _sorted(edge_us, edge_kind, "edges")
    instants, kinds_x = _sorted(exposure_us, exposure_kind, "exposures")
    n_expected, n_edges = len(instants), len(edges)
    if min(n_expected, n_edges) < LEAST_MATCHES:
        raise FitError(
            f"cannot tell: {n_edges} trigger edges for {n_expected} exposure instants, expected at least"
            f" {LEAST_MATCHES} of each"
        )
    e0, x0 = int(edges[0]), int(instants[0])
    e = (edges - e0).astype(np.float64)
    x = (instants - x0).astype(np.float64)
    tolerance = min(float(tolerance_us), _closest(x, kinds_x) / 4)
    by_kind = (e[kinds_e == 0], e[kinds_e == 1])
    middle = float(x.mean())
    offsets = candidate_offsets(e, kinds_e, x, kinds_x, tolerance)
    wanted: float | None = None
    if near is not None:
        wanted, within = near[0] - (e0 - x0), near[1]
        offsets = offsets[np.abs(offsets - wanted) <= within + _MOST_DRIFT * middle + tolerance]
    offsets = promising_offsets(offsets, x, kinds_x, by_kind, tolerance, wanted)
    matches = [m for m in (match(x, kinds_x, by_kind, offset, tolerance) for offset in offsets) if m is not None]
    if wanted is not None:
        matches = [m for m in matches if abs(m.shift_at(middle) - wanted) <= within]
    rivals = distinct(matches, middle, tolerance)
    fine = min([tolerance, *(max(_FINE_US, 5 * spread(m.residual)) for m in rivals)])
    rivals.sort(key=lambda m: m.cost(n_expected, fine))
    inside = np.abs(rivals[0].residual) <= fine if rivals else np.zeros(0, bool)
    n_kinds = len(np.unique(kinds_x))
    for k in np.unique(kinds_x):
        # each kind for itself: with starts and ends mistaken for one another, all of one kind still match
        mine = int((rivals[0].kind[inside] == k).sum()) if rivals else 0
        expected = int((kinds_x == k).sum())
        if mine < max(min_matched * expected, LEAST_MATCHES / n_kinds):
            raise FitError(
                f"cannot tell: {mine} of {expected} exposure instants{' of one kind' * (n_kinds > 1)} find"
                f" their trigger edge within {fine:.0f} us, expected at least {min_matched:.0%} ({n_edges} edges)"
            )
    best = rivals[0]
    # where none is better by half an instant, chance decides
    tied = [m.shift_at(middle) for m in rivals if m.cost(n_expected, fine) - best.cost(n_expected, fine) < 0.5]
    if len(tied) > 1:
        spacing = float(np.diff(np.sort(tied)).min())
        a, b = sorted((tied[0], min(tied[1:], key=lambda shift: abs(shift - tied[0]))))
        raise TieError(
            f"cannot tell: two shifts {b - a:.0f} us apart explain {int(inside.sum())} of {n_expected} exposure"
            f" instants equally well ({n_edges} trigger edges; event time minus RGB time {a + e0 - x0:.0f} or"
            f" {b + e0 - x0:.0f} us)",
            spacing,
        )
    return _result(refine(best, inside), (x, kinds_x, x0), (e, kinds_e, e0))


def _result(
    best: Match,
    exposures: tuple[NDArray[np.float64], NDArray[np.int64], int],
    edges: tuple[NDArray[np.float64], NDArray[np.int64], int],
) -> ClockFit:
    (x, kinds_x, x0), (e, kinds_e, e0) = exposures, edges
    n = len(best.residual)
    residual = float(np.sqrt((best.residual**2).mean()))
    sigma = max(residual * np.sqrt(n / (n - 2)), _ROUNDING_US)
    squares = float(((best.instant - best.mean) ** 2).sum())

    def std_at(t: float) -> float:
        return float(sigma * np.sqrt(1 / n + (t - best.mean) ** 2 / squares))

    # the model speaks of RGB time 0, which may be far away: the bases are whole numbers, so little is lost
    offset = (e0 - x0) + best.centre - best.slope * (x0 + best.mean)
    matched_edges = np.rint(best.instant + best.centre + best.slope * (best.instant - best.mean) + best.residual)
    return ClockFit(
        model=ClockModel(offset, best.slope * 1e6),
        residual_us=residual,
        offset_std_us=std_at((x[0] + x[-1]) / 2),
        drift_std_ppm=float(sigma / np.sqrt(squares) * 1e6),
        uncertainty_us=max(std_at(x[0]), std_at(x[-1])),
        n_matched=n,
        n_expected=len(x),
        n_edges=len(e),
        matched_us=best.instant.astype(np.int64) + x0,
        residuals_us=best.residual,
        kinds=best.kind,
        missing_us=_without(x, kinds_x, best.instant, best.kind) + x0,
        spurious_us=_without(e, kinds_e, matched_edges, best.kind) + e0,
    )


def _without(
    t: NDArray[np.float64], kind: NDArray[np.int64], found: NDArray[np.float64], found_kind: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the times (whole us) that are not among those found of their kind; each of those counts for one."""
    have = Counter(zip(found.astype(np.int64).tolist(), found_kind.tolist(), strict=True))
    left = []
    for one in zip(t.astype(np.int64).tolist(), kind.tolist(), strict=True):
        if have[one] > 0:
            have[one] -= 1
        else:
            left.append(one[0])
    return np.array(left, np.int64)


def _sorted(
    t_us: NDArray[np.int64], kind: NDArray[np.integer] | None, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    t = np.asarray(t_us, np.int64)
    kinds = np.zeros(len(t), np.int64) if kind is None else np.asarray(kind, np.int64)
    if t.ndim != 1 or kinds.shape != t.shape or not np.isin(kinds, (0, 1)).all():
        raise FitError(f"{what}: times {t.shape} and kinds {kinds.shape}, expected (N,) times and kinds 0 or 1")
    order = np.argsort(t, kind="stable")
    return t[order], kinds[order]


def _closest(x: NDArray[np.float64], kind: NDArray[np.int64]) -> float:
    """Return a low quantile of the intervals between instants of one kind, us."""
    gaps = [float(np.quantile(np.diff(x[kind == k]), 0.05)) for k in (0, 1) if (kind == k).sum() > 1]
    closest = min(gaps, default=0.0)
    if closest <= 0:
        raise FitError("cannot tell: exposures at one and the same time, expected them one after the other")
    return closest
