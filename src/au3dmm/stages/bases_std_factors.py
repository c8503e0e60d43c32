"""Learn how sure each component of a basis is, from the takes of its corpora: fitted as recordings are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams, FitParams
from au3dmm.core.fitting import SOLVING
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.neutral import spread_evenly
from au3dmm.core.offset_space import ReducedOffsets
from au3dmm.core.std_factors import FRAMES_MOST, KnownMotion, best_codes, learn_std_factors
from au3dmm.stages.bases_rows import OffsetRows


def bases_std_factors(
    rows: OffsetRows,
    reduced: ReducedOffsets,
    components: NDArray[np.float64],
    params: BasesParams,
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    mirror: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """Learn the factors of a basis' standard deviations (K,); None if its codes have signs.

    Takes with tags, in which people show action units, and takes without, in which most speak, are two groups that
    count alike: which components are mixed up depends on what else moves.

    Parameters
    ----------
    rows : OffsetRows
        Takes and neutral heads.
    reduced : ReducedOffsets
        Their offsets.
    components : (K, V, 3) array
        m per standard deviation.
    params : BasesParams
        Values of ``[bases]``.
    faces, embedding
        Triangles, and the 68 landmarks on them.
    mirror : (K, K) array or None
        Mirror matrix: where it only swaps components, the swapped ones get one factor.
    """
    if params.method == "pca" or params.codes == "signed":
        return None
    directions = reduced.plain_directions
    flat = components.reshape(len(components), -1)
    onto, gram = directions @ flat.T, flat @ flat.T
    marks = landmark_positions(directions.reshape(len(directions), -1, 3), faces, embedding)
    heads = landmark_positions(rows.neutrals, faces, embedding)
    owner = np.empty(rows.n_rows, np.int64)
    tagged = np.zeros(rows.n_rows, bool)
    for take in rows.takes:
        owner[take.rows], tagged[take.rows] = take.owner, bool(take.action_units)
    groups = []
    for kind in (tagged, ~tagged):
        some = spread_evenly(np.flatnonzero(kind), FRAMES_MOST)
        if len(some):
            z = reduced.coordinates[some].astype(np.float64)
            offsets = np.tensordot(z, marks, axes=1)
            groups.append(KnownMotion(heads, offsets, owner[some], best_codes(z @ onto, gram)))
    fit = FitParams()
    return learn_std_factors(
        groups,
        landmark_positions(components, faces, embedding),
        sigma_px=fit.sigma_px,
        jaw_weight=fit.jaw_weight,
        camera=fit.camera,
        perspective_passes=fit.perspective_passes,
        partner=None if mirror is None else _swaps(mirror),
        **fit.model_dump(include=set(SOLVING)),
    )


def _swaps(mirror: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return which component each one becomes in the mirror, if the matrix only swaps, to 1e-3; otherwise None.

    Examples
    --------
    >>> _swaps(np.array([[0.0, 1.0], [1.0, 0.0]]))
    array([1, 0])
    """
    partner = mirror.argmax(1)
    every = np.arange(len(mirror))
    # components are rounded after the matrix' least squares could be exact: crumbs of 1e-5 are left
    permutes = np.allclose(mirror, np.eye(len(mirror))[partner], atol=1e-3) and np.array_equal(partner[partner], every)
    return partner if permutes else None
