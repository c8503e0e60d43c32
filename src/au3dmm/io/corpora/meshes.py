"""Read any tree of registered PLY, OBJ or NPY files that `corpus.toml` describes (`manifest` shows an example)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.corpora.base import Corpus, Sequence
from au3dmm.io.corpora.conversion import MAX_LOST, Converted, check_lost, convert_meshes
from au3dmm.io.corpora.corpus_landmarks import read_corpus_landmarks
from au3dmm.io.corpora.manifest import CorpusManifest, pattern_regex, read_manifest, tagged
from au3dmm.io.corpora.mesh_choice import UNITS
from au3dmm.io.corpora.trees import (
    Progress,
    Take,
    arrays_hash,
    cache_folder,
    check_neutral,
    cut,
    first_frames,
    folders,
    mesh_files,
    read_neutral,
    without_subjects,
)
from au3dmm.io.frames import natural_key
from au3dmm.io.hashing import sha256_json

_ONE_TAKE = "frames"  # what the sequence is called where the pattern has no {sequence}


def read_meshes(
    path: Path,
    *,
    cache: Path,
    max_lost: float = MAX_LOST,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read the corpus that a manifest describes.

    Parameters
    ----------
    path : Path
        The folder with ``corpus.toml``, or the manifest itself.
    cache : Path
        Folder of converted corpora.
    max_lost : float
        The share of frames that may be lost.
    workers, progress
        As in `conversion.convert_meshes`.

    Raises
    ------
    ConfigError
        If the manifest is missing or wrong, or its pattern matches no file.
    SchemaError
        If files do not fit each other, or too much is lost: also frames of subjects without a neutral, where neutrals
        are promised.
    OutputError
        If the cache cannot be written.
    """
    manifest, file = read_manifest(path)
    root, unit_m = file.parent, UNITS[manifest.unit]
    takes = _find_takes(manifest, file)
    converted = convert_meshes(
        [f for take in takes for f in take.files],
        root,
        cache_folder(cache, root),
        unit_m=unit_m,
        max_lost=max_lost,
        workers=workers,
        progress=progress,
    )
    sequences = cut(takes, converted)
    neutrals, missing = _read_neutrals(manifest, root, unit_m, sequences, converted)
    sequences, lost, n_lost = without_subjects(sequences, missing)
    total = len(converted.frames)
    check_lost(root, (*lost, *converted.lost), n_lost + len(converted.lost), total, max_lost)
    embedding = None
    if manifest.landmarks is not None:
        embedding = read_corpus_landmarks(root / manifest.landmarks, converted.frames.shape[1], converted.faces)
    places: dict[str, NDArray[np.generic]] = (
        {} if embedding is None else {"face": embedding.face_index, "weights": embedding.barycentric}
    )
    return Corpus(
        name=manifest.name,
        frames=converted.frames,
        faces=converted.faces,
        sequences=sequences,
        neutrals=neutrals,
        neutral_rows=first_frames(sequences) if manifest.neutral is None else {},
        posed=manifest.posed,
        embedding=embedding,
        licence=manifest.licence,
        provenance=manifest.provenance or f"{manifest.name}: a corpus of meshes",
        kind=manifest.kind,
        fingerprint=sha256_json(
            {
                "frames": converted.fingerprint,
                "manifest": manifest.model_dump(mode="json"),
                "neutrals": arrays_hash(neutrals),
                "landmarks": arrays_hash(places),
            }
        ),
        lost=(*converted.lost, *lost),
    )


def _find_takes(manifest: CorpusManifest, file: Path) -> list[Take]:
    """Return the sequences that the pattern finds, in order of subject and name."""
    regex = pattern_regex(manifest.frames)
    neutral = None if manifest.neutral is None else pattern_regex(manifest.neutral)
    found: dict[tuple[str, str], dict[str, Path]] = {}
    n_files, example = 0, None
    depth = manifest.frames.count("/")
    for path in _files_at(file.parent, depth, (Path(manifest.frames).suffix.lower(),)):
        name = path.relative_to(file.parent).as_posix()
        n_files, example = n_files + 1, example or name
        match = regex.fullmatch(name)
        if match is None or (neutral is not None and neutral.fullmatch(name)):
            continue
        parts = match.groupdict()
        frames = found.setdefault((parts["subject"], parts.get("sequence", _ONE_TAKE)), {})
        frame = parts.get("frame", "")
        if frame in frames:
            raise ConfigError(
                f"{file}: {name} and {frames[frame].name} are the same frame to the pattern {manifest.frames!r};"
                " add {frame}, or {sequence}, where they differ"
            )
        frames[frame] = path
    if not found:
        there = f"{n_files} files such as {example}" if n_files else f"no {Path(manifest.frames).suffix} files so deep"
        raise ConfigError(f"{file}: the pattern {manifest.frames!r} matches no file; there are {there}")
    units = tagged(manifest, file, found)
    order = sorted(found, key=lambda take: (take[0], natural_key(take[1]), take[1]))
    return [Take(*take, _in_order(found[take]), units[take]) for take in order]


def _in_order(frames: dict[str, Path]) -> tuple[Path, ...]:
    return tuple(frames[name] for name in sorted(frames, key=lambda name: (natural_key(name), name)))


def _files_at(folder: Path, depth: int, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files exactly `depth` folders below, so that no loop of links is followed."""
    if depth == 0:
        return mesh_files(folder, suffixes)
    return [path for inner in folders(folder) for path in _files_at(inner, depth - 1, suffixes)]


def _read_neutrals(
    manifest: CorpusManifest, root: Path, unit_m: float, sequences: tuple[Sequence, ...], converted: Converted
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Return the neutral of each subject, and why some have none."""
    neutrals: dict[str, NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    if manifest.neutral is None:
        return neutrals, missing
    regex = pattern_regex(manifest.neutral)
    files: dict[str, Path] = {}
    for path in _files_at(root, manifest.neutral.count("/"), (Path(manifest.neutral).suffix.lower(),)):
        match = regex.fullmatch(path.relative_to(root).as_posix())
        if match is not None:
            if match["subject"] in files:
                raise SchemaError(f"{path}: a second neutral of {match['subject']}, beside {files[match['subject']]}")
            files[match["subject"]] = path
    for sequence in sequences:
        subject = sequence.subject_id
        if subject in neutrals or subject in missing:
            continue
        if subject not in files:
            missing[subject] = f"no neutral {manifest.neutral.replace('{subject}', subject)}"
            continue
        head, faces = read_neutral(files[subject], unit_m)
        frame = converted.frames[int(sequence.rows[0])]
        check_neutral(str(files[subject]), head, frame, converted.faces if faces is not None else None)
        neutrals[subject] = head
    return neutrals, missing
