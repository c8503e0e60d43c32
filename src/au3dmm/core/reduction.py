"""Reduce many long rows to few coordinates: a randomised SVD that reads the rows in blocks and never holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    part : (R,) int array
        Which of the parts of columns each direction lies in.
    """

    directions: NDArray[np.float32]
    coordinates: NDArray[np.float32]
    energy: float
    residual: float
    part: NDArray[np.int64]

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
    parts: Sequence[int] | None = None,
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
    parts : sequence of int, optional
        Numbers of columns, in order, that sum to D: each direction lies in one of them, as if rows had been taken
        again with any part's sign turned, so that no two parts went together.
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
    columns = [n_columns] if parts is None else list(parts)
    most = sum(min(n, d) for d in columns)
    if not 1 <= rank <= most or sum(columns) != n_columns:
        raise FitError(f"reduction: rank {rank} of {n} rows and {n_columns} columns; expected 1 to {most}")
    ends = np.cumsum(columns)
    at = [slice(int(end) - d, int(end)) for end, d in zip(ends, columns, strict=True)]
    widths = [min(rank + OVERSAMPLING, n, d) for d in columns]
    stride = max(1, n // max(_SKETCH_ROWS, 32 * max(widths)))
    rng = np.random.default_rng(seed)
    bases = [rng.standard_normal((d, width), dtype=np.float32) for d, width in zip(columns, widths, strict=True)]
    done, total = 0, 3 * len(sizes)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    with single_threaded_blas():
        for _ in range(2):
            sketches = [np.zeros(basis.shape) for basis in bases]
            here = bases

            def multiply(block: int, qs: list[NDArray[np.float32]] = here) -> list[NDArray[np.float32]]:
                x = read(block, stride)
                return [x[:, own].T @ (x[:, own] @ q) for own, q in zip(at, qs, strict=True)]

            for products in ordered_map(multiply, range(len(sizes)), workers):
                for sketch, product in zip(sketches, products, strict=True):
                    sketch += product
                tick()
            if not all(np.isfinite(sketch).all() for sketch in sketches):
                raise FitError("reduction: rows hold values that are not finite")
            bases = [np.linalg.qr(sketch)[0].astype(np.float32) for sketch in sketches]

        def project(block: int) -> tuple[list[NDArray[np.float32]], float]:
            x = read(block, 1)
            energy = float(np.einsum("ij,ij->", x, x, dtype=np.float64))
            return [x[:, own] @ basis for own, basis in zip(at, bases, strict=True)], energy

        coordinates = [np.empty((n, width), np.float32) for width in widths]
        energy, start = 0.0, 0
        for zs, part_energy in ordered_map(project, range(len(sizes)), workers):
            for whole, z in zip(coordinates, zs, strict=True):
                whole[start : start + len(z)] = z
            energy += part_energy
            start += len(zs[0])
            tick()
        if not np.isfinite(energy):
            raise FitError("reduction: rows hold values that are not finite")
        directions, turned, part = _principal(bases, coordinates, at, rank)
    kept = float(np.einsum("ij,ij->", turned, turned, dtype=np.float64))
    return Reduction(directions, turned, energy, max(0.0, energy - kept), part)


def _principal(
    bases: list[NDArray[np.float32]], coordinates: list[NDArray[np.float32]], at: list[slice], rank: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Turn each part to its principal axes; return the strongest of all, the rows along them, and their parts."""
    found = [np.linalg.eigh(_gram(z)) for z in coordinates]
    strength = np.concatenate([values[::-1] for values, _ in found])
    owner = np.repeat(np.arange(len(at)), [len(values) for values, _ in found])
    best = np.argsort(-strength, kind="stable")[:rank]
    directions = np.zeros((len(best), at[-1].stop), np.float32)
    turned = np.empty((len(coordinates[0]), len(best)), np.float32)
    for number, (basis, z, own, (_, axes)) in enumerate(zip(bases, coordinates, at, found, strict=True)):
        mine = np.flatnonzero(owner[best] == number)
        axes = axes[:, ::-1][:, : len(mine)]
        here = np.ascontiguousarray((basis @ axes).T.astype(np.float32))
        flip = _signs(here) if len(here) else np.ones(0, np.float32)
        directions[mine, own] = here * flip[:, None]
        turn = (axes * flip).astype(np.float32)
        for i in range(0, len(z), 8192):
            turned[i : i + 8192, mine] = z[i : i + 8192] @ turn
    return directions, turned, owner[best]


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
