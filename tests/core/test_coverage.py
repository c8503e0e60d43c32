import math

import numpy as np
import pytest
from scipy import stats

from au3dmm.core.coverage import LEVELS, WIDE, covered, nominal
from au3dmm.errors import FitError


def test_stated_uncertainty_that_is_right_covers_as_it_says():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 0.4, (200, 50, 3))
    target = rng.uniform(0, 2, std.shape)
    # Student's t with 4 degrees of freedom; 1.1416 of its units hold what one deviation of a normal variable does
    coverage = covered(target + std / 1.1416 * rng.standard_t(4, std.shape), std, target)
    assert coverage.within_1 == pytest.approx(0.683, abs=0.01)
    assert coverage.within_wide == pytest.approx(0.954, abs=0.01)
    assert coverage.component_1 == pytest.approx((0.683,) * 3, abs=0.02)
    assert coverage.active_1 == pytest.approx(0.683, abs=0.02)
    assert coverage.curve == pytest.approx([nominal(level) for level in LEVELS], abs=0.02)


def test_what_is_promised_is_that_of_a_t_which_holds_as_much_within_one_deviation_as_a_normal_variable():
    unit = stats.t.ppf((1 + math.erf(math.sqrt(0.5))) / 2, 4)
    promised = [nominal(level) for level in LEVELS]
    np.testing.assert_allclose(promised, 2 * stats.t.cdf(unit * np.array(LEVELS), 4) - 1, atol=1e-5)
    assert nominal(WIDE) == pytest.approx(0.95, abs=0.005)


def test_only_codes_that_show_something_count_as_shown():
    # truly zero and found so, missed, invented, found
    alpha, target = np.array([[0.0, 0.0, 1.0, 2.0]]), np.array([[0.0, 1.0, 0.0, 2.5]])
    found = covered(alpha, np.full((1, 4), 0.6), target)
    assert (found.n, found.n_shown) == (4, 3)
    assert (found.shown_1, found.shown_wide) == pytest.approx((1 / 3, 1.0))
    assert (found.reported_1, found.active_1, found.quiet_1) == (0.5, 0.5, 1.0)
    assert found.counts()["within"][LEVELS.index(1.0)] == 1


def test_components_are_counted_one_by_one_where_there_is_enough_to_count():
    alpha, target = np.zeros((40, 3)), np.zeros((40, 3))
    target[:, 0] = 1.0
    target[:20, 1] = np.repeat([0.5, 2.0], 10)
    found = covered(alpha, np.full((40, 3), 0.6), target)
    assert found.component_1[:2] == (0.0, 0.5)
    assert np.isnan(found.component_1[2])
    assert found.spread(wide=True) == (0.5, 0.75, 1.0)


def test_where_nothing_is_shown_there_is_no_share():
    found = covered(np.zeros((5, 2)), np.ones((5, 2)), np.zeros((5, 2)))
    assert found.within_1 == 1.0
    assert np.isnan([found.shown_1, found.active_wide, *found.curve, *found.spread(wide=False)]).all()
    assert found.counts() == {"shown": 0, "within": [0] * len(LEVELS)}


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(FitError, match=r"alpha \(2, 3\), std \(2, 2\)"):
        covered(np.zeros((2, 3)), np.ones((2, 2)), np.zeros((2, 3)))
    with pytest.raises(FitError, match="expected equal ones"):
        covered(np.zeros((0, 3)), np.ones((0, 3)), np.zeros((0, 3)))
