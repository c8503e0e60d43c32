"""Read D3DFACS in FLAME topology: ten actors show action units, ``<subject>/<action units>/<...>_<frame>.ply``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from au3dmm.errors import SchemaError
from au3dmm.io.corpora.action_units import parse_action_units
from au3dmm.io.corpora.base import Corpus
from au3dmm.io.corpora.conversion import MAX_LOST, convert_meshes
from au3dmm.io.corpora.trees import Progress, cache_folder, cut, first_frames, has_takes, takes_below
from au3dmm.io.hashing import sha256_json

_FOLDER = "d3dfacs_alignments"
_LICENCE = "D3DFACS: non-commercial research only, no redistribution; so is what is learnt from it"
_PROVENANCE = "D3DFACS (Cosker et al., ICCV 2011), registered in FLAME topology (Li et al., SIGGRAPH Asia 2017)"


def read_d3dfacs(
    path: Path,
    *,
    cache: Path,
    max_lost: float = MAX_LOST,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read D3DFACS, or a corpus in its layout.

    There is no file of a neutral face: each sequence starts from one, so the first frames of a subject's sequences are
    its `neutral_rows`. Frames hold small rigid motion. Numbers in file names need not begin at 1 and have no fixed
    width; frames are taken in the order of the numbers.

    Parameters
    ----------
    path : Path
        The folder of the subjects (``d3dfacs_alignments``), or the one above it.
    cache : Path
        Folder of converted corpora.
    max_lost : float
        The share of frames that may be lost.
    workers, progress
        As in `conversion.convert_meshes`.

    Returns
    -------
    Corpus
        With the action units that the folders' names speak of (`action_units.parse_action_units`).

    Raises
    ------
    SchemaError
        If there is no such tree, or too many files cannot be used.
    OutputError
        If the cache cannot be written.
    """
    root = path / _FOLDER if (path / _FOLDER).is_dir() else path
    if not has_takes(root):
        found = "no meshes in the folders of its folders" if root.is_dir() else "no such folder"
        raise SchemaError(
            f"{root}: {found}; expected D3DFACS in FLAME topology: <subject>/<action units>/*.ply,"
            " like Joe/1+2/1+2_175.ply"
        )
    takes = [replace(take, action_units=parse_action_units(take.name)) for take in takes_below(root)]
    files = [file for take in takes for file in take.files]
    converted = convert_meshes(
        files, root, cache_folder(cache, root), max_lost=max_lost, workers=workers, progress=progress
    )
    sequences = cut(takes, converted)
    neutral_rows = first_frames(sequences)
    return Corpus(
        name="d3dfacs",
        frames=converted.frames,
        faces=converted.faces,
        sequences=sequences,
        neutrals={},
        neutral_rows=neutral_rows,
        posed=True,
        licence=_LICENCE,
        provenance=f"{_PROVENANCE}; {len(neutral_rows)} subjects, {len(sequences)} sequences",
        fingerprint=sha256_json({"frames": converted.fingerprint, "reader": "d3dfacs"}),
        lost=converted.lost,
    )
