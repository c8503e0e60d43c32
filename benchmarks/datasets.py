"""What a run over a whole dataset costs beside the work itself: processor and wall time, memory, resume, plan.

    python benchmarks/datasets.py many [--sessions 3148] [--subjects 64] [--executor processes]
    python benchmarks/datasets.py rate DATASET [--detector mediapipe]
    python benchmarks/datasets.py cluster [--detect S] [--rest S] [--dispatch S] [--start S]

`many` makes a dataset of tiny recordings (8 frames; hard links to one) and reports

- overhead: processor seconds of all processes, less those inside the stages, and that per session and divided by the
  two workers. On a machine that does nothing else this is the wall time that the run adds; on a busy one wall time says
  nothing, and processor time still does.
- memory of the parent when 10, 50 and 100 % of the sessions are done; resume, plan and discovery.

`rate` labels recordings of real size with detection and from `identity` on, and reports how many times faster than real
time that is on one core, and where the time goes. Processor seconds of a process that has compiled and loaded all code.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import au3dmm
import small_recording
from au3dmm.api import RunOptions, run_dataset
from au3dmm.discovery.recording import rgb_times
from au3dmm.io.dataset import find_sessions, read_dataset
from fault_runs import SITE
from small_dataset import write_dataset

FRAMES, WORKERS = 8, 2


@dataclass
class Measured:
    """One command: its seconds, those of the processor over all its processes, and those inside stages."""

    wall_s: float
    cpu_s: float
    code: int
    said: dict[str, Any]
    memory_mib: dict[int, float] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    peak_worker_mib: float = 0.0

    @property
    def overhead_s(self) -> float:
        """Processor seconds outside of stages."""
        return self.cpu_s - sum(self.stages.values())


def measure(dataset: Path, out: Path, *more: str, account: bool = True) -> Measured:
    """Run `au3dmm run`, and watch it."""
    command = [sys.executable, "-m", "au3dmm", "run", "--dataset", str(dataset), "--out", str(out), "--json"]
    with tempfile.TemporaryDirectory() as accounts, tempfile.TemporaryFile("w+") as stdout:
        environment = dict(os.environ)
        if account:
            environment["PYTHONPATH"] = os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])])
            environment["AU3DMM_FAULT"] = json.dumps({"kind": "account", "folder": accounts})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--progress", "json", *more], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
        )
        memory: dict[int, float] = {}
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "session":
                for percent in (10, 50, 100):
                    if percent not in memory and 100 * event["done"] >= percent * event["total"]:
                        memory[percent] = resident_mib(process.pid)
            elif line.strip() and not line.startswith("{"):
                print(line, end="", file=sys.stderr)
        process.wait()
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        stdout.seek(0)
        text = stdout.read()
        stages: dict[str, float] = {}
        for path in Path(accounts).glob("*.json"):
            for stage, seconds in json.loads(path.read_text()).items():
                if stage != "all":
                    stages[stage] = stages.get(stage, 0.0) + seconds
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(text) if text.startswith("{") else {}
    return Measured(wall, cpu, process.returncode, said, memory, stages)


def resident_mib(pid: int) -> float:
    """Return a process' memory, MiB."""
    fields = Path("/proc", str(pid), "statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def many(subjects: int, sessions: int, executor: str, folder: Path) -> None:
    """Measure a dataset of many tiny recordings."""
    small_recording.N = FRAMES
    per_subject, more = divmod(sessions, subjects)
    write_dataset(folder / "dataset", subjects, per_subject + 1)
    for i in range(more, subjects):
        shutil.rmtree(folder / "dataset" / "rawdata" / f"S{i:03}_{per_subject}")
    common = ("--detector", "precomputed", "--workers", str(WORKERS), "--executor", executor)
    warm = measure(folder / "dataset", folder / "warm", "--limit", "2", *common)
    assert warm.code == 0, warm
    began = time.process_time()
    found = find_sessions(read_dataset(folder / "dataset"))
    discovery = time.process_time() - began
    assert len(found) == sessions
    out = folder / "run"
    print(f"{sessions} sessions of {FRAMES} frames, {subjects} subjects, executor {executor}, {WORKERS} workers")
    print(f"load average before {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, au3dmm {au3dmm.__version__}")
    plan = measure(folder / "dataset", out, "--dry-run", *common, account=False)
    report("plan (--dry-run) of a new dataset", plan, sessions)
    first = measure(folder / "dataset", out, *common)
    assert first.code == 0, first.said
    report("first run", first, sessions)
    share = first.overhead_s / WORKERS
    print(f"  in stages {sum(first.stages.values()):.1f} s: " + per_stage(first.stages))
    print(f"  overhead {first.overhead_s:.1f} s of processor, {1e3 * first.overhead_s / sessions:.1f} ms per session;")
    print(f"  over {WORKERS} workers {share:.1f} s of wall time; for 3148 sessions {share * 3148 / sessions:.1f} s")
    print("  memory of the parent: " + ", ".join(f"{mib:.0f} MiB at {p} %" for p, mib in first.memory_mib.items()))
    again = measure(folder / "dataset", out, *common)
    assert not any(again.said["ran"].values()), again.said["ran"]
    report("second run, all up to date", again, sessions)
    print("  memory of the parent: " + ", ".join(f"{mib:.0f} MiB at {p} %" for p, mib in again.memory_mib.items()))
    plan = measure(folder / "dataset", out, "--dry-run", *common, account=False)
    report("plan of what is up to date", plan, sessions)
    print(f"discovery alone: {discovery:.2f} s of processor")


def report(what: str, one: Measured, sessions: int) -> None:
    """Print a line about a command."""
    print(
        f"{what}: {one.wall_s:.1f} s wall, {one.cpu_s:.1f} s of processor,"
        f" {1e3 * one.cpu_s / sessions:.1f} ms per session"
    )


def per_stage(seconds: dict[str, float]) -> str:
    """Say where time went."""
    total = sum(seconds.values()) or 1.0
    return ", ".join(
        f"{name} {100 * s / total:.0f} %" for name, s in sorted(seconds.items(), key=lambda item: -item[1])
    )


def rate(dataset: Path, detector: str, folder: Path) -> None:
    """Measure how much faster than real time recordings are labelled, in one process that has compiled and loaded."""
    sessions = [one.session for one in find_sessions(read_dataset(dataset)) if one.session is not None]
    recorded = sum(recorded_s(session) for session in sessions)

    def run(**options: Any) -> tuple[float, dict[str, float]]:
        began = time.process_time()
        options = {"executor": "serial", "last": "align", **options}
        result = run_dataset(dataset, out=folder / "run", detector=detector, options=RunOptions(**options))
        assert result.exit_code == 0, result.failures
        return time.process_time() - began, result.work_s

    run()
    print(f"{len(sessions)} sessions, {recorded:.1f} s recorded; load average {os.getloadavg()[0]:.1f}; one process")
    for what, options in (("all stages", {}), ("without detection", {"first": "identity"})):
        seconds, stages = run(force=True, **options)
        again, _ = run(force=True, **options)
        best = min(seconds, again)
        print(f"{what}: {best:.2f} s of processor, {recorded / best:.1f} times real time per core: {per_stage(stages)}")


def cluster(detect: float, rest: float, dispatch: float, start: float) -> None:
    """Simulate 3148 sessions of 64 subjects on more and more workers, from seconds that were measured on one."""
    print(
        f"per session {detect} s of detection and {rest} s of the rest; {dispatch} s of the parent; {start} s to start"
    )
    one = simulated_s(1, detect, rest, dispatch, start)
    for workers in (1, 2, 8, 32, 64):
        whole = simulated_s(workers, detect, rest, dispatch, start)
        print(
            f"{workers:3} workers: {whole:6.0f} s, {3148 * 3600 / whole:7.0f} sessions/h, {one / whole:5.1f} times one"
        )


def simulated_s(n: int, detect: float, rest: float, dispatch: float, start: float) -> float:
    """Return when the last task ends, s: later kinds first, and a parent that gives out one task at a time."""
    subjects = [3148 // 64 + (i < 3148 % 64) for i in range(64)]
    left, coming = list(subjects), iter(range(64))
    ready: list[tuple[int, int, float]] = []  # kind, subject, seconds
    busy: list[tuple[float, int, int]] = []  # end, kind, subject
    now = parent = end = start
    while True:
        while len(ready) < 2 * n and (i := next(coming, None)) is not None:
            ready += [(2, i, detect)] * subjects[i]
        heapq.heapify(ready)
        while ready and len(busy) < n:
            kind, i, seconds = heapq.heappop(ready)
            parent = max(parent, now) + dispatch
            heapq.heappush(busy, (parent + seconds, kind, i))
        if not busy:
            return end
        now, kind, i = heapq.heappop(busy)
        end = max(end, now)
        if kind == 2:
            left[i] -= 1
            if not left[i]:
                ready.append((1, i, rest))  # identity: about as long as the rest of one session
        elif kind == 1:
            ready += [(0, i, rest)] * subjects[i]


def recorded_s(session: Any) -> float:
    """Return how long a recording is, s, by its RGB frames."""
    rgb = session.manifest.rgb
    paths = [None if name is None else session.folder / name for name in (rgb.file, rgb.folder, rgb.timestamps)]
    times = rgb_times(*paths)
    return float(times[-1] - times[0]) / 1e6 * len(times) / (len(times) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("many")
    one.add_argument("--sessions", type=int, default=3148)
    one.add_argument("--subjects", type=int, default=64)
    one.add_argument("--executor", default="processes")
    two = commands.add_parser("rate")
    two.add_argument("dataset", type=Path)
    two.add_argument("--detector", default="mediapipe")
    three = commands.add_parser("cluster")
    for name, default in (("detect", 1.05), ("rest", 0.25), ("dispatch", 0.005), ("start", 6.0)):
        three.add_argument(f"--{name}", type=float, default=default)
    options = parser.parse_args()
    if options.command == "cluster":
        cluster(options.detect, options.rest, options.dispatch, options.start)
        return
    with tempfile.TemporaryDirectory() as temporary:
        if options.command == "many":
            many(options.subjects, options.sessions, options.executor, Path(temporary))
        else:
            rate(options.dataset, options.detector, Path(temporary))


if __name__ == "__main__":
    main()
