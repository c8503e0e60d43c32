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
from au3dmm.core.landmark_order import check_landmarks68
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.meaning import component_names, describe_components
from au3dmm.core.pca import Pca, fit_pca
from au3dmm.core.reduction import Reduction, reduce_rows
from au3dmm.errors import ConfigError, FitError, SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.stages.bases_info import component_info, corpora_info, learning_info, rounded
from au3dmm.stages.bases_rows import OffsetRows, offset_rows

READS = ("corpora",)
WRITES = ("bases",)
VERSION = 1

K_ID_MOST = 22  # what FACEMORPHIC uses
_STILL_M = 1e-6
_RANK_TOLERANCE = 1e-5  # of the strongest direction; rows are float32
_ALIKE = 0.98  # |cos| of two components from which they are told to be one
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
    _check_landmarks(corpora[0], faces, embedding)
    rows = offset_rows(corpora, reference, params.neutral, workers, functools.partial(say, "register"))
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
        if unused:
            raise ConfigError(
                f"bases: {unused} of {k} AU components are of use to no frame; ask for {k - unused} or fewer (--k-au)"
            )
        components = np.round((learnt.atoms * stddev[:, None]).reshape(k, vertices, 3) / _ROUND_M) * _ROUND_M
        signed = params.method == "pca" or params.codes == "signed"
        meanings = describe_components(template, faces, components, landmarks, signed=signed)
        names = component_names(meanings)
        left = _residual(reduction, learnt)
        repeats = _repeats(learnt, names)
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


def _check_landmarks(corpus: Corpus, faces: NDArray[np.int32], embedding: LandmarkEmbedding) -> None:
    """Refuse landmarks that are not those of a face, before hours are spent on a corpus."""
    subject = corpus.subjects[0]
    if subject in corpus.neutrals:
        head = corpus.neutrals[subject]
    else:
        row = int(corpus.neutral_rows[subject][0])
        head = corpus.frames[row : row + 1][0].astype(np.float64)
    try:
        check_landmarks68(landmark_positions(head, faces, embedding))
    except SchemaError as err:
        raise SchemaError(f"corpus {corpus.name}, head of {subject}: {err}") from err


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


def _repeats(learnt: Dictionary, names: Sequence[str]) -> list[str]:
    """Tell components that hardly differ from a stronger one: more were asked for than the corpus has."""
    cosine = np.abs(learnt.atoms @ learnt.atoms.T)
    again = [names[i] for i in range(1, len(names)) if cosine[i, :i].max() > _ALIKE]
    if not again:
        return []
    return [
        f"{len(again)} of {len(names)} AU components nearly repeat another ({', '.join(again[:6])}"
        f"{', ...' if len(again) > 6 else ''}); fewer would do (--k-au {len(names) - len(again)})"
    ]


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
