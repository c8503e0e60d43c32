"""Find the events in an HDF5 file: where t, x, y and p are, which sensor, and what the times count from.

Layouts:

- DSEC: ``events/{t,x,y,p}``, ``t_offset`` and ``ms_to_idx`` at the root;
- M3ED: ``prophesee/left/{t,x,y,p}`` and the same for the right camera;
- Prophesee: a table ``CD/events`` with the fields t, x, y, p, and another, ``EXT_TRIGGER/events`` (t, id, p);
- any other: t, x, y, p, or a table ``events`` with these fields, in the root or in exactly one group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from au3dmm.errors import SessionError
from au3dmm.io.events.fields import FIELDS, check_kinds, match, size_of

if TYPE_CHECKING:
    import h5py

_TRIGGER_FIELDS = ("t", "id", "p")
_DSEC_SIZE, _M3ED_SIZE = (640, 480), (1280, 720)  # px
_MOST_GROUPS = 1000  # that are searched
_DEEPEST = 5
_LONGEST_TEXT = 200  # of an attribute
_MOST_OFFSET_US = 1 << 60

Columns = dict[str, tuple[str, str | None]]
"""By field: the data set's path in the file, and the name of the field in it if it is a table."""


@dataclass(frozen=True)
class Layout:
    """Where the events of an HDF5 file are, and what it says of them.

    Attributes
    ----------
    group : str
        What holds them: a group or a table.
    events : mapping
        Data sets of t, x, y and p.
    triggers : mapping or None
        Data sets of t, id and p.
    offset_us : int
        To be added to all times.
    width, height : int
        Sensor, px.
    t_shift_us : int
        See `EventFile`.
    header : mapping
        What the file says of itself.
    """

    group: str
    events: Columns
    triggers: Columns | None
    offset_us: int
    width: int
    height: int
    t_shift_us: int
    header: Mapping[str, str]


def find_layout(path: Path, file: h5py.File, group: str | None, width: int | None, height: int | None) -> Layout:
    """Find the events of an open file.

    Parameters
    ----------
    path : Path
        For messages.
    file : h5py.File
    group : str or None
        Where to look, if the file holds several recordings.
    width, height : int or None
        Sensor as the session's manifest states it, px.

    Raises
    ------
    SessionError
        If there are no events or several recordings, they are no whole numbers, or the sensor size is not clear.
    """
    place, events = _named(path, file, group) if group else _search(path, file)
    check_kinds(path, {field: (_label(*where), _dtype(file, *where)) for field, where in events.items()})
    node = file[place]
    around = [node, *_parents(file, place)]
    offset = _offset_us(path, around)
    layout, known = "plain", None
    if place.startswith("/prophesee/"):
        layout, known = "M3ED", _M3ED_SIZE
    elif place.startswith("/CD"):
        layout = "Prophesee"
    elif offset is not None and any("ms_to_idx" in above for above in around[1:]):
        layout, known = "DSEC", _DSEC_SIZE
    header = {**_attributes(file), "layout": layout, "group": place}
    stated = _stated_size(around)
    if stated is None and known is not None and (width is None or height is None):
        stated = known
        header["sensor_size"] = f"{known[0]}x{known[1]} as of {layout}, the file does not say"
    w, h = size_of(path, stated, width, height)
    triggers = _columns(file.get("EXT_TRIGGER"), _TRIGGER_FIELDS) if layout == "Prophesee" else None
    shift = header.get("time_shift", "0")
    return Layout(
        group=place,
        events=events,
        triggers=triggers,
        offset_us=offset or 0,
        width=w,
        height=h,
        t_shift_us=int(shift) if re.fullmatch(r"\d{1,18}", shift) else 0,
        header=header,
    )


def _named(path: Path, file: h5py.File, group: str) -> tuple[str, Columns]:
    node = file.get(group)
    events = _columns(node, FIELDS)
    if node is None or events is None:
        places = [place for place, _ in _all(file)]
        raise SessionError(
            f"{path}: {'no' if node is None else 'no t, x, y and p in'} {group}; expected one of"
            f" {', '.join(places) or 'nothing: there are no events in this file'}"
        )
    return str(node.name), events


def _search(path: Path, file: h5py.File) -> tuple[str, Columns]:
    for place in ("/CD", "/", "/prophesee/left"):
        node = file.get(place)
        events = _columns(node, FIELDS)
        if events is not None:
            # the table or group itself, not the root around it
            inner = next(iter(events.values()))[0]
            return (str(node.name) if place != "/" else inner.rpartition("/")[0] or "/"), events
    found = list(_all(file))
    if len(found) == 1:
        return found[0]
    if found:
        raise SessionError(
            f"{path}: {len(found)} recordings: {', '.join(place for place, _ in found[:8])}; say which:"
            f" {path.name}#{found[0][0]}"
        )
    names = [str(name) for name, _ in zip(file, range(12), strict=False)]
    raise SessionError(
        f"{path}: not an event recording: holds {', '.join(names) or 'nothing'}; expected data sets t, x, y and p"
        " (as DSEC, M3ED) or a table CD/events (Prophesee)"
    )


def _all(file: h5py.File) -> Iterator[tuple[str, Columns]]:
    """Yield every group and table with events, by place; links to other files are not followed."""
    seen: set[Any] = set()
    waiting = [("/", 0)]
    while waiting and len(seen) < _MOST_GROUPS:
        place, depth = waiting.pop(0)
        node = file.get(place)
        if node is None or node.id in seen:
            continue
        seen.add(node.id)
        events = _own_columns(node, FIELDS)
        if events is not None:
            yield place, events
        elif hasattr(node, "keys") and depth < _DEEPEST:
            for name, _ in zip(node, range(_MOST_GROUPS), strict=False):
                if type(node.get(name, getlink=True)).__name__ != "ExternalLink":
                    waiting.append((f"{place.rstrip('/')}/{name}", depth + 1))


def _columns(node: Any, fields: tuple[str, ...]) -> Columns | None:
    """Return the fields in a group or table, or in the one named ``events`` in it; None if there are none."""
    if node is None:
        return None
    return _own_columns(node, fields) or (
        _own_columns(node.get("events"), fields) if hasattr(node, "keys") and "events" in node else None
    )


def _own_columns(node: Any, fields: tuple[str, ...]) -> Columns | None:
    if hasattr(node, "dtype"):
        names = match(node.dtype.names or (), fields)
        return None if names is None else {field: (str(node.name), name) for field, name in names.items()}
    if not hasattr(node, "keys"):
        return None
    names = match(node.keys(), fields)
    if names is None or not all(hasattr(node.get(name), "dtype") for name in names.values()):
        return None
    return {field: (f"{str(node.name).rstrip('/')}/{name}", None) for field, name in names.items()}


def _label(place: str, field: str | None) -> str:
    return place if field is None else f"{place}[{field!r}]"


def _dtype(file: h5py.File, place: str, field: str | None) -> np.dtype[Any]:
    dtype: np.dtype[Any] = file[place].dtype
    return dtype if field is None else dtype[field]


def _parents(file: h5py.File, place: str) -> list[Any]:
    """Return the groups around, from the inside out."""
    parts = place.strip("/").split("/")
    return [file["/" + "/".join(parts[:n])] for n in range(len(parts) - 1, -1, -1)] if place != "/" else []


def _offset_us(path: Path, around: list[Any]) -> int | None:
    """Return ``t_offset``, which DSEC's times lack, or None if the file has none."""
    for node in around:
        value = node.get("t_offset") if hasattr(node, "keys") else None
        if value is not None and hasattr(value, "dtype"):
            if value.size != 1 or value.dtype.kind not in "iu":
                raise SessionError(f"{path}: t_offset is {value.shape} of {value.dtype}, expected one whole number, us")
            offset = int(np.asarray(value[()]).ravel()[0])
            if abs(offset) > _MOST_OFFSET_US:
                raise SessionError(f"{path}: t_offset is {offset} us, expected the microseconds that all times lack")
            return offset
    return None


def _stated_size(around: list[Any]) -> tuple[int, int] | None:
    """Return (width, height) as attributes or M3ED's calibration state it, px."""
    for node in around:
        attributes = _attributes(node)
        if {"width", "height"} <= attributes.keys():
            pair = [attributes["width"], attributes["height"]]
        elif "geometry" in attributes:
            pair = attributes["geometry"].split("x")
        else:
            resolution: Any = node.get("calib/resolution") if hasattr(node, "keys") and "calib" in node else None
            pair = [str(v) for v in resolution[()].ravel()] if getattr(resolution, "size", 0) == 2 else []
        if len(pair) == 2 and all(re.fullmatch(r"\d{1,9}", value) for value in pair):
            return int(pair[0]), int(pair[1])
    return None


def _attributes(node: Any) -> dict[str, str]:
    """Return attributes that are text or single numbers, as text."""
    found = {}
    for name, _ in zip(node.attrs, range(64), strict=False):
        value = node.attrs[name]
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, np.ndarray) and value.size == 1:
            value = value.ravel()[0]
        if isinstance(value, str | int | float | np.number) and len(str(value)) <= _LONGEST_TEXT:
            found[str(name)] = str(value)
    return found
