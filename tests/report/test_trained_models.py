"""The section of the dataset's page about trained models."""

import hashlib
import json
import re
import shutil

import pytest

from au3dmm.io.atomic import folder_lock
from au3dmm.io.evaluations import Evaluated, ExperimentTable, evaluations_in, experiments_in
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import IndexRow, write_index
from au3dmm.report import dataset_page as page_module
from au3dmm.report.dataset_page import dataset_page, refresh_dataset_page, write_dataset_page
from au3dmm.report.trained_models import trained_models
from dataset_run import write_dataset, write_run
from pages import Checker

ROWS = [
    IndexRow(
        "S1_a", "S1", "AU12", split="test", clock_method="trigger", frames_event=100, frames_labelled=90, label_rate=0.9
    )
]
METADATA = {"dataset": {"name": "Faces"}}
OVERALL = {
    "top1": {"value": 0.29, "low": 0.21, "high": 0.4},
    "f1": {"value": 0.5, "low": None, "high": None},
    "alpha_explained": {"value": -0.0371, "low": -0.1, "high": 0.02},
}
METRICS = {"model": "st<vit>", "n_videos": 48, "n_subjects": 1, "chance": 1 / 24, "overall": OVERALL}
ONE = Evaluated("my <net> #1", "test", "training/my <net> #1/evaluation/test", METRICS, ("metrics.md", "confusion.png"))
TABLE = """# Table 2: what <b> says

reduced form; 48 recordings; seeds 0.

| | accuracy, % | paper |
|---|---|---|
| alpha_lstm | 41.0 | 45.1 |
| a & b | 12.5 | |

Said of it.

Accuracy of each class, %:

| | alpha_lstm |
|---|---|
| AU1 | 50.0 |
"""
EXPERIMENT = ExperimentTable("table2", "experiments/table2", TABLE)


def page(evaluations=(ONE,), experiments=(EXPERIMENT,), metadata=METADATA):
    return dataset_page(ROWS, metadata, [], again="x", evaluations=evaluations, experiments=experiments)


def test_without_models_nothing_is_said():
    assert "Trained on these labels" not in page((), ())
    assert trained_models([], []) is None


def test_numbers_stand_with_their_intervals_and_what_needs_no_model():
    section = page().split("Trained on these labels")[1].split("<h3>")[0]
    for words in ("29.0", "21.0 to 40.0", "most frequent class: 4.2", "50.0", "-0.0371", "-0.1 to 0.02", "48 (1)"):
        assert words in section
    assert "top 3" not in section, "no column that nobody has"


def test_names_are_escaped_and_links_lead_to_files_beside_the_page():
    text = page()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert [where for where in checker.loads if not where.startswith("#")] == [
        "./training/my%20%3Cnet%3E%20%231/evaluation/test/metrics.md",
        "./training/my%20%3Cnet%3E%20%231/evaluation/test/confusion.png",
        "./experiments/table2/table.md",
    ]
    assert "st&lt;vit&gt;" in text
    assert "what &lt;b&gt; says" in text
    assert page() == text


def test_a_table_of_an_experiment_has_its_cells_and_its_words():
    section = page().split("<h3>")[1]
    rows = re.findall(r"<tr>(.*?)</tr>", section)
    assert [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows[:5]] == [
        ["", "accuracy, %", "paper"],
        ["alpha_lstm", "41.0", "45.1"],
        ["a &amp; b", "12.5", ""],
        ["", "alpha_lstm"],
        ["AU1", "50.0"],
    ]
    for words in ("reduced form; 48 recordings; seeds 0.", "Said of it.", "Accuracy of each class, %:"):
        assert f'<p class="faint">{words}</p>' in section


def test_what_is_missing_or_older_than_the_labels_is_said():
    gone = Evaluated("bare", "", "training/bare", {}, (), "not evaluated yet")
    old = Evaluated("old", "val", "p", {**METRICS, "labels": {"fingerprint": "a"}}, ())
    stopped = ExperimentTable("half", "experiments/half", "", "no table.md yet")
    text = page((gone, old), (stopped,), {**METADATA, "fingerprint": "b"})
    for words in ("not evaluated yet", "of labels that have changed since", "half: no table.md yet"):
        assert words in text
    assert "have changed" not in page((old,), (), {**METADATA, "fingerprint": "a"})


def test_a_model_that_learnt_from_other_labels_is_marked():
    def told(learnt, part="test"):
        said = {**METRICS, "labels": {"fingerprint": "b", "trained_fingerprint": learnt}}
        return "it may know these people" in page((Evaluated("m", part, "p", said, ()),))

    assert told("a")
    assert not told("b")
    assert not told(None), "older evaluations do not say"
    assert not told("a", "train")


def test_a_model_that_knows_people_it_was_measured_on_is_marked_and_one_that_does_not_is_not():
    def told(seen, **labels):
        said = {"fingerprint": "b", "trained_fingerprint": "a", **labels}
        metrics = {**METRICS, "n_subjects": 3, "n_subjects_seen": seen, "labels": said}
        return page((Evaluated("m", "test", "p", metrics, ()),))

    assert "has learnt from 2 of these 3 people: numbers are too good" in told(2)
    assert "people" not in told(0).split("Trained on these labels")[1].split("<h2")[0]
    assert "it may know these people" in told(None)


def test_results_on_other_labels_are_named_and_not_taken_for_old_ones():
    said = {"fingerprint": "x", "trained_fingerprint": "x", "others": "nefer-label"}
    other = Evaluated("m", "test_on_nefer-label", "p", {**METRICS, "split": "test", "labels": said}, ())
    text = page((other,), (), {**METADATA, "fingerprint": "b"})
    assert "<td>test of nefer-label</td>" in text
    assert "have changed" not in text


def test_an_evaluation_of_an_earlier_state_and_rows_of_older_labels_are_marked():
    earlier = Evaluated("m", "test", "p", METRICS, (), outdated=True)
    assert "of an earlier state of the model; evaluate again" in page((earlier,))
    rows = tuple(f"{name}, seed {seed}" for name in ("a &amp; b", "c") for seed in (0, 1))
    old = ExperimentTable(
        "table2", "experiments/table2", TABLE, outdated=tuple(row.replace("&amp;", "&") for row in rows)
    )
    text = page((), (old,))
    told = f"table2: of labels that have changed since: {'; '.join(rows[:3])}; and 1 more; make the experiment again"
    assert f'<p class="problem">{told}, with --anew</p>' in text
    assert "41.0" in text, "the numbers stay"
    assert "problem" not in page((), (EXPERIMENT,)).split("Trained on")[1].split("<h2>")[0]


def test_folds_are_counted():
    many = Evaluated("f0+f1", "test", "p", {**METRICS, "folds": [{}, {}]}, ())
    assert "<td>test, 2 models</td>" in page((many,))


@pytest.fixture
def run(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1", "S2"])
    found = write_run(tmp_path / "ds")
    write_dataset_page(found)
    return found


def write_evaluation(run, name="net"):
    folder = run.training / name / "evaluation" / "test"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "metrics.md").write_text("x")
    return folder


def test_the_page_is_made_again_when_there_are_new_results_and_not_for_those_elsewhere(run, tmp_path):
    before = run.report.read_bytes()
    refresh_dataset_page(run, tmp_path / "elsewhere" / "evaluation")
    assert run.report.read_bytes() == before
    refresh_dataset_page(run, write_evaluation(run))
    assert "./training/net/evaluation/test/metrics.md" in run.report.read_text()
    assert str(tmp_path) not in run.report.read_text()


def said(run, metrics, name="net"):
    folder = write_evaluation(run, name)
    (folder / "metrics.json").write_text(json.dumps({**METRICS, **metrics}))
    return next(one for one in evaluations_in(run) if one.name == name)


def test_an_evaluation_belongs_to_the_checkpoints_that_are_there_now(run):
    for name in ("best.pt", "last.pt"):
        (run.training / "net").mkdir(parents=True, exist_ok=True)
        (run.training / "net" / name).write_bytes(name.encode())
    mine = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("best.pt", "last.pt", "gone.pt")}
    for name, expected in (("best.pt", False), ("last.pt", False), ("gone.pt", True)):
        shutil.rmtree(run.training / "net" / "evaluation", ignore_errors=True)
        assert said(run, {"checkpoint_sha256": mine[name]}).outdated is expected
    assert not said(run, {"checkpoint_sha256": "x"}, "elsewhere").outdated, "its checkpoints are not there"
    one, other = ({"checkpoint_sha256": mine[name]} for name in ("best.pt", "gone.pt"))
    (run.training / "two").mkdir()
    (run.training / "two" / "best.pt").write_bytes(b"best.pt")
    assert not said(run, {"folds": [one, one]}, "net+two").outdated
    shutil.rmtree(run.training / "net+two")
    assert said(run, {"folds": [one, other]}, "net+two").outdated


def test_rows_of_labels_that_no_run_of_the_dataset_has_any_more_are_named(run, tmp_path):
    folder = run.experiments / "rates"
    folder.mkdir(parents=True)
    (folder / "table.md").write_text(TABLE)
    beside = RunFolder(run.path.with_name("label60"))
    rows = [IndexRow("S1_a", "S1")]
    write_index(run.index, rows, {"fingerprint": "now"})
    write_index(beside.index, rows, {"fingerprint": "of60"})
    kinds = {"mine": "now", "faster": "of60", "older": "before", "theirs": "before", "unknown": None}
    results = [{"name": name, "seed": 0, "labels_fingerprint": mark} for name, mark in kinds.items()]
    results[3]["dataset"] = "units"
    (folder / "results.json").write_text(json.dumps({"results": results}))
    (found,) = experiments_in(run)
    assert found.outdated == ("older, seed 0",)
    (folder / "results.json").write_text("{")
    assert experiments_in(run)[0].outdated == ()


def test_a_page_that_cannot_be_made_is_warned_of_and_left_whole_and_a_damaged_index_is_told_of(
    run, caplog, monkeypatch
):
    before, folder = run.report.read_bytes(), write_evaluation(run)
    monkeypatch.setattr(page_module, "_WAIT_S", 0)
    with folder_lock(run.dataset):
        refresh_dataset_page(run, folder)
    assert "does not show these results" in caplog.text
    assert run.report.read_bytes() == before
    run.index.write_bytes(b"damaged")
    refresh_dataset_page(run, folder)
    text = run.report.read_text()
    assert "the index of sessions cannot be read" in text
    assert "Trained on these labels (1 evaluation" in text


def test_labels_that_are_not_put_together_have_no_page(tmp_path):
    run = RunFolder(tmp_path)
    refresh_dataset_page(run, write_evaluation(run))
    assert not run.report.exists()
