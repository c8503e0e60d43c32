"""Which sessions a synthetic dataset has, where they lie, and by what it is known that they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from au3dmm.io.hashing import sha256_json
from au3dmm.synthetic.cast import subject_name
from au3dmm.synthetic.people import HeadModel

VERSION = 1
"""Raised when sessions come out differently: those of before are made again."""
RAW, TRUTH = "rawdata", "truth"


@dataclass(frozen=True)
class Take:
    """A session of the dataset, in plain values that another process understands.

    Attributes
    ----------
    seed : int
        Of the dataset.
    subject : int
        From 0 on.
    task : str
        One of `TASKS` or `EMOTION_TASKS`.
    run : int
        Repetition, from 1 on.
    seconds : float
        Length.
    head : str
        ``demo`` or ``ict:FILE``.
    head_fingerprint : str
        Of what the head is made of.
    small : bool
        Pictures a quarter as large, from half as many, for trying out.
    """

    seed: int
    subject: int
    task: str
    run: int
    seconds: float
    head: str
    head_fingerprint: str
    small: bool = False

    @property
    def subject_id(self) -> str:
        """Like S001."""
        return subject_name(self.subject)

    @property
    def session_id(self) -> str:
        """Like S001_AU12_1."""
        return self.place.name

    @property
    def place(self) -> Path:
        """Its folder below that of the dataset."""
        return session_files(self.subject, self.task, self.run)[0]

    @property
    def truth(self) -> Path:
        """The file of its truth below the dataset's folder."""
        return session_files(self.subject, self.task, self.run)[1]

    def fingerprint(self) -> str:
        """Return what its bytes depend on, where the head's file lies left out."""
        values = asdict(self)
        del values["head"]
        return sha256_json({"version": VERSION, **values})


def session_files(subject: int, task: str, run: int) -> tuple[Path, Path]:
    """Return the folder of a session and the file of its truth, below the dataset's folder.

    Examples
    --------
    >>> [path.as_posix() for path in session_files(0, "AU12", 1)]
    ['rawdata/sub-S001/S001_AU12_1', 'truth/S001_AU12_1.json']
    """
    name = f"{subject_name(subject)}_{task}_{run}"
    return Path(RAW) / f"sub-{subject_name(subject)}" / name, Path(TRUTH) / f"{name}.json"


def plan_takes(
    subjects: int, tasks: Sequence[str], repetitions: int, *, seed: int, seconds: float, head: HeadModel, small: bool
) -> list[Take]:
    """Return the sessions of a dataset: by subject, then by task, then by repetition."""
    return [
        Take(seed, subject, task, run, seconds, head.spec, head.fingerprint, small)
        for subject in range(subjects)
        for task in tasks
        for run in range(1, repetitions + 1)
    ]
