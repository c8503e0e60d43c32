"""What lies in a run's folder about trained models: read as it is, damage named."""

import json

import pytest

from au3dmm.io.evaluations import evaluations_in, experiments_in
from au3dmm.io.run_folder import RunFolder

METRICS = {"model": "st_vit", "n_videos": 4, "overall": {"top1": {"value": 0.5, "low": None, "high": None}}}


def evaluation(run, name, part="test", text=None, files=("metrics.md", "confusion.png")):
    folder = run.training / name / "evaluation" / part
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(METRICS) if text is None else text)
    for file in files:
        (folder / file).write_text("x")
    return folder


def test_a_run_without_models_has_none(tmp_path):
    assert evaluations_in(RunFolder(tmp_path)) == []
    assert experiments_in(RunFolder(tmp_path / "nowhere")) == []


def test_evaluations_come_by_name_and_part_and_a_model_without_one_is_named(tmp_path):
    run = RunFolder(tmp_path)
    evaluation(run, "b", "val")
    evaluation(run, "b", "test", files=("metrics.md",))
    evaluation(run, "f0+f1")
    (run.training / "a").mkdir()
    (run.training / "a" / "training.json").write_text("{}")
    (run.training / "half").mkdir()
    found = evaluations_in(run)
    assert [(one.name, one.part, one.problem) for one in found] == [
        ("a", "", "not evaluated yet"),
        ("b", "test", ""),
        ("b", "val", ""),
        ("f0+f1", "test", ""),
    ]
    assert found[1].files == ("metrics.md",)
    assert found[1].place == "training/b/evaluation/test"
    assert found[1].number("top1") == (0.5, None, None)
    assert found[1].number("f1") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "metrics.json is damaged; evaluate again"),
        ("[" * 100_000, "metrics.json is damaged; evaluate again"),
        ("[]", "metrics.json is no JSON object"),
        ("{}", "metrics.json has no overall numbers"),
        ('{"overall": 3}', "metrics.json has no overall numbers"),
    ],
)
def test_damage_is_one_line_and_stops_nothing(tmp_path, text, words):
    run = RunFolder(tmp_path)
    evaluation(run, "bad", text=text)
    evaluation(run, "good")
    bad, good = evaluations_in(run)
    assert words in bad.problem
    assert bad.number("top1") is None
    assert good.problem == ""


def test_what_an_evaluation_that_was_stopped_lacks_is_named(tmp_path):
    run = RunFolder(tmp_path)
    (evaluation(run, "early") / "metrics.json").unlink()
    evaluation(run, "late", files=())
    assert [one.problem for one in evaluations_in(run)] == [
        "no metrics.json; evaluate again",
        "metrics.md is missing; evaluate again",
    ]


@pytest.mark.parametrize("value", ["much", True, None, float("nan"), [1]])
def test_what_is_no_number_is_none(tmp_path, value):
    run = RunFolder(tmp_path)
    evaluation(run, "a", text=json.dumps({"overall": {"top1": {"value": value}, "f1": value}, "chance": value}))
    (one,) = evaluations_in(run)
    assert (one.number("top1"), one.number("f1"), one.plain("chance")) == (None, None, None)


def test_tables_of_experiments_are_read_and_one_that_is_not_finished_is_named(tmp_path):
    run = RunFolder(tmp_path)
    for name in ("done", "going"):
        (run.experiments / name).mkdir(parents=True)
    (run.experiments / "done" / "table.md").write_text("# Table 2\n")
    (run.experiments / "binary").mkdir()
    (run.experiments / "binary" / "table.md").write_bytes(b"\xff\xfe\xff")
    binary, done, going = experiments_in(run)
    assert (done.text, done.place, done.problem) == ("# Table 2\n", "experiments/done", "")
    assert "cannot be read: not UTF-8" in binary.problem
    assert "no table.md yet" in going.problem
