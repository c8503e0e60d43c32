"""Read VOCASET: speech of twelve people, registered in FLAME topology, as its site hands it out.

Two layouts, recognised by content:

- the training data: ``data_verts.npy``, ``subj_seq_to_idx.pkl``, ``templates.pkl`` (`vocaset_arrays`);
- the meshes: ``unposedcleaneddata/<subject>/<sequence>/<sequence>.000001.ply`` and so on, or ``registereddata`` (with
  head motion), beside ``templates/<subject>.ply``.

478 sequences are all there are: two are missing from the site's index (VOCA issue 120).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SchemaError
from au3dmm.io.corpora.base import Corpus
from au3dmm.io.corpora.blocks import read_frames, same_triangles
from au3dmm.io.corpora.conversion import MAX_LOST, check_lost, convert_meshes
from au3dmm.io.corpora.trees import (
    Progress,
    Take,
    arrays_hash,
    cache_folder,
    check_neutral,
    cut,
    has_takes,
    mesh_files,
    read_neutral,
    takes_below,
    without_subjects,
)
from au3dmm.io.corpora.vocaset_arrays import LICENCE, PROVENANCE, VERTICES, read_arrays
from au3dmm.io.hashing import sha256_json

Layout = Literal["auto", "trainingdata", "unposedcleaneddata", "registereddata"]
_EXPECTED = (
    "expected VOCASET: a folder with data_verts.npy, subj_seq_to_idx.pkl and templates.pkl, or one with"
    " unposedcleaneddata/ or registereddata/ (<subject>/<sequence>/*.ply) and templates/ beside it"
)


def read_vocaset(
    path: Path,
    *,
    cache: Path,
    layout: Layout = "auto",
    max_lost: float = MAX_LOST,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read VOCASET, or a corpus in its layout.

    Parameters
    ----------
    path : Path
        The folder with the files, or the one above it. Of several layouts in it, the first of
        ``trainingdata unposedcleaneddata registereddata`` is taken.
    cache : Path
        Folder of converted corpora.
    layout : str
        Which to read, if not the first.
    max_lost : float
        The share of frames that may be lost.
    workers, progress
        As in `conversion.convert_meshes`.

    Returns
    -------
    Corpus
        Neutrals are the templates. Frames of ``registereddata`` are `posed`, all others are not.

    Raises
    ------
    SchemaError
        If there is no such layout, a file is damaged or does not fit the others, or too much is lost: also frames of
        subjects without a template.
    OutputError
        If the cache cannot be written.
    """
    for name in ("trainingdata", "unposedcleaneddata", "registereddata"):
        for folder in (path / name, path):
            if layout not in ("auto", name):
                continue
            if name == "trainingdata" and (folder / VERTICES).is_file():
                return read_arrays(folder, cache=cache, max_lost=max_lost, progress=progress)
            if name != "trainingdata" and _is_tree(folder, name):
                return _read_tree(
                    folder, cache, posed=name == "registereddata", max_lost=max_lost, workers=workers, progress=progress
                )
    if not path.is_dir():
        raise SchemaError(f"{path}: no such folder; {_EXPECTED}")
    found = f"no {layout} in it" if layout != "auto" else "nothing of VOCASET in it"
    raise SchemaError(f"{path}: {found}; {_EXPECTED}")


def _is_tree(folder: Path, name: str) -> bool:
    # a renamed folder counts as registereddata: to register frames that need it not does no harm
    named = folder.resolve().name
    other = named in ("unposedcleaneddata", "registereddata") and named != name
    unknown = named != name and name == "unposedcleaneddata"
    return not other and not unknown and has_takes(folder)


def _read_tree(
    root: Path, cache: Path, *, posed: bool, max_lost: float, workers: int | None, progress: Progress | None
) -> Corpus:
    takes = takes_below(root)
    templates = _template_files(root)
    heads, faces = _read_templates(templates)
    _compare_topologies(takes, heads, templates)
    files = [file for take in takes for file in take.files]
    converted = convert_meshes(
        files,
        root,
        cache_folder(cache, root),
        faces=faces,
        max_lost=max_lost,
        workers=workers,
        progress=progress,
    )
    sequences = cut(takes, converted)
    where = next(iter(templates.values())).parent.name
    missing = {s.subject_id: f"no {where}/{s.subject_id}.ply" for s in sequences if s.subject_id not in heads}
    sequences, lost, n_lost = without_subjects(sequences, missing)
    total = len(converted.frames)
    check_lost(root, (*lost, *converted.lost), n_lost + len(converted.lost), total, max_lost)
    neutrals = {}
    for sequence in sequences:
        if sequence.subject_id not in neutrals:
            head = heads[sequence.subject_id]
            frame = converted.frames[int(sequence.rows[0])]
            check_neutral(str(templates[sequence.subject_id]), head, frame, converted.faces)
            neutrals[sequence.subject_id] = head
    return Corpus(
        name="vocaset",
        frames=converted.frames,
        faces=converted.faces,
        sequences=sequences,
        neutrals=neutrals,
        posed=posed,
        licence=LICENCE,
        provenance=f"{PROVENANCE}; {root.name}: {len(neutrals)} subjects, {len(sequences)} sequences",
        fingerprint=sha256_json(
            {
                "frames": converted.fingerprint,
                "neutrals": arrays_hash(neutrals),
                "posed": posed,
            }
        ),
        lost=(*converted.lost, *lost),
    )


def _compare_topologies(takes: list[Take], heads: dict[str, NDArray[np.float64]], templates: dict[str, Path]) -> None:
    # before the conversion, which is long; single odd files are its business
    found = []
    for take in {take.subject_id: take for take in reversed(takes)}.values():
        try:
            found.append((take.files[0], read_frames(take.files[0])[0].shape[1]))
        except SchemaError:
            continue
    sizes = {len(head) for head in heads.values()}
    if found and not sizes & {n for _, n in found}:
        raise SchemaError(
            f"{found[0][0]}: {found[0][1]} vertices, but the templates in {next(iter(templates.values())).parent} have"
            f" {' or '.join(map(str, sorted(sizes)))}; expected the same topology"
        )


def _template_files(root: Path) -> dict[str, Path]:
    for folder in (root.parent / "templates", root / "templates", root.resolve().parent / "templates"):
        if folder.is_dir():
            files = {path.stem: path for path in mesh_files(folder)}
            if files:
                return files
    raise SchemaError(
        f"{root.parent / 'templates'}: no templates; expected <subject>.ply there, the neutral heads of VOCASET"
    )


def _read_templates(files: dict[str, Path]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int32] | None]:
    """Return all heads, and the triangles they share."""
    heads: dict[str, NDArray[np.float64]] = {}
    first: tuple[Path, NDArray[np.int32]] | None = None
    for subject, path in files.items():
        heads[subject], faces = read_neutral(path)
        if faces is None:
            continue
        if first is None:
            first = path, faces
        elif not same_triangles(faces, first[1]):
            raise SchemaError(f"{path}: {len(faces)} triangles other than the {len(first[1])} of {first[0].name}")
    return heads, None if first is None else first[1]
