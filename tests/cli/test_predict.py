"""`au3dmm predict` as a user types it."""

import json

import numpy as np
import pytest

from au3dmm.config import FramesParams
from au3dmm.io.events import TRIGGER_DTYPE
from au3dmm.io.events.evt3_writer import write_evt3
from au3dmm.io.tables import read_table
from raw_files import camera_events
from recordings import write_manifest
from training_run import write_training_run

TINY = (
    "n_frames=4", "image_px=16", "batch=4", "max_steps=1", "options.patch_px=8", "options.dim=16", "options.heads=1",
    "options.dim_head=16", "options.spatial_depth=1", "options.temporal_depth=1",
)  # fmt: skip
MADE = {"params": FramesParams(size_px=16).model_dump(), "sensor": {"width": 64, "height": 48}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("dataset"), people=2, n=6, frames_metadata=MADE)


@pytest.fixture
def checkpoint(au3dmm, run, tmp_path):
    small = [x for pair in TINY for x in ("--set", pair)]
    where = ("--labels", run.path, "--out", tmp_path / "m", "--device", "cpu", "--workers", "0")
    answer = au3dmm("train", *where, "--model", "st_vit", *small)
    assert answer.code == 0, answer.err
    return tmp_path / "m" / "best.pt"


def recording(path):
    events = camera_events(3000, 500_000)
    events["x"] %= 64
    events["y"] %= 48
    write_evt3(path, events, np.zeros(0, TRIGGER_DTYPE), width=64, height=48)
    return path


def test_a_table_and_a_picture_come_out_and_the_speed_is_said(au3dmm, checkpoint, tmp_path):
    path = recording(tmp_path / "f.raw")
    answer = au3dmm("predict", "--checkpoint", checkpoint, "--events", path, "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "x real time on cpu; without reading events" in answer.out
    assert "33333 us every 33333 us (training's were between RGB frames" in answer.out
    folder = checkpoint.parent / "predictions" / "f"
    assert {p.name for p in folder.iterdir()} == {"predictions.parquet", "predictions.png"}
    assert (folder / "predictions.png").read_bytes().startswith(b"\x89PNG")
    table = read_table(folder / "predictions.parquet", "predictions")
    assert set(table["class"].to_pylist()) <= {"AU1", "AU2", "AU51", "AU52"}


def test_a_session_may_be_given_and_json_has_the_numbers(au3dmm, checkpoint, tmp_path):
    folder = tmp_path / "S9"
    folder.mkdir()
    recording(folder / "events.raw")
    write_manifest(folder, {"file": "rgb.mp4"}, events={"file": "events.raw"}, sync={"method": "start"})
    where = ("--checkpoint", checkpoint, "--events", folder, "--device", "cpu", "--json")
    answer = au3dmm("predict", *where)
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert (said["recording"], said["rows"]) == ("s01", said["frames"])
    assert said["real_time_factor_without_reading"] >= said["real_time_factor"] > 0
    before = {p.name for p in folder.iterdir()}
    assert "holds a recording" in au3dmm("predict", *where, "--out", folder).err[-1]
    assert {p.name for p in folder.iterdir()} == before == {"events.raw", "session.toml"}


def test_what_is_wrong_is_one_line(au3dmm, checkpoint, tmp_path):
    (tmp_path / "empty.raw").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for events, words in (("none.raw", "none.raw"), ("empty.raw", "empty (0 bytes)"), ("folder", "no session.toml")):
        answer = au3dmm("predict", "--checkpoint", checkpoint, "--events", tmp_path / events, "--device", "cpu")
        assert answer.code
        assert words in answer.err[-1]
    answer = au3dmm("predict", "--checkpoint", tmp_path / "none.pt", "--events", tmp_path / "empty.raw")
    assert "no such file" in answer.err[-1]
