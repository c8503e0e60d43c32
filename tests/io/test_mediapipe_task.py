"""A face_landmarker.task of the user: looked at before it is taken, never run while looking."""

import struct
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from au3dmm.cli.weights import weights as command
from au3dmm.errors import AssetError
from au3dmm.io import mediapipe_task
from au3dmm.io.mediapipe_task import TASK_FINDER, TASK_MESH, read_task
from au3dmm.io.tflite import read_signature
from au3dmm.io.weight_transfer import add_weights
from au3dmm.io.weights import MEDIAPIPE_FILES, MEDIAPIPE_TASK, mediapipe_files, weights_status
from models import mediapipe_folder
from tasks import task_parts, write_task

pytestmark = pytest.mark.weights


def refused(path):
    with pytest.raises(AssetError) as err:
        read_task(path)
    assert "\n" not in str(err.value)
    assert str(err.value).startswith(str(path))
    assert len(str(err.value)) < 900
    return str(err.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_models_of_a_task_are_taken_out_of_it(tmp_path, compression):
    parts = task_parts()
    models = read_task(write_task(tmp_path / "t.task", parts, compression))
    assert (models.finder, models.mesh) == (parts[TASK_FINDER], parts[TASK_MESH])
    assert (models.side_px, models.n_points) == (192, 468)


def test_what_a_model_reads_and_gives_is_what_its_runtime_says():
    from ai_edge_litert.interpreter import Interpreter

    for name in MEDIAPIPE_FILES:
        content = (mediapipe_folder() / name).read_bytes()
        interpreter = Interpreter(model_content=content, num_threads=1)
        found = read_signature(content, name)
        for ours, theirs in (
            (found.inputs, interpreter.get_input_details()),
            (found.outputs, interpreter.get_output_details()),
        ):
            assert [t.shape for t in ours] == [tuple(d["shape"]) for d in theirs]
            assert [t.is_float32 for t in ours] == [d["dtype"] == np.float32 for d in theirs]


def test_a_task_that_is_no_zip_or_lacks_a_model_is_refused(tmp_path):
    parts = task_parts()
    (tmp_path / "text.task").write_text("no zip")
    assert "not a face_landmarker.task, or damaged" in refused(tmp_path / "text.task")
    assert "cannot be read: No such file" in refused(tmp_path / "none.task")
    assert f"no {TASK_FINDER} in it (in it are nothing)" in refused(write_task(tmp_path / "empty.task", {}))
    without = {name: data for name, data in parts.items() if name != TASK_MESH}
    assert f"no {TASK_MESH} in it (in it are face_b" in refused(write_task(tmp_path / "less.task", without))
    hand = {"hand_detector.tflite": b"", "hand_landmarks_detector.tflite": b""}
    assert "hand_detector.tflite" in refused(write_task(tmp_path / "hand.task", hand))


def test_a_task_that_was_cut_short_or_whose_bits_rot_is_refused(tmp_path):
    path = write_task(tmp_path / "t.task", task_parts())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "or damaged" in refused(path)
    rotten = bytearray(whole)
    rotten[100_000] ^= 255
    path.write_bytes(rotten)
    assert "CRC" in refused(path)


def test_a_task_with_a_name_twice_or_locked_is_refused(tmp_path):
    path = write_task(tmp_path / "t.task", task_parts())
    with zipfile.ZipFile(path, "a") as z, pytest.warns(UserWarning, match="Duplicate"):
        z.writestr(TASK_MESH, b"another")
    assert "it is there twice" in refused(path)
    locked = bytearray(write_task(tmp_path / "l.task", task_parts()).read_bytes())
    at = locked.index(b"PK\x01\x02")
    locked[at + 8] |= 1  # the flag of encryption, in the directory
    (tmp_path / "l.task").write_bytes(locked)
    assert "or damaged" in refused(tmp_path / "l.task")


def test_what_a_zip_unpacks_to_is_bounded(tmp_path, monkeypatch):
    parts = {**task_parts(), TASK_MESH: bytes(3_000_000)}
    path = write_task(tmp_path / "bomb.task", parts, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    monkeypatch.setattr(mediapipe_task, "MOST_BYTES", 1_000_000)
    assert f"{TASK_MESH} in it has more than 1000000 bytes" in refused(path)
    monkeypatch.setattr(mediapipe_task, "MOST_BYTES", 1000)
    assert "expected a face_landmarker.task of 1000 at most" in refused(path)


def test_models_of_another_form_are_refused_with_both_forms(tmp_path):
    parts = task_parts()
    swapped = {**parts, TASK_FINDER: parts[TASK_MESH], TASK_MESH: parts[TASK_FINDER]}
    text = refused(write_task(tmp_path / "swapped.task", swapped))
    assert f"{TASK_MESH}: reads [(1, 128, 128, 3)] and gives" in text
    assert "expected a square of" in text
    text = refused(write_task(tmp_path / "twice.task", {**parts, TASK_FINDER: parts[TASK_MESH]}))
    assert f"{TASK_FINDER}: reads [(1, 192, 192, 3)] and gives" in text
    assert "(1, 896, 16), (1, 896, 1), BlazeFace" in text
    other = parts[TASK_MESH].replace(struct.pack("<5i", 4, 1, 1, 1, 1404), struct.pack("<5i", 4, 1, 1, 1, 1401))
    assert other != parts[TASK_MESH]
    assert "1401" in refused(write_task(tmp_path / "points.task", {**parts, TASK_MESH: other}))


def test_a_model_whose_bytes_are_nonsense_is_refused_whatever_they_are(tmp_path):
    mesh = task_parts()[TASK_MESH]
    for damaged in (b"", b"\0\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + mesh[8:], mesh[:200]):
        with pytest.raises(AssetError, match=r"m: (not a|a damaged) TFLite model"):
            read_signature(damaged, "m")
    rng = np.random.default_rng(0)
    head = np.frombuffer(mesh, np.uint8).copy()
    used = np.concatenate([np.arange(8, 400), np.arange(len(head) - 40_000, len(head))])
    refusals = []
    for _ in range(300):
        broken = head.copy()
        broken[rng.choice(used, 400)] = rng.integers(0, 256, 400)
        try:  # nothing but this error, nothing large, and no wait
            signature = read_signature(broken.tobytes(), "m")
        except AssetError as err:
            refusals.append(str(err))
        else:
            assert all(len(t.shape) <= 64 for t in (*signature.inputs, *signature.outputs))
    assert refusals
    assert not any("\n" in line for line in refusals)


def test_a_task_is_added_by_its_content_and_replaced_only_when_asked(tmp_path, monkeypatch):
    parts, own = task_parts(), tmp_path / "own"
    given = write_task(tmp_path / "download (1).zip", parts)
    said = []
    assert add_weights(given, own, said.append) == [MEDIAPIPE_TASK]
    assert said == [f"{own / MEDIAPIPE_TASK}: copied; none of the published versions"]
    assert (own / MEDIAPIPE_TASK).read_bytes() == given.read_bytes()
    states = {w.file: w.state for w in weights_status(own)}
    assert states[MEDIAPIPE_TASK] == "not the published file"
    another = write_task(tmp_path / "b.task", {**parts, "more": b"x"})
    with pytest.raises(AssetError, match=r"other weights than the published ones are there: .* --replace"):
        add_weights(another, own)
    assert (own / MEDIAPIPE_TASK).read_bytes() == given.read_bytes()
    assert add_weights(given, own, said.append) == [MEDIAPIPE_TASK]
    assert "there already" in said[-1]
    add_weights(another, own, replace=True)
    assert (own / MEDIAPIPE_TASK).read_bytes() == another.read_bytes()


def test_a_bad_task_is_not_added(tmp_path):
    path = write_task(tmp_path / "t.task", {"x": b""})
    with pytest.raises(AssetError, match=f"no {TASK_FINDER} in it"):
        add_weights(path, tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_the_command_says_how_a_task_is_used_and_detection_how_to_get_one(tmp_path):
    path = write_task(tmp_path / "face_landmarker.task", task_parts())
    answer = CliRunner().invoke(command, ["add", str(path), "--weights-dir", str(tmp_path / "w")])
    assert answer.exit_code == 0, answer.output
    assert 'mediapipe_models = "task"' in answer.stdout
    assert MEDIAPIPE_TASK in CliRunner().invoke(command, ["status", "--weights-dir", str(tmp_path / "w")]).stdout
    with pytest.raises(AssetError, match="task is not there; run `au3dmm weights add FILE --weights-dir"):
        mediapipe_files(tmp_path / "elsewhere", [MEDIAPIPE_TASK])
