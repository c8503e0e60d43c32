"""Which sessions a dataset's page names first: planted troubles are found, told in words, and nothing else is."""

import numpy as np
import pytest

from au3dmm.io.label_statistics import Spread
from au3dmm.io.neutral_faces import NeutralRow
from au3dmm.io.sessions_index import IndexRow
from au3dmm.io.stage_numbers import StageNumbers
from au3dmm.report.dataset_outliers import find_suspects


def row(name, subject="p", **more):
    usual = {
        "frames_rgb": 100, "frames_face": 100, "frames_event": 100, "frames_labelled": 100, "label_rate": 1.0,
        "rmse_px_median": 1.0, "clock_method": "trigger", "clock_uncertainty_us": 0.1, "au": "AU12",
    }  # fmt: skip
    return IndexRow(name, subject, **{**usual, **more})


def fine(n=9):
    return [row(f"fine{i}", rmse_px_median=1.0 + 0.01 * i) for i in range(n)]


def numbers_of(rows, **more):
    return {
        one.session_id: StageNumbers(rmse_iod=one.rmse_px_median / 100, **more.get(one.session_id, {})) for one in rows
    }


def test_nothing_is_named_where_all_is_well():
    found = find_suspects(fine(), numbers_of(fine()))
    assert (found.entries, found.common) == ([], [])


@pytest.mark.parametrize(
    ("more", "said", "words"),
    [
        ({"rmse_px_median": 3.0}, {}, "high reprojection error: 3\u202fpx, 3\u202f% of the eye distance, 2.9 times"),
        ({"frames_face": 20}, {}, "few frames with a face: 20 of 100 (20\u202f%)"),
        ({"frames_face": 0, "frames_labelled": 0, "label_rate": 0.0}, {}, "no face in any of 100 RGB frames"),
        ({"frames_labelled": 30, "label_rate": 0.3}, {}, "few frames with values: 30 of 100"),
        (
            {"clock_uncertainty_us": 8000.0, "clock_method": "motion"},
            {},
            "clock uncertain: \u00b1\u202f8\u202fms (motion)",
        ),
        ({"clock_method": "start"}, {}, "the clock is a guess"),
        ({"clock_uncertainty_us": None}, {}, "how far the clock (trigger) is off is not known"),
        ({}, {"clock_warnings": ("two answers fit",)}, "clock: two answers fit"),
        ({}, {"frames_lost": 7}, "7 of 100 RGB frames could not be read"),
        ({}, {"flags": {"face_switched": 2}}, "another face was taken in 2 frames"),
        ({}, {"flags": {"extreme_pose": 80}}, "the head is turned away in 80\u202f% of the frames"),
        ({}, {"events_lost": "3 packets"}, "the event file is damaged: 3 packets"),
    ],
)
def test_each_trouble_is_found_and_told(more, said, words):
    rows = [*fine(), row("bad", **more)]
    found = find_suspects(rows, numbers_of(rows, bad=said))
    assert [entry.session_ids for entry in found.entries] == [("bad",)]
    assert found.why()["bad"].startswith(words)
    assert len(found.entries[0].reasons) == 1


def test_the_worst_comes_first():
    rows = [*fine(), row("bad", rmse_px_median=3.0), row("worse", rmse_px_median=6.0, frames_face=10)]
    found = find_suspects(rows, numbers_of(rows))
    assert [entry.session_ids[0] for entry in found.entries] == ["worse", "bad"]
    assert found.sessions == {"bad", "worse"}


def test_what_holds_for_most_sessions_is_told_once_of_the_dataset():
    rows = [row(f"s{i}", clock_method="start") for i in range(9)] + [row("s9")]
    found = find_suspects(rows, numbers_of(rows))
    assert found.entries == []
    assert found.common == ["the clock of 9 of 10 sessions is a guess: labels may be hundreds of ms off"]


def test_a_doubtful_neutral_face_is_told_once_per_person_and_counts_for_all_sessions():
    rows = [*fine(), row("a", "q"), row("b", "q")]
    neutral = [
        NeutralRow("q", "", "poor", 0.1, ("one_frame",), 1, 9, 1, 2, 3.0, True),
        NeutralRow("p", "", "good", 0.9, (), 9, 9, 9, 9, None, False),
    ]
    found = find_suspects(rows, numbers_of(rows), neutral)
    assert [(one.subject_id, one.person, one.session_ids) for one in found.entries] == [("q", True, ("a", "b"))]
    assert "neutral face not to be trusted: poor (confidence 0.10): one frame" in found.why()["a"]
    assert "two people, 3\u202fmm apart" in found.why()["b"]


def test_an_action_unit_that_was_asked_for_and_hardly_shown_is_told_unless_landmarks_cannot_see_it():
    rows = fine()
    peaks = {one.session_id: np.array([3.0]) for one in rows} | {"fine3": np.array([0.1])}
    spread = Spread(("AU12",), np.zeros((1, 6), np.int64), peaks)
    found = find_suspects(rows, numbers_of(rows), (), spread)
    assert found.why() == {"fine3": "AU12 was asked for and hardly shown: intensity 0.1, usually 3.0"}
    unseen = numbers_of(rows, fine3={"hardly_seen": frozenset({"AU12"})})
    assert find_suspects(rows, unseen, (), spread).entries == []


def test_failed_sessions_are_told_of_elsewhere():
    rows = [*fine(), IndexRow("gone", "p", status="failed", failure="no video")]
    assert find_suspects(rows, {}).entries == []
