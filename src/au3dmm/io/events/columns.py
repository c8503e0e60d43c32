"""Events as columns: what a container holds, as numbers that can be checked, or a stretch of it that is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.packed_events import STRIDE

BLOCK = 1 << 17
"""Events that a file should yield at once: about 3 MiB of arrays."""

_ENDLESS_US = 1 << 61  # times beyond it would overflow


@dataclass(frozen=True)
class Columns:
    """N events of a container, in its order.

    Attributes
    ----------
    t_us : (N,) int64 array
        Unshifted camera clock; see `times`.
    x, y : (N,) int32 arrays
        px; see `coordinates`.
    p : (N,) int8 array
        1 brighter, 0 or -1 darker, 2 neither; see `polarities`.
    place : (N,) int64 array
        Where each is: what `DamageSpan.first` says of it.
    """

    t_us: NDArray[np.int64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    p: NDArray[np.int8]
    place: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """Return no events."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing.astype(np.int32), nothing.astype(np.int32), nothing.astype(np.int8), nothing)

    def join(self, other: Columns) -> Columns:
        """Return these events and then the others."""
        if not len(self.t_us):
            return other
        return Columns(
            np.concatenate([self.t_us, other.t_us]),
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.p, other.p]),
            np.concatenate([self.place, other.place]),
        )

    def after(self, n: int) -> Columns:
        """Return a copy without the first `n`."""
        return Columns(
            self.t_us[n:].copy(), self.x[n:].copy(), self.y[n:].copy(), self.p[n:].copy(), self.place[n:].copy()
        )


@dataclass(frozen=True)
class Lost:
    """A stretch of a container that holds no events: it cannot be decoded, or the file ends before it.

    Attributes
    ----------
    kind : int
        `report.UNKNOWN_WORD` (cannot be decoded) or `report.TRUNCATED` (the file ends).
    first, end : int
        Where, the end excluded.
    count : int
        Events lost, as far as is known; at least 1.
    """

    kind: int
    first: int
    end: int
    count: int


def times(values: NDArray[Any], offset_us: int = 0) -> NDArray[np.int64]:
    """Return times in us plus `offset_us` as int64; what is beyond all sense stays so, without overflow.

    Examples
    --------
    >>> times(np.array([1, 2**64 - 1], np.uint64), 10).tolist() == [11, 2**61 + 10]
    True
    """
    wide = values.dtype.kind == "u" and values.dtype.itemsize == 8
    t = np.minimum(values, np.uint64(_ENDLESS_US)).astype(np.int64) if wide else values.astype(np.int64)
    if values.dtype.itemsize == 8 and not wide:
        np.clip(t, -_ENDLESS_US, _ENDLESS_US, out=t)
    t += offset_us
    return t


def coordinates(values: NDArray[Any]) -> NDArray[np.int32]:
    """Return columns or rows in px as int32; what no sensor has becomes -1 or `STRIDE`."""
    if values.dtype.itemsize >= 4:
        values = np.clip(values, -1 if values.dtype.kind == "i" else 0, STRIDE)
    return values.astype(np.int32)


def polarities(values: NDArray[Any]) -> NDArray[np.int8]:
    """Return polarities as int8: booleans, 0 and 1, or -1 and 1 as they are, 2 for anything else.

    Examples
    --------
    >>> polarities(np.array([-1, 1, 255, 0]))
    array([-1,  1,  2,  0], dtype=int8)
    """
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    p = np.where(values <= 1, values, 2)
    return np.where(p >= -1, p, 2).astype(np.int8)
