"""The parts of an AEDAT4 file: its header, packets, and what events and triggers look like in them.

A file is the line ``#!AER-DAT4.0``, a 32-bit size and that many bytes of header, then packets: stream and size, 32 bits
each, and that many bytes, compressed as the header says. Header and packets are FlatBuffers: tables whose fields are
found by offsets, of which none is trusted here. Facts from iniVation's dv-processing (Apache-2.0).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from au3dmm.io.events.fields import make_triggers

MAGIC = b"#!AER-DAT4.0\r\n"

LARGEST_PACKET = 1 << 26
"""Bytes of a packet, as stored and as decompressed, that are believed."""

LARGEST_HEADER = 1 << 24

CODECS: dict[int, str | None] = {0: None, 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}
_MAGICS = {"lz4": b"\x04\x22\x4d\x18", "zstd": b"\x28\xb5\x2f\xfd"}

_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("", "V3")])
# input and edge of the kinds of trigger that come from outside, or from the camera's own generator. A pulse is told
# once: its rising edge. Kinds not here (resets, the camera's own frames) are no triggers to us.
_EDGES = {1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 1), 5: (1, 0)}


class DamagedError(Exception):
    """Bytes are not what they should be."""


@dataclass(frozen=True)
class StreamInfo:
    """One stream of a file: ``EVTS`` (events), ``TRIG`` (triggers), ``FRME``, ``IMUS``, ...; sizes in px, if stated."""

    number: int
    kind: str
    name: str
    source: str
    width: int | None
    height: int | None


@dataclass(frozen=True)
class Header:
    """What the header says: a key of `CODECS`, where the table after the last packet is (or -1), and the streams."""

    compression: int
    table_at: int
    streams: tuple[StreamInfo, ...]


def parse_header(data: bytes) -> Header:
    """Parse the header, without its size.

    Raises
    ------
    DamagedError
        If it is not one.
    """
    if data[4:8] != b"IOHE":
        raise DamagedError(f"its header starts with {data[4:8]!r}, expected b'IOHE'")
    root = _Table(data, _unpack("<I", data, 0))
    at = root.field(2)
    if at is None:
        raise DamagedError("its header describes no streams")
    at += _unpack("<I", data, at)
    length = _unpack("<I", data, at)
    text = data[at + 4 : at + 4 + length]
    compression_at, table_at = root.field(0), root.field(1)
    return Header(
        0 if compression_at is None else _unpack("<i", data, compression_at),
        -1 if table_at is None else _unpack("<q", data, table_at),
        _streams(text),
    )


def _streams(text: bytes) -> tuple[StreamInfo, ...]:
    """Return the streams that the header's XML names."""
    if b"<!" in text:  # no document of theirs has declarations; entities can grow without end
        raise DamagedError("its description of the streams has declarations")
    try:
        root = ElementTree.fromstring(text.decode())
    except (ElementTree.ParseError, ValueError) as err:
        raise DamagedError(f"its description of the streams is not XML: {err}") from err
    streams = []
    for node in root.iter("node"):
        own = _attributes(node)
        number = node.get("name", "")
        if "typeIdentifier" in own and number.isdecimal() and len(number) < 9:
            inner = next((child for child in node.findall("node") if child.get("name") == "info"), None)
            info = {} if inner is None else _attributes(inner)
            width, height = (
                int(size) if size.isdecimal() and len(size) < 9 else None
                for size in (info.get("sizeX", ""), info.get("sizeY", ""))
            )
            name, source = own.get("originalOutputName", ""), info.get("source", "")
            streams.append(StreamInfo(int(number), own["typeIdentifier"], name, source, width, height))
    return tuple(streams)


def _attributes(node: ElementTree.Element) -> dict[str, str]:
    return {child.get("key", ""): child.text or "" for child in node.findall("attr")}


def decompress(body: bytes, codec: str | None) -> bytes:
    """Return what a packet holds.

    Raises
    ------
    DamagedError
        If it cannot be decompressed, or is larger than `LARGEST_PACKET`.
    """
    if codec is None:
        return body
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            pieces: list[bytes] = []
            room = LARGEST_PACKET
            while piece := stream.read(max(8 * len(body), 1 << 16)):  # room for that is made before it is read
                pieces.append(piece)
                room -= len(piece)
                if room < 0:
                    raise DamagedError(f"a packet of more than {LARGEST_PACKET} bytes")
    except (OSError, ValueError) as err:
        raise DamagedError(" ".join(str(err).split())) from err
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def parse_events(data: bytes) -> NDArray[np.void]:
    """Return the events of a packet: an (N,) array with the fields t (us), x, y (px) and p (0 or 1).

    Raises
    ------
    DamagedError
        If it is not a packet of events.
    """
    at, length = _elements(data, b"EVTS")
    if length > (len(data) - at) // _EVENT.itemsize:
        raise DamagedError(f"a packet of {len(data)} bytes says it holds {length} events")
    return np.frombuffer(data, _EVENT, length, at)


def parse_triggers(data: bytes) -> NDArray[np.void]:
    """Return the triggers of a packet, an (M,) array of TRIGGER_DTYPE: of the input (0) and of the generator (1).

    Raises
    ------
    DamagedError
        If it is not a packet of triggers.
    """
    at, length = _elements(data, b"TRIG")
    if length > (len(data) - at) // 4:
        raise DamagedError(f"a packet of {len(data)} bytes says it holds {length} triggers")
    rows = []
    for place in range(at, at + 4 * length, 4):
        table = _Table(data, place + _unpack("<I", data, place))
        t_at, kind_at = table.field(0), table.field(1)
        edge = _EDGES.get(0 if kind_at is None else _unpack("<b", data, kind_at))
        if edge is not None:
            rows.append((0 if t_at is None else _unpack("<q", data, t_at), *edge))
    values = np.array(rows, np.int64).reshape(-1, 3)
    return make_triggers(values[:, 0], values[:, 1], values[:, 2])


def packet_marks(codec: str | None) -> tuple[tuple[bytes, int], ...]:
    """Return byte strings that packets have near their start, and how far from it: to find one after damage."""
    if codec is not None:
        return ((_MAGICS[codec], 8),)
    return tuple((kind, 16) for kind in (b"EVTS", b"TRIG", b"FRME", b"IMUS"))


def _elements(data: bytes, kind: bytes) -> tuple[int, int]:
    """Return where a packet's elements begin, and how many they are."""
    if data[8:12] != kind:
        raise DamagedError(f"a packet starts with {data[8:12]!r}, expected {kind!r}")
    at = _Table(data, 4 + _unpack("<I", data, 4)).field(0)
    if at is None:
        return 0, 0
    at += _unpack("<I", data, at)
    return at + 4, _unpack("<I", data, at)


class _Table:
    """A table of a FlatBuffer: where its fields are."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - _unpack("<i", data, at)
        self._size = _unpack("<H", data, self._fields)

    def field(self, number: int) -> int | None:
        """Return where a field is, or None if it has its default value."""
        place = 4 + 2 * number
        if place + 2 > self._size:
            return None
        offset = _unpack("<H", self._data, self._fields + place)
        return self._at + offset if offset else None


def _unpack(kind: str, data: bytes, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(kind):
        raise DamagedError(f"it points to byte {at} of {len(data)}")
    return int(struct.unpack_from(kind, data, at)[0])
