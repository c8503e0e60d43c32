"""Relate the RGB clock to the event clock: an offset and a drift, found from trigger edges."""

from __future__ import annotations

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


@dataclass(frozen=True)
class ClockFit:
    """A clock model and how well it is known.

    Attributes
    ----------
    model : ClockModel
    residual_us : float
        RMS of the matched edges about the model.
    uncertainty_us : float
        Standard error of the model where it is largest within the recording: at one of its ends.
    n_matched, n_expected, n_edges : int
        Exposure instants that found their edge, exposure instants, edges.
    """

    model: ClockModel
    residual_us: float
    uncertainty_us: float
    n_matched: int
    n_expected: int
    n_edges: int


def fit_trigger_clock(
    edge_us: NDArray[np.int64],
    exposure_us: NDArray[np.int64],
    *,
    edge_kind: NDArray[np.integer] | None = None,
    exposure_kind: NDArray[np.integer] | None = None,
    tolerance_us: float = 2000.0,
    min_matched: float = 0.5,
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

    Returns
    -------
    ClockFit

    Raises
    ------
    FitError
        "cannot tell": if too few instants find an edge, or two shifts explain the edges equally well (evenly
        spaced exposures whose first or last edges are missing or too many).

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
    offsets = promising_offsets(candidate_offsets(e, kinds_e, x, kinds_x, tolerance), x, kinds_x, by_kind, tolerance)
    matches = [match(x, kinds_x, by_kind, offset, tolerance) for offset in offsets]
    rivals = distinct([m for m in matches if m is not None], float(x.mean()), tolerance)
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
    if len(rivals) > 1 and rivals[1].cost(n_expected, fine) - best.cost(n_expected, fine) < 0.5:
        middle = float(x.mean())
        apart = abs(rivals[1].shift_at(middle) - best.shift_at(middle))
        raise FitError(
            f"cannot tell: two shifts {apart:.0f} us apart explain {int(inside.sum())} of {n_expected} exposure"
            f" instants equally well ({n_edges} trigger edges)"
        )
    return _result(refine(best, inside), x, e0 - x0, x0, n_expected, n_edges)


def _result(best: Match, x: NDArray[np.float64], base: int, x0: int, n_expected: int, n_edges: int) -> ClockFit:
    n = len(best.residual)
    residual = float(np.sqrt((best.residual**2).mean()))
    sigma = max(residual * np.sqrt(n / (n - 2)), _ROUNDING_US)
    squares = float(((best.instant - best.mean) ** 2).sum())
    farthest = float(np.abs(x - best.mean).max())
    uncertainty = sigma * np.sqrt(1 / n + farthest**2 / squares)
    # the model speaks of RGB time 0, which may be far away: base and x0 are whole numbers, so little is lost
    offset = base + best.centre - best.slope * (x0 + best.mean)
    return ClockFit(ClockModel(offset, best.slope * 1e6), residual, float(uncertainty), n, n_expected, n_edges)


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
