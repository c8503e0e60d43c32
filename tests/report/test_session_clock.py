import numpy as np
import pytest

from au3dmm.io.clock import Clock
from au3dmm.report.session_clock import clock_drawings, clock_words

N = 40
TRIGGERS = {
    "kind": "trigger", "t_rgb_us": (33_333 * np.arange(N)).tolist(), "residual_us": [0.0, 4.0] * (N // 2),
    "edge": ["exposure_start", "exposure_end"] * (N // 2), "missing_t_rgb_us": [], "spurious_t_us": [],
}  # fmt: skip
MOTION = {
    "kind": "motion", "correlation": 0.81, "rival_us": 400_000.0, "rival_correlation": 0.35, "n_used": 90,
    "n_intervals": 100,
    "curve": {"first_us": -1_000_000, "step_us": 10_000, "correlation": np.linspace(0, 0.81, 201).tolist()},
    "seen": {"t_rgb_us": list(range(0, 1_000_000, 100_000)), "rgb": [0.0] * 10, "events": [1.0] * 10},
}  # fmt: skip


def clock(method, **more):
    return Clock(method, 412_345.0, 35.0, None, more.pop("uncertainty_us", 1500.0), None, None, None, 0, 0, 1, **more)


def test_each_edge_stands_where_it_was_found():
    (drawing,) = clock_drawings(clock("trigger"), TRIGGERS)
    (starts, ends) = drawing.dots
    assert [len(points) for _, points, _ in (starts, ends)] == [N // 2, N // 2]
    # the drawing reaches 1.25 times as far as the farthest edge, 4 us
    assert {y for _, y in starts[1]} == {50.0}
    assert {y for _, y in ends[1]} == {10.0}
    assert drawing.top.startswith("+5")
    assert starts[1][0][0] == 0
    assert ends[1][-1][0] == 1000


def test_the_offset_found_by_motion_is_marked_and_its_rival_named():
    agreement, seen = clock_drawings(clock("motion"), MOTION)
    assert agreement.marks == [("found", 500.0)]
    assert "found 0.81, runner-up 0.35 at +0.40 s (N = 90 of 100 frame intervals)" in agreement.title
    assert [words for _, _, words in seen.lines] == ["motion in RGB frames", "event rate"]


@pytest.mark.parametrize(
    "evidence", [{}, {"kind": "start"}, {"kind": "trigger"}, {**MOTION, "curve": {}}, {**TRIGGERS, "t_rgb_us": []}]
)
def test_without_whole_evidence_nothing_is_drawn(evidence):
    assert clock_drawings(clock("trigger"), evidence) == []


def test_a_clock_says_what_was_measured_and_what_not():
    told = dict(clock_words(clock("start", uncertainty_us=None)))
    assert told["how"].startswith("a guess")
    assert told["drift"] == "not measured, taken to be 0"
    assert told["error of a frame’s time"] == "not known"
    assert dict(clock_words(clock("motion")))["error of a frame’s time"].split() == ["1.5", "ms"]
