"""A corpus drawn from a face model: subjects from its identity modes, takes from its expressions, made when read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.io.corpora.base import Corpus, Frames
from au3dmm.io.corpora.base import Sequence as Take
from au3dmm.io.hashing import sha256_json

_TAKE_FRAMES = 32
_COMBINED_TAKES = 6
_SPEECH_TAKES = 2
_SPEECH_FRAMES = 64
_ONE_SIDED = 0.25  # share of takes that show an expression on one side only
_GAIN_SD = 0.25  # log-normal: how far people differ in how far they move
_IDENTITY_LIMIT = 2.5


@dataclass(frozen=True)
class FaceModel:
    """What to draw from.

    Attributes
    ----------
    name : str
        Of the corpus.
    template : (V, 3) array
        Mean neutral head, m.
    faces : (F, 3) int32 array
        Triangles.
    identity : (K, V, 3) array
        Displacements, m per standard deviation.
    expressions : (E, V, 3) array
        Displacements of the full expressions, m.
    labels : sequence of E tuples of str
        The action units that each expression shows, like ``("AU12_left",)``; empty if it shows none of FACS'.
    speech : sequence of int
        Expressions that speech is made of.
    embedding : LandmarkEmbedding
        The 68 landmarks.
    needs : mapping of int to int
        Expressions that correct another and are shown only on top of it (ICT's mouthClose shuts the lips of an open
        jaw).
    """

    name: str
    template: NDArray[np.float64]
    faces: NDArray[np.int32]
    identity: NDArray[np.float64]
    expressions: NDArray[np.float64]
    labels: Sequence[tuple[str, ...]]
    speech: Sequence[int]
    embedding: LandmarkEmbedding
    needs: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SampledFrames:
    """Frames ``neutral[subject] + activation @ expressions``: rows are computed when they are asked for.

    Attributes
    ----------
    neutrals : (S, V, 3) float32 array
        m
    expressions : (E, V, 3) float32 array
        m
    subject : (N,) int array
        Row of `neutrals` of each frame.
    activation : (N, E) float32 array
        0 to about 1.5.
    """

    neutrals: NDArray[np.float32]
    expressions: NDArray[np.float32]
    subject: NDArray[np.int64]
    activation: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, 3)."""
        return (len(self.subject), *self.neutrals.shape[1:])

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Return rows (n, V, 3), m."""
        active, subject = self.activation[rows], self.subject[rows]
        frames = (active @ self.expressions.reshape(len(self.expressions), -1)).reshape(len(active), -1, 3)
        # in place, subject by subject: large arrays that are filled once cost more than the product
        borders = np.flatnonzero(np.diff(subject)) + 1
        for part in np.split(np.arange(len(subject)), borders):
            if len(part):
                frames[part[0] : part[-1] + 1] += self.neutrals[subject[part[0]]]
        return np.asarray(frames)


def sample_corpus(
    model: FaceModel,
    n_subjects: int,
    *,
    seed: int = 0,
    licence: str,
    provenance: str,
    demo: bool = False,
    source: Mapping[str, str] | None = None,
) -> Corpus:
    """Draw subjects and their takes; equal arguments give equal corpora.

    The mean of the subjects is the model's template. Every subject performs an eighth of the expressions alone (eight
    subjects: all of them), some in combination, and speaks. A take rises from neutral and returns to it; people differ
    in how far they move.

    Parameters
    ----------
    model : FaceModel
        What to draw from.
    n_subjects : int
        At least 2.
    seed : int
        Which draw.
    licence, provenance : str
        Of the model, in words.
    demo : bool
        Whether what is learnt from it is for trying out only.
    source : mapping, optional
        What identifies the model's files; goes into the fingerprint.
    """
    rng = np.random.default_rng([seed, 11])
    alpha = np.clip(rng.standard_normal((n_subjects, len(model.identity))), -_IDENTITY_LIMIT, _IDENTITY_LIMIT)
    alpha -= alpha.mean(0)
    neutrals = model.template + np.tensordot(alpha, model.identity, 1)
    names = [f"{model.name}{i + 1:03d}" for i in range(n_subjects)]
    singles = _groups(model.labels)
    tracks, takes, owner, start = [], [], [], 0
    for i, name in enumerate(names):
        gain = np.exp(_GAIN_SD * rng.standard_normal(len(model.expressions)))
        plans = [(singles[j],) for j in range(i % 8, len(singles), 8)]
        for _ in range(_COMBINED_TAKES):
            chosen = rng.choice(len(singles), min(len(singles), int(rng.integers(2, 5))), replace=False)
            plans.append(tuple(singles[j] for j in sorted(chosen)))
        performed = [_perform(model, plan, gain, rng) for plan in plans]
        performed += [(_speak(model, gain, rng), ()) for _ in range(_SPEECH_TAKES if len(model.speech) else 0)]
        for number, (track, units) in enumerate(performed):
            rows = np.arange(start, start + len(track))
            takes.append(Take(name, f"take{number + 1:02d}", rows, units))
            tracks.append(track)
            owner.append(np.full(len(track), i))
            start += len(track)
    frames: Frames = SampledFrames(
        neutrals.astype(np.float32),
        model.expressions.astype(np.float32),
        np.concatenate(owner),
        np.concatenate(tracks).astype(np.float32),
    )
    return Corpus(
        name=model.name,
        frames=frames,
        faces=model.faces,
        sequences=tuple(takes),
        neutrals=dict(zip(names, neutrals, strict=True)),
        embedding=model.embedding,
        licence=licence,
        provenance=provenance,
        kind="demo" if demo else "learned",
        fingerprint=sha256_json({"sampled": 1, "subjects": n_subjects, "seed": seed, **(source or {})}),
    )


def _groups(labels: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Return the expressions that are performed together: the two sides of one action unit, or one alone."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i, units in enumerate(labels):
        whole = tuple(unit.removesuffix("_left").removesuffix("_right") for unit in units)
        found.setdefault(whole if whole and whole != units else (f"#{i}",), []).append(i)
    return [tuple(group) for group in found.values()]


def _perform(
    model: FaceModel, plan: Sequence[tuple[int, ...]], gain: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    track = np.zeros((_TAKE_FRAMES, len(model.expressions)))
    phase = np.linspace(0, 1, _TAKE_FRAMES)
    units: set[str] = set()
    for group in plan:
        one_sided = len(group) > 1 and rng.random() < _ONE_SIDED
        shown = (group[int(rng.integers(len(group)))],) if one_sided else group
        centre, width, height = rng.uniform(0.4, 0.6), rng.uniform(0.25, 0.4), rng.uniform(0.6, 1.0)
        ramp = np.clip(1.3 - np.abs(phase - centre) / width, 0, 1)
        ramp[[0, -1]] = 0
        for i in shown:
            track[:, i] = np.maximum(track[:, i], ramp * ramp * (3 - 2 * ramp) * height * gain[i])
            units.update(model.labels[i])
            if i in model.needs:
                base = model.needs[i]
                track[:, base] = np.maximum(track[:, base], track[:, i])
                units.update(model.labels[base])
    return track, tuple(sorted(units))


def _speak(model: FaceModel, gain: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    track = np.zeros((_SPEECH_FRAMES, len(model.expressions)))
    window = np.hanning(13) / np.sqrt((np.hanning(13) ** 2).sum())
    # a fade: speech starts from the neutral face and ends there
    fade = np.clip(np.minimum(np.arange(_SPEECH_FRAMES), np.arange(_SPEECH_FRAMES)[::-1]) / 8, 0, 1)
    for i in model.speech:
        smooth = np.convolve(rng.standard_normal(_SPEECH_FRAMES + 12), window, "valid")
        track[:, i] = np.clip(0.35 * smooth - 0.1, 0, 1) * fade * gain[i]
    for i, base in model.needs.items():
        track[:, i] = np.minimum(track[:, i], track[:, base])
    return track
