"""EVT3: planted words, round trips, damage, and the shared recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import OutputError, SessionError
from au3dmm.io.events import EVENT_DTYPE, TRIGGER_DTYPE, evt3, open_events, write_evt3
from au3dmm.io.events.report import KINDS, EventFileReport

HEADER = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n"


def raw(tmp_path: Path, words: list[int], header: bytes = HEADER, tail: bytes = b"") -> Path:
    path = tmp_path / "events.raw"
    path.write_bytes(header + np.array(words, "<u2").tobytes() + tail)
    return path


def decode(path: Path) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], EventFileReport]:
    events, triggers = [], []
    stream = open_events(path).stream()
    for chunk in stream:
        events += chunk.events.unpack().tolist()
        triggers += chunk.triggers.tolist()
    assert (stream.report.events, stream.report.triggers) == (len(events), len(triggers))
    return events, triggers, stream.report


def damage(report: EventFileReport) -> dict[str, int]:
    """Return what is not zero."""
    assert {span.kind for span in report.spans} == {kind for kind in KINDS if report.counts[kind]}
    return {kind: n for kind, n in report.counts.items() if n}


def random_stream(n: int, span_us: int, start_us: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = start_us + np.sort(rng.integers(0, span_us, n))
    events["x"], events["y"], events["p"] = rng.integers(0, 1280, n), rng.integers(0, 720, n), rng.integers(0, 2, n)
    # rows read out at once: same time, row and sign, columns in order, some far apart and some near
    for i in range(0, n - 20, 40):
        run = slice(i, i + int(rng.integers(2, 20)))
        events["t"][run], events["y"][run], events["p"][run] = events["t"][i], events["y"][i], events["p"][i]
        events["x"][run] = np.sort(rng.choice(60, run.stop - run.start, replace=False)) + 1220
    events = events[np.argsort(events["t"], kind="stable")]
    triggers = np.zeros(n // 100, TRIGGER_DTYPE)
    triggers["t"] = start_us + np.sort(rng.integers(0, span_us, n // 100))
    triggers["id"], triggers["p"] = rng.integers(0, 16, n // 100), np.arange(n // 100) % 2
    return events, triggers


def test_each_kind_of_word_means_what_the_format_says(tmp_path: Path) -> None:
    words = [
        0x8005, 0x6010, 0x0007,  # time 5 << 12 | 0x10, row 7
        0x2003, 0x2804,  # single events at 3 (darker) and 4 (brighter)
        0x3864, 0x4801, 0x5081,  # base 100, brighter: 100, 111; then 112 and 119
        0xA301, 0xA000,  # trigger 3 rises, trigger 0 falls
        0x8005, 0x2005,  # a repeated TIME_HIGH leaves TIME_LOW as it is
        0x8006, 0x2006,  # the next one begins a new 4096 us
        0x7123, 0xE014, 0xF456,  # camera monitoring, of no interest
        0x1000, 0x9999,  # reserved
    ]  # fmt: skip
    events, triggers, report = decode(raw(tmp_path, words))
    t = 5 << 12 | 0x10
    assert events == [
        (t, 3, 7, 0), (t, 4, 7, 1), (t, 100, 7, 1), (t, 111, 7, 1), (t, 112, 7, 1), (t, 119, 7, 1),
        (t, 5, 7, 0), (6 << 12, 6, 7, 0),
    ]  # fmt: skip
    assert triggers == [(t, 3, 1), (t, 0, 0)]
    assert damage(report) == {"unknown_word": 2}
    assert (report.t_first_us, report.t_last_us) == (t, 6 << 12)


def test_vector_words_stand_for_themselves_in_any_number(tmp_path: Path) -> None:
    words = [0x8001, 0x0000, 0x3000, 0x4001, 0x5001, 0x4001, 0x5001, 0x5001]
    events, _, _ = decode(raw(tmp_path, words))
    assert [e[1] for e in events] == [0, 12, 20, 32, 40]


def test_an_event_column_leaves_the_vector_base_alone(tmp_path: Path) -> None:
    events, _, _ = decode(raw(tmp_path, [0x8001, 0x0000, 0x3020, 0x2005, 0x4001]))
    assert [e[1] for e in events] == [5, 0x20]


def test_what_comes_before_time_and_place_are_known_is_dropped_and_counted(tmp_path: Path) -> None:
    words = [0x2001, 0x3000, 0x4007, 0xA001, 0x0005, 0x6001, 0x2001, 0x8001, 0x2009]
    events, triggers, report = decode(raw(tmp_path, words))
    assert events == [(1 << 12, 9, 5, 0)]
    assert not triggers
    assert damage(report) == {"before_start": 6}
    assert report.spans[0].t_start_us is None
    no_row = decode(raw(tmp_path, [0x8001, 0x2001, 0x4003, 0x0000, 0x2002]))
    assert [e[1] for e in no_row[0]] == [2]
    assert damage(no_row[2]) == {"before_start": 3}


def test_events_outside_the_sensor_are_dropped_and_counted(tmp_path: Path) -> None:
    header = HEADER.replace(b"1280", b"100").replace(b"720", b"10")
    words = [0x8001, 0x0009, 0x2064, 0x2063, 0x3060, 0x401F, 0x000A, 0x2001, 0x4001, 0x07FF, 0x2001]
    events, _, report = decode(raw(tmp_path, words, header))
    assert [(e[1], e[2]) for e in events] == [(99, 9), (96, 9), (97, 9), (98, 9), (99, 9)]
    assert damage(report) == {"outside_sensor": 5}
    (span,) = report.spans
    assert (span.first, span.end, span.count) == (len(header) + 4, len(header) + 22, 5)


def test_a_trailing_odd_byte_is_reported_and_nothing_is_lost(tmp_path: Path) -> None:
    events, _, report = decode(raw(tmp_path, [0x8001, 0x0000, 0x2001], tail=b"\x05"))
    assert len(events) == 1
    assert damage(report) == {"truncated": 1}
    assert report.truncated


def test_the_24_bit_clock_is_unrolled(tmp_path: Path) -> None:
    words = []
    for high in range(4090, 4090 + 2 * 4096 + 10):
        words += [0x8000 | high & 0xFFF, 0x0000, 0x2001]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[0] for e in events] == [h << 12 for h in range(4090, 4090 + 2 * 4096 + 10)]
    assert damage(report) == {}


@pytest.mark.parametrize("wrong", [-3, -1, 2, 700, 2500])
def test_a_single_wrong_time_word_moves_nothing_else(tmp_path: Path, wrong: int) -> None:
    highs = [10, 10, 11, (11 + wrong) & 0xFFF, 11, 12, 12]
    words = [w for high in highs for w in (0x8000 | high, 0x6001, 0x0000, 0x2001)]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[0] >> 12 for e in events] == [10, 10, 11, 11, 11, 12, 12]
    assert damage(report) == {"time_glitch": 1}
    assert report.repaired == 1


def test_lost_data_is_a_gap_that_the_following_time_words_confirm(tmp_path: Path) -> None:
    words = [*[0x800A] * 9, 0x0000, 0x2001, 0x800B, 0x6123, 0x2001]  # the new time begins at 0
    words += [0x8000 | 500, 0x2001, 0x8000 | 500, 0x2001, 0x8000 | 501, 0x2001]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[0] for e in events] == [10 << 12, 11 << 12 | 0x123, 500 << 12, 500 << 12, 501 << 12]
    assert damage(report) == {"time_gap": 1}
    assert (report.spans[0].t_start_us, report.spans[0].t_end_us) == (11 << 12 | 0x123, 500 << 12)


def test_a_writer_that_leaves_idle_time_out_is_read(tmp_path: Path) -> None:
    highs = [*range(3800, 4000, 25), 4010, 4070, 5 + 4096, 60 + 4096]
    words = [w for high in highs for w in (0x8000 | high & 0xFFF, 0x0000, 0x2001)]
    events, _, report = decode(raw(tmp_path, words))
    assert [e[0] >> 12 for e in events] == highs
    assert damage(report) == {"time_gap": len(highs) - 1}


@pytest.mark.parametrize("start_us", [0, 4096 * 3 + 17, (1 << 24) - 5000])
def test_what_is_written_is_read_back_exactly(tmp_path: Path, start_us: int) -> None:
    events, triggers = random_stream(5000, 20_000_000, start_us)
    path = tmp_path / "events.raw"
    n_words = write_evt3(path, events, triggers, width=1280, height=720, header_extra={"serial_number": "7"})
    opened = open_events(path)
    stream = opened.stream()
    assert np.array_equal(np.concatenate([chunk.events.unpack() for chunk in stream]), events)
    assert np.array_equal(opened.triggers(), triggers)
    assert (stream.report.events, stream.report.triggers, damage(stream.report)) == (5000, 50, {})
    assert (stream.report.t_first_us, stream.report.t_last_us) == (events["t"][0], events["t"][-1])
    assert opened.header["serial_number"] == "7"
    assert (opened.width, opened.height) == (1280, 720)
    assert opened.t_shift_us == max((min(events["t"][0], triggers["t"][0]) >> 12) - 1, 0) << 12
    assert 2 * n_words < path.stat().st_size < 2 * n_words + 200


def test_rows_of_neighbours_are_written_as_vectors(tmp_path: Path) -> None:
    events = np.zeros(32, EVENT_DTYPE)
    events["t"], events["x"] = 5000, np.arange(32)
    assert write_evt3(tmp_path / "a.raw", events, np.zeros(0, TRIGGER_DTYPE), width=64, height=4) == 7


def test_times_a_multiple_of_4096_us_apart_are_written_in_full(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events["t"] = 77 + 4096 * np.array([0, 1, 5])
    write_evt3(tmp_path / "a.raw", events, np.zeros(0, TRIGGER_DTYPE), width=4, height=4)
    assert [e[0] for e in decode(tmp_path / "a.raw")[0]] == events["t"].tolist()


def test_block_borders_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, triggers = random_stream(3000, 9_000_000, 1000, seed=1)
    path = tmp_path / "events.raw"
    write_evt3(path, events, triggers, width=1280, height=720)
    data = bytearray(path.read_bytes())
    # a wrong time word and a hole, where a border will fall somewhere near
    words = np.frombuffer(bytes(data[-20_000:]), "<u2").copy()
    high = np.flatnonzero(words >> 12 == 8)
    words[high[3]] ^= 0x0400
    data[-20_000:] = words.tobytes()
    del data[-9_000:-5_000]
    path.write_bytes(data)
    whole = decode(path)
    for n_words in (evt3.LOOKAHEAD + 2, evt3.LOOKAHEAD + 3):
        monkeypatch.setattr(evt3, "_WORDS", n_words)
        assert decode(path) == whole


def test_a_jump_is_not_decided_before_the_words_that_confirm_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evt3, "_WORDS", evt3.LOOKAHEAD + 3)
    idle = [0xE000] * (evt3.LOOKAHEAD - 4)
    words = [
        *[0x8001] * 9,
        0x0000,
        0x2001,
        *idle,
        0x8500,
        *[0x2002] * 9,
        0x8001,
        0x2003,
    ]  # 0x8500 is the block's 4th last
    events, _, report = decode(raw(tmp_path, words))
    assert {e[0] >> 12 for e in events} == {1}
    assert damage(report) == {"time_glitch": 1}


def test_two_readings_give_the_same_blocks(tmp_path: Path) -> None:
    events, triggers = random_stream(2000, 100_000, 0)
    path = tmp_path / "events.raw"
    write_evt3(path, events, triggers, width=1280, height=720)
    opened = open_events(path)
    for one, two in zip(opened.stream(), opened.stream(), strict=True):
        assert np.array_equal(one.events.unpack(), two.events.unpack())


@pytest.mark.parametrize("seed", range(5))
def test_noise_never_breaks_the_reader_nor_leaves_the_sensor(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = [*[0x8001] * 9, *rng.integers(0, 1 << 16, 20_000).tolist()]
    events, _, report = decode(raw(tmp_path, words))
    array = np.array(events)
    assert len(events) > 0
    assert array[:, 1].max() < 1280
    assert array[:, 2].max() < 720
    # every jump of the clock is in the report: what is left of a thousand random times is a step now and then
    assert (np.diff(array[:, 0] >> 12) <= 1).all()
    assert report.repaired > 1000


def test_times_out_of_order_are_not_written(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events["t"] = [5, 9, 7]
    with pytest.raises(SessionError, match="events go back in time at number 2"):
        write_evt3(tmp_path / "a.raw", events, np.zeros(0, TRIGGER_DTYPE), width=4, height=4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("t", 1 << 24, "starts at 16777216 us"),
        ("x", 4, r"do not fit a 4x4 sensor"),
        ("p", 2, "p = 2, expected 0 or 1"),
    ],
)
def test_values_that_do_not_fit_are_not_written(tmp_path: Path, field: str, value: int, match: str) -> None:
    events = np.zeros(1, EVENT_DTYPE)
    events[field] = value
    with pytest.raises(SessionError, match=match):
        write_evt3(tmp_path / "a.raw", events, np.zeros(0, TRIGGER_DTYPE), width=4, height=4)
    triggers = np.zeros(1, TRIGGER_DTYPE)
    triggers["id"] = 16
    with pytest.raises(SessionError, match="trigger id 16"):
        write_evt3(tmp_path / "a.raw", np.zeros(0, EVENT_DTYPE), triggers, width=4, height=4)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    empty = np.zeros(0, EVENT_DTYPE), np.zeros(0, TRIGGER_DTYPE)
    with pytest.raises(OutputError, match=r"a\.raw: cannot be written"):
        write_evt3(tmp_path / "file" / "a.raw", *empty, width=4, height=4)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["pexels_trigger", "single_motion"])
def test_the_shared_sessions_decode_to_their_truth(shared_data: Path, name: str) -> None:
    folder = shared_data / "sessions" / name
    truth = json.loads((folder / "truth.json").read_text())
    opened = open_events(folder / "events.raw")
    assert opened.t_shift_us == truth["raw_base_us"]
    sums = np.zeros(4, np.int64)
    triggers = []
    stream = opened.stream()
    for chunk in stream:
        e = chunk.events.unpack()
        triggers.append(chunk.triggers)
        sums += [
            (e["t"] - opened.t_shift_us).sum(), e["x"].sum(dtype=int), e["y"].sum(dtype=int), e["p"].sum(dtype=int),
        ]  # fmt: skip
    report = stream.report
    assert (report.events, report.triggers, damage(report)) == (truth["event_count"], truth["trigger_edges"], {})
    assert sums.tolist() == [truth["sum_t_us"], truth["sum_x"], truth["sum_y"], truth["event_count_on"]]
    assert (report.t_first_us, report.t_last_us) == (truth["first_event_raw_us"], truth["last_event_raw_us"])
    edges = np.concatenate(triggers)
    assert int(edges["p"].sum()) == truth["triggers_rising"]
    if len(edges):
        assert edges["t"][0] - opened.t_shift_us == truth["first_trigger_us"]
        assert edges["t"][-1] - opened.t_shift_us == truth["last_trigger_us"]
        assert set(edges["id"].tolist()) == {truth["trigger_id"]}
