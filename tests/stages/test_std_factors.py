"""What a basis knows of how sure its components are, from its file to the coefficients."""

import dataclasses

import numpy as np

from au3dmm.config import FitParams, IdentityParams
from au3dmm.io.bases import write_bases
from au3dmm.io.tables import read_table, vectors
from au3dmm.stages import fit, identity
from au3dmm.stages.bases_std_factors import _swaps
from planted import plant, small_bases


def fitted(folder, factors, **params):
    folder.mkdir()
    planted = plant(folder)
    write_bases(planted.bases, dataclasses.replace(small_bases(), std_factor_au=factors))
    identity.run(
        sessions=[planted.session], landmarks=[planted.landmarks], bases=planted.bases,
        identity=folder / "identity.parquet", params=IdentityParams(),
    )  # fmt: skip
    fit.run(
        session=planted.session, landmarks=planted.landmarks, identity=folder / "identity.parquet",
        bases=planted.bases, coefficients=folder / "c.parquet", params=FitParams(**params),
    )  # fmt: skip
    table = read_table(folder / "c.parquet", "coefficients")
    std, valid = vectors(table, "alpha_au_std")
    return vectors(table, "alpha_au")[0][valid], std[valid], table["confidence"].to_pylist()


def test_factors_of_a_basis_reach_alpha_au_std_and_change_nothing_else(tmp_path):
    factors = np.linspace(0.6, 1.7, 12)
    alpha, std, confidence = fitted(tmp_path / "plain", None)
    again, scaled, still = fitted(tmp_path / "factors", factors)
    np.testing.assert_array_equal(again, alpha)
    assert still == confidence
    np.testing.assert_allclose(scaled, std * factors, rtol=1e-6)


def test_codes_with_signs_keep_their_posterior(tmp_path):
    _, std, _ = fitted(tmp_path / "plain", None, preset="paper")
    _, same, _ = fitted(tmp_path / "factors", np.linspace(0.6, 1.7, 12), preset="paper")
    np.testing.assert_array_equal(same, std)


def test_a_mirror_that_swaps_but_for_rounding_has_partners_and_one_that_mixes_has_none():
    swap = np.eye(4)[[1, 0, 2, 3]]
    crumbs = swap.copy()
    crumbs[3, :2] = 1.06e-5  # as in bases of the synthetic corpus
    assert _swaps(crumbs).tolist() == _swaps(swap).tolist() == [1, 0, 2, 3]
    mixed = swap.copy()
    mixed[3, 0] = 0.05
    assert _swaps(mixed) is None
