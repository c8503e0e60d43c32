"""Stage `bases`: from corpora of registered heads to an ID-3DMM and an AU-3DMM."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import au3dmm
from au3dmm.config import BasesParams
from au3dmm.core.basis import Bases, topology_hash
from au3dmm.core.dictionary import Dictionary, learn_dictionary
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.meaning import Association, associate, component_names, describe_components
from au3dmm.core.pca import Pca, fit_pca
from au3dmm.core.reduction import Reduction, reduce_rows
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.corpora.base import Corpus
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
) -> dict[str, Any]:
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
    dict
        ``subjects, sequences, frames, k_id, rank, truncation_rms_mm, warnings`` and ``models``: by K, ``rms_mm,
        variance_explained, sparsity, objective``.

    Raises
    ------
    SchemaError
        If corpora disagree or are not what they should be.
    FitError
        If the corpora do not support as many components.
    """
    say = progress or (lambda step, done, total: None)
    rows = offset_rows(corpora, reference, params.neutral, workers, lambda d, n: say("register", d, n))
    for text in rows.warnings:
        log.warning("%s", text)
    identity = _identity(rows, params)
    reduction = _reduce(rows, params, workers, lambda d, n: say("reduce", d, n))
    vertices = rows.n_columns // 3
    scale = float(np.sqrt(reduction.energy / rows.n_rows))
    if not scale * np.sqrt(3 / rows.n_columns) > _STILL_M:
        raise SchemaError(f"corpus {corpora[0].name}: no frame differs from its neutral head; nothing can be learnt")
    template = identity.mean.reshape(-1, 3)
    to_mm = 1e3 / np.sqrt(vertices)
    common = {
        "basis_kind": "demo" if any(c.kind == "demo" for c in corpora) else "learned",
        "is_flame_topology": is_flame_topology,
        "licence": "; ".join(dict.fromkeys(c.licence or "unknown" for c in corpora)),
        "provenance": "; ".join(dict.fromkeys(c.provenance or c.name for c in corpora)),
        "package": au3dmm.__version__,
        "stage_version": VERSION,
        "fingerprint": fingerprint,
        "corpora": [_corpus_info(corpus) for corpus in corpora],
        "warnings": list(rows.warnings),
        "method": params.method,
        "codes": "signed" if params.method == "pca" else params.codes,
        "seed": params.seed,
        "rank": len(reduction.directions),
        "rms_offset_mm": float(scale * to_mm),
        "truncation_rms_mm": float(np.sqrt(reduction.residual / rows.n_rows) * to_mm),
        "k_id": len(identity.stddev),
        "variance_explained_id": _rounded(identity.explained),
        "params": params.model_dump(mode="json"),
    }
    components_id = (identity.directions * identity.stddev[:, None]).reshape(-1, vertices, 3)
    landmarks = landmark_positions(template, faces, embedding)
    models = {}
    for k, path in outputs.items():
        learnt = _learn(reduction, k, params, scale, workers, functools.partial(say, f"learn K={k}"))
        codes = learnt.codes.astype(np.float64)
        stddev = np.sqrt((codes**2).mean(0))
        components = np.round((learnt.atoms * stddev[:, None]).reshape(k, vertices, 3) / _ROUND_M) * _ROUND_M
        meanings = describe_components(template, faces, components, landmarks, signed=bool((codes < 0).any()))
        names = component_names(meanings)
        goes_with = _associations(rows, codes / np.where(stddev > 0, stddev, 1))
        rest = _residual(reduction, learnt)
        energy = stddev**2 / (stddev**2).sum()
        info = {
            **common,
            "k_au": k,
            "l1": params.l1 * scale,
            "l2": params.l2,
            "epochs": params.epochs,
            "objective": _rounded(np.array(learnt.objective) / scale**2),
            "notes": list(learnt.notes),
            "variance_explained_au": 1 - rest / reduction.energy,
            "residual_rms_mm": float(np.sqrt(rest / rows.n_rows) * to_mm),
            "sparsity": float((codes == 0).mean()),
            "components": [
                {
                    "name": names[i],
                    "region": m.region,
                    "side": m.side,
                    "mirror": names[m.mirror],
                    "mirror_cosine": round(m.mirror_cosine, 6),
                    "energy": round(float(energy[i]), 6),
                    "support": round(m.support, 6),
                    "peak_mm": m.peak_mm,
                    "action_units": None
                    if goes_with is None
                    else [{"au": a.au, "r": round(a.r, 4), "n": a.n} for a in goes_with[i]],
                }
                for i, m in enumerate(meanings)
            ],
        }
        bases = Bases(
            template=template,
            faces=faces,
            components_id=components_id,
            components_au=components,
            stddev_id=identity.stddev,
            stddev_au=stddev,
            embedding=embedding,
            names_au=names,
            info=info,
        )
        write_bases(path, bases)
        models[k] = {
            "file": str(path),
            "rms_mm": info["residual_rms_mm"],
            "variance_explained": info["variance_explained_au"],
            "sparsity": info["sparsity"],
            "objective": info["objective"],
        }
        log.info("bases K=%d: %.3f mm rms left of %.3f", k, info["residual_rms_mm"], common["rms_offset_mm"])
    return {
        "subjects": len(rows.subjects),
        "sequences": len(rows.takes),
        "frames": rows.n_rows,
        "lost_files": sum(len(c.lost) for c in corpora),
        "k_id": common["k_id"],
        "rms_offset_mm": common["rms_offset_mm"],
        "truncation_rms_mm": common["truncation_rms_mm"],
        "licence": common["licence"],
        "kind": common["basis_kind"],
        "warnings": list(rows.warnings),
        "models": models,
    }


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


def _associations(rows: OffsetRows, alpha: NDArray[np.float64]) -> tuple[tuple[Association, ...], ...] | None:
    """Relate the peaks of alpha in each tagged sequence to its action units; None if there are no tags."""
    tagged = [(take.rows, set(take.action_units)) for take in rows.takes if take.action_units]
    if len(tagged) < 4:
        return None
    peaks = np.stack([np.abs(alpha[taken]).max(0) for taken, _ in tagged])
    columns: dict[str, NDArray[np.bool_]] = {}
    bare = sorted({unit.partition("_")[0] for _, units in tagged for unit in units})
    for unit in bare:
        whole = np.array([any(u.partition("_")[0] == unit for u in units) for _, units in tagged])
        columns[unit] = whole
        for side in ("left", "right"):
            # a unit without a side is shown on both
            one = np.array([bool({unit, f"{unit}_{side}"} & units) for _, units in tagged])
            if (one != whole).any() and one.any():
                columns[f"{unit}_{side}"] = one
    found = associate(peaks, np.stack(list(columns.values()), 1), list(columns))
    return tuple(tuple(_strongest(one)) for one in found)


def _strongest(found: Sequence[Association]) -> list[Association]:
    """Keep the strongest of each action unit: a unit is told once, as a whole or by its side."""
    kept: dict[str, Association] = {}
    for association in found:
        kept.setdefault(association.au.partition("_")[0], association)
    return list(kept.values())


def _corpus_info(corpus: Corpus) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "subjects": len(corpus.subjects),
        "sequences": len(corpus.sequences),
        "frames": int(sum(len(s.rows) for s in corpus.sequences)),
        "licence": corpus.licence,
        "fingerprint": corpus.fingerprint,
        "lost_files": len(corpus.lost),
    }


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]
