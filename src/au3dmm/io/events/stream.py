"""What every event format is turned into: blocks of events and triggers on the camera's unshifted clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# t: us on the unshifted camera clock; x, y: px, (0, 0) top left; p: 1 brighter, 0 darker
EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)], align=True)
# id: trigger input; p: 1 rising edge, 0 falling edge
TRIGGER_DTYPE = np.dtype([("t", np.int64), ("id", np.uint8), ("p", np.uint8)], align=True)


@dataclass(frozen=True)
class EventCounts:
    """What was found in an event file up to some point.

    Attributes
    ----------
    events, triggers : int
        Delivered.
    dropped_before_start : int
        Events and triggers before the stream had said its time, and events before it had said their place.
    dropped_out_of_range : int
        Events outside the sensor.
    time_gaps : int
        Times the clock went on by more than 4096 us at once: lost data, or a writer that leaves idle time out.
    time_glitches : int
        Time words that the next time word contradicted; ignored.
    unknown_words : int
        Words of reserved kinds; ignored.
    trailing_bytes : int
        Bytes at the end that make no whole word.
    """

    events: int = 0
    triggers: int = 0
    dropped_before_start: int = 0
    dropped_out_of_range: int = 0
    time_gaps: int = 0
    time_glitches: int = 0
    unknown_words: int = 0
    trailing_bytes: int = 0


@dataclass(frozen=True)
class Block:
    """Events and triggers of one stretch of a file, in the file's order.

    Attributes
    ----------
    events : (N,) array of EVENT_DTYPE
        Times may step back by a few us where the camera's do.
    triggers : (M,) array of TRIGGER_DTYPE
    counts : EventCounts
        From the start of the file to the end of this block.
    """

    events: NDArray[np.void]
    triggers: NDArray[np.void]
    counts: EventCounts


class EventFile(Protocol):
    """An open event file: a replaceable part, one class per format."""

    path: Path
    format: str
    width: int
    height: int
    header: Mapping[str, str]
    t_shift_us: int

    def blocks(self) -> Iterator[Block]:
        """Decode the file from its start, block by block, in bounded memory; at least one block."""
        ...

    def triggers(self) -> NDArray[np.void]:
        """Return all triggers of the file, (M,) array of TRIGGER_DTYPE."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what the file says of itself, for the metadata of what is made from it."""
        ...
