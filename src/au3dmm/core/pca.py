"""Principal components of a few long rows, honest about how many the rows determine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import FitError

_RANK_TOLERANCE = 1e-6
"""Components weaker than this share of the strongest are rounding, not shape."""


@dataclass(frozen=True)
class Pca:
    """``rows ~ mean + codes * stddev @ directions``.

    Attributes
    ----------
    mean : (D,) array
    directions : (K, D) array
        Orthonormal; the largest entry of each is positive.
    stddev : (K,) array
        Root of the variance along each, falling, unbiased (n - 1).
    explained : (K,) array
        Share of the variance that the first k + 1 components hold.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    stddev: NDArray[np.float64]
    explained: NDArray[np.float64]


def fit_pca(rows: NDArray[np.floating], k: int | None = None) -> Pca:
    """Find the principal components of rows, about their mean.

    n rows have at most n - 1 components (22 actors give 21), fewer if rows repeat; no more are returned, so that
    nobody divides by a variance of zero.

    Parameters
    ----------
    rows : (n, D) array
        n >= 2, in one unit.
    k : int, optional
        How many components; default: all there are.

    Raises
    ------
    FitError
        If the rows do not determine k components, or hold values that are not finite.

    Examples
    --------
    >>> fit_pca(np.array([[0.0, 0.0], [2.0, 0.0]])).stddev.round(3)
    array([1.414])
    """
    if rows.ndim != 2 or len(rows) < 2:
        raise FitError(f"pca: rows {rows.shape}; expected (n, D) with n at least 2")
    if not np.isfinite(rows).all():
        raise FitError("pca: rows hold values that are not finite")
    x = np.asarray(rows, np.float64)
    mean = x.mean(0)
    _, singular, directions = np.linalg.svd(x - mean, full_matrices=False)
    scale = max(float(singular[0]), np.finfo(float).eps * float(np.abs(x).max()) * np.sqrt(x.size))
    rank = int((singular > _RANK_TOLERANCE * scale).sum())
    if rank == 0:
        raise FitError(f"pca: the {len(x)} rows are all equal; they have no components")
    wanted = rank if k is None else k
    if not 1 <= wanted <= rank:
        raise FitError(f"pca: {wanted} components of {len(x)} rows, which determine {rank}; expected 1 to {rank}")
    largest = np.argmax(np.abs(directions), axis=1)
    sign = np.where(directions[np.arange(len(directions)), largest] < 0, -1.0, 1.0)
    variance = singular**2
    return Pca(
        mean=mean,
        directions=(directions * sign[:, None])[:wanted],
        stddev=singular[:wanted] / np.sqrt(len(x) - 1),
        explained=np.cumsum(variance)[:wanted] / variance.sum(),
    )
