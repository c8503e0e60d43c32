"""Read AEDAT4 files (iniVation): packets of events and triggers of one camera."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.aedat4_packets import (
    CODECS,
    LARGEST_HEADER,
    LARGEST_PACKET,
    MAGIC,
    DamagedError,
    Header,
    StreamInfo,
    decompress,
    packet_marks,
    parse_events,
    parse_header,
    parse_triggers,
)
from au3dmm.io.events.arrays import ArrayFile
from au3dmm.io.events.columns import BLOCK, Columns, Lost, coordinates, polarities, times
from au3dmm.io.events.fields import size_of
from au3dmm.io.events.report import TRUNCATED, UNKNOWN_WORD

_PIECE = 1 << 20  # bytes searched at once for the next packet after a damaged one


@dataclass(frozen=True)
class _Packet:
    """A packet as it lies in the file; without data: damage."""

    first: int
    end: int
    data: bytes | None
    truncated: bool = False


class Aedat4File(ArrayFile):
    """An AEDAT4 file; `au3dmm.io.events.open_events` makes it.

    Places in its report are bytes; an event's is its packet's. After a packet that is damaged, the next one is searched
    for; how many events were lost is estimated from the bytes.

    Parameters
    ----------
    path : Path
    width, height : int, optional
        Sensor as the session's manifest states it, px; needed where the file does not say.
    group : str, optional
        Which event stream, if there are several: its number or the name of its camera.
    """

    format = "AEDAT4"
    unit = "bytes"

    def __init__(
        self, path: Path, width: int | None = None, height: int | None = None, group: str | None = None
    ) -> None:
        self.path = path
        with _opened(path) as f:
            header, self._data_starts = _read_header(path, f)
            self.end_place = f.seek(0, 2)
        self._header = header
        self._codec = CODECS[header.compression]
        self._numbers = frozenset(stream.number for stream in header.streams)
        self._events = _choose(path, header, group)
        own = [s for s in header.streams if s.kind == "TRIG"]
        self._triggers = next((s for s in own if s.source == self._events.source), own[0] if len(own) == 1 else None)
        w, h = self._events.width, self._events.height
        self.width, self.height = size_of(path, None if w is None or h is None else (w, h), width, height)
        self.t_shift_us = 0
        self.header: Mapping[str, str] = {
            "compression": self._codec or "none",
            "source": self._events.source,
            "streams": ", ".join(f"{s.number} {s.kind} {s.name}".strip() for s in header.streams),
        }

    def columns(self) -> Iterator[Columns | Lost]:
        """Yield the events; see `ArrayFile.columns`."""
        batch: list[NDArray[np.void]] = []
        places: list[int] = []
        n_batch = n_events = n_bytes = 0
        for packet in self._packets(self._events.number):
            events = None
            if packet.data is not None:
                with suppress(DamagedError):
                    events = parse_events(decompress(packet.data, self._codec))
            if events is not None:
                batch.append(events)
                places.append(packet.first)
                n_batch += len(events)
                n_events += len(events)
                n_bytes += packet.end - packet.first
            if batch and (events is None or n_batch >= BLOCK // 2):
                yield _columns(batch, places)
                batch, places, n_batch = [], [], 0
            if events is None:
                size = packet.end - packet.first
                kind = TRUNCATED if packet.truncated else UNKNOWN_WORD
                yield Lost(kind, packet.first, packet.end, max(1, size * n_events // max(n_bytes, 1)))
        if batch:
            yield _columns(batch, places)

    def trigger_blocks(self) -> Iterator[NDArray[np.void]]:
        """Yield the triggers; see `ArrayFile.trigger_blocks`."""
        if self._triggers is None:
            return
        for packet in self._packets(self._triggers.number):
            if packet.data is not None:
                try:
                    yield parse_triggers(decompress(packet.data, self._codec))
                except DamagedError:
                    continue

    def _packets(self, stream: int) -> Iterator[_Packet]:
        """Yield the packets of a stream and the damage in the file, as far as the file reached when this began."""
        with _opened(self.path) as f:
            end = f.seek(0, 2)
            if self._data_starts <= self._header.table_at < end:
                end = self._header.table_at
            at = self._data_starts
            while at < end:
                number, size = _head(f, at)
                stop = at + 8 + size
                whole = self._plausible(number, size) and stop <= end
                found = None
                if not whole or (stop < end and not self._plausible(*_head(f, stop))):
                    found = self._next_packet(f, at + 1, end)
                if not whole or (found is not None and found < stop):
                    yield _Packet(at, found or end, None, truncated=found is None)
                    at = found or end
                    continue
                if number == stream:
                    f.seek(at + 8)
                    yield _Packet(at, stop, f.read(size))
                at = stop

    def _plausible(self, number: int, size: int) -> bool:
        return 0 < size <= LARGEST_PACKET and number in self._numbers

    def _next_packet(self, f: BinaryIO, start: int, end: int) -> int | None:
        """Search for a packet from a place onwards."""
        for first in range(start, end, _PIECE):
            f.seek(first)
            piece = f.read(min(_PIECE + 32, end - first))
            places = sorted(at for mark, distance in packet_marks(self._codec) for at in _finds(piece, mark, distance))
            for at in places:
                number, size = struct.unpack_from("<ii", piece, at)
                if self._plausible(number, size) and first + at + 8 + size <= end:
                    return first + at
        return None


def _finds(piece: bytes, mark: bytes, distance: int) -> Iterator[int]:
    """Yield where a packet may begin whose mark is in a piece."""
    at = piece.find(mark, distance)
    while at >= 0:
        yield at - distance
        at = piece.find(mark, at + 1)


def _columns(batch: list[NDArray[np.void]], places: list[int]) -> Columns:
    events = np.frombuffer(b"".join([part.view(np.uint8).data for part in batch]), batch[0].dtype)
    return Columns(
        times(events["t"]),
        coordinates(events["x"]),
        coordinates(events["y"]),
        polarities(events["p"]),
        np.repeat(np.array(places, np.int64), [len(part) for part in batch]),
    )


def _head(f: BinaryIO, at: int) -> tuple[int, int]:
    """Return stream and size of the packet at a place; (-1, -1) if the file ends there."""
    f.seek(at)
    data = f.read(8)
    number, size = struct.unpack("<ii", data) if len(data) == 8 else (-1, -1)
    return number, size


def _read_header(path: Path, f: BinaryIO) -> tuple[Header, int]:
    """Return the header and where the data begins."""
    magic = f.read(len(MAGIC))
    if magic != MAGIC:
        raise SessionError(
            f"{path}: starts with {magic!r}, expected {MAGIC!r}; of AEDAT only version 4 is read, convert older"
            " recordings with iniVation's DV"
        )
    data = f.read(4)
    size = int.from_bytes(data, "little")
    if len(data) < 4 or size > LARGEST_HEADER:
        raise SessionError(f"{path}: damaged AEDAT4 file: a header of {size} bytes; copy the file again")
    try:
        header = parse_header(f.read(size))
    except DamagedError as err:
        raise SessionError(f"{path}: damaged AEDAT4 file: {err}; copy the file again") from err
    if header.compression not in CODECS:
        raise SessionError(f"{path}: AEDAT4 compression {header.compression}, expected 0 (none), 1-2 (LZ4), 3-4 (Zstd)")
    return header, len(MAGIC) + 4 + size


def _choose(path: Path, header: Header, group: str | None) -> StreamInfo:
    """Return the event stream that is to be read."""
    found = [stream for stream in header.streams if stream.kind == "EVTS"]
    if not found:
        kinds = ", ".join(stream.kind for stream in header.streams) or "nothing"
        raise SessionError(f"{path}: no event stream: holds {kinds}; expected EVTS")
    chosen = [s for s in found if group in (None, str(s.number), s.source)]
    if len(chosen) != 1:
        names = ", ".join(f"{s.number} ({s.source or s.name})" for s in found)
        problem = "no such event stream" if group else f"{len(found)} event streams"
        raise SessionError(f"{path}: {problem}: {names}; say which: {path.name}#{found[0].number}")
    return chosen[0]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as f:
            yield f
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
