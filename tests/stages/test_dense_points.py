"""Identity and fit with dense points beside the 68: planted motion, and what is refused."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import DENSE, FitParams, IdentityParams
from au3dmm.core.basis import deform
from au3dmm.core.landmarks import DenseEmbedding, LandmarkEmbedding
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.table_info import read_table_info, schema_differences
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import read_metadata, read_table, vector_array, vectors, write_table
from au3dmm.stages import fit, identity
from planted import plant, small_bases

N_DENSE, N_MESH = 120, 468


def dense_places(spread_m=None):
    """Places for every fourth point of a mesh of 468, here and there on the small basis."""
    bases = small_bases()
    rng = np.random.default_rng(3)
    return DenseEmbedding(
        "mediapipe",
        np.arange(0, 4 * N_DENSE, 4, dtype=np.int32)[: N_MESH // 4],
        LandmarkEmbedding(
            rng.integers(0, len(bases.faces), N_MESH // 4).astype(np.int32), rng.dirichlet(np.ones(3), N_MESH // 4)
        ),
        spread_m,
    )


@pytest.fixture
def planted(tmp_path):
    """A recording with 2 px of noise on its 68 landmarks, and dense points without any."""
    clean = plant(tmp_path / "clean")
    noisy = plant(tmp_path, noise_px=2.0)
    places = dense_places()
    write_bases(noisy.bases, dataclasses.replace(read_bases(noisy.bases), dense=places))
    points, valid = vectors(read_table(clean.landmarks, "landmarks"), "landmarks_px")
    corners = small_bases().faces[places.embedding.face_index]
    at = points.reshape(len(points), 68, 3)[:, corners]  # every landmark is a vertex
    mesh = np.zeros((len(points), N_MESH, 3))
    mesh[:, places.landmark_index] = np.einsum("tncd,nc->tnd", at, places.embedding.barycentric)
    table = read_table(noisy.landmarks, "landmarks")
    columns = [*table.columns, vector_array(np.nan_to_num(mesh), valid)]
    table = pa.Table.from_arrays(columns, schema=landmarks_schema(N_MESH))
    write_table(noisy.landmarks, "landmarks", table, read_metadata(noisy.landmarks))
    return noisy


def run_identity(planted, folder, points="dense", **values):
    params = IdentityParams(landmarks=points, **values)
    return identity.run(
        sessions=[planted.session],
        landmarks=[planted.landmarks],
        bases=planted.bases,
        identity=folder / f"identity_{points}.parquet",
        params=params,
    )


def run_fit(planted, folder, points="dense", made_with=None):
    fit.run(
        session=planted.session,
        landmarks=planted.landmarks,
        identity=folder / f"identity_{made_with or points}.parquet",
        bases=planted.bases,
        coefficients=folder / f"coefficients_{points}.parquet",
        params=FitParams(landmarks=points),
    )
    return read_table(folder / f"coefficients_{points}.parquet", "coefficients")


def error(planted, table):
    alpha, valid = vectors(table, "alpha_au")
    bases = small_bases()
    truth = deform(np.zeros((68, 3)), bases.components_au, planted.alpha)[valid]
    found = deform(np.zeros((68, 3)), bases.components_au, alpha[valid])
    return np.linalg.norm(found - truth, axis=2).mean() / np.linalg.norm(truth, axis=2).mean()


def test_clean_dense_points_help_noisy_landmarks(planted, tmp_path):
    errors = {}
    for points in ("ibug68", "dense"):
        run_identity(planted, tmp_path, points)
        errors[points] = error(planted, run_fit(planted, tmp_path, points))
    assert errors["dense"] < 0.75 * errors["ibug68"]


def test_the_tables_still_speak_of_the_68(planted, tmp_path):
    run_identity(planted, tmp_path)
    table = run_fit(planted, tmp_path)
    path = tmp_path / "identity_dense.parquet"
    found = read_table(path, "identity")
    assert found.schema.field("neutral_landmarks_m").type.list_size == 204
    assert found.schema.field("neutral_dense_m").type.list_size == 3 * (N_MESH // 4)
    assert not schema_differences(read_table_info(path))
    assert read_metadata(path)["dense_points"] == N_MESH // 4
    observed, _ = vectors(read_table(planted.landmarks, "landmarks"), "landmarks_px")
    rmse = np.nanmedian(table["rmse_px"].to_numpy(zero_copy_only=False))
    assert 1.5 < rmse < 3.5, "of the landmarks with 2 px of noise, not of the clean dense points"
    assert observed.shape[1] == 204


def test_points_that_are_poorly_known_count_less(planted, tmp_path):
    errors = []
    for spread in (0.0, 0.02):
        places = dense_places(np.full(N_MESH // 4, spread))
        write_bases(planted.bases, dataclasses.replace(read_bases(planted.bases), dense=places))
        run_identity(planted, tmp_path)
        errors.append(error(planted, run_fit(planted, tmp_path)))
    run_identity(planted, tmp_path, "ibug68")
    errors.append(error(planted, run_fit(planted, tmp_path, "ibug68")))
    assert errors[0] < errors[1]


def test_a_fit_to_the_68_may_use_an_identity_of_more(planted, tmp_path):
    run_identity(planted, tmp_path)
    run_fit(planted, tmp_path, "ibug68", made_with="dense")


def test_a_dense_fit_of_an_identity_of_the_68_is_refused(planted, tmp_path):
    run_identity(planted, tmp_path, "ibug68")
    with pytest.raises(SchemaError, match=r"identity_ibug68.parquet: .* set landmarks = 'dense' in \[identity\]"):
        run_fit(planted, tmp_path, "dense", made_with="ibug68")


def test_a_basis_without_places_is_refused(planted, tmp_path):
    write_bases(planted.bases, small_bases())
    with pytest.raises(
        ConfigError, match=r"bases.npz: .*no places.*au3dmm assets place-landmarks --bases .* --out FILE"
    ):
        run_identity(planted, tmp_path)


def test_landmarks_without_dense_points_are_refused(planted, tmp_path):
    table = read_table(planted.landmarks, "landmarks").drop_columns(["dense_px"])
    metadata = {**read_metadata(planted.landmarks), "detector": {"name": "face_alignment"}}
    write_table(planted.landmarks, "landmarks", table, metadata)
    with pytest.raises(SchemaError, match="face_alignment gave 0 dense points, expected MediaPipe's 468"):
        run_identity(planted, tmp_path)


def test_dense_points_have_a_noise_level_of_their_own():
    for params in (IdentityParams, FitParams):
        assert params(landmarks="dense").sigma_px == DENSE["sigma_px"] != params().sigma_px
        assert params(landmarks="dense", sigma_px=2.5).sigma_px == 2.5
        assert params(landmarks="dense").l1 == DENSE["l1"]
