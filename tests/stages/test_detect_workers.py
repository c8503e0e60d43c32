"""A recording cut among several processes gives the bytes of one process, whatever happens on the way."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import recordings as rec
from au3dmm.config import DetectParams
from au3dmm.detectors.base import DetectedFace
from au3dmm.errors import ConfigError, OutputError, SessionError, WorkerError
from au3dmm.executors import Outcome
from au3dmm.executors.serial import SerialExecutor
from au3dmm.io.landmark_parts import parts_folder
from au3dmm.io.video import VideoFrames, packet_times
from au3dmm.stages import detect, detect_workers

ROWS = 8
N = 61


class Seer:
    """Finds one face or two, which depend on the picture and on those seen since the period began."""

    name, n_dense, batch_size = "seer", 0, 1

    def __init__(self, period=4, fails=None):
        self.period, self.fails, self.seen, self._span, self._sum = period, fails, [], -1, 0

    def describe(self):
        return {"name": self.name}

    def detect(self, image, frame_index):
        if self.fails is not None and frame_index == 30:
            self.fails()
        self.seen.append(frame_index)
        span = frame_index // self.period
        self._sum = int(image.sum()) + (3 * self._sum if span == self._span else 0)
        self._span = span
        points = np.random.default_rng(self._sum).uniform(0, 30, (68, 3)).astype(np.float32)
        points[36], points[45] = (0, 5, 0), (20, 5, 0)
        boxes = [np.float32([x, 0, x + 20 + x / 4, 20]) for x in ([frame_index, 50] if frame_index % 9 else [])]
        return [DetectedFace(box, 0.9, points, 0.8) for box in boxes]


class Shuffled(SerialExecutor):
    """Ends the last of its jobs first."""

    def wait(self, timeout_s):
        self._jobs.rotate(1)
        return super().wait(timeout_s)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Detect with parts of `ROWS` rows; workers are this process, in an order of their own."""
    monkeypatch.setattr(detect, "PART_ROWS", ROWS)
    monkeypatch.setattr(detect, "GROUP_PARTS", 2)
    monkeypatch.setattr(detect_workers, "make_executor", lambda *_: Shuffled())

    def call(session, workers=1, name=None, detector=None, params=None, **how):
        detect._opened.cache_clear()
        first = detector or Seer()
        made = {"mediapipe": first, "face_alignment": Seer(period=1)}
        monkeypatch.setattr(detect, "make_detector", lambda params, **_: made[params.detector])
        out = tmp_path / (name or f"by{workers}") / "landmarks.parquet"
        counts = detect.run(session=session, landmarks=out, params=params or DetectParams(), workers=workers, **how)
        assert not parts_folder(out).exists()
        return out.read_bytes(), counts

    return call


@pytest.fixture
def session(tmp_path):
    rec.write_video(tmp_path / "rgb.mp4", rec.noise_images(N))
    return rec.write_manifest(tmp_path, {"file": "rgb.mp4"})


def with_video(folder, images, pts=None, name="rgb.mp4", csv=None, prepare=lambda path: None, **how):
    path = rec.write_video(folder / name, images, pts, **how)
    times = packet_times(path)
    prepare(path)
    rgb = {"file": name}
    if csv is not None:
        rec.write_csv(folder / "rgb.csv", csv(times))
        rgb["timestamps"] = "rgb.csv"
    return rec.write_manifest(folder, rgb)


def dropped(folder):
    """Rows without a frame: at the beginning, over a border of parts, a whole part and more, at the end."""
    images, pts = rec.noise_images(N), rec.regular_pts(N)
    times = packet_times(rec.write_video(folder / "whole.mp4", images, pts))
    keep = [i for i in range(N) if i not in {0, 15, 16, *range(30, 44), N - 1}]
    return with_video(folder, [images[i] for i in keep], [pts[i] for i in keep], csv=lambda _: times)


def variable(folder):
    steps = np.random.default_rng(1).integers(1500, 20_000, N - 1)
    return with_video(folder, rec.noise_images(N), [rec.START, *(rec.START + np.cumsum(steps)).tolist()])


WHOLE = {
    "mp4": lambda folder: with_video(folder, rec.noise_images(N)),
    "mkv": lambda folder: with_video(folder, rec.noise_images(N), name="rgb.mkv"),
    "ts": lambda folder: with_video(folder, rec.noise_images(N), name="rgb.ts"),
    "parts and no rest": lambda folder: with_video(folder, rec.noise_images(7 * ROWS)),
    "variable": variable,
    "csv": lambda folder: with_video(folder, rec.noise_images(N), csv=lambda times: times),
    "csv by order": lambda folder: with_video(folder, rec.noise_images(N), csv=lambda times: times + 10**9),
    "dropped": dropped,
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_bytes_are_those_of_one_process(tmp_path, run, caplog, monkeypatch, name):
    session = WHOLE[name](tmp_path)
    one, counts = run(session)
    read, real = [], VideoFrames.read
    monkeypatch.setattr(VideoFrames, "read", lambda self, after=None: read.append(after) or real(self, after))
    assert run(session, 3) == (one, counts)
    assert "one process" not in caplog.text
    assert len(read) >= 7


def images(folder, bad=()):
    (folder / "frames").mkdir()
    for i in range(30):
        cv2.imwrite(str(folder / "frames" / f"{i}.png"), np.full((8, 8, 3), 5 * i + 5, np.uint8))
    for i in bad:
        (folder / "frames" / f"{i}.png").write_bytes(b"no image")
    rec.write_csv(folder / "rgb.csv", [i * 1000 for i in range(30)])
    return rec.write_manifest(folder, {"folder": "frames", "timestamps": "rgb.csv"})


def test_images_are_cut_among_processes_also_where_some_are_no_images(tmp_path, run, caplog):
    caplog.set_level(logging.WARNING)
    session = images(tmp_path, bad=[3, *range(8, 17)])
    one, counts = run(session)
    assert counts["packets_lost"] == 10
    told = caplog.text
    caplog.clear()
    assert run(session, 2) == (one, counts)
    assert caplog.text == told


def test_images_that_change_their_size_are_refused_at_the_same_frame(tmp_path, run):
    session = images(tmp_path)
    for i in range(16, 30):
        cv2.imwrite(str(tmp_path / "frames" / f"{i}.png"), np.full((8, 9, 3), 9, np.uint8))
    for workers in (1, 2):
        with pytest.raises(SessionError, match=r"16\.png: 9x8, the images before it 8x8"):
            run(session, workers)


HARMS = {
    "damaged early": lambda path: rec.damage(path, 0.5),
    "damaged late": lambda path: rec.damage(path, 0.8),
    "cut": lambda path: rec.cut(path, 0.6),
}


@pytest.mark.parametrize("name", HARMS)
@pytest.mark.parametrize("csv", [None, lambda times: times, lambda times: times + 10**9])
def test_damage_leaves_the_bytes_of_one_process(tmp_path, run, name, csv):
    session = with_video(tmp_path, rec.noise_images(N), csv=csv, prepare=HARMS[name])
    one, counts = run(session)
    assert counts["packets_lost"]
    for workers in (2, 5):
        assert run(session, workers) == (one, counts)


def test_after_damage_one_process_goes_on_and_says_so(tmp_path, run, caplog):
    session = with_video(tmp_path, rec.noise_images(N), prepare=HARMS["damaged late"])
    run(session, 2)
    said = [record.getMessage() for record in caplog.records if "one process" in record.getMessage()]
    assert len(said) == 1
    assert "rgb.mp4 is damaged, or" in said[0]
    assert ": from frame 56 on, one process reads it" in said[0]


def test_a_picture_that_is_another_after_seeking_is_not_believed(session, run, monkeypatch, caplog):
    one, counts = run(session)
    real = VideoFrames._sought

    def other(self, place):
        """Decode as a decoder might that began in the middle: the picture at the place is not the one it was."""
        decoded = real(self, place)
        if decoded is not None and place.n == 24:
            self.began = place.__class__(place.n, place.pts_us, 0, self.began.size, self.began.crc32 ^ 1)
        return decoded

    monkeypatch.setattr(VideoFrames, "_sought", other)
    assert run(session, 2) == (one, counts)
    assert "from frame 24 on, one process reads it" in caplog.text


def test_a_video_that_cannot_be_sought_in_is_read_by_one_process(session, run, monkeypatch, caplog):
    one, counts = run(session)
    monkeypatch.setattr(VideoFrames, "_sought", lambda self, place: None)
    assert run(session, 2) == (one, counts)
    assert "from frame 8 on, one process reads it" in caplog.text


class Stopped(BaseException):
    pass


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (1, 2), (2, 2)])
def test_who_was_stopped_goes_on_with_another_number_of_processes(session, run, before, after):
    one, counts = run(session)

    def stop(done, total):
        if done >= 40:
            raise Stopped

    with pytest.raises(Stopped):
        run(session, before, "stopped", progress=stop)
    detector = Seer()
    assert run(session, after, "stopped", detector) == (one, counts)
    assert 0 < min(detector.seen) <= 32, "it goes on, and not from the beginning"
    assert min(detector.seen) % ROWS == 0


@pytest.mark.parametrize("policy", ["largest", "central", "track", "index"])
def test_the_face_is_chosen_over_the_whole_recording(session, run, policy):
    params = DetectParams(face=policy)
    assert run(session, 3, params=params) == run(session, 1, params=params)


def test_a_second_detector_looks_at_the_same_frames(session, run):
    params = DetectParams(check_with="face_alignment", check_every=3)
    assert run(session, 3, params=params) == run(session, 1, params=params)


def test_progress_never_goes_back_and_ends_with_the_last_frame(session, run):
    told = []
    run(session, 3, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(set(told[:-1])) + told[-1:]
    assert told[-1] == (N, N)


def test_a_recording_of_one_part_starts_no_process(tmp_path, run, monkeypatch):
    session = with_video(tmp_path, rec.noise_images(ROWS))
    monkeypatch.setattr(detect_workers, "make_executor", lambda *_: pytest.fail("started"))
    assert run(session, 2)[1]["frames"] == ROWS


def test_what_a_worker_cannot_do_is_done_again_here_where_its_reason_is_told(session, run, caplog):
    def fail():
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        run(session, 2, detector=Seer(fails=fail))
    assert "failed: RuntimeError: CUDA out of memory: from frame 24 on" in caplog.text
    detector = Seer(fails=lambda: setattr(detector, "fails", None) or fail())  # once
    assert run(session, 2, "again", detector)[0] == run(session)[0]


def test_a_device_that_is_not_there_is_told_once_and_nothing_goes_on(session, run):
    seer = Seer(fails=None)

    def fail():
        seer.seen.append("asked")
        raise ConfigError("device 'cuda:7': there is none")

    seer.fails = fail
    with pytest.raises(ConfigError, match="device 'cuda:7'"):
        run(session, 2, detector=seer)
    assert seer.seen.count("asked") == 1


def test_a_worker_that_dies_is_one_line_and_what_was_done_is_kept(session, run, monkeypatch):
    class Dies(SerialExecutor):
        def wait(self, timeout_s):
            if self._jobs[0].key == "3":
                return [Outcome("3", died="killed by SIGKILL, as the system does when memory runs out")]
            return super().wait(timeout_s)

    monkeypatch.setattr(detect_workers, "make_executor", lambda *_: Dies())
    with pytest.raises(WorkerError, match=r"rgb\.mp4: the process for frames 24 to 31 was lost: killed by.*memory"):
        run(session, 2, "dies")
    monkeypatch.setattr(detect_workers, "make_executor", lambda *_: SerialExecutor())
    detector = Seer()
    assert run(session, 2, "dies", detector)[0] == run(session)[0]
    assert min(detector.seen) == 16, "the last part is written when a frame comes after it"


def test_each_worker_has_a_device_of_its_own(session, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(detect, "make_detector", lambda params, device, **_: asked.append(device) or Seer())
    how = {"session": session, "params": DetectParams(), "weights_folder": None, "rows": 8, "ticks": tmp_path / "t"}
    for slot in (0, 1, 2):
        detect._opened.cache_clear()
        monkeypatch.setattr(detect, "worker_slot", lambda slot=slot: slot)
        part = detect.find_part(devices=["cuda:0", "cuda:1"], place=detect.Place(), **how)
        assert (part.failed, len(part.found)) == (None, 8)
    assert asked == ["cuda:0", "cuda:1", "cuda:0"]


def test_parts_that_cannot_be_written_are_an_output_error(session, run, tmp_path):
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / ".landmarks.parts").write_text("in the way")
    with pytest.raises(OutputError, match=r"landmarks\.parts/000000.*cannot be written"):
        run(session, 2, "no")


KILLED = """
import multiprocessing, os, pathlib, signal, sys
from au3dmm.config import DetectParams
from au3dmm.stages import detect
detect.PART_ROWS, detect.GROUP_PARTS = 8, 2
def progress(done, total):
    if done >= 40:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
session, landmarks = map(pathlib.Path, sys.argv[1:])
params = DetectParams(detector="precomputed")
detect.run(session=session, landmarks=landmarks, params=params, workers=2, progress=progress)
"""


def test_processes_end_with_their_parent_and_the_next_run_ends_the_work(session, tmp_path, monkeypatch):
    np.savez(session / "l.npz", landmarks=np.random.default_rng(0).uniform(0, 60, (N, 68, 3)).astype(np.float32))
    rec.write_manifest(session, {"file": "rgb.mp4"}, landmarks={"file": "l.npz"})
    out, whole = (tmp_path / name / "landmarks.parquet" for name in ("killed", "whole"))
    command = [sys.executable, "-c", KILLED, str(session), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 2
    until = time.monotonic() + 10
    while any(map(_runs, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_runs, workers)), "orphans"
    assert list(parts_folder(out).glob("0*.arrow")), "nothing was kept"
    monkeypatch.setattr(detect, "PART_ROWS", ROWS)
    monkeypatch.setattr(detect, "GROUP_PARTS", 2)
    for landmarks in (out, whole):
        detect.run(session=session, landmarks=landmarks, params=DetectParams(detector="precomputed"))
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["landmarks.parquet"]


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
