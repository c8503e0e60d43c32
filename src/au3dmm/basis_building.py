"""From corpora to basis files with their pictures: opens, skips what is up to date, runs the stage, draws."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.config import BasesParams
from au3dmm.core.basis import Bases, landmark_hash, topology_hash
from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.errors import AssetError, ConfigError, SchemaError
from au3dmm.io.atomic import file_lock
from au3dmm.io.bases import read_bases
from au3dmm.io.corpora.base import Corpus
from au3dmm.io.corpora.open import open_corpus
from au3dmm.io.hashing import fingerprint, sha256_json
from au3dmm.io.head_files import FLAME_VERTICES
from au3dmm.io.heads import Head, find_head, read_head
from au3dmm.stages import bases as stage
from au3dmm.stages.bases_checks import same_topology

log = logging.getLogger(__name__)
Event = Callable[[Mapping[str, Any]], None]
_WORKERS_MOST = 8


@dataclass(frozen=True)
class BasesResult:
    """What `build_bases` made.

    Attributes
    ----------
    bases : dict of int to Path
        The basis file of each number of AU components.
    pictures : tuple of Path
        Sheets and pages beside them.
    state : str
        ``ran`` or ``up to date``.
    summary : dict
        ``subjects, sequences, frames, lost_files, k_id, rms_offset_mm, truncation_rms_mm, licence, kind, warnings``,
        and ``models``: by number of AU components ``file, rms_mm, variance_explained, sparsity, objective``.
    lost : tuple of str
        Files of the corpora that were skipped, and why.
    seconds : float
        Wall-clock time.
    """

    bases: dict[int, Path]
    pictures: tuple[Path, ...]
    state: str
    summary: dict[str, Any]
    lost: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, with the keys that ``fit-bases --json`` prints."""
        return {
            "bases": {str(k): str(path) for k, path in self.bases.items()},
            "pictures": [str(path) for path in self.pictures],
            "state": self.state,
            **self.summary,
            "models": {str(k): model for k, model in self.summary["models"].items()},
            "lost": list(self.lost),
            "seconds": round(self.seconds, 3),
        }


def build_bases(
    corpora: Sequence[str],
    out: Path,
    params: BasesParams,
    *,
    head: str | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    pictures: bool = True,
    force: bool = False,
    on_event: Event | None = None,
) -> BasesResult:
    """Learn the two morphable models from corpora, and write basis files with their pictures.

    Parameters
    ----------
    corpora : sequence of str
        See `au3dmm.io.corpora.open.open_corpus`; several must be of one topology.
    out : Path
        The basis file; with several numbers of AU components, ``out.k16.npz`` and so on.
    params : BasesParams
        What changes results.
    head : str, optional
        Name of the imported head that has the landmarks; default: the one that fits the corpora.
    cache : Path, optional
        Where trees of meshes are converted, once; default ``au3dmm.corpora`` beside `out`.
    workers : int, optional
        Threads, and processes of a conversion; default: one per core, at most 8.
    pictures : bool
        Also write sheets of the components and a page.
    force : bool
        Learn again what is up to date, and replace a file that is no basis or holds one of other corpora.
    on_event : callable, optional
        Told of progress, like that of `au3dmm.pipeline`.

    Raises
    ------
    Au3dmmError
        What went wrong, in one line.
    """
    if not corpora:
        raise ConfigError("fit-bases: no corpus; give one with --corpus, for example --corpus synthetic")
    if out.suffix != ".npz":
        raise ConfigError(f"{out}: a basis file ends in .npz")
    if out.is_dir():
        raise ConfigError(f"{out}: a folder; give a file that ends in .npz")
    with file_lock(out):  # before hours are spent: a folder that cannot be written is told now
        return _build(corpora, out, params, head, cache, workers, pictures, force, on_event or (lambda event: None))


def _build(
    corpora: Sequence[str],
    out: Path,
    params: BasesParams,
    head: str | None,
    cache: Path | None,
    workers: int | None,
    pictures: bool,
    force: bool,
    say: Event,
) -> BasesResult:
    began = time.monotonic()
    threads = workers or min(_WORKERS_MOST, os.cpu_count() or 1)
    folder = cache or out.with_name("au3dmm.corpora")
    opened = _told_apart([_open(spec, folder, params, workers, say) for spec in corpora])
    outputs = {k: out if len(params.k_au) == 1 else out.with_name(f"{out.stem}.k{k}.npz") for k in params.k_au}
    faces, embedding, found = _mesh(opened, head)
    print_ = fingerprint(
        "bases",
        stage.VERSION,
        params.model_dump(mode="json"),
        {
            "corpora": sha256_json([c.fingerprint for c in opened]),
            "topology": topology_hash(int(opened[0].frames.shape[1]), faces),
            "landmarks": landmark_hash(embedding),
            "reference": "" if found is None else sha256_json(found.vertices.tolist()),
        },
    )
    made = {} if force else _current(outputs, print_)
    if not made and not force:
        _check_replaced(outputs, opened)
    state = "up to date" if made else "ran"
    if made:
        say({"event": "start", "stage": "bases"})
        say({"event": "done", "stage": "bases", "state": state, "summary": {}, "seconds": 0.0})
    else:
        for path in outputs.values():
            for sheet in _sheets(path):
                sheet.unlink(missing_ok=True)  # it shows another basis
        with _steps(say) as step:
            made = stage.run(
                corpora=opened,
                faces=faces,
                embedding=embedding,
                reference=None if found is None else found.vertices,
                is_flame_topology=found is not None and found.is_flame_topology,
                outputs=outputs,
                params=params,
                fingerprint=print_,
                workers=threads,
                progress=step,
            )
    drawn = _draw(outputs, made, say) if pictures else ()
    return BasesResult(
        bases=outputs,
        pictures=drawn,
        state=state,
        summary=_summary(made, outputs, opened),
        lost=tuple(f"{c.name}: {file.path}: {file.reason}" for c in opened for file in c.lost),
        seconds=time.monotonic() - began,
    )


def _open(spec: str, cache: Path, params: BasesParams, workers: int | None, say: Event) -> Corpus:
    name = spec.partition(":")[0]
    with _steps(say) as step:
        corpus = open_corpus(
            spec,
            cache=cache,
            max_lost=params.max_lost,
            workers=workers,
            progress=lambda done, total: step(f"read {name}", done, total),
        )
    for file in corpus.lost[:5]:
        log.warning("corpus %s: %s was skipped: %s", corpus.name, file.path, file.reason)
    if len(corpus.lost) > 5:
        log.warning("corpus %s: %d more files were skipped", corpus.name, len(corpus.lost) - 5)
    return corpus


def _told_apart(corpora: list[Corpus]) -> list[Corpus]:
    """Give corpora of one name names of their own.

    Raises
    ------
    ConfigError
        If one is given twice.
    """
    names: dict[str, int] = {}
    prints: dict[str, str] = {}
    found = []
    for corpus in corpora:
        if corpus.fingerprint in prints:
            raise ConfigError(f"corpus {corpus.name} is given twice, with the same content; give it once")
        prints[corpus.fingerprint] = corpus.name
        names[corpus.name] = number = names.get(corpus.name, 0) + 1
        found.append(corpus if number == 1 else dataclasses.replace(corpus, name=f"{corpus.name}-{number}"))
    return found


def _check_replaced(outputs: Mapping[int, Path], corpora: Sequence[Corpus]) -> None:
    """Refuse to replace what is no basis, or a basis of other corpora: it may be what somebody lives on.

    Raises
    ------
    ConfigError
        If there is such a file.
    """
    for path in outputs.values():
        try:
            with path.open("rb") as f:
                ours = f.read(2) in (b"PK", b"")
        except OSError:
            continue  # not there, or told when it is written
        if not ours:
            raise ConfigError(f"{path}: no basis file; --force replaces it, or choose another --out")
        try:
            info = read_bases(path).info
        except SchemaError:
            continue  # a basis cut short
        learnt = info.get("corpora")
        names = [str(c.get("name")) for c in learnt if isinstance(c, dict)] if isinstance(learnt, list) else []
        if names != [corpus.name for corpus in corpora]:
            of = f"learnt from {', '.join(names)}" if names else "that was not learnt here"
            raise ConfigError(f"{path}: holds a basis {of}; --force replaces it, or choose another --out")


def _sheets(path: Path) -> tuple[Path, Path, Path]:
    return path.with_suffix(".components.png"), path.with_suffix(".identity.png"), path.with_suffix(".html")


def _mesh(corpora: Sequence[Corpus], name: str | None) -> tuple[NDArray[np.int32], LandmarkEmbedding, Head | None]:
    """Return triangles and landmarks of the corpora's topology, and the head that they came from, if one was needed."""
    v, faces = same_topology(corpora)
    known = next((c.embedding for c in corpora if c.embedding is not None), None)
    if name is None and faces is not None and known is not None:
        return faces, known, None
    wanted = topology_hash(v, faces) if faces is not None else None
    head = read_head(name) if name is not None else find_head(topology_hash=wanted, n_vertices=v)
    if head is None:
        missing = "triangles and landmarks" if faces is None else "landmarks"
        own = "" if faces is None else "name a file of them in corpus.toml (landmarks = ...), or "
        kind = "--flame" if v == FLAME_VERTICES else "--mesh"
        raise AssetError(
            f"corpus {corpora[0].name}: {missing} of its {v} vertices are not known; {own}import a head of this"
            f" topology with `au3dmm assets import {kind} FILE --landmarks FILE`"
        )
    if len(head.vertices) != v or (wanted is not None and head.topology_hash() != wanted):
        raise SchemaError(
            f"head {head.name} ({len(head.vertices)} vertices, {len(head.faces)} triangles) is of another topology than"
            f" corpus {corpora[0].name} ({v} vertices); give the head of the corpus, or leave --head out"
        )
    return head.faces, head.embedding, head


def _current(outputs: Mapping[int, Path], print_: str) -> dict[int, Bases]:
    """Return the bases on disk if all of them are whole and what would be made now."""
    found = {}
    for k, path in outputs.items():
        try:
            bases = read_bases(path)
        except SchemaError:
            return {}
        if bases.info.get("fingerprint") != print_ or bases.k_au != k:
            return {}
        found[k] = bases
    return found


def _summary(made: Mapping[int, Bases], outputs: Mapping[int, Path], corpora: Sequence[Corpus]) -> dict[str, Any]:
    info = next(iter(made.values())).info
    return {
        "subjects": sum(c["subjects"] for c in info["corpora"]),
        "sequences": sum(c["sequences"] for c in info["corpora"]),
        "frames": sum(c["frames"] for c in info["corpora"]),
        "lost_files": sum(len(c.lost) for c in corpora),
        **{name: info[name] for name in ("k_id", "rms_offset_mm", "truncation_rms_mm", "licence", "warnings")},
        "kind": info["basis_kind"],
        "models": {
            k: {
                "file": str(outputs[k]),
                "rms_mm": bases.info["residual_rms_mm"],
                "variance_explained": bases.info["variance_explained_au"],
                **{name: bases.info[name] for name in ("sparsity", "objective")},
            }
            for k, bases in made.items()
        },
    }


def _draw(outputs: Mapping[int, Path], made: Mapping[int, Bases], say: Event) -> tuple[Path, ...]:
    from au3dmm.report.bases_page import write_bases_page
    from au3dmm.report.component_sheet import write_component_sheet, write_identity_sheet
    from au3dmm.report.component_views import BasisPictures

    drawn: list[Path] = []
    with _steps(say) as step:
        for k, path in outputs.items():
            sheets = _sheets(path)
            drawn += sheets
            if all(sheet.exists() for sheet in sheets):
                continue
            components, identity, page = sheets
            pictures = BasisPictures(made[k])
            step("draw", 0, 3)
            write_component_sheet(components, made[k], pictures=pictures)
            step("draw", 1, 3)
            write_identity_sheet(identity, made[k], pictures=pictures)
            step("draw", 2, 3)
            write_bases_page(page, made[k], file=path, pictures=pictures)
            step("draw", 3, 3)
    return tuple(drawn)


@contextmanager
def _steps(say: Event) -> Iterator[Callable[[str, int, int], None]]:
    """Turn (step, done, total) into the events that reporters show: start, progress, done."""
    now: str | None = None
    began = 0.0

    def end() -> None:
        if now is not None:
            seconds = time.monotonic() - began
            say({"event": "done", "stage": now, "state": "ran", "summary": {}, "seconds": seconds})

    def step(name: str, done: int, total: int) -> None:
        nonlocal now, began
        if name != now:
            end()
            now, began = name, time.monotonic()
            say({"event": "start", "stage": name})
        say({"event": "progress", "stage": name, "done": done, "total": total})

    yield step
    end()
