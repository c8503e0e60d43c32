"""Motion of a face in few coordinates: offsets from the neutral face along orthonormal directions.

Networks that work on vertex offsets (`models.au_d3dface`) take and give these: the squared length of a row of
coordinates is the mean square of its offsets over the vertices, mm^2, and a linear layer on coordinates is one on
offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.codes import solve_codes
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.errors import FitError, SchemaError

_MM = 1e3
_TINY = 1e-9  # of the largest eigenvalue: directions below it are noise of float32 components


@dataclass(frozen=True)
class MotionSpace:
    """R directions in which a face moves.

    Attributes
    ----------
    directions : (R, V, 3) float64 array
        Offsets at a coordinate of 1, mm; orthonormal: ``sum_v weights_v d_rv . d_sv`` is 1 or 0.
    weights : (V,) float64 array
        Of the vertices, not negative, their sum 1.
    of_alpha : (K, R) float64 array
        ``alpha @ of_alpha`` are the coordinates of ``alpha . components``, exactly.
    topology_hash : str
        Of the mesh (`core.basis.topology_hash`).
    """

    directions: NDArray[np.float64]
    weights: NDArray[np.float64]
    of_alpha: NDArray[np.float64]
    topology_hash: str

    def __post_init__(self) -> None:
        r, v = self.directions.shape[0], self.directions.shape[1]
        if self.directions.shape != (r, v, 3) or self.weights.shape != (v,) or self.of_alpha.shape[1:] != (r,):
            raise SchemaError(
                f"motion space: directions {self.directions.shape}, weights {self.weights.shape} and of_alpha"
                f" {self.of_alpha.shape}; expected (R, V, 3), (V,) and (K, R)"
            )

    @property
    def n_motion(self) -> int:
        """R."""
        return len(self.directions)

    def coordinates(self, offsets: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the coordinates (..., R), mm, of offsets (..., V, 3), m: of what the directions hold of them.

        Raises
        ------
        SchemaError
            If the offsets are those of another mesh.
        """
        if offsets.shape[-2:] != self.directions.shape[1:]:
            raise SchemaError(
                f"motion space: offsets {offsets.shape}, expected (..., {self.directions.shape[1]}, 3); this is another"
                " topology"
            )
        weighted = self.directions * (_MM * self.weights[:, None])
        return np.asarray(np.tensordot(offsets, weighted, axes=([-2, -1], [1, 2])))

    def offsets(self, coordinates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the offsets (..., V, 3), m, of coordinates (..., R), mm."""
        return np.asarray(np.tensordot(coordinates, self.directions / _MM, axes=([-1], [0])))

    def masked(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return P (R, R): ``P @ c`` are the coordinates of masked motion, of which lengths stay what they are.

        ``|P c|^2`` is the weighted mean square of the offsets within the mask, and any linear function of the masked
        offsets of c is one of ``P c``. Rows of P are zeros where the mask leaves fewer dimensions.

        Parameters
        ----------
        mask : (V,) bool array
            Which vertices are seen.

        Raises
        ------
        SchemaError
            If the mask is of another mesh.
        """
        if mask.shape != self.weights.shape:
            raise SchemaError(
                f"motion space: mask {mask.shape}, expected ({len(self.weights)},); this is another topology"
            )
        seen = (self.directions[:, mask] * np.sqrt(self.weights[mask])[:, None]).reshape(self.n_motion, -1)
        values, vectors = np.linalg.eigh(seen @ seen.T)
        root = np.sqrt(np.where(values > _TINY, values, 0.0))
        return np.ascontiguousarray((root[:, None] * vectors.T)[::-1])

    def landmarks(self, faces: NDArray[np.integer], embedding: LandmarkEmbedding) -> NDArray[np.float64]:
        """Return how the landmarks move along each direction, (R, n, 3), m per mm."""
        return landmark_positions(self.directions / _MM, faces, embedding)

    def alpha(
        self, coordinates: NDArray[np.floating], ridge: float = 1e-9, *, nonnegative: bool = False
    ) -> NDArray[np.float64]:
        """Return the coefficients (..., K) whose motion is nearest to coordinates (..., R), by least squares.

        Parameters
        ----------
        coordinates : (..., R) array
            mm
        ridge : float
            Of the coefficients, as a share of the largest eigenvalue: components that are nearly alike stay small.
        nonnegative : bool
            Whether none may be below 0, as where codes are not negative.
        """
        gram = self.of_alpha @ self.of_alpha.T
        most = float(np.linalg.eigvalsh(gram)[-1])
        flat = np.reshape(np.asarray(coordinates, np.float64), (-1, self.n_motion))
        if nonnegative:
            k, n = len(gram), len(flat)
            alone = np.zeros((6, k, k))
            alone[0] = gram / most  # solve_codes takes six matrices and how each frame mixes them: here it is one
            mix = np.tile(np.eye(1, 6), (n, 1))
            right = flat @ (self.of_alpha.T / most)
            codes = solve_codes(alone, mix, right, np.full(k, ridge), np.ones(n), 0, True, 0.0, spread=False)
            return codes.alpha.reshape(*np.shape(coordinates)[:-1], k)
        gram = gram + ridge * most * np.eye(len(gram))
        found = np.linalg.solve(gram, self.of_alpha @ flat.T).T
        return np.asarray(found.reshape(*np.shape(coordinates)[:-1], -1))


def motion_space(
    components: NDArray[np.floating],
    topology_hash: str,
    n_motion: int,
    offsets: NDArray[np.floating] | None = None,
    weights: NDArray[np.floating] | None = None,
) -> MotionSpace:
    """Find directions that hold all that components can do, and then most of some other motion.

    The first K span the components; those that follow are the principal components (without subtracting a mean) of
    what the first leave of `offsets`: what no coefficient can show, and a refined face may.

    Parameters
    ----------
    components : (K, V, 3) array
        m per standard deviation.
    topology_hash : str
        Of their mesh.
    n_motion : int
        R, at least K. Where there is not so much motion, directions beyond are zeros.
    offsets : (n, V, 3) array, optional
        Of faces from neutral, m.
    weights : (V,) array, optional
        Of the vertices, not negative; default: equal.

    Raises
    ------
    FitError
        If R is below K, shapes disagree, or components move nothing.

    Examples
    --------
    >>> c = np.zeros((1, 4, 3))
    >>> c[0, 0, 1] = 1e-3
    >>> motion_space(c, "", 1).of_alpha.round(3)
    array([[0.5]])
    """
    k, v = components.shape[:2]
    w = np.full(v, 1 / v) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    if n_motion < k or w.shape != (v,) or not (w >= 0).all():
        raise FitError(f"motion space: n_motion = {n_motion} and weights {w.shape} for components {components.shape};"
                       f" expected at least {k}, and ({v},) not negative")  # fmt: skip
    if offsets is not None and offsets.shape[1:] != (v, 3):
        raise FitError(f"motion space: offsets {offsets.shape}, expected (n, {v}, 3)")
    root = np.sqrt(w)[:, None]
    rows = (np.asarray(components, np.float64) * (_MM * root)).reshape(k, -1)
    _, size, first = np.linalg.svd(rows, full_matrices=False)
    if not size[0] > 0:
        raise FitError("motion space: the components move nothing where vertices have weight")
    first = first[size > 1e-9 * size[0]]
    found = [first]
    if offsets is not None and len(offsets) and n_motion > len(first):
        more = (np.asarray(offsets, np.float64) * (_MM * root)).reshape(len(offsets), -1)
        more = more - (more @ first.T) @ first
        values, vectors = np.linalg.eigh(more @ more.T if len(more) < 3 * v else more.T @ more)
        order = np.argsort(-values)[: n_motion - len(first)]
        order = order[values[order] > _TINY * max(float(values[-1]), np.finfo(float).tiny)]
        rest = vectors[:, order].T
        if len(more) < 3 * v:
            rest = (rest @ more) / np.sqrt(values[order])[:, None]
        found.append(rest - (rest @ first.T) @ first)
    basis = np.concatenate(found)
    # which way a direction points is arbitrary: its largest entry is positive, for any linear algebra library
    basis = basis * np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(1)])[:, None]
    directions = np.zeros((n_motion, v, 3))
    inside = w > 0
    # where a vertex has no weight, a direction says nothing of it: it stays where the neutral face has it
    directions[: len(basis), inside] = basis.reshape(-1, v, 3)[:, inside] / root[inside]
    of_alpha = np.zeros((k, n_motion))
    of_alpha[:, : len(basis)] = rows @ basis.T
    return MotionSpace(directions, w, of_alpha, topology_hash)
