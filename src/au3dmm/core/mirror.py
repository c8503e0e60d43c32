"""Mirror images of a head's vertices, of what moves them, and of the coefficients of that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import cKDTree

from au3dmm.core.basis import Bases
from au3dmm.core.landmarks import eye_distance
from au3dmm.core.regions import head_axes
from au3dmm.core.registration import register
from au3dmm.core.sparse_codes import encode
from au3dmm.errors import FitError

_SAME = np.array([-1.0, 1.0, 1.0])
_ROUNDS = 40
_FAR = 0.06  # of the outer eye distance: the mean of a few people misses its mirror image by 0.01, one person by 0.03
_LOST = 0.01  # of the vertices may be without a partner that their neighbours agree on


def mirror_partners(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], landmarks: NDArray[np.floating]
) -> NDArray[np.int64] | None:
    """Find the vertex that stands for the mirror image of each, on a head that need not be quite symmetric.

    First by place: the vertex nearest to the mirror image. Then by neighbours, which tells close vertices of a lopsided
    head apart: partners of neighbours are neighbours. Triangles need not be mirrored (quads that were cut along one of
    their diagonals are not). Up to one vertex in a hundred that stays without a partner is paired by place, or is its
    own.

    Parameters
    ----------
    vertices : (V, 3) array
        m, y up, z out of the face.
    faces : (F, 3) int array
        Triangles.
    landmarks : (68, 3) array
        Of this head, m.

    Returns
    -------
    (V,) int array, or None
        ``partner[partner] == arange(V)``; a vertex on the midline is its own. None if the mesh has no such partners, or
        they lie farther than 0.06 eye distances (rms) from the mirror images.

    Raises
    ------
    SchemaError
        If the landmarks are not those of a face.
    """
    v = np.asarray(vertices, np.float64)
    origin, axes = head_axes(landmarks)
    mirrored = v - 2 * ((v - origin) @ axes[0])[:, None] * axes[0]
    near, partner = cKDTree(v).query(mirrored)
    partner = np.asarray(partner, np.int64)
    every = np.arange(len(v))
    unit = float(eye_distance(landmarks))
    if float(np.sqrt((near**2).mean())) > _FAR * unit:
        return None
    if not (partner[partner] == every).all():
        partner = _by_neighbours(v, mirrored, partner, _adjacency(faces, len(v)), unit)
    lost = np.flatnonzero(partner[partner] != every)
    if len(lost) > _LOST * len(v):
        return None
    partner = _by_place(v, mirrored, partner, lost)
    apart = np.sqrt(((v[partner] - mirrored) ** 2).sum(1).mean())
    return partner if apart <= _FAR * unit else None


def mirror_offsets(offsets: NDArray[np.floating], partner: NDArray[np.integer]) -> NDArray[np.floating]:
    """Return the mirror image of displacements (..., V, 3) in the plane x = 0.

    Examples
    --------
    >>> mirror_offsets(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), np.array([1, 0]))[1]
    array([-1.,  2.,  3.])
    """
    return np.asarray(offsets[..., partner, :] * _SAME.astype(offsets.dtype))


def symmetric_head(head: NDArray[np.floating], partner: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the mean (V, 3) of a head and its mirror image, m: its mirror plane is x = the mean of x.

    Raises
    ------
    FitError
        If they cannot be registered.
    """
    h = np.asarray(head, np.float64)
    h = h - h.mean(0)
    for _ in range(3):  # each time turned half way towards its mirror image, until both agree
        image = mirror_offsets(h, partner)
        h = (h + register(h, image).apply(h)) / 2
    h = (h + mirror_offsets(h, partner)) / 2
    found = register(h, np.asarray(head, np.float64))
    # moved to where the head was, but not turned: the plane stays
    return np.asarray(h + [float(found.translation[0]), *(np.asarray(head).mean(0) - h.mean(0))[1:]])


def mirror_matrix(
    components: NDArray[np.floating], partner: NDArray[np.integer], *, nonnegative: bool = True
) -> tuple[NDArray[np.float64], float]:
    """Find the matrix that turns codes into those of the mirrored face.

    Row j of M holds the codes of the mirror image of component j, by least squares: ``alpha_mirrored = alpha @ M``.

    Parameters
    ----------
    components : (K, V, 3) array
        m per standard deviation: in that unit all weigh alike.
    partner : (V,) int array
        See `mirror_partners`.
    nonnegative : bool
        Whether codes may not be negative.

    Returns
    -------
    matrix : (K, K) array
        A permutation if components are pairs of mirror images, or mirror images of themselves.
    error : float
        Share of the mirrored components' energy that they leave.

    Examples
    --------
    >>> brow = np.zeros((2, 2, 3)); brow[0, 0, 1] = brow[1, 1, 1] = 1e-3
    >>> mirror_matrix(brow, np.array([1, 0]))
    (array([[0., 1.],
           [1., 0.]]), 0.0)
    """
    k = len(components)
    flat = np.asarray(components, np.float64).reshape(k, -1)
    size = np.sqrt((flat**2).sum(1).mean())
    if not size > 0:
        raise FitError(f"mirror: all {k} components are zero")
    flat = flat / size
    image = mirror_offsets(flat.reshape(k, -1, 3), partner).reshape(k, -1)
    at = np.flatnonzero((flat**2).sum(1) > 0)  # a component that moves nothing is nobody's mirror image
    # pairs are found exactly, whatever rounding has left of them
    matrix = np.zeros((k, k))
    matrix[:, at] = (
        encode(image, flat[at], 0.0, 1e-9, nonnegative=True, sweeps=20_000, tolerance=1e-10)
        if nonnegative
        else np.linalg.lstsq(flat[at].T, image.T, rcond=1e-6)[0].T
    )
    matrix[np.abs(matrix) < 1e-5] = 0
    matrix = np.where(np.abs(matrix - 1) < 1e-5, 1.0, matrix)
    left = ((image - matrix @ flat) ** 2).sum()
    return matrix, float(left / (image**2).sum())


def _adjacency(faces: NDArray[np.integer], n: int) -> csr_matrix:
    a = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2]])
    b = np.concatenate([faces[:, 1], faces[:, 2], faces[:, 0]])
    one = coo_matrix((np.ones(len(a), np.float32), (a, b)), shape=(n, n)).tocsr()
    both = one + one.T
    both.data[:] = 1
    return both


def _by_neighbours(
    v: NDArray[np.float64],
    mirrored: NDArray[np.float64],
    partner: NDArray[np.int64],
    adjacency: csr_matrix,
    unit: float,
) -> NDArray[np.int64]:
    """Let the neighbours of each vertex vote: for the neighbours of their own partners; place breaks ties."""
    n = len(v)
    every = np.arange(n)
    degree = np.maximum(np.diff(adjacency.indptr), 1)
    shift = np.zeros_like(v)
    for _ in range(_ROUNDS):
        # votes of those whose partner's partner they are; where nobody votes, what was found stays
        trusted = (partner[partner] == every).astype(np.float32)
        moved = coo_matrix((trusted, (every, partner)), shape=(n, n)).tocsr()
        votes = (adjacency @ moved @ adjacency).tocoo()
        # the head and its mirror image differ smoothly: by as much as at the neighbours
        weight = np.maximum(np.asarray(adjacency @ trusted).ravel(), 1e-9)
        shift = np.asarray(adjacency @ (trusted[:, None] * (v[partner] - mirrored))) / weight[:, None]
        away = np.linalg.norm(v[votes.col] - mirrored[votes.row] - shift[votes.row], axis=1) / unit
        score = votes.data / degree[votes.row] - 10 * away
        order = np.lexsort((votes.col, -score, votes.row))
        first = np.unique(votes.row[order], return_index=True)[1]
        best = partner.copy()
        best[votes.row[order][first]] = votes.col[order][first]
        if (best == partner).all():
            break
        partner = best
    return partner


def _by_place(
    v: NDArray[np.float64], mirrored: NDArray[np.float64], partner: NDArray[np.int64], lost: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Pair the few that are left with each other, the nearest first; who finds nobody is his own partner."""
    found = partner.copy()
    found[lost] = lost
    if not len(lost):
        return found
    apart = np.linalg.norm(v[lost][None] - mirrored[lost][:, None], axis=2)
    apart = apart + apart.T
    free = np.ones(len(lost), bool)
    for at in np.argsort(apart, axis=None, kind="stable"):
        i, j = divmod(int(at), len(lost))
        if free[i] and free[j]:
            found[lost[i]], found[lost[j]] = lost[j], lost[i]
            free[[i, j]] = False
    return found


def basis_mirror(bases: Bases) -> tuple[NDArray[np.float64], float | None] | None:
    """Return a basis' mirror matrix (K_au, K_au) and its error: as stored, otherwise worked out from its shape.

    Returns
    -------
    matrix, error
        See `mirror_matrix`; the error is None where a file holds a matrix and does not say. None if its head has no
        mirror partners.
    """
    if bases.mirror_au is not None:
        error = bases.info.get("mirror_error")
        return bases.mirror_au, float(error) if isinstance(error, int | float) else None
    partner = mirror_partners(bases.template, bases.faces, bases.landmarks()[0])
    if partner is None:
        return None
    signed = bases.info.get("method") == "pca" or bases.info.get("codes") == "signed"
    return mirror_matrix(bases.components_au, partner, nonnegative=not signed)
