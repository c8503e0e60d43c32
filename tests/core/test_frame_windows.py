"""The stretch of time that a row of labels without events speaks of."""

import numpy as np
import pytest

from au3dmm.core.frame_windows import frame_windows
from au3dmm.errors import FitError


def test_windows_hold_their_frame_meet_halfway_and_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        t = np.cumsum(rng.integers(1, 60, 40))
        start, end = frame_windows(t)
        assert (start <= t).all()
        assert (t < end).all()
        assert (np.diff(end) > 0).all()
        assert (start[1:] >= end[:-1]).all()
        most = max(int(np.median(np.diff(t))) // 2, 1)
        assert (end - t).max() <= most
        assert (t - start).max() <= most
        near = np.diff(t) < most  # neighbours that near share the instant between them
        np.testing.assert_array_equal(end[:-1][near], start[1:][near])


def test_known_exposures_are_the_windows_unless_their_ends_go_back():
    t = np.array([0, 100, 200])
    start, end = frame_windows(t, np.array([10, 20, 30]))
    assert (start.tolist(), end.tolist()) == ([-5, 90, 185], [5, 110, 215])
    start, end = frame_windows(t, np.array([10, 900, 30]))
    assert (start.tolist(), end.tolist()) == ([-50, 50, 150], [50, 150, 250])


def test_one_frame_or_none_is_no_problem():
    assert [x.tolist() for x in frame_windows(np.array([7]))] == [[7], [8]]
    assert [x.tolist() for x in frame_windows(np.array([], np.int64))] == [[], []]


def test_times_that_go_back_and_too_few_exposures_are_refused():
    with pytest.raises(FitError, match="do not increase: 3 us after 5 us"):
        frame_windows(np.array([0, 5, 3]))
    with pytest.raises(FitError, match="2 exposures for 3 RGB frames"):
        frame_windows(np.array([0, 5, 7]), np.array([1, 1]))
