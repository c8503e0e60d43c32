"""Write recordings block by block: what all writers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from au3dmm.errors import SessionError
from au3dmm.io.atomic import atomic_path
from au3dmm.io.events.report import LATE_US
from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE

BACK_US = LATE_US
"""How far times may step back: what is later than that, readers drop."""


class EventWriter(ABC):
    """A recording that is written block by block, and whole or not at all: a context manager.

    Leaving the context completes the file; leaving it by an exception removes what was written. However the same events
    and triggers are divided into blocks, the bytes are the same.

    Parameters
    ----------
    path : Path
        The file to write.
    width, height : int
        Sensor, px.
    header : mapping, optional
        What the file is to say of itself, by name, for example ``{"serial_number": "00050123"}``. What a format states
        in a way of its own, or cannot hold, is left out.
    clock_start_us : int, optional
        Where the clock of the recording started, us: what readers that shift times subtract. By default that is the
        first event or trigger.

    Attributes
    ----------
    events, triggers : int
        Written so far.
    """

    format: ClassVar[str]
    last_input: ClassVar[int]
    """Highest number of a trigger input."""
    back_us: ClassVar[int] = BACK_US
    """How far times may step back."""

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        header: Mapping[str, str] | None = None,
        clock_start_us: int | None = None,
    ) -> None:
        if not (0 < width <= 2048 and 0 < height <= 2048):
            raise SessionError(f"{path}: sensor {width}x{height}, {self.format} holds 1x1 to 2048x2048")
        self.path, self.width, self.height = path, width, height
        self.header = dict(header or {})
        self.clock_start_us = clock_start_us
        self.events = self.triggers = 0
        self._whole: AbstractContextManager[Path] = atomic_path(path)

    def __enter__(self) -> Self:
        path = self._whole.__enter__()
        try:
            self._begin(path)
        except BaseException as err:
            self._release()
            self._whole.__exit__(type(err), err, err.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            try:
                self._complete()
            except BaseException as failed:
                self._release()
                self._whole.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self._release()
        self._whole.__exit__(kind, err, tb)

    def append(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        """Write the next events and triggers.

        Parameters
        ----------
        events : (N,) structured array
            Fields t (us on the unshifted camera clock), x, y (px) and p (0 or 1). Times may step back by up to
            `back_us`.
        triggers : (M,) structured array
            Fields t, id (0 to 15) and p (1 rising, 0 falling).

        Raises
        ------
        SessionError
            If a value does not fit the format, or times go back further.
        OutputError
            On leaving the context, if the file cannot be written.
        """
        self._check(events, triggers)
        self.events += len(events)
        self.triggers += len(triggers)
        self._write(events.astype(EVENT_DTYPE, copy=False), triggers.astype(TRIGGER_DTYPE, copy=False))

    @abstractmethod
    def _begin(self, path: Path) -> None:
        """Open the temporary file at `path`."""

    @abstractmethod
    def _write(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        """Write the next events and triggers, which have been checked."""

    @abstractmethod
    def _complete(self) -> None:
        """Write what is left."""

    @abstractmethod
    def _release(self) -> None:
        """Close whatever is open, whether it is complete or not."""

    def _check(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> None:
        for name, stream in (("events", events), ("triggers", triggers)):
            if not len(stream):
                continue
            if not 0 <= int(stream["p"].min()) <= int(stream["p"].max()) <= 1:
                worst = max(stream["p"].min(), stream["p"].max(), key=abs)
                raise SessionError(f"{self.path}: {name} with p = {worst}, expected 0 or 1")
            if stream["t"].min() < 0:
                raise SessionError(f"{self.path}: {name} at {stream['t'].min()} us, expected 0 us or later")
        if len(events):
            ends = [int(events[name].min()) for name in "xy"], [int(events[name].max()) for name in "xy"]
            if min(ends[0]) < 0 or ends[1][0] >= self.width or ends[1][1] >= self.height:
                x, y = ends[0] if min(ends[0]) < 0 else ends[1]
                raise SessionError(
                    f"{self.path}: events up to ({x}, {y}) do not fit a {self.width}x{self.height} sensor"
                )
        if len(triggers) and not 0 <= int(triggers["id"].min()) <= int(triggers["id"].max()) <= self.last_input:
            worst = max(triggers["id"].min(), triggers["id"].max(), key=abs)
            raise SessionError(f"{self.path}: trigger id {worst}, {self.format} has 0 to {self.last_input}")
