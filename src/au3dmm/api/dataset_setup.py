"""Find out what a run of a dataset is about, before any of it runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from au3dmm.api.dataset_options import RunOptions
from au3dmm.api.labelling import check_device
from au3dmm.api.pipelines import chosen_pipeline
from au3dmm.config import PipelineParams
from au3dmm.errors import ConfigError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.dataset import FoundSession, find_sessions, read_dataset
from au3dmm.io.run_folder import DERIVATIVES, RunFolder
from au3dmm.io.session import Session
from au3dmm.io.withdrawn import is_withdrawn
from au3dmm.pipeline.failure import Failure
from au3dmm.pipeline.plan import Planner, Selection
from au3dmm.pipeline.session_run import detector_mark


class DatasetSetup:
    """The dataset, its sessions, the pipeline and the basis: what running and planning share.

    Attributes
    ----------
    options : RunOptions
        As given.
    stages : tuple of str
        Which run.
    dataset : Dataset
        The folder.
    params : PipelineParams
        What to compute.
    run : RunFolder
        Where results go.
    all, sessions : list of Session
        Those that may be used; those of this run.
    broken : tuple of Failure
        Sessions that cannot be used.
    excluded : dict
        Per session why it is left out.
    lists : tuple of Path
        Runs whose lists of people who have withdrawn count.
    corpora : tuple of str
        What the basis is learnt from, if it is not given.
    """

    def __init__(
        self,
        dataset: str | Path,
        pipeline: str | Path | PipelineParams | None,
        bases: str | Path | None,
        out: str | Path | None,
        detector: str | None,
        sync: str | None,
        options: RunOptions,
    ) -> None:
        self.options = options
        self.stages = options.stages
        self.dataset = read_dataset(Path(dataset))
        self.name, self.params = chosen_pipeline(pipeline, detector, sync)
        check_device(options.device, self.params)
        default = self.dataset.folder / DERIVATIVES / self.name
        self.run = RunFolder(Path(out) if out is not None else default)
        self.lists = (self.run.path, default)  # both have, or have beside them, a list of who has withdrawn
        self.found = find_sessions(self.dataset)
        if not self.found:
            raise ConfigError(
                f"{self.dataset.folder}: no session.toml below it; `au3dmm init --help` tells how to write them"
            )
        names = Counter(one.name for one in self.found)
        self.broken = tuple(
            _broken(one, self.dataset.folder if names[one.name] > 1 else None)
            for one in self.found
            if one.session is None
        )
        self.excluded: dict[str, str] = {}
        usable = []
        for session in (one.session for one in self.found if one.session is not None):
            why = self.dataset.excluded(session.subject_id)
            if why is None and any(is_withdrawn(run, session.subject_id) for run in self.lists):
                why = withdrawn(session)
            if why is None:
                usable.append(session)
            else:
                self.excluded[session.session_id] = why
        self.all = sorted(usable, key=lambda s: (s.subject_id, s.session_id))
        self.sessions = _chosen(self.all, options)
        self.given = bases or self.dataset.manifest.bases.file
        if self.given is not None and bases is None:
            self.given = self.dataset.folder / self.given
        corpora = () if bases is not None else self.dataset.manifest.bases.corpora
        self.corpora = tuple(_beside(spec, self.dataset.folder) for spec in corpora)

    @property
    def bases(self) -> Path:
        """The basis file: given, learnt by this run, or the shipped one."""
        if self.given is not None:
            return Path(self.given)
        return self.run.bases if self.corpora else asset_path(DEMO_BASES)

    def leave_out(self, session_ids: set[str]) -> None:
        """Leave out people who have withdrawn since the run began."""
        for session in self.all:
            if session.session_id in session_ids:
                self.excluded[session.session_id] = withdrawn(session)
        self.all = [session for session in self.all if session.session_id not in session_ids]
        self.sessions = [session for session in self.sessions if session.session_id not in session_ids]

    @property
    def consolidates(self) -> bool:
        """Whether the labels are put together: of a part of the sessions they are not."""
        return "consolidate" in self.stages and self.options.shard is None and self.options.limit is None

    def planner(self, bases_mark: str, stages: tuple[str, ...] | None = None) -> Planner:
        """Return what compares the dataset with the run's folder, given the basis' fingerprint.

        For the stages of this run, or for others.
        """
        weights = None if self.options.weights is None else Path(self.options.weights)
        params = self.params.detect
        marks: dict[str, str] = {}

        def mark(session: Session) -> str:
            if "precomputed" in (params.detector, params.check_with):
                return detector_mark(params, session, weights)
            if "all" not in marks:
                marks["all"] = detector_mark(params, session, weights)
            return marks["all"]

        selection = Selection(
            stages or self.stages, self.options.force, self.options.overlay, self.options.retry_failed
        )
        return Planner(self.run, self.params, self.bases, bases_mark, mark, selection)


def _beside(spec: str, folder: Path) -> str:
    """Return a corpus as `fit-bases` takes it, its path relative to `folder`; a seed is no path.

    Examples
    --------
    >>> _beside("ict:../ict.npz", Path("data")), _beside("synthetic:3", Path("data"))
    ('ict:data/../ict.npz', 'synthetic:3')
    """
    kind, colon, place = spec.partition(":")
    return spec if not place or kind == "synthetic" else f"{kind}{colon}{folder / place}"


def withdrawn(session: Session) -> str:
    """Say that a person has withdrawn."""
    return f"subject {session.subject_id!r} has withdrawn (au3dmm forget); delete the recording"


def _broken(one: FoundSession, dataset: Path | None) -> Failure:
    """Describe a session whose manifest cannot be used; with `dataset`, by its place, as another has its name."""
    name = one.name if dataset is None else one.path.parent.relative_to(dataset).as_posix()
    return Failure(name, "", str(one.path), "session", "ConfigError", one.problem or "cannot be used")


def _chosen(sessions: list[Session], options: RunOptions) -> list[Session]:
    """Return the sessions of this run: whole subjects of a shard, and no more than the limit."""
    if options.shard is not None:
        part, n = options.shard
        if not 1 <= part <= n:
            raise ConfigError(f"shard {part}/{n}: expected i/n with i from 1 to n")
        subjects = sorted({session.subject_id for session in sessions})
        mine = set(subjects[part - 1 :: n])
        sessions = [session for session in sessions if session.subject_id in mine]
    if options.limit is not None:
        if options.limit < 1:
            raise ConfigError(f"limit {options.limit}: expected at least 1 session")
        first = {session.subject_id for session in sessions[: options.limit]}
        sessions = [session for session in sessions if session.subject_id in first]
    return sessions
