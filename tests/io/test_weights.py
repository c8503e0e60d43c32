import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from au3dmm.errors import AssetError
from au3dmm.io import weights
from au3dmm.io.weights import (
    FACE_ALIGNMENT_FILES,
    MEDIAPIPE_ATTENTION,
    MEDIAPIPE_DETECTION,
    MEDIAPIPE_FAR,
    MEDIAPIPE_FILES,
    MEDIAPIPE_MESH,
    face_alignment_files,
    fetch_mediapipe,
    mediapipe_files,
    read_mediapipe,
    torch_hub_folder,
    weights_folder,
    weights_status,
)

CONTENT = {MEDIAPIPE_DETECTION: b"find", MEDIAPIPE_FAR: b"far", MEDIAPIPE_MESH: b"mesh", MEDIAPIPE_ATTENTION: b"eyes"}


@pytest.fixture
def published(monkeypatch):
    """Let two tiny files be the published models."""
    files = {
        name: MEDIAPIPE_FILES[name]._replace(sha256=hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items()
    }
    monkeypatch.setattr(weights, "MEDIAPIPE_FILES", files)


def wheel(path, content):
    with zipfile.ZipFile(path, "w") as z:
        for name, data in content.items():
            z.writestr(MEDIAPIPE_FILES[name].member, data)
    return path


def no_pip(*args, **kwargs):
    raise AssertionError("the network was asked")


def test_models_come_out_of_a_wheel(tmp_path, published, monkeypatch):
    monkeypatch.setattr(subprocess, "run", no_pip)
    said = []
    found = fetch_mediapipe(tmp_path / "w", wheel(tmp_path / "m.whl", CONTENT), said.append)
    assert {name: path.read_bytes() for name, path in found.items()} == CONTENT
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == sorted(CONTENT)
    assert len(said) == len(CONTENT)
    assert mediapipe_files(tmp_path / "w") == found


def test_fetching_again_does_nothing(tmp_path, published, monkeypatch):
    fetch_mediapipe(tmp_path / "w", wheel(tmp_path / "m.whl", CONTENT))
    monkeypatch.setattr(subprocess, "run", no_pip)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "w").iterdir()}
    fetch_mediapipe(tmp_path / "w")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "w").iterdir()} == before


def test_a_wheel_with_another_model_is_refused_and_nothing_is_written(tmp_path, published):
    mangled = wheel(tmp_path / "m.whl", {**CONTENT, MEDIAPIPE_MESH: b"other"})
    with pytest.raises(AssetError, match=rf"{MEDIAPIPE_MESH} in it has sha256 .*, expected .*nothing was written"):
        fetch_mediapipe(tmp_path / "w", mangled)
    assert not (tmp_path / "w").exists()


def test_a_wheel_without_the_models_is_refused(tmp_path):
    with pytest.raises(AssetError, match=r"no mediapipe/modules/.* in it; expected the wheel of mediapipe==0\.10\.21"):
        fetch_mediapipe(tmp_path / "w", wheel(tmp_path / "m.whl", {}))


def test_a_file_that_is_no_wheel_is_refused(tmp_path):
    (tmp_path / "m.whl").write_text("no zip")
    with pytest.raises(AssetError, match=r"m\.whl: not a wheel, or damaged"):
        fetch_mediapipe(tmp_path / "w", tmp_path / "m.whl")
    with pytest.raises(AssetError, match=r"none\.whl: cannot be read: No such file"):
        fetch_mediapipe(tmp_path / "w", tmp_path / "none.whl")


def test_a_damaged_model_is_fetched_anew(tmp_path, published):
    made = wheel(tmp_path / "m.whl", CONTENT)
    fetch_mediapipe(tmp_path / "w", made)
    (tmp_path / "w" / MEDIAPIPE_MESH).write_bytes(b"damaged")
    with pytest.raises(AssetError, match=r"sha256 differs\); run `au3dmm weights get mediapipe --weights-dir "):
        mediapipe_files(tmp_path / "w")
    fetch_mediapipe(tmp_path / "w", made)
    assert read_mediapipe(tmp_path / "w")[0] == CONTENT


def test_pip_downloads_one_fixed_wheel_and_installs_nothing(tmp_path, published, monkeypatch):
    commands = []

    def pip(command, **kwargs):
        commands.append(command)
        wheel(Path(command[command.index("--dest") + 1]) / "mediapipe-0.10.21-cp311.whl", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert sorted(fetch_mediapipe(tmp_path / "w")) == sorted(CONTENT)
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "manylinux2014_x86_64", "3.11"} <= set(command)
    assert not Path(command[command.index("--dest") + 1]).exists()


def test_a_failed_download_says_why_and_what_else_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", "x\nERROR: no route\n")
    )
    with pytest.raises(
        AssetError, match=r"could not be downloaded: ERROR: no route; on a machine .*--wheel FILE"
    ) as err:
        fetch_mediapipe(tmp_path / "w")
    assert "\n" not in str(err.value)
    assert err.value.exit_code == 5


def test_missing_models_say_how_to_get_them(tmp_path):
    with pytest.raises(
        AssetError, match=f"{MEDIAPIPE_DETECTION} is not there.*; run `au3dmm weights get mediapipe --weights-dir "
    ):
        mediapipe_files(tmp_path)


def test_missing_face_alignment_weights_are_named_with_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / FACE_ALIGNMENT_FILES[0]).touch()
    with pytest.raises(AssetError) as err:
        face_alignment_files(tmp_path / "own")
    text = str(err.value)
    assert FACE_ALIGNMENT_FILES[0] not in text
    for part in (*FACE_ALIGNMENT_FILES[1:], str(folder), str(tmp_path / "own"), "weights get face-alignment"):
        assert part in text
    for part in ("weights add", "--detector mediapipe", "precomputed"):
        assert part in text
    assert "\n" not in text
    assert err.value.exit_code == 5


def test_status_tells_every_file_of_every_detector(tmp_path, published, monkeypatch):
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "w"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / MEDIAPIPE_MESH).write_bytes(CONTENT[MEDIAPIPE_MESH])
    folder = torch_hub_folder()
    folder.mkdir(parents=True)
    (folder / FACE_ALIGNMENT_FILES[0]).write_bytes(b"random")
    states = {item.file: (item.detector, item.state) for item in weights_status()}
    assert states == {
        MEDIAPIPE_DETECTION: ("mediapipe", "missing"),
        MEDIAPIPE_FAR: ("mediapipe", "missing"),
        MEDIAPIPE_ATTENTION: ("mediapipe", "missing"),
        MEDIAPIPE_MESH: ("mediapipe", "ok"),
        FACE_ALIGNMENT_FILES[0]: ("face_alignment", "not the published file"),
        FACE_ALIGNMENT_FILES[1]: ("face_alignment", "missing"),
        FACE_ALIGNMENT_FILES[2]: ("face_alignment", "missing"),
    }


def test_folders_follow_the_environment(tmp_path, monkeypatch):
    for name in ("AU3DMM_WEIGHTS", "XDG_DATA_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert weights_folder() == Path.home() / ".local/share/au3dmm/weights"
    assert torch_hub_folder() == Path.home() / ".cache/torch/hub/checkpoints"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "au3dmm/weights"
    assert torch_hub_folder() == tmp_path / "torch/hub/checkpoints"
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    assert weights_folder() == tmp_path / "mine"
    assert torch_hub_folder() == tmp_path / "torch_home/hub/checkpoints"


def test_a_wheel_that_is_damaged_inside_or_encrypted_is_refused(tmp_path):
    member = MEDIAPIPE_FILES[MEDIAPIPE_DETECTION].member
    with zipfile.ZipFile(tmp_path / "m.whl", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(member, bytes(range(256)) * 40)
    whole = (tmp_path / "m.whl").read_bytes()
    data = bytearray(whole)
    body = 30 + len(member)
    data[body : body + 20] = b"\xff" * 20
    (tmp_path / "m.whl").write_bytes(data)
    with pytest.raises(AssetError, match=r"m\.whl: not a wheel, or damaged: Error -3 while decompressing"):
        fetch_mediapipe(tmp_path / "w", tmp_path / "m.whl")
    data = bytearray(whole)
    data[6] |= 1  # the flag in the member's own header, and in the directory
    data[data.rindex(b"PK\1\2") + 8] |= 1
    (tmp_path / "m.whl").write_bytes(data)
    with pytest.raises(AssetError, match=r"m\.whl: not a wheel, or damaged: .* is encrypted"):
        fetch_mediapipe(tmp_path / "w", tmp_path / "m.whl")
