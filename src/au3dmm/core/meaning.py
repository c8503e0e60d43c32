"""What AU components mean: where on the head they move it, their mirror partners, and the AUs they go with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.regions import REGIONS, head_axes, mirror_vertices, skin_areas, vertex_regions, vertex_sides
from au3dmm.errors import SchemaError

NO_REGION = "none"
"""Region of a component that moves nothing."""
MIRROR_COSINE = 0.5
"""Below this, the best mirror partner is no partner to speak of."""
_ONE_SIDED = 0.75  # of the energy on one side of the head
_HELD = 0.95  # of the energy that `support` holds
_MIN_R = 0.3
_FALSE_SHARE = 0.05
_SHUFFLES = 9999
_BLOCK = 256  # shuffles at a time, for memory
_SINGULAR = {"brows": "brow", "eyes": "eye", "cheeks": "cheek", "ears": "ear"}


@dataclass(frozen=True)
class Meaning:
    """What one component does to the head.

    Attributes
    ----------
    region : str
        One of `REGIONS`, or `NO_REGION` for a component that moves nothing.
    side : str
        ``left`` or ``right`` (the subject's own) if three quarters of its energy are there, otherwise ``both``.
    mirror : int
        The component most like its mirror image; itself if it is symmetric.
    mirror_cosine : float
        Cosine between the two, -1 to 1; below `MIRROR_COSINE` in size there is no partner to speak of.
    support : float
        Smallest share of the vertices that holds 95 % of its energy.
    peak_mm : float
        Largest displacement of a vertex at alpha = 1, mm.
    """

    region: str
    side: Literal["left", "right", "both"]
    mirror: int
    mirror_cosine: float
    support: float
    peak_mm: float


@dataclass(frozen=True)
class Association:
    """An action unit that a component goes with.

    Attributes
    ----------
    au : str
        Name of the action unit, as tagged.
    r : float
        Correlation of the component's peak code with the tag, over sequences.
    n : int
        Number of sequences with the tag.
    """

    au: str
    r: float
    n: int


def describe_components(
    template: NDArray[np.floating],
    faces: NDArray[np.integer],
    components: NDArray[np.floating],
    landmarks: NDArray[np.floating],
    *,
    signed: bool = False,
) -> tuple[Meaning, ...]:
    """Say what each component does to the head.

    The region is the one with the largest ``E_r / sqrt(A_r)``, with E_r the squared displacement integrated over the
    region's skin and A_r its area: between total energy, which favours large regions, and mean energy, which favours
    small ones. What cannot be seen from outside (teeth, gums) tells neither region nor side.

    Parameters
    ----------
    template : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles.
    components : (K, V, 3) array
        m per unit of alpha.
    landmarks : (68, 3) array
        Of the template, m.
    signed : bool
        Whether codes may be negative, so that a component's sign is arbitrary and a mirror partner may be its negative.

    Returns
    -------
    tuple of K Meaning

    Raises
    ------
    SchemaError
        If shapes disagree, or the landmarks are not those of a face.
    """
    if components.ndim != 3 or components.shape[1:] != template.shape:
        raise SchemaError(f"meaning: components {components.shape}, expected (K, {len(template)}, 3)")
    squared = np.einsum("kvd,kvd->kv", components, components, dtype=np.float64)
    area = skin_areas(template, faces)
    energy = squared * area
    total = energy.sum(1)
    members = np.eye(len(REGIONS))[vertex_regions(template, landmarks)]
    strength = energy @ members / np.sqrt(np.maximum(area @ members, area.sum() * 1e-6))
    left = energy @ (vertex_sides(template, landmarks) > 0) / np.maximum(total, np.finfo(float).tiny)
    mirror, cosine = _mirror_partners(template, components, landmarks, signed)
    support = _support(squared)
    peak_mm = 1e3 * np.sqrt(squared.max(1, initial=0))
    found = []
    for k in range(len(components)):
        side: Literal["left", "right", "both"] = "both"
        if total[k] > 0 and not 1 - _ONE_SIDED < left[k] < _ONE_SIDED:
            side = "left" if left[k] > 0.5 else "right"
        region = REGIONS[int(np.argmax(strength[k]))] if total[k] > 0 else NO_REGION
        found.append(
            Meaning(region, side, int(mirror[k]), float(cosine[k]), float(support[k]), round(float(peak_mm[k]), 6))
        )
    return tuple(found)


def component_names(meanings: Sequence[Meaning]) -> tuple[str, ...]:
    """Name components by number, side and region: unique, and equal for equal components in equal order.

    Examples
    --------
    >>> component_names([Meaning("brows", "left", 0, 1.0, 0.1, 2.0), Meaning("lips", "both", 1, 1.0, 0.1, 2.0)])
    ('c01_left_brow', 'c02_lips')
    """
    digits = max(2, len(str(len(meanings))))
    names = []
    for number, meaning in enumerate(meanings, start=1):
        names.append(f"c{number:0{digits}d}_{where_words(meaning.region, meaning.side).replace(' ', '_')}")
    return tuple(names)


def where_words(region: str, side: str) -> str:
    """Say where a component is.

    Examples
    --------
    >>> where_words("brows", "left"), where_words("lips", "both")
    ('left brow', 'lips')
    """
    return region if side == "both" else f"{side} {_SINGULAR.get(region, region)}"


def correlate_with_tags(
    peaks: NDArray[np.floating], tags: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Correlate components with action unit tags over sequences (Pearson's r, here point-biserial).

    Parameters
    ----------
    peaks : (S, K) array
        Largest code of each component in each tagged sequence, standard deviations.
    tags : (S, A) bool array
        Whether a sequence shows an action unit.

    Returns
    -------
    r : (K, A) array
        0 where a component or a tag is the same in all sequences, which tells nothing.
    n : (A,) int array
        Number of sequences with each tag.

    Raises
    ------
    SchemaError
        If shapes disagree, or peaks are not finite.

    Examples
    --------
    >>> r, n = correlate_with_tags(np.array([[2.0], [0], [2], [0]]), np.array([[1], [0], [1], [0]], bool))
    >>> r, n
    (array([[1.]]), array([2]))
    """
    z, t = _standardised(peaks, tags)
    r = z.T @ t / max(len(z), 1)
    return np.clip(r, -1, 1), tags.sum(0, dtype=np.int64)


def associate(
    peaks: NDArray[np.floating],
    tags: NDArray[np.bool_],
    names: Sequence[str],
    *,
    min_r: float = _MIN_R,
    false_share: float = _FALSE_SHARE,
    seed: int = 0,
) -> tuple[tuple[Association, ...], ...]:
    """Pick the action units that each component goes with.

    An action unit is picked if r is at least `min_r` and chance does not explain it: its p-value comes from shuffling
    the tags over the sequences (9999 times, seeded), which holds for rare tags and sparse codes too, where Fisher's z
    does not; of the p-values of all K A pairs Benjamini and Hochberg's rule (1995) picks those among which a share of
    at most `false_share` is expected to be false.

    Parameters
    ----------
    peaks : (S, K) array
        Largest code of each component in each tagged sequence, standard deviations.
    tags : (S, A) bool array
        Whether a sequence shows an action unit.
    names : sequence of A str
        What the action units are called.
    min_r : float
        Smallest correlation worth telling.
    false_share : float
        Expected share of false associations.
    seed : int
        Of the shuffles.

    Returns
    -------
    tuple of K tuples of Association
        The strongest first.

    Raises
    ------
    SchemaError
        If shapes disagree, or peaks are not finite.
    """
    r, n = correlate_with_tags(peaks, tags)
    if len(names) != len(n):
        raise SchemaError(f"meaning: {len(names)} names for {len(n)} action unit tags")
    p = _chance(peaks, tags, r, n, min_r, seed)
    # Benjamini-Hochberg: the largest p that is below its share of the line; pairs below min_r count as tests with p = 1
    ordered = np.sort(p, axis=None)
    below = np.flatnonzero(ordered <= false_share * np.arange(1, ordered.size + 1) / max(ordered.size, 1))
    limit = ordered[below[-1]] if len(below) else -1.0
    found = []
    for k in range(r.shape[0]):
        picked = [a for a in np.argsort(-r[k], kind="stable") if p[k, a] <= limit]
        found.append(tuple(Association(names[a], float(r[k, a]), int(n[a])) for a in picked))
    return tuple(found)


def _chance(
    peaks: NDArray[np.floating],
    tags: NDArray[np.bool_],
    r: NDArray[np.float64],
    n: NDArray[np.int64],
    min_r: float,
    seed: int,
) -> NDArray[np.float64]:
    """Return how likely shuffled tags give as large an r (K, A); 1 where r is below `min_r`."""
    p = np.ones_like(r)
    candidates = [(a, np.flatnonzero(r[:, a] >= min_r)) for a in range(len(n)) if n[a]]
    candidates = [(a, ks) for a, ks in candidates if len(ks)]
    if not candidates:
        return p
    z, _ = _standardised(peaks, tags)
    reached = np.zeros(r.shape, np.int64)
    rng = np.random.default_rng(seed)
    for start in range(0, _SHUFFLES, _BLOCK):
        size = min(_BLOCK, _SHUFFLES - start)
        order = rng.permuted(np.tile(np.arange(len(z)), (size, 1)), axis=1)
        for a, ks in candidates:
            # the first n of a shuffled order are n sequences drawn at random; r grows with their mean
            drawn = z[:, ks][order[:, : n[a]]].sum(1)
            reached[ks, a] += (drawn >= z[tags[:, a]][:, ks].sum(0) - 1e-9).sum(0)
    for a, ks in candidates:
        p[ks, a] = (1 + reached[ks, a]) / (1 + _SHUFFLES)
    return p


def _standardised(
    peaks: NDArray[np.floating], tags: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if peaks.ndim != 2 or tags.ndim != 2 or len(peaks) != len(tags):
        raise SchemaError(f"meaning: peaks {peaks.shape} and tags {tags.shape}, expected (S, K) and (S, A)")
    if not np.isfinite(peaks).all():
        raise SchemaError("meaning: peak codes are not finite; leave out sequences without codes")
    both = []
    for values in (np.asarray(peaks, np.float64), np.asarray(tags, np.float64)):
        if not len(values):
            both.append(values)
            continue
        centred = values - values.mean(0)
        spread = np.sqrt((centred**2).mean(0))
        constant = spread <= 1e-9 * np.abs(values).max(0)
        both.append(np.where(constant, 0, centred / np.where(constant, 1, spread)))
    return both[0], both[1]


def _mirror_partners(
    template: NDArray[np.floating], components: NDArray[np.floating], landmarks: NDArray[np.floating], signed: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    k = len(components)
    normal = head_axes(landmarks)[1][0]
    flat = np.asarray(components, np.float64).reshape(k, -1)
    length = np.linalg.norm(flat, axis=1)
    unit = flat / np.where(length > 0, length, 1)[:, None]
    swapped = unit.reshape(components.shape)[:, mirror_vertices(template, landmarks)]
    swapped = swapped - 2 * (swapped @ normal)[..., None] * normal
    cosine = swapped.reshape(k, -1) @ unit.T
    # a component that moves nothing is its own partner, with cosine 0
    np.fill_diagonal(cosine, np.where(length > 0, np.diag(cosine), 0))
    partner = np.where(length > 0, np.argmax(np.abs(cosine) if signed else cosine, axis=1), np.arange(k))
    return partner, np.clip(cosine[np.arange(k), partner], -1, 1)


def _support(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    largest_first = -np.sort(-squared, axis=1)
    held = np.cumsum(largest_first, axis=1)
    total = held[:, -1:]
    needed = (held < _HELD * total).sum(1) + 1
    return np.asarray(np.where(total[:, 0] > 0, needed, 0) / max(squared.shape[1], 1))
