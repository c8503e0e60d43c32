"""Motion spaces: everything that coefficients can do, lengths that are millimetres, and what a mask leaves."""

import numpy as np
import pytest
from scipy.optimize import nnls

from au3dmm.core.landmarks import landmark_positions
from au3dmm.core.motion_space import motion_space
from au3dmm.errors import FitError, SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases

K, V, R = 3, 25, 6


def made(n_motion=R, **options):
    rng = np.random.default_rng(0)
    components = rng.normal(size=(K, V, 3)) * 1e-3
    offsets = rng.normal(size=(40, K)) @ components.reshape(K, -1)
    more = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 3 * V)) * 2e-3
    return components, motion_space(components, "topology", n_motion, (offsets + more).reshape(-1, V, 3), **options)


@pytest.mark.parametrize("weighted", [False, True])
def test_directions_are_orthonormal_and_lengths_are_rms_millimetres(weighted):
    weights = np.r_[np.zeros(5), np.linspace(1, 3, V - 5)] if weighted else None
    _, space = made(K + 2, weights=weights)
    gram = np.einsum("rvd,v,svd->rs", space.directions, space.weights, space.directions)
    assert abs(gram - np.eye(K + 2)).max() < 1e-9
    c = np.random.default_rng(1).normal(size=(4, K + 2))
    squared = (1e3 * space.offsets(c)) ** 2
    np.testing.assert_allclose((c**2).sum(1), (squared.sum(2) * space.weights).sum(1), rtol=1e-9)
    np.testing.assert_allclose(space.coordinates(space.offsets(c)), c, atol=1e-9)


def test_all_that_coefficients_can_do_is_in_it_exactly():
    components, space = made()
    alpha = np.random.default_rng(1).normal(size=(2, 4, K))
    offsets = np.tensordot(alpha, components, 1)
    np.testing.assert_allclose(space.offsets(alpha @ space.of_alpha), offsets, atol=1e-12)
    np.testing.assert_allclose(space.coordinates(offsets), alpha @ space.of_alpha, atol=1e-9)
    np.testing.assert_allclose(space.alpha(alpha @ space.of_alpha), alpha, atol=1e-5)


def test_what_coefficients_cannot_show_comes_after_them_largest_first():
    """The planted motion beyond the components has two dimensions; what is left over are zeros."""
    rng = np.random.default_rng(0)
    components, space = made()
    assert not space.directions[K + 2 :].any()
    assert not space.of_alpha[:, K:].any() or abs(space.of_alpha[:, K:]).max() < 1e-9
    more = (rng.normal(size=(40, K)) @ components.reshape(K, -1)).reshape(-1, V, 3)
    assert abs(space.coordinates(more)[:, K:]).max() < 1e-9


def test_more_rows_than_numbers_in_a_row_give_the_same_space():
    rng = np.random.default_rng(2)
    components = rng.normal(size=(1, 4, 3)) * 1e-3
    few = rng.normal(size=(6, 4, 3)) * 1e-3
    once, thrice = (motion_space(components, "t", 4, np.concatenate([few] * n)) for n in (1, 3))
    np.testing.assert_allclose(once.directions, thrice.directions, atol=1e-9)


def test_masked_motion_keeps_its_lengths_and_knows_nothing_of_the_rest():
    _, space = made(K + 2)
    mask = np.arange(V) < 7
    p = space.masked(mask)
    c = np.random.default_rng(1).normal(size=(5, K + 2))
    squared = ((1e3 * space.offsets(c)[:, mask]) ** 2).sum(2) @ space.weights[mask]
    np.testing.assert_allclose(((c @ p.T) ** 2).sum(1), squared, rtol=1e-9)
    # products, too: so any linear function of one is one of the other
    a, b = space.offsets(c)[:, mask] * 1e3, space.offsets(c[::-1])[:, mask] * 1e3
    np.testing.assert_allclose(
        np.einsum("ni,ni->n", c @ p.T, c[::-1] @ p.T), np.einsum("nvd,nvd,v->n", a, b, space.weights[mask]), atol=1e-9
    )
    assert not space.masked(np.zeros(V, bool)).any()


def test_landmarks_move_as_their_triangles_do(demo_space):
    bases, space = demo_space
    c = np.random.default_rng(1).normal(size=space.n_motion)
    found = np.tensordot(c, space.landmarks(bases.faces, bases.embedding), 1)
    moved = bases.template + space.offsets(c)
    expected = landmark_positions(moved, bases.faces, bases.embedding) - bases.landmarks()[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.fixture(scope="module")
def demo_space():
    bases = read_bases(asset_path(DEMO_BASES))
    return bases, motion_space(bases.components_au, bases.topology_hash(), bases.k_au)


def test_another_topology_is_refused():
    components, space = made()
    with pytest.raises(
        SchemaError, match=r"offsets \(2, 24, 3\), expected \(\.\.\., 25, 3\); this is another topology"
    ):
        space.coordinates(np.zeros((2, 24, 3)))
    with pytest.raises(SchemaError, match=r"mask \(24,\), expected \(25,\); this is another topology"):
        space.masked(np.zeros(24, bool))
    with pytest.raises(FitError, match="n_motion = 2"):
        motion_space(components, "t", 2)
    with pytest.raises(FitError, match="move nothing"):
        motion_space(np.zeros((1, V, 3)), "t", 2)
    with pytest.raises(FitError, match=r"offsets \(2, 3, 3\), expected \(n, 25, 3\)"):
        motion_space(components, "t", R, np.zeros((2, 3, 3)))


def test_coefficients_that_must_not_be_negative_are_the_best_such_ones():
    """Two routes: scipy's non-negative least squares, frame by frame."""
    _, space = made()
    coordinates = np.random.default_rng(2).normal(size=(5, 4, R))
    found = space.alpha(coordinates, nonnegative=True)
    by_hand = [nnls(space.of_alpha.T, row)[0] for row in coordinates.reshape(-1, R)]
    np.testing.assert_allclose(found.reshape(-1, K), by_hand, atol=1e-6)
    assert (found == 0).any()
    assert (found > 0).any()
