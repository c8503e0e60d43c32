"""What was found, dropped and repaired in an event file: the policy on damage, the same for every format.

- Events outside the sensor, events before the stream has said its time or place, and events earlier than what was
  already delivered by more than `LATE_US` are *dropped* and counted.
- A time word that neither repeats nor follows the one before it is held until the time words after it agree with it. If
  they do, data is missing: a *gap*. If they do not, the word is ignored: a *glitch*, which counts as repaired.
- What comes before the end of a truncated file is kept.
- Containers of arrays (HDF5, NPZ, AEDAT4) announce what they hold: there, time in which nothing happened is no gap
  unless something before it is lost.
- Everything of this is in an `EventFileReport`, with its place in the file; a file of which more than `TOO_DAMAGED` is
  lost is refused.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from au3dmm.errors import SessionError

Unit = Literal["bytes", "events"]
"""What places in a file count: its bytes, or the events of a container's arrays, the first of which is 0."""

TOO_DAMAGED = 0.1
"""Share of events dropped as outside or late, of time words ignored, or of the events that a container announces and
does not hold, above which a file is refused."""

LATE_US = 8192
"""How far the clock may step back before events count as late, us: two steps of EVT3's high time. Cameras step back by
up to 11 us. EVT3's own reader counts in whole steps, and drops a little earlier."""

LATEST_US = 1 << 60
"""Beyond it, before or after 0, times are nonsense, us."""

MAX_SPANS = 200
"""Damaged stretches that a report lists; more are only counted."""

KINDS = ("before_start", "outside_sensor", "late", "time_glitch", "time_gap", "unknown_word", "truncated")
"""What may be wrong with a stretch of a file; the first three are dropped events, the fourth is repaired."""

BEFORE_START, OUTSIDE_SENSOR, LATE, TIME_GLITCH, TIME_GAP, UNKNOWN_WORD, TRUNCATED = range(len(KINDS))
_DROPPED = ("before_start", "outside_sensor", "late")


class EventFileWarning(UserWarning):
    """A recording was read that is damaged; the message says what is missing from it."""


@dataclass(frozen=True)
class DamageSpan:
    """One damaged stretch of a file.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    first, end : int
        Where in the file, the end excluded.
    unit : str
        What they count: ``bytes``, or ``events`` where the file holds arrays (HDF5, NPZ), the first of which is 0.
    t_start_us, t_end_us : int or None
        The clock before and after it, us on the unshifted camera clock; None before it is known.
    count : int
        Events dropped, words ignored, or bytes cut off; in containers always events.
    """

    kind: str
    first: int
    end: int
    unit: Unit
    t_start_us: int | None
    t_end_us: int | None
    count: int


@dataclass(frozen=True)
class EventFileReport:
    """An event file as it was found, up to the point that has been read.

    Attributes
    ----------
    format : str
        ``EVT3``, ``EVT2``, ...
    width, height : int
        Sensor, px.
    events, triggers : int
        Delivered.
    t_first_us, t_last_us : int or None
        Earliest and latest event, us on the unshifted camera clock; None without events. In EVT3 the first and the last
        of the file: cameras step back by a few us.
    t_shift_us : int
        What the vendor's SDK subtracts from all times.
    counts : dict
        By kind of damage (`KINDS`): events dropped, time words ignored, gaps, unknown words, bytes cut off. In a
        container all but gaps are events: those whose times are wrong, that cannot be decoded, and that are missing.
    time_words : int
        Time words read; in a container, events.
    spans : tuple of DamageSpan
        The first `MAX_SPANS` damaged stretches.
    container : bool
        Whether the file holds arrays of events (HDF5, NPZ, AEDAT4), rather than words.
    assumed_size : str
        Why the sensor is taken to be of this size, if the file does not say and nobody else did; otherwise "".
    outside_up_to : (int, int) or None
        Largest column and row of events outside the sensor, px, where that was looked at.
    """

    format: str
    width: int
    height: int
    events: int = 0
    triggers: int = 0
    t_first_us: int | None = None
    t_last_us: int | None = None
    t_shift_us: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    time_words: int = 0
    spans: tuple[DamageSpan, ...] = ()
    container: bool = False
    assumed_size: str = ""
    outside_up_to: tuple[int, int] | None = None

    @property
    def dropped(self) -> int:
        """Events dropped."""
        return sum(self.counts[kind] for kind in _DROPPED)

    @property
    def repaired(self) -> int:
        """Time words (in a container, events) that were ignored because those after them contradict them."""
        return self.counts["time_glitch"]

    @property
    def truncated(self) -> bool:
        """Whether the file ends in the middle of something."""
        return self.counts["truncated"] > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values: the keys of ``au3dmm events info --json``."""
        names = ("format", "width", "height", "events", "triggers", "t_first_us", "t_last_us", "t_shift_us")
        return {
            **{name: getattr(self, name) for name in names},
            "dropped": self.dropped,
            "repaired": self.repaired,
            "truncated": self.truncated,
            "refused": self.refusal(),
            "damage": dict(self.counts),
            "spans": [asdict(span) for span in self.spans],
        }

    def check(self, path: Path) -> None:
        """Refuse a file that is too damaged, or holds no events.

        Raises
        ------
        SessionError
            If nothing was delivered, or more than `TOO_DAMAGED` was lost of the events and words, of the time words, or
            of the events that a container announces; or if events lie outside a sensor whose size is assumed.
        """
        if reason := self.refusal():
            raise SessionError(f"{path}: {reason}")

    def warn(self, path: Path, stacklevel: int = 2) -> None:
        """Warn of what was lost, if anything was, in one sentence: an `EventFileWarning`.

        Parameters
        ----------
        path : Path
            The file.
        stacklevel : int
            Whose line the warning names; 2 that of the caller, as in `warnings.warn`.
        """
        if lost := self.lost():
            text = f"{path}: damaged, read without {lost}; `au3dmm events info` and stream().report tell where"
            warnings.warn(text, EventFileWarning, stacklevel + 1)

    def lost(self) -> str:
        """Say what was lost, "" if nothing was; what comes before the start of a stream is no loss.

        Examples
        --------
        >>> EventFileReport("EVT3", 640, 480, counts={**dict.fromkeys(KINDS, 0), "outside_sensor": 2}).lost()
        '2 events outside the 640x480 sensor'
        """
        n, container = self.counts, self.container
        missing_us = sum(
            (span.t_end_us or 0) - (span.t_start_us or 0) for span in self.spans if span.kind == "time_gap"
        )
        parts = (
            (n["outside_sensor"], "event", f"outside the {self.width}x{self.height} sensor"),
            (n["late"], "event", "behind the clock"),
            (n["time_glitch"], "event" if container else "time word", "that what follows contradicts"),
            (n["unknown_word"], "event" if container else "word", "that cannot be decoded"),
            (n["time_gap"], "gap", f"in time ({missing_us / 1e6:.3f} s in all)"),
            (n["truncated"], "event" if container else "byte", "cut off at its end"),
        )
        return ", ".join(f"{n} {thing}{'' if n == 1 else 's'} {where}" for n, thing, where in parts if n)

    def refusal(self) -> str | None:
        """Return why a file like this is refused, or None."""
        if wrong := self.wrong_size():
            return wrong
        if not self.events:
            return self._why_no_events()
        lost = sum(self.counts[kind] for kind in (*_DROPPED, "unknown_word"))
        missing = self.counts["truncated"] if self.container else 0
        times = "events have times" if self.container else "time words"
        for n, of, what, remedy in (
            (
                lost,
                self.events + lost,
                f"events lie outside the {self.width}x{self.height} sensor, come late, or cannot be decoded",
                "check the sensor's size and the copy of the file",
            ),
            (self.repaired, self.time_words, f"{times} that those after them contradict", "check the copy of the file"),
            (
                missing,
                self.events + lost + missing,
                "events that the file announces are missing at its end",
                "check whether it was written and copied to its end",
            ),
        ):
            if n > TOO_DAMAGED * of:
                return (
                    f"too damaged: {n} of {of} {what}, expected at most {TOO_DAMAGED:.0%}; {remedy}, or take what is"
                    " good of it with `au3dmm events cut`"
                )
        return None

    def wrong_size(self) -> str | None:
        """Return why the sensor cannot be of the size that was assumed, or None."""
        n = self.counts["outside_sensor"]
        if not self.assumed_size or not n:
            return None
        reach = f", up to column {self.outside_up_to[0]}, row {self.outside_up_to[1]}," if self.outside_up_to else ""
        return (
            f"{_events(n)}{reach} {'lies' if n == 1 else 'lie'} outside the sensor, whose size was assumed"
            f" ({self.assumed_size}); say how large it is: --width and --height, or events.width and"
            " events.height in session.toml"
        )

    def _why_no_events(self) -> str:
        n = self.dropped + self.repaired + self.counts["unknown_word"]
        missing = self.counts["truncated"] if self.container else 0
        if not n and missing:
            return f"no events: the {missing} that the file announces are not in it; check whether it was copied whole"
        if not n:
            found = f", but {self.triggers} trigger{'' if self.triggers == 1 else 's'}" if self.triggers else ""
            return f"no events in it{found}; expected an event recording"
        if self.container and self.repaired == n:
            return (
                f"no events: all {n} have times that contradict each other, or beyond {LATEST_US} us (36 500 years);"
                " expected whole microseconds in order: are they nanoseconds?"
            )
        return (
            f"no events: all {n} were dropped, {self.counts['outside_sensor']} of them for lying outside the"
            f" {self.width}x{self.height} sensor; expected an event recording; check the sensor's size and the copy of"
            " the file"
        )


def _events(n: int) -> str:
    return f"{n} event{'' if n == 1 else 's'}"
