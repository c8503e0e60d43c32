"""`au3dmm refine`, and controls of `au3dmm evaluate`, as a user types them."""

import json

import pytest

from mesh_run import write_mesh_run

SMALL = ("dim=8", "depth=1", "heads=1", "mlp=8", "token_hidden=4")
VALUES = ("mesh.n_motion=8", "n_frames=4", "every=2", "loss.classes=0", "loss.alpha=0", "loss.occurrence=0.1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_mesh_run(tmp_path_factory.mktemp("dataset"), people=2, n=8)


@pytest.fixture
def checkpoint(au3dmm, run, tmp_path):
    values = (*(f"options.{one}" for one in SMALL), *VALUES, "loss.mesh=1", "monitor=loss", "max_steps=1")
    small = [x for one in values for x in ("--set", one)]
    where = ("--labels", run.path, "--out", tmp_path / "m", "--device", "cpu", "--workers", "0")
    answer = au3dmm("train", *where, "--model", "au_d3dface", *small)
    assert answer.code == 0, answer.err
    return tmp_path / "m" / "last.pt"


def test_refined_labels_are_a_run_with_a_card_and_a_page(au3dmm, run, checkpoint, tmp_path):
    answer = au3dmm("refine", "--checkpoint", checkpoint, "--labels", run.path, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    out = run.path.with_name("label-refined")
    assert (said["out"], said["state"], said["recordings"], said["rows"]) == (str(out), "ran", 8, 56)
    assert "**Refined: `alpha_au` is what a network" in (out / "dataset" / "README.md").read_text()
    assert (out / "report.html").is_file()
    answer = au3dmm("refine", "--checkpoint", checkpoint, "--labels", run.path, "--device", "cpu")
    assert "56 rows of 8 recordings (up to date)" in answer.out
    answer = au3dmm("refine", "--checkpoint", checkpoint, "--labels", run.path, "--out", run.path)
    assert (answer.code, answer.error.endswith("expected another folder")) == (2, True)

    # and as a control: what the network refined, measured beside what it refines
    where = ("--checkpoint", checkpoint, "--labels", run.path, "--split", "val", "--out", tmp_path / "e")
    answer = au3dmm("evaluate", *where, "--device", "cpu", "--control", f"mine={out}")
    assert answer.code == 0, answer.err
    assert list(json.loads((tmp_path / "e" / "meshes.json").read_text())["rows"])[:2] == ["coarse", "mine"]
    assert "| mine | " in (tmp_path / "e" / "meshes.md").read_text()


def test_controls_that_are_wrong_are_told_in_one_line(au3dmm, run, checkpoint, tmp_path):
    where = ("--checkpoint", checkpoint, "--labels", run.path, "--split", "val", "--device", "cpu")
    for given, message in (
        ((tmp_path / "none",), "no such folder"),
        ((f"a={run.path}", f"a={run.path}"), "'a' is there already; call it otherwise: NAME="),
        ((f"refined={run.path}",), "a row of this name is there already"),
    ):
        controls = [x for one in given for x in ("--control", one)]
        answer = au3dmm("evaluate", *where, *controls)
        assert (answer.code, message in answer.error) == (2, True), answer.err


def test_a_control_of_a_network_that_refines_nothing_is_refused_before_anything_is_measured(au3dmm, run, tmp_path):
    where = ("--labels", run.path, "--device", "cpu", "--workers", "0")
    values = ("model=alpha_lstm", "n_frames=4", "max_steps=1", "loss.alpha=0")
    small = [x for one in values for x in ("--set", one)]
    answer = au3dmm("train", *where, "--out", tmp_path / "m", *small)
    assert answer.code == 0, answer.err
    how = ("--checkpoint", tmp_path / "m" / "last.pt", "--labels", run.path, "--split", "val", "--device", "cpu")
    answer = au3dmm("evaluate", *how, "--out", tmp_path / "e", "--control", f"a={run.path}")
    assert (answer.code, "alpha_lstm refines no faces; leave it away" in answer.error) == (2, True), answer.err
    assert not (tmp_path / "e").exists()
