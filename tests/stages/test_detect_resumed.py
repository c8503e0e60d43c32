"""A detection that was killed goes on where it was, and leaves the bytes of one that was not."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace
from au3dmm.detectors.machine import machine
from au3dmm.detectors.precomputed import PrecomputedDetector
from au3dmm.errors import OutputError
from au3dmm.io.landmark_parts import parts_folder, subject_of_parts
from au3dmm.io.tables import read_table
from au3dmm.io.video import packet_times
from au3dmm.stages import detect

ROWS = 8
N = 61


class Killed(BaseException):
    pass


class Wanderer:
    """Two faces that wander and change places; stops the process, as it were, at a frame."""

    name, n_dense = "wanderer", 3

    def __init__(self, stop_at=None, batch_size=1, period=1, version=1):
        self.stop_at, self.batch_size, self.period, self.version = stop_at, batch_size, period, version
        self.seen, self._since = [], 0

    def describe(self):
        return {"name": self.name, "version": self.version}

    def detect(self, image, frame_index):
        return self.detect_batch([image], [frame_index])[0]

    def detect_batch(self, images, indices):
        if self.stop_at in indices:
            raise Killed
        self.seen += indices
        return [self._faces(image, index) for image, index in zip(images, indices, strict=True)]

    def _faces(self, image, index):
        # what is seen goes into the answer, and so does what was seen since the period began
        if index % self.period == 0:
            self._since = 0
        self._since += int(image.sum()) % 97
        if index in (20, 21, 22, 50):
            return []
        places = [(index, 1.0), (40 - index, 1.0 + 0.02 * index)]
        return [self._face(x, size, self._since, index) for x, size in sorted(places)]

    def _face(self, x, size, since, index):
        rng = np.random.default_rng(index)
        points = rng.uniform(0, 10 * size, (68, 3)).astype(np.float32) + np.float32([x, since / 97, 0])
        points[36], points[45] = (x, 5, 0), (x + 10 * size, 5, 0)
        box = np.float32([x, 0, x + 10 * size, 10 * size])
        return DetectedFace(box, 0.9, points, 0.3 if index == 9 else 0.9, points[:3].copy())


@pytest.fixture
def session(tmp_path):
    rec.write_video(tmp_path / "rgb.mp4", rec.noise_images(N))
    return rec.write_manifest(tmp_path, {"file": "rgb.mp4"})


@pytest.fixture
def run(session, tmp_path, monkeypatch):
    """Detect into a folder of the name, with parts of `ROWS` rows and row groups of 16."""
    monkeypatch.setattr(detect, "PART_ROWS", ROWS)
    monkeypatch.setattr(detect, "GROUP_PARTS", 2)

    def call(name, detector, params=None, stamp=None, at=session):
        out = tmp_path / name / "landmarks.parquet"
        monkeypatch.setattr(detect, "make_detector", lambda params, **_: detector)
        counts = detect.run(session=at, landmarks=out, params=params or DetectParams(), stamp=stamp)
        assert not parts_folder(out).exists()
        return out.read_bytes(), counts

    return call


@pytest.mark.parametrize(
    ("params", "stops"),
    [({}, (3, 8, 16, 17, 60)), ({"face": "track"}, (24, 51)), ({"face": "index", "face_index": 1}, (20, 51))],
)
def test_wherever_it_is_stopped_the_bytes_are_those_of_never_stopping(run, params, stops):
    params = DetectParams(small_px=11, **params)
    whole, counts = run("whole", Wanderer(), params)
    for stop_at in stops:
        with pytest.raises(Killed):
            run(f"at{stop_at}", Wanderer(stop_at), params)
        second = Wanderer()
        again, same = run(f"at{stop_at}", second, params)
        assert second.seen == list(range(max(0, (stop_at - 1) // ROWS) * ROWS, N)), "more was detected again"
        assert (again, same) == (whole, counts)


def test_a_detection_that_is_stopped_again_and_again_gets_there(run):
    whole, _ = run("whole", Wanderer())
    for stop_at in (10, 30, 60):
        with pytest.raises(Killed):
            run("often", Wanderer(stop_at))
    assert run("often", Wanderer())[0] == whole


def test_batches_hold_the_same_frames_wherever_it_was_stopped(run):
    batches = []

    class Spy(Wanderer):
        def detect_batch(self, images, indices):
            batches.append(tuple(indices))
            return super().detect_batch(images, indices)

    whole, _ = run("whole", Spy(batch_size=3))
    quiet = list(batches)
    assert quiet[:4] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    with pytest.raises(Killed):
        run("stopped", Spy(30, batch_size=3))
    batches.clear()
    assert run("stopped", Spy(batch_size=3))[0] == whole
    assert batches == quiet[quiet.index((27, 28, 29)) :]


def test_a_detector_with_a_memory_begins_anew_only_where_it_forgets(run):
    whole, _ = run("whole", Wanderer(period=5))
    with pytest.raises(Killed):
        run("stopped", Wanderer(37, period=5))
    second = Wanderer(period=5)
    assert run("stopped", second)[0] == whole
    assert second.seen[0] == 30, "parts of 8 rows become parts of 10"


def test_parts_of_other_parameters_weights_inputs_and_stamps_are_not_used(run, session):
    def stopped():
        with pytest.raises(Killed):
            run("other", Wanderer(40))

    for change in ("params", "weights", "stamp", "recording"):
        stopped()
        second = Wanderer(version=2 if change == "weights" else 1)
        if change == "recording":
            rec.write_video(session / "rgb.mp4", rec.noise_images(N)[::-1])
        params = DetectParams(min_landmark_score=0.1) if change == "params" else None
        run("other", second, params, {"fingerprint": "x"} if change == "stamp" else None)
        assert second.seen[0] == 0, change


@pytest.mark.parametrize(
    "other", [{"devices": ["cuda NVIDIA X"]}, {"architecture": "arm64"}, {"versions": {"av": "1.0", "torch": "9.9"}}]
)
def test_parts_of_another_machine_are_not_mixed_in_and_that_is_told(run, monkeypatch, caplog, other):
    whole, _ = run("whole", Wanderer())
    with pytest.raises(Killed):
        run("moved", Wanderer(40))
    here = machine(DetectParams(), "cpu")
    monkeypatch.setattr(detect, "machine", lambda params, device: {**here, **other})
    second = Wanderer()
    with caplog.at_level("INFO"):
        assert run("moved", second)[0] == whole, "where it was made is not in the table"
    assert second.seen[0] == 0
    assert "4 parts of an earlier detection are not used" in caplog.text


def test_a_damaged_part_and_all_after_it_are_made_again(run, tmp_path):
    whole, _ = run("whole", Wanderer())
    harms = {
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
        "gone": lambda path: path.unlink(),
        "changed": lambda path: path.write_bytes(path.read_bytes()[:-9] + bytes(9)),
        "empty": lambda path: path.write_bytes(b""),
    }
    for name, harm in harms.items():
        with pytest.raises(Killed):
            run(name, Wanderer(45))
        parts = sorted(parts_folder(tmp_path / name / "landmarks.parquet").iterdir())
        assert len(parts) == 5
        harm(parts[2])
        (parts[0].parent / ".000005.0.arrow.writing").write_bytes(b"half")
        second = Wanderer()
        assert run(name, second)[0] == whole
        assert second.seen[0] == 2 * ROWS


def test_parts_tell_whose_they_are_to_whoever_is_to_forget_them(run, tmp_path):
    with pytest.raises(Killed):
        run("left", Wanderer(20))
    assert subject_of_parts(tmp_path / "left") == "p01"
    next(parts_folder(tmp_path / "left" / "landmarks.parquet").iterdir()).write_bytes(b"no part")
    assert subject_of_parts(tmp_path / "left") == "p01", "of the other part"
    assert subject_of_parts(tmp_path) is None


def test_a_short_recording_has_no_parts(run, monkeypatch):
    monkeypatch.setattr(detect, "PART_ROWS", N)
    monkeypatch.setattr(detect.LandmarkParts, "append", lambda *_: pytest.fail("a part was written"))
    _, counts = run("short", Wanderer())
    assert counts["frames"] == N


def test_the_table_has_row_groups_of_several_parts_and_reads_as_one(run, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    run("parts", Wanderer())
    path = tmp_path / "parts" / "landmarks.parquet"
    rows = [pq.read_metadata(path).row_group(i).num_rows for i in range(pq.read_metadata(path).num_row_groups)]
    assert rows == [16, 16, 16, 13]
    monkeypatch.setattr(detect, "PART_ROWS", 1000)
    run("whole", Wanderer())
    assert read_table(path).equals(read_table(tmp_path / "whole" / "landmarks.parquet"))


def test_a_part_that_cannot_be_written_is_an_output_error(run, tmp_path):
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / ".landmarks.parts").write_text("in the way")
    with pytest.raises(OutputError, match=r"landmarks\.parts/000000.*cannot be written"):
        run("no", Wanderer())


def test_damage_and_lost_rows_are_counted_once_over_a_stop(run, session):
    times = packet_times(session / "rgb.mp4")
    rec.cut(session / "rgb.mp4", 0.7)
    rec.write_csv(session / "rgb.csv", times)
    rec.write_manifest(session, {"file": "rgb.mp4", "timestamps": "rgb.csv"})
    whole, counts = run("whole", Wanderer())
    assert counts["decode_error"] > 5
    assert counts["packets_lost"] == 1
    with pytest.raises(Killed):
        run("stopped", Wanderer(30))
    assert run("stopped", Wanderer()) == (whole, counts)


KILLED = """
import os, pathlib, signal, sys
from au3dmm.config import DetectParams
from au3dmm.detectors.precomputed import PrecomputedDetector
from au3dmm.stages import detect
detect.PART_ROWS, detect.GROUP_PARTS = 8, 2
real = PrecomputedDetector.detect
def detected(self, image, index):
    if index == 45:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, image, index)
PrecomputedDetector.detect = detected
session, landmarks = map(pathlib.Path, sys.argv[1:])
detect.run(session=session, landmarks=landmarks, params=DetectParams(detector="precomputed"))
"""


def test_a_process_that_is_killed_in_the_middle_of_a_video_is_continued(session, tmp_path, monkeypatch):
    monkeypatch.setattr(detect, "PART_ROWS", ROWS)
    monkeypatch.setattr(detect, "GROUP_PARTS", 2)
    np.savez(session / "l.npz", landmarks=np.random.default_rng(0).uniform(0, 60, (N, 68, 3)).astype(np.float32))
    rec.write_manifest(session, {"file": "rgb.mp4"}, landmarks={"file": "l.npz"})
    params = DetectParams(detector="precomputed")
    whole, out = tmp_path / "whole" / "landmarks.parquet", tmp_path / "killed" / "landmarks.parquet"
    detect.run(session=session, landmarks=whole, params=params)
    command = [sys.executable, "-c", KILLED, str(session), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    assert [path.name[:6] for path in sorted(parts_folder(out).iterdir())] == [f"{i:06}" for i in range(5)]
    seen, real = [], PrecomputedDetector.detect

    def detected(self, image, index):
        seen.append(index)
        return real(self, image, index)

    monkeypatch.setattr(PrecomputedDetector, "detect", detected)
    detect.run(session=session, landmarks=out, params=params)
    assert seen == list(range(40, N))
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["landmarks.parquet"]
