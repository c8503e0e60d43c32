"""The committed demonstration files: what the script makes, and sane to fit with."""

import numpy as np
import pytest

from au3dmm.core.basis import deform
from au3dmm.core.landmarks import landmark_positions
from au3dmm.io.assets import DEMO_BASES, HEAD_FOLDER, asset_path, read_default_head
from au3dmm.io.bases import read_bases
from au3dmm.synthetic.make_assets import make_assets


@pytest.fixture(scope="module")
def bases():
    return read_bases(asset_path(DEMO_BASES))


def frontal_design(components):
    """Centred x, y of the landmarks of every component with unit columns, (136, K)."""
    design = components[:, :, :2] - components[:, :, :2].mean(1, keepdims=True)
    design = design.reshape(len(components), -1).T
    return design / np.linalg.norm(design, axis=0)


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_assets(folder)
    return folder


def test_committed_files_are_what_the_script_makes(bases, made_folder):
    made, kept = read_default_head(made_folder), read_default_head()
    assert np.array_equal(made.faces, kept.faces)
    assert np.array_equal(made.mirror, kept.mirror)
    np.testing.assert_allclose(made.vertices, kept.vertices, atol=1e-6)
    np.testing.assert_allclose(made.albedo.astype(int), kept.albedo.astype(int), atol=1)
    np.testing.assert_allclose(made.embedding.barycentric, kept.embedding.barycentric, atol=1e-6)
    assert {name: index.tolist() for name, index in made.regions.items()} == {
        name: index.tolist() for name, index in kept.regions.items()
    }
    again = read_bases(made_folder / "demo_bases.npz")
    np.testing.assert_allclose(again.components_id, bases.components_id, atol=1e-6)
    np.testing.assert_allclose(again.components_au, bases.components_au, atol=1e-6)
    assert again.names_au == bases.names_au
    for name in ("landmarks68.json", "topology.json"):
        assert (made_folder / name).stat().st_size == asset_path(f"{HEAD_FOLDER}/{name}").stat().st_size


def test_making_them_twice_gives_equal_bytes(made_folder, tmp_path):
    make_assets(tmp_path)
    for file in made_folder.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_shipped_folder_is_small():
    assert sum(file.stat().st_size for file in asset_path(HEAD_FOLDER).iterdir()) < 4e6


def test_bases_say_that_they_are_for_trying_out(bases):
    assert bases.is_demo
    assert bases.info["is_flame_topology"] is False
    assert bases.info["licence"] == "Apache-2.0"
    assert "FLAME" in bases.info["provenance"]


def test_template_is_the_default_head(bases):
    head = read_default_head()
    assert np.array_equal(bases.template, head.vertices)
    assert np.array_equal(bases.faces, head.faces)


def test_standard_deviations_are_the_norms_of_the_stored_components(bases):
    for components, stddev in ((bases.components_id, bases.stddev_id), (bases.components_au, bases.stddev_au)):
        np.testing.assert_allclose(np.linalg.norm(components, axis=(1, 2)), stddev, rtol=1e-5)
    assert (np.diff(bases.stddev_id) < 0).all()


def test_identity_components_are_orthogonal(bases):
    flat = bases.components_id.reshape(bases.k_id, -1) / bases.stddev_id[:, None]
    np.testing.assert_allclose(flat @ flat.T, np.eye(bases.k_id), atol=1e-3)


def test_bases_have_full_rank_at_the_frontal_landmarks(bases):
    _, identity, units = bases.landmarks()
    assert np.linalg.cond(frontal_design(units)) < 1000
    assert np.linalg.cond(frontal_design(identity)) < 1000
    assert np.linalg.cond((units / np.linalg.norm(units, axis=(1, 2), keepdims=True)).reshape(bases.k_au, -1)) < 400


def test_every_unit_shows_at_the_landmarks(bases):
    _, _, units = bases.landmarks()
    assert np.linalg.norm(units, axis=2).max(1).min() > 0.2e-3  # m at alpha = 1


def test_eyeballs_do_not_move_with_action_units(bases):
    head = read_default_head()
    for side in ("left_eyeball", "right_eyeball"):
        assert not bases.components_au[:, head.regions[side]].any()


def turned_over(bases, vertices):
    """Share of the triangles of the visible skin that point more than 90 degrees away from where they did."""
    skin = np.isin(bases.faces, read_default_head().regions["face"]).all(1)

    def normals(points):
        a, b, c = (points[bases.faces[skin, k]] for k in range(3))
        return np.cross(b - a, c - a)

    return float(((normals(vertices) * normals(bases.template)).sum(1) < 0).mean())


def test_strong_combinations_of_action_units_stay_a_face(bases):
    rng = np.random.default_rng(0)
    for _ in range(30):
        alpha = np.where(rng.random(bases.k_au) < 0.2, 2.0, 0.0)
        moved = deform(bases.template, bases.components_au, alpha)
        assert np.linalg.norm(moved - bases.template, axis=1).max() < 0.07  # m
        assert turned_over(bases, moved) < 0.02


def test_people_of_the_population_stay_faces(bases):
    rng = np.random.default_rng(0)
    for _ in range(30):
        person = deform(bases.template, bases.components_id, rng.standard_normal(bases.k_id))
        assert turned_over(bases, person) < 0.002
        landmarks = landmark_positions(person, bases.faces, bases.embedding)
        assert 0.075 < np.linalg.norm(landmarks[45] - landmarks[36]) < 0.105  # m
        assert landmarks[62, 1] - landmarks[66, 1] < 0.001  # the mouth is shut
