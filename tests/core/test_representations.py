"""Six representations by two routes: the kernels on a stream of packed events, and the formulas on plain arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.canvases import Canvas, PolarityCanvas
from au3dmm.core.event_frames import Windows, rgb_windows, sliding_windows
from au3dmm.core.packed_events import EVENT_DTYPE, PackedEvents, pack
from au3dmm.core.pixel_grid import PixelGrid
from au3dmm.core.representations import (
    REPRESENTATIONS,
    EventFrame,
    frames_of,
    make_canvas,
    painted_frames,
    represent,
)
from au3dmm.errors import FitError
from au3dmm.io.events.stream import TRIGGER_DTYPE, Chunk, EventStream
from naive_event_frames import Shown, frame


def array(t, x, y, p) -> np.ndarray:
    events = np.zeros(len(t), EVENT_DTYPE)
    for name, values in zip("txyp", (t, x, y, p), strict=True):
        events[name] = values
    return events


def packed(events: np.ndarray) -> PackedEvents:
    return pack(*(events[name] for name in "txyp"))


def overwritten(events: np.ndarray, cuts: list[int]) -> Iterator[PackedEvents]:
    """Chunks as a decoder gives them: in arrays that the next chunk overwrites, some empty, some with empty runs."""
    words, run_us = np.zeros(len(events), np.uint32), np.zeros(2 * len(events) + 2, np.int64)
    run_at = np.zeros(2 * len(events) + 3, np.int64)
    for first, last in zip([0, *cuts], [*cuts, len(events)], strict=True):
        part = packed(events[first:last])
        n, runs = len(part.words), len(part.run_us)
        words[:n] = part.words
        # before each run one without events and with a time that means nothing
        run_us[: 2 * runs] = np.stack([part.run_us + 10**6, part.run_us], 1).ravel()
        run_at[: 2 * runs + 1] = np.r_[np.repeat(part.run_at[:-1], 2), n] if runs else [0]
        yield PackedEvents(words[:n], run_us[: 2 * runs], run_at[: 2 * runs + 1])
        words[:n], run_us[: 2 * runs] = 0xFFFFFFFF, -5


class FakeStream(EventStream):
    """A stream of given chunks, which paints as the base class does."""

    def __init__(self, chunks: Iterator[PackedEvents], width: int) -> None:
        self._chunks = chunks
        self.width = width

    def __next__(self) -> Chunk:
        return Chunk(next(self._chunks), np.zeros(0, TRIGGER_DTYPE))

    @property
    def report(self):
        raise NotImplementedError


def canvas_of(name: str, sensor: tuple[int, int], shown: Shown) -> Canvas:
    grid = PixelGrid(sensor, shown.box, shown.shape)
    return make_canvas(name, grid, bins=shown.bins, tau_us=shown.tau_us, tbr_bits=shown.tbr_bits)


def assert_same(found: list[EventFrame], expected: list[tuple[int, np.ndarray, int]], dtype: str) -> None:
    assert len(found) == len(expected)
    for mine, (n_events, pixels, n_saturated) in zip(found, expected, strict=True):
        assert (mine.n_events, mine.n_saturated) == (n_events, n_saturated)
        assert mine.pixels.dtype == pixels.dtype == dtype
        assert mine.pixels.flags.c_contiguous
        np.testing.assert_array_equal(mine.pixels, pixels)


@st.composite
def streams(draw):
    """Return a sensor, events on it (time steps back now and then), and windows whose borders are often on events."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0, 1, 2, 7, 40, 300, -1, -11, -90]),
                st.integers(0, width - 1),
                st.integers(0, height - 1),
                st.integers(0, 1),
            ),
            max_size=60,
        )
    )
    steps, x, y, p = np.array(rows, np.int64).reshape(-1, 4).T
    events = array(5_000 + np.cumsum(steps), x, y, p)
    instants = sorted({*events["t"].tolist(), 4_990, 5_000, 5_100, *(events["t"] + 1).tolist()})
    borders = draw(st.lists(st.sampled_from(instants), min_size=2, max_size=12, unique=True))
    borders = np.sort(np.array(borders))
    kind = draw(st.sampled_from(["joined", "holes", "overlap"]))
    if kind == "joined":
        windows = Windows(borders[:-1], borders[1:])
    elif kind == "holes":
        windows = Windows(borders[:-1:2], borders[1::2])
    else:
        windows = Windows(borders[:-1] - draw(st.integers(0, 500)), borders[1:] + draw(st.integers(0, 500)))
    box = draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    y1, x1 = draw(st.integers(box[0] + 1, height)), draw(st.integers(box[1] + 1, width))
    shown = Shown(
        (box[0], y1, box[1], x1),
        (draw(st.integers(1, 11)), draw(st.integers(1, 11))),
        bins=draw(st.integers(1, 6)),
        tau_us=draw(st.sampled_from([0.5, 30.0, 100.0, 300.0, 1e6])),
        tbr_bits=draw(st.integers(1, 16)),
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=5)))
    return (height, width), events, windows, shown, cuts


@pytest.mark.parametrize("name", REPRESENTATIONS)
@settings(max_examples=40, deadline=None)
@given(case=streams())
def test_two_routes_give_the_same_frames(name, case) -> None:
    sensor, events, windows, shown, cuts = case
    expected = [
        frame(name, events, start, end, shown)
        for start, end in zip(windows.start_us.tolist(), windows.end_us.tolist(), strict=True)
    ]
    canvas = canvas_of(name, sensor, shown)
    found = list(frames_of(overwritten(events, cuts), windows, canvas))
    assert_same(found, expected, canvas.encoding.dtype)
    if name == "polarity" and not windows.overlap:
        stream = FakeStream(overwritten(events, cuts), sensor[1])
        assert isinstance(canvas, PolarityCanvas)
        assert_same(list(painted_frames(stream.paint, windows, canvas)), expected, "uint8")


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_frame_depends_on_its_window_alone(name) -> None:
    rng = np.random.default_rng(0)
    events = array(np.sort(rng.integers(0, 9_000, 900)), rng.integers(0, 20, 900), rng.integers(0, 14, 900),
                   rng.integers(0, 2, 900))  # fmt: skip
    canvas = canvas_of(name, (14, 20), Shown((0, 14, 3, 17), (6, 6)))
    windows = sliding_windows(0, 9_000, 0, 2_500, 700)
    among_others = list(frames_of([packed(events)], windows, canvas))
    for k in (5, 0, 3, 3):
        start, end = int(windows.start_us[k]), int(windows.end_us[k])
        for given_events in (events, events[(events["t"] >= start) & (events["t"] < end)]):
            alone = represent(packed(given_events), start, end, canvas)
            assert alone.n_events == among_others[k].n_events
            np.testing.assert_array_equal(alone.pixels, among_others[k].pixels)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_two_routes_agree_on_many_events_in_cells_that_share_pixels(name) -> None:
    rng = np.random.default_rng(3)
    n = 1_500
    t = np.cumsum(rng.choice([0, 1, 2, 30, -5, -60], n, p=[0.4, 0.2, 0.1, 0.2, 0.05, 0.05]))
    events = array(t, rng.integers(0, 23, n), rng.integers(0, 17, n), rng.integers(0, 2, n))
    windows = Windows(np.array([1_000, 4_000]), np.array([3_000, int(t.max()) + 1]))
    for shape in ((5, 7), (12, 20), (17, 4), (16, 40)):
        shown = Shown((0, 17, 1, 22), shape, tau_us=100.0)
        expected = [frame(name, events, s, e, shown) for s, e in zip(windows.start_us, windows.end_us, strict=True)]
        canvas = canvas_of(name, (17, 23), shown)
        assert_same(
            list(frames_of(overwritten(events, [400, 1_100]), windows, canvas)), expected, canvas.encoding.dtype
        )


@pytest.fixture(scope="module")
def recording(shared_data) -> list[PackedEvents]:
    """30 ms of the shared session without triggers, in chunks."""
    from au3dmm.io.events import open_events

    chunks = []
    for chunk in open_events(shared_data / "sessions" / "single_motion" / "events.raw").stream():
        events = chunk.events.unpack()
        chunks.append(packed(events[(events["t"] > 15_690_000) & (events["t"] < 15_720_000)]))
    return chunks


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_two_routes_agree_on_a_real_recording(name, recording) -> None:
    windows = Windows(np.array([15_700_000, 15_706_000]), np.array([15_706_000, 15_716_000]))
    shown = Shown((100, 420, 500, 820), (113, 113))
    events = np.concatenate([chunk.unpack() for chunk in recording])
    expected = [frame(name, events, s, e, shown) for s, e in zip(windows.start_us, windows.end_us, strict=True)]
    assert min(n for n, _, _ in expected) > 1_000
    canvas = canvas_of(name, (720, 1280), shown)
    assert_same(list(frames_of(recording, windows, canvas)), expected, canvas.encoding.dtype)


ONE = (np.array([10]), np.array([1]), np.array([2]), np.array([1]))


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_an_event_at_a_border_belongs_to_the_window_that_starts_there(name) -> None:
    canvas = make_canvas(name, PixelGrid((3, 3), (0, 3, 0, 3), (3, 3)))
    for windows in (
        Windows(np.array([0, 10]), np.array([10, 20])),
        Windows(np.array([0, 0, 10]), np.array([10, 11, 20])),
    ):
        found = list(frames_of([pack(*ONE)], windows, canvas))
        assert [f.n_events for f in found] == [int(e > 10) for e in windows.end_us]
        empty = found[0].pixels
        assert (empty == empty.flat[0]).all()
        assert all((f.pixels != empty).any() for f in found[1:])


def test_the_last_event_of_a_pixel_wins_also_at_equal_times() -> None:
    stream = pack(np.array([5, 5, 6, 6]), np.array([0, 0, 1, 1]), np.zeros(4, int), np.array([0, 1, 1, 0]))
    shown = represent(stream, 0, 10, make_canvas("polarity", PixelGrid((1, 3), (0, 1, 0, 3), (1, 3))))
    assert shown == EventFrame(4, shown.pixels)
    assert shown.pixels.tolist() == [[[255, 0, 128]]]


def test_a_camera_that_steps_back_loses_no_event() -> None:
    stream = array([5, 12, 8, 13], [0, 1, 2, 3], [0] * 4, [1] * 4)
    windows = rgb_windows(np.array([10, 20]))
    canvas = make_canvas("count", PixelGrid((1, 4), (0, 1, 0, 4), (1, 4)))
    for cuts in ([], [2], [1, 2, 3]):
        frames = list(frames_of(overwritten(stream, cuts), windows, canvas))
        assert [f.n_events for f in frames] == [1, 3]
        assert frames[1].pixels[1].tolist() == [[0, 1, 1, 1]]


def test_counts_add_up_to_the_events_of_the_box() -> None:
    rng = np.random.default_rng(1)
    n = 5_000
    stream = pack(np.arange(n), rng.integers(0, 45, n), rng.integers(0, 30, n), rng.integers(0, 2, n))
    for shape in ((30, 45), (15, 9), (8, 16), (1, 1)):
        canvas = make_canvas("count", PixelGrid((30, 45), (0, 30, 0, 45), shape))
        shown = represent(stream, 0, n, canvas)
        if not shown.n_saturated:
            assert abs(shown.pixels.sum() * canvas.encoding.scale - n) <= shown.pixels.size * canvas.encoding.scale / 2
    assert shown.n_saturated == 2  # all of them in one cell per polarity
    assert shown.pixels.ravel().tolist() == [255, 255]


def test_255_events_are_the_most_that_a_cell_holds() -> None:
    canvas = make_canvas("count", PixelGrid((1, 2), (0, 1, 0, 2), (1, 2)))
    t, x = np.arange(511), np.r_[np.zeros(255, int), np.ones(256, int)]
    shown = represent(pack(t, x, 0 * t, 0 * t), 0, 600, canvas)
    assert shown.pixels.tolist() == [[[255, 255]], [[0, 0]]]
    assert shown.n_saturated == 1


def test_a_voxel_grid_keeps_the_sum_of_polarities() -> None:
    rng = np.random.default_rng(2)
    p = rng.integers(0, 2, 400)
    stream = pack(np.sort(rng.integers(0, 777, 400)), rng.integers(0, 45, 400), rng.integers(0, 30, 400), p)
    for bins in (1, 2, 5, 9):
        shown = represent(stream, 0, 777, make_canvas("voxel", PixelGrid((30, 45), (0, 30, 0, 45), (7, 11)), bins=bins))
        assert shown.pixels.shape == (bins, 7, 11)
        assert shown.pixels.astype(float).sum() == pytest.approx((2 * p - 1).sum(), abs=0.05)


def test_time_surfaces_fall_as_they_should() -> None:
    stream = pack(np.array([0, 500, 999]), np.array([0, 1, 2]), np.zeros(3, int), np.ones(3, int))
    grid = PixelGrid((1, 4), (0, 1, 0, 4), (1, 4))
    decay = represent(stream, 0, 1000, make_canvas("time_surface", grid, tau_us=500.0)).pixels / 255
    assert decay[0].tolist() == [[0, 0, 0, 0]]
    assert decay[1, 0] == pytest.approx([np.exp(-2), np.exp(-1), np.exp(-1 / 500), 0], abs=0.5 / 255)
    linear = represent(stream, 0, 1000, make_canvas("last_time", grid)).pixels / 255
    assert linear[1, 0] == pytest.approx([0.001, 0.501, 1, 0], abs=0.5 / 255)


def test_the_last_slice_is_the_most_significant_bit() -> None:
    stream = pack(np.array([0, 124, 125, 999]), np.array([0, 1, 2, 3]), np.zeros(4, int), np.ones(4, int))
    canvas = make_canvas("tbr", PixelGrid((1, 4), (0, 1, 0, 4), (1, 4)))
    assert represent(stream, 0, 1000, canvas).pixels.tolist() == [[[1, 1, 2, 128]]]
    assert canvas.encoding.scale * 255 == 1
    wide = make_canvas("tbr", PixelGrid((1, 4), (0, 1, 0, 4), (1, 4)), tbr_bits=16)
    assert represent(stream, 0, 1000, wide).pixels.tolist() == [[[1, 2, 4, 32768]]]


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_words_that_no_decoder_gives_write_nowhere(name) -> None:
    # 2^32 - 1 is row 1048575, column 2047, and the times lie outside the window they are added to
    canvas = make_canvas(name, PixelGrid((4, 6), (1, 4, 2, 6), (2, 2)))
    words = np.array([0xFFFFFFFF, 4 << 12, 6 << 1, 0], np.uint32)
    events = PackedEvents(words, np.array([-(10**12), 7, 10**12]), np.array([0, 1, 3, 4]))
    frames = list(frames_of([events], Windows(np.array([0]), np.array([10])), canvas))
    assert frames[0].n_events == 2
    assert (frames[0].pixels == frames[0].pixels.flat[0]).all()


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_the_encoding_says_what_the_numbers_are(name) -> None:
    canvas = make_canvas(name, PixelGrid((4, 6), (0, 4, 0, 6), (2, 2)))
    said = canvas.encoding
    pixels = represent(pack(*ONE), 0, 20, canvas).pixels
    assert (said.name, said.dtype) == (name, pixels.dtype.name)
    assert len(said.channels) == len(pixels)
    value = (pixels.astype(float) - said.zero) * said.scale
    assert np.abs(value).max() <= 1.01
    assert all((said.unit, said.formula, said.source))


def test_a_polarity_frame_is_minus_one_where_it_is_darker() -> None:
    canvas = make_canvas("polarity", PixelGrid((1, 3), (0, 1, 0, 3), (1, 3)))
    stream = pack(np.array([1, 2]), np.array([0, 2]), np.zeros(2, int), np.array([0, 1]))
    pixels = represent(stream, 0, 20, canvas).pixels.astype(float)
    value = (pixels - canvas.encoding.zero) * canvas.encoding.scale
    assert value.ravel() == pytest.approx([-1, 0, 1], abs=0.01)
    assert value.ravel()[1] == 0


def test_what_cannot_be_made_is_refused() -> None:
    grid = PixelGrid((4, 6), (0, 4, 0, 6), (2, 2))
    with pytest.raises(FitError, match="'hats', expected one of polarity, count"):
        make_canvas("hats", grid)
    for name, bad in (("voxel", {"bins": 0}), ("time_surface", {"tau_us": 0.0}), ("tbr", {"tbr_bits": 17})):
        with pytest.raises(FitError, match=name):
            make_canvas(name, grid, **bad)
    canvas = make_canvas("polarity", grid)
    with pytest.raises(FitError, match="windows overlap"):
        next(painted_frames(lambda frame, until: 0, Windows(np.array([0, 5]), np.array([10, 15])), canvas))
