"""RAW and DAT files, made word by word from their descriptions, and not by the writers of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from au3dmm.errors import SessionError
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, open_events
from au3dmm.io.events.report import LATE_US, EventFileReport
from container_files import mutated, read_all

WIDTH, HEIGHT = 320, 240
GAP_US = 10_000


def header(version: str, extra: str = "") -> bytes:
    """Return the header of a RAW file of ``2.0`` or ``2.1``."""
    return f"% evt {version}\n% geometry {WIDTH}x{HEIGHT}\n{extra}% end\n".encode()


def camera_events(n: int, span_us: int, start_us: int = 5_000_000, seed: int = 0) -> np.ndarray:
    """Return events in order of time, one in four of them in rows that are read out at once."""
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = start_us + np.sort(rng.integers(0, span_us, n))
    events["x"], events["y"], events["p"] = rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), rng.integers(0, 2, n)
    for i in range(0, n - 12, 48):
        row = slice(i, i + 12)
        for name in ("t", "y", "p"):
            events[name][row] = events[name][i]
        events["x"][row] = int(rng.integers(0, WIDTH - 40)) + np.cumsum(rng.integers(1, 4, 12))
    return events[np.argsort(events["t"], kind="stable")]


def camera_triggers(n: int, span_us: int, start_us: int = 5_000_000) -> np.ndarray:
    """Return edges of input 1, evenly spread."""
    triggers = np.zeros(n, TRIGGER_DTYPE)
    triggers["t"] = start_us + np.arange(n) * span_us // max(n, 1)
    triggers["id"], triggers["p"] = 1, np.arange(n) % 2
    return triggers


def evt2_words(events: np.ndarray, triggers: np.ndarray, every_us: int = 16) -> np.ndarray:
    """Return words of EVT2 as cameras send them: TIME_HIGH every 16 us, 28 bits of it."""
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    at, number, edge = (triggers[name].astype(np.int64) for name in ("t", "id", "p"))
    start, stop = (int(f([*t[:1], *t[-1:], *at[:1], *at[-1:]])) for f in (min, max))
    high = np.arange(start // every_us * every_us, stop + 1, every_us)
    words = np.concatenate(
        [
            0x80000000 | (high >> 6) & 0xFFFFFFF,
            0xA0000000 | (at & 63) << 22 | number << 8 | edge,
            p << 28 | (t & 63) << 22 | x << 11 | y,
        ]
    )
    kind = np.repeat([0, 1, 2], [len(high), len(at), len(t)])
    order = np.lexsort((np.arange(len(words)), kind, np.concatenate([high, at, t])))
    return words[order].astype(np.uint32)


def evt21_words(events: np.ndarray, triggers: np.ndarray) -> np.ndarray:
    """Return words of EVT2.1: neighbours in a row, of one time and sign, share a word of 32 columns."""
    upper: list[tuple[int, int, int, int]] = []
    single = evt2_words(events, triggers).astype(np.int64)
    for word in single.tolist():
        if word >> 28 <= 1:
            x, rest = word >> 11 & 0x7FF, word & ~(0x7FF << 11)
            if upper and upper[-1][0] == rest and upper[-1][1] == x // 32 and 1 << x % 32 > upper[-1][2]:
                upper[-1] = (rest, x // 32, upper[-1][2] | 1 << x % 32, 0)
            else:
                upper.append((rest, x // 32, 1 << x % 32, 0))
        else:
            upper.append((word, -1, 0, 0))
    high = [rest | (column * 32 << 11 if column >= 0 else 0) for rest, column, _, _ in upper]
    return np.array(high, np.uint64) << np.uint64(32) | np.array([mask for _, _, mask, _ in upper], np.uint64)


def evt21_bytes(words: np.ndarray, order: str) -> bytes:
    """Return 64-bit words in one of the orders that there are."""
    if order == "big":
        return words.astype(">u8").tobytes()
    little = words.astype("<u8").view("<u4").reshape(-1, 2)
    return (little if order == "little" else little[:, ::-1]).tobytes()


def dat_bytes(events: np.ndarray, version: int = 2, kind: int = 12, size: bool = True) -> bytes:
    """Return a DAT file."""
    lines = f"% Data file containing CD events\n% Date 2020-09-14 14:18:29\n% Version {version}\n"
    if size:
        lines += f"% Width {WIDTH}\n% Height {HEIGHT}\n"
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    place = p << 28 | y << 14 | x if version == 2 else p << 17 | y << 9 | x
    return lines.encode() + bytes([kind, 8]) + np.stack([t & 0xFFFFFFFF, place], 1).astype("<u4").tobytes()


def decode(path: Path) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], EventFileReport]:
    """Return the events, the triggers and the report of a file."""
    events, triggers, report = read_all(open_events(path))
    return events.tolist(), triggers.tolist(), report


def damage(report: EventFileReport) -> dict[str, int]:
    """Return the counts that are not zero; places must tell of the same kinds."""
    counts = {kind: n for kind, n in report.counts.items() if n}
    assert {span.kind for span in report.spans} == set(counts)
    return counts


def check_mutants(data: bytes, path: Path, seeds: range) -> dict[str, int]:
    """Read damaged copies of a file; return how many were refused, in at most how many lines, and how many read.

    Whatever is read lies within the sensor, steps back by no more than what is late, and every jump of the clock by
    more than 10 ms is in the report.
    """
    outcome = {"refused": 0, "read": 0, "lines": 0}
    for seed in seeds:
        path.write_bytes(mutated(data, seed))
        try:
            file = open_events(path)
            events, triggers, report = read_all(file)
        except SessionError as err:
            outcome["refused"] += 1
            outcome["lines"] = max(outcome["lines"], len(str(err).splitlines()))
            continue
        outcome["read"] += 1
        if not len(events):
            continue
        assert events["x"].max() < file.width
        assert events["y"].max() < file.height
        assert events["p"].max() <= 1
        latest = np.maximum.accumulate(events["t"])
        assert (latest - events["t"]).max() <= LATE_US
        assert (np.diff(latest) > GAP_US).sum() <= report.counts["time_gap"]
        assert (report.t_first_us, report.t_last_us) == (events["t"].min(), events["t"].max())
        assert report.t_first_us is not None
        assert report.events + report.dropped <= 8 * len(data)
        assert len(triggers) <= 2 * len(data)
    return outcome
