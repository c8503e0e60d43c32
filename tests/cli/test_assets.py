import dataclasses
import json

import numpy as np
import pytest

from au3dmm.core.landmarks import DenseEmbedding, LandmarkEmbedding
from au3dmm.io import head_files, heads
from au3dmm.io.bases import read_bases, write_bases
from au3dmm.io.images import read_image
from au3dmm.io.landmark_embeddings import landmarks_json
from au3dmm.io.mesh import Mesh, write_mesh
from au3dmm.report import head_picture
from exploits import exploits
from old_pickles import dumps2, flame_model
from planted import small_bases


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AU3DMM_HEADS", str(tmp_path / "heads"))
    return tmp_path / "heads"


@pytest.fixture
def quick(monkeypatch):
    """Draw no picture; it takes a second."""
    monkeypatch.setattr(head_picture, "head_picture", lambda *_, **__: np.zeros((1, 1, 3), np.uint8))


@pytest.fixture
def shipped():
    return heads.read_head("procedural")


@pytest.fixture
def mesh(shipped, tmp_path):
    write_mesh(tmp_path / "head.obj", Mesh(1000 * shipped.vertices, shipped.faces))
    return tmp_path / "head.obj"


@pytest.fixture
def marks(shipped, tmp_path):
    made = tmp_path / "landmarks68.json"
    made.write_text(json.dumps(landmarks_json(shipped.embedding, shipped.topology_hash())))
    return made


def test_a_head_is_imported_shown_and_listed(au3dmm, folder, mesh, marks):
    answer = au3dmm("assets", "import", "--mesh", mesh, "--landmarks", marks, "--licence", "CC0", "--name", "mine")
    assert answer.code == 0, answer.err
    assert f"mine: imported into {folder / 'mine'}" in answer.out
    assert "5023 vertices" in answer.out
    assert "in millimetres, not moved; outer eye corners 89.6 mm apart" in answer.out
    assert sorted(path.name for path in (folder / "mine").iterdir()) == ["head.npz", "head.png", "landmarks68.json"]
    assert read_image(folder / "mine" / "head.png").shape[2] == 3
    listed = au3dmm("assets", "list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["procedural", "mine"]
    assert str(folder / "mine") in listed[1]


def test_flame_is_imported_from_its_model_file(au3dmm, quick, folder, shipped, marks, tmp_path, monkeypatch):
    for module in (heads, head_files):  # the shipped head plays FLAME
        monkeypatch.setattr(module, "FLAME_TOPOLOGY", shipped.topology_hash())
    (tmp_path / "generic_model.pkl").write_bytes(dumps2(flame_model(shipped.vertices + [0, 1.5, 0], shipped.faces)))
    answer = au3dmm("assets", "import", "--flame", tmp_path / "generic_model.pkl", "--landmarks", marks, "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert (said["name"], said["is_flame_topology"], said["n_vertices"]) == ("flame", True, 5023)
    assert said["moved_m"][1] < -1.4
    np.testing.assert_allclose(heads.read_head("flame").landmarks()[17:].mean(0), [0, -0.005, 0.048], atol=1e-6)
    found = json.loads(au3dmm("assets", "list", "--json").out)
    assert [head["name"] for head in found["heads"]] == ["procedural", "flame"]
    assert "FLAME" in au3dmm("assets", "list").out


def test_a_head_is_replaced_only_when_told_so(au3dmm, quick, folder, mesh, marks):
    command = ("assets", "import", "--mesh", mesh, "--landmarks", marks)
    assert au3dmm(*command).code == 0
    before = (folder / "head" / "head.npz").read_bytes()
    again = au3dmm(*command, "--licence", "CC0")
    assert again.code == 2
    assert "a head of that name is there; --force replaces it" in again.error
    assert (folder / "head" / "head.npz").read_bytes() == before
    assert au3dmm(*command, "--licence", "CC0", "--force").code == 0
    assert heads.read_head("head").licence == "CC0"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "give one head: --flame FILE, or --mesh FILE"),
        (("--flame", "a.pkl", "--mesh", "b.obj"), 2, "give one head"),
        (("--mesh", "MESH"), 2, "fitted by its 68 landmarks"),
        (("--mesh", "none.ply", "--landmarks", "MARKS"), 2, "none.ply: cannot be read: No such file"),
        (("--flame", "MESH", "--landmarks", "MARKS"), 2, "expected FLAME's 5023 and 9976"),
        (("--mesh", "MESH", "--landmarks", "none.pkl"), 2, "none.pkl: cannot be read: No such file"),
        (("--mesh", "MESH", "--landmarks", "MARKS", "--name", "a/b"), 2, "no name for a head"),
        (("--mesh", "MESH", "--landmarks", "MARKS", "--name", "procedural"), 2, "the shipped head"),
        (("--flame", "EXPLOIT", "--landmarks", "MARKS"), 2, "asks for os.system, which is not an array"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(au3dmm, folder, mesh, marks, tmp_path, options, code, message):
    (tmp_path / "exploit.pkl").write_bytes(exploits(tmp_path / "executed")["os.system"].data)
    files = {"MESH": mesh, "MARKS": marks, "EXPLOIT": tmp_path / "exploit.pkl"}
    answer = au3dmm("assets", "import", *(files.get(option, option) for option in options))
    assert answer.code == code
    assert message in answer.error
    assert not (tmp_path / "executed").exists()
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_named(au3dmm, quick, mesh, marks, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AU3DMM_HEADS", str(tmp_path / "file"))
    answer = au3dmm("assets", "import", "--mesh", mesh, "--landmarks", marks)
    assert answer.code == 4
    assert "cannot be written" in answer.error


def test_a_damaged_head_is_listed_as_such(au3dmm, folder):
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "head.npz").write_bytes(b"PK")
    answer = au3dmm("assets", "list")
    assert answer.code == 0
    assert "broken      damaged" in answer.out
    assert "error" in json.loads(au3dmm("assets", "list", "--json").out)["heads"][1]


@pytest.fixture
def seen(monkeypatch):
    """Count the drawings, and find three points on them without a detector."""
    calls = []

    def place(vertices, faces, embedding, *, progress=None):
        calls.append(len(vertices))
        places = LandmarkEmbedding(np.array([10, 20, 30], np.int32), np.full((3, 3), 1 / 3))
        mark = placement_fingerprint(vertices, faces, embedding)
        info = {"fingerprint": mark, "points": 468, "views": 21, "views_found": 20}
        return DenseEmbedding("mediapipe", np.array([1, 9, 4], np.int32), places, np.full(3, 0.0012), info)

    def placement_fingerprint(vertices, faces, embedding):
        return f"{vertices.sum():.6f} {embedding.barycentric.sum():.6f}"

    monkeypatch.setattr("au3dmm.api.placing.place_mediapipe", place)
    monkeypatch.setattr("au3dmm.api.placing.placement_fingerprint", placement_fingerprint)
    return calls


def test_dense_landmarks_are_placed_on_a_basis_once(au3dmm, quick, seen, tmp_path):
    bases, out = tmp_path / "small.npz", tmp_path / "dense.npz"
    write_bases(bases, small_bases())
    answer = au3dmm("assets", "place-landmarks", "--bases", bases, "--out", out)
    assert answer.code == 0, answer.err
    assert "3 of MediaPipe's 468" in answer.out
    assert "face found in 20 of 21" in answer.out
    assert "1.20 mm" in answer.out
    assert read_bases(bases).dense is None
    np.testing.assert_array_equal(read_bases(out).dense.landmark_index, [1, 9, 4])
    assert read_image(tmp_path / "dense.dense.png").shape[2] == 3
    before = out.read_bytes()
    said = json.loads(au3dmm("assets", "place-landmarks", "--bases", out, "--json").out)
    assert (said["state"], said["kept"], said["spread_mm"]) == ("up to date", 3, 1.2)
    assert out.read_bytes() == before
    assert len(seen) == 1
    assert au3dmm("assets", "place-landmarks", "--bases", out, "--force").code == 0
    assert len(seen) == 2
    assert out.read_bytes() == before


def test_dense_landmarks_are_placed_on_an_imported_head(au3dmm, quick, seen, folder, mesh, marks):
    au3dmm("assets", "import", "--mesh", mesh, "--landmarks", marks, "--name", "mine")
    assert au3dmm("assets", "place-landmarks", "--head", "mine").code == 0
    assert heads.read_head("mine").dense.spread_m.tolist() == [0.0012] * 3
    assert (folder / "mine" / "dense.png").is_file()
    assert json.loads(au3dmm("assets", "list", "--json").out)["heads"][1]["n_dense_landmarks"] == 3


def test_places_that_came_from_a_file_are_replaced_only_by_force(au3dmm, quick, seen, tmp_path):
    places = LandmarkEmbedding(np.array([0], np.int32), np.full((1, 3), 1 / 3))
    given = DenseEmbedding("mediapipe", np.array([33], np.int32), places)
    write_bases(tmp_path / "b.npz", dataclasses.replace(small_bases(), dense=given))
    answer = au3dmm("assets", "place-landmarks", "--bases", tmp_path / "b.npz")
    assert answer.code == 2
    (error,) = answer.err
    assert "b.npz: has places of 1 dense points from a file of them; --force replaces them" in error
    assert au3dmm("assets", "place-landmarks", "--bases", tmp_path / "b.npz", "--force").code == 0
    assert len(read_bases(tmp_path / "b.npz").dense.landmark_index) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one thing to place landmarks on"),
        (["--bases", "a.npz", "--head", "mine"], 2, "give one thing to place landmarks on"),
        (["--bases", "nowhere.npz"], 2, "nowhere.npz: no such file"),
        (["--bases", "a.npz", "--out", "b.txt"], 2, "b.txt: a basis file ends in .npz"),
        (["--head", "procedural"], 2, "the shipped head cannot be changed"),
        (["--head", "nobody"], 5, "no head 'nobody'"),
        (["--head", "mine", "--out", "x.npz"], 2, "--out is for a basis file"),
    ],
)
def test_what_cannot_be_placed_on_is_said_in_one_line(au3dmm, seen, folder, arguments, code, said):
    answer = au3dmm("assets", "place-landmarks", *arguments)
    assert answer.code == code, answer.err
    (error,) = answer.err
    assert said in error
    assert not seen


def test_missing_models_are_named_with_the_command_that_gets_them(au3dmm, tmp_path, monkeypatch):
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "none"))
    write_bases(tmp_path / "b.npz", small_bases())
    answer = au3dmm("assets", "place-landmarks", "--bases", tmp_path / "b.npz")
    assert answer.code == 5
    (error,) = answer.err
    assert "au3dmm weights get mediapipe" in error
