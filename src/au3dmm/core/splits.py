"""Divide recordings into train, validation and test, or into folds.

Everything is decided by hashes of names, never by the order in which recordings were found or drawn from a generator
that the previous one has moved: the same names and seed give the same split, and a subject who joins moves at most one
other subject per border between parts (where the action units are spread alike over subjects, see `split_by_subject`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError

SPLITS = ("train", "val", "test")
Method = Literal["subject", "video", "kfold"]

_CUT = ("test", "val", "train")  # order in which a sorted list is cut: the smallest part first
_SLACK = 0.1  # a part may have this share of an action unit's subjects more or less than its due
_MOST_PAIRS = 2_000_000  # exchanges that are looked at in one go


@dataclass(frozen=True)
class Clip:
    """One recording, as far as a split needs it.

    Attributes
    ----------
    session_id, subject_id : str
        Which recording, and of whom.
    stratum : str
        What should be spread evenly: the action unit asked for, or else the task; may be empty.
    """

    session_id: str
    subject_id: str
    stratum: str = ""


@dataclass(frozen=True)
class Part:
    """Where a recording belongs.

    Attributes
    ----------
    split : str or None
        ``train``, ``val`` or ``test``; None in k-fold.
    fold : int or None
        0 to k - 1; None outside k-fold.
    """

    split: str | None = None
    fold: int | None = None


def assign_parts(
    clips: Sequence[Clip], method: Method, *, seed: int, val: float, test: float, folds: int
) -> dict[str, Part]:
    """Assign every recording to a part.

    Parameters
    ----------
    clips : sequence of Clip
        The recordings, in any order.
    method : {"subject", "video", "kfold"}
        See `split_by_subject`, `split_by_video`, `split_in_folds`.
    seed : int
        Another seed, another split.
    val, test : float
        Shares; the rest is train. Not used by ``kfold``.
    folds : int
        Number of folds, for ``kfold``.

    Returns
    -------
    dict of str to Part
        By session id.

    Raises
    ------
    ConfigError
        If there are fewer subjects than folds.
    """
    if method == "video":
        return {name: Part(split) for name, split in split_by_video(clips, seed=seed, val=val, test=test).items()}
    if method == "kfold":
        fold_of = split_in_folds(clips, seed=seed, folds=folds)
        return {clip.session_id: Part(None, fold_of[clip.subject_id]) for clip in clips}
    split_of = split_by_subject(clips, seed=seed, val=val, test=test)
    return {clip.session_id: Part(split_of[clip.subject_id]) for clip in clips}


def split_by_subject(clips: Sequence[Clip], *, seed: int, val: float, test: float) -> dict[str, str]:
    """Put every subject, with all recordings, into one of train, val and test.

    Subjects are sorted by a hash of seed and name, and the sorted list is cut at the shares. Then pairs of subjects
    change places as long as that brings a part nearer to its due of the subjects that show an action unit; one subject
    or a tenth of the due, whichever is more, is near enough. Where everybody shows the same units nothing is exchanged.

    Two subjects give train and test; one gives train.

    Parameters
    ----------
    clips : sequence of Clip
        The recordings, in any order.
    seed : int
        Another seed, another split.
    val, test : float
        Shares of the subjects.

    Returns
    -------
    dict of str to str
        By subject id.

    Examples
    --------
    >>> clips = [Clip(f"s{i}", f"p{i}") for i in range(10)]
    >>> sorted(split_by_subject(clips, seed=0, val=0.1, test=0.2).values())
    ['test', 'test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'val']
    """
    shares = (test, val, 1.0 - test - val)
    parts = _cut(clips, seed, shares)
    return {subject: _CUT[part] for subject, part in parts.items()}


def split_in_folds(clips: Sequence[Clip], *, seed: int, folds: int) -> dict[str, int]:
    """Put every subject, with all recordings, into one of `folds` folds of equal size; see `split_by_subject`.

    Returns
    -------
    dict of str to int
        By subject id.

    Raises
    ------
    ConfigError
        If there are fewer subjects than folds.
    """
    n = len({clip.subject_id for clip in clips})
    if n < folds:
        raise ConfigError(f"splits: {n} subjects for {folds} folds; expected at least one each; lower splits.folds")
    return _cut(clips, seed, (1.0 / folds,) * folds)


def split_by_video(clips: Sequence[Clip], *, seed: int, val: float, test: float) -> dict[str, str]:
    """Put every recording on its own into train, val or test, as FACEMORPHIC (sec. 4) does; every stratum alike.

    The same person is then in train and in test, by design: results say little about a person never seen. Within a
    stratum recordings are sorted by a hash; which strata round up is decided by largest remainder, so that a recording
    that joins moves three others at most.

    Returns
    -------
    dict of str to str
        By session id.
    """
    split = dict.fromkeys((clip.session_id for clip in clips), "train")
    rest: dict[str, list[str]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (_hash(seed, clip.session_id), clip.session_id)):
        rest[clip.stratum].append(clip.session_id)
    left = 1.0
    for name, share in (("test", test), ("val", val)):
        seats = _seats({stratum: len(names) for stratum, names in rest.items()}, share / left if left > 0 else 0, seed)
        for stratum, n in seats.items():
            split.update(dict.fromkeys(rest[stratum][:n], name))
            rest[stratum] = rest[stratum][n:]
        left -= share
    return split


def check_no_leak(parts: Iterable[tuple[str, str, Part]]) -> None:
    """Refuse a split in which one subject is in two parts.

    Parameters
    ----------
    parts : iterable of (session_id, subject_id, Part)
        What each recording was given.

    Raises
    ------
    ConfigError
        Naming the first such subject (in the alphabet), and two of the recordings.
    """
    leaks = find_leaks(parts)
    if leaks:
        subject, first, second = leaks[0]
        more = f" ({len(leaks) - 1} more subjects do, too)" if len(leaks) > 1 else ""
        raise ConfigError(
            f"subject {subject!r} is in two parts of the split{more}: {first} and {second}; expected all recordings of"
            " a person in one; mend splits.tsv or participants.tsv, or set splits.method = 'video' if that is wanted"
        )


def find_leaks(parts: Iterable[tuple[str, str, Part]]) -> list[tuple[str, str, str]]:
    """Return subjects who are in two parts: subject, and two recordings with their parts in words."""
    seen: dict[str, dict[Part, str]] = defaultdict(dict)
    for session_id, subject_id, part in parts:
        known = seen[subject_id].get(part)
        seen[subject_id][part] = session_id if known is None else min(known, session_id)
    leaks = []
    for subject, found in sorted(seen.items()):
        if len(found) > 1:
            first, second = sorted((name, part_name(part)) for part, name in found.items())[:2]
            leaks.append((subject, f"{first[0]} in {first[1]}", f"{second[0]} in {second[1]}"))
    return leaks


def part_name(part: Part) -> str:
    """Name a part.

    Examples
    --------
    >>> part_name(Part("train")), part_name(Part(None, 2)), part_name(Part())
    ('train', 'fold 2', 'no part')
    """
    if part.split is not None:
        return part.split
    return "no part" if part.fold is None else f"fold {part.fold}"


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _cut(clips: Sequence[Clip], seed: int, shares: Sequence[float]) -> dict[str, int]:
    """Return the part of each subject."""
    shown: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        shown[clip.subject_id].add(clip.stratum)
    subjects = sorted(shown, key=lambda name: (_hash(seed, name), name))
    ends = _ends(len(subjects), shares)
    part = np.searchsorted(ends, np.arange(len(subjects)), side="right")
    strata = sorted({stratum for each in shown.values() for stratum in each})
    shows = np.array([[stratum in shown[name] for stratum in strata] for name in subjects], dtype=bool)
    if len(subjects):
        part = _exchange(part, shows.reshape(len(subjects), len(strata)), np.asarray(shares, np.float64))
    return {name: int(p) for name, p in zip(subjects, part, strict=True)}


def _ends(n: int, shares: Sequence[float]) -> NDArray[np.int64]:
    """Where n sorted subjects are cut: rounded sums of shares, so that one subject more moves each cut by at most one.

    A part with a share gets a subject as soon as there are enough for all; until then the last part, then the first,
    comes first.

    Examples
    --------
    >>> [_ends(n, (0.2, 0.1, 0.7)).tolist() for n in (1, 2, 3, 10)]
    [[0, 0, 1], [1, 1, 2], [1, 2, 3], [2, 3, 10]]
    """
    due = np.floor(np.cumsum(shares) * n + 0.5).astype(np.int64)
    wanted = [i for i, share in enumerate(shares) if share > 0]
    served = {wanted[-1], *wanted[: max(n - 1, 0)]} if wanted else set()
    ends = np.zeros(len(shares), np.int64)
    at = 0
    for i in range(len(shares)):
        behind = sum(1 for j in served if j > i)
        least = at + (1 if i in served else 0)
        at = int(min(max(due[i], least), n - behind)) if i in served else at
        ends[i] = at
    ends[-1] = n if len(shares) else 0
    return ends


def _exchange(part: NDArray[np.int64], shows: NDArray[np.bool_], shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Exchange pairs of subjects between parts until no exchange spreads the strata better; sizes stay."""
    part = part.copy()
    sizes = np.bincount(part, minlength=len(shares))
    due = shows.sum(0) * (sizes / len(part))[:, None]  # (parts, strata) subjects
    enough = np.maximum(1.0, _SLACK * due)
    needed = (shows.sum(0) >= (sizes > 0).sum()) & (sizes > 0)[:, None]  # everybody can have one of these
    count = np.stack([shows[part == p].sum(0) for p in range(len(shares))]).astype(np.float64)

    def cost(p: int, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        beyond = np.maximum(0.0, np.abs(counts - due[p]) - enough[p])
        return np.asarray((beyond**2 + (needed[p] & (counts < 0.5))).sum(-1), np.float64)

    while True:
        best: tuple[float, int, int] | None = None
        for p in range(len(shares)):
            for q in range(p + 1, len(shares)):
                now = float(cost(p, count[p]) + cost(q, count[q]))
                if now == 0:
                    continue
                here, there = np.flatnonzero(part == p), np.flatnonzero(part == q)
                rows = max(1, _MOST_PAIRS // max(1, len(there) * shows.shape[1]))
                for start in range(0, len(here), rows):
                    some = here[start : start + rows]
                    moved = shows[there][None].astype(np.float64) - shows[some][:, None]
                    gain = now - cost(p, count[p] + moved) - cost(q, count[q] - moved)
                    at = int(np.argmax(gain))
                    if gain.flat[at] > 1e-9 and (best is None or gain.flat[at] > best[0] + 1e-9):
                        best = float(gain.flat[at]), int(some[at // len(there)]), int(there[at % len(there)])
        if best is None:
            return part
        _, a, b = best
        change = shows[b].astype(np.float64) - shows[a]
        count[part[a]] += change
        count[part[b]] -= change
        part[a], part[b] = part[b], part[a]


def _seats(sizes: Mapping[str, int], share: float, seed: int) -> dict[str, int]:
    """Distribute round(share * total) seats over strata by largest remainder.

    Examples
    --------
    >>> _seats({"AU1": 5, "AU2": 5, "AU4": 5}, 0.2, 0)
    {'AU1': 1, 'AU2': 1, 'AU4': 1}
    """
    exact = {name: share * n for name, n in sizes.items()}
    seats = {name: min(int(value + 1e-9), sizes[name]) for name, value in exact.items()}
    free = int(share * sum(sizes.values()) + 0.5) - sum(seats.values())
    order = sorted(sizes, key=lambda name: (-round(exact[name] - seats[name], 9), _hash(seed, name)))
    for name in order[: max(free, 0)]:
        seats[name] = min(seats[name] + 1, sizes[name])
    return seats
