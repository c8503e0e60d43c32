"""Refined labels: a network whose refinement is planted, and a run that other networks read."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import au3dmm
from au3dmm.errors import ConfigError
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index, write_index
from au3dmm.io.tables import read_metadata
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training.checkpoints import read_checkpoint, write_checkpoint
from au3dmm.training.refining import refine_labels, refining_places
from au3dmm.training.run import TrainOptions, train
from au3dmm.training_config import DataParams, load_training
from mesh_run import write_mesh_run
from training_run import METADATA

SMALL = [
    *("options.dim=8", "options.depth=1", "options.heads=1", "options.mlp=8", "options.token_hidden=4"),
    *("mesh.n_motion=8", "data.n_frames=3", "data.every=2", "loss.classes=0", "loss.alpha=0", "loss.occurrence=0.1"),
    *("loss.mesh=1", "monitor=loss", "batch=32", "max_steps=1"),
]
SHIFT = np.array([0.3, 0.0, 0.1, 0.2])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_mesh_run(tmp_path_factory.mktemp("run"), people=2, n=7)


@pytest.fixture(scope="module")
def checkpoint(run, tmp_path_factory):
    """A network that adds SHIFT to the coefficients of every frame, whatever it sees."""
    out = tmp_path_factory.mktemp("trained")
    train(run, load_training(None, SMALL, "au_d3dface"), out, TrainOptions(device="cpu"))
    content = read_checkpoint(out / "last.pt")
    weights = content["state_dict"]
    weights["refine.weight"].zero_()
    weights["refine.bias"].copy_(torch.from_numpy(SHIFT).float() @ weights["to_motion"])
    write_checkpoint(out / "planted.pt", content)
    return out / "planted.pt"


@pytest.fixture(scope="module")
def refined(run, checkpoint):
    return refine_labels(checkpoint, run, RunFolder(run.path.with_name("refined")), device="cpu")


def test_every_frame_has_the_motion_that_the_network_gives_it(run, refined):
    before, after = read_training_labels(run), read_training_labels(refined.out)
    np.testing.assert_array_equal(after.valid, before.valid)
    np.testing.assert_allclose(after.alpha[after.valid], (before.alpha + SHIFT)[before.valid], atol=2e-4)
    np.testing.assert_array_equal(after.alpha_std, before.alpha_std)
    assert not after.alpha[~after.valid].any()
    assert (refined.recordings, refined.rows, refined.state) == (8, 48, "ran")
    assert refined.lost_mm < 1e-3 < refined.change_mm


def test_the_tables_say_that_they_are_refined_and_by_what(refined, checkpoint):
    session = refined.out.session("S0_AU1")
    for path in (session / "labels.parquet", refined.out.labels / "part-00000.parquet", refined.out.index):
        said = read_metadata(path)
        assert (said["source"], said["stage"]) == ("refined", "refine")
        assert said["refined"]["checkpoint_sha256"] == sha256_file(checkpoint)
    assert read_metadata(session / "labels.parquet")["basis"]["names_au"]
    table = au3dmm.read_labels(session)
    alpha, valid = au3dmm.vectors(table, "alpha_au")
    assert (len(table), int(valid.sum()), alpha.shape[1]) == (7, 6, 4)
    made = json.loads((session / "stage.json").read_text())["stages"]["align"]
    assert made["outputs"]["labels"]["sha256"] == sha256_file(session / "labels.parquet")
    made = json.loads((refined.out.dataset / "stage.json").read_text())["stages"]["consolidate"]
    assert made["outputs"]["sessions"]["sha256"] == sha256_file(refined.out.index)


def test_networks_learn_from_them_as_from_any_run(refined, tmp_path):
    params = load_training(None, ["model=alpha_lstm", "data.n_frames=6", "loss.alpha=0", "max_steps=1"])
    assert train(refined.out, params, tmp_path, TrainOptions(device="cpu")).position.step == 1


def test_once_more_changes_nothing(run, refined, checkpoint, tmp_path):
    assert refine_labels(checkpoint, run, refined.out, device="cpu").state == "up to date"
    other = refine_labels(checkpoint, run, RunFolder(tmp_path / "other"), device="cpu", batch=3).out
    for name in ("labels/part-00000.parquet", "sessions.parquet", "annotations.parquet"):
        assert (other.dataset / name).read_bytes() == (refined.out.dataset / name).read_bytes(), name


def test_the_run_that_is_refined_stays_as_it_is(run, refined):
    pair = [folder.session("S0_AU1") / "event_frames.polarity.parquet" for folder in (run, refined.out)]
    assert pair[0].read_bytes() == pair[1].read_bytes()
    assert read_metadata(run.index).get("source") is None


def test_what_must_not_be_written_to_is_refused(run, checkpoint, tmp_path):
    other = write_mesh_run(tmp_path, people=2, n=7)
    for out, message in (
        (run, "is the run that is refined"),
        (RunFolder(run.path / "x"), "is the run that is refined, or within it"),
        (other, "has a run whose labels are not refined ones"),
    ):
        with pytest.raises(ConfigError, match=message):
            refine_labels(checkpoint, run, out, device="cpu")
    assert read_metadata(other.index).get("detector") == METADATA["detector"]


def test_a_network_that_was_not_taught_to_refine_is_refused(run, checkpoint, tmp_path):
    content = read_checkpoint(checkpoint)
    content["config"]["loss"]["mesh"] = 0.0
    write_checkpoint(tmp_path / "untaught.pt", content)
    with pytest.raises(ConfigError, match=r"trained with loss\.mesh = 0"):
        refine_labels(tmp_path / "untaught.pt", run, RunFolder(tmp_path / "out"), device="cpu")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 20])
def test_clips_show_every_frame(n):
    data = DataParams(n_frames=3, every=2)
    seen = {first + i * 2 for first, count in refining_places(n, data) for i in range(count)}
    assert seen == set(range(n))


def test_recordings_that_a_network_of_event_frames_cannot_see_are_refused(tmp_path):
    run = write_mesh_run(tmp_path, people=2, n=7)
    see = ("options.appearance=convolutions", "data.image_px=16")
    train(run, load_training(None, [*SMALL, *see], "au_d3dface"), tmp_path / "out", TrainOptions(device="cpu"))
    rows, metadata = read_index(run.index)
    without = [replace(row, clock_method=None) if row.session_id == "S0_AU2" else row for row in rows]
    write_index(run.index, without, metadata)
    (run.session("S0_AU2") / "event_frames.polarity.parquet").unlink()
    out = RunFolder(tmp_path / "refined")
    with pytest.raises(ConfigError, match=r"1 recording, 'S0_AU2' the first, have no events, which this network sees"):
        refine_labels(tmp_path / "out" / "last.pt", run, out, device="cpu")
    assert not out.path.exists()
