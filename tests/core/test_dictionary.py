import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from au3dmm.core.dictionary import learn_dictionary, objective
from au3dmm.core.sparse_codes import encode
from au3dmm.errors import FitError

N, K, V = 1500, 6, 30


def planted(seed=0, n=N, k=K, noise=0.002, signed=False, share=0.25):
    """Sparse codes of local shapes: atoms (k, 3 V) of unit norm, codes (n, k), rows (n, 3 V)."""
    rng = np.random.default_rng(seed)
    atoms = np.zeros((k, max(V, 4 * k + 2), 3))
    for j in range(k):
        atoms[j, j * 4 : j * 4 + 6] = rng.standard_normal((6, 3))
    atoms = atoms.reshape(k, -1)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.gamma(2, 1, (n, k)) * (rng.random((n, k)) < share)
    if signed:
        codes *= rng.choice([-1, 1], codes.shape)
    return atoms, codes, codes @ atoms + noise * rng.standard_normal((n, atoms.shape[1]))


def match(found, true):
    cosine = np.abs(found @ true.T)
    i, j = linear_sum_assignment(-cosine)
    return cosine[i, j]


@pytest.mark.parametrize("signed", [False, True])
def test_planted_atoms_are_recovered(signed):
    atoms, _, rows = planted(signed=signed)
    learnt = learn_dictionary(rows, K, 0.05, nonnegative=not signed, seed=1)
    assert match(learnt.atoms, atoms).min() > 0.98
    np.testing.assert_allclose(np.linalg.norm(learnt.atoms, axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"nonnegative": False}, {"l2": 0.1}, {"overcomplete": 1.0}])
def test_the_objective_falls_and_is_what_it_says(options):
    _, _, rows = planted(noise=0.05)
    learnt = learn_dictionary(rows, K + 3, 0.1, epochs=15, **options)
    assert learnt.restarted == 0
    steps = np.diff(learnt.objective)
    assert (steps <= 1e-12).all()
    assert steps.sum() < 0
    said = objective(rows, learnt.atoms, learnt.codes, 0.1, options.get("l2", 0.0))
    assert said == pytest.approx(learnt.objective[-1], rel=1e-9)
    # the codes returned are the best for the atoms returned
    again = encode(rows, learnt.atoms, 0.1, options.get("l2", 0.0), nonnegative=options.get("nonnegative", True))
    np.testing.assert_allclose(again, learnt.codes, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_the_search_finds_what_alternation_alone_misses(seed):
    atoms, _, rows = planted(seed, k=16, noise=0.01, share=0.3)
    alone = learn_dictionary(rows, 16, 0.05, overcomplete=1, seed=seed)
    searched = learn_dictionary(rows, 16, 0.05, seed=seed)
    assert match(searched.atoms, atoms).min() > 0.999
    assert match(alone.atoms, atoms).min() < 0.95
    assert searched.objective[-1] < alone.objective[-1]


@pytest.mark.parametrize("seed", range(4))
def test_a_small_shape_is_not_lost_to_mixtures_of_large_ones(seed):
    # a jaw that moves much, alone and together with brows that move little: jaw + brows is no atom
    rng = np.random.default_rng(seed)
    atoms = planted(seed, k=3)[0]
    size = np.array([1.0, 0.3, 0.14])
    shown = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)]
    ramp = np.sin(np.linspace(0, np.pi, 12))[1:-1, None]
    codes = np.concatenate([ramp * np.array(s) * size * rng.uniform(0.7, 1.3) for s in shown for _ in range(5)])
    rows = codes @ atoms
    learnt = learn_dictionary(rows, 3, 0.02 * np.sqrt((rows**2).sum(1).mean()), seed=seed)
    assert match(learnt.atoms, atoms).min() > 0.98


def test_equal_seeds_give_equal_bytes_whatever_the_number_of_threads():
    _, _, rows = planted(n=5000)
    rows = rows.astype(np.float32)
    one = learn_dictionary(rows, K, 0.1, epochs=3, workers=1)
    three = learn_dictionary(rows, K, 0.1, epochs=3, workers=3)
    assert np.array_equal(one.atoms, three.atoms)
    assert np.array_equal(one.codes, three.codes)
    assert one.objective == three.objective
    assert not np.array_equal(one.atoms, learn_dictionary(rows, K, 0.1, epochs=3, seed=1).atoms)


def test_atoms_are_sorted_by_energy_and_codes_of_signed_atoms_sum_to_plus():
    _, _, rows = planted(signed=True)
    learnt = learn_dictionary(rows, K, 0.05, nonnegative=False)
    assert (np.diff(learnt.energy) <= 0).all()
    assert (learnt.codes.sum(0) >= 0).all()


def test_reduced_rows_give_atoms_in_the_full_space():
    atoms, _, rows = planted(noise=0)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[:K]
    full = learn_dictionary(rows, K, 0.05, seed=3)
    reduced = learn_dictionary(rows @ directions.T, K, 0.05, seed=3, directions=directions)
    assert reduced.atoms.shape == (K, 3 * V)
    assert match(reduced.atoms, atoms).min() > 0.98
    assert reduced.objective[-1] == pytest.approx(full.objective[-1], rel=1e-3)


def test_locality_empties_vertices_and_keeps_the_shapes():
    atoms, _, rows = planted(noise=0.03)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[:30]
    plain = learn_dictionary(rows @ directions.T, K, 0.05, directions=directions)
    local = learn_dictionary(rows @ directions.T, K, 0.05, directions=directions, locality=3e-3)
    empty = lambda d: (np.abs(d.atoms.reshape(K, -1, 3)).max(2) == 0).mean()  # noqa: E731
    assert empty(plain) == 0
    assert empty(local) > 0.5  # 24 of 30 vertices of each planted atom are still
    assert match(local.atoms, atoms).min() > 0.98
    assert (np.diff(local.objective) <= 1e-12).all()


def test_an_atom_that_locality_empties_is_started_again():
    _, _, rows = planted(noise=0.03)
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[:30]
    learnt = learn_dictionary(rows @ directions.T, 4 * K, 0.02, directions=directions, locality=0.02, epochs=6)
    assert np.isfinite(learnt.atoms).all()
    norm = np.linalg.norm(learnt.atoms, axis=1)
    assert (np.isclose(norm, 1) | (norm == 0)).all()
    assert learnt.restarted > 0
    # what stays empty is used by no row
    assert (learnt.codes[:, norm == 0] == 0).all()


def test_an_unused_atom_is_started_again_and_said_so():
    rows = np.zeros((200, 6))
    rows[:100, 0] = np.linspace(1, 3, 100)
    rows[100:, 1] = np.linspace(1, 3, 100)
    # two directions for four atoms: two of them repeat others and are never needed
    learnt = learn_dictionary(rows, 4, 0.2, overcomplete=1, epochs=8)
    assert np.isfinite(learnt.atoms).all()
    assert 0 < learnt.restarted <= 2 * 4  # two atoms, in the first half of the epochs


def test_more_rows_than_the_search_looks_at_are_all_coded():
    atoms, _, rows = planted(n=40_000)
    learnt = learn_dictionary(rows.astype(np.float32), K, 0.05, epochs=4)
    assert learnt.codes.shape == (40_000, K)
    assert match(learnt.atoms, atoms).min() > 0.98


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "0 atoms"),
        ({"k": 11}, "expected 1 to 10"),
        ({"l1": -1.0}, "l1 = -1.0"),
        ({"epochs": 0}, "epochs = 0"),
        ({"overcomplete": 0.5}, "overcomplete = 0.5"),
        ({"locality": 0.1}, "locality needs the directions"),
        ({"directions": np.eye(4)}, r"directions \(4, 4\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    rows = np.random.default_rng(0).standard_normal((10, 6))
    with pytest.raises(FitError, match=message):
        learn_dictionary(rows, **{"k": 2, "l1": 0.1, **arguments})


def test_rows_that_cannot_be_used_are_refused():
    rows = np.ones((10, 3))
    rows[4, 1] = np.nan
    with pytest.raises(FitError, match="not finite"):
        learn_dictionary(rows, 2, 0.1)
    with pytest.raises(FitError, match="too few for 3 atoms"):
        learn_dictionary(np.diag([1.0, 1.0, 0.0, 0.0]), 3, 0.1)
