import numpy as np
import pytest

from au3dmm.core.dictionary import learn_dictionary, objective
from au3dmm.errors import FitError

R = 24
PARITY = np.where(np.arange(R) % 3 == 2, -1.0, 1.0).astype(np.float32)


def planted(n=4000, pairs=3, alone=3, seed=0, one_sided=False):
    """Rows of atoms, mirror images of theirs and symmetric ones; with `one_sided` nobody moves the other side."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((pairs, R))
    single = rng.standard_normal((alone, R)) * (PARITY > 0)
    atoms = np.concatenate([first, first * PARITY, single])
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.exponential(size=(n, len(atoms))) * (rng.random((n, len(atoms))) < 0.2)
    if one_sided:
        codes[:, pairs : 2 * pairs] = 0
    return atoms, (codes @ atoms + 0.005 * rng.standard_normal((n, R))).astype(np.float32)


@pytest.mark.parametrize("one_sided", [False, True])
def test_planted_pairs_and_symmetric_atoms_come_back(one_sided):
    atoms, rows = planted(one_sided=one_sided)
    found = learn_dictionary(rows, 9, 0.02, parity=PARITY, epochs=15)
    assert (np.abs(found.atoms @ atoms.T).max(0) > 0.99).all()
    assert (found.partner == np.arange(9)).sum() == 3
    np.testing.assert_allclose(found.atoms * PARITY, found.atoms[found.partner], atol=1e-9)


def test_the_objective_falls_and_is_that_of_rows_and_mirrored_rows():
    _, rows = planted()
    found = learn_dictionary(rows, 9, 0.02, parity=PARITY, epochs=8)
    assert (np.diff(found.objective) < 1e-7).all()
    both = np.concatenate([rows, rows * PARITY])
    codes = np.concatenate([found.codes, found.codes[:, found.partner]])
    assert objective(both, found.atoms, codes, 0.02) == pytest.approx(found.objective[-1], rel=1e-5)


def test_partners_have_one_energy_and_stand_beside_each_other():
    _, rows = planted()
    found = learn_dictionary(rows, 9, 0.02, parity=PARITY, epochs=8)
    np.testing.assert_array_equal(found.energy, found.energy[found.partner])
    assert np.abs(found.partner - np.arange(9)).max() == 1


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("overcomplete", [1.0, 2.0])
def test_any_number_of_atoms_is_closed_under_mirroring(k, overcomplete):
    _, rows = planted(n=500)
    found = learn_dictionary(rows, k, 0.02, parity=PARITY, epochs=3, overcomplete=overcomplete)
    assert found.atoms.shape == (k, R)
    np.testing.assert_allclose(found.atoms * PARITY, found.atoms[found.partner], atol=1e-9)


def test_signed_codes_see_mirrored_rows_without_pairs():
    _, rows = planted()
    found = learn_dictionary(rows, 9, 0.02, parity=PARITY, epochs=5, nonnegative=False)
    assert found.partner is None
    assert len(found.codes) == len(rows)


def test_a_parity_of_another_size_is_refused():
    _, rows = planted(n=100)
    with pytest.raises(FitError, match="parity"):
        learn_dictionary(rows, 3, 0.02, parity=PARITY[:5])
