"""The offsets of one or several corpora as blocks of rows that are computed when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.neutrals import find_medoid, register_neutrals, suspects
from au3dmm.core.offsets import frame_offsets
from au3dmm.core.registration import register_frames
from au3dmm.core.threads import ordered_map, single_threaded_blas
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.corpora.base import Corpus

_BLOCK_BYTES = 128 << 20
_REGISTER_VERTICES, _REGISTER_BYTES = 1500, 16 << 20
_PROBE_FRAMES = 120


@dataclass(frozen=True)
class _Block:
    """Rows start to stop of a corpus, of which `used` are taken (counted from start)."""

    corpus: int
    start: int
    stop: int
    used: NDArray[np.int64]
    first: int  # row of the first of them among all rows


@dataclass
class OffsetRows:
    """Offsets of all used frames, in order of corpus and row.

    Attributes
    ----------
    neutrals : (S, V, 3) array
        Registered neutral heads, one per subject, m.
    subjects : list of str
        Whose, with the corpus' name in front where there are several corpora.
    takes : list of (subject, name, rows, action_units)
        Sequences, with the rows that they have here.
    warnings : list of str
        Neutrals that do not look neutral.
    """

    corpora: Sequence[Corpus]
    neutrals: NDArray[np.float64]
    subjects: list[str]
    takes: list[tuple[str, str, NDArray[np.int64], tuple[str, ...]]]
    warnings: list[str] = field(default_factory=list)
    _blocks: list[_Block] = field(default_factory=list)
    _origins: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    _which: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _rotation: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3, 3), np.float32))
    _translation: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        return [len(block.used) for block in self._blocks]

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return len(self._which)

    @property
    def n_columns(self) -> int:
        """Three per vertex."""
        return 3 * int(self.neutrals.shape[1])

    def read(self, block: int, stride: int) -> NDArray[np.float32]:
        """Return the offsets (n, 3 V), m, of every `stride`-th row of a block."""
        b = self._blocks[block]
        frames = self.corpora[b.corpus].frames[b.start : b.stop]
        used = b.used[::stride]
        here = np.arange(b.first, b.first + len(b.used))[::stride]
        picked = frames if len(used) == len(frames) else frames[used]
        return frame_offsets(picked, self._rotation[here], self._translation[here], self._origins, self._which[here])

    def first_bad(self) -> str:
        """Return which frame holds values that are not finite, in words."""
        for i, b in enumerate(self._blocks):
            bad = np.flatnonzero(~np.isfinite(self.read(i, 1)).all(1))
            if len(bad):
                row = b.first + int(bad[0])
                for subject, name, rows, _ in self.takes:
                    if row in rows:
                        return f"frame {int(np.flatnonzero(rows == row)[0])} of {subject}/{name}"
        return "a frame"


def offset_rows(
    corpora: Sequence[Corpus],
    reference: NDArray[np.floating] | None,
    neutral: str,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> OffsetRows:
    """Find neutrals, register what still holds head motion, and lay out the rows.

    Parameters
    ----------
    corpora : sequence of Corpus
        On one topology.
    reference : (V, 3) array, optional
        A head in the frame wanted, m; default: the mean of the neutrals as they stand.
    neutral : str
        ``subject``: one neutral head for all of a subject's sequences; ``sequence``: the first frame of each.
    workers : int
        Threads.
    progress : callable, optional
        Told (frames registered, frames to register).

    Raises
    ------
    SchemaError
        If subjects are too few, or frames cannot be registered.
    """
    several = len(corpora) > 1
    heads, owners, warnings = [], [], []
    for number, corpus in enumerate(corpora):
        for subject in corpus.subjects:
            title = f"{corpus.name}/{subject}" if several else subject
            head, told = _neutral_head(corpus, subject, title)
            heads.append(head)
            owners.append((number, subject, title))
            warnings += told
    stack = np.stack(heads)
    target = stack.mean(0) if reference is None else np.asarray(reference, np.float64)
    try:
        registered, rotation, translation = register_neutrals(stack, target)
    except FitError as err:
        raise SchemaError(f"corpus {corpora[0].name}: the neutral heads cannot be registered: {err}") from err
    rows = _lay_out(corpora, several)
    rows.neutrals, rows.subjects, rows.warnings = registered, [title for _, _, title in owners], warnings
    index = {(number, subject): i for i, (number, subject, _) in enumerate(owners)}
    of_subject = np.empty(rows.n_rows, np.int64)
    of_take = np.empty(rows.n_rows, np.int64)
    at, firsts = 0, []
    for number, corpus in enumerate(corpora):
        for sequence in corpus.sequences:
            taken = rows.takes[at][2]
            of_subject[taken] = index[number, sequence.subject_id]
            of_take[taken] = at
            firsts.append((number, int(sequence.rows[0])))
            at += 1
    rows._rotation = rotation[of_subject].astype(np.float32)
    rows._translation = translation[of_subject]
    rows._which, rows._origins = of_subject, registered.astype(np.float32)
    _register(rows, workers, progress)
    warnings += _check_quiet(rows, corpora, owners)
    if neutral == "sequence":
        _use_first_frames(rows, firsts, of_take)
    return rows


def _neutral_head(corpus: Corpus, subject: str, title: str) -> tuple[NDArray[np.float64], list[str]]:
    if subject in corpus.neutrals:
        return corpus.neutrals[subject], []
    candidates = corpus.neutral_rows[subject]
    try:
        found = find_medoid(np.stack([corpus.frames[int(r) : int(r) + 1][0] for r in candidates]))
    except FitError as err:
        raise SchemaError(f"corpus {corpus.name}: no neutral of {title}: {err}") from err
    told = []
    starts = {int(s.rows[0]): s.name for s in corpus.sequences if s.subject_id == subject}
    for i in np.flatnonzero(suspects(found.distance)):
        name = starts.get(int(candidates[i]), f"row {int(candidates[i])}")
        told.append(
            f"{title}/{name} does not start neutral: its first frame is {found.distance[i] * 1e3:.1f} mm (rms) from the"
            " subject's other first frames"
        )
    return found.head, told


def _lay_out(corpora: Sequence[Corpus], several: bool) -> OffsetRows:
    found: list[_Block] = []
    takes: list[tuple[str, str, NDArray[np.int64], tuple[str, ...]]] = []
    first = 0
    for number, corpus in enumerate(corpora):
        every = np.concatenate([s.rows for s in corpus.sequences])
        used = np.unique(every)
        if len(used) != len(every):
            raise SchemaError(f"corpus {corpus.name}: {len(every) - len(used)} frames belong to two sequences at once")
        place = np.full(int(corpus.frames.shape[0]), -1, np.int64)
        place[used] = first + np.arange(len(used))
        for s in corpus.sequences:
            title = f"{corpus.name}/{s.subject_id}" if several else s.subject_id
            takes.append((title, s.name, place[s.rows], s.action_units))
        size = max(1, _BLOCK_BYTES // (12 * int(corpus.frames.shape[1])))
        for start in range(0, int(corpus.frames.shape[0]), size):
            stop = min(start + size, int(corpus.frames.shape[0]))
            inside = used[(used >= start) & (used < stop)]
            if len(inside):
                low, high = int(inside[0]), int(inside[-1]) + 1
                found.append(_Block(number, low, high, inside - low, first))
                first += len(inside)
    empty = OffsetRows(corpora, np.zeros((0, 0, 3)), [], takes, _blocks=found)
    empty._which = np.zeros(first, np.int64)
    return empty


def _register(rows: OffsetRows, workers: int, progress: Callable[[int, int], None] | None) -> None:
    """Find the motion of every frame of corpora that still hold head motion."""
    v = rows.neutrals.shape[1]
    some = np.unique(np.linspace(0, v - 1, min(v, _REGISTER_VERTICES)).astype(np.int64))
    step = max(1, _REGISTER_BYTES // (24 * len(some)))
    work = [
        (block, start)
        for block in rows._blocks
        if rows.corpora[block.corpus].posed
        for start in range(0, len(block.used), step)
    ]

    def one(item: tuple[_Block, int]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        block, start = item
        used = block.used[start : start + step]
        here = block.first + np.arange(start, start + len(used))
        low = block.start + int(used[0])
        frames = rows.corpora[block.corpus].frames[low : block.start + int(used[-1]) + 1][used - used[0]][:, some]
        rotation = np.empty((len(used), 3, 3))
        translation = np.empty((len(used), 3))
        for subject in np.unique(rows._which[here]):
            mine = rows._which[here] == subject
            rotation[mine], translation[mine] = register_frames(frames[mine], rows.neutrals[subject][some])
        return here, rotation, translation

    total, done = sum(len(b.used[s : s + step]) for b, s in work), 0
    with single_threaded_blas():
        try:
            for here, rotation, translation in ordered_map(one, work, workers):
                rows._rotation[here], rows._translation[here] = rotation, translation
                done += len(here)
                if progress is not None:
                    progress(done, total)
        except FitError as err:
            raise SchemaError(f"{rows.first_bad()} cannot be registered: {err}") from err


def _check_quiet(rows: OffsetRows, corpora: Sequence[Corpus], owners: Sequence[tuple[int, str, str]]) -> list[str]:
    """Tell neutral heads from which all of their subject's frames are far away."""
    nearest = np.zeros(len(owners))
    for i, (_, _, _) in enumerate(owners):
        mine = np.flatnonzero(rows._which == i)
        probe = mine[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), _PROBE_FRAMES)).astype(np.int64))]
        distance = [_rms(rows, int(row)) for row in probe]
        nearest[i] = np.quantile(distance, 0.05)
    return [
        f"the neutral head of {owners[i][2]} does not look neutral: 95 % of its frames are farther from it than"
        f" {nearest[i] * 1e3:.1f} mm (rms)"
        for i in map(int, np.flatnonzero(suspects(nearest)))
    ]


def _one(rows: OffsetRows, row: int) -> NDArray[np.float32]:
    """Return the offset (1, 3 V) of one row."""
    starts = [block.first for block in rows._blocks]
    block = rows._blocks[int(np.searchsorted(starts, row, "right")) - 1]
    at = block.start + int(block.used[row - block.first])
    here = slice(row, row + 1)
    frames = rows.corpora[block.corpus].frames[at : at + 1]
    return frame_offsets(frames, rows._rotation[here], rows._translation[here], rows._origins, rows._which[here])


def _rms(rows: OffsetRows, row: int) -> float:
    offset = _one(rows, row).astype(np.float64)
    return float(np.sqrt((offset**2).sum() / (offset.size / 3)))


def _use_first_frames(rows: OffsetRows, firsts: Sequence[tuple[int, int]], of_take: NDArray[np.int64]) -> None:
    """Count offsets from the first frame of each sequence instead of from the subject's neutral head."""
    origins = []
    for (_, _, taken, _), _ in zip(rows.takes, firsts, strict=True):
        row = int(taken[0])
        origins.append(_one(rows, row).reshape(-1, 3) + rows._origins[rows._which[row]])
    rows._origins = np.stack(origins)
    rows._which = of_take
