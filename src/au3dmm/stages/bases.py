"""Stage `bases`: from corpora of registered heads to an ID-3DMM and an AU-3DMM."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams
from au3dmm.core.basis import Bases, topology_hash
from au3dmm.core.dictionary import Dictionary, learn_dictionary
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.meaning import component_names, describe_components
from au3dmm.core.pca import Pca, fit_pca
from au3dmm.core.reduction import Reduction, reduce_rows
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.stages.bases_info import component_info, corpora_info, learning_info, rounded
from au3dmm.stages.bases_rows import OffsetRows, offset_rows

READS = ("corpora",)
WRITES = ("bases",)
VERSION = 1

K_ID_MOST = 22  # what FACEMORPHIC uses
_STILL_M = 1e-6
_ROUND_M = 1e-8  # components are rounded to this, m: a hundred times below a scanner's noise

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]


def run(
    *,
    corpora: Sequence[Corpus],
    faces: NDArray[np.int32],
    embedding: LandmarkEmbedding,
    reference: NDArray[np.float64] | None,
    is_flame_topology: bool,
    outputs: Mapping[int, Path],
    params: BasesParams,
    fingerprint: str = "",
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[int, Bases]:
    """Learn both models and write one basis file for each number of AU components.

    Parameters
    ----------
    corpora : sequence of Corpus
        On one topology.
    faces : (F, 3) int32 array
        Its triangles.
    embedding : LandmarkEmbedding
        Its 68 landmarks.
    reference : (V, 3) array, optional
        A head in the frame wanted, m.
    is_flame_topology : bool
        Recorded.
    outputs : mapping of int to Path
        Where the basis with so many AU components goes.
    params : BasesParams
        Values of ``[bases]``.
    fingerprint : str
        Recorded.
    workers : int
        Threads; they change nothing in the files.
    progress : callable, optional
        Told (step, done, total); steps are ``register``, ``reduce`` and ``learn K=..``.

    Returns
    -------
    dict of int to Bases
        What was written.

    Raises
    ------
    SchemaError
        If corpora disagree or are not what they should be.
    FitError
        If the corpora do not support as many components.
    """
    say = progress or (lambda step, done, total: None)
    rows = offset_rows(corpora, reference, params.neutral, workers, functools.partial(say, "register"))
    for text in rows.warnings:
        log.warning("%s", text)
    identity = _identity(rows, params)
    reduction = _reduce(rows, params, workers, functools.partial(say, "reduce"))
    vertices = rows.n_columns // 3
    scale = float(np.sqrt(reduction.energy / rows.n_rows))
    if not scale / np.sqrt(vertices) > _STILL_M:
        raise SchemaError(f"corpus {corpora[0].name}: no frame differs from its neutral head; nothing can be learnt")
    template = identity.mean.reshape(-1, 3)
    landmarks = landmark_positions(template, faces, embedding)
    common = {
        **corpora_info(rows),
        "is_flame_topology": is_flame_topology,
        "stage_version": VERSION,
        "fingerprint": fingerprint,
        "params": params.model_dump(mode="json"),
        "rank": len(reduction.directions),
        "truncation_rms_mm": 1e3 * float(np.sqrt(reduction.residual / rows.n_rows / vertices)),
        "k_id": len(identity.stddev),
        "variance_explained_id": rounded(identity.explained),
    }
    made = {}
    for k, path in outputs.items():
        learnt = _learn(reduction, k, params, scale, workers, functools.partial(say, f"learn K={k}"))
        stddev = np.sqrt(learnt.energy / rows.n_rows)
        components = np.round((learnt.atoms * stddev[:, None]).reshape(k, vertices, 3) / _ROUND_M) * _ROUND_M
        signed = params.method == "pca" or params.codes == "signed"
        meanings = describe_components(template, faces, components, landmarks, signed=signed)
        names = component_names(meanings)
        left = _residual(reduction, learnt)
        made[k] = Bases(
            template=template,
            faces=faces,
            components_id=(identity.directions * identity.stddev[:, None]).reshape(-1, vertices, 3),
            components_au=components,
            stddev_id=identity.stddev,
            stddev_au=stddev,
            embedding=embedding,
            names_au=names,
            info={
                **common,
                **learning_info(learnt, params, reduction.energy, left, vertices),
                "components": component_info(rows, learnt, stddev, meanings, names),
            },
        )
        write_bases(path, made[k])
        log.info("bases K=%d: %.1f %% of the motion explained", k, 100 * made[k].info["variance_explained_au"])
    return made


def same_topology(corpora: Sequence[Corpus]) -> tuple[int, NDArray[np.int32] | None]:
    """Return the vertex count and triangles (None if no corpus has them) that all corpora share.

    Raises
    ------
    SchemaError
        If two of them are of different topologies.
    """
    first = corpora[0]
    v = int(first.frames.shape[1])
    found: tuple[str, NDArray[np.int32]] | None = None
    for corpus in corpora:
        if int(corpus.frames.shape[1]) != v:
            raise SchemaError(
                f"corpus {corpus.name} has {corpus.frames.shape[1]} vertices, {first.name} has {v}; corpora that are"
                " fitted together must be of one topology"
            )
        if corpus.faces is None:
            continue
        if found is not None and topology_hash(v, corpus.faces) != topology_hash(v, found[1]):
            raise SchemaError(
                f"corpora {found[0]} and {corpus.name} have other triangles; corpora that are fitted together must be"
                " of one topology"
            )
        found = found or (corpus.name, corpus.faces)
    return v, None if found is None else found[1]


def _identity(rows: OffsetRows, params: BasesParams) -> Pca:
    n = len(rows.subjects)
    if n < 2:
        raise FitError(f"identity: {n} subject in the corpus; expected at least 2, as n subjects give n - 1 components")
    flat = rows.neutrals.reshape(n, -1)
    try:
        return fit_pca(flat, params.k_id) if params.k_id else _most(fit_pca(flat))
    except FitError as err:
        raise FitError(f"identity: {err}; n subjects give at most n - 1 components (--k-id)") from err


def _most(pca: Pca) -> Pca:
    k = K_ID_MOST
    return Pca(pca.mean, pca.directions[:k], pca.stddev[:k], pca.explained[:k])


def _reduce(rows: OffsetRows, params: BasesParams, workers: int, progress: Callable[[int, int], None]) -> Reduction:
    k = max(params.k_au)
    most = min(rows.n_rows, rows.n_columns)
    if k > most:
        raise FitError(f"bases: {k} AU components of {rows.n_rows} frames; expected at most {most} (--k-au)")
    rank = min(max(params.rank, 2 * k), most)
    try:
        return reduce_rows(
            rows.read, rows.sizes, rows.n_columns, rank, seed=params.seed, workers=workers, progress=progress
        )
    except FitError as err:
        if "not finite" in str(err):
            raise SchemaError(f"{rows.first_bad()} holds vertices that are not finite; mend or remove it") from err
        raise


def _learn(
    reduction: Reduction,
    k: int,
    params: BasesParams,
    scale: float,
    workers: int,
    progress: Callable[[int, int], None],
) -> Dictionary:
    if params.method == "pca":
        strength = reduction.singular_values
        supported = int((strength > 1e-5 * strength[0]).sum())  # rows are float32
        if k > supported:
            raise FitError(f"bases: {k} principal components of offsets that have {supported}; ask for fewer (--k-au)")
        codes = reduction.coordinates[:, :k]
        sign = np.where(codes.sum(0, dtype=np.float64) < 0, -1.0, 1.0)
        return Dictionary(reduction.directions[:k].astype(np.float64) * sign[:, None], codes * sign, (), ())
    return learn_dictionary(
        reduction.coordinates,
        k,
        params.l1 * scale,
        params.l2,
        nonnegative=params.codes == "nonnegative",
        epochs=params.epochs,
        overcomplete=params.overcomplete,
        seed=params.seed,
        workers=workers,
        directions=reduction.directions,
        locality=params.locality if params.method == "localised" else 0.0,
        progress=progress,
    )


def _residual(reduction: Reduction, learnt: Dictionary) -> float:
    """Return the sum of squares that the codes leave of all offsets, m^2."""
    inside = learnt.atoms @ reduction.directions.T.astype(np.float64)
    gram = learnt.atoms @ learnt.atoms.T
    total = reduction.energy
    for i in range(0, len(learnt.codes), 8192):
        a = learnt.codes[i : i + 8192].astype(np.float64)
        z = reduction.coordinates[i : i + 8192].astype(np.float64)
        total += float(np.einsum("ij,ij->", a @ gram, a) - 2 * np.einsum("ij,ij->", a @ inside, z))
    return max(0.0, total)
