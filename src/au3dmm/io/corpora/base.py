"""What a corpus of registered heads is to us, whatever its layout on disk: frames, sequences, neutrals, tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.errors import SchemaError

CorpusKind = Literal["vocaset", "d3dfacs", "ict", "meshes", "synthetic"]
"""The layouts that are read."""


class Frames(Protocol):
    """Frames that need not be in memory: an array, a read-only memmap, or something that computes its rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, 3)."""

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Return rows (n, V, 3), m."""


@dataclass(frozen=True)
class Sequence:
    """One take of one subject.

    Attributes
    ----------
    subject_id, name : str
        Whose, and what the corpus calls it.
    rows : (n,) int64 array
        Its frames' rows in the corpus, in order of time.
    action_units : tuple of str
        What the corpus says is shown, like ``("AU1", "AU2_left")``; empty if it says nothing.
    """

    subject_id: str
    name: str
    rows: NDArray[np.int64]
    action_units: tuple[str, ...] = ()


@dataclass(frozen=True)
class LostFile:
    """A file of the corpus that could not be used.

    Attributes
    ----------
    path, reason : str
        Path inside the corpus, and why.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Registered heads of several subjects, on one topology.

    Attributes
    ----------
    name : str
        Like ``vocaset`` or ``ict``; goes into provenance.
    frames : Frames
        (N, V, 3), m, y up, z out of the face.
    faces : (F, 3) int32 array, optional
        Triangles; None if the corpus' files hold none.
    sequences : tuple of Sequence
        In order of subject and name.
    neutrals : mapping of str to (V, 3) float64 arrays
        The neutral head of each subject that has one on file, m.
    neutral_rows : mapping of str to int64 arrays
        For the other subjects: rows among which the neutral is to be found (first frames of their sequences).
    posed : bool
        Whether frames still hold head motion, so that each must be registered.
    embedding : LandmarkEmbedding, optional
        The 68 landmarks on this topology, if the corpus knows them.
    licence, provenance : str
        Of the corpus, in words.
    kind : str
        ``demo`` for invented heads, otherwise ``learned``: the `basis_kind` of what is learnt from it.
    fingerprint : str
        Of its content.
    lost : tuple of LostFile
        Files that were skipped.
    """

    name: str
    frames: Frames
    faces: NDArray[np.int32] | None
    sequences: tuple[Sequence, ...]
    neutrals: Mapping[str, NDArray[np.float64]]
    neutral_rows: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    posed: bool = False
    embedding: LandmarkEmbedding | None = None
    licence: str = ""
    provenance: str = ""
    kind: Literal["demo", "learned"] = "learned"
    fingerprint: str = ""
    lost: tuple[LostFile, ...] = ()

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        if len(shape) != 3 or shape[2] != 3:
            raise SchemaError(f"corpus {self.name}: frames have shape {shape}, expected (N, V, 3)")
        if not self.sequences:
            raise SchemaError(f"corpus {self.name}: no sequences in it; expected at least one")
        for sequence in self.sequences:
            rows, where = sequence.rows, f"corpus {self.name}: sequence {sequence.subject_id}/{sequence.name}"
            if not len(rows):
                raise SchemaError(f"{where} has no frames")
            if not 0 <= rows.min() <= rows.max() < shape[0]:
                raise SchemaError(f"{where} names frame {rows.max()}, but there are {shape[0]}")
        for subject, neutral in self.neutrals.items():
            if neutral.shape != shape[1:]:
                raise SchemaError(
                    f"corpus {self.name}: the neutral of {subject} has shape {neutral.shape}, expected {shape[1:]}"
                )
        lacking = [s for s in self.subjects if s not in self.neutrals and not len(self.neutral_rows.get(s, ()))]
        if lacking:
            raise SchemaError(f"corpus {self.name}: no neutral for {', '.join(lacking)}; expected one per subject")

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects, sorted."""
        return tuple(sorted({sequence.subject_id for sequence in self.sequences}))
