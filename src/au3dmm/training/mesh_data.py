"""What AU-D3DFace learns from, beside labels: the space that faces move in, true motion, and units frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from au3dmm.core.basis import Bases
from au3dmm.core.motion_space import MotionSpace, motion_space
from au3dmm.core.unit_masks import UnitMasks, unit_masks
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases
from au3dmm.io.kept_bases import find_bases
from au3dmm.io.mesh_truth import SessionTruth, read_label_delays, read_session_truth
from au3dmm.io.training_labels import TrainingLabels
from au3dmm.models.au_d3dface import AUD3DFace
from au3dmm.training_config import MeshParams


@dataclass(frozen=True)
class MeshData:
    """The meshes of a labelled run: N rows of labels, R dimensions of motion.

    Attributes
    ----------
    labels : TrainingLabels
        As given.
    space : MotionSpace
        Of the labels' basis.
    bases : Bases
        The labels' basis.
    target : (N, R) float32 array
        True motion, mm; 0 where `known` is False.
    known : (N,) bool array
        Whether the row's true motion is known.
    beyond : (N,) float64 array
        Mean square over vertices, mm^2, of the true motion that the space cannot hold; 0 where it is not known.
    masks : UnitMasks
        Of the units of `labels`.
    """

    labels: TrainingLabels
    space: MotionSpace
    bases: Bases
    target: NDArray[np.float32]
    known: NDArray[np.bool_]
    beyond: NDArray[np.float64]
    masks: UnitMasks

    def described(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it: plain values."""
        return {
            "n_motion": self.space.n_motion,
            "n_vertices": len(self.space.weights),
            "topology_hash": self.space.topology_hash,
            "masks_version": self.masks.version,
            "masks": dict(zip(self.masks.units, self.masks.sources, strict=True)),
        }

    def teach(self, model: AUD3DFace) -> None:
        """Give a network its matrices.

        Raises
        ------
        SchemaError
            If masks are of another mesh.
        """
        self.masks.check(self.space.topology_hash, len(self.space.weights))
        maps = np.stack([self.space.masked(mask) for mask in self.masks.masks])
        matrices = (self.space.of_alpha, maps, self.space.directions)
        model.set_space(*(torch.from_numpy(matrix).float() for matrix in matrices))


def read_mesh_data(
    labels: TrainingLabels,
    params: MeshParams,
    learn_from: Sequence[int],
    content: Mapping[str, Any] | None = None,
) -> MeshData:
    """Read bases and truths, and express all motion in one space.

    Parameters
    ----------
    labels : TrainingLabels
        Of the run, with the units that are recognised.
    params : MeshParams
        Where bases and truths lie.
    learn_from : sequence of int
        Recordings whose true motion the space is to hold beside the basis'.
    content : mapping, optional
        A checkpoint: its space is taken.

    Raises
    ------
    ConfigError
        If a basis is not the one that labels were made with.
    SchemaError
        If a file is damaged, or meshes are of another topology.
    """
    bases = _label_bases(labels, params, moved=content is not None)
    truths, rendered = _truths(labels, params, bases)
    alpha = _true_alpha(labels, truths, rendered)
    components = rendered.components_au if rendered is not None else np.zeros((0, *bases.template.shape))
    rows = np.zeros(len(alpha), bool)
    for i in learn_from:
        rows[labels.sessions[i].rows] = True
    known = np.isfinite(alpha).all(1) & (alpha.shape[1] > 0)
    space = _space_of(content, bases) if content is not None else None
    if space is None:
        space = motion_space(
            bases.components_au, bases.topology_hash(), params.n_motion, _likely(alpha[rows & known], components)
        )
    there = np.nan_to_num(alpha)
    target = there @ space.coordinates(components).reshape(-1, space.n_motion)
    flat = (1e3 * np.sqrt(space.weights)[:, None] * components).reshape(-1, 3 * len(space.weights))
    # directions are orthonormal: what they hold and what they do not add up
    beyond = np.maximum(((there @ (flat @ flat.T)) * there).sum(1) - (target**2).sum(1), 0.0)
    masks = unit_masks(bases, labels.names_occurrence)
    return MeshData(labels, space, bases, target.astype(np.float32), known, beyond, masks)


def _label_bases(labels: TrainingLabels, params: MeshParams, *, moved: bool) -> Bases:
    basis = str(labels.described()["basis"])
    return read_bases(find_bases(labels.run, basis, params.bases, or_elsewhere=moved))


def _truths(labels: TrainingLabels, params: MeshParams, bases: Bases) -> tuple[dict[int, SessionTruth], Bases | None]:
    above = labels.run.path.resolve().parents  # of a run in no dataset there may be fewer
    folder = Path(params.truth or above[min(2, len(above) - 1)] / "truth")
    paths = {i: folder / f"{session.session_id}.json" for i, session in enumerate(labels.sessions)}
    there = {i: path for i, path in paths.items() if path.is_file()}
    if not there:
        if params.truth:
            raise ConfigError(f"mesh.truth: {folder}: no <session>.json of these recordings in it")
        return {}, None
    rendered = read_bases(params.truth_bases or asset_path(DEMO_BASES))
    if rendered.topology_hash() != bases.topology_hash():
        raise SchemaError(
            f"{folder}: rendered with {len(rendered.template)} vertices, topology {rendered.topology_hash()[:12]};"
            f" labels have {len(bases.template)}, {bases.topology_hash()[:12]}; meshes of one topology are needed"
        )
    found = {}
    for i, path in there.items():
        found[i] = read_session_truth(path)
        found[i].check(rendered, path)
    return found, rendered


def _true_alpha(
    labels: TrainingLabels, truths: Mapping[int, SessionTruth], rendered: Bases | None
) -> NDArray[np.float64]:
    """Return the rendered basis' coefficients (N, K') of every row, NaN where they are not known."""
    alpha = np.full((len(labels.alpha), 0 if rendered is None else rendered.k_au), np.nan)
    if truths:
        delays = read_label_delays(labels.run.labels)
        for i, truth in truths.items():
            rows = labels.sessions[i].rows
            alpha[rows] = truth.at(labels.rgb_frame_index[rows], delays[rows])
    return alpha


def _likely(alpha: NDArray[np.float64], components: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return few offsets with the second moments of those of all rows: principal components are the same."""
    if not len(alpha):
        return None
    values, vectors = np.linalg.eigh(alpha.T @ alpha / len(alpha))
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    return np.asarray(np.tensordot(root, components, 1))


def _space_of(content: Mapping[str, Any], bases: Bases) -> MotionSpace:
    """Return the space that a checkpoint's network works in."""
    said, weights = content["labels"].get("mesh") or {}, content["state_dict"]
    if said.get("topology_hash") != bases.topology_hash():
        raise SchemaError(
            f"trained on meshes of topology {str(said.get('topology_hash'))[:12]}, these labels' basis has"
            f" {bases.topology_hash()[:12]}; a network refines faces of its own mesh only"
        )
    directions = weights["directions"].double().numpy()
    v = directions.shape[1]
    return MotionSpace(directions, np.full(v, 1 / v), weights["to_motion"].double().numpy(), bases.topology_hash())
