"""Open the events of a recording, named by its session or by the file."""

from __future__ import annotations

from pathlib import Path

from au3dmm.errors import SessionError
from au3dmm.io.events import EventFile, open_events
from au3dmm.io.session import Session, read_session


def open_session_events(session: Session) -> EventFile:
    """Open the event file that a session names.

    Raises
    ------
    SessionError
        If it names none, or the file is not there or cannot be read.
    """
    section = session.manifest.events
    if section is None:
        raise SessionError(f"session {session.session_id!r} has no events: no [events] section in {session.path}")
    path = session.file(section.file)
    return open_events(path if section.group is None else f"{path}#{section.group}", section.width, section.height)


def open_recording(path: Path, width: int | None = None, height: int | None = None) -> tuple[str, EventFile]:
    """Open an event file, or that of a session's folder; nothing else of the session need be there.

    Parameters
    ----------
    path : Path
        The file, ``FILE#GROUP``, or the folder.
    width, height : int, optional
        Sensor, px, of a file that does not say; a session says it itself.

    Returns
    -------
    name : str
        The session's id; of a file its name without ending, or, where it lies beside a session.toml, the folder's name.
    file : EventFile

    Raises
    ------
    ConfigError
        If a folder has no manifest, or a wrong one.
    SessionError
        If there are no such events, or they cannot be read.
    """
    if path.is_dir() or path.name == "session.toml":
        session = read_session(path)
        return session.session_id, open_session_events(session)
    file = open_events(path, width, height)
    beside = file.path.resolve().parent
    return (beside.name if (beside / "session.toml").is_file() else file.path.stem), file
