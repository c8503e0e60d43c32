import json

import numpy as np
import pytest

from au3dmm.io import head_files, heads
from au3dmm.io.images import read_image
from au3dmm.io.landmark_embeddings import landmarks_json
from au3dmm.io.mesh import Mesh, write_mesh
from au3dmm.report import head_picture
from exploits import exploits
from old_pickles import dumps2, flame_model


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
