import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from au3dmm import doctor
from au3dmm.cli.doctor import as_text
from au3dmm.config import DetectParams
from au3dmm.detectors import detector_identity
from au3dmm.errors import AssetError, ConfigError
from au3dmm.io import weights
from au3dmm.io.weights import (
    FACE_ALIGNMENT_FILES,
    FAN_DEPTH,
    MEDIAPIPE_DETECTION,
    MEDIAPIPE_FAR,
    MEDIAPIPE_FILES,
    MEDIAPIPE_MESH,
)

DEVICES = {"found": [{"device": "cpu", "name": "processor"}]}


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine on which everything but face-alignment's weights is there; its folder of weights."""
    folder = tmp_path / "w"
    folder.mkdir()
    published = {}
    for name, file in MEDIAPIPE_FILES.items():
        (folder / name).write_bytes(name.encode())
        published[name] = file._replace(sha256=hashlib.sha256(name.encode()).hexdigest())
    monkeypatch.setattr(weights, "MEDIAPIPE_FILES", published)
    monkeypatch.setenv("AU3DMM_WEIGHTS", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(doctor, "devices", lambda: DEVICES)
    monkeypatch.setattr(doctor, "_basis", lambda: {"path": "/b", "kind": "demo"})
    return folder


def label_can(params):
    """Whether `label` gets past the weights."""
    try:
        detector_identity(params, None)
    except AssetError:
        return False
    return True


def test_a_machine_with_the_default_detectors_weights_is_ready(machine):
    report = doctor.examine()
    assert report["ready"]
    assert report["problems"] == []
    assert report["detectors"]["mediapipe"]["ready"]
    assert not report["detectors"]["face_alignment"]["ready"]
    assert report["detectors"]["face_alignment"]["how"]
    assert report["versions"]["numpy"].split(".")[0].isdigit()
    assert set(report["imports"].values()) == {"ok"}
    assert report["cpu"]["cores"] >= 1


@pytest.mark.parametrize("state", ["missing", "not the published file"])
def test_missing_weights_are_a_problem_with_the_command_that_gets_them(machine, state):
    path = machine / MEDIAPIPE_DETECTION
    path.unlink() if state == "missing" else path.write_bytes(b"?")
    report = doctor.examine()
    assert not report["ready"]
    assert report["detectors"]["mediapipe"]["weights"][MEDIAPIPE_DETECTION] == state
    (problem,) = report["problems"]
    assert problem.endswith("run `au3dmm weights get mediapipe`")
    assert "\n" not in problem
    assert problem in as_text({**report, "basis": {"error": "x"}})


def test_it_asks_for_no_more_than_label_needs(machine):
    near = DetectParams(mediapipe_range="short", mediapipe_refine=False)
    for name in MEDIAPIPE_FILES:
        if name not in (MEDIAPIPE_DETECTION, MEDIAPIPE_MESH):
            (machine / name).unlink()
    assert doctor.examine(near)["ready"]
    assert label_can(near)
    assert not doctor.examine()["ready"]
    assert not label_can(DetectParams())


def test_the_plain_mesh_is_not_asked_for_where_label_does_not_read_it(machine):
    (machine / MEDIAPIPE_MESH).unlink()
    assert doctor.examine()["ready"]
    assert label_can(DetectParams())


def test_face_alignment_needs_the_published_weights_unless_others_will_do(machine):
    for name in FACE_ALIGNMENT_FILES:
        (machine / name).write_bytes(b"trained here")
    published = DetectParams(detector="face_alignment")
    own = DetectParams(detector="face_alignment", fan_weights="any")
    report = doctor.examine(published)
    assert not report["ready"]
    assert not label_can(published)
    assert "weights get face-alignment" in report["detectors"]["face_alignment"]["how"]
    assert 'detect.fan_weights = "any"' in report["problems"][0]
    assert doctor.examine(own)["ready"]
    assert label_can(own)
    (machine / FAN_DEPTH).unlink()
    assert not doctor.examine(own)["ready"]
    flat = own.model_copy(update={"fan_depth": False})
    assert doctor.examine(flat)["ready"]
    assert label_can(flat)


def test_the_detector_that_checks_needs_its_weights_too(machine):
    report = doctor.examine(DetectParams(check_with="face_alignment"))
    assert not report["ready"]
    assert report["problems"][0].startswith("face_alignment needs ")
    assert doctor.examine(DetectParams(detector="precomputed"))["ready"]


def test_a_task_that_is_asked_for_and_not_there_is_told(machine):
    report = doctor.examine(DetectParams(mediapipe_models="task"))
    assert not report["ready"]
    assert "weights add" in report["problems"][0]
    assert "face_landmarker.task" in report["detectors"]["mediapipe"]["how"]


def test_a_library_that_cannot_be_imported_is_a_problem(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_NEEDED", ("numpy", "no_such_library"))
    report = doctor.examine()
    assert not report["ready"]
    assert "no_such_library cannot be imported: No module named" in report["problems"][0]


def test_broken_libraries_are_told_and_not_met(tmp_path):
    libraries = ("pydantic", "pyarrow")
    for library in libraries:
        (tmp_path / f"{library}.py").write_text("raise ImportError('half installed')")
    path = os.pathsep.join([str(tmp_path), str(Path(doctor.__file__).parents[1])])
    command = "from au3dmm import doctor; doctor.devices = dict; print(*doctor.examine()['problems'], sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False, env=environment)
    for library in libraries:
        assert f"{library} cannot be imported: half installed; install au3dmm again" in done.stdout, done.stderr


def test_a_pipeline_is_read_from_a_file_or_known_by_its_name(machine, tmp_path):
    file = tmp_path / "near.toml"
    file.write_text('[detect]\nmediapipe_range = "short"\n')
    (machine / MEDIAPIPE_FAR).unlink()
    assert doctor.examine(file)["ready"]
    assert not doctor.examine("label")["ready"]
    assert doctor.examine("facemorphic")["detector"] == "face_alignment"
    with pytest.raises(ConfigError, match="no such pipeline file"):
        doctor.examine("nosuch")


def test_a_basis_that_cannot_be_read_is_a_problem(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_basis", lambda: {"error": "/b: no such file"})
    assert "give one with --bases FILE" in doctor.examine()["problems"][0]


def test_torch_is_asked_in_a_process_of_its_own_and_may_fail():
    answer = '[{"device": "cpu", "name": "processor"}, {"device": "cuda:0", "name": "GPU"}]'
    assert doctor.devices((sys.executable, "-c", f"print('{answer}')"))["found"][1]["device"] == "cuda:0"
    broken = doctor.devices((sys.executable, "-c", "raise SystemExit('no libcuda')"))
    assert broken == {**DEVICES, "note": "torch could not be asked: no libcuda"}
    assert "could not be asked" in doctor.devices(("/no/such/python",))["note"]


def test_torch_that_hangs_is_left_behind(monkeypatch):
    monkeypatch.setattr(doctor, "_TORCH_TIMEOUT_S", 0.1)
    report = doctor.devices((sys.executable, "-c", "import time; time.sleep(60)"))
    assert report["note"] == "torch did not answer within 0.1 s"
