"""Shipped files are found, read and checked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import AssetError, ConfigError, SchemaError
from au3dmm.io import assets
from au3dmm.io.assets import (
    DEMO_BASES,
    HEAD_FOLDER,
    asset_path,
    experiment_file,
    pipeline_file,
    read_default_head,
    training_file,
)


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "head"
    shutil.copytree(asset_path(HEAD_FOLDER), folder)
    return folder


def test_files_are_found_in_the_checkout():
    assert asset_path(DEMO_BASES).is_file()
    assert asset_path("pipelines").is_dir()


def test_files_are_found_in_an_installed_package(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "au3dmm"
    for name in (DEMO_BASES, "pipelines/label.toml"):
        (package / "assets" / name).parent.mkdir(parents=True)
        (package / "assets" / name).touch()
    monkeypatch.setattr(assets, "_PACKAGE", package)
    assert asset_path(DEMO_BASES) == package / "assets" / DEMO_BASES
    assert asset_path("pipelines/label.toml") == package / "assets" / "pipelines" / "label.toml"


def test_a_missing_file_is_named_with_where_it_was_looked_for():
    with pytest.raises(AssetError, match=r"'flame_template/no\.npz' is missing .*assets/flame_template/no\.npz"):
        asset_path("flame_template/no.npz")


def test_default_head_is_read_whole():
    head = read_default_head()
    assert head.vertices.shape == (5023, 3)
    assert head.vertices.dtype == np.float64
    assert head.albedo.dtype == np.uint8
    assert head.faces.max() == 5022
    assert {"left_eyeball", "right_eyeball", "lips", "inner_mouth", "neck", "brows", "upper_lids"} <= set(head.regions)
    assert len(head.embedding.face_index) == 68


def test_topology_file_says_that_it_is_not_flame():
    topology = json.loads(asset_path(f"{HEAD_FOLDER}/topology.json").read_text())
    assert topology["is_flame_topology"] is False
    assert topology["n_vertices"] == 5023
    assert topology["n_faces"] == len(read_default_head().faces)


def test_a_folder_without_the_head_says_how_to_make_it(tmp_path):
    with pytest.raises(AssetError, match="make_assets"):
        read_default_head(tmp_path)


def test_landmarks_of_another_mesh_are_refused(copied):
    file = copied / "landmarks68.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "topology_hash": "0" * 64}))
    with pytest.raises(SchemaError, match="made for topology 000000000000"):
        read_default_head(copied)


@pytest.mark.parametrize("change", [{"scheme": "mpeg4"}, {"face_index": [1], "barycentric": [[1.0, 0, 0]]}])
def test_other_landmark_schemes_are_refused(copied, change):
    file = copied / "landmarks68.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SchemaError, match="expected the 68 of 'ibug68'"):
        read_default_head(copied)


@pytest.mark.parametrize("text", ["{", "[]", '{"scheme": "ibug68"}'])
def test_damaged_landmarks_are_refused(copied, text):
    (copied / "landmarks68.json").write_text(text)
    with pytest.raises(SchemaError, match=r"landmarks68\.json: not a landmark embedding"):
        read_default_head(copied)


def test_a_head_without_its_arrays_is_refused(copied):
    np.savez(copied / "default_head.npz", vertices=np.zeros((3, 3)))
    with pytest.raises(SchemaError, match="faces, mirror, albedo missing"):
        read_default_head(copied)


@pytest.mark.parametrize(
    ("find", "name", "file"),
    [
        (pipeline_file, "label", "label.toml"),
        (training_file, "reduced", "train_reduced.toml"),
        (training_file, "train_reduced", "train_reduced.toml"),
        (experiment_file, "table5", "table5.toml"),
    ],
)
def test_a_folder_does_not_hide_the_shipped_file_of_its_name(tmp_path, monkeypatch, find, name, file):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert find(Path(name)).name == file
    own = tmp_path / "own"
    own.write_text("")
    assert find(Path("own")) == Path("own")
    with pytest.raises(ConfigError, match="nor one that is shipped"):
        find(Path("nothing"))
