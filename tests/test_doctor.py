import sys
from pathlib import Path

import pytest

from au3dmm import doctor
from au3dmm.io.weights import WeightFile

DEVICES = {"found": [{"device": "cpu", "name": "processor"}]}


@pytest.fixture
def machine(monkeypatch):
    """A machine on which everything is there; returns a function that changes its weights."""

    def weights(mediapipe="ok", face_alignment="missing"):
        found = [
            WeightFile("mediapipe", "face_landmark.tflite", mediapipe, Path("/w/face_landmark.tflite")),
            WeightFile("face_alignment", "s3fd.pth", face_alignment, Path("/t/s3fd.pth")),
        ]
        monkeypatch.setattr(doctor, "weights_status", lambda: found)

    monkeypatch.setattr(doctor, "devices", lambda: DEVICES)
    monkeypatch.setattr(doctor, "_basis", lambda: {"path": "/b", "kind": "demo"})
    weights()
    return weights


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
    machine(mediapipe=state)
    report = doctor.examine()
    assert not report["ready"]
    assert report["problems"] == [
        "weights of mediapipe are missing or not the published ones; run `au3dmm weights get mediapipe`"
    ]


def test_face_alignment_needs_the_published_weights(machine):
    machine(face_alignment="not the published file")
    entry = doctor.examine()["detectors"]["face_alignment"]
    assert not entry["ready"]
    assert "weights get face-alignment" in entry["how"]


def test_a_library_that_cannot_be_imported_is_a_problem(machine, monkeypatch):
    monkeypatch.setattr(doctor, "_NEEDED", ("numpy", "no_such_library"))
    report = doctor.examine()
    assert not report["ready"]
    assert "no_such_library cannot be imported: No module named" in report["problems"][0]


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
