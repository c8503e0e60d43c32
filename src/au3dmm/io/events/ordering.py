"""Put events and triggers into the order that a RAW file needs: one in which its time words never go back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from au3dmm.io.events.stream import EVENT_DTYPE, TRIGGER_DTYPE


class Ordering:
    """Sorts what a damaged recording delivers out of order, block by block; what is in order stays as it is.

    RAW files state the upper bits of the time apart from the events. Where these bits go back, readers see a clock that
    was set back, and drop what is far behind. Events of one step of these bits stay in their order, also where their
    times step back, as those of cameras do by a few us.

    Parameters
    ----------
    step_us : int
        How much time goes by from one step of the upper bits to the next.
    settled_us : int
        After an event that is later than a time by this much, none before that time comes any more.
    """

    def __init__(self, step_us: int, settled_us: int) -> None:
        self._step_us, self._settled_us = step_us, settled_us
        self._events = np.zeros(0, EVENT_DTYPE)
        self._triggers = np.zeros(0, TRIGGER_DTYPE)
        self._latest: int | None = None

    def add(self, events: NDArray[np.void], triggers: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Take the next events and triggers, and return those that nothing will come before any more."""
        if len(events):
            latest = int(events["t"].max())
            self._latest = latest if self._latest is None else max(latest, self._latest)
        self._events = self._sorted(np.concatenate([self._events, events]))
        self._triggers = self._sorted(np.concatenate([self._triggers, triggers]))
        if self._latest is None:
            return self._events[:0], self._triggers[:0]
        settled = (self._latest - self._settled_us) // self._step_us
        n, k = (int(np.searchsorted(part["t"] // self._step_us, settled)) for part in (self._events, self._triggers))
        ready = self._events[:n], self._triggers[:k]
        self._events, self._triggers = self._events[n:].copy(), self._triggers[k:].copy()
        return ready

    def rest(self) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return what is left, after the last block."""
        return self._events, self._triggers

    def _sorted(self, part: NDArray[np.void]) -> NDArray[np.void]:
        step = part["t"] // self._step_us
        return part if (np.diff(step) >= 0).all() else part[np.argsort(step, kind="stable")]
