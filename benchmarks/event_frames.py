"""How fast event frames are made, and how fast random clips of them are read, beside HDF5 and zarr.

    python benchmarks/event_frames.py ../shared/data/sessions/pexels_trigger [--rows 3776] [--repeat 5]

Four tables: events per second that each representation takes from packed events in the cache; what a window costs
besides its events; frames per second of the whole stage (decode, accumulate, resample, compress, write); and, on the
session's polarity frames tiled to `--rows`, random clips of 75 frames, file size and time to write, for Parquet of
several kinds, HDF5 and zarr (h5py, hdf5plugin, zarr: skipped if not installed). Every Parquet file is read by
`read_clip`. One thread.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from au3dmm.config import FramesParams
from au3dmm.core.event_frames import Windows
from au3dmm.core.packed_events import PackedEvents, pack
from au3dmm.core.pixel_grid import PixelGrid, centred_square
from au3dmm.core.representations import REPRESENTATIONS, frames_of, make_canvas
from au3dmm.core.window_events import whole
from au3dmm.io import event_frame_table
from au3dmm.io.clock import Clock, write_clock
from au3dmm.io.event_frame_table import read_clip
from au3dmm.io.events import open_events
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import word_array, write_table
from au3dmm.stages import frames

CLIP, CLIPS, CHUNK = 75, 20, 1 << 16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("session", type=Path)
    parser.add_argument("--rows", type=int, default=3776)
    parser.add_argument("--repeat", type=int, default=5, help="best of this many")
    args = parser.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        representations(args.session, args.repeat)
        windows(args.repeat)
        stage(args.session, folder, args.repeat)
        layouts(folder, args.rows, args.repeat)


def best(times: int, run: Callable[[], Any]) -> float:
    """Seconds of the fastest of several runs, after one that warms up."""
    run()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        found.append(time.perf_counter() - began)
    return min(found)


def packed(events: np.ndarray) -> list[PackedEvents]:
    return [pack(*(events[i : i + CHUNK][f] for f in "txyp")) for i in range(0, len(events), CHUNK)]


def representations(session: Path, repeat: int) -> None:
    file = open_events(session / "events.raw")
    real = np.concatenate([chunk.events.unpack() for chunk in file.stream()])
    real = real[len(real) // 2 :][: 1 << 20]
    rng, n = np.random.default_rng(0), 1 << 20
    uniform = np.zeros(n, real.dtype)
    uniform["t"] = np.sort(rng.integers(0, 200_000, n))
    uniform["x"], uniform["y"], uniform["p"] = (
        rng.integers(280, 1000, n),
        rng.integers(0, 720, n),
        rng.integers(0, 2, n),
    )
    print(f"events taken from packed chunks of {CHUNK}, Mev/s; and ms to read a frame")
    print(
        f"{'':14s} {'session, 256 px':>16s} {'uniform, 256 px':>16s} {'session, 720 px':>16s} {'read 256':>9s}"
        f" {'720':>6s}"
    )
    for name in REPRESENTATIONS:
        rates, reads = [], []
        for events, size in ((real, 256), (uniform, 256), (real, 720)):
            chunks, span = packed(events), (int(events["t"].min()), int(events["t"].max()) + 1)
            canvas = make_canvas(name, PixelGrid((720, 1280), centred_square(720, 1280), (size, size)))

            def add(canvas: Any = canvas, chunks: Any = chunks, span: Any = span) -> None:
                canvas.clear(*span)
                for chunk in chunks:
                    canvas.add(whole(chunk))

            seconds = best(3 * repeat, add) - best(3 * repeat, lambda c=canvas, s=span: c.clear(*s))  # type: ignore[misc]
            rates.append(len(events) / seconds / 1e6)
            reads.append(1e3 * best(3 * repeat, canvas.read))
        print(
            f"{name:14s} {rates[0]:16.0f} {rates[1]:16.0f} {rates[2]:16.0f} {reads[0]:9.2f} {reads[2]:6.2f}", flush=True
        )


def windows(repeat: int) -> None:
    """Time windows of a few events on a sensor of one pixel, where nothing but the bookkeeping is left."""
    n = 20_000
    t, zeros = np.arange(n) * 100, np.zeros(n, np.int64)
    grid = PixelGrid((1, 1), (0, 1, 0, 1), (1, 1))
    end = np.arange(1, n // 10) * 1000
    print("\nwhat a window costs besides its events, us")
    for name in REPRESENTATIONS:
        costs = []
        for length in (1000, 5000):
            canvas, chosen = make_canvas(name, grid), Windows(end - length, end)
            chunks = [pack(t, zeros, zeros, zeros)]
            seconds = best(repeat, lambda c=chunks, w=chosen, k=canvas: list(frames_of(c, w, k)))  # type: ignore[misc]
            costs.append(1e6 * seconds / len(end))
        print(f"{name:14s} one after the other {costs[0]:5.1f}   overlapping {costs[1]:5.1f}", flush=True)


def stage(session: Path, folder: Path, repeat: int) -> None:
    file = open_events(session / "events.raw")
    stream = file.stream()
    for _ in stream:
        pass
    found = stream.report
    with (session / "rgb_timestamps.csv").open() as f:
        t_rgb = np.array([int(row["pts_us"]) for row in csv.DictReader(f)], np.int64)
    n = len(t_rgb)
    given = {"frame_index": np.arange(n), "t_rgb_us": t_rgb, "n_faces": np.zeros(n)}
    columns = {field.name: pa.nulls(n, field.type) for field in landmarks_schema()}
    columns |= {key: pa.array(value).cast(landmarks_schema().field(key).type) for key, value in given.items()}
    columns |= {"status": word_array(["no_face"] * n), "flags": pa.array([[]] * n, pa.list_(pa.string()))}
    table = pa.Table.from_arrays(list(columns.values()), schema=landmarks_schema())
    write_table(folder / "landmarks.parquet", "landmarks", table, {})
    first, last = int(found.t_first_us or 0), int(found.t_last_us or 0)
    offset = float(first - t_rgb[0])
    write_clock(
        folder / "clock.json",
        Clock("start", offset, 0.0, None, None, None, None, None, file.t_shift_us, first, last),
        {},
    )
    print(f"\nthe stage on {session.name} ({found.events} events, 256 x 256 px)")
    for name in REPRESENTATIONS:
        for windows, step in (("rgb", 1000), ("sliding", 5000)):
            path = folder / f"event_frames.{name}.{windows}.parquet"
            params = FramesParams.model_validate({"representation": name, "windows": windows, "step_us": step})
            result: dict[str, Any] = {}

            def run(path: Path = path, params: FramesParams = params, result: dict[str, Any] = result) -> None:
                result |= frames.run(
                    session=session,
                    landmarks=folder / "landmarks.parquet",
                    clock=folder / "clock.json",
                    event_frames=path,
                    params=params,
                )

            seconds = best(repeat if windows == "rgb" else 1, run)
            what = windows if windows == "rgb" else "33 ms every 5 ms"
            size = path.stat().st_size / result["frames"] / 1024
            rate = result["frames"] / seconds
            print(
                f"{name:14s} {what:17s} {result['frames']:5d} frames {seconds:6.2f} s {rate:6.0f} frames/s"
                f" {found.events / seconds / 1e6:5.1f} Mev/s {size:6.1f} KiB per frame",
                flush=True,
            )


def layouts(folder: Path, n: int, repeat: int) -> None:
    source = folder / "event_frames.polarity.rgb.parquet"
    pixels = tiled(source, n)
    starts = np.random.default_rng(0).integers(0, n - CLIP, CLIPS).tolist()
    print(f"\n{n} polarity frames of {pixels[0].nbytes} bytes; random clips of {CLIP}")
    print(f"{'':44s} {'MB':>6s} {'rows/s written':>14s} {'clips/s warm':>12s} {'cold':>6s}")
    for label, write, read, path in candidates(folder, source, pixels):
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True) if not path.is_dir() else None
        began = time.perf_counter()
        write()
        written = time.perf_counter() - began
        assert np.array_equal(np.asarray(read(7)), pixels[7 : 7 + CLIP]), label
        # of each clip the fastest of several readings, apart in time: other programs come and go
        warm = [[seconds_of(read, start) for start in starts] for _ in range(2 * repeat)]
        cold = [[clip_cold(path, read, start) for start in starts] for _ in range(repeat)]
        files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
        print(
            f"{label:44s} {size / 1e6:6.1f} {n / written:14.0f} {CLIPS / sum(map(min, zip(*warm, strict=True))):12.0f}"
            f" {CLIPS / sum(map(min, zip(*cold, strict=True))):6.0f}",
            flush=True,
        )
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def tiled(source: Path, n: int) -> np.ndarray:
    """The session's frames again and again, each time moved and mirrored, so that no codec knows them."""
    own = read_clip(source, 0, event_frame_table.read_event_frame_info(source).n_frames)
    parts = [np.roll(own[..., :: -1 if k % 2 else 1], 13 * k, axis=-2) for k in range(-(-n // len(own)))]
    return np.ascontiguousarray(np.concatenate(parts)[:n])


def seconds_of(read: Callable[[int], Any], start: int) -> float:
    began = time.perf_counter()
    read(start)
    return time.perf_counter() - began


def clip_cold(path: Path, read: Callable[[int], Any], start: int) -> float:
    """Seconds to read a clip when neither the page cache nor we remember the file."""
    event_frame_table._read_footer.cache_clear()
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        fd = os.open(file, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    return seconds_of(read, start)


Candidate = tuple[str, Callable[[], None], Callable[[int], Any], Path]


def candidates(folder: Path, source: Path, pixels: np.ndarray) -> Iterator[Candidate]:
    own = folder / "own.parquet"
    rows = event_frame_table.rows_per_group(pixels[0].nbytes, len(pixels))
    ours = f"Parquet LZ4, {rows} rows (ours)"
    yield ours, lambda: parquet(own, source, pixels, rows), lambda s: read_clip(own, s, CLIP), own
    kinds: list[tuple[str, int, dict[str, Any]]] = [
        ("LZ4, 4 rows", 4, {}),
        ("LZ4, 64 rows", 64, {}),
        ("LZ4, 256 rows", 256, {}),
        ("LZ4, 16 rows, pages of 64 KiB", 16, {"data_page_size": 1 << 16}),
        ("zstd 1, 16 rows", 16, {"compression": "zstd", "compression_level": 1}),
        ("zstd 3, 16 rows", 16, {"compression": "zstd", "compression_level": 3}),
        ("zstd 9, 16 rows", 16, {"compression": "zstd", "compression_level": 9}),
        ("zstd 3, 16 rows, dictionary", 16, {"compression": "zstd", "use_dictionary": True}),
        ("snappy, 16 rows", 16, {"compression": "snappy"}),
        ("none, 16 rows", 16, {"compression": "none"}),
    ]
    for label, n, how in kinds:
        yield (
            f"Parquet {label}",
            lambda n=n, how=how: parquet(own, source, pixels, n, **how),  # type: ignore[misc]
            lambda s: read_clip(own, s, CLIP),
            own,
        )
    yield from hdf5_candidates(folder / "own.h5", pixels)
    yield from zarr_candidates(folder / "own.zarr", pixels)


def parquet(path: Path, source: Path, pixels: np.ndarray, rows: int, **how: Any) -> None:
    """Write frames as `write_event_frames` does, but in other groups, codecs and pages."""
    schema = pq.read_schema(source)
    others = [name for name in schema.names if name != "pixels"]
    options = {"compression": "lz4", "use_dictionary": False, "write_statistics": others} | how
    first = pq.read_table(source, columns=others).slice(0, 1)
    with pq.ParquetWriter(path, schema, **options) as writer:
        for start in range(0, len(pixels), rows):
            part = pixels[start : start + rows]
            kind = schema.field("pixels").type
            column = pa.FixedSizeBinaryArray.from_buffers(kind, len(part), [None, pa.py_buffer(part)])
            table = pa.concat_tables([first] * len(part)).append_column(schema.field("pixels"), column)
            writer.write_table(table.cast(schema), row_group_size=rows)


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"SKIPPED: {name} is not installed")
        return None


def hdf5_candidates(path: Path, pixels: np.ndarray) -> Iterator[Candidate]:
    h5py, plugin = library("h5py"), library("hdf5plugin")
    if h5py is None or plugin is None:
        return

    def write(rows: int, how: dict[str, Any]) -> None:
        with h5py.File(path, "w") as f:
            chunks = (rows, *pixels.shape[1:]) if rows else None
            data = f.create_dataset("pixels", pixels.shape, pixels.dtype, chunks=chunks, **how)
            for start in range(0, len(pixels), rows or 64):
                data[start : start + (rows or 64)] = pixels[start : start + (rows or 64)]

    def read(start: int) -> Any:
        with h5py.File(path, "r") as f:
            return f["pixels"][start : start + CLIP]

    for label, rows, how in (
        ("gzip 1, 16 rows", 16, {"compression": "gzip", "compression_opts": 1}),
        ("lzf, 16 rows", 16, {"compression": "lzf"}),
        ("LZ4, 16 rows", 16, dict(plugin.LZ4())),
        ("blosc LZ4, 16 rows", 16, dict(plugin.Blosc(cname="lz4", clevel=5, shuffle=0))),
        ("zstd 1, 16 rows", 16, dict(plugin.Zstd(clevel=1))),
        ("none, contiguous", 0, {}),
    ):
        yield f"HDF5 {label}", lambda r=rows, h=how: write(r, h), read, path  # type: ignore[misc]


def zarr_candidates(path: Path, pixels: np.ndarray) -> Iterator[Candidate]:
    zarr = library("zarr")
    if zarr is None:
        return
    zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})

    def write(how: Any) -> None:
        chunks = (16, *pixels.shape[1:])
        array = zarr.create_array(path, shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, compressors=how)
        for start in range(0, len(pixels), 16):
            array[start : start + 16] = pixels[start : start + 16]

    for label, how in (
        ("blosc LZ4, 16 rows", zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle")),
        ("zstd 1, 16 rows", zarr.codecs.ZstdCodec(level=1)),
        ("none, 16 rows", None),
    ):
        read = lambda s: zarr.open_array(path, mode="r")[s : s + CLIP]  # noqa: E731
        yield f"zarr {label}", lambda h=how: write(h), read, path  # type: ignore[misc]


if __name__ == "__main__":
    main()
