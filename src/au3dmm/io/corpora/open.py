"""Open a corpus by a word and a path, like ``vocaset:DIR``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.corpora.base import Corpus, CorpusKind

_EXPECTED = "expected vocaset:DIR, d3dfacs:DIR, ict:FILE, meshes:DIR, or synthetic"
Progress = Callable[[int, int], None]


def open_corpus(
    spec: str, *, cache: Path, max_lost: float, workers: int | None = None, progress: Progress | None = None
) -> Corpus:
    """Open a corpus.

    Parameters
    ----------
    spec : str
        ``vocaset:DIR``, ``d3dfacs:DIR``, ``ict:FILE`` (or its folder of OBJ files), ``meshes:DIR``, ``synthetic`` or
        ``synthetic:SEED``.
    cache : Path
        Folder where trees of meshes are converted to one array each, once.
    max_lost : float
        Share of a tree's files that may be unreadable.
    workers : int, optional
        Processes of a conversion; default: one per core.
    progress : callable, optional
        Told (files done, files in all).

    Raises
    ------
    ConfigError
        If the word is none of these.
    SchemaError
        If the files are missing, or not what the layout says.
    """
    kind, colon, rest = spec.partition(":")
    if kind not in get_args(CorpusKind):
        hint = _guess(Path(spec))
        raise ConfigError(f"corpus {spec!r}: {_EXPECTED}" + (f"; did you mean {hint}:{spec}?" if hint else ""))
    if kind == "synthetic":
        from au3dmm.io.corpora.synthetic import read_synthetic

        if rest and not rest.isdecimal():
            raise ConfigError(f"corpus {spec!r}: {rest!r} is no seed; expected synthetic or synthetic:SEED")
        return read_synthetic(int(rest or 0))
    if not (colon and rest):
        raise ConfigError(f"corpus {spec!r}: no path in it; {_EXPECTED}")
    path = Path(rest).expanduser()
    if not path.exists():
        raise SchemaError(f"corpus {kind}: {path}: no such file or folder")
    if kind == "ict":
        from au3dmm.io.corpora.ict import read_ict

        return read_ict(path, progress=progress)
    if kind == "vocaset":
        from au3dmm.io.corpora.vocaset import read_vocaset

        return read_vocaset(path, cache=cache, max_lost=max_lost, workers=workers, progress=progress)
    if kind == "d3dfacs":
        from au3dmm.io.corpora.d3dfacs import read_d3dfacs

        return read_d3dfacs(path, cache=cache, max_lost=max_lost, workers=workers, progress=progress)
    from au3dmm.io.corpora.meshes import read_meshes

    return read_meshes(path, cache=cache, max_lost=max_lost, workers=workers, progress=progress)


def _guess(path: Path) -> str | None:
    """Return the layout of a path that was given without a word, if its files tell."""
    try:
        if path.suffix == ".npz" and path.is_file():
            return "ict"
        if (path / "corpus.toml").is_file():
            return "meshes"
        if (path / "data_verts.npy").is_file() or any(path.glob("FaceTalk_*")) or any(path.glob("*/FaceTalk_*")):
            return "vocaset"
    except OSError:
        return None
    return None
