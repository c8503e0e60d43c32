"""The offsets of one or several corpora as blocks of rows that are computed when they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.mirror import mirror_offsets, symmetric_head
from au3dmm.core.neutrals import find_medoid, register_neutrals, suspects
from au3dmm.core.offsets import frame_offsets
from au3dmm.core.registration import register_frames
from au3dmm.core.threads import ordered_map, single_threaded_blas
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.corpora.base import Corpus

_BLOCK_BYTES = 48 << 20  # fixed: sums over blocks must not depend on the number of threads
_REGISTER_VERTICES, _REGISTER_BYTES = 1500, 16 << 20
_PROBE_FRAMES = 120
_STILL_HEAD_M = 2e-3
Progress = Callable[[int, int], None]
FindPartners = Callable[[NDArray[np.float64]], NDArray[np.int64] | None]


@dataclass(frozen=True)
class Take:
    """A sequence of a corpus, and the rows that its frames have here."""

    owner: int  # number of the subject
    subject: str
    name: str
    rows: NDArray[np.int64]
    action_units: tuple[str, ...]


@dataclass(frozen=True)
class _Block:
    """Frames start to stop of a corpus, of which `used` are taken (counted from start)."""

    corpus: int
    start: int
    stop: int
    used: NDArray[np.int64]
    first: int  # row of the first of them


@dataclass(frozen=True)
class OffsetRows:
    """Offsets of all used frames, in order of corpus and frame.

    Attributes
    ----------
    corpora : sequence of Corpus
        Where frames come from.
    blocks : tuple of _Block
        How they are read.
    takes : tuple of Take
        Sequences, in the order of the corpora.
    subjects : tuple of str
        With the corpus' name in front where there are several corpora.
    neutrals : (S, V, 3) float64 array
        Their registered neutral heads, m.
    origins : (O, V, 3) float32 array
        What offsets count from, m.
    which : (N,) int64 array
        Origin of each row.
    rotation, translation : (N, 3, 3) and (N, 3) float64 arrays
        Brings each frame onto its subject's neutral head, m.
    warnings : tuple of str
        Neutrals that do not look neutral, and a head without mirror partners.
    partner : (V,) int64 array, optional
        Mirror partner of each vertex; the mirror plane of the neutrals' mean is x = const.
    """

    corpora: Sequence[Corpus]
    blocks: tuple[_Block, ...]
    takes: tuple[Take, ...]
    subjects: tuple[str, ...]
    neutrals: NDArray[np.float64]
    origins: NDArray[np.float32]
    which: NDArray[np.int64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    warnings: tuple[str, ...]
    partner: NDArray[np.int64] | None = None

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        return [len(block.used) for block in self.blocks]

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return len(self.which)

    @property
    def n_columns(self) -> int:
        """Three per vertex."""
        return 3 * int(self.neutrals.shape[1])

    def read(self, block: int, stride: int = 1) -> NDArray[np.float32]:
        """Return the offsets (n, 3 V), m, of every `stride`-th row of a block."""
        b = self.blocks[block]
        frames = self.corpora[b.corpus].frames
        rows = np.arange(b.first, b.first + len(b.used))[::stride]
        if len(b.used) == b.stop - b.start:
            return self._offsets(frames[b.start : b.stop : stride], rows)
        return self._offsets(frames[b.start : b.stop][b.used[::stride]], rows)

    def read_row(self, row: int) -> NDArray[np.float32]:
        """Return the offset (V, 3), m, of one row."""
        b = self.blocks[int(np.searchsorted([block.first for block in self.blocks], row, "right")) - 1]
        at = b.start + int(b.used[row - b.first])
        offset = self._offsets(self.corpora[b.corpus].frames[at : at + 1], np.array([row]))
        return offset.reshape(-1, 3)

    def first_bad(self) -> str:
        """Return which frame holds values that are not finite, in words."""
        for i, b in enumerate(self.blocks):
            bad = np.flatnonzero(~np.isfinite(self.read(i)).all(1))
            if len(bad):
                row = b.first + int(bad[0])
                take = next(t for t in self.takes if row in t.rows)
                return f"frame {int(np.flatnonzero(take.rows == row)[0])} of {take.subject}/{take.name}"
        return "a frame"

    def _offsets(self, frames: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return frame_offsets(frames, self.rotation[rows], self.translation[rows], self.origins, self.which[rows])


def offset_rows(
    corpora: Sequence[Corpus],
    reference: NDArray[np.floating] | None,
    neutral: str,
    workers: int,
    progress: Progress | None = None,
    *,
    partners: FindPartners | None = None,
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
    partners : callable, optional
        Finds the mirror partners of a head's vertices, or None. With it, neutrals are registered to a symmetric mean.

    Raises
    ------
    SchemaError
        If frames belong to two sequences, or cannot be registered.
    """
    heads: list[NDArray[np.float64]] = []
    warnings: list[str] = []
    subjects: dict[tuple[int, str], str] = {}
    for number, corpus in enumerate(corpora):
        for subject in corpus.subjects:
            title = f"{corpus.name}/{subject}" if len(corpora) > 1 else subject
            subjects[number, subject] = title
            head, told = _neutral_head(corpus, subject, title)
            heads.append(head)
            warnings += told
    stack = np.stack(heads)
    target = stack.mean(0) if reference is None else np.asarray(reference, np.float64)
    try:
        registered, rotation, translation = register_neutrals(stack, target)
        partner = None if partners is None else partners(registered.mean(0))
        if partner is not None:
            target = symmetric_head(registered.mean(0), partner)
            both = np.concatenate([stack, mirror_offsets(stack, partner)])
            found = register_neutrals(both, target)
            registered, rotation, translation = (values[: len(stack)] for values in found)
    except FitError as err:
        raise SchemaError(f"corpus {corpora[0].name}: the neutral heads cannot be registered: {err}") from err
    blocks, takes = _lay_out(corpora, subjects)
    owner = np.empty(sum(len(block.used) for block in blocks), np.int64)
    for take in takes:
        owner[take.rows] = take.owner
    rows = OffsetRows(
        corpora=corpora,
        blocks=blocks,
        takes=takes,
        subjects=tuple(subjects.values()),
        neutrals=registered,
        origins=registered.astype(np.float32),
        which=owner,
        rotation=rotation[owner],
        translation=translation[owner],
        warnings=(),
        partner=partner,
    )
    if any(corpus.posed for corpus in corpora):
        rows = _register(rows, workers, progress)
    rows = dataclasses.replace(rows, warnings=(*warnings, *_moving(rows), *_not_quiet(rows)))
    return _from_first_frames(rows) if neutral == "sequence" else rows


def _neutral_head(corpus: Corpus, subject: str, title: str) -> tuple[NDArray[np.float64], list[str]]:
    """Return a subject's neutral head, and a warning for each sequence that does not start with it."""
    if subject in corpus.neutrals:
        return corpus.neutrals[subject], []
    candidates = corpus.neutral_rows[subject]
    try:
        found = find_medoid(np.stack([corpus.frames[int(r) : int(r) + 1][0] for r in candidates]))
    except FitError as err:
        raise SchemaError(f"corpus {corpus.name}: no neutral of {title}: {err}") from err
    starts = {int(s.rows[0]): s.name for s in corpus.sequences if s.subject_id == subject}
    return found.head, [
        f"{title}/{starts.get(int(candidates[i]), int(candidates[i]))} does not start neutral: its first frame is"
        f" {found.distance[i] * 1e3:.1f} mm (rms) from the subject's other first frames"
        for i in map(int, np.flatnonzero(suspects(found.distance)))
    ]


def _lay_out(
    corpora: Sequence[Corpus], subjects: dict[tuple[int, str], str]
) -> tuple[tuple[_Block, ...], tuple[Take, ...]]:
    blocks, takes, first = [], [], 0
    numbers = {key: i for i, key in enumerate(subjects)}
    for number, corpus in enumerate(corpora):
        n_frames, v = (int(n) for n in corpus.frames.shape[:2])
        every = np.concatenate([s.rows for s in corpus.sequences])
        used = np.unique(every)
        if len(used) != len(every):
            raise SchemaError(f"corpus {corpus.name}: {len(every) - len(used)} frames belong to two sequences at once")
        place = np.full(n_frames, -1, np.int64)
        place[used] = first + np.arange(len(used))
        for s in corpus.sequences:
            key = (number, s.subject_id)
            takes.append(Take(numbers[key], subjects[key], s.name, place[s.rows], s.action_units))
        size = max(1, _BLOCK_BYTES // (12 * v))
        for start in range(0, n_frames, size):
            inside = used[(used >= start) & (used < start + size)]
            if len(inside):
                low, high = int(inside[0]), int(inside[-1]) + 1
                blocks.append(_Block(number, low, high, inside - low, first))
                first += len(inside)
    return tuple(blocks), tuple(takes)


def _register(rows: OffsetRows, workers: int, progress: Progress | None) -> OffsetRows:
    """Find the motion of every frame of the corpora that still hold head motion, on vertices spread over the head."""
    v = rows.neutrals.shape[1]
    some = np.unique(np.linspace(0, v - 1, min(v, _REGISTER_VERTICES)).astype(np.int64))
    step = max(1, _REGISTER_BYTES // (24 * len(some)))
    work = [
        (block, slice(start, start + step))
        for block in rows.blocks
        if rows.corpora[block.corpus].posed
        for start in range(0, len(block.used), step)
    ]
    rotation, translation = rows.rotation.copy(), rows.translation.copy()

    def one(item: tuple[_Block, slice]) -> int:
        block, part = item
        used = block.used[part]
        here = block.first + np.arange(len(block.used))[part]
        low, high = block.start + int(used[0]), block.start + int(used[-1]) + 1
        frames = rows.corpora[block.corpus].frames[low:high][used - used[0]][:, some]
        for subject in np.unique(rows.which[here]):
            mine = rows.which[here] == subject
            rotation[here[mine]], translation[here[mine]] = register_frames(frames[mine], rows.neutrals[subject][some])
        return len(used)

    total, done = sum(len(block.used[part]) for block, part in work), 0
    with single_threaded_blas():
        try:
            for count in ordered_map(one, work, workers):
                done += count
                if progress is not None:
                    progress(done, total)
        except FitError as err:
            raise SchemaError(f"{rows.first_bad()} cannot be registered: {err}") from err
    return dataclasses.replace(rows, rotation=rotation, translation=translation)


def _moving(rows: OffsetRows) -> list[str]:
    """Tell corpora that are said to hold no head motion, and do."""
    told = []
    v = rows.neutrals.shape[1]
    some = np.unique(np.linspace(0, v - 1, min(v, _REGISTER_VERTICES)).astype(np.int64))
    for number, corpus in enumerate(rows.corpora):
        if corpus.posed:
            continue
        here = np.concatenate([b.first + np.arange(len(b.used)) for b in rows.blocks if b.corpus == number])
        probe = here[np.unique(np.linspace(0, len(here) - 1, min(len(here), _PROBE_FRAMES)).astype(np.int64))]
        moved = np.empty(len(probe))
        for i, row in enumerate(map(int, probe)):
            head = rows.origins[rows.which[row]][some].astype(np.float64)
            frame = head + rows.read_row(row)[some]
            rotation, translation = register_frames(frame[None], head)
            moved[i] = np.sqrt(((frame @ rotation[0].T + translation[0] - frame) ** 2).sum(1).mean())
        if np.median(moved) > _STILL_HEAD_M:
            told.append(
                f"heads of corpus {corpus.name} move by {np.median(moved) * 1e3:.1f} mm (rms) as a whole, though they"
                " are said to be registered; posed = true in corpus.toml registers them"
            )
    return told


def _not_quiet(rows: OffsetRows) -> list[str]:
    """Tell neutral heads that all of their subject's frames are far away from."""
    nearest = np.zeros(len(rows.subjects))
    for i in range(len(rows.subjects)):
        mine = np.flatnonzero(rows.which == i)
        probe = mine[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), _PROBE_FRAMES)).astype(np.int64))]
        offsets = [rows.read_row(int(row)).astype(np.float64) for row in probe]
        nearest[i] = np.quantile([np.sqrt((offset**2).sum(1).mean()) for offset in offsets], 0.05)
    return [
        f"the neutral head of {rows.subjects[i]} does not look neutral: 95 % of its frames are farther from it than"
        f" {nearest[i] * 1e3:.1f} mm (rms)"
        for i in map(int, np.flatnonzero(suspects(nearest)))
    ]


def _from_first_frames(rows: OffsetRows) -> OffsetRows:
    """Count offsets from the first frame of each sequence instead of from the subject's neutral head."""
    origins = np.empty((len(rows.takes), *rows.origins.shape[1:]), np.float32)
    which = np.empty_like(rows.which)
    for i, take in enumerate(rows.takes):
        row = int(take.rows[0])
        origins[i] = rows.read_row(row) + rows.origins[rows.which[row]]
        which[take.rows] = i
    return dataclasses.replace(rows, origins=origins, which=which)
