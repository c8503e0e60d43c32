"""The fault campaign: harm runs over a dataset in every way that happens, run again, and compare with a quiet run.

    python benchmarks/faults.py [NAME ...] [--kills 50] [--seed 0] [--into DIR]

Each fault gets a run folder of its own on the same small dataset. A rerun must complete, every byte of the run folder
(but ``.state/`` and locks) must be that of the run that nothing disturbed, no row may be lost or there twice, and what
failed must be named. Prints a Markdown table; exit code 1 if anything is otherwise. Disk full and read-only folders
mount small file systems, which needs root; without it they are left out, and said to be.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fault_runs import Bench, Cluster, Ended, raw_state, row_counts, wait_for_outputs
from small_dataset import contents, name, replace_file, write_dataset

SUBJECTS, SESSIONS = 2, 2
BAD = name(0, 1)
_IN_PART = "video: cut short"


@dataclass
class Row:
    """One line of the table."""

    fault: str
    runs: int = 0
    completed: int = 0
    same: int = 0
    lost: int = 0
    named: str = "-"
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as Markdown."""
        notes = " ".join("; ".join(self.notes).split())
        cells = (self.fault, self.runs, self.completed, self.same, self.lost, self.named, notes)
        return "| " + " | ".join(map(str, cells)) + " |"

    @property
    def good(self) -> bool:
        """Whether everything is as it must be."""
        return self.runs == self.completed == self.same and not self.lost and self.named != "no" and not self.notes


HEAD = (
    "| fault | runs | reruns that completed | byte-identical | rows lost or doubled"
    " | failed session named | remarks |\n|---|---|---|---|---|---|---|"
)


class Campaign:
    """A dataset, the run that nothing disturbed, and the table so far."""

    def __init__(self, folder: Path, kills: int, seed: int) -> None:
        self.folder, self.kills, self.random = folder, kills, random.Random(seed)
        self.dataset = folder / "dataset"
        write_dataset(self.dataset, SUBJECTS, SESSIONS)
        self.bench = Bench(self.dataset, folder / "runs")
        self.raw = raw_state(self.dataset)
        self.rows: list[Row] = []
        self.bench.run(self.bench.fresh(), "--executor", "serial")  # compiles
        began = time.monotonic()
        quiet = self.bench.run(self.bench.fresh())
        self.quiet_s = time.monotonic() - began
        assert quiet.code == 0, quiet.stderr
        self.reference = contents(quiet.out)
        self.files = sum("stage.json" not in path and path.startswith("s") for path in self.reference)
        self.row_counts = row_counts(quiet.out)

    def row(self, fault: str) -> Row:
        """Begin a line of the table."""
        print(f"... {fault}", file=sys.stderr, flush=True)
        self.rows.append(Row(fault))
        return self.rows[-1]

    def check(self, row: Row, ended: Ended, bench: Bench | None = None) -> None:
        """Judge what is there after the rerun."""
        row.runs += 1
        row.completed += ended.code == 0
        if ended.code != 0:
            row.notes.append(f"rerun {row.runs}: exit {ended.code}: {ended.stderr[-200:]!r}")
            return
        found = contents(ended.out)
        row.same += found == self.reference
        if found != self.reference:
            paths = {*found, *self.reference}
            row.notes.append("differ: " + ", ".join(sorted(p for p in paths if found.get(p) != self.reference.get(p))))
        counts = row_counts(ended.out)
        row.lost += sum(counts.get(one) != n for one, n in self.row_counts.items()) + len(
            {*counts} - {*self.row_counts}
        )
        if bench is None and raw_state(self.dataset) != self.raw:
            row.notes.append("RAW DATA CHANGED")
        if not row.notes:
            shutil.rmtree(ended.out)

    def expect(self, row: Row, ok: bool, what: str) -> None:
        """Note what is not as it must be."""
        if not ok:
            row.notes.append(what)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Bench]:
        """Yield a dataset whose raw files may be harmed."""
        folder = self.folder / "copy" / "dataset"
        shutil.copytree(self.dataset, folder)
        try:
            yield Bench(folder, self.folder / "copy" / "runs")
        finally:
            shutil.rmtree(folder.parent)


# kills


def kill_moments(campaign: Campaign, n: int) -> list[tuple[int, float]]:
    """Return how many outputs to wait for, and how many seconds more: anywhere in a run, start and end included."""
    some = campaign.random
    return [(some.randint(0, campaign.files), some.uniform(0, 0.1 * campaign.quiet_s)) for _ in range(n)]


def kills(campaign: Campaign) -> None:
    """SIGKILL the parent, a worker, or parent and workers at once, at random moments."""
    each = {"parent": campaign.kills // 3, "worker": campaign.kills // 3}
    each["all"] = campaign.kills - sum(each.values())
    for who, n in each.items():
        row = campaign.row(f"SIGKILL {who}")
        late = 0
        for outputs, more_s in kill_moments(campaign, n):
            run = campaign.bench.start(campaign.bench.fresh())
            wait_for_outputs(run, outputs)
            time.sleep(more_s)
            hit = run.process.poll() is None and run.kill(who)
            late += not hit
            ended = run.end()
            campaign.expect(row, not run.orphans(), "orphans")
            if who == "worker" and hit:
                campaign.expect(row, ended.code == 0, f"the run itself ended with {ended.code}")
            campaign.check(row, campaign.bench.run(ended.out))
        if late:
            print(f"    {late} of {n} runs had ended before their kill", file=sys.stderr)


def repeated_kills(campaign: Campaign) -> None:
    """Kill the same run again and again; it still gets there."""
    row = campaign.row("SIGKILL all, five times on the same run")
    out = campaign.bench.fresh()
    for i in range(5):
        run = campaign.bench.start(out)
        wait_for_outputs(run, (i + 1) * campaign.files // 6)
        run.kill("all")
        run.end()
    campaign.check(row, campaign.bench.run(out))


def detection_kills(campaign: Campaign, n: int = 10, frames: int = 4000) -> None:
    """SIGKILL the detection of a long video at random moments: the next run goes on after the parts that are done."""
    import numpy as np

    import recordings as rec

    row = campaign.row(f"SIGKILL in the middle of a video of {frames} frames")
    folder = campaign.folder / "long" / "dataset"
    session = folder / "rawdata" / "long"
    session.mkdir(parents=True)
    textures = rec.noise_images(64)
    rec.write_video(session / "rgb.mp4", [textures[i % 64] for i in range(frames)])
    marks = np.random.default_rng(0).uniform(0, 48, (frames, 68, 3)).astype(np.float32)
    np.savez(session / "landmarks.npz", landmarks=marks)
    rec.write_manifest(session, {"file": "rgb.mp4"}, landmarks={"file": "landmarks.npz"})
    bench = Bench(folder, folder.parent / "runs", ("--detector", "precomputed", "--until", "detect"))
    whole = bench.run(bench.fresh())
    assert whole.code == 0, whole.stderr
    reference, kept = contents(whole.out), []
    most = frames // 256
    for _ in range(n):
        run = bench.start(bench.fresh())
        wanted, until = campaign.random.randint(0, most - 1), time.monotonic() + 300
        while len(_parts(run.out)) < wanted and run.process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(campaign.random.uniform(0, 0.1))
        run.kill("all")
        run.end()
        before = _parts(run.out)
        kept.append(len(before))
        again = bench.start(run.out)
        ended = again.end()
        row.runs += 1
        row.completed += ended.code == 0
        row.same += contents(run.out) == reference
        campaign.expect(row, not _parts(run.out), "parts were left over")
        campaign.expect(row, not again.orphans(), "orphans")
    row.fault += f"; parts of 256 frames that were kept: {', '.join(map(str, sorted(kept)))} of {most}"


def _parts(out: Path) -> list[Path]:
    return sorted(out.glob("sessions/*/.landmarks.parts/*.arrow"))


# no room


def disk_full_injected(campaign: Campaign) -> None:
    """The n-th flush or rename fails, in whatever process; from then on all of them do, or only that one."""
    for once in (False, True):
        row = campaign.row(f"ENOSPC injected, {'a single one' if once else 'and it stays'}")
        for at in sorted(campaign.random.sample(range(1, 4 * campaign.files), 10)):
            out = campaign.bench.fresh()
            counter = campaign.folder / f"count-{campaign.bench.n}"
            fault = {"kind": "enospc", "at": at, "once": once, "counter": str(counter)}
            ended = campaign.bench.run(out, fault=fault)
            happened = counter.stat().st_size >= at
            if happened and not (once and ended.code == 0):  # a single one may have hit a mere sign of life
                told = "No space left on device" in ended.stderr or "disk is full" in ended.stdout + ended.stderr
                campaign.expect(row, told, f"at {at}: not told, exit {ended.code}")
                campaign.expect(row, ended.code in (3, 4), f"at {at}: exit {ended.code}")
                campaign.expect(row, "Traceback" not in ended.stderr, f"at {at}: a traceback")
            campaign.check(row, campaign.bench.run(out))


def disk_full(campaign: Campaign) -> None:
    """A file system that is really full; then it gets more room."""
    row = campaign.row("a full tmpfs")
    need = sum(map(len, campaign.reference.values()))
    for part in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97):
        out = campaign.bench.fresh()
        out.mkdir(parents=True)
        with mounted(row, "tmpfs", "-t", "tmpfs", "-o", f"size={int(need * part) // 4096 * 4}k", target=out) as there:
            if not there:
                return
            ended = campaign.bench.run(out)
            told = "No space left on device" in ended.stderr or "disk is full" in ended.stdout + ended.stderr
            campaign.expect(row, ended.code in (3, 4), f"{part}: exit {ended.code}")
            campaign.expect(row, told, f"{part}: not told")
            campaign.expect(row, "Traceback" not in ended.stderr, f"{part}: a traceback {ended.stderr[-300:]!r}")
            subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
            again = campaign.bench.run(out)
            saved = campaign.bench.fresh()
            shutil.copytree(out, saved)
        campaign.check(row, Ended(again.code, again.stdout, again.stderr, saved))


@contextlib.contextmanager
def mounted(row: Row, *arguments: str, target: Path) -> Iterator[bool]:
    """Mount something meanwhile; False if that is not permitted."""
    if subprocess.run(["mount", *arguments, str(target)], capture_output=True).returncode:
        row.fault += " (left out: mounting is not permitted)"
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)


# bad data


def corruptions() -> dict[str, Callable[[Path], None]]:
    """Ways to spoil a session, in every stage that reads something."""

    def put(file: str, data: bytes) -> Callable[[Path], None]:
        return lambda session: replace_file(session / file, data)

    def cut(file: str, part: float) -> Callable[[Path], None]:
        return lambda session: replace_file(session / file, _first((session / file).read_bytes(), part))

    def noise(session: Path) -> None:
        data = (session / "events.raw").read_bytes()
        at = data.index(b"% end\n") + 6
        replace_file(session / "events.raw", data[:at] + random.Random(0).randbytes(len(data) - at))

    def no_triggers(session: Path) -> None:
        import numpy as np

        from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, write_evt3

        events = np.zeros(4000, EVENT_DTYPE)
        events["t"] = np.linspace(800_000, 1_800_000, 4000)
        (session / "events.raw").unlink()
        write_evt3(session / "events.raw", events, np.zeros(0, TRIGGER_DTYPE), width=64, height=48)

    def no_file(session: Path) -> None:
        (session / "rgb.mp4").unlink()

    def text(old: str, new: str) -> Callable[[Path], None]:
        def change(session: Path) -> None:
            path = session / "session.toml"
            replace_file(path, path.read_text().replace(old, new).encode())

        return change

    return {
        "video: not one": put("rgb.mp4", b"no video at all"),
        _IN_PART: cut("rgb.mp4", 0.5),
        "video: empty": put("rgb.mp4", b""),
        "video: gone": no_file,
        "timestamps: not numbers": put("times.csv", b"frame_index,pts_us\n0,then\n1,now\n"),
        "timestamps: fewer rows": cut("times.csv", 0.5),
        "timestamps: empty": put("times.csv", b""),
        "landmarks: not an npz": put("landmarks.npz", b"PK\x03\x04 no npz"),
        "landmarks: empty": put("landmarks.npz", b""),
        "event header: garbage": put("events.raw", bytes(range(256)) * 8),
        "event body: noise": noise,
        "event body: cut to nothing": cut("events.raw", 0.02),
        "events: no triggers": no_triggers,
        "events: empty": put("events.raw", b""),
        "session.toml: not TOML": put("session.toml", b"[session\n"),
        "session.toml: empty": put("session.toml", b""),
        "session.toml: unknown key": text("[rgb]", "[rgb]\nfps = 30"),
        "session.toml: not UTF-8": put("session.toml", b"\xff\xfe[session]"),
    }


def _first(data: bytes, part: float) -> bytes:
    return data[: int(part * len(data))]


def bad_sessions(campaign: Campaign) -> None:
    """Each of many people has one good session and one that is spoilt, each in another way, all in one run.

    The spoilt ones are named, all others are labelled; mended, the dataset is as if they had been good.
    """
    ways = corruptions()
    rows = {name(i, 1): campaign.row(f"corrupt {what}") for i, what in enumerate(ways)}
    folder = campaign.folder / "spoilt" / "dataset"
    write_dataset(folder, len(ways), 2)
    bench = Bench(folder, folder.parent / "runs")
    quiet = bench.run(bench.fresh())
    reference, all_rows = contents(quiet.out), row_counts(quiet.out)
    good = {path: path.read_bytes() for path in (folder / "rawdata").rglob("*") if path.is_file()}
    for (what, spoil), bad in zip(ways.items(), rows, strict=True):
        try:
            spoil(folder / "rawdata" / bad)
        except Exception as err:
            raise RuntimeError(f"cannot spoil: {what}") from err
    before = raw_state(folder)
    out = bench.fresh()
    first, second = bench.run(out), bench.run(out)
    counts = row_counts(out)
    failed = first.failed()
    common = [
        (first.code == 3 and second.code == 3, f"exit {first.code}, {second.code}"),
        ("Traceback" not in first.stderr, f"a traceback: {first.stderr[-1500:]!r}"),
        (raw_state(folder) == before, "RAW DATA CHANGED"),
        (second.failed() == failed, "told otherwise the second time"),
        (all(counts.get(one) == n for one, n in all_rows.items() if one not in rows), "good sessions without labels"),
    ]
    for path, data in good.items():
        if not path.exists() or path.read_bytes() != data:
            path.unlink(missing_ok=True)
            path.write_bytes(data)
    mended = bench.run(out)
    after, rows_after = contents(out), row_counts(out)
    for bad, row in rows.items():
        row.runs, row.completed, row.same = 1, int(mended.code == 0), int(after == reference)
        row.lost = int(rows_after.get(bad) != all_rows[bad])
        if row.fault.endswith(_IN_PART):
            row.fault += ": labelled, lost frames are rows without values"
            campaign.expect(row, counts.get(bad) == all_rows[bad], "rows lost")
        else:
            row.named = "yes" if bad in failed else "no"
            campaign.expect(row, bad not in counts, "labels of a session that failed")
        print(f"    {row.fault}: {failed.get(bad)}", file=sys.stderr)
        for ok, what in common:
            campaign.expect(row, ok, what)


# memory


def memory(campaign: Campaign) -> None:
    """A session asks for more than there is, or the system kills its worker."""
    row = campaign.row("a stage needs more than --memory-limit")
    fault: dict[str, Any] = {"kind": "memory", "stage": "fit", "session": BAD, "n_bytes": 1 << 42}
    for executor, n_bytes in (("processes", 1 << 42), ("processes", 3 << 30), ("dask", 3 << 30)):
        out = campaign.bench.fresh()
        more = ("--memory-limit", "2GiB", "--executor", executor)
        ended = campaign.bench.run(out, *more, fault={**fault, "n_bytes": n_bytes})
        campaign.expect(row, ended.code == 3, f"{executor}: exit {ended.code}")
        row.named = "yes" if list(ended.failed()) == [BAD] and row.named != "no" else "no"
        print(f"    {executor}: {ended.failed()}", file=sys.stderr)
        campaign.check(row, campaign.bench.run(out))
    for executor in ("processes", "dask"):
        row = campaign.row(f"a worker is killed at every try of a session ({executor})")
        out = campaign.bench.fresh()
        fault = {"kind": "kill", "stage": "fit", "session": BAD}
        ended = campaign.bench.run(out, "--executor", executor, fault=fault)
        campaign.expect(row, ended.code == 3, f"exit {ended.code}")
        row.named = "yes" if list(ended.failed()) == [BAD] else "no"
        print(f"    {ended.failed()}", file=sys.stderr)
        campaign.check(row, campaign.bench.run(out))
        row = campaign.row(f"a worker is killed at the first try of a session ({executor})")
        once = campaign.folder / f"once-{executor}"
        fault |= {"once": str(once)}
        ended = campaign.bench.run(campaign.bench.fresh(), "--executor", executor, fault=fault)
        campaign.expect(row, once.exists(), "nothing was killed")
        campaign.check(row, ended)


# a scheduler that vanishes


def scheduler(campaign: Campaign) -> None:
    """A Dask scheduler, or a worker of it, goes in the middle of a run."""
    row = campaign.row("the Dask scheduler vanishes, and is started again")
    gone = campaign.row("a Dask worker vanishes with its nanny")
    for outputs in (3, campaign.files // 2):
        with Cluster(campaign.folder / f"cluster-{outputs}") as cluster:
            cluster.start(2)
            out = campaign.bench.fresh()
            run = campaign.bench.start(out, "--executor", cluster.address)
            wait_for_outputs(run, outputs)
            began = time.monotonic()
            cluster.kill(which=slice(0, 1))
            ended = run.end()
            took = time.monotonic() - began
            campaign.expect(row, ended.code == 3, f"exit {ended.code}: {ended.stderr[-300:]}")
            told = "connection to the scheduler is lost" in (ended.said["stopped"] or "")
            campaign.expect(row, told, f"not told: {ended.said['stopped']!r}")
            campaign.expect(row, took < 60, f"took {took:.0f} s to see it")
            cluster.kill()
            cluster.start(2)
            campaign.check(row, campaign.bench.run(out, "--executor", cluster.address))
            out = campaign.bench.fresh()
            run = campaign.bench.start(out, "--executor", cluster.address)
            wait_for_outputs(run, outputs)
            cluster.kill(which=slice(1, 2))
            campaign.check(gone, run.end())


# other surroundings


def read_only(campaign: Campaign) -> None:
    """Raw data on a file system that nobody can write to."""
    row = campaign.row("a read-only raw folder")
    with mounted(row, "--bind", str(campaign.dataset), target=campaign.dataset) as there:
        if not there:
            return
        subprocess.run(["mount", "-o", "remount,ro,bind", str(campaign.dataset)], check=True)
        campaign.check(row, campaign.bench.run(campaign.bench.fresh()))
        where = subprocess.run(
            [sys.executable, "-m", "au3dmm", "run", "--dataset", str(campaign.dataset), "--detector", "precomputed"],
            capture_output=True,
            text=True,
        )
        campaign.expect(row, where.returncode == 4 and "Traceback" not in where.stderr, where.stderr[-300:])
        print(f"    without --out: exit {where.returncode}: {where.stderr.strip()[-300:]}", file=sys.stderr)


def clock(campaign: Campaign) -> None:
    """The clock jumps, or files are from the future."""
    row = campaign.row("the clock jumps a day back or a year forward")
    for by_s in (-86_400, 31_536_000):
        campaign.check(row, campaign.bench.run(campaign.bench.fresh(), fault={"kind": "clock", "by_s": by_s}))
        out = campaign.bench.fresh()
        run = campaign.bench.start(out, fault={"kind": "clock", "by_s": by_s})
        wait_for_outputs(run, campaign.files // 2)
        run.kill("all")
        run.end()
        campaign.check(row, campaign.bench.run(out))
    row = campaign.row("raw files from the future, and touched between runs")
    with campaign.copy() as bench:
        for days in (400, 0):
            then = time.time() + 86_400 * days
            for path in (bench.dataset / "rawdata").rglob("*"):
                os.utime(path, (then, then))
            ended = bench.run(bench.out / "run")
            campaign.expect(
                row, days > 0 or not any(ended.said["ran"].values()), "a touched file was taken for a new one"
            )
        campaign.check(row, ended, bench)


def two_runs(campaign: Campaign) -> None:
    """Two runs on one dataset at once; then two with other parameters."""
    row = campaign.row("two runs at once on one dataset")
    for _ in range(3):
        out = campaign.bench.fresh()
        runs = [campaign.bench.start(out), campaign.bench.start(out)]
        for ended in [run.end() for run in runs]:
            campaign.expect(row, ended.code == 0, f"exit {ended.code}: {ended.stderr[-300:]!r}")
        campaign.check(row, campaign.bench.run(out))
    row = campaign.row("two runs at once with different parameters into one folder, then one")
    other = campaign.folder / "other.toml"
    other.write_text('[detect]\ndetector = "precomputed"\n[fit]\nl1 = 3.0\n[identity]\nsigma_px = 0.5\n')
    for _ in range(3):
        out = campaign.bench.fresh()
        runs = [campaign.bench.start(out), campaign.bench.start(out, str(other))]
        codes = []
        for ended in [run.end() for run in runs]:
            codes.append(ended.code)
            campaign.expect(row, ended.code in (0, 3), f"exit {ended.code}: {ended.stderr[-300:]!r}")
            campaign.expect(row, "Traceback" not in ended.stderr, f"a traceback: {ended.stderr[-300:]!r}")
        print(f"    exit codes {codes}", file=sys.stderr)
        campaign.check(row, campaign.bench.run(out))
    row = campaign.row("16 shards at once, then consolidate")
    out = campaign.bench.fresh()
    runs = [campaign.bench.start(out, "--shard", f"{i % 2 + 1}/2", "--executor", "serial") for i in range(4)]
    for ended in [run.end() for run in runs]:
        campaign.expect(row, ended.code == 0, f"exit {ended.code}: {ended.stderr[-300:]!r}")
    row.fault = "4 shard jobs at once, each shard twice, then consolidate"
    campaign.check(row, campaign.bench.run(out, "--only", "consolidate"))


def signals(campaign: Campaign) -> None:
    """Ctrl-C once, twice; SIGTERM."""
    slow = {"kind": "slow", "seconds": 1.0}
    for what, numbers, executor in (
        ("Ctrl-C", (signal.SIGINT,), "processes"),
        ("Ctrl-C", (signal.SIGINT,), "serial"),
        ("Ctrl-C", (signal.SIGINT,), "dask"),
        ("Ctrl-C twice", (signal.SIGINT, signal.SIGINT), "processes"),
        ("Ctrl-C twice", (signal.SIGINT, signal.SIGINT), "serial"),
        ("Ctrl-C twice", (signal.SIGINT, signal.SIGINT), "dask"),
        ("SIGTERM", (signal.SIGTERM,), "processes"),
    ):
        row = campaign.row(f"{what} ({executor})")
        worst = 0.0
        for outputs in (0, 2, campaign.files // 2):
            run = campaign.bench.start(campaign.bench.fresh(), "--executor", executor, fault=slow)
            wait_for_outputs(run, outputs)
            if outputs == 0:
                time.sleep(campaign.random.uniform(0, 0.3 * campaign.quiet_s))
            began = time.monotonic()
            for i, number in enumerate(numbers):
                time.sleep(0.2 if i else 0.0)
                # a terminal tells the whole group, a cluster the parent
                if number == signal.SIGINT:
                    os.killpg(run.process.pid, number)
                else:
                    os.kill(run.process.pid, number)
            ended = run.end()
            worst = max(worst, time.monotonic() - began)
            # before the run listens, or when it is just ending, the signal itself ends it: 130 as well, for a shell
            expected = (130, -numbers[0])
            campaign.expect(row, ended.code in expected, f"after {outputs} outputs: exit {ended.code}")
            campaign.expect(row, "Traceback" not in ended.stderr, f"a traceback: {ended.stderr[-1200:]!r}")
            campaign.expect(row, not run.orphans(), "orphans")
            campaign.check(row, campaign.bench.run(ended.out))
        row.fault += f", {worst:.1f} s at worst"


FAULTS: dict[str, Callable[[Campaign], None]] = {
    re.sub("_", "-", function.__name__): function
    for function in (
        kills,
        repeated_kills,
        detection_kills,
        disk_full_injected,
        disk_full,
        bad_sessions,
        memory,
        scheduler,
        read_only,
        clock,
        two_runs,
        signals,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)}; default: all")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help="keep what differs there; default: a temporary folder")
    options = parser.parse_args()
    unknown = {*options.names} - {*FAULTS}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such fault; expected {', '.join(FAULTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        campaign = Campaign(options.into or Path(temporary), options.kills, options.seed)
        print(f"a quiet run takes {campaign.quiet_s:.1f} s, {campaign.files} files", file=sys.stderr)
        for name_ in options.names or FAULTS:
            first = len(campaign.rows)
            FAULTS[name_](campaign)
            for row in campaign.rows[first:]:
                print(row.text(), file=sys.stderr, flush=True)
    print(HEAD, *(row.text() for row in campaign.rows), sep="\n")
    return 0 if all(row.good for row in campaign.rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
