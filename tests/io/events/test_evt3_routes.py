"""EVT3 by several routes: compiled decoder, a plain one written from the format's description, and frames of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.painting import frame_buffer, image_of
from au3dmm.io.events import evt3, open_events
from au3dmm.io.events.damage import DamageLog
from au3dmm.io.events.evt3_decoder import decode
from au3dmm.io.events.evt3_words import LOW, NOT_YET, TIME_WORDS, decode_carefully

WIDTH, HEIGHT = 200, 40
HEADER = b"% evt 3.0\n% format EVT3;height=40;width=200\n% end\n"
FOREVER = np.iinfo(np.int64).max


def clean_words(seed: int, n: int, ticks: int = 300) -> np.ndarray:
    """Return the words of an undamaged stream: all kinds, any order, times that go on and step back a little."""
    rng = np.random.default_rng(seed)
    high = int(rng.integers(0, 4096))
    words = [0x8000 | high]
    for _ in range(n):
        kind = rng.choice(12, p=[0.14, 0.3, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.02, 0.02, 0.01, 0.01])
        if kind == 0:
            words.append(int(rng.integers(0, HEIGHT)))
        elif kind == 1:
            words.append(0x2000 | int(rng.integers(0, 2)) << 11 | int(rng.integers(0, WIDTH)))
        elif kind in (2, 3):
            words.append(0x3000 | int(rng.integers(0, 2)) << 11 | int(rng.integers(0, WIDTH - 32)))
            if kind == 3:  # the usual group
                masks = rng.integers(0, 1 << 12, 3) & rng.integers(0, 1 << 12, 3)
                words += [0x4000 | int(masks[0]), 0x4000 | int(masks[1]), 0x5000 | int(masks[2]) & 0xFF]
        elif kind == 4:
            words.append(0x5000 | int(rng.integers(0, 256)))
        elif kind == 5:
            words += [0x6000 | int(rng.integers(0, 4096 // ticks)) * ticks, 0x2001]
        elif kind == 6:
            words.append(0x8000 | high)
        elif kind == 7:
            high = (high + 1) & 0xFFF
            words.append(0x8000 | high)
        elif kind == 8:
            words.append(0xA000 | int(rng.integers(0, 16)) << 8 | int(rng.integers(0, 2)))
        else:
            words.append([0xE014, 0x7003, 0xF123][kind - 9])
    return np.array(words, np.uint16)


def by_the_book(words: np.ndarray) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Decode an undamaged stream as the format's description has it, a word at a time."""
    events, triggers = [], []
    high = turns = 0
    low = 0
    first = True
    row = base = sign = None
    for word in map(int, words):
        kind, value = word >> 12, word & 0xFFF
        t = turns << 24 | high << 12 | low
        if kind == 0x0:
            row = word & 0x7FF
        elif kind == 0x2:
            if row is not None:
                events.append((t, word & 0x7FF, row, word >> 11 & 1))
        elif kind == 0x3:
            base, sign = word & 0x7FF, word >> 11 & 1
        elif kind in (0x4, 0x5):
            n = 12 if kind == 0x4 else 8
            if base is not None:
                if row is not None:
                    events += [(t, base + i, row, sign) for i in range(n) if word >> i & 1 and base + i < WIDTH]
                base += n
        elif kind == 0x6:
            low = value
        elif kind == 0x8:
            if not first and value != high:
                turns += value < high
                low = 0
            high, first = value, False
        elif kind == 0xA:
            triggers.append((t, word >> 8 & 0xF, word & 1))
    return events, triggers


def stream_of(path: Path, words: np.ndarray) -> evt3.Evt3Stream:
    path.write_bytes(HEADER + words.astype("<u2").tobytes())
    stream = open_events(path).stream()
    assert isinstance(stream, evt3.Evt3Stream)
    return stream


def painted(events: list[tuple[int, ...]], ends: list[int]) -> list[np.ndarray]:
    """Paint frames from events, one after the other."""
    frames, now, i = [], 0, 0
    for end in ends:
        frame = np.full((HEIGHT, WIDTH), 128, np.uint8)
        while i < len(events) and max(now, events[i][0]) < end:
            t, x, y, p = events[i]
            now = max(now, t)
            frame[y, x] = 255 * p
            i += 1
        frames.append(frame)
    return frames


@given(st.integers(0, 1 << 30), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_undamaged_words_are_decoded_as_the_format_has_it(tmp_path_factory, seed: int, n: int) -> None:
    words = clean_words(seed, n)
    stream = stream_of(tmp_path_factory.mktemp("evt3") / "a.raw", words)
    chunks = [(chunk.events.unpack().tolist(), chunk.triggers.tolist()) for chunk in stream]
    events, triggers = by_the_book(words)
    assert [event for chunk in chunks for event in chunk[0]] == events
    assert [edge for chunk in chunks for edge in chunk[1]] == triggers
    assert stream.report.events == len(events)
    assert not any(n for kind, n in stream.report.counts.items() if kind not in ("before_start", "outside_sensor"))
    if events:
        assert (stream.report.t_first_us, stream.report.t_last_us) == (events[0][0], events[-1][0])


@given(st.integers(0, 1 << 30), st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_arrays_decoded_directly_are_those_of_the_chunks(tmp_path_factory, seed: int, n: int) -> None:
    path = tmp_path_factory.mktemp("evt3") / "a.raw"
    stream, other = stream_of(path, clean_words(seed, n)), open_events(path).stream()
    events = [event for block in stream.arrays() for event in block.tolist()]
    assert events == [event for chunk in other for event in chunk.events.unpack().tolist()]
    assert stream.report == other.report


@given(st.integers(0, 1 << 30), st.integers(0, 400), st.sampled_from([1, 7, 999, 4096, 9000]))
@settings(max_examples=150, deadline=None)
def test_frames_decoded_directly_are_those_painted_from_events(tmp_path_factory, seed: int, n: int, step: int) -> None:
    words = clean_words(seed, n)
    events, triggers = by_the_book(words)
    start = events[0][0] if events else 0
    ends = [*range(start - step, start + 40 * step, step), FOREVER]
    stream = stream_of(tmp_path_factory.mktemp("evt3") / "a.raw", words)
    buffer = frame_buffer(HEIGHT, WIDTH)
    image = image_of(buffer, HEIGHT, WIDTH)
    counted = 0
    for end, expected in zip(ends, painted(events, ends), strict=True):
        image[:] = 128
        counted += stream.paint(buffer, end)
        assert np.array_equal(image, expected)
    assert counted == len(events) == stream.report.events
    assert stream.report.triggers == len(triggers)
    if events:
        assert (stream.report.t_first_us, stream.report.t_last_us) == (events[0][0], events[-1][0])


def test_an_event_that_is_dropped_does_not_end_a_window(tmp_path: Path) -> None:
    # at 10 us (1, 1); at 30 us outside the sensor; then, the camera stepping back, at 15 us (2, 1)
    words = [*[0x8000] * 9, 0x0001, 0x600A, 0x2001, 0x601E, 0x2000 | WIDTH, 0x600F, 0x2002]
    stream = stream_of(tmp_path / "a.raw", np.array(words, np.uint16))
    assert [stream.paint(frame_buffer(HEIGHT, WIDTH), end) for end in (20, 40)] == [2, 0]


def run(words: np.ndarray, plainly: bool) -> tuple[list[tuple[int, ...]], list[list[int]], DamageLog, np.ndarray]:
    """Decode words, with or without the function for plain ones."""
    n = len(words)
    state, log = np.full(10, NOT_YET, np.int64), DamageLog()
    state[[LOW, TIME_WORDS]] = 0
    packed, run_us, run_at = np.zeros(12 * n + 12, np.uint32), np.zeros(n + 2, np.int64), np.zeros(n + 3, np.int64)
    edges = np.zeros((n, 3), np.int64)
    if plainly:
        used, e, s, k, _ = decode(
            words, True, 0, state, log.counts, log.rows, WIDTH, HEIGHT, FOREVER, None, packed, run_us, run_at, edges
        )
        assert used == n
    else:
        i = e = s = k = 0
        run_us[0] = NOT_YET
        while i < n:
            i, e, s, k, _, _ = decode_carefully(
                words, i, True, 0, state, log.counts, log.rows, WIDTH, HEIGHT, FOREVER, None, packed, run_us, run_at,
                e, s, edges, k,
            )  # fmt: skip
        run_at[s + 1] = e
    t = np.repeat(run_us[1 : s + 1], np.diff(run_at[1 : s + 2]))
    word = packed[:e].astype(int)
    events = list(
        zip(t.tolist(), (word >> 1 & 0x7FF).tolist(), (word >> 12).tolist(), (word & 1).tolist(), strict=True)
    )
    return events, edges[:k].tolist(), log, state


@pytest.mark.parametrize("seed", range(200))
def test_plain_words_are_decoded_as_the_careful_function_does_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = np.tile(clean_words(seed, 600), 3)
    hurt = rng.random(len(words)) < rng.choice([0, 0.002, 0.05, 1.0])
    words[hurt] = rng.integers(0, 1 << 16, int(hurt.sum()))
    one, other = run(words, True), run(words, False)
    assert one[:2] == other[:2]
    assert one[2].by_kind() == other[2].by_kind()
    assert one[2].spans() == other[2].spans()
    assert one[3][:TIME_WORDS].tolist() == other[3][:TIME_WORDS].tolist()
    assert one[3][TIME_WORDS] == (words >> 12 == 8).sum()
    for t, x, y, p in one[0]:
        assert 0 <= x < WIDTH
        assert 0 <= y < HEIGHT
        assert p in (0, 1)
        assert t >= 0


@pytest.mark.parametrize("border", [evt3.LOOKAHEAD + 2, evt3.LOOKAHEAD + 5, 1 << 16])
def test_blocks_decide_nothing_however_they_fall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, border: int) -> None:
    rng = np.random.default_rng(border)
    words = np.concatenate([clean_words(seed, 15_000) for seed in range(4)])  # the clock jumps where one ends
    hurt = rng.random(len(words)) < 1e-3
    words[hurt] = rng.integers(0, 1 << 16, int(hurt.sum()))
    path = tmp_path / "a.raw"

    def read(n_words: int) -> tuple[list[object], list[object], object]:
        monkeypatch.setattr(evt3, "_WORDS", n_words)
        stream = stream_of(path, words)
        found = [(chunk.events.unpack(), chunk.triggers) for chunk in stream]
        return (
            np.concatenate([f[0] for f in found]).tolist(),
            np.concatenate([f[1] for f in found]).tolist(),
            stream.report,
        )

    assert read(border) == read(1 << 20)


def test_the_clock_wraps_at_every_place_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evt3, "_WORDS", evt3.LOOKAHEAD + 4)
    for before in range(evt3.LOOKAHEAD - 2, evt3.LOOKAHEAD + 8):
        words = [*[0x8FFF] * 9, 0x0001, 0x2001, *[0xE000] * (before - 11), 0x8000, 0x2002, 0x8000, 0x8001, 0x2003]
        stream = stream_of(tmp_path / "a.raw", np.array(words, np.uint16))
        events = [event for chunk in stream for event in chunk.events.unpack().tolist()]
        assert [e[0] >> 12 for e in events] == [4095, 4096, 4097]
        assert not stream.report.repaired
