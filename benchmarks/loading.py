"""How many clips a second loaders give to a network, and where their time goes (docs/benchmarks.md).

    python benchmarks/loading.py DATASET [--frames 75] [--image-px 224] [--workers 0 1 2] [--batch 12] [--clips 96]

DATASET is labelled (`au3dmm run`). Parts of a clip's way are timed one by one, in processor time of one core, over
clips drawn at random; *floor* is decompressing the clip's row groups and copying what the network sees, once. Then
whole loaders, with the processor time of all their processes: on a machine without other work, clips/s of the wall are
what training gets.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from au3dmm.io.event_frame_table import read_clip, read_event_frame_info, rows_per_group
from au3dmm.io.runs import one_run
from au3dmm.training.augmentation import draw_change
from au3dmm.training.clips import Clips, collate
from au3dmm.training.loading import make_loader
from au3dmm.training.order import Batches
from au3dmm.training.pictures import cut
from au3dmm.training.setup import read_setup
from au3dmm.training_config import load_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--image-px", type=int, default=224)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--clips", type=int, default=96)
    args = parser.parse_args()
    torch.set_num_threads(1)
    changes = [f"n_frames={args.frames}", f"every={args.every}", f"image_px={args.image_px}"]
    params = load_training(None, changes)
    clips = read_setup(one_run(args.dataset), params, cache=Path("unused")).train
    numbers = np.random.default_rng(0).permutation(len(clips))[: args.clips]
    print(f"{len(clips)} clips of {args.frames} frames at {args.image_px} px, {len(numbers)} of them timed\n")
    print("| part | ms of a core per clip |\n|---|---|")
    for name, milliseconds in parts(clips, numbers, params.augment, args.image_px).items():
        print(f"| {name} | {milliseconds:.1f} |")
    print(
        "\n| loaders | clips/s of the wall | ms of all cores per clip | clips/s of a core |\n|---|---|---|---|",
        flush=True,
    )
    for workers in args.workers:
        wall, processor = loaded(clips, args.batch, workers, args.clips)
        print(f"| {workers or 'none'} | {1 / wall:.0f} | {1e3 * processor:.1f} | {1 / processor:.0f} |", flush=True)


def parts(clips: Clips, numbers: Sequence[int], augment: object, image_px: int) -> dict[str, float]:
    """Return milliseconds of processor per clip of each part of its way, and of the least that is needed."""
    every, places = clips._data.every, [clips.places[n] for n in numbers]
    files = [clips._sources[i] for i, _, _ in places]
    spans = [(first, (count - 1) * every + 1) for _, first, count in places]

    def read(k: int) -> np.ndarray:
        return read_clip(files[k], *spans[k])

    for k in range(len(files)):
        read(k)  # footers, and the page cache
    stored = [read(k)[::every] for k in range(min(16, len(files)))]
    whole = [read(k) for k in range(len(stored))]
    drawn = [draw_change(augment, 0, 0, k) for k in range(len(stored))]
    made = [cut(s, c, image_px, clips._scaling) for s, c in zip(stored, drawn, strict=True)]
    items = [clips[0, int(n)] for n in numbers[:12]]
    codec = pa.Codec("lz4")
    rows = rows_per_group(whole[0][0].nbytes, read_event_frame_info(files[0]).n_frames)
    groups = [[w[i : i + rows].tobytes() for i in range(0, len(w), rows)] for w in whole]
    packed = [[(codec.compress(g), len(g)) for g in some] for some in groups]
    n = len(stored)
    return {
        "floor: decompress": per_clip(lambda k: [codec.decompress(p, size) for p, size in packed[k]], n),
        "floor: copy what is seen": per_clip(lambda k: made[k].clone(), n),
        "read": per_clip(read, len(files)),
        "crop and resize": per_clip(lambda k: cut(stored[k], drawn[k], image_px, clips._scaling), n),
        "a clip, whole": per_clip(lambda k: clips[0, int(numbers[k])], len(numbers)),
        "put together to a batch": per_clip(lambda _: collate(items), 4) / len(items),
    }


def per_clip(call: Callable[[int], object], n: int) -> float:
    """Return the least mean milliseconds of processor of two rounds."""
    rounds = []
    for _ in range(2):
        began = time.process_time()
        for k in range(n):
            call(k)
        rounds.append(1e3 * (time.process_time() - began) / n)
    return min(rounds)


def loaded(clips: Clips, batch: int, workers: int, n: int) -> tuple[float, float]:
    """Return seconds of the wall, and of the processor of all processes, per clip, without starting the loaders."""
    order = Batches(len(clips), batch, seed=0, shuffle=True)
    loader = make_loader(clips, order, workers)
    batches = iter(loader)
    next(batches)  # starts the processes
    pids = [w.pid for w in getattr(batches, "_workers", ())]
    began, before, seen = time.perf_counter(), spent(pids), 0
    for some in batches:
        seen += len(some["clip"])
        if seen >= n:
            break
    return (time.perf_counter() - began) / seen, (spent(pids) - before) / seen


def spent(pids: Sequence[int]) -> float:
    """Return the processor seconds of this process and of others (Linux)."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return time.process_time() + sum(int(f[11]) + int(f[12]) for f in fields) / tick


if __name__ == "__main__":
    main()
