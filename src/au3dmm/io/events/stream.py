"""What every event format is turned into: chunks of events and triggers on the camera's unshifted clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au3dmm.core.packed_events import EVENT_DTYPE, PackedEvents
from au3dmm.core.painting import NOT_YET, paint_until
from au3dmm.io.events.report import EventFileReport

# id: trigger input; p: 1 rising edge, 0 falling edge
TRIGGER_DTYPE = np.dtype([("t", np.int64), ("id", np.uint8), ("p", np.uint8)], align=True)


@dataclass(frozen=True)
class Chunk:
    """Events and triggers of one stretch of a file, in the file's order.

    Attributes
    ----------
    events : PackedEvents
        All inside the sensor. Its arrays are overwritten by the next chunk: use or copy them before.
    triggers : (M,) array of TRIGGER_DTYPE
        Free to keep.
    """

    events: PackedEvents
    triggers: NDArray[np.void]


def own_room() -> Callable[[int], NDArray[np.void]]:
    """Return a `room` for `EventStream.arrays` that gives the same array again and again."""
    out = np.empty(0, EVENT_DTYPE)

    def room(n: int) -> NDArray[np.void]:
        nonlocal out
        if n > len(out):
            out = np.empty(n, EVENT_DTYPE)  # only what is filled takes memory
        return out

    return room


class EventStream(ABC):
    """One pass over an event file: an iterator of chunks that knows what it has met so far.

    A format's class sets `width` and implements `__next__` and `report`. Either iterate over a stream or paint from
    it, not both.

    Attributes
    ----------
    width : int
        Of the sensor, px.
    """

    width: int
    _rest: PackedEvents | None = None  # of the chunk that is being painted
    _next_run = 0
    _now_us = NOT_YET

    def __iter__(self) -> Iterator[Chunk]:
        return self

    @abstractmethod
    def __next__(self) -> Chunk:
        """Return the next chunk; StopIteration after the last.

        Raises
        ------
        SessionError
            If the file cannot be read.
        """

    @property
    def bytes_left(self) -> int:
        """How much of the file has not been read; containers estimate it."""
        return 0

    @property
    @abstractmethod
    def report(self) -> EventFileReport:
        """What was found from the start of the file to the end of the last chunk."""

    def arrays(self, room: Callable[[int], NDArray[np.void]] | None = None) -> Iterator[NDArray[np.void]]:
        """Yield the events that come next, block by block, as (N,) arrays of EVENT_DTYPE.

        Triggers are left out.

        Parameters
        ----------
        room : callable, optional
            Called before each block with a number of events; returns an array for as many or more, contiguous, in the
            first elements of which they are put. By default an array is overwritten by the next one: use or copy it
            before.

        Raises
        ------
        SessionError
            If the file cannot be read.
        """
        room = room or own_room()
        for chunk in self:
            yield chunk.events.unpack(room(len(chunk.events)))

    def paint(self, buffer: NDArray[np.uint8], until_us: int) -> int:
        """Paint the events that come next, as long as their running time is before `until_us`.

        The last event of a pixel wins. An event that is earlier than the one before it (cameras step back by a few us)
        counts at the time of the one before.

        Parameters
        ----------
        buffer : (GUARD + height * width,) uint8 array
            See `au3dmm.core.painting.frame_buffer`; 255 is painted for brighter, 0 for darker.
        until_us : int
            End of the time painted, excluded, us on the unshifted camera clock.

        Returns
        -------
        int
            Events painted; after the end of the file 0.

        Raises
        ------
        SessionError
            If the file cannot be read.
        """
        painted = 0
        while True:
            if self._rest is None:
                chunk = next(self, None)
                if chunk is None:
                    return painted
                self._rest, self._next_run = chunk.events, 0
            self._next_run, self._now_us, n = paint_until(
                self._rest, self._next_run, self._now_us, until_us, buffer, self.width
            )
            painted += n
            if self._next_run < len(self._rest.run_us):
                return painted
            self._rest = None


class EventFile(ABC):
    """An open event file: a replaceable part, one class per format; `au3dmm.io.events.open_events` makes it.

    Attributes
    ----------
    path : Path
    format : str
        ``EVT3``, ``EVT2``, ...
    width, height : int
        Sensor, px.
    header : mapping
        What the file says of itself, by name.
    t_shift_us : int
        What the vendor's SDK subtracts from all times.
    assumed_size : str
        Why the sensor is taken to be of this size, if neither the file nor the caller says it; otherwise "".
    """

    path: Path
    format: str
    width: int
    height: int
    header: Mapping[str, str]
    t_shift_us: int
    assumed_size: str = ""

    @abstractmethod
    def stream(self) -> EventStream:
        """Read the file from its start in bounded memory, however large it is.

        Raises
        ------
        SessionError
            If the file cannot be opened.
        """

    def triggers(self) -> NDArray[np.void]:
        """Return all triggers of the file, (M,) array of TRIGGER_DTYPE; decodes the whole file."""
        found = [chunk.triggers for chunk in self.stream()]
        return np.concatenate(found) if found else np.zeros(0, TRIGGER_DTYPE)

    def describe(self) -> dict[str, Any]:
        """Return what the file says of itself, for the metadata of what is made from it."""
        return {
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "t_shift_us": self.t_shift_us,
            "header": dict(self.header),
        }


__all__ = ["EVENT_DTYPE", "TRIGGER_DTYPE", "Chunk", "EventFile", "EventStream"]
