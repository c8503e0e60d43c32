"""Read stretches of HDF5 data sets side by side, each chunk once, past those that cannot be decoded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events.columns import BLOCK
from au3dmm.io.events.ecf import FILTER as ECF
from au3dmm.io.events.ecf import MOST_EVENTS, decode_chunk

if TYPE_CHECKING:
    import h5py

_LARGEST_CHUNK = 1 << 28  # bytes; it has to fit into memory
# of those that hdf5plugin brings
_NAMES = {
    307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP", 32015: "Zstandard", 32017: "SZ",
    32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2", 32028: "SPERR",
}  # fmt: skip


class Table:
    """Columns of events in one data set or several.

    Attributes
    ----------
    n : int
        Rows that are there.
    promised : int
        Rows of the longest column as its data set states it.
    """

    def __init__(self, path: Path, file: h5py.File, columns: Mapping[str, tuple[str, str | None]]) -> None:
        self._columns = columns
        self._sources = {place: _Source(path, file[place]) for place, _ in columns.values()}
        self.n = min(source.n for source in self._sources.values())
        self.promised = max(source.promised for source in self._sources.values())

    def read(self, first: int, end: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
        """Return rows by field, and which of them could not be decoded."""
        parts = {place: source.read(first, end) for place, source in self._sources.items()}
        bad = np.logical_or.reduce([part[1] for part in parts.values()])
        rows = {}
        for field, (place, name) in self._columns.items():
            values = parts[place][0]
            rows[field] = values if name is None else values[name]
        return rows, bad


class _Source:
    """One data set, read from its start onwards."""

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        name = str(dataset.name)
        if dataset.ndim != 1:
            raise SessionError(f"{path}: {name} has the shape {dataset.shape}, expected one value per event: (N,)")
        if dataset.is_virtual or dataset.external:
            raise SessionError(f"{path}: {name} is stored in another file, which is not read; copy it into this one")
        chunk_bytes = (dataset.chunks or (0,))[0] * dataset.dtype.itemsize
        if chunk_bytes > _LARGEST_CHUNK:
            raise SessionError(
                f"{path}: {name} has chunks of {chunk_bytes >> 20} MiB, expected at most {_LARGEST_CHUNK >> 20} MiB;"
                " rewrite it with smaller ones"
            )
        _check_filters(path, dataset)
        self._dataset = dataset
        self.promised = int(dataset.shape[0])
        self.n = _rows_there(path, dataset)
        self._chunk = dataset.chunks[0] if dataset.chunks else BLOCK
        self._step = self._chunk * max(1, BLOCK // self._chunk)  # whole chunks, so that each is decoded once
        self._first = 0
        self._values = np.empty(0, dataset.dtype)
        self._bad = np.zeros(0, bool)

    def read(self, first: int, end: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return rows, and which of them could not be decoded."""
        values, bad = [], []
        while first < end:
            if not self._first <= first < self._first + len(self._values):
                self._load(first // self._step * self._step)
            start, stop = first - self._first, min(end - self._first, len(self._values))
            values.append(self._values[start:stop])
            bad.append(self._bad[start:stop])
            first = self._first + stop
        return (values[0], bad[0]) if len(values) == 1 else (np.concatenate(values), np.concatenate(bad))

    def _load(self, first: int) -> None:
        end = min(first + self._step, self.n)
        self._first = first
        self._values = np.zeros(end - first, self._dataset.dtype)
        self._bad = np.zeros(end - first, bool)
        if self._read_into(first, end):
            return
        for start in range(first, end, self._chunk):
            stop = min(start + self._chunk, end)
            self._bad[start - first : stop - first] = not self._read_into(start, stop)

    def _read_into(self, first: int, end: int) -> bool:
        """Read rows to their place; return whether they could be decoded."""
        part = slice(first - self._first, end - self._first)
        try:
            self._dataset.read_direct(self._values, slice(first, end), part)
        except (OSError, RuntimeError):
            return False
        return True


class EcfTable:
    """A table of t, x, y and p that ECF has compressed; attributes as of `Table`."""

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        name = str(dataset.name)
        if len(self.filters(dataset)) > 1:
            raise SessionError(f"{path}: {name} is compressed by ECF and another filter, expected ECF alone")
        self._chunk = (dataset.chunks or (0,))[0]
        if dataset.ndim != 1 or not 0 < self._chunk <= MOST_EVENTS:
            raise SessionError(
                f"{path}: {name} has {dataset.ndim} axes and chunks of {self._chunk} events, expected 1 axis and chunks"
                f" of at most {MOST_EVENTS}"
            )
        self._dataset = dataset
        self._file_bytes = path.stat().st_size
        self.promised = int(dataset.shape[0])
        self.n = _rows_there(path, dataset)

    @staticmethod
    def filters(dataset: h5py.Dataset) -> list[int]:
        """Return the numbers of the filters of a data set."""
        properties = dataset.id.get_create_plist()
        return [int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters())]

    def read(self, first: int, end: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
        """Return rows by field, and which of them could not be decoded."""
        rows: dict[str, NDArray[Any]] = {
            "t": np.zeros(end - first, np.int64),
            "x": np.zeros(end - first, np.int32),
            "y": np.zeros(end - first, np.int32),
            "p": np.zeros(end - first, np.int8),
        }
        bad = np.zeros(end - first, bool)
        for chunk in range(first // self._chunk, -(-end // self._chunk)):
            at = chunk * self._chunk
            start, stop = max(at, first), min(at + self._chunk, end)
            decoded = self._decode(at)
            got = 0 if decoded is None else max(0, min(len(decoded[0]), stop - at) - (start - at))
            for name, values in zip("txyp", decoded or (), strict=False):
                rows[name][start - first : start - first + got] = values[start - at : start - at + got]
            bad[start - first + got : stop - first] = True
        return rows, bad

    def _decode(self, at: int) -> tuple[NDArray[Any], ...] | None:
        """Return t, x, y and p of the chunk that begins at a row, or None if it is damaged."""
        try:
            stored = self._dataset.id.get_chunk_info_by_coord((at,)).size
            if stored is None or stored > self._file_bytes:
                return None
            skipped, data = self._dataset.id.read_direct_chunk((at,))
        except (OSError, RuntimeError, ValueError):
            return None
        if skipped:  # the filter is optional: this chunk is as it is in memory
            whole = np.frombuffer(data, self._dataset.dtype, len(data) // self._dataset.dtype.itemsize)
            return whole["t"], whole["x"], whole["y"], whole["p"]
        return decode_chunk(np.frombuffer(data, np.uint8))


def _rows_there(path: Path, dataset: h5py.Dataset) -> int:
    """Return how many rows are stored: a writer that was stopped leaves chunks out, which would read as zeros."""
    n = int(dataset.shape[0])
    if n and dataset.chunks:
        return min(n, int(dataset.id.get_num_chunks()) * int(dataset.chunks[0]))
    stored = min(int(dataset.id.get_storage_size()), path.stat().st_size)
    return min(n, stored // max(int(dataset.dtype.itemsize), 1))


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse a data set whose compression cannot be undone, and say what would help."""
    for number in EcfTable.filters(dataset):
        if number == ECF:
            raise SessionError(f"{path}: {dataset.name} is compressed by ECF, expected that of t, x, y, p tables only")
        if not _is_there(number):
            name = _NAMES.get(number)
            raise SessionError(
                f"{path}: {dataset.name} is compressed by {name or 'an unknown filter'} (HDF5 filter {number}), which"
                f" is not installed: {'pip install hdf5plugin' if name else 'write the file anew without it'}"
            )


def _is_there(number: int) -> bool:
    """Return whether a filter is known, after asking hdf5plugin for it."""
    import h5py

    if not h5py.h5z.filter_avail(number):
        try:
            import hdf5plugin  # noqa: F401  it registers its filters
        except ImportError:
            return False
    return bool(h5py.h5z.filter_avail(number))
