"""The log of damage: counts are exact, places are joined where they are near, and room never runs out."""

from __future__ import annotations

import numpy as np

from au3dmm.io.events.damage import UNKNOWN_US, DamageLog, note
from au3dmm.io.events.report import (
    BEFORE_START,
    KINDS,
    LATE,
    MAX_SPANS,
    OUTSIDE_SENSOR,
    TIME_GAP,
    TIME_GLITCH,
    DamageSpan,
)


def noted(*items: tuple[int, ...]) -> DamageLog:
    log = DamageLog()
    for item in items:
        note(log.rows, log.counts, *item)
    return log


def test_near_damage_of_one_kind_is_one_stretch_also_if_kinds_alternate() -> None:
    log = noted(
        (OUTSIDE_SENSOR, 100, 104, 5, 5, 1),
        (TIME_GLITCH, 104, 108, 6, 6, 1),
        (OUTSIDE_SENSOR, 108, 112, 7, 7, 3),
        (TIME_GLITCH, 4000, 4004, 8, 8, 1),
        (OUTSIDE_SENSOR, 9000, 9004, 9, 9, 1),
    )
    assert log.spans() == (
        DamageSpan("outside_sensor", 100, 112, "bytes", 5, 7, 4),
        DamageSpan("time_glitch", 104, 4004, "bytes", 6, 8, 2),
        DamageSpan("outside_sensor", 9000, 9004, "bytes", 9, 9, 1),
    )
    assert log.by_kind()["outside_sensor"] == 5


def test_every_gap_stands_for_itself() -> None:
    log = noted((TIME_GAP, 100, 104, 5, 500, 1), (TIME_GAP, 104, 108, 500, 900, 1))
    assert [(span.t_start_us, span.t_end_us) for span in log.spans()] == [(5, 500), (500, 900)]


def test_nothing_is_noted_for_nothing() -> None:
    log = noted((LATE, 100, 104, 5, 5, 0))
    assert log.spans() == ()
    assert not log.counts.any()


def test_a_time_that_is_not_known_is_none() -> None:
    (span,) = noted((BEFORE_START, 0, 4, UNKNOWN_US, UNKNOWN_US, 2)).spans()
    assert (span.t_start_us, span.t_end_us) == (None, None)


def test_what_is_more_than_there_is_room_for_is_only_counted() -> None:
    rng = np.random.default_rng(0)
    log = DamageLog()
    total = np.zeros(len(KINDS), np.int64)
    for i in range(5000):
        kind, n = int(rng.integers(0, len(KINDS))), int(rng.integers(1, 9))
        note(log.rows, log.counts, kind, 10_000 * i, 10_000 * i + 4, i, i, n)
        total[kind] += n
    assert np.array_equal(log.counts, total)
    assert len(log.spans()) == MAX_SPANS
    assert [span.first for span in log.spans()] == [10_000 * i for i in range(MAX_SPANS)]
