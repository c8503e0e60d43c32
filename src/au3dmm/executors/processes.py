"""Run jobs in processes of this machine.

`concurrent.futures` gives up all jobs when one worker dies, and does not say which job killed it. Here each worker has
a pipe of its own, so a death (out of memory, a crash in a C library) is that of one job; the worker is replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from au3dmm.executors.base import Job, Outcome

_GRACE_S = 5.0
_slot = 0  # of this process, if it is a worker
# one thread per worker: two threads of BLAS or torch in one process were slower, not faster
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    slot: int
    job: Job | None = field(default=None)


class ProcessExecutor:
    """Up to `n_workers` processes, started when there is work for them."""

    def __init__(self, n_workers: int, memory_limit: int | None = None) -> None:
        self.n_workers = n_workers
        self._memory_limit = memory_limit
        # a fresh interpreter: threads of the parent (bars, BLAS) do not survive a fork
        self._context = multiprocessing.get_context("spawn")
        self._waiting: deque[Job] = deque()
        self._workers: list[_Worker] = []

    def submit(self, job: Job) -> None:
        """Give the job to a free worker, or keep it until there is one."""
        self._waiting.append(job)
        self._hand_out()

    def wait(self, timeout_s: float) -> list[Outcome]:
        """Return what ended; a worker that died is replaced when the next job needs it."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        if not busy:
            return []
        # a pipe is readable when its worker answers, and at its end when the worker is gone
        outcomes = [self._outcome(busy[pipe]) for pipe in wait(list(busy), timeout_s) if isinstance(pipe, Connection)]
        self._hand_out()
        return outcomes

    def close(self, at_once: bool = False) -> None:
        """Let workers end when they are idle, or kill them."""
        self._waiting.clear()
        for worker in self._workers:
            if at_once:
                worker.process.kill()
            worker.pipe.close()  # the end of its pipe ends an idle worker
        for worker in self._workers:
            worker.process.join(_GRACE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _hand_out(self) -> None:
        while self._waiting:
            worker = next((w for w in self._workers if w.job is None), None)
            if worker is None and len(self._workers) < self.n_workers:
                worker = self._start()
            if worker is None:
                return
            job = self._waiting.popleft()
            worker.job = job
            try:
                worker.pipe.send((job.function, job.arguments))
            except OSError:
                continue  # it died while idle: its pipe is at its end, which `wait` reports as the death of this job

    def _start(self) -> _Worker:
        slot = min(set(range(self.n_workers)) - {worker.slot for worker in self._workers})
        ours, theirs = self._context.Pipe()
        before = {name: os.environ.get(name) for name in _ONE_THREAD}
        os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
        # a worker must not hear a Ctrl-C before it can ignore it, and inherits what is blocked here; the tracker, which
        # the first worker would start, unblocks it
        resource_tracker.ensure_running()
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = self._context.Process(target=_work, args=(theirs, self._memory_limit, slot), daemon=True)
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        theirs.close()
        worker = _Worker(process, ours, slot)
        self._workers.append(worker)
        return worker

    def _outcome(self, worker: _Worker) -> Outcome:
        job = worker.job
        assert job is not None
        try:
            value = worker.pipe.recv()
        except (EOFError, OSError):
            worker.pipe.close()
            worker.process.join(_GRACE_S)
            self._workers.remove(worker)
            return Outcome(job.key, died=_death(worker.process.exitcode))
        worker.job = None
        return Outcome(job.key, value)


def _death(code: int | None) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> _death(-9), _death(3)
    ('killed by SIGKILL, as the system does when memory runs out', 'ended with exit code 3')
    """
    if code is None:
        return "lost its connection"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    why = {"SIGKILL": ", as the system does when memory runs out", "SIGABRT": " (a library gave up)"}
    return f"killed by {name}{why.get(name, '')}"


def worker_slot() -> int:
    """Return which of an executor's workers this process is, from 0: no other that runs has the same; 0 if it is none.

    For what workers share among them, such as GPUs.
    """
    return _slot


def _work(pipe: Connection, memory_limit: int | None, slot: int) -> None:
    """Run jobs as they come, until the pipe or the parent ends."""
    global _slot
    _slot = slot
    # Ctrl-C reaches every process of the terminal; what happens then is for the parent to say
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory_limit is not None:
        limit_memory(memory_limit)
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):  # a parent that was killed leaves a pipe that is reset
            return
        value: Any = function(**arguments)
        try:
            pipe.send(value)
        except OSError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # a job of a parent that was killed must not go on writing beside the next run
        os._exit(1)


def limit_memory(n_bytes: int) -> None:
    """Let this process have at most `n_bytes` of writable memory; where the system cannot say so, nothing happens."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = n_bytes if hard == resource.RLIM_INFINITY else min(n_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
