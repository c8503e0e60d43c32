"""Stage `bases`: from corpora of registered heads to an ID-3DMM and an AU-3DMM."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams
from au3dmm.core.basis import Bases
from au3dmm.core.dictionary import Dictionary, learn_dictionary
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.meaning import component_names, describe_components
from au3dmm.core.pca import Pca, fit_pca
from au3dmm.core.reduction import Reduction, reduce_rows
from au3dmm.errors import ConfigError, FitError, SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.stages.bases_checks import check_landmarks, repeated, some_head
from au3dmm.stages.bases_info import component_info, corpora_info, learning_info, rounded
from au3dmm.stages.bases_rows import OffsetRows, offset_rows

READS = ("corpora",)
WRITES = ("bases",)
VERSION = 1

K_ID_MOST = 22  # what FACEMORPHIC uses
_STILL_M = 1e-6
_RANK_TOLERANCE = 1e-5  # of the strongest direction; rows are float32
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
    ConfigError
        If the corpora do not support as many components.
    """
    say = progress or (lambda step, done, total: None)
    first = corpora[0]
    check_landmarks(some_head(first), faces, embedding, f"corpus {first.name}")
    rows = offset_rows(corpora, reference, params.neutral, workers, functools.partial(say, "register"))
    for subject, head in zip(rows.subjects, rows.neutrals, strict=True):
        check_landmarks(head, faces, embedding, f"the neutral head of {subject}, registered,")
    for text in rows.warnings:
        log.warning("%s", text)
    identity = _identity(rows, params)
    reduction = _reduce(rows, params, workers, functools.partial(say, "reduce"))
    vertices = rows.n_columns // 3
    scale = float(np.sqrt(reduction.energy / rows.n_rows))
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
        unused = int((stddev <= _RANK_TOLERANCE * stddev[0]).sum())
        if unused == k:
            raise ConfigError(
                f"bases: none of the {k} AU components is worth its penalty to any frame; lower l1 in [bases], now"
                f" {params.l1}"
            )
        if unused:
            raise ConfigError(
                f"bases: {unused} of {k} AU components are of use to no frame; ask for {k - unused} or fewer (--k-au)"
            )
        components = np.round((learnt.atoms * stddev[:, None]).reshape(k, vertices, 3) / _ROUND_M) * _ROUND_M
        signed = params.method == "pca" or params.codes == "signed"
        meanings = describe_components(template, faces, components, landmarks, signed=signed)
        names = component_names(meanings)
        if learnt.restarted:
            log.info("bases K=%d: atoms that no frame used were started again %d times", k, learnt.restarted)
        left = _residual(reduction, learnt)
        repeats = repeated(learnt, names)
        for text in repeats:
            log.warning("%s", text)
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
                "warnings": [*rows.warnings, *repeats],
                "components": component_info(rows, learnt, stddev, meanings, names),
            },
        )
        write_bases(path, made[k])
        log.info("bases K=%d: %.1f %% of the motion explained", k, 100 * made[k].info["variance_explained_au"])
    return made


def _identity(rows: OffsetRows, params: BasesParams) -> Pca:
    n = len(rows.subjects)
    if n < 2:
        raise SchemaError(f"identity: {n} subject in the corpus; expected at least 2: n subjects give n - 1 components")
    pca = fit_pca(rows.neutrals.reshape(n, -1))
    found = len(pca.stddev)
    if params.k_id > found:
        raise ConfigError(
            f"identity: {params.k_id} components asked for, but {n} subjects give {found}; ask for fewer (--k-id)"
        )
    k = params.k_id or K_ID_MOST
    return Pca(pca.mean, pca.directions[:k], pca.stddev[:k], pca.explained[:k])


def _reduce(rows: OffsetRows, params: BasesParams, workers: int, progress: Callable[[int, int], None]) -> Reduction:
    k = max(params.k_au)
    most = min(rows.n_rows, rows.n_columns)
    if k > most:
        raise ConfigError(f"bases: {k} AU components of {rows.n_rows} frames; ask for at most {most} (--k-au)")
    rank = min(max(params.rank, 2 * k), most)
    try:
        reduction = reduce_rows(
            rows.read, rows.sizes, rows.n_columns, rank, seed=params.seed, workers=workers, progress=progress
        )
    except FitError as err:
        if "not finite" in str(err):
            raise SchemaError(f"{rows.first_bad()} holds vertices that are not finite; mend or remove it") from err
        raise
    if not np.sqrt(reduction.energy / rows.n_rows / (rows.n_columns // 3)) > _STILL_M:
        name = rows.corpora[0].name
        raise SchemaError(f"corpus {name}: no frame differs from its neutral head; nothing can be learnt")
    strength = reduction.singular_values
    supported = int((strength > _RANK_TOLERANCE * strength[0]).sum())
    if k > supported:
        raise ConfigError(
            f"bases: {k} AU components asked for, but the corpus moves in {supported} independent ways; ask for fewer"
            " (--k-au)"
        )
    return reduction


def _learn(
    reduction: Reduction,
    k: int,
    params: BasesParams,
    scale: float,
    workers: int,
    progress: Callable[[int, int], None],
) -> Dictionary:
    if params.method == "pca":
        codes = reduction.coordinates[:, :k]
        sign = np.where(codes.sum(0, dtype=np.float64) < 0, -1.0, 1.0)
        return Dictionary(reduction.directions[:k].astype(np.float64) * sign[:, None], codes * sign, (), 0)
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
