"""Alignment in time: planted curves, statuses, gaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from au3dmm.core.alignment import (
    SEVERITY,
    align,
    carry_pchip,
    carry_rotations,
    carry_std,
    carry_values,
    label_times,
)
from au3dmm.errors import FitError
from au3dmm.io.table_schemas import STATUSES

FRAMES = np.array([0, 100, 200, 300, 400])
OK = ["ok"] * 5


def test_every_status_of_the_tables_has_a_place_in_the_order() -> None:
    assert set(SEVERITY) == set(STATUSES)


def test_labels_speak_of_the_centre_or_the_end() -> None:
    start, end = np.array([0, 10]), np.array([10, 31])
    assert label_times(start, end, "centre").tolist() == [5, 20]
    assert label_times(start, end, "end").tolist() == [10, 31]


def test_linear_finds_a_straight_line_again() -> None:
    t = np.array([0, 25, 100, 130, 399, 400])
    a = align(t, FRAMES, OK, "linear", 100)
    values = np.stack([3 * FRAMES + 1.0, -2.0 * FRAMES], 1)
    assert np.allclose(carry_values(a, values), np.stack([3 * t + 1.0, -2.0 * t], 1), atol=1e-12)
    assert a.how.tolist() == ["exact", "linear", "exact", "linear", "linear", "exact"]
    assert a.nearest.tolist() == [0, 0, 1, 1, 4, 4]
    assert a.dt_us.tolist() == [0, 25, 0, 30, -1, 0]


def test_nearest_takes_one_frame_as_it_is() -> None:
    a = align(np.array([49, 50, 51, 200, -30, 430]), FRAMES, OK, "nearest", 100)
    assert carry_values(a, FRAMES[:, None] / 7)[:, 0].tolist() == [0, 0, 100 / 7, 200 / 7, 0, 400 / 7]
    assert a.how.tolist() == ["nearest"] * 3 + ["exact"] + ["nearest"] * 2


def test_none_takes_only_frames_that_lie_exactly_there() -> None:
    a = align(np.array([99, 100, 101, -1]), FRAMES, OK, "none", 100)
    assert a.how.tolist() == ["none", "exact", "none", "none"]
    assert a.status.tolist() == ["gap", "ok", "gap", "gap"]


@pytest.mark.parametrize("method", ["linear", "pchip", "nearest"])
def test_before_the_first_and_after_the_last_frame_the_nearest_counts_up_to_the_gap(method: str) -> None:
    a = align(np.array([-101, -100, -1, 401, 500, 501]), FRAMES, OK, method, 100)
    assert a.status.tolist() == ["gap", "ok", "ok", "ok", "ok", "gap"]
    assert a.how.tolist() == ["none", "nearest", "nearest", "nearest", "nearest", "none"]
    assert np.array_equal(carry_values(a, FRAMES[:, None])[:, 0], [np.nan, 0, 0, 400, 400, np.nan], equal_nan=True)


@pytest.mark.parametrize("method", ["linear", "pchip", "nearest"])
def test_longer_gaps_are_not_bridged(method: str) -> None:
    frames = np.array([0, 100, 201, 301])
    a = align(np.array([50, 100, 101, 200, 201, 250]), frames, ["ok"] * 4, method, 100)
    assert a.status.tolist() == ["ok", "ok", "gap", "gap", "ok", "ok"]
    values = carry_values(a, np.ones((4, 2)))
    assert np.isnan(values[2:4]).all()
    assert np.isfinite(values[[0, 1, 4, 5]]).all()


def test_status_is_that_of_the_worse_neighbour() -> None:
    status = ["ok", "low_confidence", "no_face", "fit_failed", "ok"]
    a = align(np.array([50, 100, 150, 250, 350, 400]), FRAMES, status, "linear", 100)
    assert a.status.tolist() == ["low_confidence", "low_confidence", "no_face", "no_face", "fit_failed", "ok"]
    assert a.how.tolist() == ["none"] * 5 + ["exact"]
    near = align(np.array([40, 60]), FRAMES, status, "nearest", 100)
    assert near.status.tolist() == ["ok", "low_confidence"]


def test_windows_without_events_have_no_label() -> None:
    for method in ("linear", "index"):
        a = align(np.array([0, 100]), FRAMES, OK, method, 100, np.array([True, False]))
        assert a.status.tolist() == ["no_events", "ok"]
        assert a.how[0] == "none"


def test_index_gives_the_frame_of_the_same_number_and_its_time() -> None:
    a = align(np.array([7, 8, 9]), FRAMES[:2], ["ok", "no_face"], "index", 1)
    assert a.t_label_us.tolist() == [0, 100, 9]
    assert a.status.tolist() == ["ok", "no_face", "no_rgb"]
    assert a.how.tolist() == ["index", "none", "none"]
    assert a.nearest.tolist() == [0, 1, -1]
    assert carry_values(a, np.array([[5.0], [6.0]]))[0, 0] == 5


def test_without_frames_there_are_no_labels() -> None:
    for method in ("linear", "index"):
        a = align(np.array([0, 100]), np.zeros(0, np.int64), [], method, 100, np.array([False, True]))
        assert a.status.tolist() == ["no_rgb", "no_events"]
        assert np.isnan(carry_values(a, np.zeros((0, 3)))).all()
        assert np.isnan(carry_rotations(a, np.zeros((0, 3)))).all()


def test_std_is_that_of_a_weighted_mean_of_errors_that_last() -> None:
    a = align(np.array([25, 100]), FRAMES, OK, "linear", 100)
    std = np.array([[2.0], [3.0], [1.0], [1.0], [1.0]])
    assert carry_std(a, std)[:, 0] == pytest.approx([0.75 * 2 + 0.25 * 3, 3.0])
    draws = std.T * np.random.default_rng(0).standard_normal((20_000, 1))
    assert carry_values(a, draws.T)[0].std() == pytest.approx(carry_std(a, std)[0, 0], rel=0.02)


def test_rotations_turn_evenly_by_the_shortest_way() -> None:
    rotations = Rotation.from_rotvec(np.random.default_rng(0).normal(0, 1.5, (5, 3)))
    t = np.array([0, 10, 77, 150, 333, 400])
    a = align(t, FRAMES, OK, "linear", 100)
    found = Rotation.from_rotvec(carry_rotations(a, rotations.as_rotvec()))
    assert (found * Slerp(FRAMES, rotations)(t).inv()).magnitude().max() < 1e-12
    steps = np.array([[0, 0, 3.0], [0, 0, -3.0]])  # 16 degrees apart through 180, not through 0
    across = carry_rotations(align(np.array([50]), FRAMES[:2], OK[:2], "linear", 100), steps)
    assert abs(across[0, 2]) == pytest.approx(np.pi)


def test_pchip_goes_through_the_frames_overshoots_nowhere_and_is_smoother_than_linear() -> None:
    t_frame = np.cumsum(np.random.default_rng(0).integers(30_000, 37_000, 40))
    true = lambda t: np.stack([np.sin(t * 3e-6), np.exp(-(((t - 7e5) / 1e5) ** 2))], 1)  # noqa: E731
    values, valid = true(t_frame), np.ones(40, bool)
    t = np.arange(t_frame[0], t_frame[-1], 997)
    a = align(t, t_frame, ["ok"] * 40, "pchip", 100_000)
    found = carry_pchip(a, values, t_frame, valid, 100_000)
    low, high = np.minimum(values[a.left], values[a.right]), np.maximum(values[a.left], values[a.right])
    assert ((found >= low) & (found <= high)).all()
    linear = carry_values(a, values)
    assert np.abs(found - true(t)).mean() < 0.6 * np.abs(linear - true(t)).mean()
    at = align(t_frame, t_frame, ["ok"] * 40, "pchip", 100_000)
    assert np.array_equal(carry_pchip(at, values, t_frame, valid, 100_000), values)


def test_pchip_does_not_look_across_frames_without_a_value() -> None:
    values = np.array([[0.0], [1.0], [np.nan], [5.0], [4.0], [0.0]])
    t_frame, valid = np.arange(6) * 100, np.isfinite(values[:, 0])
    status = ["ok" if v else "no_face" for v in valid]
    t = np.array([50, 150, 250, 330, 350, 450])
    found = carry_pchip(align(t, t_frame, status, "pchip", 100), values, t_frame, valid, 100)
    assert found[0, 0] == pytest.approx(0.5)
    assert np.isnan(found[1:3]).all()
    right = values[3:]
    alone = carry_pchip(
        align(t[3:] - 300, t_frame[:3], ["ok"] * 3, "pchip", 100), right, t_frame[:3], np.ones(3, bool), 100
    )
    assert np.allclose(found[3:], alone)


@pytest.mark.parametrize("method", ["linear", "pchip"])
def test_what_is_not_negative_stays_so(method: str) -> None:
    rng = np.random.default_rng(4)
    t_frame = np.cumsum(rng.integers(1, 100, 500))
    values = np.maximum(rng.normal(0, 1, (500, 8)), 0)
    t = rng.integers(t_frame[0], t_frame[-1], 5000)
    a = align(t, t_frame, ["ok"] * 500, method, 100)
    carry = carry_values(a, values) if method == "linear" else carry_pchip(a, values, t_frame, np.ones(500, bool), 100)
    assert carry.min() >= 0


def test_shifting_both_clocks_changes_nothing() -> None:
    t = np.array([3, 120, 399])
    one = align(t, FRAMES, OK, "linear", 100)
    two = align(t + 10**15, FRAMES + 10**15, OK, "linear", 100)
    assert np.array_equal(one.weight, two.weight)
    assert np.array_equal(one.dt_us, two.dt_us)


def test_frames_out_of_order_and_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(FitError, match="do not increase at row 2"):
        align(np.array([1]), np.array([0, 5, 5]), OK[:3], "linear", 100)
    with pytest.raises(FitError, match="5 frames with 2 statuses"):
        align(np.array([1]), FRAMES, OK[:2], "linear", 100)
