import numpy as np
import pytest

from au3dmm.core.std_factors import LEAST, MOST, KnownMotion, best_codes, learn_std_factors
from au3dmm.errors import FitError
from planted import small_bases

RNG = np.random.default_rng(0)
BASES = small_bases(k_au=6)
HEAD, _, COMPONENTS = BASES.landmarks()
COMPONENTS = COMPONENTS * (1e-3 / np.sqrt((COMPONENTS**2).sum(2).mean(1)))[:, None, None]
K = len(COMPONENTS)
HOW = {
    "sigma_px": 0.05, "jaw_weight": 1.0, "camera": "scaled_orthographic", "perspective_passes": 2, "joint_pose": True,
    "l1": 3.0, "reweight": 5.0, "l1_by_size": 0.0, "ridge": 0.1,
}  # fmt: skip


def moving(own_way, n=1500, seed=0, shows=0.5):
    """Frames whose landmarks move by the codes times 1 +- `own_way`, by component."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(1.0, 4.0, (n, K)) * (rng.random((n, K)) < shows)
    seen = codes * (1 + np.asarray(own_way) * rng.standard_normal((n, K)))
    offsets = np.tensordot(seen, COMPONENTS, axes=1)
    return KnownMotion(np.stack([HEAD, 1.05 * HEAD]), offsets, rng.integers(0, 2, n), codes)


def learn(*groups, **changes):
    return learn_std_factors(groups, COMPONENTS, **{**HOW, **changes})


def test_a_component_whose_errors_are_twice_as_large_gets_the_factor():
    own_way = np.full(K, 0.1)
    own_way[2] = 0.2
    f, same = learn(moving(own_way)), learn(moving(np.full(K, 0.1)))
    # of the factor that is right here, the power of 0.8 is believed of other movements
    assert (f[2] / same[2]) / np.median(np.delete(f / same, 2)) == pytest.approx(2**0.8, rel=0.1)
    assert np.exp(np.log(f).mean()) == pytest.approx(1, abs=1e-3)
    assert f.argmax() == 2


def test_mirror_partners_get_one_factor():
    own_way = np.full(K, 0.1)
    own_way[1] = 0.25
    partner = np.array([1, 0, 2, 4, 3, 5])
    apart, together = learn(moving(own_way)), learn(moving(own_way), partner=partner)
    assert apart[1] > 1.3 * apart[0]
    assert together[0] == together[1]
    assert together[3] == together[4]
    assert apart[0] < together[0] < apart[1]


def test_kinds_of_movement_count_alike_however_many_frames_they_have():
    one, other = np.full(K, 0.1), np.full(K, 0.1)
    one[0] = other[5] = 0.3
    both = learn(moving(one, 3000), moving(other, 500, seed=1))
    assert both[0] == pytest.approx(both[5], rel=0.2)
    assert both[[0, 5]].min() > 1.2 * both[1:5].max()


def test_what_hardly_shows_is_drawn_to_one():
    own_way, rare = np.full(K, 0.1), np.full(K, 0.5)
    own_way[3], rare[3] = 0.3, 0.01
    assert 1 < learn(moving(own_way, shows=rare))[3] < 0.9 * learn(moving(own_way))[3]


def test_factors_are_bounded():
    own_way = np.full(K, 0.02)
    own_way[4] = 2.0
    f = learn(moving(own_way))
    assert f[4] == MOST
    assert (f >= LEAST).all()


def test_where_nothing_shows_all_factors_are_one():
    still = moving(np.zeros(K), n=50, shows=0.0)
    assert learn(still).tolist() == [1.0] * K
    assert learn().tolist() == [1.0] * K
    lively = moving(np.full(K, 0.1))
    np.testing.assert_array_equal(learn(lively, still), learn(lively))


def test_the_same_frames_give_the_same_factors():
    np.testing.assert_array_equal(learn(moving(np.full(K, 0.1))), learn(moving(np.full(K, 0.1))))


def test_codes_of_planted_displacements_come_back_and_are_never_negative():
    basis = small_bases(k_au=6)
    flat = basis.components_au.reshape(6, -1)
    codes = np.maximum(RNG.normal(0, 1, (40, 6)), 0)
    found = best_codes(codes @ flat @ flat.T, flat @ flat.T)
    np.testing.assert_allclose(found, codes, atol=2e-3)
    assert best_codes(-flat[:1] @ flat.T, flat @ flat.T)[0, 0] == 0


def test_what_does_not_fit_together_is_refused():
    good = moving(np.zeros(K), n=5)
    with pytest.raises(FitError, match=r"factors: heads \(68, 3\)"):
        KnownMotion(HEAD, good.offsets, good.owner, good.codes)
    with pytest.raises(FitError, match="a frame of person 2, but there are 2 heads"):
        KnownMotion(good.heads, good.offsets, np.full(5, 2), good.codes)
    with pytest.raises(FitError, match=r"factors: codes \(5, 6\), expected \(N, 5\) as there are 5 components"):
        learn_std_factors([good], COMPONENTS[:5], **HOW)
