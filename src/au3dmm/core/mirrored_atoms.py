"""Dictionaries that hold the mirror image of every atom: how they begin, and which atoms can be spared.

If each row is taken as it is and mirrored, and the mirror image of each atom is an atom, then the best codes of the
mirrored row are those of the row with partners swapped. So mirrored rows need not be coded, sums over them follow from
sums over the rows, and the mean of an atom and its partner's mirror image is no worse than they were: the objective is
convex in the atoms, and the same for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.sparse_codes import encode
from au3dmm.errors import FitError

_SYMMETRIC = 0.7  # cosine between a row and its mirror image, from which one atom begins for both
_OPPOSITE = 1e-3  # an atom plus its mirror image shorter than this: one cannot stand for both


def swapped_sums(
    square: NDArray[np.float64],
    cross: NDArray[np.float64],
    partner: NDArray[np.int64],
    parity: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return codes'codes (K, K) and codes'rows (K, R) over rows and mirrored rows, halved, from those over the rows."""
    swapped = square[np.ix_(partner, partner)]
    return (square + swapped) / 2, (cross + cross[partner] * parity) / 2


def pair_up(
    picked: NDArray[np.float64], parity: NDArray[np.floating], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return unit atoms and their partners: picked ones with their mirror images, nearly symmetric ones made symmetric.

    Parameters
    ----------
    picked : (m, R) array
        Unit norm, m at least k / 2.
    parity : (R,) array
    k : int
        At least so many atoms are returned, exactly so many if ``m == ceil(k / 2)``.
    """
    exact = len(picked) <= -(-k // 2)
    likeness = np.einsum("ij,ij->i", picked, picked * parity)
    alone = likeness > _SYMMETRIC
    if exact:  # none but the most symmetric one of an odd number
        alone[:] = False
        alone[int(np.argmax(likeness))] = k % 2 == 1
    single = picked[alone] + picked[alone] * parity
    norm = np.linalg.norm(single, axis=1, keepdims=True)
    single = np.where(norm > _OPPOSITE, single / np.maximum(norm, _OPPOSITE), picked[alone])
    double = picked[~alone]
    n, m = len(double), len(single)
    partner = np.concatenate([np.arange(n) + n, np.arange(n), 2 * n + np.arange(m)])
    return np.concatenate([double, double * parity, single]), partner


def spare(
    atoms: NDArray[np.float64],
    codes: NDArray[np.floating],
    partner: NDArray[np.int64],
    parity: NDArray[np.floating],
    count: int,
    l1: float,
    mixture_weight: float,
) -> tuple[NDArray[np.float64], NDArray[np.floating], NDArray[np.int64]]:
    """Make do with `count` atoms fewer: drop atoms that are their own partner, or pairs, or let one stand for a pair.

    The cost of each is what `dictionary` counts when it drops atoms: the part of what they put in that lies outside the
    span of the others, and some of the rise of the objective when others take over. One atom for a pair, the sum of
    both, loses the difference of the pair's codes times the difference of its atoms.

    Parameters
    ----------
    atoms : (K, R) array
        Unit norm.
    codes : (n, K) array
        Non-negative.
    partner : (K,) int array
    parity : (R,) array
        1 or -1: what mirroring multiplies coordinates by.
    count : int
        How many fewer.
    l1, mixture_weight : float
        As in `dictionary`.

    Returns
    -------
    atoms, codes, partner
        Of K - count atoms.

    Raises
    ------
    FitError
        If an odd number must go, and all that is left are pairs of opposite atoms.
    """
    k = len(atoms)
    a = codes.astype(np.float64)
    square = a.T @ a
    square = (square + square[np.ix_(partner, partner)]) / 2
    total = a.sum(0)
    total = (total + total[partner]) / 2
    inverse = np.linalg.inv(atoms @ atoms.T + 1e-9 * np.eye(k))
    options: list[tuple[float, int, int, bool]] = []  # cost per atom, how many, which, whether one stays
    for j in range(k):
        p = int(partner[j])
        if p < j:
            continue
        rest = np.delete(atoms, [j, p] if p != j else [j], 0)
        if p == j:
            cost = 0.5 * square[j, j] / inverse[j, j]
            options.append((cost + mixture_weight * _rise(atoms[j], rest, square[j, j], total[j], l1), 1, j, False))
            continue
        block = np.ix_([j, p], [j, p])
        gone = 0.5 * float(np.trace(square[block] @ np.linalg.inv(inverse[block])))
        rise = _rise(atoms[j], rest, square[j, j], total[j], l1)
        options.append(((gone + 2 * mixture_weight * rise) / 2, 2, j, False))
        both = atoms[j] + atoms[p]
        norm = float(np.linalg.norm(both))
        if norm > _OPPOSITE:
            apart = (square[j, j] + square[p, p] - 2 * square[j, p]) / 4
            freedom = (inverse[j, j] + inverse[p, p] - 2 * inverse[j, p]) / 4
            with_both = np.concatenate([rest, both[None] / norm])
            rise = _rise(atoms[j], with_both, square[j, j], total[j], l1)
            options.append((0.5 * apart / freedom + 2 * mixture_weight * rise, 1, j, True))
    left, taken = count, set[int]()
    dropped: list[int] = []
    atoms, codes, partner = atoms.copy(), codes.copy(), partner.copy()
    for _, fewer, j, stays in sorted(options):
        p = int(partner[j])
        if left == 0 or fewer > left or j in taken:
            continue
        taken.add(j)
        left -= fewer
        if stays:
            both = atoms[j] + atoms[p]
            norm = float(np.linalg.norm(both))
            atoms[j] = both / norm
            codes[:, j] = (codes[:, j] + codes[:, p]) * codes.dtype.type(norm / 2)
            partner[j] = j
            dropped.append(p)
        else:
            dropped += [j, p] if p != j else [j]
    if left:
        raise FitError(
            f"dictionary: {left} atom too many, and only pairs of opposite atoms are left to drop; ask for one more or"
            " one fewer (--k-au), or mirrored = false in [bases]"
        )
    keep = np.setdiff1d(np.arange(k), dropped)
    place = np.full(k, -1)
    place[keep] = np.arange(len(keep))
    return atoms[keep], np.ascontiguousarray(codes[:, keep]), place[partner[keep]]


def _rise(atom: NDArray[np.float64], others: NDArray[np.float64], second: float, first: float, l1: float) -> float:
    """Return how much the objective rises, times the rows, when others take over from an atom."""
    if not second > 0:
        return 0.0
    relative = l1 * first / second
    mix = encode(atom[None], others, relative, nonnegative=True, sweeps=100, tolerance=1e-4)[0]
    left = atom - mix @ others
    return float(second * (0.5 * left @ left + relative * mix.sum()) - l1 * first)
