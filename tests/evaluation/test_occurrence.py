"""Action units frame by frame: against scikit-learn, and against counting by hand."""

import numpy as np
import pytest
from sklearn import metrics

from au3dmm.evaluation.occurrence import Occurrence, as_codes, score_units, stack_occurrence, sum_units
from au3dmm.evaluation.occurrence_summary import summarise_units
from au3dmm.evaluation.tables import absent_words

UNITS = ("AU1", "AU2", "AU12")
N, SUBJECTS = 12, 4


def said(seed=0, frames=600, absent=False, digits=2):
    """Frames of 12 videos; coarse probabilities, so that many are equal; a fifth is not coded."""
    rng = np.random.default_rng(seed)
    truth = (rng.uniform(size=(frames, 3)) < [0.5, 0.2, 0.05]).astype(np.int8)
    p = np.clip(0.35 * truth + rng.normal(0.3, 0.2, (frames, 3)), 0, 1).round(digits)
    truth[rng.uniform(size=truth.shape) < 0.2] = -1
    if absent:
        truth[:, 2] = np.minimum(truth[:, 2], 0)
    return Occurrence(UNITS, rng.integers(N, size=frames), truth, p)


def scores(one, threshold=0.5):
    return score_units(sum_units(one, np.arange(N) % SUBJECTS, SUBJECTS, threshold))


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_every_number_is_that_of_scikit_learn(threshold):
    one = said()
    found = scores(one, threshold)
    for k in range(3):
        coded = one.truth[:, k] >= 0
        y, p = one.truth[coded, k], one.probability[coded, k]
        guess = p >= threshold
        assert (found.positives[k], found.negatives[k]) == (y.sum(), (1 - y).sum())
        assert found.f1[k] == pytest.approx(metrics.f1_score(y, guess))
        assert found.precision[k] == pytest.approx(metrics.precision_score(y, guess))
        assert found.recall[k] == pytest.approx(metrics.recall_score(y, guess))
        assert found.accuracy[k] == pytest.approx(metrics.accuracy_score(y, guess))
        assert found.auc[k] == pytest.approx(metrics.roc_auc_score(y, p))
        assert found.brier[k] == pytest.approx(metrics.brier_score_loss(y, p))
        assert found.f1_all_positive[k] == pytest.approx(metrics.f1_score(y, np.ones_like(y)))


def test_a_subject_drawn_twice_counts_as_two():
    """Two routes: sums with weights, and frames written twice."""
    one, drawn = said(1), np.array([0, 2, 2, 3])
    whose = one.video % SUBJECTS
    rows = np.concatenate([np.flatnonzero(whose == i) for i in drawn])
    twice = Occurrence(UNITS, one.video[rows], one.truth[rows], one.probability[rows])
    weighted = score_units(sum_units(one, np.arange(N) % SUBJECTS, SUBJECTS), drawn)
    for name, expected in vars(scores(twice)).items():
        np.testing.assert_allclose(getattr(weighted, name), expected, err_msg=name)


def test_what_was_not_coded_does_not_count_whatever_is_said_of_it():
    one = said(2)
    other = Occurrence(UNITS, one.video, one.truth, np.where(one.truth < 0, np.nan, one.probability))
    for name, expected in vars(scores(one)).items():
        np.testing.assert_array_equal(getattr(scores(other), name), expected, err_msg=name)


def test_probabilities_that_are_shares_are_calibrated_and_others_are_off_by_how_far_they_are():
    truth = np.repeat([[1], [0], [0], [0]], 50, axis=0).astype(np.int8)
    for p, expected in ((0.25, 0.0), (0.75, 0.5)):
        one = Occurrence(("AU1",), np.zeros(200, np.int64), truth, np.full((200, 1), p))
        assert score_units(sum_units(one, np.array([0]), 1)).calibration_error[0] == pytest.approx(expected)


def test_a_unit_that_never_occurs_has_no_f1_and_is_named_and_in_no_average():
    one = said(3, absent=True)
    summary, overall = summarise_units(one, [f"S{i % SUBJECTS}" for i in range(N)], threshold=0.5, seed=0, resamples=50)
    assert summary["units_absent"] == ["AU12"]
    f1 = [unit["f1"] for unit in summary["units"]]
    assert f1[2] is None
    assert overall["f1"].value == pytest.approx((f1[0] + f1[1]) / 2)
    assert summary["f1_all_positive"] == pytest.approx(np.mean([u["f1_all_positive"] for u in summary["units"][:2]]))
    assert absent_words(summary) == "1 of 3 units never occurs in these recordings and is in no average: AU12"


def test_a_unit_never_said_has_an_f1_of_zero_and_one_always_there_no_area():
    truth = np.array([[1, 1], [0, 1]], np.int8)
    found = score_units(sum_units(Occurrence(UNITS[:2], np.zeros(2, int), truth, np.zeros((2, 2))), np.array([0]), 1))
    assert found.f1.tolist() == [0, 0]
    assert np.isnan(found.precision).all()
    assert found.auc[0] == 0.5
    assert np.isnan(found.auc[1])


def test_saying_units_at_random_as_often_as_they_occur_scores_the_stated_chance():
    rng = np.random.default_rng(0)
    truth = (rng.uniform(size=(200_000, 1)) < 0.1).astype(np.int8)
    guess = (rng.uniform(size=truth.shape) < 0.1).astype(float)
    one = Occurrence(("AU1",), np.zeros(len(truth), np.int64), truth, guess)
    summary, overall = summarise_units(one, ["S0"], threshold=0.5, seed=0, resamples=0)
    assert overall["f1"].value == pytest.approx(summary["f1_chance"], abs=0.01)
    assert summary["f1_all_positive"] == pytest.approx(0.2 / 1.1, abs=0.005)
    assert summary["units"][0]["f1_low"] is None  # one person has no interval


def test_intervals_hold_their_numbers_and_come_out_the_same():
    subjects = [f"S{i % SUBJECTS}" for i in range(N)]
    found = [summarise_units(said(4), subjects, threshold=0.5, seed=0, resamples=200) for _ in range(2)]
    assert found[0] == found[1]
    summary, overall = found[0]
    assert summary["n_subjects_coded"] == SUBJECTS
    for key in ("f1", "occurrence_auc", "occurrence_accuracy"):
        assert overall[key].low <= overall[key].value <= overall[key].high
    assert all(u["f1_low"] <= u["f1"] <= u["f1_high"] for u in summary["units"])


def test_who_has_no_coded_frame_is_no_subject_of_it():
    one = said(5)
    rows = one.video != 0
    kept = Occurrence(UNITS, one.video[rows], one.truth[rows], one.probability[rows])
    names = ["uncoded", *(f"S{i % 3}" for i in range(1, N))]
    assert summarise_units(kept, names, threshold=0.5, seed=0, resamples=5)[0]["n_subjects_coded"] == 3


def test_sets_of_videos_put_together_are_one_set():
    one = said(6)
    first = one.video < 5
    parts = [
        (Occurrence(UNITS, one.video[rows] - start, one.truth[rows], one.probability[rows]), n)
        for rows, start, n in ((first, 0, 5), (~first, 5, N - 5))
    ]
    for name, expected in vars(scores(one)).items():
        np.testing.assert_allclose(getattr(scores(stack_occurrence(parts)), name), expected, err_msg=name)
    other = Occurrence(("AU4", "AU5", "AU6"), one.video, one.truth, one.probability)
    with pytest.raises(ValueError, match="units AU4, AU5, AU6; expected AU1"):
        stack_occurrence([parts[0], (other, N)])


def test_shapes_and_probabilities_that_cannot_be_are_refused():
    one = said()
    with pytest.raises(ValueError, match="disagree"):
        scores(Occurrence(UNITS, one.video[1:], one.truth, one.probability))
    with pytest.raises(ValueError, match="AU1: probabilities of coded frames"):
        scores(Occurrence(UNITS, one.video, one.truth, one.probability + 1))


def test_codes_are_one_zero_and_unknown():
    assert as_codes(np.array([[1, 0], [np.nan, -1]], np.float32)).tolist() == [[1, 0], [-1, -1]]
