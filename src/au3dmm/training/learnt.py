"""Whom weights have learnt from: kept in checkpoints as marks of recordings, and asked before anything is measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from au3dmm.io.recording_marks import recording_mark
from au3dmm.io.training_labels import TrainingLabels
from au3dmm.training.clips import Clips, sessions_of
from au3dmm.training_config import DataParams

_NAMED = 5


@dataclass(frozen=True)
class Seen:
    """Those of some people whom weights have learnt from.

    Attributes
    ----------
    subjects : tuple of str
        Those that they have learnt from for certain, sorted.
    asked : int
        Of how many people that is.
    whole : bool
        Whether they have learnt from none of the others; False where the checkpoint, or the labels, say too little.
    """

    subjects: tuple[str, ...]
    asked: int
    whole: bool

    @property
    def count(self) -> int | None:
        """How many; None if that cannot be told."""
        return len(self.subjects) if self.subjects or self.whole else None


def learnt_from(train: Clips, first: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a checkpoint keeps of whom it learnt from.

    Parameters
    ----------
    train : Clips
        What is learnt from.
    first : mapping, optional
        The same of the weights that training begins with, empty if their checkpoint does not say; None: new weights.

    Returns
    -------
    dict
        ``run``: name of the run's folder; ``recordings``: sorted marks of all recordings learnt from, earlier ones
        included; ``whole``: whether these are all.
    """
    numbers = sorted({place[0] for place in train.places})
    marks = [recording_mark(train.labels.sessions[i].folder) for i in numbers]
    earlier: Mapping[str, Any] = {"whole": True} if first is None else first
    whole = None not in marks and bool(earlier.get("whole", False))
    recordings = sorted({mark for mark in marks if mark is not None}.union(earlier.get("recordings", ())))
    return {"run": train.labels.run.path.name, "recordings": recordings, "whole": whole}


def seen_of(content: Mapping[str, Any], labels: TrainingLabels, subjects: Collection[str]) -> Seen:
    """Return which of some people a checkpoint's weights have learnt from.

    A person is known by any recording of theirs, whatever part it is in now. People who are in several datasets are not
    recognised there.

    Parameters
    ----------
    content : mapping
        A checkpoint; older ones do not say.
    labels : TrainingLabels
        Where these people are.
    subjects : collection of str
        Who is asked about.
    """
    said = content.get("learnt") or {}
    known, whole = set(said.get("recordings", ())), bool(said.get("whole", False))
    seen = set()
    for session in labels.sessions:
        if session.subject_id in subjects:
            mark = recording_mark(session.folder)
            if mark is None:
                whole = False
            elif mark in known:
                seen.add(session.subject_id)
    return Seen(tuple(sorted(seen)), len(set(subjects)), whole)


def leak_into_test(content: Mapping[str, Any], labels: TrainingLabels, data: DataParams) -> str | None:
    """Say whether weights to begin with have learnt from people who are kept for test; None if not.

    Of older checkpoints only another fold of the same labels is noticed.

    Parameters
    ----------
    content : mapping
        The checkpoint.
    labels : TrainingLabels
        Of the training that begins.
    data : DataParams
        What of them is kept for test.
    """
    kept = {labels.sessions[i].subject_id for i in sessions_of(labels, "test", data.model_copy(update={"limit": 0}))}
    seen = seen_of(content, labels, kept)
    if seen.subjects:
        return (
            f"learnt from {len(seen.subjects)} of the {seen.asked} people who are kept for test here"
            f" ({_some(seen.subjects)}): numbers on test will be too good; begin with weights that have not seen them"
        )
    same = content["labels"].get("fingerprint") == labels.metadata.get("fingerprint")
    then = (content["config"].get("data") or {}).get("fold")
    if seen.whole or not kept or not same or then == data.fold:
        return None
    return (
        f"learnt with data.fold = {then}, here {data.fold}: it may know people of this test; begin with one of this"
        " fold"
    )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
