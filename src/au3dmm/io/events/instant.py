"""Times in a recording as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from au3dmm.errors import ConfigError


@dataclass(frozen=True)
class Instant:
    """A time in a recording: seconds after its first event, or us on its clock.

    Attributes
    ----------
    value_us : int
    is_absolute : bool
        On the unshifted camera clock, rather than after the first event.
    """

    value_us: int
    is_absolute: bool

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read ``2.5`` or ``2.5s``, seconds after the first event, or ``2500000us``, on the camera's clock.

        Raises
        ------
        ConfigError
            If it is neither.

        Examples
        --------
        >>> Instant.parse("2.5s"), Instant.parse("2500000us")
        (Instant(value_us=2500000, is_absolute=False), Instant(value_us=2500000, is_absolute=True))
        """
        number = text.strip().replace("_", "")
        if re.fullmatch(r"\d{1,18} ?us", number, re.ASCII):
            return cls(int(number[:-2]), True)
        seconds = re.fullmatch(r"(\d{1,12})(?:\.(\d*))? ?s?|\.(\d+) ?s?", number, re.ASCII)
        if seconds is None or len(fraction := seconds[2] or seconds[3] or "") > 6:
            raise ConfigError(
                f"{text!r} is no time in a recording, expected seconds after its first event such as 2.5s, to six"
                " decimals, or microseconds on its clock such as 2500000us"
            )
        return cls(int(seconds[1] or 0) * 1_000_000 + int(fraction.ljust(6, "0")), False)

    def on_clock(self, first_event_us: int) -> int:
        """Return it in us on the unshifted camera clock."""
        return self.value_us if self.is_absolute else first_event_us + self.value_us
