"""What the readers of mesh trees have in common: find files, convert them, cut the array into sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.vertex_order import explain_difference, mesh_reference
from au3dmm.errors import SchemaError, os_reason
from au3dmm.io.corpora.base import LostFile, Sequence
from au3dmm.io.corpora.blocks import read_frames
from au3dmm.io.corpora.conversion import Converted
from au3dmm.io.frames import natural_key

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Take:
    """The files of one sequence, in order of time.

    Attributes
    ----------
    subject_id, name : str
        As in `Sequence`.
    files : tuple of Path
        Meshes, or one npy.
    action_units : tuple of str
        As in `Sequence`.
    """

    subject_id: str
    name: str
    files: tuple[Path, ...]
    action_units: tuple[str, ...] = ()


def cache_folder(cache: Path, root: Path) -> Path:
    """Return the folder of the cache for one tree: its name and a hash of where it lies.

    Examples
    --------
    >>> cache_folder(Path("cache"), Path("/data/d3dfacs")).name.rpartition("-")[0]
    'd3dfacs'
    """
    place = str(root.resolve()).encode("utf-8", "surrogateescape")
    return cache / f"{root.resolve().name or 'root'}-{hashlib.sha256(place).hexdigest()[:12]}"


def folders(parent: Path) -> list[Path]:
    """Return the folders in `parent` in natural order, without hidden ones.

    Raises
    ------
    SchemaError
        If it cannot be read.
    """
    return [path for path in _entries(parent) if path.is_dir() and path.name != "__MACOSX"]


def mesh_files(parent: Path, suffixes: tuple[str, ...] = (".ply",)) -> list[Path]:
    """Return the files in `parent` with one of the endings, in natural order, without hidden ones.

    Raises
    ------
    SchemaError
        If it cannot be read.
    """
    return [path for path in _entries(parent) if path.suffix.lower() in suffixes and not path.is_dir()]


def takes_below(root: Path) -> list[Take]:
    """Return the sequences of a tree ``<subject>/<sequence>/*.ply``, in order of subject and name.

    Raises
    ------
    SchemaError
        If a folder cannot be read.
    """
    return list(_takes(root))


def has_takes(root: Path) -> bool:
    """Whether there is a tree ``<subject>/<sequence>/*.ply`` in a folder."""
    return root.is_dir() and next(_takes(root), None) is not None


def _takes(root: Path) -> Iterator[Take]:
    for subject in sorted(folders(root), key=lambda path: path.name):
        for sequence in folders(subject):
            files = mesh_files(sequence)
            if files:
                yield Take(subject.name, sequence.name, tuple(files))


def cut(takes: Iterable[Take], converted: Converted) -> tuple[Sequence, ...]:
    """Return the sequences with the rows of the frames that are there; those without any are left out.

    Parameters
    ----------
    takes : iterable of Take
        Their files in the order in which they were converted.
    converted : Converted
        What became of them.
    """
    sequences, at = [], 0
    for take in takes:
        first, last = converted.first_rows[at], converted.first_rows[at + len(take.files)]
        rows = np.arange(first, last, dtype=np.int64)
        rows = rows[converted.rows_ok[first:last]]
        at += len(take.files)
        if len(rows):
            sequences.append(Sequence(take.subject_id, take.name, rows, take.action_units))
    return tuple(sequences)


def first_frames(sequences: Iterable[Sequence]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each subject's first frames, one per sequence."""
    rows: dict[str, list[int]] = {}
    for sequence in sequences:
        rows.setdefault(sequence.subject_id, []).append(int(sequence.rows[0]))
    return {subject: np.array(first, np.int64) for subject, first in rows.items()}


def without_subjects(
    sequences: ListOf[Sequence], missing: Mapping[str, str]
) -> tuple[tuple[Sequence, ...], tuple[LostFile, ...], int]:
    """Leave out the subjects of `missing`.

    Parameters
    ----------
    sequences : sequence of Sequence
        All.
    missing : mapping of str to str
        Subjects and why they cannot be used.

    Returns
    -------
    sequences : tuple of Sequence
        Of the others.
    lost : tuple of LostFile
        One entry per subject that was left out.
    n_frames : int
        How many frames these have.
    """
    kept = tuple(s for s in sequences if s.subject_id not in missing)
    frames = {name: sum(len(s.rows) for s in sequences if s.subject_id == name) for name in missing}
    lost = tuple(LostFile(name, f"{missing[name]}; its {n} frames are left out") for name, n in frames.items() if n)
    return kept, lost, sum(frames.values())


def read_neutral(path: Path, unit_m: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int32] | None]:
    """Read a subject's neutral head.

    Returns
    -------
    vertices : (V, 3) float64 array
        m.
    faces : (F, 3) int32 array or None
        Its triangles, if it has any.

    Raises
    ------
    SchemaError
        If it cannot be read, holds several frames, or vertices that are not finite.
    """
    frames, faces = read_frames(path)
    if len(frames) != 1:
        raise SchemaError(f"{path}: {len(frames)} frames, expected one neutral head")
    head = np.asarray(frames[0], np.float64) * unit_m
    if not np.isfinite(head).all():
        raise SchemaError(f"{path}: {int((~np.isfinite(head).all(1)).sum())} of {len(head)} vertices are not finite")
    return head, faces


def arrays_hash(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return sha256 of named arrays, for a corpus' fingerprint."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype.str}{arrays[name].shape};".encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def check_neutral(
    where: str, neutral: NDArray[np.float64], frame: NDArray[np.floating], faces: NDArray[np.int32] | None
) -> None:
    """Refuse a neutral that cannot be the head in `frame` without its expression.

    Parameters
    ----------
    where : str
        For the message.
    neutral : (V, 3) array
        m.
    frame : (V, 3) array
        A frame of the same subject, m.
    faces : (F, 3) int array or None
        Its triangles.

    Raises
    ------
    SchemaError
        If it has other vertices, in another order, or in another unit.
    """
    if len(neutral) != len(frame):
        raise SchemaError(f"{where}: {len(neutral)} vertices, but the frames have {len(frame)}; expected one topology")
    reason = explain_difference(mesh_reference(frame, faces), neutral)
    if reason is not None:
        raise SchemaError(f"{where} does not fit the subject's frames: {reason}")


def _entries(parent: Path) -> list[Path]:
    try:
        found = [path for path in parent.iterdir() if not path.name.startswith(".")]
    except OSError as err:
        raise SchemaError(f"{parent}: cannot be read: {os_reason(err)}") from err
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))
