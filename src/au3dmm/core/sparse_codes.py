"""Code rows by few atoms: the elastic net on a fixed dictionary, by coordinate descent on its Gram matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from au3dmm.core.threads import blocks, ordered_map
from au3dmm.errors import FitError

CHUNK = 2048
"""Rows coded together; a row's code does not depend on it."""


def encode(
    rows: NDArray[np.floating],
    atoms: NDArray[np.floating],
    l1: float,
    l2: float = 0.0,
    *,
    nonnegative: bool = True,
    start: NDArray[np.floating] | None = None,
    sweeps: int = 1000,
    tolerance: float = 1e-6,
    workers: int = 1,
) -> NDArray[np.floating]:
    """Minimise ``1/2 |x - a @ atoms|^2 + l1 |a|_1 + l2 |a|^2`` for every row x, with a >= 0 if asked.

    DESIGN section 4 (the objective of SPAMS' trainDL, mode 2: l2 without the half that its lasso has).

    Parameters
    ----------
    rows : (n, R) array
        float32 or float64; codes have its type.
    atoms : (K, R) array
        In the unit-free space of `rows`: codes carry the unit.
    l1 : float
        In the unit of `rows`.
    l2 : float
        Without unit.
    nonnegative : bool
        Whether codes may not be negative.
    start : (n, K) array, optional
        Codes to start from; default 0.
    sweeps : int
        At most this many passes over the atoms for each row.
    tolerance : float
        A row is finished when no coefficient moves by more than this share of its largest correlation.
    workers : int
        Threads; codes do not depend on their number.

    Returns
    -------
    (n, K) array
        Codes.

    Raises
    ------
    FitError
        If shapes disagree, a penalty is negative, or an atom is zero.

    Examples
    --------
    >>> encode(np.array([[3.0, -2.0]]), np.eye(2), l1=1.0)
    array([[2., 0.]])
    """
    if rows.ndim != 2 or atoms.ndim != 2 or rows.shape[1] != atoms.shape[1]:
        raise FitError(f"encode: rows {rows.shape} and atoms {atoms.shape}; expected (n, R) and (K, R)")
    gram = atoms.astype(np.float64) @ atoms.astype(np.float64).T
    codes = np.zeros((len(rows), len(atoms)), rows.dtype) if start is None else np.array(start, rows.dtype)
    reduced = np.ascontiguousarray(atoms.T, rows.dtype)

    def products(part: slice) -> NDArray[np.floating]:
        return np.asarray(rows[part] @ reduced)

    encode_products(
        products, gram, codes, l1, l2, nonnegative=nonnegative, sweeps=sweeps, tolerance=tolerance, workers=workers
    )
    return codes


def encode_products(
    products: Callable[[slice], NDArray[np.floating]],
    gram: NDArray[np.float64],
    codes: NDArray[np.floating],
    l1: float,
    l2: float,
    *,
    nonnegative: bool,
    sweeps: int,
    tolerance: float,
    workers: int,
) -> NDArray[np.float64]:
    """Improve `codes` in place from the products of rows and atoms alone; return what codes save of each row's energy.

    Parameters
    ----------
    products : callable
        ``products(slice)`` -> (m, K) array, rows times atoms.
    gram : (K, K) array
        Atoms times atoms.
    codes : (n, K) array
        Start, and result.
    l1, l2, nonnegative, sweeps, tolerance, workers
        As in `encode`.

    Returns
    -------
    (n,) float64 array
        ``1/2 |x - aD|^2 + l1 |a|_1 + l2 |a|^2 - 1/2 |x|^2`` for each row.

    Raises
    ------
    FitError
        If shapes disagree, a penalty is negative, or an atom is zero.
    """
    n, k = codes.shape
    if gram.shape != (k, k):
        raise FitError(f"encode: gram {gram.shape} for codes of {k} atoms")
    if l1 < 0 or l2 < 0:
        raise FitError(f"encode: penalties l1 = {l1} and l2 = {l2}; expected 0 or more")
    if not (np.diag(gram) + l2 > 0).all():
        raise FitError(f"encode: atom {int(np.argmin(np.diag(gram)))} is zero")
    kind = codes.dtype.type
    g = np.ascontiguousarray(gram, codes.dtype)
    gain = np.empty(n)

    def work(part: slice) -> None:
        b = np.ascontiguousarray(products(part), codes.dtype)
        if b.shape != (part.stop - part.start, k):
            raise FitError(f"encode: products {b.shape}, expected {(part.stop - part.start, k)}")
        _descend(g, b, codes[part], kind(l1), kind(2 * l2), nonnegative, sweeps, kind(tolerance))
        a, b64 = codes[part].astype(np.float64), b.astype(np.float64)
        quadratic = 0.5 * np.einsum("ij,ij->i", a @ gram, a) - np.einsum("ij,ij->i", a, b64)
        gain[part] = quadratic + l1 * np.abs(a).sum(1) + l2 * (a * a).sum(1)

    for _ in ordered_map(work, blocks(n, CHUNK), workers):
        pass
    return gain


@njit(cache=True, nogil=True)
def _descend(gram, products, codes, l1, l2, nonnegative, sweeps, tolerance):  # type: ignore[no-untyped-def]
    n, k = codes.shape
    zero = products.dtype.type(0)
    gradient = np.empty(k, products.dtype)  # of the smooth part without l2, negated: b - G a
    for i in range(n):
        largest = zero
        for j in range(k):
            gradient[j] = products[i, j]
            largest = max(largest, abs(products[i, j]))
        for j in range(k):
            a = codes[i, j]
            if a != zero:
                for m in range(k):
                    gradient[m] -= a * gram[j, m]
        whole = True  # a pass over all atoms; between two of them only those in use are moved
        for _ in range(sweeps):
            change = zero
            for j in range(k):
                a = codes[i, j]
                if not whole and a == zero:
                    continue
                r = gradient[j] + a * gram[j, j]
                if r > l1:
                    value = (r - l1) / (gram[j, j] + l2)
                elif r < -l1 and not nonnegative:
                    value = (r + l1) / (gram[j, j] + l2)
                else:
                    value = zero
                d = value - a
                if d != zero:
                    codes[i, j] = value
                    for m in range(k):
                        gradient[m] -= d * gram[j, m]
                    change = max(change, abs(d) * gram[j, j])
            small = change <= tolerance * largest
            if small and whole:
                break
            whole = small
