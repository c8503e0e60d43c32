"""Windows and painting of event frames, against the definition event by event."""

from __future__ import annotations

import numpy as np
import pytest

from au3dmm.core.event_frames import PolarityPainter, Windows, periodic_windows, rgb_windows
from au3dmm.errors import FitError

H, W = 5, 7
Events = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def events(n: int, span_us: int, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, span_us, n))
    return t, rng.integers(0, W, n).astype(np.uint16), rng.integers(0, H, n).astype(np.uint16), rng.integers(0, 2, n)


def painted(windows: Windows, stream: Events, blocks: int = 1, box=None) -> list[tuple[int, int, np.ndarray]]:
    painter = PolarityPainter(windows, H, W, box)
    out = []
    for part in np.array_split(np.arange(len(stream[0])), blocks):
        out += list(painter.feed(*(column[part] for column in stream)))
    return out + list(painter.finish())


def by_definition(windows: Windows, stream: Events) -> list[tuple[int, int, np.ndarray]]:
    out = []
    for k in range(len(windows)):
        frame, n = np.full((H, W), 128, np.uint8), 0
        for t, x, y, p in zip(*stream, strict=True):
            if windows.start_us[k] <= t < windows.end_us[k]:
                frame[y, x] = 255 if p else 0
                n += 1
        out.append((k, n, frame))
    return out


def assert_same(found: list[tuple[int, int, np.ndarray]], expected: list[tuple[int, int, np.ndarray]]) -> None:
    assert [f[:2] for f in found] == [f[:2] for f in expected]
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("blocks", [1, 3, 50])
@pytest.mark.parametrize(
    "windows",
    [
        rgb_windows(np.array([130, 170, 171, 300, 420, 700])),
        periodic_windows(3, 1000, 0, 100, 0.0),
        periodic_windows(3, 1000, -17, 250, 10_000.0),  # overlapping
        periodic_windows(3, 1000, 0, 30, 10_000.0),  # with holes
        Windows(np.array([-90, -50, 100, 2000]), np.array([-50, 100, 2000, 3000])),  # beyond both ends
        Windows(np.array([0, 0, 0]), np.array([500, 500, 900])),
    ],
)
def test_frames_are_those_of_the_definition(windows: Windows, blocks: int) -> None:
    stream = events(400, 1000)
    assert_same(painted(windows, stream, blocks), by_definition(windows, stream))


def test_an_event_at_a_border_belongs_to_the_window_that_starts_there() -> None:
    one = (np.array([10]), np.array([1]), np.array([2]), np.array([1]))
    frames = painted(Windows(np.array([0, 10]), np.array([10, 20])), one)
    assert [n for _, n, _ in frames] == [0, 1]


def test_the_last_event_of_a_pixel_wins_also_at_equal_times() -> None:
    stream = (np.array([5, 5, 6, 6]), np.array([0, 0, 1, 1]), np.zeros(4, int), np.array([0, 1, 1, 0]))
    ((_, n, frame),) = painted(Windows(np.array([0]), np.array([10])), stream)
    assert n == 4
    assert frame[0, :2].tolist() == [255, 0]


def test_events_that_step_back_count_at_the_time_before() -> None:
    stream = (np.array([5, 12, 8, 13]), np.array([0, 1, 2, 3]), np.zeros(4, int), np.ones(4, int))
    for blocks in (1, 2, 4):
        frames = painted(Windows(np.array([0, 10]), np.array([10, 20])), stream, blocks)
        assert [n for _, n, _ in frames] == [1, 3]
        assert frames[1][2][0, :4].tolist() == [128, 255, 255, 255]


def test_frames_without_events_are_background() -> None:
    empty = tuple(np.zeros(0, int) for _ in range(4))
    frames = painted(Windows(np.array([0, 10]), np.array([10, 20])), empty)
    assert [(k, n) for k, n, _ in frames] == [(0, 0), (1, 0)]
    assert all((frame == 128).all() for _, _, frame in frames)


def test_a_box_cuts_the_picture_and_not_the_count() -> None:
    stream, windows = events(300, 1000), periodic_windows(0, 1000, 0, 100, 0.0)
    whole, cut = painted(windows, stream), painted(windows, stream, box=(1, 4, 2, 5))
    assert [f[1] for f in whole] == [f[1] for f in cut]
    assert all(np.array_equal(a[2][1:4, 2:5], b[2]) for a, b in zip(whole, cut, strict=True))


@pytest.mark.parametrize("bad", [{"x": W}, {"y": H}, {"x": -1}])
def test_events_outside_the_sensor_are_refused_before_anything_is_painted(bad: dict[str, int]) -> None:
    one = {"x": 0, "y": 0} | bad
    painter = PolarityPainter(Windows(np.array([0]), np.array([10])), H, W)
    with pytest.raises(FitError, match=f"on a {W}x{H} sensor"):
        list(painter.feed(np.array([1]), np.array([one["x"]]), np.array([one["y"]]), np.array([1])))


def test_windows_that_go_back_are_refused() -> None:
    with pytest.raises(FitError, match="windows go back in time"):
        PolarityPainter(Windows(np.array([5, 0]), np.array([10, 20])), H, W)


def test_rgb_windows_join_and_end_at_the_frames() -> None:
    t = np.cumsum(np.random.default_rng(0).integers(30, 40, 50))
    windows = rgb_windows(t)
    assert np.array_equal(windows.end_us, t)
    assert np.array_equal(windows.start_us[1:], windows.end_us[:-1])
    assert windows.end_us[0] - windows.start_us[0] == int(np.median(np.diff(t)))
    with pytest.raises(FitError, match="need two frames, found 1"):
        rgb_windows(t[:1])
    with pytest.raises(FitError, match="do not increase: 5 us after 5 us"):
        rgb_windows(np.array([1, 5, 5]))


@pytest.mark.parametrize(
    ("accumulation", "fps", "frames"),
    [(33_000, 0.0, 1818), (33_000, 30.0, 1800), (33_333, 0.0, 1800)],
)
def test_a_minute_gives_the_number_of_frames_that_the_sdk_gives(accumulation: int, fps: float, frames: int) -> None:
    assert len(periodic_windows(0, 60_000_000, 0, accumulation, fps)) == frames


def test_the_grid_is_anchored_at_the_shifted_zero() -> None:
    # the SDK's published case: fps 10, accumulation 10 ms, events from 1.3 s - 10.03 ms to 1.4 s - 9.95 ms, shifted
    shift = 5 * 4096
    windows = periodic_windows(shift + 1_289_970, shift + 1_390_050, shift, 10_000, 10.0)
    assert windows.end_us.tolist() == [shift + 1_300_000]
    assert windows.start_us.tolist() == [shift + 1_290_000]


def test_the_last_period_is_emitted_only_if_an_event_lies_beyond_it() -> None:
    assert len(periodic_windows(0, 99, 0, 100, 0.0)) == 0
    assert len(periodic_windows(0, 100, 0, 100, 0.0)) == 1
    with pytest.raises(FitError, match="less than 1 us"):
        periodic_windows(0, 10, 0, 1, 1e7)
