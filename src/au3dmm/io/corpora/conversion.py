"""Convert a tree of mesh files to one memory-mapped array: once, in parallel, and where it was interrupted, the rest.

The bytes depend neither on the number of workers nor on interruptions. What is kept where: `conversion_cache`.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.vertex_order import mesh_reference
from au3dmm.errors import OutputError, SchemaError, os_reason
from au3dmm.io.atomic import folder_lock
from au3dmm.io.corpora.base import LostFile
from au3dmm.io.corpora.blocks import Block, BlockResult, Job, convert_block, count_frames, file_name
from au3dmm.io.corpora.conversion_cache import FORMAT_VERSION, ConversionCache, Converted
from au3dmm.io.corpora.mesh_choice import choose_mesh
from au3dmm.io.hashing import sha256_json

__all__ = ["MAX_LOST", "Converted", "convert_meshes"]

MAX_LOST = 0.01
_FRAMES_PER_BLOCK = 128  # 8 MB of FLAME heads: short enough to lose, long enough to be worth a flush
Progress = Callable[[int, int], None]


def convert_meshes(
    files: Sequence[Path],
    root: Path,
    folder: Path,
    *,
    n_vertices: int | None = None,
    faces: NDArray[np.int32] | None = None,
    unit_m: float = 1.0,
    max_lost: float = MAX_LOST,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Convert mesh files to one array, or reuse what was converted from the same files before.

    Every frame is checked: number of vertices, triangles (where the file has any), order of vertices (by geometry,
    `core.vertex_order`), unit, finite numbers. One that fails is named in `lost` and left out. Files are the same as
    before if their names, sizes and times of change are.

    Parameters
    ----------
    files : sequence of Path
        PLY, OBJ or NPY ((V, 3), or (n, V, 3) for a whole sequence) below `root`, in the order of the rows.
    root : Path
        Folder of the corpus.
    folder : Path
        Where the array is kept; made if needed. One folder per tree.
    n_vertices : int, optional
        How many are expected; None means what most of a sample of the files have.
    faces : (F, 3) int32 array, optional
        Triangles expected; None likewise.
    unit_m : float
        Length of the files' unit, m.
    max_lost : float
        The share of frames that may be lost.
    workers : int, optional
        Processes; 1 runs in this one, None means one per core (in this one for small trees).
    progress : callable, optional
        Called with frames done and frames in all.

    Raises
    ------
    SchemaError
        If there are no files, none can be read, heads are not of a head's size, or more than `max_lost` are lost.
    OutputError
        If the folder cannot be written (read-only, disk full, another run is at it), or a worker process died.
    """
    if not files:
        raise SchemaError(f"{root}: no mesh files found; expected PLY, OBJ or NPY")
    cache = ConversionCache(folder, _key(files, root, n_vertices, faces, unit_m), _FRAMES_PER_BLOCK)
    found = cache.read()  # before the lock: what is finished can be read where nothing can be written
    if found is None:
        with folder_lock(folder), _writing(folder):
            found = cache.read()
            if found is None:
                vertices, triangles = choose_mesh(files, root, unit_m=unit_m, n_vertices=n_vertices, faces=faces)
                _convert(files, root, cache, (vertices, triangles), unit_m, max_lost, workers, progress)
                found = cache.read()
        assert found is not None
    check_lost(root, found.lost, len(found.lost), len(found.frames), max_lost)
    return found


def check_lost(root: Path, lost: Sequence[LostFile], n_lost: int, total: int, max_lost: float) -> None:
    """Refuse a corpus of which too much is lost; names some of it.

    Raises
    ------
    SchemaError
        If `n_lost` is more than the share `max_lost` of `total` frames.
    """
    if n_lost <= max_lost * total:
        return
    some = "; ".join(f"{file.path}: {file.reason}" for file in lost[:3])
    raise SchemaError(
        f"{root}: {n_lost} or more of {total} frames cannot be used, expected at most {100 * max_lost:.3g} %:"
        f" {some}{'; ...' if len(lost) > 3 else ''}; mend or remove them"
    )


def _key(
    files: Sequence[Path], root: Path, n_vertices: int | None, faces: NDArray[np.int32] | None, unit_m: float
) -> str:
    entries: list[tuple[str, int, int]] = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            entries.append((file_name(path, root), -1, -1))  # a link that leads nowhere: named when it is read
        else:
            entries.append((file_name(path, root), stat.st_size, stat.st_mtime_ns))
    triangles = None if faces is None else hashlib.sha256(np.ascontiguousarray(faces, "<i4").tobytes()).hexdigest()
    return sha256_json(
        {"format": FORMAT_VERSION, "unit_m": unit_m, "n_vertices": n_vertices, "faces": triangles, "files": entries}
    )


def _convert(
    files: Sequence[Path],
    root: Path,
    cache: ConversionCache,
    mesh: tuple[NDArray[np.float64], NDArray[np.int32] | None],
    unit_m: float,
    max_lost: float,
    workers: int | None,
    progress: Progress | None,
) -> None:
    counts = [count_frames(path) for path in files]
    total = sum(counts)
    shape = (total, len(mesh[0]), 3)
    done = cache.resume()
    offset = cache.allocate(shape)
    job = Job(root, cache.data, offset, unit_m, mesh[1], mesh_reference(*mesh))
    todo = [block for block in _blocks(files, counts) if block.number not in done]
    n_done = total - sum(sum(block.counts) for block in todo)
    if progress is not None:
        progress(n_done, total)
    for block, result in zip(todo, _run(job, todo, workers), strict=True):
        cache.note(result)
        done[result.number] = result
        n_done += sum(block.counts)
        if progress is not None:
            progress(n_done, total)
        _check_lost(root, done, total, max_lost)  # at once: to read on would be to waste the time
    _check_lost(root, done, total, max_lost)
    cache.finish([file_name(path, root) for path in files], counts, shape, mesh[1], done)


def _blocks(files: Sequence[Path], counts: list[int]) -> list[Block]:
    blocks: list[Block] = []
    start = row = 0
    while start < len(files):
        end, n = start, 0
        while end < len(files) and (n == 0 or n + counts[end] <= _FRAMES_PER_BLOCK):
            n += counts[end]
            end += 1
        blocks.append(Block(len(blocks), tuple(files[start:end]), tuple(counts[start:end]), row))
        start, row = end, row + n
    return blocks


def _check_lost(root: Path, done: dict[int, BlockResult], total: int, max_lost: float) -> None:
    lost = [LostFile(path, reason) for number in sorted(done) for _, path, reason in done[number].lost]
    check_lost(root, lost, len(lost), total, max_lost)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as err:
        raise OutputError(
            f"{folder}: a worker process died (out of memory, or a script without `if __name__ == '__main__':`);"
            " run again, what is done is kept; workers=1 does without processes"
        ) from err
    except OSError as err:
        raise OutputError(
            f"{folder}: cannot be written: {os_reason(err)}; mend that and run again, what is done is kept"
        ) from err


def _run(job: Job, blocks: list[Block], workers: int | None) -> Iterator[BlockResult]:
    """Yield the results of `blocks` in their order."""
    n = _n_cores() if workers is None else workers
    if n <= 1 or len(blocks) < 2 or (workers is None and len(blocks) < 8):  # a process takes a second to start
        yield from (convert_block(job, block) for block in blocks)
        return
    # spawned, not forked: a fork of a process with threads may hang. No product in them is so large that a library
    # would start threads of its own.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n, len(blocks)), context, initializer=_start_worker, initargs=(job,))
    try:
        ahead = iter(blocks)
        waiting = [pool.submit(_work, block) for block in itertools.islice(ahead, 4 * n)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(_work, block) for block in itertools.islice(ahead, 1)]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _n_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_job: Job | None = None


def _start_worker(job: Job) -> None:
    global _job
    _job = job
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a killed parent tells nobody: its workers would wait for work for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(block: Block) -> BlockResult:
    assert _job is not None
    return convert_block(_job, block)
