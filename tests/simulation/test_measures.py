"""Measures by hand, on arrays small enough to see through."""

import numpy as np
import pytest

from au3dmm.simulation.classifier import cross_validated_hits, fit_logistic, with_ones
from au3dmm.simulation.conditions import Condition
from au3dmm.simulation.estimate import Estimate
from au3dmm.simulation.measures import measure, target_codes
from au3dmm.simulation.recordings import Recordings
from au3dmm.simulation.training import LearntBasis

# one subject, one clip of 5 frames, one metric point, one expression that moves it by 1 mm along x
SHOWN = np.array([0.0, 0.0, 0.5, 1.0, 1.0])


def tiny(alpha):
    """Return recordings, an estimate and a basis of one component that is the expression."""
    shape = (1, 1, 5)
    recordings = Recordings(
        condition=Condition(kind="combined"),
        labels=("one",),
        landmarks=np.zeros((*shape, 1, 2), np.float32),
        weights=SHOWN.reshape(*shape, 1).astype(np.float32),
        expressions=np.array([[[[1e-3, 0, 0]]]], np.float32),
        neutral=np.zeros((1, 1, 3)),
        rotation=np.tile(np.eye(3, dtype=np.float32), (*shape, 1, 1)),
        activation=SHOWN.reshape(shape),
        focal_px=1000.0,
        contour=np.zeros(1, bool),
        units=np.zeros((*shape, 24, 2), np.float32),
    )
    found = Estimate(
        alpha=np.array(alpha, np.float32).reshape(*shape, 1),
        alpha_std=np.full((*shape, 1), 0.1, np.float32),
        rotation=recordings.rotation,
        neutral_rows=([np.array([0, 3])],),
        seconds=0.5,
    )
    basis = LearntBasis(np.zeros((2, 3)), np.zeros((1, 2, 3)), np.array([[[0, 0, 0], [1e-3, 0, 0]]]), 1, 1)
    return recordings, found, basis


def test_predicting_no_motion_scores_exactly_one(recordings, basis):
    still = np.zeros((*recordings.landmarks.shape[:3], len(basis.components_au)), np.float32)
    found = Estimate(still, still + 1, recordings.rotation, ([], []), 1.0)
    result = measure(recordings, found, basis, classify=False)
    assert result.disp == pytest.approx(1.0, abs=1e-6)
    assert result.dmed == pytest.approx(1.0, abs=1e-6)
    assert (result.leak_mm, result.jitter_mm) == (0.0, 0.0)
    assert [unit.disp for unit in result.units.values()] == pytest.approx([1.0] * 24, abs=1e-6)


def test_measures_of_a_tiny_recording_by_hand():
    # neutral frames 0 and 1, apex frames 3 and 4
    recordings, found, basis = tiny([0.1, 0.3, 0.5, 0.8, 1.4])
    result = measure(recordings, found, basis)
    assert result.disp == pytest.approx((0.2 + 0.4) / 2)
    assert result.leak_mm == pytest.approx(0.2, rel=1e-5)
    assert result.leak == pytest.approx(0.2 / 1.1, rel=1e-5)
    assert result.jitter_mm == pytest.approx(0.2 / np.sqrt(2), rel=1e-5)
    assert result.purity == 0.5
    assert result.frames_per_second == 10
    assert result.units["one"].apex_mm == pytest.approx(1.0)
    # |alpha - target| is 0.1 0.3 0 0.2 0.4, one standard deviation 0.1
    assert result.coverage.within_wide == pytest.approx(3 / 5)
    assert result.coverage.active_wide == pytest.approx(2 / 3)
    assert result.coverage.shown_wide == pytest.approx(2 / 4)
    assert np.isnan(result.foresight.error)
    assert np.isnan(result.accuracy)


def test_the_truth_has_no_error_and_correlates_fully():
    recordings, found, basis = tiny(SHOWN)
    result = measure(recordings, found, basis)
    assert result.disp == pytest.approx(0, abs=1e-6)
    assert result.corr == pytest.approx(1.0)
    assert result.worse_than_zero == ()
    assert result.to_dict()["accuracy"] is None


def test_an_error_above_one_is_named():
    recordings, found, basis = tiny([0, 0, 0, -1.0, -1.0])
    assert measure(recordings, found, basis).worse_than_zero == ("one",)


def test_clips_that_start_active_are_measured_by_themselves():
    recordings, found, basis = tiny([0.5, 0, 0, 1.0, 1.0])
    assert measure(recordings, found, basis).n_active == 0
    recordings.activation[0, 0, 0] = 1.0
    recordings.weights[0, 0, 0] = 1.0
    result = measure(recordings, found, basis)
    assert result.n_active == 1
    assert result.disp_active == pytest.approx(0.5 / 3)


def test_target_codes_are_least_squares(recordings, basis):
    target = target_codes(recordings, basis.metric, nonnegative=False)
    frame = (1, 8, int(np.argmax(recordings.activation[1, 8])))
    mask = np.zeros(recordings.activation.shape[1:], bool)
    mask[frame[1:]] = True
    true = recordings.displacement(1, mask).ravel().astype(float)
    flat = basis.metric.reshape(len(basis.metric), -1)
    direct = np.linalg.lstsq(flat.T, true, rcond=None)[0]
    left = [np.linalg.norm(true - codes @ flat) for codes in (target[frame], direct)]
    assert left[0] == pytest.approx(left[1], rel=1e-3)
    positive = target_codes(recordings, basis.metric, nonnegative=True)
    assert positive.min() >= 0
    assert np.linalg.norm(true - positive[frame] @ flat) >= left[1] - 1e-9


def test_the_classifier_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 30)
    x = rng.normal(size=(120, 5)) + classes[:, None] * rng.normal(size=5)
    ours = with_ones(x) @ fit_logistic(x, classes)
    theirs = linear.LogisticRegression(C=1.0, max_iter=2000, tol=1e-8).fit(x, classes).decision_function(x)
    ours, theirs = (s - s.mean(1, keepdims=True) for s in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_subjects_are_never_learnt_from_and_tested_on():
    # the class shows only in a feature that is each subject's own: nobody can tell from others
    rng = np.random.default_rng(1)
    groups, classes = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    own = np.eye(10)[groups] * rng.normal(size=(60, 1)) * 5
    assert cross_validated_hits(own, classes, groups).mean() < 0.45
    told = np.eye(6)[classes] + 0.05 * rng.normal(size=(60, 6))
    assert cross_validated_hits(told, classes, groups).mean() == 1.0
