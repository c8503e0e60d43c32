"""Recognise an event file by content, and read the header of Prophesee RAW files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from au3dmm.errors import SessionError

HEAD_BYTES = 1 << 16  # enough for any header, and for a look at the first words after it
_MAX_LINE = 1024
_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"#!AER-DAT", "AEDAT"),
    (b"Event Stream", "ES"),
    (b"PK\x03\x04", "NPZ"),
)
# kinds of word that EVT3 defines; 0x1, 0x9, 0xB, 0xC and 0xD are reserved
_EVT3_KINDS = (0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0xA, 0xE, 0xF)
# files of older software name the camera but not the geometry; both cameras have 1280 x 720 sensors
_SYSTEM_GEOMETRY = {"48": (1280, 720), "49": (1280, 720)}


@dataclass(frozen=True)
class RawHeader:
    """The lines ``% key value`` at the start of a RAW file.

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
    stated = header.fields.get("format", "").split(";")[0].upper()
    if stated:
        return stated.replace("EVT21", "EVT2.1")
    version = header.fields.get("evt", "")
    if version:
        return {"3.0": "EVT3", "2.0": "EVT2", "2.1": "EVT2.1"}.get(version, f"EVT {version}")
    if header.fields.get("Data", "").startswith("file containing"):
        return "DAT"
    return "EVT3" if _looks_like_evt3(head[header.n_bytes :]) else None


def _looks_like_evt3(data: bytes) -> bool:
    """Whether words are all of EVT3's kinds and its clock advances evenly; text and noise never do both."""
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")[:4096]
    kinds = words >> 12
    high = (words[kinds == 0x8] & 0xFFF).astype(np.int64)
    return bool(len(high) and np.isin(kinds, _EVT3_KINDS).all() and ((np.diff(high) & 0xFFF) <= 1).all())


def sensor_size(path: Path, header: RawHeader, width: int | None, height: int | None) -> tuple[int, int]:
    """Return (width, height) of the sensor, px, from the header, else from the session's manifest.

    Raises
    ------
    SessionError
        If the header contradicts itself or the manifest, or nobody says.
    """
    found: dict[str, tuple[int, int]] = {}
    options = dict(part.partition("=")[::2] for part in header.fields.get("format", "").split(";")[1:])
    if {"width", "height"} <= options.keys():
        found["format"] = (_int(path, options["width"]), _int(path, options["height"]))
    if "geometry" in header.fields:
        match = re.fullmatch(r"(\d+)x(\d+)", header.fields["geometry"])
        if match is None:
            raise SessionError(
                f"{path}: header says geometry {header.fields['geometry']!r}, expected WIDTHxHEIGHT such as 1280x720"
            )
        found["geometry"] = (int(match[1]), int(match[2]))
    if not found and header.fields.get("system_ID") in _SYSTEM_GEOMETRY:
        found["system_ID"] = _SYSTEM_GEOMETRY[header.fields["system_ID"]]
    if width is not None and height is not None:
        found["session.toml"] = (width, height)
    if not found:
        raise SessionError(
            f"{path}: its header gives no sensor size; set events.width and events.height in session.toml"
        )
    if len(set(found.values())) > 1:
        said = ", ".join(f"{where} says {w}x{h}" for where, (w, h) in found.items())
        raise SessionError(f"{path}: sensor size is not clear: {said}; expected one size, correct session.toml")
    size = next(iter(found.values()))
    if not (0 < size[0] <= 2048 and 0 < size[1] <= 2048):
        raise SessionError(f"{path}: sensor size {size[0]}x{size[1]}, expected 1x1 to 2048x2048")
    return size


def _int(path: Path, text: str) -> int:
    if not text.strip().isdecimal():
        raise SessionError(f"{path}: header says width or height {text!r}, expected a whole number of px")
    return int(text)
