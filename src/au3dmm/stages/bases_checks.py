"""What is looked at before and after a basis is learnt: one topology, landmarks of a face, components that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.basis import topology_hash
from au3dmm.core.dictionary import Dictionary
from au3dmm.core.landmark_order import check_landmarks68
from au3dmm.core.landmarks import LandmarkEmbedding, landmark_positions
from au3dmm.core.registration import register
from au3dmm.errors import SchemaError
from au3dmm.io.assets import read_default_head
from au3dmm.io.corpora.base import Corpus

_TURNED_DEG = 40.0
_ALIKE = 0.98  # |cos| of two components from which they are told to be one


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


def some_head(corpus: Corpus) -> NDArray[np.float64]:
    """Return a head (V, 3), m, of the first subject."""
    subject = corpus.subjects[0]
    if subject in corpus.neutrals:
        return corpus.neutrals[subject]
    row = int(corpus.neutral_rows[subject][0])
    return np.asarray(corpus.frames[row : row + 1][0], np.float64)


def check_landmarks(
    head: NDArray[np.float64], faces: NDArray[np.int32], embedding: LandmarkEmbedding, what: str
) -> None:
    """Refuse a head on which the landmarks are not those of a face: mirrored axes, another order, another mesh."""
    points = landmark_positions(head, faces, embedding)
    upright = read_default_head()
    motion = register(points, landmark_positions(upright.vertices, upright.faces, upright.embedding), scale=True)
    turned = np.degrees(np.arccos(np.clip((np.trace(motion.rotation) - 1) / 2, -1, 1)))
    if turned > _TURNED_DEG:
        raise SchemaError(
            f"{what}: landmarks: they fit a face best when turned by {turned:.0f} degrees; expected y up, z out of the"
            " face, not mirrored, in iBUG order"
        )
    try:
        check_landmarks68(motion.apply(points))  # small turns are no fault: frames may hold head motion
    except SchemaError as err:
        raise SchemaError(f"{what}: {err}") from err


def repeated(learnt: Dictionary, names: Sequence[str]) -> list[str]:
    """Tell components that hardly differ from a stronger one: more were asked for than the corpus has."""
    cosine = np.abs(learnt.atoms @ learnt.atoms.T)
    again = [names[i] for i in range(1, len(names)) if cosine[i, :i].max() > _ALIKE]
    if not again:
        return []
    return [
        f"{len(again)} of {len(names)} AU components nearly repeat another ({', '.join(again[:6])}"
        f"{', ...' if len(again) > 6 else ''}); fewer would do (--k-au {len(names) - len(again)})"
    ]
