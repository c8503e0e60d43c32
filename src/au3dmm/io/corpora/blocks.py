"""Read the files of one block of a corpus, check each against the corpus' mesh, and write them to their rows."""

from __future__ import annotations

import hashlib
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.vertex_order import MeshReference, explain_difference
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.mesh import read_mesh

_CHUNK = 64  # frames of a long .npy held at once

# what numpy raises at a damaged .npy
_DAMAGE = (
    *(ValueError, TypeError, LookupError, SyntaxError, ArithmeticError, EOFError, MemoryError, RecursionError),
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Job:
    """What every block of a conversion has in common.

    Attributes
    ----------
    root : Path
        Folder of the corpus; lost files are named relative to it.
    target : Path
        The npy file that is written to.
    offset : int
        Where its data begin, bytes.
    unit_m : float
        Length of the files' unit, m.
    faces : (F, 3) int32 array, optional
        The corpus' triangles.
    reference : MeshReference
        The corpus' mesh.
    """

    root: Path
    target: Path
    offset: int
    unit_m: float
    faces: NDArray[np.int32] | None
    reference: MeshReference


@dataclass(frozen=True)
class Block:
    """Some files in a row.

    Attributes
    ----------
    number : int
        0, 1, 2, ...
    files : tuple of Path
        In order.
    counts : tuple of int
        How many frames each holds.
    first_row : int
        Where the first frame goes.
    """

    number: int
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    first_row: int


@dataclass(frozen=True)
class BlockResult:
    """What became of a block.

    Attributes
    ----------
    number : int
        Of the block.
    sha256 : str
        Of its rows as written.
    lost : tuple of (int, str, str)
        Row, file and reason of each frame that could not be used; its row holds NaN.
    """

    number: int
    sha256: str
    lost: tuple[tuple[int, str, str], ...]


def file_name(path: Path, root: Path) -> str:
    """Return a file's path inside the corpus as text that can be written; names on disk may be any bytes."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()


def count_frames(path: Path) -> int:
    """Return how many frames a file holds: 1, or n for an npy of shape (n, V, 3); 1 where it cannot be read."""
    if path.suffix.lower() != ".npy":
        return 1
    try:
        array = open_npy(path)
    except SchemaError:
        return 1
    return len(array) if array.ndim == 3 else 1


def read_frames(path: Path) -> tuple[NDArray[np.floating], NDArray[np.int32] | None]:
    """Read one file of a corpus.

    Returns
    -------
    frames : (n, V, 3) array
        In the file's unit; memory-mapped for an npy.
    faces : (F, 3) int32 array or None
        Its triangles, if it has any.

    Raises
    ------
    SchemaError
        If it cannot be read.
    """
    if path.suffix.lower() == ".npy":
        array = open_npy(path)
        return (array if array.ndim == 3 else array[None]), None
    mesh = read_mesh(path)
    return mesh.vertices[None], mesh.faces if len(mesh.faces) else None


def same_triangles(a: NDArray[np.integer], b: NDArray[np.integer]) -> bool:
    """Whether two meshes have the same triangles, in whatever order and from whatever corner they are listed."""
    if a.shape != b.shape:
        return False
    if np.array_equal(a, b):
        return True
    rows = [np.sort(faces, axis=1) for faces in (a, b)]
    first, second = (r[np.lexsort(r.T)] for r in rows)
    return bool(np.array_equal(first, second))


def convert_block(job: Job, block: Block) -> BlockResult:
    """Write a block's frames to their rows of the target, and have them on disk before returning.

    Raises
    ------
    OSError
        If the target cannot be written.
    """
    digest = hashlib.sha256()
    lost: list[tuple[int, str, str]] = []
    n_vertices = job.reference.n_vertices
    row = block.first_row
    fd = os.open(job.target, os.O_WRONLY)
    try:
        for path, count in zip(block.files, block.counts, strict=True):
            first = row
            for frames, reasons in _checked_frames(job, path, count):
                data = np.ascontiguousarray(frames, "<f4").tobytes()
                digest.update(data)
                _write_at(fd, data, job.offset + row * n_vertices * 12)
                lost += [(row + k, _named(job, path, row + k - first, count), reason) for k, reason in reasons]
                row += len(frames)
        os.fsync(fd)  # only then may the journal say that it is done
    finally:
        os.close(fd)
    return BlockResult(block.number, digest.hexdigest(), tuple(lost))


def _checked_frames(job: Job, path: Path, count: int) -> Iterator[tuple[NDArray[np.float32], list[tuple[int, str]]]]:
    """Yield some frames (n, V, 3) at a time, m, NaN where lost, with (frame among the yielded, reason) of those."""
    try:
        found, faces = read_frames(path)
        if len(found) != count:
            raise SchemaError(f"{path}: {len(found)} frames, {count} a moment ago; it is being written to")
        if faces is not None and job.faces is not None and not same_triangles(faces, job.faces):
            raise SchemaError(
                f"{path}: {len(faces)} triangles other than the {len(job.faces)} expected; this is another topology"
            )
        wrong = None if found.shape[1:] == (job.reference.n_vertices, 3) else found.shape[1:]
        if wrong:
            raise SchemaError(
                f"{path}: {wrong[0]} vertices, expected {job.reference.n_vertices}; this is another topology"
            )
    except SchemaError as err:
        reason = str(err).removeprefix(f"{path}: ")
        for start in range(0, count, _CHUNK):
            n = min(_CHUNK, count - start)
            yield np.full((n, job.reference.n_vertices, 3), np.nan, np.float32), [(k, reason) for k in range(n)]
        return
    for start in range(0, count, _CHUNK):
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told below
            frames = (np.asarray(found[start : start + _CHUNK], np.float64) * job.unit_m).astype(np.float32)
        reasons = []
        for k, frame in enumerate(frames):
            finite = np.isfinite(frame)
            if not finite.all():
                reason = f"{int((~finite.all(1)).sum())} of {len(frame)} vertices are not finite"
            else:
                reason = explain_difference(job.reference, frame) or ""
            if reason:
                frame[:] = np.nan
                reasons.append((k, reason))
        yield frames, reasons


def _named(job: Job, path: Path, k: int, count: int) -> str:
    name = file_name(path, job.root)
    return name if count == 1 else f"{name}[{k}]"


def open_npy(path: Path) -> NDArray[np.floating]:
    """Map an npy of heads into memory, read-only.

    Returns
    -------
    (V, 3) or (n, V, 3) array
        Of numbers, in the file's type and unit.

    Raises
    ------
    SchemaError
        If it cannot be read, is cut short, or holds something else.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except OSError as err:
        raise SchemaError(f"{path}: cannot be read: {os_reason(err)}") from err
    except _DAMAGE as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise SchemaError(f"{path}: not a .npy of numbers, or cut short: {reason}") from err
    if array.ndim not in (2, 3) or array.shape[-1] != 3 or array.dtype.kind not in "fiu" or not len(array):
        raise SchemaError(f"{path}: {array.dtype} {array.shape}, expected numbers (V, 3) or (n, V, 3)")
    return array


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
