"""Read events from NPZ files: one array per field, or one structured array, streamed out of the zip.

Members: ``t`` (us, whole numbers), ``x``, ``y``, ``p``, one-dimensional (other common names:
`au3dmm.io.events.fields`), or one structured array ``events`` with those fields. Optional: ``width``, ``height`` (px),
``t_shift_us``, and triggers: a structured array ``triggers`` (t, id, p), or ``trigger_t trigger_id trigger_p``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError, os_reason
from au3dmm.io.events.arrays import ArrayFile
from au3dmm.io.events.columns import BLOCK, Columns, Lost, coordinates, polarities, times
from au3dmm.io.events.fields import FIELDS, check_kinds, make_triggers, match, size_of
from au3dmm.io.events.npz_members import DAMAGE, ArrayMember, MemberReader, array_members, read_values
from au3dmm.io.events.report import TRUNCATED, UNKNOWN_WORD

_WIDEST = 256  # bytes per event that are believed: a block of them has to fit into memory
_TRIGGER_FIELDS = ("t", "id", "p")

Fields = dict[str, tuple[ArrayMember, str | None]]
"""The array of each field, and the name of the field in it if it is structured."""


class NpzFile(ArrayFile):
    """An NPZ file of events; `au3dmm.io.events.open_events` makes it.

    Nothing is unpickled. Arrays of unequal length are refused; members that end early count as truncated; a wrong
    checksum, which does not tell where, counts as one stretch over the whole file.
    """

    format = "NPZ"

    def __init__(self, path: Path, width: int | None = None, height: int | None = None) -> None:
        self.path = path
        with _opened(path) as (archive, f):
            members = array_members(archive, f)
            scalars = {name: _scalar(f, members.get(name)) for name in ("width", "height", "t_shift_us")}
        events = _find(path, members, "events", "", FIELDS)
        if events is None:
            raise SessionError(
                f"{path}: not an event recording: holds {', '.join(sorted(members)[:12]) or 'no arrays'}; expected"
                " arrays t, x, y and p, or a structured array events with these fields"
            )
        self._events = events
        self._triggers = _find(path, members, "triggers", "trigger_", _TRIGGER_FIELDS)
        self.end_place = int(events["t"][0].shape[0])
        if not self.end_place:
            raise SessionError(f"{path}: no events: its arrays have length 0")
        w, h = scalars["width"], scalars["height"]
        self.width, self.height = size_of(path, None if w is None or h is None else (w, h), width, height)
        self.t_shift_us = scalars["t_shift_us"] or 0
        self.header: Mapping[str, str] = {name: str(value) for name, value in scalars.items() if value is not None}

    def columns(self) -> Iterator[Columns | Lost]:
        """Yield the events; see `ArrayFile.columns`."""
        at = 0
        with _opened(self.path) as (_, f):
            reader = _Reader(f, self._events)
            while columns := reader.read(BLOCK):
                n = len(columns["t"])
                yield Columns(
                    times(columns["t"]),
                    coordinates(columns["x"]),
                    coordinates(columns["y"]),
                    polarities(columns["p"]),
                    np.arange(at, at + n),
                )
                at += n
        if reader.wrong_checksum:
            yield Lost(UNKNOWN_WORD, 0, at, 1)
        if at < self.end_place:
            yield Lost(TRUNCATED, at, self.end_place, self.end_place - at)

    def trigger_blocks(self) -> Iterator[NDArray[np.void]]:
        """Yield the triggers; see `ArrayFile.trigger_blocks`."""
        if self._triggers is None:
            return
        with _opened(self.path) as (_, f):
            reader = _Reader(f, self._triggers)
            while columns := reader.read(BLOCK):
                yield make_triggers(times(columns["t"]), columns["id"], columns["p"])


class _Reader:
    """Reads the arrays of several fields side by side."""

    def __init__(self, f: BinaryIO, fields: Fields) -> None:
        self._fields = fields
        self._left = min(member.stored for member, _ in fields.values())
        self._members = {member.name: member for member, _ in fields.values()}
        self._sources = {name: MemberReader(f, member.info) for name, member in self._members.items()}
        for name, source in self._sources.items():
            source.read(self._members[name].header_bytes)

    @property
    def wrong_checksum(self) -> bool:
        """Whether the checksum of an array that was read whole is wrong."""
        return any(source.wrong_checksum for source in self._sources.values())

    def read(self, n: int) -> dict[str, NDArray[Any]]:
        """Return up to `n` values of each field, or {} at the end."""
        n = min(n, self._left)
        values = {name: read_values(self._sources[name], member, n) for name, member in self._members.items()}
        got = min(map(len, values.values()))
        self._left = self._left - n if got == n else 0
        if not got:
            return {}
        rows = {name: array[:got] for name, array in values.items()}
        return {
            field: rows[member.name] if inner is None else rows[member.name][inner]
            for field, (member, inner) in self._fields.items()
        }


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, BinaryIO]]:
    """Open the zip; what is wrong with its structure is told in one line."""
    try:
        with path.open("rb") as f, zipfile.ZipFile(f) as archive:
            yield archive, f
    except DAMAGE as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise SessionError(f"{path}: not a whole NPZ file: {reason}; is it still being written? Copy it again") from err
    except OSError as err:
        raise SessionError(f"{path}: cannot be read: {os_reason(err)}") from err


def _find(
    path: Path, members: Mapping[str, ArrayMember], structured: str, prefix: str, fields: tuple[str, ...]
) -> Fields | None:
    """Return the arrays of fields, None if there are none."""
    whole = members.get(structured)
    if whole is not None and whole.dtype.hasobject:
        raise SessionError(f"{path}: {structured} holds Python objects, which are not read; write it as whole numbers")
    if whole is not None and whole.dtype.names is not None:
        inner = match(whole.dtype.names, fields)
        if inner is None:
            raise SessionError(
                f"{path}: {structured} has the fields {', '.join(whole.dtype.names)}, expected {', '.join(fields)}"
            )
        found: Fields = {field: (whole, name) for field, name in inner.items()}
        types = {field: (f"{structured}[{name!r}]", whole.dtype[name]) for field, name in inner.items()}
    else:
        names = match((name.removeprefix(prefix) for name in members if name.startswith(prefix)), fields)
        if names is None:
            if whole is not None and whole.shape:
                raise SessionError(
                    f"{path}: {structured} is an array {whole.shape} of {whole.dtype} whose columns have no names;"
                    f" write arrays {', '.join(prefix + field for field in fields)}"
                )
            return None
        found = {field: (members[prefix + name], None) for field, name in names.items()}
        types = {field: (prefix + name, members[prefix + name].dtype) for field, name in names.items()}
    check_kinds(path, types)
    for member, _ in found.values():
        size = member.dtype.itemsize
        if size > _WIDEST:
            raise SessionError(f"{path}: {member.name} has {size} bytes per event, expected at most {_WIDEST}")
        if len(member.shape) != 1:
            raise SessionError(
                f"{path}: {member.name} has the shape {member.shape}, expected one value per event: (N,)"
            )
    if len({member.shape for member, _ in found.values()}) > 1:
        lengths = ", ".join(f"{member.name} {member.shape[0]}" for member, _ in found.values())
        raise SessionError(f"{path}: arrays of unequal length: {lengths}; expected one value per event in each")
    return found


def _scalar(f: BinaryIO, member: ArrayMember | None) -> int | None:
    """Return a whole number, or None if the member is none."""
    if member is None or member.dtype.kind not in "iu" or member.stored != 1 or member.dtype.subdtype is not None:
        return None
    bytes_of = MemberReader(f, member.info)
    bytes_of.read(member.header_bytes)
    value = read_values(bytes_of, member, 1)
    return int(value[0]) if len(value) else None
