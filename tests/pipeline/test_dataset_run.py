"""Whole datasets: what runs, what does not, and that it does not matter on what."""

import json
import shutil
import threading

import pyarrow.dataset
import pytest

import au3dmm
from au3dmm.api import RunOptions, plan_dataset, run_dataset
from au3dmm.config import PipelineParams, load_pipeline
from au3dmm.errors import AssetError, ConfigError, SchemaError
from au3dmm.forgetting import forget
from au3dmm.io.atomic import folder_lock
from au3dmm.io.tables import read_metadata
from au3dmm.io.withdrawn import add_withdrawn
from au3dmm.validation import validate
from small_dataset import add_session, contents, name, replace_file, write_dataset

SERIAL = RunOptions(executor="serial")
RUN = "derivatives/au3dmm/label"


@pytest.fixture
def dataset(tmp_path):
    write_dataset(tmp_path / "d")
    return tmp_path / "d"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done") / "d"
    folder.mkdir()
    write_dataset(folder)
    result = label(folder)
    assert result.exit_code == 0
    return folder


@pytest.fixture
def copy(done, tmp_path):
    shutil.copytree(done, tmp_path / "d", symlinks=True)
    return tmp_path / "d"


def label(folder, options=SERIAL, **more):
    return run_dataset(folder, detector="precomputed", options=options, **more)


def ran(result):
    return {stage: n for stage, n in result.ran.items() if n}


def test_every_session_is_labelled_and_a_second_run_does_nothing(done):
    before = contents(done / RUN)
    assert {f"sessions/{name(i, j)}/labels.parquet" for i in range(2) for j in range(2)} < set(before)
    table = pyarrow.dataset.dataset(done / RUN / "dataset/labels").to_table()
    each = [
        len(au3dmm.read_labels(done / RUN / f"sessions/{name(i, j)}/labels.parquet")) for i in (0, 1) for j in (0, 1)
    ]
    assert len(table) == sum(each) == 4 * 24
    assert table["session_id"].to_pylist() == [name(i, j) for i in (0, 1) for j in (0, 1) for _ in range(24)]
    again = label(done)
    assert set(again.states.values()) == {"up to date"}
    assert (again.exit_code, ran(again)) == (0, {})
    assert contents(done / RUN) == before


@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_any_executor_gives_the_same_bytes(done, copy, executor):
    shutil.rmtree(copy / "derivatives")
    result = label(copy, RunOptions(executor=executor, workers=2))
    assert set(result.states.values()) == {"labelled"}
    assert contents(copy / RUN) == contents(done / RUN)


def test_the_identity_is_pooled_over_a_subject_s_sessions(done):
    table = au3dmm.io.tables.read_table(done / RUN / "subjects/S000/identity.parquet", "identity")
    assert table["session_ids"].to_pylist() == [["S000_0", "S000_1"]]
    assert {f["session_id"] for f in table["neutral_frames"][0].as_py()} == {"S000_0", "S000_1"}
    assert not (done / RUN / "sessions/S000_0/identity.parquet").exists()


def test_with_an_identity_per_session_nothing_is_pooled(dataset):
    params = load_pipeline(None, detect={"detector": "precomputed"}, identity={"pool": "session"})
    result = run_dataset(dataset, pipeline=params, options=SERIAL)
    assert result.exit_code == 0
    assert (dataset / RUN / "sessions/S000_0/identity.parquet").exists()
    assert not (dataset / RUN / "subjects").exists()


def test_a_session_alone_gives_the_same_labels_as_a_subject_with_one_session(tmp_path):
    bases = write_dataset(tmp_path / "d", 1, 1)
    label(tmp_path / "d")
    alone = au3dmm.label_session(
        tmp_path / "d/rawdata/S000_0", bases=bases, detector="precomputed", out=tmp_path / "alone"
    )
    both = [path / "sessions/S000_0/labels.parquet" for path in (tmp_path / "d" / RUN, tmp_path / "alone")]
    assert both[0].read_bytes() == both[1].read_bytes()
    assert alone.frames_event == 24


def test_one_bad_session_is_named_and_stops_no_other(dataset):
    replace_file(dataset / "rawdata/S000_1/rgb.mp4", b"no video")
    (dataset / "rawdata/broken").mkdir()
    (dataset / "rawdata/broken/session.toml").write_text("no manifest")
    result = label(dataset)
    assert result.exit_code == 3
    assert result.states == {
        "S000_0": "labelled", "S000_1": "failed", "S001_0": "labelled", "S001_1": "labelled", "broken": "failed",
    }  # fmt: skip
    lines = [json.loads(line) for line in (dataset / RUN / "failures.jsonl").read_text().splitlines()]
    assert [(f["session_id"], f["stage"], f["error"]) for f in lines] == [
        ("S000_1", "detect", "SessionError"),
        ("broken", "session", "ConfigError"),
    ]
    assert "rgb.mp4: cannot be read as a video" in lines[0]["message"]
    identity = au3dmm.io.tables.read_table(dataset / RUN / "subjects/S000/identity.parquet", "identity")
    assert identity["session_ids"].to_pylist() == [["S000_0"]]


def test_what_failed_is_tried_again_when_asked_or_when_it_has_changed(dataset):
    good = (dataset / "rawdata/S000_1/rgb.mp4").read_bytes()
    replace_file(dataset / "rawdata/S000_1/rgb.mp4", b"no video")
    first = label(dataset)
    again = label(dataset)
    assert (again.exit_code, ran(again)) == (3, {})
    assert again.failures == first.failures
    tried = label(dataset, RunOptions(executor="serial", retry_failed=True))
    assert tried.failures == first.failures
    replace_file(dataset / "rawdata/S000_1/rgb.mp4", good)
    mended = label(dataset)
    assert mended.exit_code == 0
    assert mended.states == {"S000_0": "labelled", "S000_1": "labelled", "S001_0": "up to date", "S001_1": "up to date"}
    assert (dataset / RUN / "failures.jsonl").read_text() == ""
    assert not list((dataset / RUN).rglob("failure.json"))


def test_a_mended_dataset_is_that_of_a_run_without_a_fault(dataset, done):
    good = (dataset / "rawdata/S000_1/events.raw").read_bytes()
    replace_file(dataset / "rawdata/S000_1/events.raw", b"")
    assert label(dataset).exit_code == 3
    replace_file(dataset / "rawdata/S000_1/events.raw", good)
    assert label(dataset).exit_code == 0
    assert contents(dataset / RUN) == contents(done / RUN)


def test_all_failed_is_another_exit_code(dataset):
    for path in (dataset / "rawdata").glob("*/rgb.mp4"):
        replace_file(path, b"no video")
    assert label(dataset).exit_code == 4


def test_a_changed_parameter_repeats_only_what_depends_on_it(copy):
    result = run_dataset(
        copy, pipeline=load_pipeline(None, detect={"detector": "precomputed"}, fit={"l1": 4.0}), options=SERIAL
    )
    assert ran(result) == {"fit": 4, "align": 4}


def test_a_session_that_joins_changes_its_subject_alone(copy):
    add_session(copy, 0, 2)
    plan = plan_dataset(copy, detector="precomputed", options=SERIAL)
    assert plan.subjects == {"S000": "changed: camera, landmarks, session"}
    result = label(copy)
    assert ran(result) == {"detect": 1, "identity": 1, "fit": 3, "sync": 1, "frames": 1, "align": 3}


def test_a_plan_says_what_will_run_and_writes_nothing(dataset):
    plan = plan_dataset(dataset, detector="precomputed", options=SERIAL)
    assert not (dataset / "derivatives").exists()
    planned = {
        stage: sum(stage in one.why for one in plan.sessions) for stage in ("detect", "fit", "sync", "frames", "align")
    }
    result = label(dataset)
    assert ran(result) == {**planned, "identity": len(plan.subjects)}
    after = plan_dataset(dataset, detector="precomputed", options=SERIAL)
    assert not any(one.why for one in after.sessions)
    assert (after.subjects, after.consolidate) == ({}, None)


def test_a_plan_gives_the_reason(copy):
    (copy / RUN / "sessions/S000_0/clock.json").unlink()
    labels = copy / RUN / "sessions/S001_1/labels.parquet"
    labels.write_bytes(labels.read_bytes()[:-1] + b"x")
    whys = {
        one.session_id: one.why
        for one in plan_dataset(copy, detector="precomputed", options=SERIAL).sessions
        if one.why
    }
    assert whys["S000_0"]["sync"] == "clock.json is missing"
    assert whys["S001_1"] == {"align": "labels.parquet was changed since"}
    params = load_pipeline(None, detect={"detector": "precomputed"}, fit={"l1": 4.0})
    plan = plan_dataset(copy, pipeline=params, options=SERIAL)
    assert plan.sessions[2].why["fit"] == "changed: l1 = 4.0, was 3.0"
    assert plan.sessions[2].why["align"] == "changed: coefficients"


def test_stages_can_be_chosen(dataset, done):
    until = label(dataset, RunOptions(executor="serial", last="detect"))
    assert ran(until) == {"detect": 4}
    skipped = label(dataset, RunOptions(executor="serial", first="sync"))
    assert set(skipped.states.values()) == {"not done"}
    assert skipped.exit_code == 3
    assert label(dataset, RunOptions(executor="serial", first="identity")).exit_code == 0
    assert contents(dataset / RUN) == contents(done / RUN)
    forced = label(dataset, RunOptions(executor="serial", first="fit", last="fit", force=True))
    assert ran(forced) == {"fit": 4}
    assert contents(dataset / RUN) == contents(done / RUN)


@pytest.mark.parametrize(("first", "last"), [("fit", "detect"), ("nothing", None)])
def test_stages_without_sense_are_refused(first, last):
    with pytest.raises(ConfigError, match=r"stage"):
        _ = RunOptions(first=first, last=last).stages


def test_shards_make_the_whole(dataset, done):
    for part in (1, 2):
        result = label(dataset, RunOptions(executor="serial", shard=(part, 2)))
        assert len(result.states) == 2
        assert result.consolidated is None
    last = label(dataset, RunOptions(executor="serial", first="consolidate"))
    assert last.exit_code == 0
    assert contents(dataset / RUN) == contents(done / RUN)
    with pytest.raises(ConfigError, match="shard 3/2: expected i/n"):
        label(dataset, RunOptions(executor="serial", shard=(3, 2)))


def test_a_limit_takes_the_first_sessions_and_leaves_what_was_put_together(copy):
    before = contents(copy / RUN)
    result = label(copy, RunOptions(executor="serial", limit=1))
    assert result.states == {"S000_0": "up to date", "S000_1": "up to date"}, "whole subjects, or identity would change"
    assert result.consolidated is None
    assert contents(copy / RUN) == before


def test_only_what_this_pipeline_made_is_put_together(copy):
    params = load_pipeline(None, detect={"detector": "precomputed"}, fit={"l1": 4.0})
    run_dataset(copy, pipeline=params, options=RunOptions(executor="serial", shard=(1, 2)))
    last = run_dataset(copy, pipeline=params, options=RunOptions(executor="serial", first="consolidate"))
    assert last.states == {"S000_0": "labelled", "S000_1": "labelled", "S001_0": "not done", "S001_1": "not done"}
    assert last.exit_code == 3
    assert set(au3dmm.read_labels(copy)["session_id"].to_pylist()) == {"S000_0", "S000_1"}


def test_a_broken_manifest_with_another_s_name_costs_it_nothing(copy):
    twin = copy / "other" / "S000_0"
    twin.mkdir(parents=True)
    (twin / "session.toml").write_text("no manifest")
    result = label(copy)
    assert result.exit_code == 3
    assert result.states == {
        "S000_0": "up to date", "S000_1": "up to date", "S001_0": "up to date", "S001_1": "up to date",
        "other/S000_0": "failed",
    }  # fmt: skip
    assert len(au3dmm.read_labels(copy)) == 96


def test_a_video_that_is_gone_is_known_to_every_part_of_an_array(copy):
    (copy / "rawdata/S000_1/rgb.mp4").unlink()
    assert label(copy, RunOptions(executor="serial", shard=(1, 2))).exit_code == 3
    assert label(copy, RunOptions(executor="serial", shard=(2, 2))).exit_code == 0
    assert "S000_1" in (copy / RUN / "failures.jsonl").read_text()
    last = label(copy, RunOptions(executor="serial", first="consolidate"))
    assert (last.exit_code, last.states["S000_1"]) == (3, "failed")


def test_a_failure_does_not_outlive_what_it_was_of(copy):
    good = (copy / "rawdata/S000_1/events.raw").read_bytes()
    kept = (copy / RUN / "sessions/S000_1/landmarks.parquet").read_bytes()
    replace_file(copy / "rawdata/S000_1/events.raw", b"")
    (copy / RUN / "sessions/S000_1/landmarks.parquet").unlink()
    assert label(copy).exit_code == 3
    replace_file(copy / "rawdata/S000_1/events.raw", good)
    (copy / RUN / "sessions/S000_1/landmarks.parquet").write_bytes(kept)
    assert label(copy).exit_code == 0
    assert not list((copy / RUN).rglob("failure.json"))


def test_a_subject_of_which_something_was_not_asked_for_is_left_as_it_is(copy):
    (copy / RUN / "sessions/S000_1/landmarks.parquet").unlink()
    identity = (copy / RUN / "subjects/S000/identity.parquet").read_bytes()
    result = label(copy, RunOptions(executor="serial", first="identity"))
    assert {result.states[name] for name in ("S000_0", "S000_1")} == {"not done"}
    assert (copy / RUN / "subjects/S000/identity.parquet").read_bytes() == identity


def test_who_has_withdrawn_stays_out_of_runs_elsewhere(copy, tmp_path):
    add_withdrawn(copy / "derivatives/au3dmm", "S001")
    result = label(copy, out=tmp_path / "elsewhere")
    assert set(result.states) == {"S000_0", "S000_1"}
    assert set(result.excluded) == {"S001_0", "S001_1"}


def test_two_runs_at_once_do_not_collide(dataset, done):
    results = []
    threads = [threading.Thread(target=lambda: results.append(label(dataset))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.exit_code for result in results] == [0, 0]
    assert contents(dataset / RUN) == contents(done / RUN)


def test_card_and_page_are_not_written_while_another_run_puts_labels_together(copy):
    card = copy / RUN / "dataset/README.md"
    expected = card.read_bytes()
    card.unlink()
    again = threading.Thread(target=lambda: label(copy))
    with folder_lock(copy / RUN / "dataset"):
        again.start()
        again.join(1.5)
        assert not card.exists()
    again.join()
    assert card.read_bytes() == expected


def test_a_person_who_does_not_consent_is_left_out(dataset):
    (dataset / "participants.tsv").write_text("subject_id\tconsent\nS000\tyes\nS001\twithdrawn\n")
    result = label(dataset)
    assert set(result.excluded) == {"S001_0", "S001_1"}
    assert set(result.states) == {"S000_0", "S000_1"}
    assert not list((dataset / RUN).rglob("*S001*"))


def test_missing_weights_are_told_before_anything_runs(dataset, tmp_path):
    with pytest.raises(AssetError):
        run_dataset(dataset, options=RunOptions(executor="serial", weights=str(tmp_path / "none")))
    assert not list((dataset / RUN).glob("sessions/*"))


def test_a_dataset_without_sessions_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match=r"no session.toml below it; `au3dmm init"):
        label(tmp_path)


def test_raw_folders_are_left_alone(done):
    assert {p.name for p in (done / "rawdata/S000_0").iterdir()} == {
        "session.toml", "rgb.mp4", "times.csv", "landmarks.npz", "events.raw",
    }  # fmt: skip


def test_the_result_names_what_programs_need(done):
    said = label(done).to_dict()
    assert json.loads(json.dumps(said)) == said
    assert said["sessions"] == {"up to date": 4}
    assert said["exit_code"] == 0


def test_the_default_pipeline_pools_and_the_papers_does_not():
    assert PipelineParams().identity.pool == "subject"
    assert PipelineParams(preset="paper").identity.pool == "session"


def test_labels_are_read_from_a_dataset_a_run_or_a_session(done):
    whole = au3dmm.read_labels(done)
    assert len(whole) == 96
    for place in (done / RUN, done / RUN / "dataset/labels"):
        assert au3dmm.read_labels(place).equals(whole)
    parts = [word for word in ("train", "val", "test") if word in set(whole["split"].to_pylist())]
    assert sum(len(au3dmm.read_labels(done, split=word)) for word in parts) == 96
    one = au3dmm.read_labels(done / RUN / "sessions/S000_0")
    assert len(one) == 24
    assert au3dmm.names_au(whole) == au3dmm.names_au(one)
    with pytest.raises(SchemaError, match=r"no rows of split 'all'; expected one of"):
        au3dmm.read_labels(done, split="all")
    with pytest.raises(SchemaError, match="only those of a dataset have splits"):
        au3dmm.read_labels(done / RUN / "sessions/S000_0", split="train")


def test_who_withdraws_while_a_run_is_going_is_left_out_of_it(dataset):
    def withdraw(event):
        if event["event"] == "session" and event["state"] == "labelled":
            add_withdrawn(dataset / "derivatives/au3dmm", "S001")

    result = label(dataset, on_event=withdraw)
    assert set(result.states) == {"S000_0", "S000_1"}
    assert set(result.excluded) == {"S001_0", "S001_1"}
    assert set(au3dmm.read_labels(dataset)["session_id"].to_pylist()) == {"S000_0", "S000_1"}
    assert not list((dataset / RUN).glob("*/*S001*/*.parquet"))


def test_the_index_follows_a_fit_of_recordings_without_events(dataset):
    for path in (dataset / "rawdata").glob("*/session.toml"):
        lines, events = [], False
        for line in path.read_text().splitlines():
            events = line.startswith(("[events]", "[sync]")) or (events and not line.startswith("["))
            lines += [] if events else [line]
        path.write_text("\n".join(lines))
    assert label(dataset).exit_code == 0
    before = (dataset / RUN / "dataset/sessions.parquet").read_bytes()
    params = load_pipeline(None, detect={"detector": "precomputed"}, fit={"sigma_px": 9.0})
    assert ran(run_dataset(dataset, pipeline=params, options=SERIAL))["fit"] == 4
    assert (dataset / RUN / "dataset/sessions.parquet").read_bytes() != before


def test_a_recording_without_events_stands_beside_others_whose_files_stay_as_they_are(copy):
    before = contents(copy / RUN)
    path = copy / "rawdata" / name(1, 0) / "session.toml"
    parts = path.read_text().split("\n[")
    path.unlink()
    path.write_text("\n[".join(part for part in parts if not part.startswith(("events]", "sync]"))))
    assert ran(label(copy)) == {"align": 1}
    after = contents(copy / RUN)
    gone = {f"sessions/{name(1, 0)}/{file}" for file in ("clock.json", "event_frames.polarity.parquet")}
    assert set(before) - set(after) == gone
    same = [file for file in after if file.startswith(("sessions/", "subjects/")) and name(1, 0) not in file]
    assert all(after[file] == before[file] for file in same)
    assert validate(copy / RUN).problems == ()
    table = au3dmm.read_labels(copy).to_pandas()
    mine = table[table["session_id"] == name(1, 0)]
    assert (mine["n_events"] == 0).all()
    assert (mine["align"] == "exact").all()
    assert len(table) == 4 * 24
    metadata = read_metadata(copy / RUN / "dataset/labels/part-00000.parquet")
    assert metadata["clock"]["methods"] == {"trigger": 3}
    assert metadata["windows"] == "rgb"
    assert metadata["counts"]["no_events"] == 1
    assert ran(label(copy)) == {}


def test_who_was_only_detected_when_the_recordings_were_deleted_is_forgotten_all_the_same(copy):
    add_session(copy, 1, 2)
    label(copy, RunOptions(executor="serial", last="detect"))
    shutil.rmtree(copy / "rawdata/S001_2")
    assert (copy / RUN / "sessions/S001_2/landmarks.parquet").exists()
    result = forget(copy, "S001")
    assert result.clean
    assert not (copy / RUN / "sessions/S001_2").exists()
