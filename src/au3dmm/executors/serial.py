"""Run jobs here, one after another: nothing to set up, and a debugger sees everything."""

from __future__ import annotations

from collections import deque

from au3dmm.executors.base import Job, Outcome


class SerialExecutor:
    """Runs a job when it is waited for."""

    n_workers = 1

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Keep the job until it is waited for."""
        self._jobs.append(job)

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Run the next job, however long it takes."""
        if not self._jobs:
            return []
        job = self._jobs.popleft()
        return [Outcome(job.key, job.function(**job.arguments))]

    def close(self, at_once: bool = False) -> None:
        """Forget the jobs that were not run."""
        self._jobs.clear()
