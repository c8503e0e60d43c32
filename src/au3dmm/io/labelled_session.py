"""Find what belongs to a labelled session: its recording, the files of its run, and the basis that it was made with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from au3dmm.errors import Au3dmmError, ConfigError, SchemaError, SessionError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint
from au3dmm.io.dataset import find_sessions, read_dataset
from au3dmm.io.run_folder import DERIVATIVES, LEDGER, RunFolder
from au3dmm.io.session import MANIFEST, Session, read_session
from au3dmm.io.tables import read_metadata

_FILES = {
    "landmarks": "landmarks.parquet",
    "coefficients": "coefficients.parquet",
    "clock": "clock.json",
    "labels": "labels.parquet",
}
_NEEDS_EVENTS = ("clock", "event_frames")


@dataclass(frozen=True)
class LabelledSession:
    """The files of one session in one run; none of them need be there until it is asked for.

    Attributes
    ----------
    session_id, subject_id : str
        Whose; `subject_id` is empty where neither the recording nor a table says.
    folder : Path
        Where the results lie: ``<run>/sessions/<session_id>``.
    recording : Session or None
        What was recorded; None if it was not found.
    given_bases : Path or None
        Where somebody said that the basis lies.
    """

    session_id: str
    subject_id: str
    folder: Path
    recording: Session | None
    given_bases: Path | None = None

    @property
    def run(self) -> RunFolder:
        """The run that the results belong to."""
        return RunFolder(self.folder.parent.parent)

    def file(self, name: str) -> Path:
        """Return one of ``landmarks``, ``identity``, ``coefficients``, ``clock``, ``event_frames``, ``labels``.

        Raises
        ------
        SchemaError
            If it is not there, and what makes it.
        """
        for path in self._places(name):
            if path.is_file():
                return path
        if name in _NEEDS_EVENTS and self.recording is not None and self.recording.manifest.events is None:
            raise SchemaError(
                f"session {self.session_id!r} has no events, and so no {name.replace('_', ' ')};"
                " `au3dmm plot fit`, `plot coefficients` and `view` show what it has"
            )
        where = "" if self.recording is None else f" --session {self.recording.folder}"
        raise SchemaError(f"{self.folder}: no {name.replace('_', ' ')} in it; au3dmm label{where} makes them")

    def has(self, name: str) -> bool:
        """Whether one of those files is there."""
        return any(path.is_file() for path in self._places(name))

    def _places(self, name: str) -> list[Path]:
        if name == "identity":
            return [self.folder / "identity.parquet", self.run.subject(self.subject_id) / "identity.parquet"]
        if name == "event_frames":
            return sorted(self.folder.glob("event_frames.*.parquet"))
        return [self.folder / _FILES[name]]

    def recorded(self) -> Session:
        """Return the recording.

        Raises
        ------
        SessionError
            If it was not found.
        """
        if self.recording is None:
            raise SessionError(
                f"{self.folder}: its recording was not found; give the recording's folder (with {MANIFEST}) and"
                f" --run {self.run.path}"
            )
        return self.recording

    def bases(self) -> Path:
        """Return the basis that the coefficients were made with, known by its fingerprint.

        Raises
        ------
        SchemaError
            If it was not found, or the one given is another one.
        """
        said: dict[str, Any] = read_metadata(self.file("coefficients")).get("basis") or {}
        wanted = said.get("file_hash")
        if self.given_bases is not None:
            found = bases_fingerprint(self.given_bases)
            if wanted is not None and found != wanted:
                raise SchemaError(
                    f"{self.given_bases}: {found[:19]}, but {self.session_id!r} was fitted with {str(wanted)[:19]};"
                    " give that basis with --bases, or label again"
                )
            return self.given_bases
        for path in self._bases_places():
            if path.is_file() and bases_fingerprint(path) == wanted:
                return path
        raise SchemaError(
            f"session {self.session_id!r} was fitted with a {said.get('kind', '')} basis {str(wanted)[:19]} that is not"
            " beside it; give it with --bases FILE"
        )

    def _bases_places(self) -> Iterator[Path]:
        yield self.run.bases
        dataset = _owner(self.run.path)
        if dataset is not None and (dataset / MANIFEST).is_file() is False:
            try:
                named = read_dataset(dataset).manifest.bases.file
            except Au3dmmError:
                named = None  # a broken manifest is told of by `run`, and draws no worse picture
            if named is not None:
                yield dataset / named
        yield asset_path(DEMO_BASES)


def find_labelled(path: Path, run: Path | None = None, bases: Path | None = None) -> LabelledSession:
    """Find a labelled session.

    Parameters
    ----------
    path : Path
        The recording's folder (with session.toml), or the folder of its results.
    run : Path, optional
        The run's folder (what ``label --out`` was given); default: the one run that has results of this session,
        in the recording's own ``derivatives``, in those of a folder above it, or in those of the current folder.
    bases : Path, optional
        The basis; default: that of the run, of the dataset, or the shipped one, if it is the one that was used.

    Raises
    ------
    ConfigError
        If there are no results, or those of several runs.
    SessionError
        If there is no such folder.
    """
    if not path.exists():
        raise SessionError(f"{path}: no such folder; expected a recording's folder, or that of its results")
    if (path / MANIFEST).is_file() or path.name == MANIFEST:
        session = read_session(path)
        folder = _results_of(session, run)
        return LabelledSession(session.session_id, session.subject_id, folder, session, bases)
    if not any((path / name).is_file() for name in (*_FILES.values(), LEDGER)):
        raise SessionError(
            f"{path}: neither {MANIFEST} nor results of au3dmm label in it; expected a recording's folder, or that of"
            " its results (RUN/sessions/ID)"
        )
    folder = path.resolve()
    recording = _recording_of(folder)
    subject = recording.subject_id if recording is not None else _subject_of(folder)
    return LabelledSession(folder.name, subject, path, recording, bases)


def _results_of(session: Session, run: Path | None) -> Path:
    name = session.session_id
    if run is not None:
        folder = RunFolder(run).session(name)
        if not folder.is_dir():
            raise ConfigError(
                f"{run}: no results of session {name!r} (no {folder}); au3dmm label --out {run} makes them"
            )
        return folder
    home = session.folder.resolve()
    found: dict[Path, None] = {}
    for parent in (home, *home.parents, Path.cwd()):
        for folder in sorted((parent / DERIVATIVES).glob(f"*/sessions/{name}")):
            if not folder.parent.parent.name.startswith("."):
                found.setdefault(folder, None)
    if not found:
        raise ConfigError(f"session {name!r}: no results of it; au3dmm label --session {session.folder} makes them")
    if len(found) > 1:
        runs = ", ".join(str(folder.parent.parent) for folder in found)
        raise ConfigError(f"session {name!r}: results of {len(found)} runs ({runs}); say which with --run")
    return next(iter(found))


def _owner(run: Path) -> Path | None:
    """Return the dataset or recording whose ``derivatives`` a run lies in."""
    run = run.resolve()
    return run.parents[2] if run.parent.parts[-2:] == DERIVATIVES.parts else None


def _recording_of(folder: Path) -> Session | None:
    owner = _owner(folder.parent.parent)
    if owner is None:
        return None
    try:
        if (owner / MANIFEST).is_file():
            session = read_session(owner)
            return session if session.session_id == folder.name else None
        found = find_sessions(read_dataset(owner))
    except Au3dmmError:
        return None
    return next((one.session for one in found if one.session is not None and one.name == folder.name), None)


def _subject_of(folder: Path) -> str:
    for name in ("coefficients", "landmarks"):
        path = folder / _FILES[name]
        if path.is_file():
            return str(read_metadata(path).get("subject_id", ""))
    return ""
