"""Read events from HDF5 files: DSEC, M3ED, Prophesee (also compressed by ECF) and plain arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.arrays import ArrayFile
from au3dmm.io.events.columns import BLOCK, Columns, Lost, coordinates, polarities, times
from au3dmm.io.events.ecf import FILTER as ECF
from au3dmm.io.events.fields import make_triggers
from au3dmm.io.events.hdf5_layout import find_layout
from au3dmm.io.events.hdf5_reading import EcfTable, Table
from au3dmm.io.events.report import TRUNCATED, UNKNOWN_WORD

if TYPE_CHECKING:
    import h5py

_SEARCHED = 1 << 20  # bytes at the start and the end of a file in which its heaps are looked for
# what h5py raises on damaged files
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError)


def open_hdf5(path: Path, width: int | None = None, height: int | None = None, group: str | None = None) -> Hdf5File:
    """Open an HDF5 file of events.

    Parameters
    ----------
    path : Path
    width, height : int, optional
        Sensor as the session's manifest states it, px; needed where the file does not say.
    group : str, optional
        Which recording, if there are several: a group or table of the file, such as ``/prophesee/right``. M3ED's left
        camera is taken if none is named.

    Raises
    ------
    SessionError
        If the file cannot be read, holds no events or several recordings, its sensor size is not clear, or h5py or a
        filter it needs is not installed.
    """
    return Hdf5File(path, width, height, group)


class Hdf5File(ArrayFile):
    """An HDF5 file of events; `open_hdf5` makes it.

    DSEC's ``t_offset`` is added to all times: they are on the clock that the data set's other files use. Prophesee's
    attribute ``time_shift`` is `t_shift_us`; the times of such a file are those of the SDK that wrote it, which shifts
    them itself when it converts a RAW file. A chunk that cannot be decoded is lost, the others are not. Arrays of
    unequal length, and chunks that were never written, are those of a writer that was stopped: what the shorter ones
    lack counts as truncated.
    """

    format = "HDF5"

    def __init__(self, path: Path, width: int | None, height: int | None, group: str | None) -> None:
        self.path = path
        with _opened(path) as file:
            self._layout = find_layout(path, file, group, width, height)
            self.end_place = self._events(file).n
        if self.end_place == 0:
            raise SessionError(f"{path}: no events: the arrays in {self._layout.group} have length 0")
        self.width, self.height = self._layout.width, self._layout.height
        self.t_shift_us = self._layout.t_shift_us
        self.header = self._layout.header
        self.assumed_size = self._layout.header.get("sensor_size", "")

    def columns(self) -> Iterator[Columns | Lost]:
        """Yield the events; see `ArrayFile.columns`."""
        with _opened(self.path) as file:
            table = self._events(file)
            at = 0
            while at < table.n:
                end = min(at + BLOCK, table.n)
                rows, bad = table.read(at, end)
                yield from self._good_parts(rows, bad, at, end)
                at = end
            if table.promised > table.n:
                yield Lost(TRUNCATED, table.n, table.promised, table.promised - table.n)

    def trigger_blocks(self) -> Iterator[NDArray[np.void]]:
        """Yield the triggers; see `ArrayFile.trigger_blocks`."""
        if self._layout.triggers is None:
            return
        with _opened(self.path) as file:
            table = Table(self.path, file, self._layout.triggers)
            for at in range(0, table.n, BLOCK):
                rows, bad = table.read(at, min(at + BLOCK, table.n))
                triggers = make_triggers(times(rows["t"], self._layout.offset_us), rows["id"], rows["p"])
                yield triggers if not bad.any() else triggers[:0]

    def _events(self, file: h5py.File) -> Table | EcfTable:
        """Return a reader of the events."""
        places = {place for place, _ in self._layout.events.values()}
        if len(places) == 1 and ECF in EcfTable.filters(file[next(iter(places))]):
            return EcfTable(self.path, file[next(iter(places))])
        return Table(self.path, file, self._layout.events)

    def _good_parts(
        self, rows: dict[str, NDArray[Any]], bad: NDArray[np.bool_], first: int, end: int
    ) -> Iterator[Columns | Lost]:
        """Yield what was read of a block, and what could not be."""
        edges = [0, *(np.flatnonzero(np.diff(bad)) + 1).tolist(), end - first]
        for start, stop in pairwise(edges):
            if bad[start]:
                yield Lost(UNKNOWN_WORD, first + start, first + stop, stop - start)
            else:
                yield Columns(
                    times(rows["t"][start:stop], self._layout.offset_us),
                    coordinates(rows["x"][start:stop]),
                    coordinates(rows["y"][start:stop]),
                    polarities(rows["p"][start:stop]),
                    np.arange(first + start, first + stop),
                )


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open the file; what is wrong with it is told in one line."""
    try:
        import h5py
    except ImportError as err:
        raise SessionError(f"{path}: an HDF5 file; reading it needs h5py: pip install h5py") from err
    _check_heaps(path)
    try:
        # files that are being written, or lie on a network, may be locked; they are only read here
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _DAMAGE as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise SessionError(
            f"{path}: not a whole HDF5 file: {reason}; is it still being written? Close its writer or copy it again"
        ) from err


def _check_heaps(path: Path) -> None:
    """Refuse a file on which the HDF5 library would loop for ever: a global heap with an object of no size.

    The library (2.0) takes it for free space and never gets past it. Attributes that are text lie in such heaps, which
    are written first or last; in a large file the middle is not searched.
    """
    try:
        with path.open("rb") as f:
            head = f.read(_SEARCHED)
            f.seek(max(f.seek(0, 2) - _SEARCHED, 0))
            parts = [head, f.read(_SEARCHED)] if f.tell() > _SEARCHED else [head]
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err
    for part in parts:
        at = part.find(b"GCOL")
        while at >= 0:
            size = int.from_bytes(part[at + 8 : at + 16], "little")
            end, place = min(at + size, len(part)), at + 16
            while place + 16 <= end:
                number, length = struct.unpack_from("<H6xQ", part, place)
                if number == length == 0:
                    raise SessionError(f"{path}: damaged HDF5 file: a heap without an end; copy the file again")
                place += length if number == 0 else 16 + -(-length // 8) * 8
            at = part.find(b"GCOL", at + 4)
