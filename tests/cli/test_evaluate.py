"""`au3dmm evaluate` as a user types it."""

import json

import pytest

from training_run import METADATA, write_training_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("dataset"), people=3, n=8)


@pytest.fixture
def checkpoint(au3dmm, run, tmp_path):
    small = [x for pair in ("n_frames=8", "options.hidden=8", "epochs=3", "lr=0.05") for x in ("--set", pair)]
    where = ("--labels", run.path, "--out", tmp_path / "m", "--device", "cpu", "--workers", "0")
    assert au3dmm("train", *where, "--model", "alpha_lstm", *small).code == 0
    return tmp_path / "m" / "best.pt"


def test_numbers_tables_and_a_picture_come_out(au3dmm, run, checkpoint):
    answer = au3dmm("evaluate", "--checkpoint", checkpoint, "--labels", run.path, "--split", "val", "--device", "cpu")
    assert answer.code == 0, answer.err
    assert "alpha_lstm on val: 4 recordings of 1 subject" in answer.out
    assert "always the most frequent class: 25.0 %" in answer.out
    folder = checkpoint.parent / "evaluation" / "val"
    names = {"metrics.json", "metrics.md", "predictions.csv", "classes.csv", "confusion.csv", "confusion.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_what_was_written(au3dmm, run, checkpoint, tmp_path):
    where = ("--checkpoint", checkpoint, "--labels", run.path, "--split", "train", "--out", tmp_path / "e")
    answer = au3dmm("evaluate", *where, "--device", "cpu", "--json")
    said = json.loads(answer.out)
    written = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert {**written, "out": str(tmp_path / "e")} == said
    assert said["n_subjects"] == 2
    assert said["overall"]["top1"]["low"] is not None


def test_what_is_wrong_is_one_line(au3dmm, run, checkpoint, tmp_path):
    answer = au3dmm("evaluate", "--checkpoint", tmp_path / "none.pt", "--labels", run.path)
    assert answer.code == 2 or answer.code == 1
    assert "no such file" in answer.err[-1]
    answer = au3dmm("evaluate", "--checkpoint", checkpoint, "--labels", run.path, "--device", "cpu")
    assert "no recording of it is in test" in answer.err[-1]
    (tmp_path / "text.pt").write_text("not a checkpoint")
    answer = au3dmm("evaluate", "--checkpoint", tmp_path / "text.pt", "--labels", run.path)
    assert "not a checkpoint" in answer.err[-1]


def test_other_labels_do_not_overwrite_what_is_said_of_the_models_own(au3dmm, tmp_path):
    mine = write_training_run(tmp_path / "mine", people=3, n=8, metadata={**METADATA, "fingerprint": "a"})
    other = write_training_run(tmp_path / "other", people=3, n=8, film="b", metadata={**METADATA, "fingerprint": "b"})
    where = ("--out", mine.training / "net", "--device", "cpu", "--workers", "0", "--model", "alpha_lstm")
    few = ("--set", "n_frames=8", "--set", "options.hidden=8", "--set", "epochs=1")
    assert au3dmm("train", "--labels", mine.path, *where, *few).code == 0
    assert "not evaluated yet" in mine.report.read_text(), "train shows itself"
    best = ("--checkpoint", mine.training / "net" / "best.pt", "--split", "val", "--device", "cpu")
    assert au3dmm("evaluate", "--labels", mine.path, *best).code == 0
    own = mine.training / "net" / "evaluation" / "val" / "metrics.json"
    before = own.read_bytes()
    answer = au3dmm("evaluate", "--labels", other.path, *best)
    assert answer.code == 0, answer.err
    assert own.read_bytes() == before
    assert str(mine.training / "net" / "evaluation" / "val_on_other-label" / "metrics.md") in answer.out
    assert "val of other-label" in mine.report.read_text()
    assert not other.report.exists()
    assert "earlier state" not in mine.report.read_text()
    assert au3dmm("train", "--labels", mine.path, *where, *few, "--anew", "--set", "lr=0.3").code == 0
    assert mine.report.read_text().count("of an earlier state of the model; evaluate again") == 2
    assert au3dmm("evaluate", "--labels", mine.path, *best).code == 0
    assert mine.report.read_text().count("of an earlier state of the model; evaluate again") == 1


def test_folds_are_evaluated_together_and_the_report_shows_them(au3dmm, tmp_path):
    run = write_training_run(tmp_path / "dataset", people=6, n=8, folds=3, coded=True)
    small = [x for pair in ("n_frames=8", "options.hidden=8", "epochs=1", "occurrence=1") for x in ("--set", pair)]
    for i in range(3):
        where = ("--labels", run.path, "--out", run.training / f"f{i}", "--device", "cpu", "--workers", "0")
        assert au3dmm("train", *where, "--model", "alpha_lstm", *small, "--set", f"fold={i}").code == 0
    models = [x for i in range(3) for x in ("--checkpoint", run.training / f"f{i}" / "best.pt")]
    answer = au3dmm("evaluate", *models, "--labels", run.path, "--device", "cpu", "--threshold", "0.3")
    assert answer.code == 0, answer.err
    assert "alpha_lstm on test: 24 recordings of 6 subjects, 3 models together" in answer.out
    assert "(96 frames of 6 subjects; every unit in every frame: 66.7 %)" in answer.out
    folder = run.training / "f0+f1+f2" / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text())["threshold"] == 0.3
    page = run.report.read_text()
    assert "./training/f0%2Bf1%2Bf2/evaluation/test/confusion.png" in page
    assert page.count("not evaluated yet") == 3
    twice = au3dmm("evaluate", *models[:2], *models[:2], "--labels", run.path)
    assert "--checkpoint: two in folders called 'f0'; expected" in twice.err[-1]
