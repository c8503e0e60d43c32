"""Stage `bases`: from corpora of registered heads to an ID-3DMM and an AU-3DMM."""

from __future__ import annotations

import dataclasses
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
from au3dmm.core.mirror import mirror_matrix, mirror_offsets, mirror_partners
from au3dmm.core.offset_space import (
    OffsetSpace,
    ReducedOffsets,
    eyelid_weights,
    plain_dictionary,
    reduce_offsets,
    unexplained,
)
from au3dmm.core.pca import Pca, fit_pca
from au3dmm.errors import ConfigError, FitError, SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.stages.bases_checks import check_landmarks, repeated, some_head
from au3dmm.stages.bases_info import component_info, corpora_info, learning_info, rounded
from au3dmm.stages.bases_intensities import bases_intensities, intensity_info
from au3dmm.stages.bases_rows import OffsetRows, offset_rows
from au3dmm.stages.bases_std_factors import bases_std_factors

READS = ("corpora",)
WRITES = ("bases",)
# 2: eyelids count more, mirrored heads, action unit intensities
# 3: how sure each component is
VERSION = 3

K_ID_MOST = 22  # what FACEMORPHIC uses
_STILL_M = 1e-6
_RANK_TOLERANCE = 1e-5  # of the strongest direction; rows are float32
_LOPSIDED = (
    "the head's vertices have no mirror partners: nothing is learnt from mirrored heads, and alpha of a flipped"
    " picture is not known"
)
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
    rows = offset_rows(
        corpora,
        reference,
        params.neutral,
        workers,
        functools.partial(say, "register"),
        partners=functools.partial(_partners, faces, embedding) if params.mirrored else None,
    )
    if params.mirrored and rows.partner is None:
        rows = dataclasses.replace(rows, warnings=(*rows.warnings, _LOPSIDED))
    for subject, head in zip(rows.subjects, rows.neutrals, strict=True):
        check_landmarks(head, faces, embedding, f"the neutral head of {subject}, registered,")
    for text in rows.warnings:
        log.warning("%s", text)
    identity = _identity(rows, params)
    template = identity.mean.reshape(-1, 3)
    landmarks = landmark_positions(template, faces, embedding)
    # the matrix can be had without learning from mirrored rows
    partner = rows.partner if params.mirrored else mirror_partners(template, faces, landmarks)
    space = _space(rows, params, template, landmarks)
    reduced = _reduce(rows, params, space, workers, functools.partial(say, "reduce"))
    vertices = rows.n_columns // 3
    common = {
        **corpora_info(rows),
        "is_flame_topology": is_flame_topology,
        "stage_version": VERSION,
        "fingerprint": fingerprint,
        "params": params.model_dump(mode="json"),
        "rank": len(reduced.directions),
        "mirrored": rows.partner is not None,
        "truncation_rms_mm": 1e3 * float(np.sqrt(reduced.truncated / rows.n_rows / vertices)),
        "k_id": len(identity.stddev),
        "variance_explained_id": rounded(identity.explained),
    }
    made = {}
    for k, path in outputs.items():
        weighted = _learn(reduced, k, params, workers, functools.partial(say, f"learn K={k}"))
        learnt = plain_dictionary(weighted, reduced.space)
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
        left = unexplained(reduced, learnt)
        mirror = None if partner is None else mirror_matrix(components, partner, nonnegative=not signed)
        repeats = repeated(learnt, names)
        for text in repeats:
            log.warning("%s", text)
        read = bases_intensities(rows, reduced, components, stddev, params, (template, landmarks))
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
                **learning_info(learnt, weighted, params, reduced, left, vertices),
                "warnings": [*rows.warnings, *repeats],
                "components": component_info(rows, learnt, stddev, meanings, names),
                **({} if mirror is None else {"mirror_error": float(f"{mirror[1]:.7g}")}),
                **intensity_info(read),
            },
            mirror_au=None if mirror is None else mirror[0],
            intensities=None if read is None else read.intensities,
            std_factor_au=bases_std_factors(
                rows, reduced, components, params, faces, embedding, None if mirror is None else mirror[0]
            ),
        )
        write_bases(path, made[k])
        log.info("bases K=%d: %.1f %% of the motion explained", k, 100 * made[k].info["variance_explained_au"])
    return made


def _identity(rows: OffsetRows, params: BasesParams) -> Pca:
    n = len(rows.subjects)
    if n < 2:
        raise SchemaError(f"identity: {n} subject in the corpus; expected at least 2: n subjects give n - 1 components")
    heads = rows.neutrals
    if rows.partner is not None:
        heads = np.concatenate([heads, mirror_offsets(heads, rows.partner)])
    pca = fit_pca(heads.reshape(len(heads), -1))
    found = len(pca.stddev)
    also = "" if rows.partner is None else ", mirrored, too,"
    if params.k_id > found:
        raise ConfigError(
            f"identity: {params.k_id} components asked for, but {n} subjects{also} give {found}; ask for fewer (--k-id)"
        )
    k = params.k_id or K_ID_MOST
    return Pca(pca.mean, pca.directions[:k], pca.stddev[:k], pca.explained[:k])


def _partners(
    faces: NDArray[np.int32], embedding: LandmarkEmbedding, head: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    return mirror_partners(head, faces, landmark_positions(head, faces, embedding))


def _space(
    rows: OffsetRows, params: BasesParams, template: NDArray[np.float64], landmarks: NDArray[np.float64]
) -> OffsetSpace:
    # principal components are those of the offsets as they are
    weights = eyelid_weights(template, landmarks, 1.0 if params.method == "pca" else params.eyelid_weight)
    if rows.partner is not None:
        weights = (weights + weights[rows.partner]) / 2
    return OffsetSpace(np.sqrt(weights).astype(np.float32), rows.partner)


def _reduce(
    rows: OffsetRows, params: BasesParams, space: OffsetSpace, workers: int, progress: Callable[[int, int], None]
) -> ReducedOffsets:
    k = max(params.k_au)
    most = min(rows.n_rows, rows.n_columns)
    if k > most:
        raise ConfigError(f"bases: {k} AU components of {rows.n_rows} frames; ask for at most {most} (--k-au)")
    rank = min(max(params.rank, 2 * k), most)
    try:
        reduced = reduce_offsets(
            rows.read, rows.sizes, space, rank, seed=params.seed, workers=workers, progress=progress
        )
    except FitError as err:
        if "not finite" in str(err):
            raise SchemaError(f"{rows.first_bad()} holds vertices that are not finite; mend or remove it") from err
        raise
    if not np.sqrt(reduced.energy / rows.n_rows / (rows.n_columns // 3)) > _STILL_M:
        name = rows.corpora[0].name
        raise SchemaError(f"corpus {name}: no frame differs from its neutral head; nothing can be learnt")
    strength = reduced.singular_values
    supported = int((strength > _RANK_TOLERANCE * strength[0]).sum())
    if k > supported:
        raise ConfigError(
            f"bases: {k} AU components asked for, but the corpus moves in {supported} independent ways; ask for fewer"
            " (--k-au)"
        )
    return reduced


def _learn(
    reduced: ReducedOffsets, k: int, params: BasesParams, workers: int, progress: Callable[[int, int], None]
) -> Dictionary:
    if params.method == "pca":
        codes = reduced.coordinates[:, :k]
        sign = np.where(codes.sum(0, dtype=np.float64) < 0, -1.0, 1.0)
        return Dictionary(reduced.directions[:k].astype(np.float64) * sign[:, None], codes * sign, (), 0)
    return learn_dictionary(
        reduced.coordinates,
        k,
        params.l1 * reduced.rms,
        params.l2,
        nonnegative=params.codes == "nonnegative",
        epochs=params.epochs,
        overcomplete=params.overcomplete,
        seed=params.seed,
        workers=workers,
        directions=reduced.directions,
        locality=params.locality if params.method == "localised" else 0.0,
        parity=reduced.parity,
        mirrored=None if reduced.parity is None else reduced.space.mirrored,
        progress=progress,
    )
