import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import SplitsParams
from au3dmm.errors import ConfigError
from au3dmm.io.dataset import read_dataset
from au3dmm.io.hashing import sha256_file
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index, write_index
from au3dmm.io.tables import read_metadata, read_table, vector_array, write_table
from au3dmm.io.withdrawn import add_withdrawn
from au3dmm.report.dataset_card import write_dataset_card
from au3dmm.stages import consolidate
from au3dmm.validation import many_sessions, validate_dataset
from dataset_run import entries_of, metadata_of, write_dataset, write_identity, write_ledger, write_manifest, write_run
from run_folder import mark

FAILED = ["S2_AU12_1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "ds"
    write_dataset(folder, subjects=["S1", "S2", "S3"])
    write_manifest(folder, "S3_rgb_only", "S3", "AU1", events=False)
    write_dataset_card(write_run(folder, failed=FAILED))
    return folder


@pytest.fixture
def dataset(made, tmp_path):
    shutil.copytree(made, tmp_path / "ds")
    return tmp_path / "ds"


@pytest.fixture
def run(dataset):
    return RunFolder(dataset / "derivatives" / "au3dmm" / "label")


def problems_of(folder, **more):
    return [str(problem).replace(str(folder), "") for problem in validate_dataset(folder, **more).problems]


def the_problem(folder):
    found = problems_of(folder)
    assert len(found) == 1, found
    assert "\n" not in found[0]
    return found[0]


def rewrite(path, kind, **columns):
    """Write a table with other columns, as if it had been made so, and tell its `stage.json`."""
    table, metadata = read_table(path, kind), read_metadata(path)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), values)
    kept = {k: v for k, v in metadata.items() if k not in ("table", "schema_version", "package")}
    write_table(path, kind, table, kept)


def seal(run):
    """Let the record of the consolidation say that everything is as it wrote it."""
    ledger = run.dataset / "stage.json"
    data = json.loads(ledger.read_text())
    for key, said in data["stages"]["consolidate"]["outputs"].items():
        path = run.labels / said["file"] if key.startswith("labels/") else run.dataset / said["file"]
        said["sha256"] = sha256_file(path)
    ledger.write_text(json.dumps(data))


def again(dataset, run):
    how = {"params": SplitsParams(), "dataset": read_dataset(dataset), "out": run}
    consolidate.run(entries=entries_of(dataset, run, FAILED), **how)


def test_a_whole_dataset_has_no_problems_however_it_is_named(dataset, run):
    for folder, more in ((dataset, {}), (dataset, {"pipeline": "label"}), (run.path, {})):
        result = validate_dataset(folder, **more)
        assert [str(problem) for problem in result.problems] == []
        assert len(result.sessions) == 6
        assert result.rows > 100


def test_sessions_are_checked_by_processes_as_they_are_here(dataset, run, monkeypatch):
    (run.session("S1_AU1_1") / "landmarks.parquet").write_bytes(b"x")
    alone = problems_of(dataset)
    monkeypatch.setattr(many_sessions, "_MANY", 2)
    assert problems_of(dataset, workers=2) == alone
    assert alone


def test_a_folder_without_a_run_is_refused(tmp_path, dataset):
    with pytest.raises(ConfigError, match="no such folder"):
        validate_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no run of it"):
        validate_dataset(tmp_path)
    with pytest.raises(ConfigError, match="no run 'other' of it; there are: label"):
        validate_dataset(dataset, "other")


def test_identity_in_a_sessions_own_folder_is_accepted_too(dataset, run):
    folder = run.session("S1_AU1_1")
    table = read_table(run.subject("S1") / "identity.parquet", "identity")
    write_table(folder / "identity.parquet", "identity", table, metadata_of("identity", "S1_AU1_1", 1))
    ledger = json.loads((folder / "stage.json").read_text())
    said = {"file": "identity.parquet", "sha256": sha256_file(folder / "identity.parquet")}
    ledger["stages"]["identity"] = {"fingerprint": mark("identity"), "outputs": {"identity": said}}
    (folder / "stage.json").write_text(json.dumps(ledger))
    assert problems_of(dataset) == []


def test_a_changed_value_in_consolidated_labels_is_found_even_if_hashes_agree(dataset, run):
    path = run.labels / "part-00000.parquet"
    n = len(read_table(path, "dataset_labels"))
    rewrite(path, "dataset_labels", n_events=pa.array([11] * n, pa.int64()))
    assert "sha256" in " ".join(problems_of(dataset))
    seal(run)
    found = problems_of(dataset)
    assert len(found) == 6
    assert all("differ in n_events; expected those of" in text for text in found)


def test_a_lost_row_and_a_doubled_one_are_found(dataset, run):
    path = run.labels / "part-00000.parquet"
    table, metadata = read_table(path, "dataset_labels"), read_metadata(path)
    kept = {k: v for k, v in metadata.items() if k not in ("table", "schema_version", "package")}
    for changed in (table.slice(0, len(table) - 1), pa.concat_tables([table, table.slice(0, 1)])):
        write_table(path, "dataset_labels", changed, kept)
        seal(run)
        assert any(
            f"{len(changed)} rows; expected {len(table)}, the sum over 6 sessions" in t for t in problems_of(dataset)
        )


def test_labels_that_were_made_again_are_noticed(dataset, run):
    path = run.session("S1_AU1_1") / "labels.parquet"
    table = read_table(path, "labels")
    ok = np.array(table["status"].to_pylist()) == "ok"
    rewrite(path, "labels", alpha_au=vector_array(np.ones((len(table), 3)), ok))
    write_ledger(path.parent, len(table))
    assert "the rows of S1_AU1_1 differ in alpha_au" in the_problem(dataset)


def test_two_bases_are_found_and_sessions_named(dataset, run):
    path = run.session("S1_AU1_1") / "labels.parquet"
    table = read_table(path, "labels")
    made = metadata_of("align", "S1_AU1_1", len(table))
    write_table(path, "labels", table, {**made, "basis": {**made["basis"], "file_hash": "sha256:" + "c" * 64}})
    write_ledger(path.parent, len(table))
    found = problems_of(dataset)
    assert any("labels of 2 bases cannot be one dataset" in text and "S1_AU1_1" in text for text in found)


def test_a_subject_in_two_parts_is_found(dataset, run):
    rows, metadata = read_index(run.index)
    parts = {"S1_AU1_1": "test", "S1_AU12_1": "train"}
    rows = [row.__class__(**{**row.__dict__, "split": parts.get(row.session_id, row.split)}) for row in rows]
    kept = {k: v for k, v in metadata.items() if k not in ("table", "schema_version", "package")}
    write_index(run.index, rows, kept)
    seal(run)
    assert any("subject 'S1' is S1_AU12_1 in train and S1_AU1_1 in test" in text for text in problems_of(dataset))


def test_failures_that_do_not_agree_are_found(dataset, run):
    run.failures.write_text("")
    assert "1 sessions failed by sessions.parquet, but not by failures.jsonl: S2_AU12_1" in the_problem(dataset)
    run.failures.write_text('{"session_id": "S2_AU12_1"}\n{"session_id": "S1_AU1_1"}\n')
    assert "1 sessions failed by failures.jsonl, but not by sessions.parquet: S1_AU1_1" in the_problem(dataset)
    run.failures.write_text("{broken\n")
    assert "line 1 is not JSON" in the_problem(dataset)


@pytest.mark.parametrize("name", ["dataset/labels/.part-00000.parquet.writing", ".report.html.writing"])
def test_what_a_killed_run_left_is_found(dataset, run, name):
    (run.path / name).write_text("")
    assert "a half-written file of a run that was killed" in the_problem(dataset)


def test_an_interrupted_withdrawal_is_found_and_one_who_came_back(dataset, run):
    (run.path.parent / ".forgetting.json").write_text("{}")
    assert "a withdrawal that was interrupted; expected no such file; run au3dmm forget again" in the_problem(dataset)
    (run.path.parent / ".forgetting.json").unlink()
    add_withdrawn(run.path, "S3")
    assert any("subject 'S3', who has withdrawn" in text for text in problems_of(dataset))


def test_identity_that_was_made_again_or_lost_is_found(dataset, run):
    write_identity(run, "S1", ["S1_AU1_1"])
    ledger = run.subject("S1") / "stage.json"
    ledger.write_text(ledger.read_text().replace("identityffff", "identityeeee"))
    found = problems_of(dataset)
    assert sum("made from identity identityffff" in text for text in found) == 2
    shutil.rmtree(run.subject("S1"))
    assert sum("no such file; expected the identity that S1_AU" in text for text in problems_of(dataset)) == 2


def test_a_consolidation_that_did_not_finish_or_is_missing_is_found(dataset, run):
    (run.dataset / "stage.json").unlink()
    assert "stage consolidate has not finished" in the_problem(dataset)
    shutil.rmtree(run.dataset)
    assert "sessions.parquet: no such file; expected the index of all sessions; run au3dmm run again" in the_problem(
        dataset
    )


def test_sessions_that_came_went_or_changed_are_found(dataset, run):
    write_manifest(dataset, "S9_AU1_1", "S9", "AU1")
    assert "1 sessions of the dataset that are not in sessions.parquet: S9_AU1_1" in the_problem(dataset)
    shutil.rmtree(dataset / "rawdata" / "S9_AU1_1")
    write_manifest(dataset, "S1_AU1_1", "S1", "AU2")
    assert "1 sessions whose session.toml names another subject" in the_problem(dataset)
    shutil.rmtree(dataset / "rawdata" / "S1_AU1_1")
    assert "1 sessions in sessions.parquet that are not in the dataset any more: S1_AU1_1" in the_problem(dataset)
    (dataset / "participants.tsv").write_text("subject_id\tconsent\nS9\twithdrawn\n")
    write_manifest(dataset, "S9_AU1_1", "S9", "AU1")
    assert "S9" not in the_problem(dataset)


def test_a_stray_folder_and_a_lost_one_are_found(dataset, run):
    shutil.copytree(run.session("S1_AU1_1"), run.session("S8_AU1_1"))
    assert any("1 folders of sessions that are not in sessions.parquet: S8_AU1_1" in t for t in problems_of(dataset))
    shutil.rmtree(run.session("S8_AU1_1"))
    shutil.rmtree(run.session("S3_rgb_only"))
    found = problems_of(dataset)
    assert any("1 sessions of sessions.parquet without a folder: S3_rgb_only" in text for text in found)
    assert any("S3_rgb_only/labels.parquet" in text for text in found)


def test_annotations_that_were_left_out_are_told(dataset, run):
    text = '[[annotations]]\nkind = "frame_occurrence"\norigin = "coder"\nfile = "gone.csv"'
    write_manifest(dataset, "S1_AU1_1", "S1", "AU1", text=text)
    again(dataset, run)
    assert "without what was said of S1_AU1_1" in the_problem(dataset)
