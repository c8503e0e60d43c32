from au3dmm.config import DetectParams
from au3dmm.detectors import machine as module
from au3dmm.detectors.machine import machine

FAN = DetectParams(detector="face_alignment")


def test_it_names_the_libraries_that_decode_shrink_and_compute():
    found = machine(DetectParams(), "cpu")
    assert found == machine(DetectParams(), "cpu")
    assert {"av", "ai-edge-litert", "torch"} <= set(found["versions"])
    assert any(name.startswith("opencv") for name in found["versions"])
    assert found["architecture"]


def test_devices_are_known_by_their_kind_not_by_their_number(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "NVIDIA X")
    assert machine(FAN, "cpu")["devices"] == ["cpu"]
    assert machine(FAN, "cuda:0,cuda:3")["devices"] == ["cuda NVIDIA X"]
    assert machine(FAN, "cuda:1, cpu")["devices"] == ["cpu", "cuda NVIDIA X"]
    assert machine(FAN, "mps")["devices"] == ["mps"]


def test_a_device_that_no_detector_uses_is_none_of_it():
    assert machine(DetectParams(), "cuda:1") == machine(DetectParams(), "cpu")
    checked = DetectParams(check_with="face_alignment")
    assert machine(checked, "mps")["devices"] == ["mps"]


def test_a_gpu_that_is_not_there_is_told_later(monkeypatch):
    def no_driver(device):
        raise RuntimeError("Found no NVIDIA driver")

    monkeypatch.setattr("torch.cuda.get_device_name", no_driver)
    assert machine(FAN, "cuda")["devices"] == ["cuda"]
    assert module._version("no-such-library") is None
