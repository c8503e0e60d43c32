"""Reduce many long rows to few coordinates: a randomised SVD that reads the rows in blocks and never holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.threads import ordered_map, single_threaded_blas
from au3dmm.errors import FitError

OVERSAMPLING = 16
_SKETCH_ROWS = 8192

ReadBlock = Callable[[int, int], NDArray[np.float32]]
"""``read(block, stride)`` returns rows (n, D) of a block: all of them, or every `stride`-th."""


@dataclass(frozen=True)
class Reduction:
    """``rows ~ coordinates @ directions``, the best of its rank up to the sketch.

    Attributes
    ----------
    directions : (R, D) float32 array
        Orthonormal rows.
    coordinates : (N, R) float32 array
        In the unit of the rows.
    energy : float
        Sum of squares of all rows.
    residual : float
        Part of it that the directions leave out.
    """

    directions: NDArray[np.float32]
    coordinates: NDArray[np.float32]
    energy: float
    residual: float

    @property
    def singular_values(self) -> NDArray[np.float64]:
        """(R,) root of the energy along each direction, falling."""
        z = self.coordinates
        return np.asarray(np.sqrt(np.einsum("ij,ij->j", z, z, dtype=np.float64)))


def reduce_rows(
    read: ReadBlock,
    sizes: list[int],
    n_columns: int,
    rank: int,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Reduction:
    """Find the leading right singular vectors of all rows, uncentred, and the rows' coordinates along them.

    Randomised range finder with one power iteration (Halko, Martinsson & Tropp 2011, alg. 4.4 and 5.1) on some 8192
    rows, evenly spread; then every row is projected, and the coordinates are turned to principal axes. Rows are read
    three times, twice only some. With orthonormal directions, squared distances between rows and combinations of atoms
    that lie in their span are those between coordinates, up to the constant `residual`.

    Parameters
    ----------
    read : callable
        ``read(block, stride)`` -> (n, D) float32; called by several threads.
    sizes : list of int
        Rows in each block; sums run over blocks in this order, so the result does not depend on `workers`.
    n_columns : int
        D.
    rank : int
        R; at most the number of rows and columns.
    seed : int
        Of the sketch.
    workers : int
        Threads; each holds one block.
    progress : callable, optional
        Told (blocks done, blocks in all).

    Raises
    ------
    FitError
        If there are fewer rows or columns than `rank`, or a value is not finite.
    """
    n = sum(sizes)
    if not 1 <= rank <= min(n, n_columns):
        raise FitError(f"reduction: rank {rank} of {n} rows and {n_columns} columns; expected 1 to {min(n, n_columns)}")
    width = min(rank + OVERSAMPLING, n, n_columns)
    stride = max(1, n // max(_SKETCH_ROWS, 32 * width))
    basis = np.random.default_rng(seed).standard_normal((n_columns, width), dtype=np.float32)
    done, total = 0, 3 * len(sizes)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    with single_threaded_blas():
        for _ in range(2):
            sketch = np.zeros((n_columns, width))
            here = basis

            def multiply(block: int, q: NDArray[np.float32] = here) -> NDArray[np.float32]:
                x = read(block, stride)
                return np.asarray(x.T @ (x @ q))

            for part in ordered_map(multiply, range(len(sizes)), workers):
                sketch += part
                tick()
            if not np.isfinite(sketch).all():
                raise FitError("reduction: rows hold values that are not finite")
            basis = np.linalg.qr(sketch)[0].astype(np.float32)

        def project(block: int) -> tuple[NDArray[np.float32], float]:
            x = read(block, 1)
            return x @ basis, float(np.einsum("ij,ij->", x, x, dtype=np.float64))

        coordinates = np.empty((n, width), np.float32)
        energy, start = 0.0, 0
        for z, part_energy in ordered_map(project, range(len(sizes)), workers):
            coordinates[start : start + len(z)] = z
            energy += part_energy
            start += len(z)
            tick()
        if not np.isfinite(energy):
            raise FitError("reduction: rows hold values that are not finite")
        axes = np.linalg.eigh(_gram(coordinates))[1][:, ::-1][:, :rank]
        directions = np.ascontiguousarray((basis @ axes).T.astype(np.float32))
        flip = _signs(directions)
        directions *= flip[:, None]
        turn = (axes * flip).astype(np.float32)
        turned = np.empty((n, rank), np.float32)
        for i in range(0, n, 8192):
            turned[i : i + 8192] = coordinates[i : i + 8192] @ turn
    kept = float(np.einsum("ij,ij->", turned, turned, dtype=np.float64))
    return Reduction(directions, turned, energy, max(0.0, energy - kept))


def _gram(z: NDArray[np.float32]) -> NDArray[np.float64]:
    total = np.zeros((z.shape[1], z.shape[1]))
    for i in range(0, len(z), 8192):
        part = z[i : i + 8192].astype(np.float64)
        total += part.T @ part
    return total


def _signs(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    # a direction's sign is arbitrary: its largest entry is made positive
    largest = np.argmax(np.abs(rows), axis=1)
    return np.where(rows[np.arange(len(rows)), largest] < 0, np.float32(-1), np.float32(1))
