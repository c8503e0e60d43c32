import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, top_k_accuracy_score

from au3dmm.evaluation.classification import GROUPS, calibration_error, classify, grouped_confusion, ranks
from au3dmm.synthetic.tasks import ACTION_UNITS


def some(seed=0, n=200, c=6):
    rng = np.random.default_rng(seed)
    y = rng.integers(c, size=n)
    p = rng.dirichlet(np.ones(c), n) + 0.3 * np.eye(c)[y]
    return y, p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_scikit_learns(seed):
    y, p = some(seed)
    found, guess = classify(y, p), p.argmax(1)
    assert found.top1 == pytest.approx((y == guess).mean())
    assert found.top3 == pytest.approx(top_k_accuracy_score(y, p, k=3))
    assert found.top5 == pytest.approx(top_k_accuracy_score(y, p, k=5))
    assert found.macro_f1 == pytest.approx(f1_score(y, guess, average="macro"))
    np.testing.assert_allclose(found.recall, recall_score(y, guess, average=None))
    np.testing.assert_allclose(found.precision, precision_score(y, guess, average=None))
    assert found.support.sum() == found.confusion.sum() == found.n == len(y)


def test_a_class_that_never_occurs_has_no_recall_and_does_not_lower_the_mean():
    y, p = np.array([0, 1]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    found = classify(y, p)
    assert np.isnan([found.recall[2], found.f1[2]]).all()
    assert found.macro_f1 == 1.0


def test_a_perfect_and_certain_classifier_has_no_error():
    y = np.arange(4)
    found = classify(y, np.eye(4))
    assert (found.top1, found.macro_f1, found.calibration_error, found.brier) == (1.0, 1.0, 0.0, 0.0)


def test_a_certain_classifier_that_is_wrong_has_all_of_the_error():
    found = classify(np.array([1, 0]), np.eye(2))
    assert (found.top1, found.calibration_error, found.brier) == (0.0, 1.0, 2.0)


def test_confidence_that_equals_accuracy_is_calibrated():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1.0, 200_000)
    hit = rng.uniform(size=len(confidence)) < confidence
    assert calibration_error(hit, confidence) < 0.005
    assert calibration_error(hit, np.minimum(confidence + 0.2, 1.0)) > 0.1


@given(st.integers(0, 1000))
def test_the_rank_of_the_true_class_counts_the_classes_above_it(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(5), 4)
    y = rng.integers(5, size=4)
    assert ranks(y, p).tolist() == [(row > row[k]).sum() for row, k in zip(p, y, strict=True)]


def test_groups_hold_each_of_the_24_units_once():
    assert sorted(unit for units in GROUPS.values() for unit in units) == sorted(ACTION_UNITS)


def test_grouping_loses_no_video():
    y, p = some(c=24)
    confusion = classify(y, p).confusion
    names, grouped = grouped_confusion(confusion, ACTION_UNITS)
    assert names == list(GROUPS)
    assert grouped.sum() == confusion.sum()
    names, grouped = grouped_confusion(confusion[:3, :3], ["AU1", "happiness", "AU2"])
    assert names == ["eyes", "happiness"]
    assert grouped.sum() == confusion[:3, :3].sum()


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        ([], np.zeros((0, 2)), "N > 0"),
        ([0, 1], [[1.0, 0.0]], r"\(2,\)"),
        ([2], [[0.5, 0.5]], "0 to 1"),
        ([-1], [[0.5, 0.5]], "from -1"),
        ([0], [[0.5, 0.4]], "sum 1"),
        ([0], [[np.nan, 1.0]], "finite"),
        ([0], [[1.5, -0.5]], "negative"),
    ],
)
def test_what_are_no_labels_or_probabilities_is_refused(labels, probabilities, said):
    with pytest.raises(ValueError, match=said):
        classify(np.array(labels, int), np.array(probabilities))
