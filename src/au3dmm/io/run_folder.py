"""Where everything of a run lies: one place that knows the names in ``derivatives/au3dmm/<pipeline>/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DERIVATIVES = Path("derivatives") / "au3dmm"
LEDGER = "stage.json"


@dataclass(frozen=True)
class RunFolder:
    """A run's folder: ``DATASET/derivatives/au3dmm/<pipeline>/``.

    Attributes
    ----------
    path : Path
        The folder itself.

    Examples
    --------
    >>> RunFolder(Path("run")).session("S001_AU12_1").as_posix()
    'run/sessions/S001_AU12_1'
    """

    path: Path

    @property
    def sessions(self) -> Path:
        """One folder per recording: landmarks, coefficients, clock, event frames, labels, `stage.json`."""
        return self.path / "sessions"

    def session(self, session_id: str) -> Path:
        """Return the folder of one recording."""
        return self.sessions / session_id

    @property
    def subjects(self) -> Path:
        """One folder per person: the identity that all of the person's recordings share, `stage.json`."""
        return self.path / "subjects"

    def subject(self, subject_id: str) -> Path:
        """Return the folder of one person."""
        return self.subjects / subject_id

    @property
    def bases(self) -> Path:
        """The basis that this run learnt, if it learnt one."""
        return self.path / "bases.npz"

    @property
    def given_bases(self) -> Path:
        """A copy of the basis that this run was given, if it is neither its own nor the shipped one."""
        return self.path / "bases.given.npz"

    @property
    def dataset(self) -> Path:
        """What was put together from all recordings: `labels/`, index, annotations, card, `stage.json`."""
        return self.path / "dataset"

    @property
    def labels(self) -> Path:
        """The consolidated labels: a folder of Parquet files, sorted by subject, session and event frame."""
        return self.dataset / "labels"

    @property
    def index(self) -> Path:
        """One row per recording: whose, which split, how many rows, how it went."""
        return self.dataset / "sessions.parquet"

    @property
    def annotations(self) -> Path:
        """What people said of the recordings, beside what was fitted: one row per statement."""
        return self.dataset / "annotations.parquet"

    @property
    def card(self) -> Path:
        """The dataset card."""
        return self.dataset / "README.md"

    @property
    def failures(self) -> Path:
        """One JSON object per recording that failed."""
        return self.path / "failures.jsonl"

    @property
    def report(self) -> Path:
        """The page that a person looks at."""
        return self.path / "report.html"

    @property
    def training(self) -> Path:
        """One folder per model that was trained on these labels."""
        return self.path / "training"

    @property
    def experiments(self) -> Path:
        """One folder per experiment on these labels."""
        return self.path / "experiments"

    @property
    def state(self) -> Path:
        """What only serves to run faster or to show progress, and may be deleted at any time."""
        return self.path / ".state"

    @property
    def exists(self) -> bool:
        """Whether a run has left anything here; a dataset, which may have a folder `sessions`, too, is no run."""
        if (self.path / "dataset.toml").exists() or (self.path / DERIVATIVES).is_dir():
            return False
        return self.sessions.is_dir() or self.dataset.is_dir() or self.subjects.is_dir()


def dataset_runs(dataset: Path) -> list[RunFolder]:
    """Return the runs of a dataset, one per pipeline, sorted by name."""
    folders = sorted(path for path in (dataset / DERIVATIVES).glob("*") if not path.name.startswith("."))
    return [run for run in map(RunFolder, folders) if run.exists]
