"""The space in which offsets are compared: vertices weighted, and motion that is the same on both sides kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.dictionary import Dictionary
from au3dmm.core.reduction import ReadBlock, Reduction, reduce_rows
from au3dmm.errors import FitError

_HALF = np.float32(np.sqrt(0.5))
_EYES = (slice(36, 42), slice(42, 48))


@dataclass(frozen=True)
class OffsetSpace:
    """What an AU-3DMM is learnt in.

    Attributes
    ----------
    scale : (V,) float32 array
        What the offset of each vertex is multiplied by: the root of its weight. Partners have the same.
    partner : (V,) int array, optional
        Mirror partner of each vertex (`mirror.mirror_partners`; the mirror plane is a plane x = const). With it, rows
        are taken twice: as they are, and mirrored.
    """

    scale: NDArray[np.float32]
    partner: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        s = self.scale
        if s.ndim != 1 or not np.isfinite(s).all() or not (s > 0).all():
            raise FitError(f"offsets: scale {s.shape}; expected one positive number per vertex")
        if self.partner is not None and not np.allclose(s, s[self.partner], rtol=1e-5):
            raise FitError("offsets: mirror partners have different weights")

    @property
    def parts(self) -> list[int]:
        """Columns of `turned`: all, or those of symmetric and of antisymmetric motion."""
        if self.partner is None:
            return [3 * len(self.scale)]
        first, _, middle = self._sides()
        return [3 * len(first) + 2 * len(middle), 3 * len(first) + len(middle)]

    def turned(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return offsets (n, 3 V), weighted; with partners, turned to symmetric and antisymmetric parts."""
        x = rows.reshape(len(rows), -1, 3) * self.scale[:, None]
        if self.partner is None:
            return np.asarray(x.reshape(len(rows), -1))
        first, second, middle = self._sides()
        here, there = x[:, first] * _HALF, x[:, second] * (np.array([-1, 1, 1], np.float32) * _HALF)
        groups = (here + there, x[:, middle, 1:], here - there, x[:, middle, :1])
        return np.concatenate([group.reshape(len(rows), -1) for group in groups], axis=1)

    def unturned(self, rows: NDArray[np.floating]) -> NDArray[np.floating]:
        """Undo the rotation of `turned`, not the weights."""
        if self.partner is None:
            return rows
        first, second, middle = self._sides()
        n, size = len(rows), 3 * len(first)
        ends = np.cumsum([size, 2 * len(middle), size])
        same, yz, other, x = np.split(rows, ends, axis=1)
        out = np.empty((n, len(self.scale), 3), rows.dtype)
        same, other = same.reshape(n, -1, 3), other.reshape(n, -1, 3)
        out[:, first] = (same + other) * _HALF
        out[:, second] = (same - other) * (np.array([-1, 1, 1], np.float32) * _HALF)
        out[:, middle, 1:] = yz.reshape(n, -1, 2)
        out[:, middle, 0] = x
        return out.reshape(n, -1)

    def mirrored(self, atoms: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the mirror images of offsets (n, 3 V), weighted or not; with partners only."""
        x = atoms.reshape(len(atoms), -1, 3)[:, self.partner] * np.array([-1, 1, 1], atoms.dtype)
        return np.asarray(x.reshape(len(atoms), -1))

    def _sides(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        assert self.partner is not None
        every = np.arange(len(self.scale))
        first = np.flatnonzero(self.partner > every)
        return first, self.partner[first], np.flatnonzero(self.partner == every)


@dataclass(frozen=True)
class ReducedOffsets:
    """Offsets in few dimensions.

    Attributes
    ----------
    space : OffsetSpace
    coordinates : (n, R) float32 array
        Weighted, m.
    directions : (R, 3 V) float32 array
        Orthonormal among weighted offsets.
    parity : (R,) float32 array, optional
        1 along symmetric directions, -1 along antisymmetric ones: times this, coordinates are those of mirrored rows.
    weighted : float
        Sum of squares of the weighted rows, m^2.
    energy, truncated : float
        Sum of squares of the rows as they are, and of what the directions leave out of them, m^2.
    """

    space: OffsetSpace
    coordinates: NDArray[np.float32]
    directions: NDArray[np.float32]
    parity: NDArray[np.float32] | None
    weighted: float
    energy: float
    truncated: float

    @property
    def rms(self) -> float:
        """Root mean square length of a weighted row, m: what l1 is stated relative to."""
        return float(np.sqrt(self.weighted / len(self.coordinates)))

    @property
    def singular_values(self) -> NDArray[np.float64]:
        """(R,) root of the weighted energy along each direction, falling."""
        z = self.coordinates
        return np.asarray(np.sqrt(np.einsum("ij,ij->j", z, z, dtype=np.float64)))

    @property
    def plain_directions(self) -> NDArray[np.float64]:
        """(R, 3 V) the directions as offsets, m per coordinate."""
        return np.asarray(self.directions.astype(np.float64) / np.repeat(self.space.scale.astype(np.float64), 3))

    def unweighted(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the same offsets as coordinates (n, R), m, along orthonormal directions (R, 3 V), as they are."""
        q, r = np.linalg.qr(self.plain_directions.T)
        return np.asarray(self.coordinates @ r.T, np.float32), np.asarray(q.T, np.float32)


def eyelid_weights(
    template: NDArray[np.floating], landmarks: NDArray[np.floating], weight: float, reach: float = 0.5
) -> NDArray[np.float64]:
    """Weigh vertices by how near they are to the rims of the eyelids, where few vertices move and people look.

    Parameters
    ----------
    template : (N, 3) array
        Points of the head, m.
    landmarks : (68, 3) array
        m; 36 to 47 are the rims.
    weight : float
        At the rims; 1 is no weight.
    reach : float
        Eye widths from the rims to where the weight has fallen to 1, linearly.

    Returns
    -------
    (N,) array
        Between 1 and `weight`.

    Examples
    --------
    >>> face = np.zeros((68, 3)); face[39] = face[45] = [0.03, 0, 0]
    >>> eyelid_weights(np.array([[0, 0, 0], [0, 0.0075, 0], [0, 0.1, 0]]), face, 21.0)
    array([21., 11.,  1.])
    """
    near = np.zeros(len(template))
    for eye in _EYES:
        rim = np.asarray(landmarks[eye], np.float64)
        width = float(np.linalg.norm(rim[3] - rim[0]))
        if not width > 0:
            raise FitError("eyelids: the corners of an eye are one place; expected the 68 landmarks of a face")
        away = np.min([np.linalg.norm(template - point, axis=1) for point in rim], axis=0)
        near = np.maximum(near, 1 - away / (reach * width))
    return np.asarray(1 + (weight - 1) * np.maximum(near, 0))


def reduce_offsets(
    read: ReadBlock,
    sizes: list[int],
    space: OffsetSpace,
    rank: int,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ReducedOffsets:
    """Reduce offsets to few dimensions (`reduction.reduce_rows`) where they are compared.

    Parameters
    ----------
    read, sizes, rank, seed, workers, progress
        As `reduce_rows`; rows as they are, (n, 3 V), m.
    space : OffsetSpace

    Raises
    ------
    FitError
        As `reduce_rows`.
    """
    plain: dict[int, float] = {}

    def read_turned(block: int, stride: int) -> NDArray[np.float32]:
        rows = read(block, stride)
        if stride == 1:
            plain[block] = float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
        return space.turned(rows)

    found: Reduction = reduce_rows(
        read_turned,
        sizes,
        3 * len(space.scale),
        rank,
        parts=space.parts,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    energy = sum(plain[block] for block in range(len(sizes)))
    directions = np.asarray(space.unturned(found.directions), np.float32)
    parity = None if space.partner is None else np.where(found.part == 0, 1, -1).astype(np.float32)
    reduced = ReducedOffsets(space, found.coordinates, directions, parity, found.energy, energy, 0.0)
    # rows and what is cut off of them are uncorrelated, whatever vertices weigh
    z = found.coordinates.astype(np.float64)
    flat = reduced.plain_directions
    kept = float(np.einsum("ij,ij->", z.T @ z, flat @ flat.T))
    return ReducedOffsets(space, found.coordinates, directions, parity, found.energy, energy, max(0.0, energy - kept))


def plain_dictionary(learnt: Dictionary, space: OffsetSpace) -> Dictionary:
    """Divide the weights out: atoms (K, 3 V) of unit norm again, and codes that say the same, by falling energy."""
    atoms = learnt.atoms / np.repeat(space.scale.astype(np.float64), 3)
    norm = np.linalg.norm(atoms, axis=1)
    scale = np.where(norm > 0, norm, 1.0)
    codes = learnt.codes * scale.astype(learnt.codes.dtype)
    return Dictionary(atoms / scale[:, None], codes, learnt.objective, learnt.restarted, learnt.partner).sorted()


def unexplained(reduced: ReducedOffsets, learnt: Dictionary) -> float:
    """Return the sum of squares that codes of atoms without weights leave of all offsets, m^2."""
    inside = learnt.atoms @ reduced.plain_directions.T
    gram = learnt.atoms @ learnt.atoms.T
    total = reduced.energy
    for i in range(0, len(learnt.codes), 8192):
        a = learnt.codes[i : i + 8192].astype(np.float64)
        z = reduced.coordinates[i : i + 8192].astype(np.float64)
        total += float(np.einsum("ij,ij->", a @ gram, a) - 2 * np.einsum("ij,ij->", a @ inside, z))
    return max(0.0, total)
