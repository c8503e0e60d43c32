"""Whom weights have learnt from: known by recordings, whatever parts, labels and names are now."""

import json
from dataclasses import replace

import pytest

from au3dmm.io.recording_marks import recording_mark
from au3dmm.io.training_labels import read_training_labels
from au3dmm.models import MODELS
from au3dmm.training.checkpoints import read_checkpoint, write_checkpoint
from au3dmm.training.evaluating import evaluate, evaluate_folds
from au3dmm.training.evaluation_files import write_evaluation, write_folds
from au3dmm.training.experiments import run_experiment
from au3dmm.training.learnt import leak_into_test, seen_of
from au3dmm.training.loop import LAST
from au3dmm.training.run import TrainOptions, train
from au3dmm.training_config import ExperimentParams, load_training
from training_run import METADATA, UNITS, Pooled, write_training_run

CPU = TrainOptions(device="cpu")
FIRST = ("train", "train", "val", "test", "test")
AGAIN = ("test", "test", "train", "val", "train")


@pytest.fixture(scope="module", autouse=True)
def pooled():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "pooled", Pooled)
        yield


def dataset(folder, parts, film="a", mark="one", **more):
    metadata = {**METADATA, "fingerprint": mark}
    return write_training_run(
        folder, people=len(parts), n=8, parts=lambda p: parts[p], film=film, metadata=metadata, **more
    )


def params(*changes):
    return load_training(None, ["data.n_frames=8", "data.image_px=16", "optimise.epochs=1", *changes], model="pooled")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("first"), FIRST)


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The same recordings in other parts."""
    return dataset(tmp_path_factory.mktemp("again"), AGAIN, mark="two")


@pytest.fixture(scope="module")
def checkpoint(first, tmp_path_factory):
    out = tmp_path_factory.mktemp("m")
    train(first, params(), out, CPU)
    return out / LAST


def test_a_recording_is_known_by_what_was_filmed(tmp_path):
    def mark(**stages):
        (tmp_path / "stage.json").write_text(json.dumps({"stages": stages}))
        return recording_mark(tmp_path)

    rgb, events = {"session:rgb": "c" * 64, "detector": "x"}, {"session:events": "d" * 64, "session:rgb": "none"}
    assert mark(detect={"inputs": rgb}, sync={"inputs": events}) == "c" * 16
    assert mark(sync={"inputs": events}, detect={"inputs": rgb}) == "c" * 16
    assert mark(sync={"inputs": events}) == "d" * 16
    assert mark(align={"inputs": {"labels": "e"}}) is None
    (tmp_path / "stage.json").write_text("{")
    assert recording_mark(tmp_path) is None
    assert recording_mark(tmp_path / "nowhere") is None


def test_a_checkpoint_keeps_marks_of_what_was_learnt_from_and_no_names(checkpoint, first):
    said = read_checkpoint(checkpoint)["learnt"]
    expected = {recording_mark(first.session(f"S{p}_{unit}")) for p in (0, 1) for unit in UNITS}
    assert said == {"run": "label", "recordings": sorted(expected), "whole": True}
    assert not any(mark in (checkpoint.parent / "training.json").read_text() for mark in expected)


def test_weights_that_know_people_of_todays_test_are_warned_of_with_their_number(checkpoint, again, tmp_path, caplog):
    train(again, params(), tmp_path / "m", replace(CPU, init=checkpoint))
    told = [record.message for record in caplog.records if "kept for test" in record.message]
    assert told == [
        f"{checkpoint}: learnt from 2 of the 2 people who are kept for test here (S0, S1): numbers on test will be too"
        " good; begin with weights that have not seen them"
    ]


def test_weights_of_the_same_split_or_of_other_people_of_the_same_names_are_not(checkpoint, first, tmp_path, caplog):
    other = dataset(tmp_path / "other", AGAIN, film="b", mark="three")
    for i, labels in enumerate((first, other)):
        train(labels, params("optimise.max_steps=1"), tmp_path / f"m{i}", replace(CPU, init=checkpoint))
    assert "kept for test" not in caplog.text


def test_what_the_first_weights_learnt_from_is_kept_on_and_outlives_a_stop(checkpoint, again, first, tmp_path):
    out = tmp_path / "m"
    train(again, params("optimise.max_steps=1"), out, replace(CPU, init=checkpoint))
    begun = read_checkpoint(out / LAST)["learnt"]
    people = {f"S{p}" for p in range(5)}
    labels = read_training_labels(again)
    assert seen_of({"learnt": begun}, labels, people).subjects == ("S0", "S1", "S2", "S4")
    train(again, params("optimise.max_steps=2"), out, replace(CPU, resume=True))
    assert read_checkpoint(out / LAST)["learnt"] == begun


def test_older_checkpoints_tell_folds_apart_and_nothing_else(checkpoint, tmp_path):
    folds = write_training_run(tmp_path, people=3, n=8, folds=3, metadata={**METADATA, "fingerprint": "one"})
    labels = read_training_labels(folds)
    content = {key: value for key, value in read_checkpoint(checkpoint).items() if key != "learnt"}
    content["config"]["data"]["fold"] = 1
    data = params("data.fold=1").data
    assert leak_into_test(content, labels, data) is None
    said = leak_into_test(content, labels, data.model_copy(update={"fold": 2}))
    assert "learnt with data.fold = 1, here 2: it may know people of this test" in said
    content["labels"]["fingerprint"] = "other"
    assert leak_into_test(content, labels, data.model_copy(update={"fold": 2})) is None


def test_an_evaluation_says_how_many_people_the_model_knows(checkpoint, again, first, tmp_path, caplog):
    outcome, loaded = evaluate(checkpoint, again, "test", device="cpu")
    found = write_evaluation(tmp_path, checkpoint, again, "test", outcome, loaded)
    assert found["n_subjects_seen"] == 2
    words = "The model has learnt from all of these 2 people: numbers are too good for people it does not know."
    assert f"**{words}**" in (tmp_path / "metrics.md").read_text()
    assert "has learnt from 2 of the 2 people in test" in caplog.text
    caplog.clear()
    for labels, part, n in ((first, "test", 0), (first, "train", 2), (again, "val", 0)):
        outcome, loaded = evaluate(checkpoint, labels, part, device="cpu")
        assert write_evaluation(tmp_path, checkpoint, labels, part, outcome, loaded)["n_subjects_seen"] == n
        assert "learnt from" not in (tmp_path / "metrics.md").read_text()
    assert not caplog.records, "labels have changed, but who is asked about is known not to have been learnt from"


def test_what_cannot_be_told_is_said_to_be_unknown(checkpoint, again, tmp_path, caplog):
    content = read_checkpoint(checkpoint)
    del content["learnt"]
    write_checkpoint(tmp_path / "old.pt", content)
    outcome, loaded = evaluate(tmp_path / "old.pt", again, "test", device="cpu")
    assert write_evaluation(tmp_path, tmp_path / "old.pt", again, "test", outcome, loaded)["n_subjects_seen"] is None
    assert "it may have learnt from recordings that are in test now" in caplog.text
    content["learnt"] = {"run": "label", "recordings": [recording_mark(again.session("S1_AU1"))], "whole": False}
    write_checkpoint(tmp_path / "half.pt", content)
    outcome, loaded = evaluate(tmp_path / "half.pt", again, "test", device="cpu")
    assert loaded.seen.subjects == ("S1",), "at least"


def test_people_that_models_of_folds_know_are_counted_together(tmp_path):
    folds = write_training_run(tmp_path / "ds", people=3, n=8, folds=3)
    paths = []
    for i in (0, 1, 2):
        train(folds, params(f"data.fold={i}", "optimise.max_steps=1"), tmp_path / f"f{i}", CPU)
        paths.append(tmp_path / f"f{i}" / LAST)
    outcome, each = evaluate_folds(paths, folds, "test", device="cpu")
    found = write_folds(tmp_path / "out", paths, folds, "test", outcome, each)
    assert (found["n_subjects_seen"], [one["n_subjects_seen"] for one in found["folds"]]) == (0, [0, 0, 0])


def test_a_table_of_an_experiment_names_rows_that_know_people_of_its_test(checkpoint, again, tmp_path):
    base = {"data": {"n_frames": 8, "image_px": 16}, "optimise": {"max_steps": 1}}
    runs = [{"name": name, "model": "pooled", "init": init} for name, init in (("new", None), ("begun", "new"))]
    experiment = ExperimentParams.model_validate({"title": "t", "seeds": [0], "base": base, "runs": runs})
    how = {"rows": ("begun",), "options": replace(CPU, init=checkpoint)}
    result = run_experiment(experiment, lambda _: again, tmp_path, **how)
    assert "**begun, seed 0: the model has learnt from all of these 2 people: numbers are" in result.table
    plain = run_experiment(experiment, lambda _: again, tmp_path / "b", rows=("new",), options=CPU)
    assert "learnt from" not in plain.table
