import dataclasses
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from au3dmm.core.landmarks import LandmarkEmbedding
from au3dmm.errors import AssetError, ConfigError, OutputError, SchemaError
from au3dmm.io import heads
from au3dmm.io.heads import FLAME_TOPOLOGY, Head, find_head, head_names, heads_folder, read_head, write_head
from au3dmm.io.landmark_embeddings import DenseEmbedding, read_landmarks_json
from au3dmm.io.mesh import read_mesh


@pytest.fixture(scope="module")
def shipped():
    return read_head("procedural")


@pytest.fixture
def other(shipped):
    """The shipped head under a name of its own, with its triangles in another order: another topology."""
    embedding = dataclasses.replace(
        shipped.embedding, face_index=(len(shipped.faces) - 1) - shipped.embedding.face_index
    )
    dense = DenseEmbedding(
        "mediapipe",
        np.array([33, 1], np.int32),
        LandmarkEmbedding(embedding.face_index[[36, 30]], embedding.barycentric[[36, 30]]),
    )
    return Head("mine", shipped.vertices, shipped.faces[::-1].copy(), embedding, dense, "CC0", "a.obj")


def test_a_head_comes_back_as_it_was_written(tmp_path, other):
    folder = write_head(other, tmp_path)
    assert folder == tmp_path / "mine"
    found = read_head("mine", tmp_path)
    for name in ("vertices", "faces"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))
    assert found.landmark_hash() == other.landmark_hash()
    assert (found.name, found.licence, found.source) == ("mine", "CC0", "a.obj")
    np.testing.assert_array_equal(found.dense.landmark_index, [33, 1])
    np.testing.assert_array_equal(found.dense.embedding.barycentric, other.dense.embedding.barycentric)
    embedding, mesh = read_landmarks_json(folder / "landmarks68.json")
    assert mesh == other.topology_hash()
    np.testing.assert_array_equal(embedding.face_index, other.embedding.face_index)


def test_equal_heads_give_equal_bytes(tmp_path, other):
    a, b = (write_head(other, tmp_path / name) for name in "ab")
    for name in ("head.npz", "landmarks68.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()


def test_the_shipped_head_is_known_by_name_and_is_not_flame(shipped):
    assert shipped.is_flame_topology is False
    assert shipped.landmarks().shape == (68, 3)
    assert shipped.licence == "Apache-2.0"


@pytest.mark.shared
def test_flames_topology_is_known_by_its_hash(shared_data, shipped):
    mesh = read_mesh(shared_data / "flame_format" / "template.ply")
    head = Head("flame", mesh.vertices, mesh.faces, shipped.embedding)
    assert head.is_flame_topology
    swapped = mesh.faces.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    assert not dataclasses.replace(head, faces=swapped).is_flame_topology


def test_the_folder_of_heads_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AU3DMM_HEADS", str(tmp_path / "a"))
    assert heads_folder() == tmp_path / "a"
    monkeypatch.delenv("AU3DMM_HEADS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "b"))
    assert heads_folder() == tmp_path / "b" / "au3dmm" / "heads"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert heads_folder() == tmp_path / ".local" / "share" / "au3dmm" / "heads"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x" * 65, "procedural"])
def test_names_that_are_no_folders_are_refused(tmp_path, other, name):
    with pytest.raises(ConfigError, match=r"no name for a head|the shipped head"):
        write_head(dataclasses.replace(other, name=name), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_head_that_is_not_there_is_named_with_those_that_are(tmp_path, other):
    write_head(other, tmp_path)
    for name in ("flame", "../mine"):
        with pytest.raises(AssetError, match=r"no head .* there are procedural, mine; `au3dmm assets import --flame"):
            read_head(name, tmp_path)


def test_heads_are_found_by_their_triangles_or_their_number_of_vertices(tmp_path, other, shipped):
    assert find_head(topology_hash=shipped.topology_hash(), folder=tmp_path).name == "procedural"
    assert find_head(topology_hash=FLAME_TOPOLOGY, folder=tmp_path) is None
    # the shipped head has as many vertices as FLAME, and must not pass for it
    assert find_head(n_vertices=5023, folder=tmp_path) is None
    write_head(other, tmp_path)
    assert find_head(n_vertices=5023, folder=tmp_path).name == "mine"
    assert find_head(n_vertices=5022, folder=tmp_path) is None
    assert find_head(topology_hash=other.topology_hash(), folder=tmp_path).name == "mine"


def test_two_heads_that_fit_must_be_told_apart_by_the_user(tmp_path, other):
    write_head(other, tmp_path)
    write_head(dataclasses.replace(other, name="again"), tmp_path)
    assert find_head(n_vertices=5023, folder=tmp_path).name == "again"  # the same mesh and landmarks: either will do
    moved = other.embedding.barycentric.copy()
    moved[30] = [1, 0, 0]
    write_head(
        dataclasses.replace(other, name="moved", embedding=dataclasses.replace(other.embedding, barycentric=moved)),
        tmp_path,
    )
    with pytest.raises(ConfigError, match=r"heads again, mine, moved all fit, and differ .* --head NAME"):
        find_head(n_vertices=5023, folder=tmp_path)


def change(path, **arrays):
    found = dict(np.load(path))
    np.savez(path, **{**found, **arrays})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vertices": np.zeros((5023, 2))}, r"expected \(V, 3\)"),
        ({"vertices": np.zeros((4, 3))}, r"names vertex \d+, but the mesh has 4"),
        ({"vertices": np.full((5023, 3), np.nan)}, "not finite"),
        ({"faces": np.zeros((3, 3))}, r"faces is float64 \(3, 3\)"),
        ({"faces": np.zeros((3, 3), np.int32)}, r"names triangle \d+, but the mesh has 3"),
        ({"landmark_face_index": np.zeros(68, np.int32)}, "landmark_hash .* is not the"),
        ({"landmark_barycentric": np.zeros((68, 3))}, "miss a sum of 1"),
        (
            {"landmark_face_index": np.zeros(3, np.int32), "landmark_barycentric": np.eye(3)},
            "3 landmarks, expected the 68",
        ),
        ({"dense_face_index": np.zeros(2, np.int32), "dense_index": np.zeros(3, np.int32)}, "3 names for 2 dense"),
        ({"info": np.array("{")}, "info is not JSON"),
        ({"info": np.array('{"format_version": 2}')}, "head format 2, expected 1"),
        ({"info": np.array("[]")}, "head format list, expected 1"),
    ],
)
def test_damaged_heads_are_refused_with_the_way_out(tmp_path, other, arrays, message):
    path = write_head(other, tmp_path) / "head.npz"
    change(path, **arrays)
    with pytest.raises(SchemaError, match=message) as caught:
        read_head("mine", tmp_path)
    assert "import it again with --force" in str(caught.value)
    with pytest.raises(SchemaError):  # a damaged head may be the one that is looked for
        find_head(n_vertices=5023, folder=tmp_path)


def test_a_head_cut_short_is_refused(tmp_path, other):
    path = write_head(other, tmp_path) / "head.npz"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SchemaError, match=r"head\.npz: not an npz file"):
        read_head("mine", tmp_path)


def test_a_head_is_there_once_it_is_whole(tmp_path, other, monkeypatch):
    def full(*_):
        raise OutputError("disk full")

    monkeypatch.setattr(heads, "write_npz", full)
    with pytest.raises(OutputError):
        write_head(other, tmp_path)
    assert head_names(tmp_path) == []
    monkeypatch.undo()
    write_head(other, tmp_path)
    assert head_names(tmp_path) == ["mine"]


def test_a_killed_import_leaves_the_old_head(tmp_path, other):
    write_head(other, tmp_path)
    before = (tmp_path / "mine" / "head.npz").read_bytes()
    program = (
        "import os, sys, signal, dataclasses; from pathlib import Path; from au3dmm.io import atomic, heads;"
        "folder = Path(sys.argv[1]); head = heads.read_head('mine', folder);"
        "kill = lambda: os.kill(os.getpid(), signal.SIGKILL);"
        "atomic.os.replace = lambda a, b: kill() if b.name == 'head.npz' else os.rename(a, b);"
        "heads.write_head(dataclasses.replace(head, vertices=head.vertices + 1), folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False, env=os.environ
    )
    assert done.returncode == -9, done.stderr
    assert (tmp_path / "mine" / "head.npz").read_bytes() == before
    np.testing.assert_array_equal(read_head("mine", tmp_path).vertices, other.vertices)


def test_the_file_holds_no_pickle_and_no_path(tmp_path, other):
    path = write_head(other, tmp_path) / "head.npz"
    with zipfile.ZipFile(path) as z:
        assert all(name.endswith(".npy") for name in z.namelist())
    info = json.loads(str(np.load(path)["info"]))
    assert info["source"] == "a.obj"
    assert info["is_flame_topology"] is False


def test_measured_spreads_are_kept_with_a_head_and_older_heads_have_none(tmp_path, other):
    assert other.dense.spread_m is None
    measured = dataclasses.replace(other.dense, spread_m=np.array([0.001, 0.002]), info={"fingerprint": "f"})
    write_head(dataclasses.replace(other, dense=measured), tmp_path)
    found = read_head("mine", tmp_path).dense
    assert found.spread_m.tolist() == [0.001, 0.002]
    assert found.info == {"fingerprint": "f"}
    path = tmp_path / "mine" / "head.npz"
    arrays = heads.read_npz(path)
    info = json.loads(str(arrays["info"]))
    del info["dense"], arrays["dense_spread_m"]  # as heads were written before
    heads.write_npz(path, {**arrays, "info": np.array(json.dumps({**info, "dense_scheme": "mediapipe"}))})
    found = read_head("mine", tmp_path).dense
    assert (found.scheme, found.spread_m, dict(found.info)) == ("mediapipe", None, {})
