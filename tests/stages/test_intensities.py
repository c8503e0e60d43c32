"""Intensities from the basis file to the coefficients."""

import dataclasses

import numpy as np
import pytest

from au3dmm.config import FitParams, IdentityParams
from au3dmm.core.intensities import Intensities
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases, read_npz, write_bases, write_npz
from au3dmm.io.intensity_columns import names_intensity
from au3dmm.io.tables import read_metadata, read_table, vectors
from au3dmm.stages import fit, identity
from au3dmm.validation.tables import check_table
from planted import plant, small_bases

NAMES = ("AU1", "AU1_left", "AU1_right", "AU25")


def with_intensities(bases, explained=(0.9, 0.9, 0.9, 0.1)):
    """A unit that is the first component, and one that is the second and cannot be told."""
    flat = bases.components_au[:2].reshape(2, -1) * 3
    left = np.repeat(bases.template[:, 0] > 0, 3)
    masks = [left, ~left]
    every = bases.components_au.reshape(bases.k_au, -1)
    reader = Intensities(
        ("AU1", "AU25"),
        np.stack([(flat * m) @ flat.T for m in masks]),
        np.stack([(flat * m) @ every.T for m in masks]),
        np.full((4, 2), 0.2),
        np.array(explained),
    )
    assert reader.names == NAMES
    return dataclasses.replace(bases, intensities=reader)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    planted = plant(folder)
    write_bases(planted.bases, with_intensities(small_bases()))
    identity.run(
        sessions=[planted.session], landmarks=[planted.landmarks], bases=planted.bases,
        identity=folder / "identity.parquet", params=IdentityParams(),
    )  # fmt: skip
    summary = fit.run(
        session=planted.session, landmarks=planted.landmarks, identity=folder / "identity.parquet",
        bases=planted.bases, coefficients=folder / "coefficients.parquet", params=FitParams(),
    )  # fmt: skip
    return folder / "coefficients.parquet", summary, planted


def test_the_demo_basis_reads_a_maximal_contraction_as_5():
    demo = read_bases(asset_path(DEMO_BASES))
    alpha = np.zeros((2, demo.k_au))
    alpha[0, [demo.names_au.index(f"AU12_{side}") for side in ("left", "right")]] = 3
    alpha[1, demo.names_au.index("AU12_right")] = 1.5
    found = dict(zip(demo.intensities.names, demo.intensities.read(alpha).T, strict=True))
    assert np.allclose(found["AU12"], [5, 1.25], atol=0.15)
    assert np.allclose(found["AU12_left"], [5, 0], atol=0.15)


def test_intensities_survive_the_file_and_half_of_them_are_refused(tmp_path):
    bases = with_intensities(small_bases())
    write_bases(tmp_path / "b.npz", bases)
    again = read_bases(tmp_path / "b.npz")
    assert again.intensities.units == bases.intensities.units
    assert np.array_equal(again.intensities.products, bases.intensities.products)
    arrays = read_npz(tmp_path / "b.npz")
    del arrays["intensity_gram"]
    write_npz(tmp_path / "b.npz", arrays)
    with pytest.raises(SchemaError, match="intensity_units without intensity_gram; expected all of them, or none"):
        read_bases(tmp_path / "b.npz")


def test_intensities_of_other_components_are_refused():
    with pytest.raises(SchemaError, match="intensities of 12 AU components, expected 5"):
        dataclasses.replace(small_bases(k_au=5), intensities=with_intensities(small_bases()).intensities)


def test_fitted_intensities_follow_the_planted_motion(fitted):
    path, _, planted = fitted
    table = read_table(path, "coefficients")
    assert names_intensity(table) == list(NAMES)
    values, valid = vectors(table, "au_intensity")
    assert valid.tolist() == [word == "ok" for word in planted.status]
    truth = read_bases(planted.bases).intensities.read(planted.alpha)
    assert np.corrcoef(values[valid, 0], truth[valid, 0])[0, 1] > 0.9
    std, _ = vectors(table, "au_intensity_std")
    assert (std[valid, :3] > 0).all()


def test_what_cannot_be_observed_is_null_and_named_and_that_is_no_problem_to_validate(fitted):
    path, summary, _ = fitted
    rows = read_table(path, "coefficients")["au_intensity"].to_pylist()
    assert all(row is None or (row[3] is None and None not in row[:3]) for row in rows)
    assert summary["unobservable"] == ["AU25"]
    assert read_metadata(path)["intensity"]["states"][3] == "unobservable"
    from au3dmm.io.table_info import read_table_info, schema_differences

    info = read_table_info(path)
    assert schema_differences(info) == []
    assert list(check_table(info, read_table(path, "coefficients"))) == []


def test_a_basis_without_intensities_makes_tables_without_these_columns(tmp_path):
    planted = plant(tmp_path)
    identity.run(
        sessions=[planted.session], landmarks=[planted.landmarks], bases=planted.bases,
        identity=tmp_path / "identity.parquet", params=IdentityParams(),
    )  # fmt: skip
    summary = fit.run(
        session=planted.session, landmarks=planted.landmarks, identity=tmp_path / "identity.parquet",
        bases=planted.bases, coefficients=tmp_path / "c.parquet", params=FitParams(),
    )  # fmt: skip
    table = read_table(tmp_path / "c.parquet", "coefficients")
    assert "au_intensity" not in table.column_names
    assert names_intensity(table) == []
    assert "weak" not in summary
