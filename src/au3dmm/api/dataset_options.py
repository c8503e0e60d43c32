"""How a dataset is run: which stages, which sessions, on what."""

from __future__ import annotations

from dataclasses import dataclass

from au3dmm.errors import ConfigError
from au3dmm.pipeline.plan import RUN_STAGES

STAGE_NAMES = ("bases", *RUN_STAGES)
"""What `run_dataset` does, in order."""


@dataclass(frozen=True)
class RunOptions:
    """How to run a dataset.

    Attributes
    ----------
    first, last : str or None
        Of `STAGE_NAMES`: the first and the last stage that runs; others stay as they are.
    force : bool
        Run them even if they are up to date.
    retry_failed : bool
        Try again what failed although nothing of it has changed.
    limit : int or None
        Only this many sessions, the first by subject and name, and the others of the last one's subject. Nothing is
        consolidated then.
    shard : (int, int) or None
        Part i of n, counted from 1: whole subjects. Nothing is consolidated then.
    executor : str
        ``serial``, ``processes``, ``dask``, or the address of a Dask scheduler.
    workers : int or None
        How many; default: one per core.
    memory_limit : int or None
        Bytes per worker.
    device : str
        Where networks run.
    weights : str or None
        Folder of detector weights.
    overlay : bool
        Draw the pictures of every session.
    session_pages : bool
        Write ``report.html`` of every session that has none.
    thumbnails : bool
        Whether those pages may show the face.
    """

    first: str | None = None
    last: str | None = None
    force: bool = False
    retry_failed: bool = False
    limit: int | None = None
    shard: tuple[int, int] | None = None
    executor: str = "processes"
    workers: int | None = None
    memory_limit: int | None = None
    device: str = "cpu"
    weights: str | None = None
    overlay: bool = False
    session_pages: bool = False
    thumbnails: bool = False

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that run.

        Examples
        --------
        >>> RunOptions(first="sync", last="frames").stages
        ('sync', 'frames')
        """
        names = [name or default for name, default in ((self.first, STAGE_NAMES[0]), (self.last, STAGE_NAMES[-1]))]
        for name in names:
            if name not in STAGE_NAMES:
                raise ConfigError(f"stage {name!r}: no such stage; expected one of {', '.join(STAGE_NAMES)}")
        a, b = (STAGE_NAMES.index(name) for name in names)
        if a > b:
            raise ConfigError(f"stages from {names[0]} until {names[1]}: none; {names[1]} comes first")
        return STAGE_NAMES[a : b + 1]
