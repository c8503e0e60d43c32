"""Whether recordings, or stretches of one, show the same person: the distance between the neutral faces of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.fitting import EYES, CameraSettings, fit_neutral
from au3dmm.core.neutral import NeutralSearch, spread_evenly
from au3dmm.errors import FitError

TWO_PEOPLE_MM = 1.7
"""Neutral faces farther apart than this may be of two people (docs/method.md, step 4)."""

TWO_PEOPLE_RATIO = 1.5
"""... and are, if the way from group to group is so much longer than any way within a group has to be.

A lively face that a detector reads unsteadily is 2 to 5 mm from itself (a real recording), in all directions alike.
"""

# a stretch must be long enough for the face to rest in it, or its expression is taken for another person
_STRETCH = 60
_STRETCHES = 6
_FRAMES = 6
_LEAST = 3


@dataclass(frozen=True)
class PeopleTest:
    """Neutral faces of stretches, and whether they fall into two groups.

    Attributes
    ----------
    stretches : tuple of (int, int)
        First row and the row after the last, of each stretch that was long enough.
    distance_mm : float
        Least distance between a face of one group and a face of the other, mm; 0 with fewer than three stretches.
    spread_mm : float
        Largest distance from a face to the nearest other one of its group, mm.
    second : (n,) bool array
        Which stretches are in the smaller group (the later one of two as large).
    """

    stretches: tuple[tuple[int, int], ...]
    distance_mm: float
    spread_mm: float
    second: NDArray[np.bool_]

    @property
    def two_people(self) -> bool:
        """Whether the groups are farther apart than the faces of one person are."""
        return self.distance_mm > max(TWO_PEOPLE_MM, TWO_PEOPLE_RATIO * self.spread_mm)

    @property
    def tested(self) -> bool:
        """Whether there was enough to compare: three, as two faces alone do not say how far one is from itself."""
        return len(self.stretches) >= _LEAST


def compare_people(
    landmarks: NDArray[np.float64],
    starts: NDArray[np.int64],
    search: NeutralSearch,
    template: NDArray[np.float64],
    components_id: NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: CameraSettings,
    *,
    sigma_id_px: float,
    sigma_offset_m: float,
    eyes: tuple[int, int] = EYES,
) -> PeopleTest:
    """Compare the neutral faces of recordings, or of the stretches of a few.

    Each stretch gets a face of its own from the quieter half of its frames that were looked at. Faces are brought onto
    the common one by a similarity; their distance is the weighted rms over the landmarks, across the line of sight
    only: depth is not well known from few frames. The two faces farthest apart gather the others around them.

    Parameters
    ----------
    landmarks : (T, L, 2) array
        Image plane, px, y up, recordings one after another.
    starts : (R,) int array
        Row at which each recording starts.
    search : NeutralSearch
        The common neutral face, and the displacements with it.
    template, components_id, weights, settings, sigma_id_px, sigma_offset_m, eyes
        As in `fit_neutral`.
    """
    stretches = _stretches(starts, len(landmarks))
    shapes, kept = [], []
    for first, stop in stretches:
        try:
            face = fit_neutral(
                landmarks[_quiet(search, first, stop)],
                template,
                components_id,
                weights,
                settings,
                sigma_id_px=sigma_id_px,
                sigma_offset_m=sigma_offset_m,
                alternations=1,
                eyes=eyes,
            )
        except FitError:
            continue  # landmarks on a line: nobody's face
        shapes.append(_onto(face.shape, search.neutral.shape, weights))
        kept.append((first, stop))
    nobody_else = np.zeros(len(kept), bool)
    if len(kept) < _LEAST:
        return PeopleTest(tuple(kept), 0.0, 0.0, nobody_else)
    flat = np.stack(shapes)[..., :2]
    apart = np.array([np.sqrt(((flat - one) ** 2).sum(2) @ weights / weights.sum()) for one in flat]) * 1e3
    if not apart.any():  # copies of one recording
        return PeopleTest(tuple(kept), 0.0, 0.0, nobody_else)
    one, other = np.unravel_index(int(np.argmax(apart)), apart.shape)
    second = apart[one] > apart[other]
    if second.sum() > len(kept) - second.sum() or (2 * second.sum() == len(kept) and second[0]):
        second = ~second
    spread = max(_spread(apart, second), _spread(apart, ~second))
    return PeopleTest(tuple(kept), float(apart[np.ix_(second, ~second)].min()), spread, second)


def _spread(apart: NDArray[np.float64], group: NDArray[np.bool_]) -> float:
    """Return the largest distance from one of a group to the nearest other of it; 0 if it is alone."""
    inside = apart[np.ix_(group, group)]
    np.fill_diagonal(inside, np.inf)
    return float(inside.min(1).max()) if len(inside) > 1 else 0.0


def _stretches(starts: NDArray[np.int64], total: int) -> list[tuple[int, int]]:
    """Return (first, stop) of each stretch: whole recordings, or parts of them where there are only a few."""
    found = []
    parts = max(1, _STRETCHES // len(starts))
    for first, stop in zip(starts.tolist(), [*starts[1:].tolist(), total], strict=True):
        n = min(parts, (stop - first) // _STRETCH)
        edges = np.linspace(first, stop, max(n, 1) + 1).round().astype(int).tolist()
        found += [(a, b) for a, b in pairwise(edges) if b - a >= _STRETCH]
    return found


def _quiet(search: NeutralSearch, first: int, stop: int) -> NDArray[np.int64]:
    a, b = np.searchsorted(search.looked_at, [first, stop])
    rows, moved = search.looked_at[a:b], search.looked_at_mm[a:b]
    if len(rows) < _FRAMES:
        return spread_evenly(np.arange(first, stop), _FRAMES)
    quiet = np.argsort(moved, kind="stable")[: max(_FRAMES // 2, len(rows) // 2)]
    return np.sort(rows[quiet])


def _onto(shape: NDArray[np.float64], common: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a shape (L, 3) moved, turned and scaled onto another by weighted least squares (Umeyama 1991)."""
    share = weights / weights.sum()
    x, y = shape - share @ shape, common - share @ common
    u, size, v = np.linalg.svd((x * share[:, None]).T @ y)
    size[2] *= np.sign(np.linalg.det(u @ v))
    u[:, 2] *= np.sign(np.linalg.det(u @ v))
    return np.asarray(x @ (u @ v) * (size.sum() / ((x**2).sum(1) @ share)))
