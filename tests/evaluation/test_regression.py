import numpy as np
import pytest

from au3dmm.evaluation.regression import regress, stack_sums, sum_frames


def videos(seed=0, n=5, k=3):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        length = rng.integers(4, 12)
        y = rng.normal(size=(length, k)) + np.arange(k)
        found.append((y, 0.8 * y + 0.3 * rng.normal(size=y.shape), rng.uniform(size=length) < 0.8))
    return found


def test_metrics_from_sums_equal_those_of_all_frames_at_once():
    some = videos()
    found = regress(stack_sums([sum_frames(*video) for video in some]))
    y = np.concatenate([y[known] for y, _, known in some])
    p = np.concatenate([p[known] for _, p, known in some])
    assert found.n_frames == len(y)
    assert found.mse == pytest.approx(((p - y) ** 2).sum(1).mean())
    assert found.rmse == pytest.approx(np.sqrt(((p - y) ** 2).mean()))
    assert found.explained == pytest.approx(1 - ((p - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())
    np.testing.assert_allclose(found.component_rmse, np.sqrt(((p - y) ** 2).mean(0)))
    expected = [np.corrcoef(y[:, k], p[:, k])[0, 1] for k in range(y.shape[1])]
    np.testing.assert_allclose(found.component_correlation, expected)


def test_videos_can_be_drawn_more_than_once():
    some = videos()
    sums = stack_sums([sum_frames(*video) for video in some])
    twice = regress(sums[np.array([0, 0, 3])])
    again = regress(stack_sums([sum_frames(*some[i]) for i in (0, 0, 3)]))
    assert twice.mse == pytest.approx(again.mse)
    assert twice.n_frames == again.n_frames


def test_what_is_not_known_does_not_count():
    y, p, known = np.zeros((3, 2)), np.ones((3, 2)), np.array([True, False, True])
    p[1] = np.nan
    assert regress(sum_frames(y, p, known)).mse == 2.0


def test_predictions_that_never_vary_have_no_correlation_and_explain_nothing():
    y, known = np.random.default_rng(0).normal(size=(50, 2)), np.ones(50, bool)
    found = regress(sum_frames(y, np.tile(y.mean(0), (50, 1)), known))
    assert np.isnan(found.component_correlation).all()
    assert found.explained == pytest.approx(0.0, abs=1e-12)


def test_no_known_frame_numbers_that_are_not_finite_and_other_shapes_are_refused():
    y = np.zeros((3, 2))
    with pytest.raises(ValueError, match="no frame with a label"):
        regress(sum_frames(y, y, np.zeros(3, bool)))
    with pytest.raises(ValueError, match="not finite"):
        sum_frames(y, y + np.nan, np.ones(3, bool))
    with pytest.raises(ValueError, match="disagree"):
        sum_frames(y, y[:2], np.ones(3, bool))
