"""The bases that simulated people are fitted with: learnt by au3dmm's own code from simulated actors, and kept."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams, FitParams
from au3dmm.core import (
    atom_search,
    codes,
    dictionary,
    expression,
    mirror,
    mirrored_atoms,
    neutrals,
    offset_space,
    pca,
    reduction,
    registration,
    sparse_codes,
    std_factors,
    uncertainty,
)
from au3dmm.core.neutral import spread_evenly
from au3dmm.errors import SchemaError
from au3dmm.io.atomic import atomic_path
from au3dmm.io.bases import read_npz
from au3dmm.io.hashing import sha256_json
from au3dmm.simulation import clips, faces, people, tagged
from au3dmm.simulation.clips import murmur, rise_and_fall
from au3dmm.simulation.conditions import TRAINING_SEED
from au3dmm.simulation.faces import FaceFamily
from au3dmm.simulation.people import draw_expressions, draw_neutral, smooth_field

Signs = Literal["nonnegative", "signed"]

_ACTORS, _SPEAKERS = 22, 12
_FRAMES = 12_000
_STRIDE = 4  # actors are scanned at 60 frames/s, every fourth frame is used
_SMOOTH_M, _WHITE_M = 1e-4, 5e-5
_NOISE_FIELDS = 40
_BLOCK = 2000
_LEARNS: tuple[ModuleType, ...] = (
    atom_search,
    codes,
    dictionary,
    expression,
    mirror,
    mirrored_atoms,
    neutrals,
    offset_space,
    pca,
    reduction,
    registration,
    sparse_codes,
    std_factors,
    uncertainty,
)


@dataclass(frozen=True)
class LearntBasis:
    """Two morphable models at the points of a family.

    Attributes
    ----------
    template : (P, 3) array
        m
    components_id, components_au : (K, P, 3) arrays
        m per standard deviation.
    n_landmarks, n_metric : int
        The first points, and those after them.
    std_factors : (K,) array, optional
        What the components' standard deviations are multiplied by; None where codes have signs.
    """

    template: NDArray[np.float64]
    components_id: NDArray[np.float64]
    components_au: NDArray[np.float64]
    n_landmarks: int
    n_metric: int
    std_factors: NDArray[np.float64] | None = None

    @property
    def metric(self) -> NDArray[np.float64]:
        """AU components at the points where errors are measured (K, M, 3), m."""
        return self.components_au[:, self.n_landmarks : self.n_landmarks + self.n_metric]


def learn_basis(
    family: FaceFamily,
    signs: Signs = "nonnegative",
    *,
    params: BasesParams | None = None,
    frames: int = _FRAMES,
    cache: Path | None = None,
) -> LearntBasis:
    """Learn a basis from 22 actors of the family, as ``fit-bases`` does, or read it where it was kept.

    Parameters
    ----------
    family : FaceFamily
        Whose faces.
    signs : str
        Sign of the dictionary's codes.
    params : BasesParams, optional
        What else changes results; default: those of ``fit-bases``.
    frames : int
        Frames to learn from.
    cache : Path, optional
        Folder for results, by content: the family, the parameters, and the code that learns.

    Raises
    ------
    ConfigError, FitError
        As the functions of core, if the actors do not support so many components.
    """
    chosen = (params or BasesParams()).model_copy(update={"codes": signs})
    kept = None
    if cache is not None:
        code = [inspect.getsource(module) for module in (*_LEARNS, clips, faces, people, tagged)]
        key = sha256_json(
            {
                "family": family.fingerprint,
                "points": family.points.tolist(),
                "params": chosen.model_dump(mode="json"),
                "fit": FitParams().model_dump(mode="json"),
                "frames": frames,
                "seed": TRAINING_SEED,
                "code": [*code, Path(__file__).read_text("utf-8")],
            }
        )
        kept = cache / f"basis-{family.name}-{signs}-{key[:16]}.npz"
        found = _read(kept, family)
        if found is not None:
            return found
    learnt = _learn(family, chosen, frames)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(kept) as path, path.open("wb") as f:
            arrays: dict[str, NDArray[np.floating]] = {
                "template": learnt.template,
                "components_id": learnt.components_id,
                "components_au": learnt.components_au.astype(np.float32),
            }
            if learnt.std_factors is not None:
                arrays["std_factors"] = learnt.std_factors
            np.savez(f, allow_pickle=False, **arrays)
    return learnt


def _read(path: Path, family: FaceFamily) -> LearntBasis | None:
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        parts = [arrays[name].astype(np.float64) for name in ("template", "components_id", "components_au")]
    except (SchemaError, KeyError):
        return None  # damaged: learnt again
    return LearntBasis(parts[0], parts[1], parts[2], family.n_landmarks, family.n_metric, arrays.get("std_factors"))


def _learn(family: FaceFamily, params: BasesParams, frames: int) -> LearntBasis:
    v = family.n_model
    partner = None
    if params.mirrored:
        partner = np.concatenate([np.arange(v, 2 * v), np.arange(v)])
    heads, offsets, owner = perform(family, frames, both_sides=params.mirrored)
    actors = len(heads)
    if partner is not None:
        heads = np.concatenate([heads, mirror.mirror_offsets(heads, partner)])
    registered, rotation, _ = neutrals.register_neutrals(heads, heads.mean(0))
    for actor, turn in enumerate(rotation[:actors]):
        mine = owner == actor
        offsets[mine] = (offsets[mine].reshape(-1, 3) @ turn.T.astype(np.float32)).reshape(int(mine.sum()), -1)
    identity = pca.fit_pca(registered.reshape(len(registered), -1))
    n_id = min(len(identity.stddev), actors - 1)
    template = identity.mean.reshape(-1, 3)
    weights = offset_space.eyelid_weights(template, template[:68], params.eyelid_weight)
    if partner is not None:
        weights = (weights + weights[partner]) / 2
    space = offset_space.OffsetSpace(np.sqrt(weights).astype(np.float32), partner)
    cuts = [(i, min(i + _BLOCK, frames)) for i in range(0, frames, _BLOCK)]
    k = params.k_au[0]
    reduced = offset_space.reduce_offsets(
        lambda block, stride: offsets[cuts[block][0] : cuts[block][1] : stride],
        [b - a for a, b in cuts],
        space,
        min(max(params.rank, 2 * k), *offsets.shape),
        seed=params.seed,
    )
    learnt = offset_space.plain_dictionary(
        dictionary.learn_dictionary(
            reduced.coordinates,
            k,
            params.l1 * reduced.rms,
            params.l2,
            nonnegative=params.codes == "nonnegative",
            epochs=params.epochs,
            overcomplete=params.overcomplete,
            seed=params.seed,
            directions=reduced.directions,
            parity=reduced.parity,
        ),
        space,
    )
    stddev = np.sqrt(learnt.energy / frames)
    # what is kept is in float32, so that a basis that was read is the one that was learnt
    units = (learnt.atoms * stddev[:, None]).astype(np.float32).astype(np.float64)
    made = LearntBasis(
        template[:v],
        (identity.directions * identity.stddev[:, None])[:n_id].reshape(n_id, -1, 3)[:, :v],
        units.reshape(k, -1, 3)[:, :v],
        family.n_landmarks,
        family.n_metric,
    )
    if params.method == "pca" or params.codes == "signed":
        return made
    moved = offsets.reshape(frames, -1, 3)[:, :v]
    factors = _std_factors(family, made, registered[:actors, :68], moved, owner, learnt.partner)
    return dataclasses.replace(made, std_factors=factors)


def _std_factors(
    family: FaceFamily,
    basis: LearntBasis,
    heads: NDArray[np.float64],
    moved: NDArray[np.float32],
    owner: NDArray[np.int64],
    partner: NDArray[np.int64] | None,
) -> NDArray[np.float64]:
    """Learn how sure each component is, of the basis' own actors and of ten others who show tagged action units."""
    takes = tagged.record_tagged(family)
    rng = np.random.default_rng([TRAINING_SEED, 8])
    others = np.stack([draw_neutral(family, rng)[:68] for _ in range(int(takes.owner.max()) + 1)])
    flat = basis.metric.reshape(len(basis.metric), -1)

    def known(
        people: NDArray[np.float64], points: NDArray[np.float32], whose: NDArray[np.int64]
    ) -> std_factors.KnownMotion:
        some = spread_evenly(np.arange(len(points)), std_factors.FRAMES_MOST)
        metric = points[some][:, family.metric].reshape(len(some), -1).astype(np.float64)
        best = std_factors.best_codes(metric @ flat.T, flat @ flat.T)
        return std_factors.KnownMotion(people, points[some, :68].astype(np.float64), whose[some], best)

    fit = FitParams()
    return std_factors.learn_std_factors(
        [known(others, takes.offsets.reshape(len(takes.owner), -1, 3), takes.owner), known(heads, moved, owner)],
        basis.components_au[:, :68],
        sigma_px=fit.sigma_px,
        jaw_weight=fit.jaw_weight,
        camera=fit.camera,
        perspective_passes=fit.perspective_passes,
        partner=partner,
        **fit.model_dump(include=set(expression.SOLVING)),
    )


def _both_sides(family: FaceFamily) -> FaceFamily:
    """Return the family with the mirror partners of the points that bases are learnt from after them."""
    v = family.n_model
    points, identity, expressions = family.opposite
    return dataclasses.replace(
        family,
        points=np.concatenate([family.points[:v], points]),
        identity=np.concatenate([family.identity[:, :v], identity], axis=1),
        expressions=np.concatenate([family.expressions[:, :v], expressions], axis=1),
    )


def perform(
    family: FaceFamily, frames: int, seed: int = TRAINING_SEED, *, both_sides: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
    """Let 22 actors speak and perform, and scan them.

    Twelve mostly speak; the others show one to three gestures per take, sometimes on one side only. On the scans lie
    0.1 mm of smooth and 0.05 mm of white noise. With `both_sides` the same actors do the same, and the mirror partners
    of all points are scanned, too.

    Returns
    -------
    heads : (22, P, 3) array
        Neutral heads, m; P are the points without the contour's paths, and perhaps their partners after them.
    offsets : (frames, 3 P) float32 array
        m
    owner : (frames,) int array
        Whose.
    """
    rng, more = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    scanned, e = family.n_model, len(family.names)
    family = _both_sides(family) if both_sides else family
    v = 2 * scanned if both_sides else scanned
    heads = np.stack([draw_neutral(family, rng)[:v] for _ in range(_ACTORS)])
    heads[:, :scanned] += rng.standard_normal((_ACTORS, scanned, 3)) * _SMOOTH_M / np.sqrt(3)
    heads[:, scanned:] += more.standard_normal((_ACTORS, v - scanned, 3)) * _SMOOTH_M / np.sqrt(3)
    acts = [draw_expressions(family, rng)[:, :v].reshape(e, -1).astype(np.float32) for _ in range(_ACTORS)]
    fields = [
        np.stack([smooth_field(family, rng, 8, 0.02)[:v] for _ in range(3)], 1).ravel() for _ in range(_NOISE_FIELDS)
    ]
    noise = (np.array(fields) * _SMOOTH_M / np.sqrt(_NOISE_FIELDS / 2)).astype(np.float32)
    gestures = [numbers for name, numbers in family.gestures.items() if name != "mouthClose"]
    offsets = np.empty((frames, 3 * v), np.float32)
    owner = np.empty(frames, np.int64)
    start = take = 0
    while start < frames:
        actor = take % _ACTORS
        length = int(rng.integers(100, 180))
        speaks = actor < _SPEAKERS and rng.random() < 0.8
        shown = _talk(family, length, rng) if speaks else _act(family, gestures, length, rng)
        shown = shown[::_STRIDE][: frames - start].astype(np.float32)
        m = len(shown)
        part = offsets[start : start + m]
        np.matmul(shown, acts[actor], out=part)
        part += rng.standard_normal((m, len(noise)), dtype=np.float32) @ noise
        part[:, : 3 * scanned] += np.float32(_WHITE_M) * rng.standard_normal((m, 3 * scanned), dtype=np.float32)
        part[:, 3 * scanned :] += np.float32(_WHITE_M) * more.standard_normal((m, 3 * (v - scanned)), dtype=np.float32)
        owner[start : start + m] = actor
        start, take = start + m, take + 1
    return heads, offsets, owner


def _talk(family: FaceFamily, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    shown = np.zeros((length, len(family.names)))
    for i in rng.choice(family.speech, min(7, len(family.speech)), replace=False):
        shown[:, i] = murmur(rng, length, 21)
    shown[:, list(family.smiles)] *= 0.5
    if rng.random() < 0.6:
        blink = rise_and_fall(length, rng.uniform(0, length - 20), 4, 1, 6)
        for i in family.units["AU45"]:
            shown[:, i] = blink
    return shown


def _act(
    family: FaceFamily, gestures: list[tuple[int, ...]], length: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    shown = np.zeros((length, len(family.names)))
    for j in rng.choice(len(gestures), int(rng.integers(1, 4)), replace=False):
        course = rise_and_fall(
            length, rng.uniform(5, 0.35 * length), rng.uniform(12, 30), rng.uniform(5, 40), rng.uniform(12, 30)
        )
        course *= rng.uniform(0.4, 1)
        gain = dict(zip(("left", "right"), rng.uniform(0.7, 1.3, 2), strict=True))
        if rng.random() < 0.15:
            gain[str(rng.choice(["left", "right"]))] = 0.0
        for i in gestures[j]:
            shown[:, i] = course * gain.get(family.sides[i], 1.0)
    return shown
