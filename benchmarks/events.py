"""How fast event recordings are read and made into frames: ours, the libraries that can be installed, and the floor.

    python benchmarks/events.py [FILE ...]          make two EVT3 files, measure them and the FILEs given

The two files hold 25 million events on 1280 x 720 pixels within 40 s, uniformly spread (the worst for caches): one with
73 % of the events in vector words, one with single events only; one to three rows of a time, which is repeated every
16 us, as by cameras.
Everything is measured on one core, in turn, three times over and twice in a row; the best of each is told, since the
machine may be shared, and memory that a virtual machine hands out for the first time costs more than any reader.

Tasks: *decode*: go through the file; *arrays*: with t, x, y and p of every event in arrays, block by block; *read all*:
in one array; *frames*: polarity frames of 33 ms on the whole sensor, the last event of a pixel wins. Libraries that
give events paint them with the same compiled loop. faery (LGPL), evt3 (MIT) and evutils (GPL, for comparison only) are
measured if installed.
"""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numba import njit

from au3dmm.core.painting import frame_buffer
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, open_events, read_events, write_evt3

WIDTH, HEIGHT = 1280, 720
PERIOD_US = 33_000
REPEATS = 3


def make_file(path: Path, n_events: int, in_vectors: float, seconds: float = 40.0) -> None:
    """Write a recording of `n_events`, of which about the share `in_vectors` lie in vector words."""
    rng = np.random.default_rng(1)
    group = 8.0  # events of a vector: 32 columns, a quarter of them
    share = in_vectors / (in_vectors + (1 - in_vectors) * group)  # of groups that are vectors
    n_groups = int(n_events / (share * group + 1 - share))
    vector = rng.random(n_groups) < share
    masks = rng.random((int(vector.sum()), 32)) < group / 32
    per_group = np.ones(n_groups, np.int64)
    per_group[vector] = masks.sum(1)
    which = np.repeat(np.arange(n_groups), per_group)
    events = np.empty(len(which), EVENT_DTYPE)
    rows = rng.integers(1, 4, n_groups)  # rows that are read out at one instant
    instant = np.repeat(np.arange(n_groups), rows)[:n_groups]
    events["t"] = (instant * (seconds * 1e6 / (instant[-1] + 1))).astype(np.int64)[which]
    events["y"] = rng.integers(0, HEIGHT, n_groups)[which]
    events["p"] = rng.integers(0, 2, n_groups)[which]
    x = rng.integers(0, WIDTH - 32, n_groups)[which]
    x[vector[which]] += np.nonzero(masks)[1]
    events["x"] = x
    triggers = np.zeros(int(seconds * 60), TRIGGER_DTYPE)
    triggers["t"] = np.arange(len(triggers)) * 16_666
    triggers["p"] = np.arange(len(triggers)) % 2
    write_evt3(path, events, triggers, width=WIDTH, height=HEIGHT)


@njit(cache=True, nogil=True)
def paint(frame, t, x, y, p, i, end):
    """Paint events from number i on that are before `end`, as every library's user would; return the next."""
    while i < t.shape[0] and t[i] < end:
        frame[y[i], x[i]] = 255 if p[i] else 0
        i += 1
    return i


class Ours:
    """The readers of this project."""

    name = "au3dmm"

    def blocks(self, path: Path) -> Iterator[int]:
        """Go through the file; yield how many events each block has."""
        for chunk in open_events(path).stream():
            yield len(chunk.events)

    def arrays(self, path: Path) -> int:
        """Go through the file with all fields in arrays; return how many events there were."""
        return sum(len(block) for block in open_events(path).stream().arrays())

    def read_all(self, path: Path) -> int:
        """Read all events into one array; return how many."""
        return len(read_events(path))

    def frames(self, path: Path) -> int:
        """Make frames; return how many events they show."""
        file = open_events(path)
        stream, buffer = file.stream(), frame_buffer(file.height, file.width)
        end, n, painted = file.t_shift_us + PERIOD_US, 0, 1
        while painted or end < 2 * PERIOD_US + file.t_shift_us:
            buffer.fill(128)
            painted = stream.paint(buffer, end)
            n += painted
            end += PERIOD_US
        return n


class Peer(ABC):
    """A library that gives blocks of t, x, y, p."""

    @abstractmethod
    def events(self, path: Path) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield t, x, y and p of one block after the other."""

    def blocks(self, path: Path) -> Iterator[int]:
        """Go through the file; yield how many events each block has."""
        for t, *_ in self.events(path):
            yield len(t)

    def arrays(self, path: Path) -> int:
        """Go through the file with all fields in arrays; return how many events there were."""
        return sum(self.blocks(path))

    def read_all(self, path: Path) -> int:
        """Read all events into one array; return how many."""
        kept = [tuple(np.array(a) for a in block) for block in self.events(path)]
        return len(np.concatenate([block[0] for block in kept])) if kept else 0

    def frames(self, path: Path) -> int:
        """Make frames; return how many events they show."""
        frame = np.full((HEIGHT, WIDTH), 128, np.uint8)
        end, n = None, 0
        for t, x, y, p in self.events(path):
            if end is None:
                end = int(t[0]) // PERIOD_US * PERIOD_US + PERIOD_US
            i = 0
            while i < len(t):
                i = paint(frame, t, x, y, p, i, end)
                if i < len(t):
                    frame.fill(128)
                    end += PERIOD_US
            n += len(t)
        return n


class Evt3(Peer):
    """https://pypi.org/project/evt3."""

    name = "evt3"

    def __init__(self) -> None:
        import evt3

        self.library = evt3

    def events(self, path: Path) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield t, x, y and p of one block after the other."""
        for block in self.library.decode_file_batches_with_triggers(str(path), 1 << 20):
            e = block[0] if isinstance(block, tuple) else block
            yield np.asarray(e.timestamp), np.asarray(e.x), np.asarray(e.y), np.asarray(e.polarity)


class Faery(Peer):
    """https://pypi.org/project/faery, the part below its filters: those drop triggers."""

    name = "faery"

    def __init__(self) -> None:
        import faery.extension

        self.library = faery.extension

    def events(self, path: Path) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield t, x, y and p of one block after the other."""
        with self.library.evt.Decoder(str(path), (WIDTH, HEIGHT), "evt3") as decoder:
            for packet in decoder:
                if "events" in packet:
                    e = packet["events"]
                    yield e["t"], e["x"], e["y"], e["on"]


class Evutils(Peer):
    """https://pypi.org/project/evutils."""

    name = "evutils"

    def __init__(self) -> None:
        from evutils.io import EventReader

        self.reader = EventReader

    def events(self, path: Path) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield t, x, y and p of one block after the other."""
        for e, _ in self.reader(str(path), delta_t=PERIOD_US, ext_trigger=True, reuse_buffers=True):
            yield e["t"], e["x"], e["y"], e["p"]


def readers() -> list[object]:
    """Return ours and the installed peers."""
    found: list[object] = [Ours()]
    for peer in (Evt3, Faery, Evutils):
        try:
            found.append(peer())
        except ImportError:
            print(f"{peer.name} is not installed: not measured")
    return found


def rates(path: Path) -> None:
    """Print millions of events per second of every task and reader."""
    tasks = ("decode", "arrays", "read all", "frames")
    all_readers = readers()
    best: dict[tuple[str, str], float] = {}
    counts: dict[str, set[int]] = {}
    for _ in range(REPEATS):  # in turn, so that a busy moment does not meet one of them alone
        for reader in all_readers:
            calls: dict[str, Callable[[], int]] = {
                "decode": lambda r=reader: sum(r.blocks(path)),
                "arrays": lambda r=reader: r.arrays(path),
                "read all": lambda r=reader: r.read_all(path),
                "frames": lambda r=reader: r.frames(path),
            }
            for task in (task for task in tasks for _ in range(2)):  # the first may pay for memory never used before
                start = time.perf_counter()
                n = calls[task]()
                rate = n / (time.perf_counter() - start) / 1e6
                best[reader.name, task] = max(best.get((reader.name, task), 0.0), rate)
                counts.setdefault(task, set()).add(n)
    (n,) = set().union(*counts.values())  # all of them found as many events
    size = path.stat().st_size
    print(
        f"\n{path.name}: {n} events, {size / 1e6:.0f} MB, {size / 2 / n:.2f} words per event; million events per second"
    )
    print(f"{'':10}" + "".join(f"{task:>10}" for task in tasks))
    for reader in all_readers:
        print(f"{reader.name:10}" + "".join(f"{best[reader.name, task]:10.0f}" for task in tasks))
    for task in tasks:
        peers = [best[r.name, task] for r in all_readers[1:]]
        if peers:
            print(f"  {task}: {best['au3dmm', task] / max(peers):.1f} times the best peer")


def timed(call: Callable[[], object], repeats: int = 30) -> float:
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


@njit(cache=True, nogil=True)
def scatter(frame, pixel, value):
    for i in range(pixel.shape[0]):
        frame[pixel[i]] = value[i]


@njit(cache=True, nogil=True)
def scan(words):
    total = np.uint64(0)
    for i in range(words.shape[0]):
        total += np.uint64(words[i])
    return total


def floor(path: Path) -> None:
    """Print what the machine gives at best for the parts of the work."""
    rng = np.random.default_rng(0)
    n = 1 << 17
    frame = np.zeros(HEIGHT * WIDTH, np.uint8)
    pixel = rng.integers(0, HEIGHT * WIDTH, n).astype(np.uint32)
    value = np.zeros(n, np.uint8)
    words = np.fromfile(path, np.uint16)
    scatter(frame, pixel, value)
    scan(words)
    block = np.empty(1 << 18, np.uint8)

    def read() -> None:
        with path.open("rb", buffering=0) as f:
            while f.readinto(block.data):
                pass

    print("\nfloor, one core")
    print(f"  reading the file (page cache)     {path.stat().st_size / timed(read, 5) / 1e9:8.1f} GB/s")
    print(
        f"  going over its words              {len(words) / timed(lambda: scan(words), 10) / 1e6:8.0f} million words/s"
    )
    scattered = n / timed(lambda: scatter(frame, pixel, value)) / 1e6
    print(f"  writing pixels here and there     {scattered:8.0f} million events/s")
    print(f"  clearing a frame                  {timed(lambda: frame.fill(128)) * 1e6:8.0f} us")


def peak_kib() -> int:
    """Return the largest resident memory of this process so far."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def memory(path: Path, task: str) -> None:
    """Print the memory of a task above that of a process which has done it once with a small file (child process)."""
    small = path.with_name("small.raw")
    call = getattr(Ours(), task)
    run = (lambda p: sum(call(p))) if task == "blocks" else call
    run(small)
    Path("/proc/self/clear_refs").write_text("5")  # compiling took more than reading does: forget that peak
    before = peak_kib()
    run(path)
    print((peak_kib() - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="recordings of 1280 x 720 in EVT3 to measure, too")
    parser.add_argument("--events", type=float, default=25e6, help="of the two files that are made")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        memory(Path(args.memory_of[1]), args.memory_of[0])
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        vectors, singles = Path(folder) / "vectors.raw", Path(folder) / "singles.raw"
        make_file(vectors, int(args.events), 0.73)
        make_file(singles, int(args.events), 0.0)
        make_file(Path(folder) / "small.raw", 100_000, 0.73, seconds=0.2)
        for path in (vectors, singles, *args.files):
            rates(path)
        floor(singles)
        print("\nmemory above the imports, MiB")
        for task in ("blocks", "arrays", "frames"):
            command = [sys.executable, __file__, "--memory-of", task, str(singles)]
            print(
                f"  {task:8} {float(subprocess.run(command, check=True, capture_output=True, text=True).stdout):6.1f}"
            )


if __name__ == "__main__":
    main()
