"""EVT2.1: words of 32 columns in each order of halves and bytes, and the damage that EVT2 has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.io.events import evt2, evt2_decoder, open_events
from container_files import read_all
from raw_files import (
    HEIGHT,
    WIDTH,
    camera_events,
    camera_triggers,
    check_mutants,
    damage,
    decode,
    evt21_bytes,
    evt21_words,
    header,
)

ORDERS = ["little", "legacy", "big"]


def raw(
    tmp_path: Path, words: np.ndarray | list[int], order: str = "little", extra: str = "", tail: bytes = b""
) -> Path:
    path = tmp_path / "events.raw"
    path.write_bytes(header("2.1", extra) + evt21_bytes(np.array(words, np.uint64), order) + tail)
    return path


def high(step: int) -> int:
    return (0x80000000 | step) << 32


def event(mask: int, low: int = 0, x: int = 0, y: int = 0, p: int = 0) -> int:
    return (p << 28 | low << 22 | x << 11 | y) << 32 | mask


def test_each_kind_of_word_means_what_the_format_says(tmp_path: Path) -> None:
    words = [
        *[high(100)] * 9, event(0x80000001, 5, 64, 7, 1), event(0xFFFFFFFF, 63, 0, 8), event(0, 63, 0, 8),
        (0xA0000000 | 6 << 22 | 31 << 8 | 1) << 32, 0xE0000000_00000000, 0xF0000000_00000000, 0x30000000_00000000,
        high(101), event(2, 0, 288, 239, 1),
    ]  # fmt: skip
    events, triggers, report = decode(raw(tmp_path, words))
    row = [(6463, x, 8, 0) for x in range(32)]
    assert events == [(6405, 64, 7, 1), (6405, 95, 7, 1), *row, (6464, 289, 239, 1)]
    assert triggers == [(6406, 31, 1)]
    assert damage(report) == {"unknown_word": 1}
    assert (report.t_shift_us, report.format) == (6400, "EVT2.1")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("stated", ["", "% endianness {}\n", "% format EVT21;height=240;width=320;endianness={}\n"])
def test_a_made_recording_is_read_exactly_in_each_order(tmp_path: Path, order: str, stated: str) -> None:
    events, triggers = camera_events(4000, 100_000), camera_triggers(10, 100_000)
    opened = open_events(raw(tmp_path, evt21_words(events, triggers), order, stated.format(order)))
    assert (opened.order, opened.describe()["order"]) == (order, order)
    found, edges, report = read_all(opened)
    assert np.array_equal(found, events)
    assert np.array_equal(edges, triggers)
    assert not damage(report)


def test_the_order_is_seen_in_the_words_where_the_header_is_wrong(tmp_path: Path) -> None:
    events, triggers = camera_events(1000, 10_000), camera_triggers(2, 10_000)
    path = raw(tmp_path, evt21_words(events, triggers), "legacy", "% endianness little\n")
    assert np.array_equal(read_all(open_events(path))[0], events)


@pytest.mark.parametrize(
    ("stated", "order"), [("", "little"), ("% system_ID 49\n", "legacy"), ("% system_ID 59\n", "little")]
)
def test_few_words_are_read_in_the_order_of_the_camera(tmp_path: Path, stated: str, order: str) -> None:
    words = [high(100), high(100), event(1)]
    opened = open_events(raw(tmp_path, words, order, stated))
    assert opened.order == order
    assert len(read_all(opened)[0]) == 1


def test_columns_beyond_the_sensor_are_dropped_one_by_one(tmp_path: Path) -> None:
    words = [*[high(100)] * 9, event(0xFF, x=WIDTH - 4, y=1), event(0xF, x=WIDTH), event(0x11, y=HEIGHT)]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[1] for e in events] == [WIDTH - 4, WIDTH - 3, WIDTH - 2, WIDTH - 1]
    assert damage(report) == {"outside_sensor": 4 + 4 + 2}


def test_events_before_the_time_is_known_are_counted_one_by_one(tmp_path: Path) -> None:
    _, _, report = decode(raw(tmp_path, [event(0xF0F0), *[high(100)] * 9, event(1)]))
    assert damage(report) == {"before_start": 8}


@pytest.mark.parametrize("n_bytes", [1, 4, 7])
def test_bytes_that_make_no_word_are_told(tmp_path: Path, n_bytes: int) -> None:
    events, _, report = decode(raw(tmp_path, [*[high(100)] * 9, event(1)], tail=b"\1" * n_bytes))
    assert len(events) == 1
    assert damage(report) == {"truncated": n_bytes}


def test_block_borders_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    border = evt2_decoder.LOOKAHEAD
    words = evt21_words(camera_events(50_000, 300_000), camera_triggers(20, 300_000))
    assert len(words) > border + 2000
    words[np.flatnonzero(words >> np.uint64(60) == 8)[[0, 5000]]] ^= np.uint64(1 << 50)
    path = raw(tmp_path, np.delete(words, slice(border + 100, border + 1100)), "legacy")
    whole = decode(path)
    assert whole[2].counts["time_glitch"] == 2
    for n_words in (border + 1, border + 2, border + 999):
        monkeypatch.setattr(evt2, "_WORDS", n_words)
        assert decode(path) == whole


def test_full_words_are_read_in_bounded_memory(tmp_path: Path) -> None:
    words = np.full(3 * evt2._WORDS, event(0xFFFFFFFF, x=32, y=5, p=1), np.uint64)
    words[:10] = high(100)
    stream = open_events(raw(tmp_path, words)).stream()
    sizes = [len(chunk.events) for chunk in stream]
    assert sum(sizes) == 32 * (len(words) - 10)
    assert max(sizes) <= 32 * evt2._WORDS


@pytest.mark.parametrize("order", ["little", "legacy"])
def test_damaged_files_are_read_in_part_or_refused(tmp_path: Path, order: str) -> None:
    words = evt21_words(camera_events(700, 5_000), camera_triggers(6, 5_000))
    data = header("2.1", f"% endianness {order}\n") + evt21_bytes(words, order)
    outcome = check_mutants(data, tmp_path / "a.raw", range(300))
    assert outcome["read"] > 200
    assert outcome["refused"] > 2
    assert outcome["lines"] == 1
