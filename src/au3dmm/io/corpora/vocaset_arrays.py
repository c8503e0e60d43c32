"""Read VOCASET's training data: one array of all frames, an index of its rows, and a neutral head per subject."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.atomic import folder_lock, write_json
from au3dmm.io.corpora.base import Corpus, Frames, LostFile, Sequence
from au3dmm.io.corpora.blocks import open_npy, read_frames
from au3dmm.io.corpora.conversion import check_lost
from au3dmm.io.corpora.mesh_choice import check_size
from au3dmm.io.corpora.trees import Progress, cache_folder, check_neutral, without_subjects
from au3dmm.io.frames import natural_key
from au3dmm.io.hashing import quick_hash, sha256_json
from au3dmm.io.pickles import read_pickle

VERTICES, INDEX, TEMPLATES = "data_verts.npy", "subj_seq_to_idx.pkl", "templates.pkl"
LICENCE = "VOCASET: non-commercial research only, no redistribution (voca.is.tue.mpg.de); so is what is learnt from it"
PROVENANCE = "VOCASET (Cudeiro et al., CVPR 2019), registered in FLAME topology"
_SCAN = 256  # frames at once
_SAMPLE_MESHES = ("FLAME_sample.ply", "templates/FLAME_sample.ply")


class _Float32:
    """Frames of another type, converted as they are read."""

    def __init__(self, array: NDArray[np.floating]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        return np.asarray(self._array[rows], np.float32)


def read_arrays(folder: Path, *, cache: Path, max_lost: float, progress: Progress | None = None) -> Corpus:
    """Read the folder of the training data; the array stays on disk and is never written to.

    Parameters
    ----------
    folder : Path
        Holds ``data_verts.npy`` (N, V, 3), ``subj_seq_to_idx.pkl`` {subject: {sequence: {frame: row}}} and
        ``templates.pkl`` {subject: (V, 3)}, m.
    cache : Path
        Folder of converted corpora; keeps which frames are not finite, as to find out takes a whole pass.
    max_lost : float
        The share of frames that may be lost: not finite, or of a subject without a template.
    progress : callable, optional
        Called with frames looked at and frames in all.

    Raises
    ------
    SchemaError
        If a file is missing, damaged or does not fit the others, or too much is lost.
    OutputError
        If the cache cannot be written.
    """
    missing_files = [name for name in (VERTICES, INDEX, TEMPLATES) if not (folder / name).is_file()]
    if missing_files:
        raise SchemaError(f"{folder}: {', '.join(missing_files)} missing; expected VOCASET's training data, whole")
    array = _open_vertices(folder / VERTICES)
    takes = _read_index(folder / INDEX, len(array))
    templates = _read_templates(folder / TEMPLATES, array.shape[1])
    content = quick_hash(folder / VERTICES)
    bad = _not_finite(array, cache_folder(cache, folder), content, progress)
    sequences, lost = _without_bad(takes, bad)
    total = sum(len(rows) for rows in takes.values())
    missing = {s.subject_id: f"not in {TEMPLATES}" for s in sequences if s.subject_id not in templates}
    sequences, lost_subjects, n_lost = without_subjects(sequences, missing)
    n_lost += sum(len(rows) - len(set(rows) - bad) for rows in takes.values())
    check_lost(folder, (*lost_subjects, *lost), n_lost, total, max_lost)
    faces = _sample_faces(folder, array.shape[1])
    neutrals = {s.subject_id: templates[s.subject_id] for s in sequences}
    firsts = {s.subject_id: s.rows[0] for s in reversed(sequences)}
    for subject, row in firsts.items():
        frame = np.asarray(array[row], np.float64)
        check_size(folder / VERTICES, frame)
        check_neutral(f"{folder / TEMPLATES}: {subject}", neutrals[subject], frame, faces)
    frames: Frames = array if array.dtype == np.dtype("<f4") else _Float32(array)
    return Corpus(
        name="vocaset",
        frames=frames,
        faces=faces,
        sequences=sequences,
        neutrals=neutrals,
        licence=LICENCE,
        provenance=f"{PROVENANCE}; training data: {len(neutrals)} subjects, {len(sequences)} sequences",
        fingerprint=sha256_json([content, quick_hash(folder / INDEX), quick_hash(folder / TEMPLATES)]),
        lost=(*lost, *lost_subjects),
    )


def _open_vertices(path: Path) -> Any:
    array = open_npy(path)
    if array.ndim != 3 or array.dtype.kind != "f":
        raise SchemaError(f"{path}: {array.dtype} {array.shape}, expected floating point numbers (N, V, 3)")
    return array


def _read_index(path: Path, n_rows: int) -> dict[tuple[str, str], list[int]]:
    """Return the rows of each (subject, sequence) in order of time."""
    index = read_pickle(path)
    expected = "expected {subject: {sequence: {frame: row}}}"
    if not isinstance(index, Mapping) or not index:
        raise SchemaError(f"{path}: a {type(index).__name__} with nothing to read in it; {expected}")
    takes: dict[tuple[str, str], list[int]] = {}
    owner: dict[int, str] = {}
    for subject, sequences in index.items():
        if not isinstance(subject, str) or not isinstance(sequences, Mapping):
            raise SchemaError(f"{path}: {subject!r} holds a {type(sequences).__name__}; {expected}")
        for name, frames in sequences.items():
            where = f"{path}: {subject}/{name}"
            if not isinstance(name, str) or not isinstance(frames, Mapping):
                raise SchemaError(f"{where} holds a {type(frames).__name__}; {expected}")
            try:
                rows = [int(row) for _, row in sorted((int(frame), int(row)) for frame, row in frames.items())]
            except (TypeError, ValueError, OverflowError) as err:
                raise SchemaError(f"{where}: frames and rows that are not whole numbers: {err}; {expected}") from err
            for row in rows:
                if not 0 <= row < n_rows:
                    raise SchemaError(
                        f"{where} names row {row}, but {VERTICES} has {n_rows}; the two files are not of one download"
                    )
                if row in owner:
                    raise SchemaError(f"{where} names row {row}, which {owner[row]} names too; expected each row once")
                owner[row] = f"{subject}/{name}"
            takes[subject, name] = rows
    return dict(sorted(takes.items(), key=lambda item: (item[0][0], natural_key(item[0][1]), item[0][1])))


def _read_templates(path: Path, n_vertices: int) -> dict[str, NDArray[np.float64]]:
    templates = read_pickle(path)
    if not isinstance(templates, Mapping):
        raise SchemaError(f"{path}: a {type(templates).__name__}, expected {{subject: array (V, 3)}}")
    heads = {}
    for subject, template in templates.items():
        found = template if isinstance(template, np.ndarray) else None
        if not isinstance(subject, str) or found is None or found.dtype.kind not in "fiu":
            raise SchemaError(f"{path}: {subject!r} holds a {type(template).__name__}, expected an array (V, 3)")
        if found.shape != (n_vertices, 3):
            raise SchemaError(
                f"{path}: the template of {subject} has shape {found.shape}, but {VERTICES} has ({n_vertices}, 3)"
                " per frame; they are of different topologies"
            )
        heads[subject] = np.array(found, np.float64)
        if not np.isfinite(heads[subject]).all():
            raise SchemaError(f"{path}: the template of {subject} has vertices that are not finite")
    return heads


def _not_finite(array: Any, folder: Path, content: str, progress: Progress | None) -> set[int]:
    """Return the rows that hold NaN or infinity, from the cache if they were looked for before."""
    file = folder / "not_finite.json"
    try:
        known = json.loads(file.read_bytes())
        if known["content"] == content:
            return {int(row) for row in known["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not looked for yet
    bad: set[int] = set()
    for start in range(0, len(array), _SCAN):
        part = np.asarray(array[start : start + _SCAN])
        with np.errstate(over="ignore", invalid="ignore"):
            sums = part.reshape(len(part), -1).sum(1)  # not finite if one is not; faster than to ask each
        for k in np.flatnonzero(~np.isfinite(sums)):
            if not np.isfinite(part[k]).all():
                bad.add(start + int(k))
        if progress is not None:
            progress(min(start + _SCAN, len(array)), len(array))
    with folder_lock(folder):
        write_json(file, {"content": content, "rows": sorted(bad)})
    return bad


def _without_bad(
    takes: Mapping[tuple[str, str], list[int]], bad: set[int]
) -> tuple[tuple[Sequence, ...], tuple[LostFile, ...]]:
    sequences, lost = [], []
    for (subject, name), rows in takes.items():
        if not rows:
            lost.append(LostFile(f"{subject}/{name}", f"no frames in {INDEX}"))
        lost += [
            LostFile(f"{subject}/{name}[{k}]", f"row {row} of {VERTICES}: vertices that are not finite")
            for k, row in enumerate(rows)
            if row in bad
        ]
        kept = np.array([row for row in rows if row not in bad], np.int64)
        if len(kept):
            sequences.append(Sequence(subject, name, kept))
    return tuple(sequences), tuple(lost)


def _sample_faces(folder: Path, n_vertices: int) -> NDArray[np.int32] | None:
    """Return the triangles of VOCA's sample mesh, which many keep beside the training data, if it is there."""
    for name in _SAMPLE_MESHES:
        if (folder / name).is_file():
            frames, faces = read_frames(folder / name)
            if faces is not None and frames.shape[1] == n_vertices:
                return faces
    return None
