"""Which windows event frames show: between RGB frames, on the SDK's grid, and sliding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from au3dmm.core.event_frames import Windows, forced_window, periodic_windows, rgb_windows, sliding_windows
from au3dmm.core.packed_events import PackedEvents, pack
from au3dmm.core.pixel_grid import PixelGrid
from au3dmm.core.representations import frames_of, make_canvas, represent
from au3dmm.errors import FitError

# what OpenEB 5.1.1 tests of its PeriodicFrameGenerationAlgorithm (periodic_frame_generation_algorithm_gtest.cpp),
# restated: 10 x 10 px, and events as (x, y, p, t)
P, ACC = 100_000, 10_000
INT32 = 2**31 - 1


def stream(*events: tuple[int, int, int, int]) -> PackedEvents:
    x, y, p, t = np.array(events).T
    return pack(t, x, y, p)


def seen(events: PackedEvents, windows: Windows, k: int = -1) -> dict[tuple[int, int], int]:
    """Events that the polarity frame of window k shows: (x, y) to p."""
    canvas = make_canvas("polarity", PixelGrid((10, 10), (0, 10, 0, 10), (10, 10)))
    frame = represent(events, int(windows.start_us[k]), int(windows.end_us[k]), canvas).pixels[0]
    return {(int(x), int(y)): int(frame[y, x] > 128) for y, x in np.argwhere(frame != 128)}


def sdk_windows(events: PackedEvents, accumulation_us: int, fps: float) -> Windows:
    return periodic_windows(int(events.run_us[0]), int(events.run_us[-1]), 0, accumulation_us, fps)


# nominal_with_ts_0_for_initialization, nominal_with_offset_overflow,
# nominal_with_arbitrary_ts_for_initialization_reset: a window shorter than the period
@pytest.mark.parametrize(
    ("base", "after"), [(0, 50), (P * ((INT32 + 150_459) // P), 30), (P * (1_255_341 // P), 30)], ids=hex
)
def test_the_sdks_nominal_case(base: int, after: int) -> None:
    events = stream(
        (5, 1, 0, base + P - ACC - 30),
        (5, 5, 0, base + P - ACC),
        (5, 8, 1, base + P - ACC + after),
        (0, 0, 0, base + 2 * P - ACC + 50),
    )
    windows = sdk_windows(events, ACC, 1e6 / P)
    assert windows.end_us.tolist() == [base + P]
    assert seen(events, windows) == {(5, 5): 0, (5, 8): 1}
    # force_generate: a frame at the last event's time, which it includes
    forced = forced_window(base + 2 * P - ACC + 50, ACC)
    assert forced.end_us.tolist() == [base + 2 * P - ACC + 51]
    assert seen(events, forced) == {(0, 0): 0}


# change_display_acc: a window of three periods, made by force
def test_the_sdks_case_of_a_longer_accumulation_by_force() -> None:
    base = 1_200_000
    events = stream(
        (5, 1, 0, base + P - ACC - 30),
        (5, 5, 0, base + P - ACC),
        (5, 8, 1, base + P - ACC + 30),
        (0, 0, 0, base + 2 * P - ACC + 50),
    )
    shown = seen(events, forced_window(base + 2 * P - ACC + 50, 3 * P))
    assert shown == {(5, 1): 0, (5, 5): 0, (5, 8): 1, (0, 0): 0}


# no_underflow_with_offset_overflow: times beyond 32 bits
def test_the_sdks_case_of_times_beyond_32_bits() -> None:
    last = P * ((52 + 2 * INT32) // P)
    events = stream((0, 0, 0, 50), (0, 1, 0, INT32 + 1), (1, 0, 0, 2 * INT32 + 1), (2, 0, 0, last + P))
    windows = sdk_windows(events, P, 1e6 / P)
    assert windows.end_us[-1] == last + P
    assert seen(events, windows) == {(1, 0): 0}


# continuity_preserved_with_offset_overflow: windows of two periods, so that each event is in two of them
def test_the_sdks_case_of_overlapping_windows_beyond_32_bits() -> None:
    first, fourth = P * (INT32 // P) + P, P * (4 * INT32 // P) + P
    events = stream(
        *((k, 0, 0, first + shift) for k, shift in enumerate((-2 * P + 10, -P + 10, 10, P))),
        *((k, 1, 0, fourth + shift) for k, shift in enumerate((-2 * P + 10, -P + 10, 10, P))),
    )
    windows = sdk_windows(events, 2 * P, 1e6 / P)
    for y, t in ((0, first + P), (1, fourth + P)):
        k = int(np.flatnonzero(windows.end_us == t)[0])
        assert seen(events, windows, k) == {(1, y): 0, (2, y): 0}


# test_doc_example_output: 5 x 1 px, 10 ms of events every 5 ms; and skip_frames_to's empty periods give frames
def test_the_sdks_documented_example() -> None:
    events = stream((0, 0, 1, 0), (1, 0, 0, 4_000), (2, 0, 1, 6_000), (3, 0, 1, 7_000), (4, 0, 0, 13_000))
    windows = sdk_windows(events, 10_000, 200.0)
    assert windows.end_us.tolist() == [5_000, 10_000]
    canvas = make_canvas("polarity", PixelGrid((1, 5), (0, 1, 0, 5), (1, 5)))
    frames = [frame.pixels.ravel().tolist() for frame in frames_of([events], windows, canvas)]
    assert frames == [[255, 0, 128, 128, 128], [255, 0, 255, 255, 128]]
    forced = represent(events, *(int(v[0]) for v in vars(forced_window(13_000, 10_000)).values()), canvas)
    assert forced.pixels.ravel().tolist() == [128, 0, 255, 255, 0]


def test_periods_without_events_give_frames() -> None:
    events = stream((0, 0, 1, 1_000), (1, 0, 0, 33_000 * 4 + 5))
    windows = sdk_windows(events, 33_000, 0.0)
    assert windows.end_us.tolist() == [33_000, 66_000, 99_000, 132_000]
    assert [len(seen(events, windows, k)) for k in range(4)] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("accumulation", "fps", "frames"),
    [(33_000, 0.0, 1818), (33_000, 30.0, 1800), (33_333, 0.0, 1800)],
)
def test_a_minute_gives_the_number_of_frames_that_the_sdk_gives(accumulation: int, fps: float, frames: int) -> None:
    assert len(periodic_windows(0, 60_000_000, 0, accumulation, fps)) == frames


def test_the_grid_is_anchored_at_the_shifted_zero() -> None:
    shift = 5 * 4096
    windows = periodic_windows(shift + 1_289_970, shift + 1_390_050, shift, 10_000, 10.0)
    assert windows.end_us.tolist() == [shift + 1_300_000]
    assert windows.start_us.tolist() == [shift + 1_290_000]


def test_the_last_period_is_emitted_only_if_an_event_lies_beyond_it() -> None:
    assert len(periodic_windows(0, 99, 0, 100, 0.0)) == 0
    assert len(periodic_windows(0, 100, 0, 100, 0.0)) == 1
    with pytest.raises(FitError, match="less than 1 us"):
        periodic_windows(0, 10, 0, 1, 1e7)


times = st.integers(-(10**7), 10**9)
lengths = st.integers(1, 10**6)


@given(first=times, span=st.integers(0, 10**7), shift=times, length=lengths, step=st.integers(1_000, 10**6))
def test_sliding_windows_are_all_the_whole_windows_on_the_grid(first, span, shift, length, step) -> None:
    windows = sliding_windows(first, first + span, shift, length, step)
    assert ((windows.end_us - shift) % step == 0).all()
    assert (windows.end_us - windows.start_us == length).all()
    if len(windows):
        assert (np.diff(windows.end_us) == step).all()
        # one more on either side would not be whole
        assert first <= windows.start_us[0] < first + step
        assert first + span - step < windows.end_us[-1] <= first + span
    else:
        assert span < length + step


@given(first=times, span=st.integers(0, 10**6), shift=times, length=lengths, period=st.integers(1_000, 10**5))
def test_sliding_windows_are_the_periodic_ones_that_begin_within_the_stream(first, span, shift, length, period) -> None:
    periodic = periodic_windows(first, first + span, shift, length, 1e6 / period)
    sliding = sliding_windows(first, first + span, shift, length, period)
    inside = periodic.start_us >= first
    assert np.array_equal(sliding.end_us, periodic.end_us[inside])


def test_a_sliding_window_may_step_by_a_millisecond() -> None:
    windows = sliding_windows(100, 50_000, 100, 33_000, 1_000)
    assert windows.overlap
    assert (windows.end_us - windows.start_us == 33_000).all()
    assert windows.end_us.tolist() == list(range(33_100, 50_001, 1_000))
    with pytest.raises(FitError, match="a step of 0 us"):
        sliding_windows(0, 10, 0, 5, 0)


def test_rgb_windows_join_and_end_at_the_frames() -> None:
    t = np.cumsum(np.random.default_rng(0).integers(30, 40, 50))
    windows = rgb_windows(t)
    assert np.array_equal(windows.end_us, t)
    assert np.array_equal(windows.start_us[1:], windows.end_us[:-1])
    assert windows.end_us[0] - windows.start_us[0] == int(np.median(np.diff(t)))
    assert not windows.overlap
    with pytest.raises(FitError, match="need two frames, found 1"):
        rgb_windows(t[:1])
    with pytest.raises(FitError, match="do not increase: 5 us after 5 us"):
        rgb_windows(np.array([1, 5, 5]))


def test_windows_that_go_back_or_are_empty_are_refused() -> None:
    with pytest.raises(FitError, match="windows go back in time"):
        Windows(np.array([5, 0]), np.array([10, 20]))
    with pytest.raises(FitError, match="windows go back in time"):
        Windows(np.array([0, 5]), np.array([20, 10]))
    with pytest.raises(FitError, match=r"window 1 is \[10, 10\) us"):
        Windows(np.array([0, 10]), np.array([10, 10]))
