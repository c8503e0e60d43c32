"""Recognise an event file by content, and read the header of Prophesee files (RAW and DAT)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import ConfigError, SessionError

HEAD_BYTES = 1 << 16  # enough for any header, and for a look at the first words after it
_MAX_LINE = 1024
_MAGIC = (
    (b"#!AER-DAT4", "AEDAT4"),
    (b"#!AER-DAT", "AEDAT"),
    (b"Event Stream", "ES"),
    (b"PK\x03\x04", "NPZ"),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_STARTS = (0, 512, 1024, 2048, 4096)  # a file may begin with a block of the user's
# kinds of word that EVT3 defines; 0x1, 0x9, 0xB, 0xC and 0xD are reserved
_EVT3_KINDS = (0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0xA, 0xE, 0xF)
_EVT2_KINDS = (0x0, 0x1, 0x8, 0xA, 0xD, 0xE, 0xF)
_FEW = 8  # time words, below which a clock that advances evenly proves nothing
DAT_KINDS = (0, 12, 14)
"""Types of events that DAT files hold: 2d (old), contrast detection, external triggers."""

# files of older software name the camera but not the geometry (OpenEB 5.1.1, psee_raw_file_header.cpp)
_SYSTEM_GEOMETRY = {
    **dict.fromkeys((21, 23, 25, 28, 29, 33, 34, 35, 40, 41, 151, 153, 161, 162), (640, 480)),
    **dict.fromkeys((26, 30, 31, 39, 46, 48, 49, 50), (1280, 720)),
}


@dataclass(frozen=True)
class RawHeader:
    """The lines ``% key value`` at the start of a RAW or DAT file.

    Attributes
    ----------
    fields : mapping
        Value by key; the last one if a key is repeated.
    n_bytes : int
        Where the data starts.
    """

    fields: Mapping[str, str]
    n_bytes: int


def parse_header(head: bytes) -> RawHeader:
    r"""Read the header; ``% end`` ends it, or else the first line that is not one of its own.

    Without ``% end`` a data word may begin with the byte of '%': a header line is '%', a space, printable text
    and a newline, and the first two data bytes are not ('%', ' ') unless the file starts in the middle of a stream.

    Examples
    --------
    >>> header = parse_header(b"% evt 3.0\n% geometry 1280x720\n% end\n\x00\x80")
    >>> header.fields["geometry"], header.n_bytes
    ('1280x720', 36)
    """
    fields: dict[str, str] = {}
    at = 0
    while head.startswith((b"% ", b"%\t"), at):
        stop = head.find(b"\n", at, at + _MAX_LINE)
        if stop < 0:
            break
        try:
            text = head[at + 1 : stop].decode().strip()
        except UnicodeDecodeError:
            break
        if not text.isprintable():
            break
        at = stop + 1
        if text == "end":
            break
        key, _, value = text.partition(" ")
        fields[key] = value.strip()
    return RawHeader(fields, at)


def recognise(head: bytes, header: RawHeader) -> str | None:
    r"""Name the format of a file that starts with `head`: ``EVT3``, another known one, or None.

    Examples
    --------
    >>> recognise(b"\x89HDF\r\n\x1a\n", RawHeader({}, 0))
    'HDF5'
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if any(head.startswith(_HDF5, at) for at in _HDF5_STARTS):
        return "HDF5"
    stated = header.fields.get("format", "").split(";")[0].strip().upper()
    if stated:
        return stated.replace("EVT21", "EVT2.1")
    version = header.fields.get("evt", "")
    if version:
        return {"3.0": "EVT3", "2.0": "EVT2", "2.1": "EVT2.1"}.get(version, f"EVT {version}")
    data = head[header.n_bytes :]
    if header.fields.get("Data", "").startswith("file containing") or ("Version" in header.fields and _is_dat(data)):
        return "DAT"
    return "EVT3" if _looks_like_evt3(data) else "EVT2" if _looks_like_evt2(data) else None


def _is_dat(data: bytes) -> bool:
    return len(data) >= 2 and data[0] in DAT_KINDS and data[1] == 8


def _looks_like_evt3(data: bytes) -> bool:
    """Whether words are all of EVT3's kinds and its clock advances evenly; text and noise never do both."""
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")[:4096]
    kinds = words >> 12
    high = (words[kinds == 0x8] & 0xFFF).astype(np.int64)
    return bool(len(high) and np.isin(kinds, _EVT3_KINDS).all() and ((np.diff(high) & 0xFFF) <= 1).all())


def _looks_like_evt2(data: bytes) -> bool:
    """Whether words are all of EVT2's kinds and its clock of 28 bits advances evenly, several times.

    Read as EVT2, the words of EVT2.1 come with a zero for every time word.
    """
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")[:4096]
    zeros = int((words == 0).sum())
    return steps_evenly(words) and bool(np.isin(words >> 28, _EVT2_KINDS).all()) and 16 * zeros < len(words)


def steps_evenly(words: NDArray[np.uint32]) -> bool:
    """Whether there are several TIME_HIGH words of EVT2 in `words` that go on, nine of ten of them by one or nothing.

    Examples
    --------
    >>> steps_evenly(0x80000000 + np.arange(20, dtype=np.uint32) // 4)
    True
    """
    high = (words[words >> 28 == 0x8] & 0xFFFFFFF).astype(np.int64)
    steps = np.diff(high)
    # masks of EVT2.1 may look like time words, too, but like one and the same
    return len(high) >= _FEW and high[-1] != high[0] and int(((steps == 0) | (steps == 1)).sum()) >= 0.9 * len(steps)


def stated_order(path: Path, header: RawHeader) -> Literal["little", "big", "legacy"] | None:
    """Return the order of bytes and halves that the header states (`au3dmm.io.events.evt21`), None if it states none.

    Raises
    ------
    SessionError
        If it is none of those that there are.
    """
    options = _options(header)
    stated = options.get("endianness", header.fields.get("endianness", "")).strip().lower()
    if not stated:
        # before they said it, all cameras of the vendor sent the upper half first
        camera = header.fields.get("system_ID", "")
        return "legacy" if camera.isdecimal() and 0 < int(camera) < 55 else None
    for known in ("little", "big", "legacy"):
        if stated == known:
            return known
    raise SessionError(f"{path}: header says endianness {stated!r}, expected little, big or legacy")


def _options(header: RawHeader) -> dict[str, str]:
    """Return what follows the name in ``format EVT3;height=720;width=1280``."""
    return dict(part.partition("=")[::2] for part in header.fields.get("format", "").split(";")[1:])


def sensor_size(path: Path, header: RawHeader, width: int | None, height: int | None) -> tuple[int, int]:
    """Return (width, height) of the sensor, px, from the header, else from the session's manifest.

    Raises
    ------
    ConfigError
        If the header says otherwise than `width` and `height`.
    SessionError
        If the header contradicts itself, or nobody says.
    """
    found: dict[str, tuple[int, int]] = {}
    options = _options(header)
    if {"width", "height"} <= options.keys():
        found["format"] = (_int(path, options["width"]), _int(path, options["height"]))
    if {"Width", "Height"} <= header.fields.keys():
        found["header"] = (_int(path, header.fields["Width"]), _int(path, header.fields["Height"]))
    if "geometry" in header.fields:
        match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", header.fields["geometry"], re.ASCII)
        if match is None:
            raise SessionError(
                f"{path}: header says geometry {header.fields['geometry']!r}, expected WIDTHxHEIGHT such as 1280x720"
            )
        found["geometry"] = (int(match[1]), int(match[2]))
    camera = header.fields.get("system_ID", "")
    if not found and camera.isascii() and camera.isdecimal() and int(camera[:9]) in _SYSTEM_GEOMETRY:
        found["system_ID"] = _SYSTEM_GEOMETRY[int(camera[:9])]
    if len(set(found.values())) > 1:
        said = ", ".join(f"{where} says {w}x{h}" for where, (w, h) in found.items())
        raise SessionError(f"{path}: sensor size is not clear: {said}; expected one size; correct the file's header")
    if width is not None and height is not None:
        for w, h in found.values():
            if (w, h) != (width, height):
                raise ConfigError(
                    f"{path}: sensor size is not clear: the file says {w}x{h}, but {width}x{height} was given (--width"
                    " and --height, or events.width and events.height in session.toml); leave them out, or correct them"
                )
        found["given"] = (width, height)
    if not found:
        raise SessionError(
            f"{path}: its header gives no sensor size; set events.width and events.height in session.toml, or give"
            " --width and --height"
        )
    size = next(iter(found.values()))
    if not (0 < size[0] <= 2048 and 0 < size[1] <= 2048):
        raise SessionError(f"{path}: sensor size {size[0]}x{size[1]}, expected 1x1 to 2048x2048")
    return size


def _int(path: Path, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        raise SessionError(f"{path}: header says width or height {text!r}, expected a whole number of px")
    return int(text)
