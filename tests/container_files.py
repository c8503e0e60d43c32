"""Event files of the container formats, written for tests: NPZ, HDF5 (DSEC, M3ED, Prophesee with ECF) and AEDAT4."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from au3dmm.errors import SessionError
from au3dmm.io.events.arrays import GAP_US
from au3dmm.io.events.report import LATE_US
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE, EventFile

WIDTH, HEIGHT = 640, 480
PROPHESEE_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], align=True)
PROPHESEE_TRIGGER = np.dtype([("p", "<i2"), ("t", "<i8"), ("id", "<i2")], align=True)


def random_events(n: int, seed: int = 0, start_us: int = 1_000_000, mean_step_us: int = 5) -> np.ndarray:
    """Return events in order of time, some at the same one, some of them neighbours in a row."""
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = start_us + np.cumsum(rng.integers(0, 2 * mean_step_us + 1, n))
    events["x"], events["y"], events["p"] = rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), rng.integers(0, 2, n)
    for first in range(0, n - 9, 30):
        part = slice(first, first + 9)
        events["t"][part], events["y"][part] = events["t"][first], events["y"][first]
        events["x"][part] = int(rng.integers(0, WIDTH - 20)) + np.cumsum(rng.integers(1, 3, 9))
    events["t"] = np.maximum.accumulate(events["t"])
    return events


def random_triggers(n: int, events: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return triggers in order of time, spread over the time of the events."""
    rng = np.random.default_rng(seed)
    triggers = np.zeros(n, TRIGGER_DTYPE)
    triggers["t"] = np.sort(rng.integers(events["t"][0], events["t"][-1], n))
    triggers["p"] = np.arange(n) % 2
    return triggers


def read_all(file: EventFile) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return all events, triggers and the report of a file."""
    stream = file.stream()
    events, triggers = [np.zeros(0, EVENT_DTYPE)], [np.zeros(0, TRIGGER_DTYPE)]
    for chunk in stream:
        events.append(chunk.events.unpack().copy())
        triggers.append(chunk.triggers)
    found, edges = np.concatenate(events), np.concatenate(triggers)
    assert (stream.report.events, stream.report.triggers) == (len(found), len(edges))
    return found, edges, stream.report


def write_dsec(path: Path, events: np.ndarray, *, t_offset: int = 500_000, **options: Any) -> Path:
    """Write a file laid out as DSEC's; `options` go to each data set."""
    import h5py

    with h5py.File(path, "w") as file:
        t = events["t"] - t_offset
        for name, values, dtype in (("t", t, "u4"), ("x", events["x"], "u2"), ("y", events["y"], "u2")):
            file.create_dataset(f"events/{name}", data=values.astype(dtype), **options)
        file.create_dataset("events/p", data=events["p"].astype("u1"), **options)
        file["t_offset"] = np.int64(t_offset)
        file["ms_to_idx"] = np.searchsorted(t, np.arange(0, t[-1] + 1 if len(t) else 1, 1000)).astype("u8")
    return path


def write_m3ed(path: Path, left: np.ndarray, right: np.ndarray) -> Path:
    """Write a file laid out as M3ED's, with two cameras."""
    import h5py

    with h5py.File(path, "w") as file:
        for side, events in (("left", left), ("right", right)):
            for name, dtype in (("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "i1")):
                file.create_dataset(f"prophesee/{side}/{name}", data=events[name].astype(dtype), compression="lzf")
            file[f"prophesee/{side}/calib/resolution"] = np.array([1280, 720])
    return path


def write_prophesee(
    path: Path, events: np.ndarray, triggers: np.ndarray, *, packing: int | None = None, chunk: int = 4096
) -> Path:
    """Write a file laid out as Prophesee's, compressed by ECF as `packing` says (see `encode_ecf`; -1: not)."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = f"{WIDTH}x{HEIGHT}"
        file.attrs["version"] = "1.0"
        file.attrs["serial_number"] = "00050123"
        table = np.zeros(len(events), PROPHESEE_EVENT)
        for name in "txyp":
            table[name] = events[name]
        if packing == -1:
            file.create_dataset("CD/events", data=table, chunks=(chunk,), maxshape=(None,))
        else:
            place = file.create_dataset(
                "CD/events", (len(events),), PROPHESEE_EVENT, chunks=(chunk,), maxshape=(None,),
                compression=0x8ECF, allow_unknown_filter=True,
            )  # fmt: skip
            for at in range(0, len(events), chunk):
                place.id.write_direct_chunk((at,), encode_ecf(events[at : at + chunk], packing))
        edges = np.zeros(len(triggers), PROPHESEE_TRIGGER)
        for name in ("t", "id", "p"):
            edges[name] = triggers[name]
        file.create_dataset("EXT_TRIGGER/events", data=edges, chunks=(chunk,), maxshape=(None,))
    return path


def encode_ecf(events: np.ndarray, packing: int | None = None) -> bytes:
    """Compress events as one chunk of ECF: 2 all packed, 1 columns and signs packed, 0 neither, None any."""
    n = len(events)
    t, x, y, p = (events[name].astype(np.int64) for name in "txyp")
    if packing is None:
        packing = n % 3
    out = struct.pack("<IQ", n << 2 | packing, int(t[0])) + _ecf_times(t)
    four = [(int(x[i]) << 1 | int(p[i]), int(y[i])) for i in range(n)] + [(0, 0)] * (-n % 4)
    if packing == 2:
        for i in range(0, len(four), 4):
            a, b, c, d = (row << 12 | value for value, row in four[i : i + 4])
            out += struct.pack("<III", a << 8 | b & 0xFF, b >> 8 << 16 | c & 0xFFFF, c >> 16 << 24 | d)
        return out
    for value, count in _runs(y):
        out += struct.pack("<H", value << 5 | count) if count < 31 else struct.pack("<HH", value << 5 | 31, count)
    if packing == 1:
        for i in range(0, len(four), 4):
            a, b, c, d = (value for value, _ in four[i : i + 4])
            out += struct.pack("<HHH", a << 4 | b & 0xF, b >> 4 << 8 | c & 0xFF, c >> 8 << 12 | d)
        return out
    i = 0
    while i < n:
        base, mask = int(x[i]), 0
        i += 1
        for j in range(5):
            if i < n and x[i] == base + j + 1:
                mask |= 16 >> j
                i += 1
        out += struct.pack("<H", base << 5 | mask)
    for value, count in _runs(p):
        out += struct.pack("<B", value << 7 | count) if count < 127 else struct.pack("<BH", value << 7 | 127, count)
    return out


def _ecf_times(t: np.ndarray) -> bytes:
    out, now = b"", int(t[0])
    for value, count in _runs(t):
        step = value - now
        if step >= 15:
            while step:
                out += struct.pack("<B", 0xF0 | step & 15)
                step >>= 4
        out += struct.pack("<B", step << 4 | count) if count < 15 else struct.pack("<BH", step << 4 | 15, count)
        now = value
    return out


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(int(values[start]), stop - start) for start, stop in pairwise(edges)]


def write_aedat4(
    path: Path, events: np.ndarray, triggers: np.ndarray, *, codec: str | None = "lz4", packet: int = 1000,
    sources: tuple[str, ...] = ("camera",), size: bool = True,
) -> Path:  # fmt: skip
    """Write an AEDAT4 file; each of `sources` gets the same events, streams 0, 1, ...; triggers come after them."""
    description = "".join(_aedat4_stream(i, "EVTS", source, size) for i, source in enumerate(sources))
    description += _aedat4_stream(len(sources), "TRIG", sources[0], size=False)
    text = f'<dv version="2.0"><node name="outInfo" path="/outInfo/">{description}</node></dv>'.encode()
    table = struct.pack("<HHHHH", 10, 20, 4, 8, 16) + b"\0\0"  # sizes, and where the three fields are
    table += struct.pack("<iiqI", 12, {None: 0, "lz4": 1, "zstd": 3}[codec], -1, 4) + struct.pack("<I", len(text))
    header = struct.pack("<I", 8 + 12) + b"IOHE" + table + text + b"\0"
    parts = [b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header]
    for at in range(0, len(events), packet):
        part = events[at : at + packet]
        end = events["t"][at + packet] if at + packet < len(events) else np.inf
        edges = triggers[(triggers["t"] >= (part["t"][0] if at else -np.inf)) & (triggers["t"] < end)]
        for number in range(len(sources)):
            parts.append(_aedat4_packet(number, b"EVTS", _aedat4_events(part), codec))
        if len(edges):
            parts.append(_aedat4_packet(len(sources), b"TRIG", _aedat4_triggers(edges), codec))
    path.write_bytes(b"".join(parts))
    return path


def _aedat4_stream(number: int, kind: str, source: str, size: bool) -> str:
    info = f'<attr key="source" type="string">{source}</attr>'
    if size:
        info += f'<attr key="sizeX" type="int">{WIDTH}</attr><attr key="sizeY" type="int">{HEIGHT}</attr>'
    return (
        f'<node name="{number}" path="/outInfo/{number}/"><attr key="typeIdentifier" type="string">{kind}</attr>'
        f'<node name="info" path="/outInfo/{number}/info/">{info}</node></node>'
    )


def _aedat4_packet(number: int, kind: bytes, elements: bytes, codec: str | None) -> bytes:
    # a table with one field, which is the vector after it
    buffer = struct.pack("<I", 16) + kind + struct.pack("<HHHHiI", 0, 6, 8, 4, 6, 4) + elements
    body = struct.pack("<I", len(buffer)) + buffer
    if codec == "zstd":
        body = pa.compress(body, "zstd", asbytes=True)
    elif codec == "lz4":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "lz4") as stream:
            stream.write(body)
        body = sink.getvalue().to_pybytes()
    return struct.pack("<ii", number, len(body)) + body


def _aedat4_events(events: np.ndarray) -> bytes:
    rows = np.zeros(len(events), np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("", "V3")]))
    for name in "txyp":
        rows[name] = events[name]
    return struct.pack("<I", len(events)) + rows.tobytes()


def _aedat4_triggers(triggers: np.ndarray) -> bytes:
    n = len(triggers)
    # an even number of offsets, so that the times, which are at 8 of their tables, are aligned as FlatBuffers are
    offsets, tables = b"", b""
    fields = b"\0" * (4 * (n % 2 == 0) + 4) + struct.pack("<HHHH", 8, 16, 8, 4)
    for i, trigger in enumerate(triggers):
        at = 4 * n + len(fields) + 16 * i
        offsets += struct.pack("<I", at - 4 * i)
        kind = {(0, 1): 1, (0, 0): 2, (1, 1): 4, (1, 0): 5}[int(trigger["id"]), int(trigger["p"])]
        tables += struct.pack("<ib3xq", 8 + 16 * i, kind, int(trigger["t"]))
    return struct.pack("<I", n) + offsets + fields + tables


def mutated(data: bytes, seed: int) -> bytes:
    """Return a damaged copy: bits flipped, pages zeroed or garbled, parts cut, doubled, swapped or put in."""
    rng = np.random.default_rng(seed)
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, size = int(rng.integers(0, len(out))), int(rng.integers(1, 200))
        kind = int(rng.integers(0, 8))
        if kind <= 2:
            for _ in range(int(rng.integers(1, 6))):
                out[int(rng.integers(0, len(out)))] ^= 1 << int(rng.integers(0, 8))
        elif kind == 3:
            out[at : at + size] = bytes(len(out[at : at + size]))
        elif kind == 4:
            out[at : at + size] = rng.bytes(len(out[at : at + size]))
        elif kind == 5:
            out[at : at + (size if rng.integers(0, 2) else len(out))] = b""
        elif kind == 6:
            out[at:at] = out[at : at + size] if rng.integers(0, 2) else rng.bytes(size)
        else:
            to = int(rng.integers(0, len(out)))
            out[at : at + size], out[to : to + size] = out[to : to + size], out[at : at + size]
        if not out:
            return b""
    return bytes(out)


def check_mutants(data: bytes, path: Path, seeds: range, open_file: Callable[[Path], EventFile]) -> dict[str, int]:
    """Read damaged copies of a file; return how many were refused, in at most how many lines, and how many were read.

    Whatever is read lies within the sensor, and the clock makes no step of more than 10 ms of which the report says
    nothing: it tells of a gap, or at least of damage. The file as it was must have no such steps.
    """
    outcome = {"refused": 0, "read": 0, "lines": 0}
    for seed in seeds:
        path.write_bytes(mutated(data, seed))
        try:
            file = open_file(path)
            events, _, report = read_all(file)
            file.triggers()
            report.check(path)
        except SessionError as err:
            outcome["refused"] += 1
            outcome["lines"] = max(outcome["lines"], len(str(err).splitlines()))
            continue
        assert len(events)
        assert events["x"].max() < file.width
        assert events["y"].max() < file.height
        assert events["p"].max() <= 1
        steps = np.diff(np.maximum.accumulate(events["t"]))
        assert (steps > GAP_US).sum() <= report.counts["time_gap"] or any(report.counts.values())
        assert np.diff(events["t"]).min(initial=0) >= -2 * LATE_US
        outcome["read"] += 1
    return outcome
