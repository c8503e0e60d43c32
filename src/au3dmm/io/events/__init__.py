"""Event recordings: one file per format, recognised by content."""

from __future__ import annotations

from pathlib import Path

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.evt3 import Evt3File, write_evt3
from au3dmm.io.events.header import HEAD_BYTES, parse_header, recognise
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE, Block, EventCounts, EventFile

__all__ = ["EVENT_DTYPE", "TRIGGER_DTYPE", "Block", "EventCounts", "EventFile", "open_events", "write_evt3"]


def open_events(path: Path, width: int | None = None, height: int | None = None) -> EventFile:
    """Open an event file; its content says which format it is, not its name.

    Parameters
    ----------
    path : Path
        The file.
    width, height : int, optional
        Sensor as the session's manifest states it, px; needed where the file does not say.

    Returns
    -------
    EventFile
        Times are on the camera's unshifted clock.

    Raises
    ------
    SessionError
        If the file is missing, empty, of an unknown format or of one that cannot be read yet, holds no events, or its
        sensor size is unknown.
    """
    try:
        with path.open("rb") as f:
            head = f.read(HEAD_BYTES)
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    if not head:
        raise SessionError(f"{path}: empty (0 bytes), expected an event recording")
    header = parse_header(head)
    name = recognise(head, header)
    if name == "EVT3":
        return Evt3File(path, header, width, height)
    if name is not None:
        raise SessionError(f"{path}: {name} is recognised but not readable yet; convert it to a RAW file in EVT3")
    raise SessionError(
        f"{path}: not a known event format: starts with {head[:12]!r}; expected a RAW file in EVT3, with header lines"
        " '% evt 3.0' or '% format EVT3;height=...;width=...'"
    )
