"""Open an event recording: its content says which format it is."""

from __future__ import annotations

import stat
from pathlib import Path

from au3dmm.errors import ConfigError, SessionError, os_reason
from au3dmm.io.arguments import whole_number
from au3dmm.io.events.header import HEAD_BYTES, RawHeader, parse_header, recognise
from au3dmm.io.events.stream import EventFile

_SUFFIXES = {
    ".raw": ("EVT3", "EVT2", "EVT2.1"),
    ".dat": ("DAT",),
    ".h5": ("HDF5",),
    ".hdf5": ("HDF5",),
    ".aedat4": ("AEDAT4",),
    ".npz": ("NPZ",),
}
_READABLE = "a RAW file (EVT3, EVT2, EVT2.1), DAT, HDF5, AEDAT4 or NPZ"


def open_events(path: Path | str, width: int | None = None, height: int | None = None) -> EventFile:
    """Open an event file; its content says which format it is, not its name.

    Parameters
    ----------
    path : Path or str
        The file. Of an HDF5 file that holds several recordings, ``FILE#GROUP`` names one, for example
        ``indoor.h5#/prophesee/right``.
    width, height : int, optional
        Sensor as the session's manifest states it, px; needed where the file does not say.

    Returns
    -------
    EventFile
        Times are on the camera's unshifted clock.

    Raises
    ------
    ConfigError
        If only one of `width` and `height` is given, or they are not those that the file states.
    SessionError
        If the file is missing, empty, a pipe, of an unknown format or of one that cannot be read, holds no events, or
        its sensor size is unknown.
    """
    width, height = _size(width, height)
    path, group = split_group(Path(path))
    _check_kind(path)
    try:
        with path.open("rb") as f:
            head = f.read(HEAD_BYTES)
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    if not head:
        raise SessionError(f"{path}: empty (0 bytes), expected an event recording")
    header = parse_header(head)
    name = recognise(head, header)
    if name is None:
        raise SessionError(
            f"{path}: not a known event format: starts with {head[:12]!r}; expected {_READABLE}; a RAW file begins with"
            " header lines such as '% evt 3.0' or '% format EVT3;height=720;width=1280'"
        )
    if group is not None and name != "HDF5":
        raise SessionError(f"{path}: {name}, which has no groups; leave #{group} out")
    return _open(name, path, header, width, height, group)


def _size(width: int | None, height: int | None) -> tuple[int | None, int | None]:
    if (width is None) != (height is None):
        one, other = ("width", "height") if height is None else ("height", "width")
        raise ConfigError(f"{one} without {other}: a sensor has both; give both, or neither")
    if width is None or height is None:
        return None, None
    return whole_number("width", width), whole_number("height", height)


def _check_kind(path: Path) -> None:
    """Refuse what cannot be read twice, and would wait for ever for someone to write."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # told when it is opened
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise SessionError(
            f"{path}: a pipe or a device, expected a file: recordings are read more than once; save it to a file first"
        )


def suffix_warning(file: EventFile) -> str | None:
    """Return what to say of a file whose name promises another format than it holds, or None.

    Parameters
    ----------
    file : EventFile
        Opened by content.
    """
    promised = _SUFFIXES.get(file.path.suffix.lower())
    if promised is None or file.format in promised:
        return None
    return f"it is named {file.path.suffix}, as {' or '.join(promised)} files are, but holds {file.format}"


def split_group(path: Path) -> tuple[Path, str | None]:
    """Return the file and the group that ``FILE#GROUP`` names; a file whose own name has a # is left whole.

    Examples
    --------
    >>> split_group(Path("absent.h5"))
    (PosixPath('absent.h5'), None)
    """
    name, mark, group = str(path).rpartition("#")
    if mark and group and not path.exists() and Path(name).exists():
        return Path(name), group
    return path, None


def _open(
    name: str, path: Path, header: RawHeader, width: int | None, height: int | None, group: str | None
) -> EventFile:
    # readers are imported when they are needed: some bring compiled code, others libraries that are optional
    if name == "EVT3":
        from au3dmm.io.events.evt3 import Evt3File

        return Evt3File(path, header, width, height)
    if name == "EVT2":
        from au3dmm.io.events.evt2 import Evt2File

        return Evt2File(path, header, width, height)
    if name == "EVT2.1":
        from au3dmm.io.events.evt21 import Evt21File

        return Evt21File(path, header, width, height)
    if name == "DAT":
        from au3dmm.io.events.dat import DatFile

        return DatFile(path, header, width, height)
    if name == "HDF5":
        from au3dmm.io.events.hdf5 import open_hdf5

        return open_hdf5(path, width, height, group)
    if name == "AEDAT4":
        from au3dmm.io.events.aedat4 import Aedat4File

        return Aedat4File(path, width, height, group)
    if name == "NPZ":
        from au3dmm.io.events.npz import NpzFile

        return NpzFile(path, width, height)
    raise SessionError(
        f"{path}: {name} is recognised but cannot be read; expected {_READABLE}: convert it with the software that"
        " wrote it"
    )
