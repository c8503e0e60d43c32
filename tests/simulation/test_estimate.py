"""Fits of simulated recordings: planted truth comes back, and presets are put together as the tables say."""

import numpy as np
import pytest

from au3dmm.config import FitParams, IdentityParams
from au3dmm.errors import ConfigError
from au3dmm.simulation.comparisons import CENTRED, LADDER, LEFT_OUT, PRESETS, cumulative
from au3dmm.simulation.conditions import COMPARISON_SEED, TEST_SEEDS, TRAINING_SEED, VALIDATION_SEEDS, Condition
from au3dmm.simulation.estimate import estimate, make_method
from au3dmm.simulation.measures import measure
from au3dmm.simulation.recordings import draw_person, simulate
from au3dmm.simulation.training import LearntBasis, learn_basis

SEED = 5


@pytest.fixture(scope="module")
def own_basis(family):
    """The basis that subject 0 was made with."""
    face, own = draw_person(family, SEED, 0)
    return LearntBasis(face, family.identity, own, family.n_landmarks, family.n_metric)


def test_planted_motion_comes_back_without_noise_given_neutral_and_basis(family, own_basis):
    condition = Condition(noise_px=0.0, perspective=False, starts_active=0.0)
    recordings = simulate(family, condition, seed=SEED, subjects=1, dense=True, frames=30)
    method = make_method(
        true_neutral=True, smoothing_us=0, perspective_passes=0, sigma_px=0.01, l1=0.0, jaw_weight=1.0, shrink=0.0,
        robust=0.0,
    )  # fmt: skip
    found = estimate(recordings, own_basis, method)
    result = measure(recordings, found, own_basis, classify=False)
    assert result.disp < 0.03
    assert result.leak_mm < 1e-3
    assert result.worse_than_zero == ()
    np.testing.assert_allclose(found.alpha, recordings.weights, atol=0.1)


def test_a_wrong_neutral_shows_as_leak(family, own_basis):
    condition = Condition(noise_px=0.0, perspective=False, starts_active=0.0)
    recordings = simulate(family, condition, seed=SEED, subjects=1, frames=30)
    told = estimate(recordings, own_basis, make_method(true_neutral=True, perspective_passes=0))
    other = LearntBasis(
        family.points, 1e-3 * family.identity, own_basis.components_au, family.n_landmarks, family.n_metric
    )
    guessed = estimate(recordings, other, make_method(perspective_passes=0, sigma_offset_m=0.0))
    assert measure(recordings, told, own_basis, classify=False).leak_mm < 0.1
    assert measure(recordings, guessed, other, classify=False).leak_mm > 0.2


def test_robust_explains_more_than_paper(recordings, basis):
    results = {
        name: measure(recordings, estimate(recordings, basis, make_method(**values)), basis, classify=False)
        for name, values in PRESETS
    }
    assert results["robust"].disp < 0.8 * results["paper"].disp
    assert results["robust"].leak < results["paper"].leak
    assert results["robust"].purity > 0.6


def test_estimates_repeat_exactly(recordings, basis):
    a, b = (estimate(recordings, basis, make_method()) for _ in range(2))
    np.testing.assert_array_equal(a.alpha, b.alpha)
    np.testing.assert_array_equal(a.neutral_rows[0][0], b.neutral_rows[0][0])


def test_fewer_clips_are_pooled_in_groups(family, basis):
    recordings = simulate(family, Condition(clips_pooled=7), seed=3, subjects=1, frames=30)
    found = estimate(recordings, basis, make_method())
    groups = found.neutral_rows[0]
    assert [int(g.min()) // (7 * 30) for g in groups] == [0, 1, 2, 3]
    assert [int(g.max()) // (7 * 30) for g in groups] == [0, 1, 2, 3]
    alone = estimate(recordings, basis, make_method(pool="session"))
    assert len(alone.neutral_rows[0]) == 24


def test_the_ladder_ends_at_robust_and_starts_at_paper():
    steps = cumulative(LADDER)
    assert make_method("paper", **steps[0][1]) == make_method("paper")
    last = make_method("paper", **steps[-1][1])
    robust = make_method()
    assert last.basis == robust.basis
    for mine, wanted in ((last.identity, IdentityParams()), (last.fit, FitParams())):
        assert mine.model_dump(exclude={"preset"}) == wanted.model_dump(exclude={"preset"})


def test_each_row_of_a_table_is_another_method():
    for rows in ([("paper", {"preset": "paper"})], [(n, {"preset": "paper", **v}) for n, v in cumulative(LADDER)]):
        methods = [make_method(**values) for _, values in rows]
        assert len({repr(m) for m in methods}) == len(rows)
    assert len({repr(make_method(**values)) for _, values in LEFT_OUT}) == len(LEFT_OUT)


def test_parameters_go_where_they_belong():
    method = make_method(sigma_px=1.5, identity__l1=0.5, pool="session")
    assert (method.identity.sigma_px, method.fit.sigma_px) == (1.5, 1.5)
    assert (method.identity.l1, method.fit.l1) == (0.5, FitParams().l1)
    with pytest.raises(ConfigError, match="no parameter 'sigma'"):
        make_method(sigma=1.0)
    with pytest.raises(ConfigError, match="greater than 0"):
        make_method(sigma_px=-1.0)


def test_seeds_are_kept_apart():
    seeds = [TRAINING_SEED, COMPARISON_SEED, *VALIDATION_SEEDS, *TEST_SEEDS]
    assert len(set(seeds)) == len(seeds)


def test_centred_alpha_is_centred():
    alpha = np.random.default_rng(0).normal(size=(2, 3, 9, 4)) + 5
    ways = {name: change(alpha) for name, change in CENTRED.items()}
    np.testing.assert_allclose(ways["less the subject's mean"].mean((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(np.median(ways["less the clip's median"], axis=2), 0, atol=1e-12)
    np.testing.assert_allclose(ways["less the clip's first 3 frames"][:, :, :3].mean(2), 0, atol=1e-12)


def test_a_basis_is_kept_and_a_damaged_one_is_learnt_again(family, basis, tmp_path):
    from au3dmm.config import BasesParams

    options = {"params": BasesParams(k_au=(12,), epochs=3, rank=40), "frames": 800, "cache": tmp_path}
    first = learn_basis(family, **options)
    (kept,) = tmp_path.iterdir()
    again = learn_basis(family, **options)
    for mine in (first, again):
        np.testing.assert_array_equal(mine.components_au, basis.components_au)
    np.testing.assert_array_equal(again.template, first.template)
    kept.write_bytes(kept.read_bytes()[:1000])
    np.testing.assert_array_equal(learn_basis(family, **options).components_au, basis.components_au)
