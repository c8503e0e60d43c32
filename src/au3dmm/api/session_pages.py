"""Write pages that a person looks at: `report.html` of sessions, and that of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from au3dmm.errors import Au3dmmError, ConfigError
from au3dmm.executors import Executor, Job
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.atomic import folder_lock
from au3dmm.io.bases import bases_fingerprint
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.failures import read_failures
from au3dmm.io.run_folder import DERIVATIVES, LEDGER, RunFolder, dataset_runs
from au3dmm.io.runs import one_run
from au3dmm.io.session import MANIFEST, Session, read_session
from au3dmm.io.tables import read_metadata
from au3dmm.report.dataset_page import write_dataset_page
from au3dmm.report.session_files import PAGE
from au3dmm.report.session_page import PageOptions, write_session_page

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reports:
    """Pages that were written.

    Attributes
    ----------
    run : Path
        The run's folder.
    dataset : Path or None
        The page of the whole dataset.
    sessions : dict of str to Path
        The page of each session.
    failed : dict of str to str
        Sessions without a page, and why.
    """

    run: Path
    dataset: Path | None = None
    sessions: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """What a folder that somebody named is: a run, and which of its sessions are meant."""

    run: RunFolder
    sessions: tuple[str, ...] = ()
    recording: Session | None = None


def write_reports(
    where: str | Path,
    *,
    sessions: Sequence[str] | Literal["all"] = (),
    pipeline: str | None = None,
    bases: str | Path | None = None,
    thumbnails: bool = False,
    predictions: Sequence[str | Path] | None = None,
) -> Reports:
    """Write the page of a recording, of some sessions of a dataset, or of a dataset.

    Parameters
    ----------
    where : path
        A recording, a run's folder of a session, a dataset, or the folder of a run. Of the last two the page of the
        dataset is written, and those of the sessions that are named.
    sessions : sequence of str or "all"
        Which sessions of a dataset.
    pipeline : str, optional
        Which run, if there are several.
    bases : path, optional
        The basis file; default: the one that the session was fitted with, where the run, `dataset.toml` or au3dmm
        itself has it.
    thumbnails : bool
        Whether pages may show the face: RGB frames, event frames, the person's own head.
    predictions : sequence of path, optional
        Tables that `au3dmm predict` wrote; default: those that lie beside the run's models.

    Raises
    ------
    ConfigError
        If there is no run, or no such session.
    OutputError
        If a page cannot be written.
    """
    place = _place(Path(where), pipeline)
    names = _names(place, sessions)
    found = [Path(path) for path in predictions] if predictions is not None else None
    manifests = _manifests(place, names) if thumbnails and names else {}
    finder = BasesFinder(place.run, None if bases is None else Path(bases))
    pages: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for name in names:
        folder = place.run.session(name)
        options = PageOptions(finder.of(folder), manifests.get(name), thumbnails, found)
        try:
            with folder_lock(folder):
                pages[name] = write_session_page(folder, options)
        except Au3dmmError as err:
            if len(names) == 1:
                raise
            failed[name] = " ".join(str(err).split())
    dataset = None
    # the one session of a run that was never put together is all that there is
    if not place.sessions and (place.run.index.is_file() or len(pages) + len(failed) != 1):
        with folder_lock(place.run.dataset if place.run.dataset.is_dir() else place.run.path):
            write_dataset_page(place.run)
        dataset = place.run.report
    return Reports(place.run.path, dataset, pages, failed)


def write_page_beside(session: Session, folder: Path, bases: Path, thumbnails: bool) -> Path | None:
    """Write the page of a session that was just labelled; what goes wrong is warned of, as the labels are there.

    Parameters
    ----------
    session : Session
        The recording.
    folder : Path
        Its folder of the run.
    bases : Path
        The basis it was labelled with.
    thumbnails : bool
        As in `write_reports`.
    """
    try:
        with folder_lock(folder):
            return write_session_page(folder, PageOptions(bases, session, thumbnails))
    except Au3dmmError as err:
        log.warning("no %s: %s", PAGE, " ".join(str(err).split()))
        return None


def write_missing_pages(
    run: RunFolder, sessions: Mapping[str, Path], bases: Path, executor: Executor, thumbnails: bool
) -> int:
    """Write the pages of sessions that have none, on an executor's workers; return how many were written.

    Parameters
    ----------
    run : RunFolder
        The run. A page is removed when a stage of its session runs, so that one that is there is up to date.
    sessions : mapping
        Manifest of each session.
    bases : Path
        The basis.
    executor : Executor
        Who does it; it is left open.
    thumbnails : bool
        As in `write_reports`.
    """
    waiting = [
        Job(
            f"page {name}",
            _page_job,
            {"folder": str(folder), "path": str(path), "bases": str(bases), "faces": thumbnails},
        )
        for name, path in sorted(sessions.items())
        if (folder := run.session(name)).is_dir() and not (folder / PAGE).is_file()
    ]
    busy, done = 0, 0
    while waiting or busy:
        while waiting and busy < 2 * executor.n_workers:
            executor.submit(waiting.pop())
            busy += 1
        for outcome in executor.wait(1.0):
            busy -= 1
            problem = outcome.died or outcome.value
            done += not problem
            if problem:
                log.warning("%s: %s", outcome.key, problem)
    return done


def _page_job(folder: str, path: str, bases: str, faces: bool) -> str:
    """Write a page in a worker; return what went wrong."""
    try:
        with folder_lock(Path(folder)):
            write_session_page(Path(folder), PageOptions(Path(bases), read_session(Path(path)), faces))
    except Au3dmmError as err:
        return " ".join(str(err).split())
    return ""


class BasesFinder:
    """Finds the file of the basis that a session was fitted with.

    Parameters
    ----------
    run : RunFolder
        The run.
    given : Path or None
        What somebody named; then nothing is looked for.
    """

    def __init__(self, run: RunFolder, given: Path | None) -> None:
        self._given = given
        self._known: dict[str, Path] = {}
        for path in _candidates(run) if given is None else ():
            if path.is_file():
                self._known.setdefault(bases_fingerprint(path), path)

    def of(self, folder: Path) -> Path | None:
        """Return the file for what is in a session's folder; None if it is not known where it is."""
        if self._given is not None:
            return self._given
        try:
            told = (read_metadata(folder / "coefficients.parquet").get("basis") or {}).get("file_hash")
        except Au3dmmError:
            return None
        return self._known.get(str(told))


def _candidates(run: RunFolder) -> list[Path]:
    found = [run.bases]
    dataset = _dataset_of(run)
    if dataset is not None:
        try:
            named = read_dataset(dataset).manifest.bases.file
        except ConfigError:
            named = None
        found += [] if named is None else [dataset / named]
    return [*found, asset_path(DEMO_BASES)]


def _dataset_of(run: RunFolder) -> Path | None:
    """Return the folder that a run lies in: a dataset, or a recording; None if it lies elsewhere."""
    path = run.path.absolute()
    return path.parents[2] if path.parent.parts[-2:] == DERIVATIVES.parts else None


def _place(where: Path, pipeline: str | None) -> _Place:
    if where.is_dir() and where.absolute().parent.name == "sessions" and not (where / MANIFEST).is_file():
        run = RunFolder(where.absolute().parent.parent)
        if run.exists and ((where / LEDGER).is_file() or any(where.iterdir())):
            return _Place(run, (where.absolute().name,))
    if (where / MANIFEST).is_file():
        session = read_session(where)
        for folder in (where.absolute(), *where.absolute().parents):
            runs = [run for run in dataset_runs(folder) if run.session(session.session_id).is_dir()]
            if runs:
                run = one_run(folder, pipeline) if pipeline or len(runs) > 1 else runs[0]
                return _Place(run, (session.session_id,), session)
        raise ConfigError(
            f"{where}: this recording was not labelled here, nor in a dataset around it; au3dmm label --session {where}"
            " does it; or name the folder of the run that has it"
        )
    return _Place(one_run(where, pipeline))


def _names(place: _Place, asked: Sequence[str] | Literal["all"]) -> list[str]:
    """Return the sessions whose pages are wanted."""
    if place.sessions:
        return list(place.sessions)
    folders = place.run.sessions.iterdir() if place.run.sessions.is_dir() else ()
    there = sorted(path.name for path in folders if path.is_dir() and not path.name.startswith("."))
    if asked == "all":
        return there
    for name in asked:
        if name not in there:
            raise ConfigError(_unknown(place.run, name, there))
    if not asked and not place.run.index.is_file() and len(there) == 1:
        return there
    return list(dict.fromkeys(asked))


def _unknown(run: RunFolder, name: str, there: Collection[str]) -> str:
    for failure in read_failures(run.failures):
        if failure["session_id"] == name:
            why = f"{failure.get('stage')}: {failure.get('message')}"
            return f"session {name!r}: nothing was made of it in {run.path}: {why}"
    some = ", ".join(sorted(there)[:3])
    return f"session {name!r}: not in {run.path}; it has {len(there)} sessions{f', such as {some}' if some else ''}"


def _manifests(place: _Place, names: Sequence[str]) -> dict[str, Session]:
    """Return the recordings of sessions, as far as they are found: pictures are taken from them."""
    if place.recording is not None:
        return {place.recording.session_id: place.recording}
    folder = _dataset_of(place.run)
    if folder is None:
        return {}
    try:
        found = find_sessions(read_dataset(folder))
    except Au3dmmError as err:
        log.warning("%s: %s", folder, err)
        return {}
    wanted = set(names)
    return {one.name: one.session for one in found if one.session is not None and one.name in wanted}
