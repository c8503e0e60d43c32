"""Run `au3dmm run` in processes of its own, harm it, and compare what it leaves with what an undisturbed run leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import distributed
import pyarrow.dataset

SITE = Path(__file__).parent / "fault_site"
_TAG = "AU3DMM_FAULT_RUN"


@dataclass
class Run:
    """A running `au3dmm run`, with all processes that it started."""

    process: subprocess.Popen[bytes]
    tag: str
    stderr: Path
    out: Path

    def pids(self) -> list[int]:
        """Return every living process of the run, the parent first."""
        found = [pid for pid in _living() if self.tag in _environment(pid)]
        return sorted(found, key=lambda pid: (pid != self.process.pid, pid))

    def workers(self) -> list[int]:
        """Return the processes that run tasks."""
        return [pid for pid in self.pids() if "spawn_main" in _command_line(pid)]

    def kill(self, who: str, number: int = signal.SIGKILL) -> int:
        """Kill ``parent``, ``worker`` (the youngest) or ``all`` at once; return how many were there to kill."""
        workers = self.workers()
        pids = {"parent": [self.process.pid], "worker": workers[-1:], "all": [self.process.pid, *workers]}[who]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def end(self, timeout_s: float = 600.0) -> Ended:
        """Wait for the parent; kill everything if it takes too long."""
        try:
            text = self.process.communicate(timeout=timeout_s)[0]
        except subprocess.TimeoutExpired:
            self.kill("all")
            raise
        return Ended(self.process.returncode, text.decode(), self.stderr.read_text(), self.out)

    def orphans(self, patience_s: float = 8.0) -> list[int]:
        """Return processes of the run that are left once the parent is gone and `patience_s` have passed."""
        until = time.monotonic() + patience_s
        while (left := self.pids()) and time.monotonic() < until:
            time.sleep(0.05)
        return left


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str
    out: Path

    @property
    def said(self) -> dict[str, Any]:
        """What ``--json`` printed."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    def failed(self) -> dict[str, str]:
        """Per failed session the stage and the message."""
        return {one["session_id"]: f"{one['stage']}: {one['message']}" for one in self.said["failures"]}


@dataclass
class Bench:
    """A dataset, and where runs over it go."""

    dataset: Path
    out: Path
    common: tuple[str, ...] = ("--detector", "precomputed", "--workers", "2")
    n: int = field(default=0)

    def fresh(self) -> Path:
        """Return a run folder that nobody has used."""
        self.n += 1
        return self.out / f"run{self.n:04}"

    def start(self, out: Path, *more: str, fault: dict[str, Any] | None = None) -> Run:
        """Start a run in a process group of its own, as a shell does."""
        tag = uuid.uuid4().hex
        environment = {**os.environ, _TAG: tag}
        if fault is not None:
            paths = [str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment |= {"AU3DMM_FAULT": json.dumps(fault), "PYTHONPATH": os.pathsep.join(paths)}
        stderr = self.out / f"{tag}.stderr"
        stderr.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "au3dmm", "run", "--dataset", str(self.dataset), "--out", str(out)]
        with stderr.open("wb") as err:
            process = subprocess.Popen(
                [*command, *self.common, "--progress", "plain", "--json", *more],
                stdout=subprocess.PIPE,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        return Run(process, tag, stderr, out)

    def run(self, out: Path, *more: str, fault: dict[str, Any] | None = None, timeout_s: float = 600.0) -> Ended:
        """Run to the end."""
        return self.start(out, *more, fault=fault).end(timeout_s)


class Cluster:
    """A Dask scheduler and workers, each a process group of its own, on this machine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self._port = one.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._folder = folder
        self._log = (folder / "cluster.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def start(self, n_workers: int, threads: int = 1) -> None:
        """Start a scheduler and workers, and wait until they are there."""
        self._popen("dask_scheduler", "--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                break
            time.sleep(0.1)
        for i in range(n_workers):
            self.add_worker(i + 1, threads)

    def add_worker(self, now: int, threads: int = 1) -> None:
        """Start a worker, and wait until there are `now`."""
        more = ("--nthreads", str(threads), "--no-dashboard", "--local-directory", str(self._folder))
        self._popen("dask_worker", self.address, "--host", "127.0.0.1", *more)
        with distributed.Client(self.address, set_as_default=False, timeout=60) as client:
            client.wait_for_workers(now, timeout=120)

    def _popen(self, tool: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{tool}", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True, env=environment)
        self._processes.append(process)

    def kill(self, which: slice = slice(None)) -> None:
        """SIGKILL some of the processes, the scheduler being the first; a worker with its nanny."""
        for process in self._processes[which]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
        del self._processes[which]


def n_outputs(out: Path) -> int:
    """Return how many finished files of stages a run folder holds."""
    return sum(1 for _ in out.glob("s*/*/[a-z]*.*"))


def wait_for_outputs(run: Run, n: int, timeout_s: float = 300.0) -> bool:
    """Wait until a run has finished `n` files; False if it ended before."""
    until = time.monotonic() + timeout_s
    while n_outputs(run.out) < n:
        if run.process.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def row_counts(out: Path) -> dict[str, int]:
    """Return how many rows of each session the consolidated labels hold."""
    table = pyarrow.dataset.dataset(out / "dataset" / "labels").to_table(columns=["session_id"])
    names = table["session_id"].to_pylist()
    return {name: names.count(name) for name in sorted(set(names))}


def raw_state(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return listing, modification times, permissions and bytes of raw data."""
    return {
        str(p.relative_to(folder)): (
            p.stat().st_mtime_ns,
            p.stat().st_mode,
            p.stat().st_size,
            p.read_bytes() if p.is_file() else b"",
        )
        for p in sorted(folder.rglob("*"))
    }


def _living() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _state(name) not in ("Z", "")]


def _state(pid: str) -> str:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _environment(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _command_line(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
