"""Which recording is for training, validation or test: as the dataset says, or computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from au3dmm.config import SplitsParams
from au3dmm.core.splits import SPLITS, Clip, Part, assign_parts, check_no_leak, find_leaks, part_name
from au3dmm.io.dataset import Dataset
from au3dmm.io.given_splits import read_given_split
from au3dmm.io.sessions_index import IndexRow

COMPUTED = "computed"


@dataclass(frozen=True)
class Splitting:
    """A split of a dataset.

    Attributes
    ----------
    parts : dict
        The part of each recording whose subject is known.
    method : str
        ``subject``, ``video``, ``kfold``, or ``given``.
    source : str
        ``computed``, or the name of the file that says so.
    leaks : int
        Subjects who are in two parts.
    warnings : tuple of str
        What a user should know.
    """

    parts: dict[str, Part]
    method: str
    source: str
    leaks: int
    warnings: tuple[str, ...]

    def part_of(self, row: IndexRow) -> Part:
        """Return the part of a recording; none where nobody knows whose it is."""
        return self.parts.get(row.session_id, Part()) if row.subject_id is not None else Part()

    def told(self) -> dict[str, Any]:
        """Return what files say of the split."""
        return {"method": self.method, "source": self.source, "leaking_subjects": self.leaks}

    def names(self) -> list[str]:
        """Return the name of the part of each recording."""
        return [part_name(part) for part in self.parts.values()]


def plan_parts(rows: Sequence[IndexRow], params: SplitsParams, dataset: Dataset | None) -> Splitting:
    """Split recordings, the failed ones included: who fails must not move anybody else.

    Raises
    ------
    ConfigError
        If the dataset's own split is incomplete or leaks, or there are fewer subjects than folds.
    """
    known = [row for row in rows if row.subject_id is not None]
    given = None if dataset is None else read_given_split(dataset.folder, dataset.participants)
    if given is None:
        return _computed(known, params)
    parts = {row.session_id: given.part_of(row.session_id, row.subject_id or "") for row in known}
    return _finished(known, parts, "given", given.path.name, params)


def kept_splitting(
    rows: Sequence[IndexRow], params: SplitsParams, told: Mapping[str, Any], before: Mapping[str, Part]
) -> Splitting:
    """Split what is left of a dataset: as `before` if the dataset said so, else computed again."""
    known = [row for row in rows if row.subject_id is not None]
    if told.get("source") == COMPUTED:
        return _computed(known, params)
    parts = {row.session_id: before[row.session_id] for row in known}
    return _finished(known, parts, str(told.get("method")), str(told.get("source")), params)


def _computed(rows: Sequence[IndexRow], params: SplitsParams) -> Splitting:
    clips = [Clip(row.session_id, row.subject_id or "", _stratum(row)) for row in rows]
    parts = assign_parts(clips, params.method, seed=params.seed, val=params.val, test=params.test, folds=params.folds)
    return _finished(rows, parts, params.method, COMPUTED, params)


def _finished(
    rows: Sequence[IndexRow], parts: dict[str, Part], method: str, source: str, params: SplitsParams
) -> Splitting:
    told = [(row.session_id, row.subject_id or "", parts[row.session_id]) for row in rows]
    if params.method != "video":
        check_no_leak(told)
    leaks = len(find_leaks(told))
    warnings = list(_missing(rows, parts))
    if leaks:
        warnings.append(
            f"the split is by video: {leaks} subjects are in more than one part, so results say little of a new person"
        )
    return Splitting(parts, method, source, leaks, tuple(warnings))


def _stratum(row: IndexRow) -> str:
    return row.au if row.au is not None else row.task or ""


def _missing(rows: Sequence[IndexRow], parts: Mapping[str, Part]) -> Iterable[str]:
    """Say what a part lacks."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[part_name(parts[row.session_id])].add(_stratum(row))
    everything = set().union(*found.values()) if found else set()
    if found and "test" not in found and not any(part.fold is not None for part in parts.values()):
        yield "nothing is left for test: there are too few subjects"
    for name in sorted(found, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)):
        if lacking := sorted(everything - found[name] - {""}):
            some = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
            yield f"{name} has no recording of {some}"
