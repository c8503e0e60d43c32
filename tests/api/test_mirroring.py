import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.transform import Rotation

import au3dmm
from au3dmm.core.mirror import basis_mirror
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import basis_metadata, read_bases, write_bases
from au3dmm.io.intensity_columns import sparse_vector_array
from au3dmm.io.tables import METADATA_KEY, vector_array, vectors


@pytest.fixture(scope="module")
def bases():
    return au3dmm.read_bases(asset_path(DEMO_BASES))


@pytest.fixture
def stored(bases, tmp_path):
    matrix, error = basis_mirror(bases)
    with_matrix = type(bases)(**{**bases.__dict__, "mirror_au": matrix, "info": {**bases.info, "mirror_error": error}})
    write_bases(tmp_path / "b.npz", with_matrix)
    return tmp_path / "b.npz", matrix


def labels(path, alpha, turn):
    n = len(alpha)
    valid = np.arange(n) != 1
    columns = {
        "alpha_au": vector_array(alpha, valid),
        "alpha_au_std": vector_array(0.1 + 0 * alpha, valid),
        "rotation_vector": vector_array(turn, valid),
        "translation_px": vector_array(np.tile([100.0, 50.0], (n, 1)), valid),
        "aperture_left": pa.array(np.full(n, 9.0, np.float32)),
        "aperture_right": pa.array(np.full(n, 4.0, np.float32)),
    }
    metadata = {METADATA_KEY: json.dumps({"basis": basis_metadata(path, read_bases(path))}).encode()}
    return pa.table(columns).replace_schema_metadata(metadata)


def test_left_and_right_are_swapped_and_twice_is_nothing(bases):
    rng = np.random.default_rng(0)
    alpha = rng.random((4, 3, bases.k_au)).astype(np.float32)
    flipped = au3dmm.mirror_alpha(alpha, bases)
    assert flipped.dtype == np.float32
    left, right = (bases.names_au.index(f"AU12_{side}") for side in ("left", "right"))
    np.testing.assert_array_equal(flipped[..., left], alpha[..., right])
    np.testing.assert_allclose(au3dmm.mirror_alpha(flipped, bases), alpha, atol=1e-6)


def test_a_table_carries_the_matrix_of_its_basis(bases, stored):
    path, matrix = stored
    alpha = np.random.default_rng(1).random((5, bases.k_au))
    np.testing.assert_array_equal(read_bases(path).mirror_au, matrix)
    table = labels(path, alpha, np.zeros((5, 3)))
    np.testing.assert_allclose(au3dmm.mirror_alpha(alpha, table), au3dmm.mirror_alpha(alpha, bases), atol=1e-6)


def test_flipped_labels_are_those_of_the_flipped_picture(bases, stored):
    rng = np.random.default_rng(2)
    alpha, turn = rng.random((4, bases.k_au)), rng.normal(0, 0.3, (4, 3))
    table = labels(stored[0], alpha, turn)
    flipped = au3dmm.mirror_labels(table, width_px=640)
    valid = vectors(table, "alpha_au")[1]
    assert (vectors(flipped, "alpha_au")[1] == valid).all()
    mirror = np.diag([-1.0, 1, 1])
    expected = mirror @ Rotation.from_rotvec(turn).as_matrix() @ mirror
    seen = Rotation.from_rotvec(vectors(flipped, "rotation_vector")[0][valid]).as_matrix()
    np.testing.assert_allclose(seen, expected[valid], atol=1e-6)
    np.testing.assert_allclose(vectors(flipped, "translation_px")[0][0], [539, 50])
    assert flipped["aperture_left"].to_pylist() == [4.0] * 4
    np.testing.assert_allclose(vectors(flipped, "alpha_au_std")[0][valid], 0.1, rtol=1e-6)
    again = au3dmm.mirror_labels(flipped, width_px=640)
    assert again.equals(table)
    assert "translation_px" not in au3dmm.mirror_labels(table).column_names


def test_labels_without_a_matrix_and_other_sizes_are_refused(bases, stored):
    alpha = np.zeros((3, bases.k_au))
    table = labels(stored[0], alpha, np.zeros((3, 3))).replace_schema_metadata({})
    with pytest.raises(SchemaError, match="do not hold the mirror matrix"):
        au3dmm.mirror_labels(table)
    with pytest.raises(SchemaError, match=r"alpha of shape \(2, 3\), expected \(..., 34\)"):
        au3dmm.mirror_alpha(np.zeros((2, 3)), bases)


def test_intensities_and_the_camera_are_those_of_the_flipped_picture(bases, stored):
    path, _ = stored
    rng = np.random.default_rng(2)
    alpha = np.abs(rng.normal(size=(5, bases.k_au)))
    table = labels(path, alpha, np.zeros((5, 3)))
    names = list(bases.intensities.names)
    known = np.array([not name.startswith("AU2") for name in names])
    valid = np.arange(5) != 1
    for column in ("au_intensity", "au_intensity_std"):
        values = sparse_vector_array(bases.intensities.read(alpha), valid, known)
        table = table.append_column(column, pa.chunked_array([values]))
    camera = rng.normal(size=(5, 2, 4)).astype(np.float32)
    table = table.append_column("camera", pa.chunked_array([vector_array(camera.reshape(5, 8), valid)]))
    metadata = json.loads(table.schema.metadata[METADATA_KEY])
    metadata["intensity"] = {"names": names, "observability": list(range(len(names))), "states": names}
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata)})

    flipped = au3dmm.mirror_labels(table, width_px=640)
    found = vectors(flipped, "au_intensity")[0]
    expected = bases.intensities.read(au3dmm.mirror_alpha(alpha, bases))
    np.testing.assert_allclose(found[valid][:, known], expected[valid][:, known], atol=1e-3)
    assert np.isnan(found[:, ~known]).all()
    said = json.loads(flipped.schema.metadata[METADATA_KEY])["intensity"]
    assert said["states"][names.index("AU12_left")] == "AU12_right"
    # a point of the mesh and its mirror image appear at mirrored places
    point = np.array([0.3, -0.2, 0.5, 1.0])
    here = camera[0] @ point
    there = vectors(flipped, "camera")[0][0].reshape(2, 4) @ (point * [-1, 1, 1, 1])
    np.testing.assert_allclose(there, [639 - here[0], here[1]], rtol=1e-5)
    twice = au3dmm.mirror_labels(flipped, width_px=640)
    np.testing.assert_allclose(vectors(twice, "camera")[0], vectors(table, "camera")[0], atol=1e-4)
    assert "camera" not in au3dmm.mirror_labels(table).column_names


def test_labels_of_the_shipped_basis_can_be_mirrored(bases):
    path = asset_path(DEMO_BASES)
    alpha = np.abs(np.random.default_rng(3).normal(size=(4, bases.k_au)))
    found, valid = vectors(au3dmm.mirror_labels(labels(path, alpha, np.zeros((4, 3)))), "alpha_au")
    np.testing.assert_allclose(found[valid], au3dmm.mirror_alpha(alpha, bases)[valid], atol=1e-6)
