"""What was found, dropped and repaired in an event file: the policy on damage, the same for every format.

- Events outside the sensor, events before the stream has said its time or place, and events earlier than what was
  already delivered by more than `LATE_US` are *dropped* and counted.
- A time word that neither repeats nor follows the one before it is held until the time words after it agree with it. If
  they do, data is missing: a *gap*. If they do not, the word is ignored: a *glitch*, which counts as repaired.
- What comes before the end of a truncated file is kept.
- Everything of this is in an `EventFileReport`, with its place in the file; a file of which more than `TOO_DAMAGED` is
  lost is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from au3dmm.errors import SessionError

TOO_DAMAGED = 0.1
"""Share of events dropped as outside or late, or of time words ignored, above which a file is refused."""

LATE_US = 8192
"""How far the clock may step back before events count as late, us: two steps of EVT3's high time. Cameras step back by
up to 11 us. EVT3's own reader counts in whole steps, and drops a little earlier."""

MAX_SPANS = 200
"""Damaged stretches that a report lists; more are only counted."""

KINDS = ("before_start", "outside_sensor", "late", "time_glitch", "time_gap", "unknown_word", "truncated")
"""What may be wrong with a stretch of a file; the first three are dropped events, the fourth is repaired."""

BEFORE_START, OUTSIDE_SENSOR, LATE, TIME_GLITCH, TIME_GAP, UNKNOWN_WORD, TRUNCATED = range(len(KINDS))
_DROPPED = ("before_start", "outside_sensor", "late")


@dataclass(frozen=True)
class DamageSpan:
    """One damaged stretch of a file.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    first_byte, end_byte : int
        Where in the file, the end excluded.
    t_start_us, t_end_us : int or None
        The clock before and after it, us on the unshifted camera clock; None before it is known.
    count : int
        Events dropped, words ignored, or bytes cut off.
    """

    kind: str
    first_byte: int
    end_byte: int
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
        By kind of damage (`KINDS`): events dropped, time words ignored, gaps, unknown words, bytes cut off.
    time_words : int
        Time words read, where the format has them.
    spans : tuple of DamageSpan
        The first `MAX_SPANS` damaged stretches.
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

    @property
    def dropped(self) -> int:
        """Events dropped."""
        return sum(self.counts[kind] for kind in _DROPPED)

    @property
    def repaired(self) -> int:
        """Time words that were ignored because those after them contradict them."""
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
            If nothing was delivered, or more than `TOO_DAMAGED` of events and words, or of time words, was lost.
        """
        if reason := self.refusal():
            raise SessionError(f"{path}: {reason}")

    def refusal(self) -> str | None:
        """Return why a file like this is refused, or None."""
        if not self.events:
            return (
                f"no events ({self.triggers} triggers, {self.dropped} events dropped of which"
                f" {self.counts['outside_sensor']} outside the {self.width}x{self.height} sensor), expected an event"
                " recording"
            )
        lost = sum(self.counts[kind] for kind in (*_DROPPED, "unknown_word"))
        where = f"events lie outside the {self.width}x{self.height} sensor, come late, or cannot be decoded"
        for n, of, what in (
            (lost, self.events + lost, where),
            (self.repaired, self.time_words, "time words contradict those after them"),
        ):
            if n > TOO_DAMAGED * of:
                return (
                    f"too damaged: {n} of {of} {what}, expected at most {TOO_DAMAGED:.0%}; check the sensor's size and"
                    " the copy of the file, or cut out a good part with `au3dmm events cut`"
                )
        return None
