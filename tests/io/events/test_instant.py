"""Times in a recording: seconds after its first event, or us on its clock, and nothing else."""

from __future__ import annotations

import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.events.instant import Instant


@pytest.mark.parametrize(
    ("text", "us", "is_absolute"),
    [
        ("2.5", 2_500_000, False), ("2.5s", 2_500_000, False), ("0", 0, False), (".25 s", 250_000, False),
        ("3.", 3_000_000, False), ("0.000001", 1, False), ("2500000us", 2_500_000, True), ("1_000 us", 1000, True),
    ],
)  # fmt: skip
def test_times_are_read(text: str, us: int, is_absolute: bool) -> None:
    assert Instant.parse(text) == Instant(us, is_absolute)


@pytest.mark.parametrize("text", ["", "s", ".", "-1", "1e3", "2.5us", "2ms", "1:30", "0.0000001", "nan", "9" * 30, "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no time in a recording, expected seconds .* 2\.5s.* 2500000us"):
        Instant.parse(text)


def test_seconds_count_from_the_first_event_and_microseconds_do_not() -> None:
    assert Instant.parse("1.5").on_clock(1_000_000) == 2_500_000
    assert Instant.parse("1500000us").on_clock(1_000_000) == 1_500_000
