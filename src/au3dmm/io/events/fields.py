"""Which arrays of a container hold t, x, y and p of its events, and whether they can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.events.header import RawHeader, sensor_size
from au3dmm.io.events.stream import TRIGGER_DTYPE

FIELDS = ("t", "x", "y", "p")
_NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
    "id": ("id",),
}
_NEVER_US = 1 << 61  # beyond this a trigger's time is nonsense


def match(names: Iterable[str], fields: Iterable[str] = FIELDS) -> dict[str, str] | None:
    """Return which of `names` is which field, or None if one has none.

    Examples
    --------
    >>> match(["ts", "x", "y", "polarity", "frames"])
    {'t': 'ts', 'x': 'x', 'y': 'y', 'p': 'polarity'}
    """
    there = set(names)
    found = {field: next((name for name in _NAMES[field] if name in there), None) for field in fields}
    complete = {field: name for field, name in found.items() if name is not None}
    return complete if len(complete) == len(found) else None


def check_kinds(path: Path, dtypes: Mapping[str, tuple[str, np.dtype[Any]]]) -> None:
    """Refuse arrays whose numbers cannot be events.

    Parameters
    ----------
    path : Path
    dtypes : mapping
        (Name in the file, dtype) by field.

    Raises
    ------
    SessionError
        If one holds objects, text or fractions.
    """
    for field, (name, dtype) in dtypes.items():
        if dtype.hasobject:
            raise SessionError(f"{path}: {name} holds Python objects, which are not read; write it as whole numbers")
        if dtype.kind == "f" and field == "t":
            raise SessionError(
                f"{path}: {name} is {dtype}, expected whole microseconds; if it is in seconds, write"
                f" np.rint({name} * 1e6).astype(np.int64)"
            )
        if dtype.kind not in ("iub" if field == "p" else "iu") or dtype.subdtype is not None:
            expected = {"t": "microseconds", "p": "0/1, -1/1 or booleans"}.get(field, "pixels")
            raise SessionError(f"{path}: {name} is {dtype}, expected whole numbers: {expected}")


def size_of(path: Path, stated: tuple[int, int] | None, width: int | None, height: int | None) -> tuple[int, int]:
    """Return (width, height) of the sensor as the file states it, px, else as the session's manifest does.

    Raises
    ------
    ConfigError
        If the two contradict each other.
    SessionError
        If neither says.
    """
    return sensor_size(path, RawHeader({"geometry": f"{stated[0]}x{stated[1]}"} if stated else {}, 0), width, height)


def make_triggers(t_us: NDArray[np.int64], channel: NDArray[Any], p: NDArray[Any]) -> NDArray[np.void]:
    """Return triggers as an array of TRIGGER_DTYPE, without those that no camera could have sent.

    Parameters
    ----------
    t_us : (M,) array
        us on the unshifted camera clock.
    channel : (M,) array
        Trigger input, 0 to 255.
    p : (M,) array
        1 rising edge; 0 or -1 falling edge.
    """
    sane = (np.abs(t_us) < _NEVER_US) & (channel >= 0) & (channel <= 255) & (p >= -1) & (p <= 1)
    triggers = np.empty(int(sane.sum()), TRIGGER_DTYPE)
    triggers["t"], triggers["id"], triggers["p"] = t_us[sane], channel[sane], p[sane] > 0
    return triggers
