"""Weights that are copied or downloaded: each is what its name says, or nothing is kept."""

import hashlib
import http.client
import io
import urllib.error
import urllib.request
import zipfile

import pytest
from click.testing import CliRunner

from au3dmm.cli.weights import weights as command
from au3dmm.errors import AssetError, Au3dmmError
from au3dmm.io import weight_transfer, weights
from au3dmm.io.weight_transfer import add_weights, fetch_face_alignment
from au3dmm.io.weights import weights_status

FILES = {
    f"{name}-{hashlib.sha256(data).hexdigest()[:10]}.pth": data
    for name, data in (("boxes", b"find"), ("fan", b"read"), ("depth", b"deep"))
}
NAMES = tuple(FILES)
MODEL = "mesh.tflite"


@pytest.fixture(autouse=True)
def published(monkeypatch, tmp_path):
    """Let tiny files be the published weights, in a home that has none."""
    model = weights._Published(f"models/{MODEL}", hashlib.sha256(b"mesh").hexdigest())
    for module in (weights, weight_transfer):
        monkeypatch.setattr(module, "FACE_ALIGNMENT_FILES", NAMES)
        monkeypatch.setattr(module, "MEDIAPIPE_FILES", {MODEL: model})
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)


def no_network(*args, **kwargs):
    raise urllib.error.URLError("Temporary failure in name resolution")


def given(folder, files=FILES):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def states(folder=None):
    return {w.file: w.state for w in weights_status(folder)}


@pytest.mark.parametrize("inner", ["", "hub/checkpoints", "checkpoints"])
def test_a_folder_of_weights_is_copied(tmp_path, inner):
    given(tmp_path / "from" / inner, {**FILES, MODEL: b"mesh", "other.bin": b"x"})
    said = []
    assert add_weights(tmp_path / "from", tmp_path / "own", said.append) == sorted([*NAMES, MODEL])
    assert sorted(p.name for p in (tmp_path / "own").iterdir()) == sorted([*NAMES, MODEL])
    assert set(states().values()) == {"ok"}
    assert all("copied and verified" in line for line in said)
    said.clear()
    add_weights(tmp_path / "from", tmp_path / "own", said.append)
    assert all("there already" in line for line in said)


def test_a_file_is_known_by_its_content_whatever_its_name(tmp_path):
    given(tmp_path / "from", {"download (1).tar": FILES[NAMES[1]], "m.bin": b"mesh"})
    assert add_weights(tmp_path / "from" / "download (1).tar", tmp_path / "own") == [NAMES[1]]
    assert add_weights(tmp_path / "from" / "m.bin", tmp_path / "own") == [MODEL]
    assert (tmp_path / "own" / NAMES[1]).read_bytes() == FILES[NAMES[1]]


def test_models_come_out_of_a_wheel(tmp_path):
    with zipfile.ZipFile(tmp_path / "mediapipe-0.10.21-cp311.whl", "w") as z:
        z.writestr(f"models/{MODEL}", b"mesh")
    assert add_weights(tmp_path / "mediapipe-0.10.21-cp311.whl", tmp_path / "own") == [MODEL]
    assert add_weights(tmp_path, tmp_path / "two") == [MODEL]


def test_files_that_are_not_what_their_names_say_are_refused_and_nothing_is_copied(tmp_path):
    given(tmp_path / "from", {**FILES, NAMES[2]: b"de"})
    for source in (tmp_path / "from", tmp_path / "from" / NAMES[2]):
        with pytest.raises(AssetError, match=rf"{NAMES[2]}: not the published file: .*, expected") as err:
            add_weights(source, tmp_path / "own")
        assert "\n" not in str(err.value)
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere", "not there; give a weight file"),
        ("empty", "no weights in it; expected any of"),
        ("file", "none of the published weight files: its sha256 begins with"),
    ],
)
def test_what_is_no_weights_is_refused_by_name(tmp_path, source, reason):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"?")
    with pytest.raises(AssetError, match=reason) as err:
        add_weights(tmp_path / source, tmp_path / "own")
    assert str(err.value).startswith(str(tmp_path / source))
    assert err.value.exit_code == 5


def test_a_download_keeps_what_is_verified_and_asks_only_for_what_is_missing(tmp_path, monkeypatch):
    given(tmp_path / "torch" / "hub" / "checkpoints", {NAMES[0]: FILES[NAMES[0]]})
    asked = []

    def site(url, timeout):
        asked.append(url)
        return io.BytesIO(FILES[url.rpartition("/")[2]])

    monkeypatch.setattr(urllib.request, "urlopen", site)
    found = fetch_face_alignment(tmp_path / "own")
    assert [url.rpartition("/")[2] for url in asked] == list(NAMES[1:])
    assert all(url.startswith("https://") for url in asked)
    assert [path.name for path in found] == list(NAMES)
    assert [states()[name] for name in NAMES] == ["ok"] * 3


def test_weights_of_ones_own_are_replaced_only_when_asked(tmp_path, monkeypatch):
    given(tmp_path / "own", {NAMES[1]: b"trained for weeks"})
    given(tmp_path / "from")
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(FILES[url.rpartition("/")[2]]))
    for get in (fetch_face_alignment, lambda folder: add_weights(tmp_path / "from", folder)):
        with pytest.raises(AssetError, match=rf"{NAMES[1]}: other weights than the published ones are there") as err:
            get(tmp_path / "own")
        assert "\n" not in str(err.value)
        assert "--replace" in str(err.value)
        assert [(p.name, p.read_bytes()) for p in (tmp_path / "own").iterdir()] == [(NAMES[1], b"trained for weeks")]
    answer = run("get", "face-alignment", "--weights-dir", tmp_path / "own")
    assert "yours, or damaged" in str(answer.exception)
    assert run("get", "face-alignment", "--replace", "--weights-dir", tmp_path / "own").exception is None
    assert set(states(tmp_path / "own").values()) == {"ok", "missing"}, "the mesh alone is missing"
    (tmp_path / "own" / NAMES[1]).write_bytes(b"again")
    assert run("add", tmp_path / "from", "--replace", "--weights-dir", tmp_path / "own").exception is None
    assert (tmp_path / "own" / NAMES[1]).read_bytes() == FILES[NAMES[1]]


def test_weights_of_ones_own_in_torchs_folder_are_left_and_that_others_win_is_told(tmp_path, monkeypatch):
    given(tmp_path / "torch" / "hub" / "checkpoints", {NAMES[1]: b"trained for weeks"})
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(FILES[url.rpartition("/")[2]]))
    said = []
    fetch_face_alignment(tmp_path / "own", said.append)
    assert sum("other weights, left as they are; from now on" in line for line in said) == 1
    assert (tmp_path / "torch" / "hub" / "checkpoints" / NAMES[1]).read_bytes() == b"trained for weeks"


def test_a_damaged_model_of_mediapipes_is_replaced(tmp_path):
    given(tmp_path / "own", {MODEL: b"me"})
    given(tmp_path / "from", {MODEL: b"mesh"})
    add_weights(tmp_path / "from", tmp_path / "own")
    assert states(tmp_path / "own")[MODEL] == "ok"


def test_a_download_of_something_else_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"<html>sorry</html>"))
    with pytest.raises(AssetError, match=r"https://.*: not the published file: .*it was not kept"):
        fetch_face_alignment(tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []


def test_a_failed_download_says_why_and_what_else_to_do(tmp_path, monkeypatch):
    class Cut(io.BytesIO):
        def read(self, size=-1):
            raise http.client.IncompleteRead(b"xx", 10)

    for site, reason in ((no_network, "name resolution"), (lambda url, timeout: Cut(), "IncompleteRead")):
        monkeypatch.setattr(urllib.request, "urlopen", site)
        with pytest.raises(AssetError, match=rf"could not be downloaded: .*{reason}.*; download it elsewhere") as err:
            fetch_face_alignment(tmp_path / "own")
        assert "weights add" in str(err.value)
        assert "\n" not in str(err.value)
        assert list((tmp_path / "own").iterdir()) == []


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)


def test_the_commands_add_show_and_verify(tmp_path):
    given(tmp_path / "from")
    answer = run("add", tmp_path / "from", "--weights-dir", tmp_path / "w")
    assert answer.exception is None
    assert "added: " in answer.stdout
    assert run("verify", "--weights-dir", tmp_path / "w").return_value == 0
    assert run("status").stdout.count("missing") == 4
    assert run("status", "--weights-dir", tmp_path / "w").stdout.count(" ok ") == 3
    (tmp_path / "w" / NAMES[0]).write_bytes(b"bits rot")
    answer = run("verify", "--weights-dir", tmp_path / "w", "--json")
    assert answer.return_value == 5
    assert "not the published file" in answer.stdout
    answer = run("get", "face-alignment", "--weights-dir", tmp_path / "w")
    assert isinstance(answer.exception, Au3dmmError)
    assert isinstance(run("get", "face-alignment", "--wheel", "x.whl").exception, Exception)
