import json
import shutil
from dataclasses import replace

import pytest

from au3dmm.config import SplitsParams
from au3dmm.errors import BusyError, ConfigError
from au3dmm.exports.export import export_dataset
from au3dmm.exports.selection import FORMS, ExportOptions
from au3dmm.forgetting import forget, plan_forgetting
from au3dmm.io.atomic import folder_lock
from au3dmm.io.dataset import read_dataset
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.traces import Names, find_traces
from au3dmm.io.withdrawn import is_withdrawn
from au3dmm.report.dataset_card import write_dataset_card
from au3dmm.report.dataset_page import write_dataset_page
from au3dmm.stages import consolidate
from au3dmm.validation import validate_dataset
from dataset_run import entries_of, tree_bytes, write_dataset, write_failures, write_run

FAILED = ["S2_AU12_1", "S1_AU12_1"]
MINE = ("S1_AU12_1", "S1_AU1_1")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "ds"
    write_dataset(folder, subjects=["S1", "S2", "S10"])
    for pipeline in ("label", "other"):
        run = write_run(folder, failed=FAILED, pipeline=pipeline)
        write_dataset_card(run)
        write_dataset_page(run)
        run.state.mkdir()
        (run.state / "hashes.json").write_text(json.dumps({"sha256:/data/S1_AU1_1/rgb.mp4": "x"}))
    return folder


@pytest.fixture
def dataset(made, tmp_path):
    shutil.copytree(made, tmp_path / "ds")
    return tmp_path / "ds"


def run_of(dataset, pipeline="label"):
    return RunFolder(dataset / "derivatives" / "au3dmm" / pipeline)


def traces(folder):
    skip = list(folder.rglob("withdrawn.json"))
    return [str(trace) for trace in find_traces(folder, Names(["S1", *MINE]), skip)]


def test_nothing_of_a_person_is_left_in_any_pipeline_and_the_others_are_whole(dataset):
    raw = tree_bytes(dataset / "rawdata")
    assert traces(dataset / "derivatives")
    result = forget(dataset, "S1")
    assert result.clean
    assert result.plan.session_ids == MINE
    assert traces(dataset / "derivatives") == []
    assert tree_bytes(dataset / "rawdata") == raw
    for pipeline in ("label", "other"):
        rows = (run_of(dataset, pipeline).failures).read_text().splitlines()
        assert [json.loads(row)["session_id"] for row in rows] == ["S2_AU12_1"]
        assert {path.name for path in run_of(dataset, pipeline).subjects.iterdir()} == {"S2", "S10"}
    for name in MINE:  # what is still in the raw data is no session of the run any more
        shutil.rmtree(dataset / "rawdata" / name)
    assert [str(problem) for problem in validate_dataset(dataset).problems] == []


def test_what_models_said_of_a_person_goes_and_models_are_named(dataset):
    run = run_of(dataset)
    said = [run.path / "training/st_vit/evaluation/test/predictions.csv", run.path / "experiments/t/a/val/metrics.md"]
    said.append(run.path / "training/st_vit/predictions/S1_AU1_1/predictions.txt")
    for path in said:
        path.parent.mkdir(parents=True)
        path.write_text("session_id,subject_id\nS1_AU1_1,S1\n")
    (run.path / "training/st_vit/best.pt").write_bytes(b"weights")
    (said[0].parent / "metrics.json").write_text('{"overall": {}}')
    write_dataset_page(run)
    assert "Trained on these labels" in run.report.read_text()
    result = forget(dataset, "S1")
    assert result.clean
    assert not any(path.exists() for path in said)
    assert "Trained on these labels" not in run.report.read_text()
    assert run.path / "training/st_vit/best.pt" in result.plan.models


def test_a_person_whose_name_begins_the_same_stays(dataset):
    before = tree_bytes(run_of(dataset).session("S10_AU1_1"))
    forget(dataset, "S1")
    assert tree_bytes(run_of(dataset).session("S10_AU1_1")) == before
    assert "S10" in run_of(dataset).report.read_text()


def test_what_is_put_together_again_equals_a_run_without_them(dataset):
    forget(dataset, "S1")
    run = run_of(dataset)
    left = tree_bytes(run.dataset), run.report.read_bytes()
    shutil.rmtree(run.dataset)
    entries = [entry for entry in entries_of(dataset, run, FAILED) if entry.session.subject_id != "S1"]
    consolidate.run(entries=entries, out=run, params=SplitsParams(), dataset=read_dataset(dataset))
    write_dataset_card(run)
    write_dataset_page(run)
    shutil.rmtree(run.dataset / "nothing", ignore_errors=True)
    assert (tree_bytes(run.dataset), run.report.read_bytes()) == left


def test_a_later_run_knows_whom_not_to_bring_back(dataset):
    forget(dataset, "S1")
    assert is_withdrawn(run_of(dataset).path, "S1")
    assert is_withdrawn(run_of(dataset, "a_new_one").path, "S1")
    assert not is_withdrawn(run_of(dataset).path, "S10")


@pytest.mark.parametrize("form", FORMS)
def test_exports_are_made_again_without_them(dataset, tmp_path, form):
    options = ExportOptions(form, identity=True, landmarks=True)
    export_dataset(run_of(dataset), tmp_path / "elsewhere", options)
    export_dataset(run_of(dataset, "other"), dataset / "exports" / "mine", options)
    result = forget(dataset, "S1", [tmp_path / "elsewhere"])
    assert result.clean
    assert set(result.rebuilt) >= {tmp_path / "elsewhere", dataset / "exports" / "mine"}
    assert traces(tmp_path / "elsewhere") == traces(dataset / "exports") == []
    export_dataset(run_of(dataset), tmp_path / "fresh", options)
    assert tree_bytes(tmp_path / "fresh") == tree_bytes(tmp_path / "elsewhere")


def test_an_export_that_cannot_be_made_again_is_removed_and_told(dataset, tmp_path):
    run = run_of(dataset, "other")
    export_dataset(run, tmp_path / "out", ExportOptions("csv"))
    shutil.rmtree(run.path)
    result = forget(dataset, "S1", [tmp_path / "out"])
    assert result.clean
    assert not (tmp_path / "out").exists()
    assert any("could not be made again without them, and was removed" in note for note in result.notes)


def test_a_plan_writes_nothing_and_names_what_goes_and_what_is_left_to_a_person(dataset):
    (dataset / "participants.tsv").write_text("subject_id\nS1\nS2\n")
    (run_of(dataset).path / "model.pt").write_bytes(b"weights")
    before = tree_bytes(dataset)
    plan = plan_forgetting(dataset, "S1")
    assert tree_bytes(dataset) == before
    assert run_of(dataset).session("S1_AU1_1") in plan.remove
    assert run_of(dataset).subject("S1") in plan.remove
    assert set(plan.raw) == {*(dataset / "rawdata" / name for name in MINE), dataset / "participants.tsv"}
    assert plan.models == (run_of(dataset).path / "model.pt",)
    assert any("train again" in note for note in forget(dataset, "S1").notes)


def test_a_person_nobody_knows_is_refused(dataset):
    with pytest.raises(ConfigError, match=r"no subject 's1'; did you mean 'S1'\?"):
        forget(dataset, "s1")
    with pytest.raises(ConfigError, match="no subject 'S4'; there are: S1, S10, S2"):
        forget(dataset, "S4")
    with pytest.raises(ConfigError, match="not an export of au3dmm"):
        forget(dataset, "S1", [dataset / "rawdata"])


def test_it_is_known_by_the_runs_alone_when_the_recordings_are_gone(dataset):
    for name in MINE:
        shutil.rmtree(dataset / "rawdata" / name)
    result = forget(dataset, "S1")
    assert result.plan.session_ids == MINE
    assert result.clean


def test_a_second_time_finds_nothing_to_do(dataset):
    forget(dataset, "S1")
    before = tree_bytes(dataset / "derivatives")
    again = forget(dataset, "S1")
    assert (again.removed, again.rebuilt, again.clean) == ((), (), True)
    assert tree_bytes(dataset / "derivatives") == before


STEPS = (
    "au3dmm.forgetting.removal.add_withdrawn",
    "au3dmm.forgetting.removal.shutil.rmtree",
    "au3dmm.forgetting.removal.write_failures",
    "au3dmm.stages.consolidate.write_label_parts",
    "au3dmm.stages.consolidate.write_index",
    "au3dmm.forgetting.removal.write_dataset_card",
    "au3dmm.forgetting.removal.write_dataset_page",
    "au3dmm.forgetting.removal.export_dataset",
    "au3dmm.forgetting.removal.find_traces",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A dataset, and what an undisturbed withdrawal leaves of it."""
    folder = tmp_path_factory.mktemp("small") / "ds"
    write_dataset(folder, subjects=["S1", "S2"])
    run = write_run(folder, failed=["S1_AU12_1"])
    write_dataset_card(run)
    write_dataset_page(run)
    shutil.copytree(folder, folder.with_name("undisturbed"))
    forget(folder.with_name("undisturbed"), "S1")
    return folder, told(folder.with_name("undisturbed"))


def told(folder):
    return {k: v for k, v in tree_bytes(folder / "derivatives").items() if "withdrawn" not in k}  # salts differ


@pytest.mark.parametrize(
    ("step", "raw"), [*((step, True) for step in STEPS), *((step, False) for step in STEPS[1:5:2])]
)
def test_killed_at_any_step_the_same_call_finishes_the_job(small, tmp_path, monkeypatch, step, raw):
    dataset = tmp_path / "ds"
    shutil.copytree(small[0], dataset)
    export_dataset(run_of(dataset), tmp_path / "out", ExportOptions("csv"))
    if not raw:
        for path in (dataset / "rawdata").glob("S1_*"):
            shutil.rmtree(path)

    def killed(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(step, killed)
    with pytest.raises(KeyboardInterrupt):
        forget(dataset, "S1", [tmp_path / "out"])
    monkeypatch.undo()
    assert forget(dataset, "S1", [tmp_path / "out"]).clean
    assert traces(dataset / "derivatives") == traces(tmp_path / "out") == []
    assert told(dataset) == small[1]
    assert is_withdrawn(run_of(dataset).path, "S1")


def test_a_file_that_cannot_be_read_counts_as_a_trace(dataset):
    (run_of(dataset).session("S2_AU1_1") / "broken.parquet").write_bytes(b"PAR1?")
    result = forget(dataset, "S1")
    assert not result.clean
    assert "nobody can tell what is in it" in str(result.traces[0])
    (run_of(dataset).session("S2_AU1_1") / "broken.parquet").unlink()
    assert forget(dataset, "S1").clean


def test_a_broken_consolidation_is_removed_rather_than_left(dataset):
    run = run_of(dataset)
    run.index.write_bytes(b"x")
    result = forget(dataset, "S1")
    assert result.clean
    assert not run.dataset.exists()
    assert any("could not be made again" in note for note in result.notes)


def test_the_only_person_can_go_too(tmp_path):
    write_dataset(tmp_path / "ds", subjects=["S1"])
    write_run(tmp_path / "ds")
    assert forget(tmp_path / "ds", "S1").clean
    assert traces(tmp_path / "ds" / "derivatives") == []


def test_a_session_that_is_being_labelled_is_not_pulled_away(dataset):
    with folder_lock(run_of(dataset).session("S1_AU1_1")), pytest.raises(BusyError):
        forget(dataset, "S1")
    assert forget(dataset, "S1").clean


def test_others_failures_stay_as_they_are(dataset):
    run = run_of(dataset)
    entries = entries_of(dataset, run)
    write_failures(run, [replace(e, failure="x") for e in entries if e.session.subject_id == "S2"])
    before = run.failures.read_text()
    forget(dataset, "S1")
    assert run.failures.read_text() == before
