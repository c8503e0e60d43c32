"""The folder in which a conversion grows, is taken up again after an interruption, and is kept.

``frames.npy`` (N, V, 3) float32, m; ``faces.npy`` if there are triangles; and ``index.json``, written last, which says
of what tree. Until then the array lies under a temporary name beside a journal of the blocks that are safely on disk.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import OutputError
from au3dmm.io.atomic import temporary_name, write_bytes, write_json
from au3dmm.io.corpora.base import LostFile
from au3dmm.io.corpora.blocks import BlockResult
from au3dmm.io.hashing import sha256_json

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Converted:
    """A tree of mesh files as one array.

    Attributes
    ----------
    frames : (N, V, 3) float32 array
        Memory-mapped, read-only, m; rows of frames that were lost hold NaN.
    rows_ok : (N,) bool array
        False where the frame was lost.
    first_rows : (n_files + 1,) int64 array
        File i is in rows ``first_rows[i]:first_rows[i + 1]``.
    faces : (F, 3) int32 array or None
        Triangles, if the files have any.
    lost : tuple of LostFile
        What could not be used, and why; a frame of a longer npy as ``name.npy[17]``.
    fingerprint : str
        Of the files' names and of the frames.
    """

    frames: NDArray[np.float32]
    rows_ok: NDArray[np.bool_]
    first_rows: NDArray[np.int64]
    faces: NDArray[np.int32] | None
    lost: tuple[LostFile, ...]
    fingerprint: str


class ConversionCache:
    """One folder of the cache, for one tree; to be written to only under `io.atomic.folder_lock`.

    Parameters
    ----------
    folder : Path
        Holds nothing else.
    key : str
        Says of what tree, read how; another key makes what lies there worthless.
    frames_per_block : int
        What the numbers of blocks in a journal mean.
    """

    def __init__(self, folder: Path, key: str, frames_per_block: int) -> None:
        self.folder, self.key = folder, key
        self._head = {"key": key, "frames_per_block": frames_per_block}
        self.data = temporary_name(folder / "frames.npy")
        self._frames, self._faces, self._index = (folder / n for n in ("frames.npy", "faces.npy", "index.json"))
        self._journal = temporary_name(folder / "journal.jsonl")

    def read(self) -> Converted | None:
        """Return what lies in the folder if it is whole and of this tree, else None."""
        try:
            index = json.loads(self._index.read_bytes())
            if index["key"] != self.key:
                return None
            frames = np.lib.format.open_memmap(self._frames, mode="r")
            faces = np.load(self._faces, allow_pickle=False) if index["has_faces"] else None
            lost = [(int(row), LostFile(path, reason)) for row, path, reason in index["lost"]]
            first_rows = np.concatenate([[0], np.cumsum(index["counts"])]).astype(np.int64)
            if list(frames.shape) != index["shape"] or frames.dtype != np.dtype("<f4"):
                return None
            fingerprint = str(index["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError, EOFError):  # not there, or damaged: it is made anew
            return None
        rows_ok = np.ones(len(frames), bool)
        rows_ok[[row for row, _ in lost]] = False
        return Converted(frames, rows_ok, first_rows, faces, tuple(file for _, file in lost), fingerprint)

    def resume(self) -> dict[int, BlockResult]:
        """Return the blocks that an interrupted run of the same tree finished; clear away what is of no use."""
        lines = self._journal.read_bytes().split(b"\n") if self._journal.exists() else []
        same = bool(lines) and _json_or_none(lines[0]) == self._head
        if same and not self.data.exists() and self._frames.exists() and not self._index.exists():
            os.replace(self._frames, self.data)  # killed between the last two steps of all
        self._index.unlink(missing_ok=True)  # first, so that it never stands beside another tree's frames
        self._frames.unlink(missing_ok=True)
        if not same or not self.data.exists():
            self._journal.unlink(missing_ok=True)
            self.data.unlink(missing_ok=True)
            return {}
        done: dict[int, BlockResult] = {}
        size = 0
        for line in lines:
            entry = _json_or_none(line)
            if entry is None:
                break  # the line that was being written
            size += len(line) + 1
            if isinstance(entry, list):
                number, digest, lost = entry
                done[number] = BlockResult(number, digest, tuple((row, path, reason) for row, path, reason in lost))
        if size <= self._journal.stat().st_size:
            os.truncate(self._journal, size)  # what is appended next must begin a line
        else:
            self._append(b"\n")
        return done

    def allocate(self, shape: tuple[int, int, int]) -> int:
        """Reserve the array's space on disk, unless it is there; return where its data begin, bytes.

        Raises
        ------
        OutputError
            If there is too little space; says how much is needed.
        OSError
            If the folder cannot be written.
        """
        size = 4 * int(np.prod(shape))
        there = self.data.stat().st_blocks * 512 if self.data.exists() else 0
        free = shutil.disk_usage(self.folder).free
        if free + there < size:
            raise OutputError(
                f"{self.folder}: {size / 1e9:.3g} GB needed for {shape[0]} frames, {free / 1e9:.3g} GB free;"
                " make room or choose another folder for the cache"
            )
        if not self.data.exists():
            np.lib.format.open_memmap(self.data, mode="w+", dtype="<f4", shape=shape).flush()
            if hasattr(os, "posix_fallocate"):
                with self.data.open("rb+") as f:
                    try:
                        os.posix_fallocate(f.fileno(), 0, self.data.stat().st_size)
                    except OSError as err:
                        # not every file system can; then writing finds out whether there is room
                        if err.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                            raise
        if not self._journal.exists():
            self._append(_line(self._head))
        return self.data.stat().st_size - size

    def note(self, result: BlockResult) -> None:
        """Write down that a block is on disk."""
        self._append(_line([result.number, result.sha256, result.lost]))

    def finish(
        self,
        names: list[str],
        counts: list[int],
        shape: tuple[int, int, int],
        faces: NDArray[np.int32] | None,
        done: Mapping[int, BlockResult],
    ) -> None:
        """Give the array its name, and write the index."""
        digest = hashlib.sha256(sha256_json({"names": names, "counts": counts}).encode())
        for number in sorted(done):
            digest.update(bytes.fromhex(done[number].sha256))
        if faces is not None:
            digest.update(np.ascontiguousarray(faces, "<i4").tobytes())
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(faces, "<i4"), allow_pickle=False)
            write_bytes(self._faces, buffer.getvalue())
        else:
            self._faces.unlink(missing_ok=True)
        os.replace(self.data, self._frames)
        index = {
            "format": FORMAT_VERSION,
            "key": self.key,
            "shape": list(shape),
            "counts": counts,
            "has_faces": faces is not None,
            "lost": [list(entry) for number in sorted(done) for entry in done[number].lost],
            "fingerprint": "frames:" + digest.hexdigest(),
        }
        write_json(self._index, index)
        self._journal.unlink(missing_ok=True)

    def _append(self, text: bytes) -> None:
        with self._journal.open("ab") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())


def _line(entry: Any) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _json_or_none(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
