"""Run jobs on Dask: workers of this machine, or those of a scheduler that somebody started."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.metadata
import logging
import os
import queue
import time
from pathlib import Path
from typing import Any

from au3dmm.errors import ConfigError, ExecutorError
from au3dmm.executors.base import Job, Outcome

_CONNECT_S = 5.0
_LOOK_S = 0.5
_COUNT_S = 2.0
_ALONE_S = 60.0


class DaskExecutor:
    """A client of a Dask cluster.

    Parameters
    ----------
    address : str or None
        Of a scheduler; None starts one here, with `n_workers` processes.
    n_workers, memory_limit : int
        For the cluster that is started here.
    shared : Path, optional
        A file that every worker must be able to see.
    """

    def __init__(self, address: str | None, n_workers: int, memory_limit: int | None, shared: Path | None) -> None:
        import dask
        import distributed as untyped

        distributed: Any = untyped
        # at more than 1.0 a worker that dies also fails an innocent job that only waited for it; and with no failure
        # allowed one that had just ended there, before its answer was heard
        self._config = dask.config.set(
            {"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.allowed-failures": 1}
        )
        self._cluster: Any = None
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._jobs: dict[str, tuple[Job, Any]] = {}
        threads = os.environ.get("OMP_NUM_THREADS")
        try:
            if address is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=n_workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit="auto" if memory_limit is None else memory_limit,
                    host="127.0.0.1",
                    silence_logs=logging.CRITICAL,  # what happens to jobs is told by who gave them out
                    preload=["au3dmm.executors.dask_worker"],
                    dashboard_address="127.0.0.1:0",  # None still opens a port, and always the same one
                )
            self._client: Any = distributed.Client(self._cluster or address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as err:
            raise ConfigError(
                f"executor {address}: no scheduler answers ({type(err).__name__}); start one with `dask scheduler`, and"
                f" workers with `dask worker {address} --nthreads 1`"
            ) from err
        finally:
            # LocalCluster sets it for its workers and leaves it so here
            if threads is None:
                os.environ.pop("OMP_NUM_THREADS", None)
            else:
                os.environ["OMP_NUM_THREADS"] = threads
        self._where = address or "dask"
        self._counted = self._alive = time.monotonic()
        try:
            self.n_workers = self._check_workers(shared)
        except BaseException:
            self.close(at_once=True)
            raise

    def _check_workers(self, shared: Path | None) -> int:
        """Refuse workers that would fail every job: another version, or another file system."""
        if self._cluster is not None:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
        said = self._client.run(_look, None if shared is None else str(shared))
        if not said:
            raise ConfigError(
                f"executor {self._where}: the scheduler has no workers; start one with"
                f" `dask worker {self._where} --nthreads 1`"
            )
        own = _look(None if shared is None else str(shared))
        for worker, found in sorted(said.items()):
            if found["version"] != own["version"]:
                raise ConfigError(
                    f"executor {self._where}: worker {worker} runs au3dmm {found['version']}, this is {own['version']};"
                    " install the same version there"
                )
            if own["sees"] and not found["sees"]:
                raise ConfigError(
                    f"executor {self._where}: worker {worker} cannot see {shared}; workers need the dataset under the"
                    " same path, on a file system that they share"
                )
        threads = self._client.nthreads()
        for worker, n in sorted(threads.items()):
            if n > 1:
                raise ConfigError(
                    f"executor {self._where}: worker {worker} runs {n} jobs at once in one process, which they are not"
                    " made for; start it with --nthreads 1, and --nworkers N for N of them"
                )
        return max(1, len(threads))

    def _count_workers(self) -> None:
        """Workers come and go; our own are back within seconds, or never."""
        now = time.monotonic()
        if now - self._counted < _COUNT_S:
            return
        self._counted = now
        try:
            n = len(self._client.nthreads())
        except (OSError, TimeoutError):  # that the scheduler is gone is told elsewhere
            return
        self.n_workers = max(1, n)
        if n:
            self._alive = now
        elif self._cluster is not None and now - self._alive > _ALONE_S:
            raise ExecutorError("executor dask: all workers are gone; run the same command again, with fewer workers")

    def submit(self, job: Job) -> None:
        """Send a job to the scheduler."""
        name = f"au3dmm-{job.key}-{time.time_ns()}"
        try:
            future = self._client.submit(job.function, **job.arguments, key=name, pure=False)
        except Exception as err:
            raise self._lost() from err
        self._jobs[job.key] = job, future
        future.add_done_callback(lambda _: self._done.put(job.key))

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return what ended; also sees that the scheduler is still there."""
        until = time.monotonic() + timeout_s
        self._count_workers()
        while self._is_connected():
            left = max(0.0, min(_LOOK_S, until - time.monotonic()))
            try:
                outcome = self._outcome(self._done.get(timeout=left))
            except queue.Empty:
                outcome = None
            if outcome is not None:
                return [outcome]
            if time.monotonic() >= until:
                return []
        raise self._lost()

    def _is_connected(self) -> bool:
        return self._client.status in ("running", "newly-created")

    def _outcome(self, key: str) -> Outcome | None:
        job, future = self._jobs.pop(key)
        try:
            if future.status == "finished":
                return Outcome(key, future.result())
            err = future.exception() if future.status == "error" else None
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            err = None
        except OSError as gone:  # while the answer was fetched; errors of jobs are answers
            raise self._lost() from gone
        if err is None:
            # its answer was on a worker that died a moment later; what it did is on disk, so doing it again is quick
            if not self._is_connected():
                raise self._lost()
            self.submit(job)
            return None
        if type(err).__name__ == "KilledWorker":
            return Outcome(key, died="killed, as happens when memory runs out")
        raise err  # jobs handle their own errors: this is a bug in one

    def _lost(self) -> ExecutorError:
        return ExecutorError(
            f"executor {self._where}: the connection to the scheduler is lost; what was finished is kept: start the"
            " scheduler and workers again, and run the same command again"
        )

    def close(self, at_once: bool = False) -> None:
        """Leave the scheduler; workers that were started here end."""
        patience = 1 if at_once else _CONNECT_S
        # what is gone already cannot be told to go: leaving must not hide why we leave
        with contextlib.suppress(Exception):
            if self._is_connected():
                self._client.cancel([future for _, future in self._jobs.values()])
        self._jobs.clear()
        with contextlib.suppress(Exception):
            self._client.close(timeout=patience)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=patience)


def _look(shared: str | None) -> dict[str, Any]:
    """Say what a worker has."""
    return {"version": importlib.metadata.version("au3dmm"), "sees": shared is None or os.path.exists(shared)}
