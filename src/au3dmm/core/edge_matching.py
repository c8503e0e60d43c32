"""Pair exposure instants with trigger edges under an unknown offset and drift, some missing and some spurious."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAST_MATCHES = 4
_ANCHORS = 8  # exposures and edges at the start that are paired with everything else
_FOLLOW = 0.25  # share of each residual by which the walk corrects its offset; follows drifts up to 1 %
_CANDIDATES = 64


@dataclass(frozen=True)
class Match:
    """One way to pair instants with edges: ``edge - instant = centre + slope * (instant - mean)``.

    Attributes
    ----------
    mean, centre, slope : float
        The line; us, us, and us per us.
    residual : (N,) array
        Of each pair about the line, us.
    instant : (N,) array
        The exposure instants of the pairs, us.
    kind : (N,) array
        Their kinds, 0 or 1.
    """

    mean: float
    centre: float
    slope: float
    residual: NDArray[np.float64]
    instant: NDArray[np.float64]
    kind: NDArray[np.int64]

    def shift_at(self, t: float) -> float:
        """Return edge minus instant at instant `t`, us."""
        return self.centre + self.slope * (t - self.mean)

    def cost(self, n_expected: int, fine: float) -> float:
        """Instants without an edge count 1, those with one the square of its share of `fine`."""
        r = np.abs(self.residual)
        return n_expected - float((r <= fine).sum()) + float(((r[r <= fine] / fine) ** 2).sum())


def candidate_offsets(
    e: NDArray[np.float64],
    kind_e: NDArray[np.int64],
    x: NDArray[np.float64],
    kind_x: NDArray[np.int64],
    tolerance: float,
) -> NDArray[np.float64]:
    """Return the offsets that bring a first instant onto any edge, or a first edge onto any instant, one per cluster.

    Parameters
    ----------
    e, x : (E,), (X,) arrays
        Times of edges and instants, us, sorted.
    kind_e, kind_x : (E,), (X,) arrays
        Their kinds, 0 or 1.
    tolerance : float
        Half of it is what the offsets of one cluster may differ by, us.
    """
    found = []
    for k in (0, 1):
        edges, instants = e[kind_e == k], x[kind_x == k]
        found += [(edges[:, None] - instants[:_ANCHORS]).ravel(), (edges[:_ANCHORS, None] - instants).ravel()]
    offsets = np.sort(np.concatenate(found))
    # one of each cluster: the walk moves onto the edges by itself
    cell = np.floor(offsets / (tolerance / 2))
    return offsets[np.r_[True, np.diff(cell) > 0]] if len(offsets) else offsets


def promising_offsets(
    offsets: NDArray[np.float64],
    x: NDArray[np.float64],
    kind: NDArray[np.int64],
    by_kind: tuple[NDArray[np.float64], NDArray[np.float64]],
    tolerance: float,
    prefer: float | None = None,
) -> NDArray[np.float64]:
    """Return the offsets that pair most instants, or nearly as many: best first, or those nearest to `prefer`."""
    # no more instants can find an edge than lie within the span of the edges
    edges = np.concatenate(by_kind)
    margin = tolerance + 0.01 * x[-1]
    bound = np.searchsorted(x, edges.max() + margin - offsets) - np.searchsorted(x, edges.min() - margin - offsets)
    shift = np.empty(len(x))
    best, found = 0, []
    for i in np.argsort(-bound, kind="stable"):
        if bound[i] < _nearly(best):
            break
        count = _walk(x, kind, *by_kind, offsets[i], tolerance, shift)
        best = max(best, count)
        found.append((-count, offsets[i]))
    found = [pair for pair in found if -pair[0] >= _nearly(best)]
    found.sort(key=lambda pair: pair if prefer is None else (abs(pair[1] - prefer), 0.0))
    return np.array([offset for _, offset in found[:_CANDIDATES]])


def _nearly(count: int) -> float:
    return max(LEAST_MATCHES, 0.98 * count - 2)


def match(
    x: NDArray[np.float64],
    kind: NDArray[np.int64],
    by_kind: tuple[NDArray[np.float64], NDArray[np.float64]],
    offset: float,
    tolerance: float,
) -> Match | None:
    """Walk once to find the drift, then pair by the fitted line until the pairs stay the same."""
    shift = np.empty(len(x))
    _walk(x, kind, *by_kind, offset, tolerance, shift)
    line: Match | None = None
    for _ in range(6):
        got = np.isfinite(shift)
        if got.sum() < LEAST_MATCHES:
            return None
        line = _trimmed_line(x[got], shift[got], kind[got])
        predicted = line.centre + line.slope * (x - line.mean)
        again = np.full(len(x), np.nan)
        for k in (0, 1):
            mine = np.flatnonzero(kind == k)
            if len(by_kind[k]) and len(mine):
                again[mine] = _nearest(by_kind[k], x[mine] + predicted[mine], tolerance) - x[mine]
        if np.array_equal(again, shift, equal_nan=True):
            break
        shift = again
    got = np.isfinite(shift)
    return _trimmed_line(x[got], shift[got], kind[got]) if got.sum() >= LEAST_MATCHES else None


def _nearest(edges: NDArray[np.float64], target: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return the edge nearest to each target, NaN if farther than `tolerance` or nearer to another target."""
    right = np.clip(np.searchsorted(edges, target), 1, max(len(edges) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(edges) - 1)
    pick = np.where(np.abs(edges[left] - target) <= np.abs(edges[right] - target), left, right)
    distance = np.abs(edges[pick] - target)
    nearest = np.full(len(edges), np.inf)
    np.minimum.at(nearest, pick, distance)
    return np.where((distance <= tolerance) & (distance == nearest[pick]), edges[pick], np.nan)


def _trimmed_line(x: NDArray[np.float64], shift: NDArray[np.float64], kind: NDArray[np.int64]) -> Match:
    """Least squares, five times without what lies beyond five robust standard deviations."""
    keep = np.ones(len(x), bool)
    for _ in range(5):
        mean = float(x[keep].mean())
        centred = x[keep] - mean
        centre = float(shift[keep].mean())
        scale = float(centred @ centred)
        slope = float(centred @ (shift[keep] - centre)) / scale if scale > 0 else 0.0
        residual = shift - centre - slope * (x - mean)
        keep_next = np.abs(residual) <= max(5 * spread(residual), 2.0)
        if keep_next.sum() < LEAST_MATCHES or np.array_equal(keep, keep_next):
            break
        keep = keep_next
    return Match(mean, centre, slope, residual, x, kind)


def refine(about: Match, inside: NDArray[np.bool_]) -> Match:
    """Fit once more by plain least squares, to the pairs that are `inside` alone."""
    x, residual = about.instant[inside], about.residual[inside]
    mean = float(x.mean())
    centred = x - mean
    slope = float(centred @ residual) / float(centred @ centred)
    centre = float(residual.mean())
    left = residual - centre - slope * centred
    return Match(mean, about.shift_at(mean) + centre, about.slope + slope, left, x, about.kind[inside])


def spread(residual: NDArray[np.float64]) -> float:
    """Return the standard deviation by the median of absolute deviations."""
    return 1.4826 * float(np.median(np.abs(residual - np.median(residual))))


def distinct(matches: list[Match], middle: float, tolerance: float) -> list[Match]:
    """Keep one of all matches that say the same in the middle of the recording: the one with most pairs."""
    kept: list[Match] = []
    for one in sorted(matches, key=lambda m: (-len(m.residual), float(np.abs(m.residual).sum()))):
        if all(abs(one.shift_at(middle) - other.shift_at(middle)) > tolerance for other in kept):
            kept.append(one)
    return kept


@njit(cache=True, nogil=True)
def _walk(x, kind, edges0, edges1, offset, tolerance, shift):  # type: ignore[no-untyped-def]
    """Pair instants with edges in one pass, following the drift; fill edge - instant (NaN = none), return the count."""
    n = 0
    at0 = at1 = 0
    for i in range(x.shape[0]):
        edges = edges0 if kind[i] == 0 else edges1
        at = at0 if kind[i] == 0 else at1
        target = x[i] + offset
        shift[i] = np.nan
        while at + 1 < edges.shape[0] and abs(edges[at + 1] - target) <= abs(edges[at] - target):
            at += 1
        if at < edges.shape[0] and abs(edges[at] - target) <= tolerance:
            shift[i] = edges[at] - x[i]
            offset += _FOLLOW * (edges[at] - target)
            at += 1
            n += 1
        if kind[i] == 0:
            at0 = at
        else:
            at1 = at
    return n
