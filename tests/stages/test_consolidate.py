import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.config import SplitsParams
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io import label_dataset
from au3dmm.io.dataset import read_dataset
from au3dmm.io.label_dataset import (
    LabelSource,
    dataset_labels_schema,
    iter_labels,
    label_parts,
    plain,
    read_labels_dataset,
    write_label_parts,
)
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.io.table_info import read_table_info, schema_differences
from au3dmm.io.table_schemas import LATER
from au3dmm.io.tables import read_metadata, read_table, vectors, write_table
from au3dmm.stages import consolidate
from dataset_run import entries_of, metadata_of, tree_bytes, write_dataset, write_manifest, write_run, write_session

FAILED = ["S2_AU12_1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "ds"
    write_dataset(folder, subjects=["S1", "S2", "S3", "S4"])
    write_manifest(folder, "S4_free", "S4", None)
    write_manifest(folder, "S4_rgb_only", "S4", "AU1", events=False)
    write_run(folder, failed=FAILED)
    return folder


@pytest.fixture
def dataset(made, tmp_path):
    shutil.copytree(made, tmp_path / "ds")
    return tmp_path / "ds"


def run_of(folder):
    return RunFolder(folder / "derivatives" / "au3dmm" / "label")


def run(folder, entries=None, **more):
    out = run_of(folder)
    entries = entries_of(folder, out, FAILED) if entries is None else entries
    params = SplitsParams(**more)
    return consolidate.run(entries=entries, out=out, params=params, dataset=read_dataset(folder))


def test_every_row_of_every_session_is_there_once_in_order_with_its_values(dataset):
    out = run_of(dataset)
    rows, _ = read_index(out.index)
    whole = plain(read_labels_dataset(out.labels))
    expected = []
    for row in sorted(rows, key=lambda row: (row.subject_id, row.session_id)):
        if row.status == "ok":
            own = plain(read_table(out.session(row.session_id) / "labels.parquet", "labels"))
            assert (
                whole.slice(row.first_row, row.frames_event)
                .select(own.column_names)
                .equals(own.replace_schema_metadata(None))
            )
            expected += [(row.subject_id, row.session_id, i) for i in range(row.frames_event)]
    found = zip(*(whole[name].to_pylist() for name in ("subject_id", "session_id", "event_frame_index")), strict=True)
    assert list(found) == expected


def test_rows_carry_what_was_asked_for_and_their_part(dataset):
    whole = plain(read_labels_dataset(run_of(dataset).labels)).to_pylist()
    index = {row.session_id: row for row in read_index(run_of(dataset).index)[0]}
    for row in whole:
        about = index[row["session_id"]]
        assert (row["au"], row["task"], row["split"], row["fold"]) == (about.au, about.task, about.split, None)
    assert {row["task"] for row in whole if row["session_id"] == "S4_free"} == {"free"}
    assert {row["split"] for row in whole} == {"train", "val", "test"} & {row["split"] for row in whole}


def test_the_index_has_failed_sessions_and_tells_those_without_events(dataset):
    rows = {row.session_id: row for row in read_index(run_of(dataset).index)[0]}
    assert len(rows) == 10
    failed, rgb = rows["S2_AU12_1"], rows["S4_rgb_only"]
    assert (failed.status, failed.failure, failed.first_row) == ("failed", "rgb.mp4: not a video", None)
    assert failed.split == rows["S2_AU1_1"].split
    assert (rgb.status, rgb.has_events, rgb.clock_method) == ("ok", False, None)
    assert rgb.frames_event == rgb.frames_rgb > 0
    assert rgb.labels_sha256
    ok = rows["S1_AU1_1"]
    assert ok.has_events
    assert ok.label_rate == pytest.approx((ok.frames_event - 1) / ok.frames_event)


def test_a_session_whose_manifest_is_broken_is_in_the_index_without_a_person(dataset):
    (dataset / "rawdata" / "S1_AU1_1" / "session.toml").write_text("[session")
    out = run_of(dataset)
    entries = entries_of(dataset, out, FAILED)
    broken = next(i for i, entry in enumerate(entries) if entry.session is None)
    entries[broken] = replace(entries[broken], failure="not valid TOML")
    found = run(dataset, entries)
    row = next(row for row in read_index(out.index)[0] if row.session_id == "S1_AU1_1")
    assert (row.subject_id, row.status, row.failure, row.split) == (None, "failed", "not valid TOML", None)
    assert found["failed"] == 2


def test_what_people_said_is_beside_it(dataset):
    table = plain(read_table(run_of(dataset).annotations, "annotations"))
    assert len(table) == 9  # S4_free says nothing
    assert set(table["origin"].to_pylist()) == {"instructed"}


def test_annotations_that_cannot_be_read_stop_nothing_and_are_told(dataset):
    text = '[[annotations]]\nkind = "frame_occurrence"\norigin = "coder"\nfile = "gone.csv"'
    write_manifest(dataset, "S1_AU1_1", "S1", "AU1", text=text)
    found = run(dataset)
    assert "annotations of S1_AU1_1 are left out" in " ".join(found["warnings"])
    assert list(read_index(run_of(dataset).index)[1]["annotation_problems"]) == ["S1_AU1_1"]


def test_equal_inputs_give_equal_bytes_in_any_order_of_sessions(dataset):
    out = run_of(dataset)
    before = tree_bytes(out.dataset)
    shutil.rmtree(out.dataset)
    run(dataset, list(reversed(entries_of(dataset, out, FAILED))))
    assert tree_bytes(out.dataset) == before


def test_what_is_up_to_date_is_known_and_why_it_is_not(dataset):
    out, about = run_of(dataset), read_dataset(dataset)
    how = {"entries": entries_of(dataset, out, FAILED), "out": out, "dataset": about}
    assert consolidate.why(params=SplitsParams(), **how) is None
    assert consolidate.summary(out)["failed"] == 1
    assert consolidate.why(params=SplitsParams(seed=1), **how) == "changed: seed = 1, was 0"
    label_parts(out.labels)[0].write_bytes(b"x")
    assert consolidate.why(params=SplitsParams(), **how) == "part-00000.parquet was changed since"
    label_parts(out.labels)[0].unlink()
    assert "part-00000.parquet is missing" in consolidate.why(params=SplitsParams(), **how)
    run(dataset)
    (dataset / "splits.tsv").write_text("subject_id\tsplit\n" + "".join(f"S{i}\ttrain\n" for i in range(1, 5)))
    assert "splits" in consolidate.why(params=SplitsParams(), **how)


def test_a_killed_consolidation_is_noticed(dataset, monkeypatch):
    out = run_of(dataset)
    monkeypatch.setattr(consolidate, "write_index", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(dataset, seed=5)
    how = {"entries": entries_of(dataset, out, FAILED), "out": out, "dataset": read_dataset(dataset)}
    assert consolidate.why(params=SplitsParams(), **how) == "not done yet"
    assert consolidate.summary(out) == {}


def test_two_bases_are_refused_and_sessions_on_each_side_named(dataset):
    path = run_of(dataset).session("S3_AU1_1") / "labels.parquet"
    table = read_table(path, "labels")
    made = metadata_of("align", "S3_AU1_1", len(table))
    write_table(path, "labels", table, {**made, "basis": {**made["basis"], "file_hash": "sha256:" + "c" * 64}})
    with pytest.raises(SchemaError, match=r"2 bases .*sha256:bbbbbbbbbbbb in .* and 5 more.*cccccccccccc in S3_AU1_1"):
        run(dataset)


def test_two_detectors_are_refused_but_not_two_files_of_landmarks(dataset):
    path = run_of(dataset).session("S3_AU1_1") / "labels.parquet"
    table = read_table(path, "labels")
    made = metadata_of("align", "S3_AU1_1", len(table))
    write_table(path, "labels", table, {**made, "detector": {**made["detector"], "file": "y.npz", "sha256": "1"}})
    assert run(dataset)["failed"] == 1
    write_table(path, "labels", table, {**made, "detector": {"name": "mediapipe", "weights": {"a": "0" * 64}}})
    with pytest.raises(SchemaError, match=r"2 detectors .*mediapipe \(weights 000000000000\) in S3_AU1_1"):
        run(dataset)


def test_labels_that_are_missing_or_of_another_session_are_refused(dataset):
    out = run_of(dataset)
    other = (out.session("S3_AU1_1") / "labels.parquet").read_bytes()
    path = out.session("S1_AU1_1") / "labels.parquet"
    path.write_bytes(other)
    with pytest.raises(SchemaError, match="expected 'S1_AU1_1'; it is of another recording"):
        run(dataset)
    path.unlink()
    with pytest.raises(SchemaError, match="no such file; expected the labels of session 'S1_AU1_1'"):
        run(dataset)


def test_two_sessions_of_one_name_are_refused(dataset):
    entries = entries_of(dataset, run_of(dataset), FAILED)
    with pytest.raises(SchemaError, match="occurs twice"):
        run(dataset, [*entries, entries[0]])


def test_a_split_of_the_datasets_own_wins_and_a_leak_in_it_is_refused(dataset):
    lines = ["session_id\tsplit"]
    lines += [f"{name}\ttest" if name.startswith("S1") else f"{name}\ttrain" for name in names_in(dataset)]
    (dataset / "splits.tsv").write_text("\n".join(lines) + "\n")
    run(dataset)
    rows, metadata = read_index(run_of(dataset).index)
    assert {row.split for row in rows if row.subject_id == "S1"} == {"test"}
    assert metadata["splits"] == {"leaking_subjects": 0, "method": "given", "source": "splits.tsv"}
    lines[1] = lines[1].replace("test", "train")
    (dataset / "splits.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match="subject 'S1' is in two parts of the split"):
        run(dataset)
    assert run(dataset, method="video")["splits"] == {"test": 1, "train": 9}


def names_in(dataset):
    return sorted(path.name for path in (dataset / "rawdata").iterdir())


def test_folds_are_written_instead_of_parts(dataset):
    run(dataset, method="kfold", folds=2)
    rows, _ = read_index(run_of(dataset).index)
    assert {row.split for row in rows} == {None}
    assert {row.fold for row in rows} == {0, 1}
    assert set(read_labels_dataset(run_of(dataset).labels)["fold"].to_pylist()) == {0, 1}


def test_by_video_says_that_subjects_leak(dataset):
    found = run(dataset, method="video", test=0.5)
    assert "subjects are in more than one part" in " ".join(found["warnings"])


def test_rows_are_cut_into_groups_and_parts_wherever_sessions_end(dataset, monkeypatch):
    monkeypatch.setattr(label_dataset, "GROUP_ROWS", 7)
    monkeypatch.setattr(label_dataset, "PART_ROWS", 14)
    out = run_of(dataset)
    before = plain(read_labels_dataset(out.labels))
    run(dataset)
    parts = label_parts(out.labels)
    n = len(before)
    assert [read_footer_rows(path) for path in parts] == [14] * (n // 14) + ([n % 14] if n % 14 else [])
    assert plain(read_labels_dataset(out.labels)).equals(before.replace_schema_metadata(None), check_metadata=False)
    monkeypatch.undo()
    run(dataset, seed=1)
    assert len(label_parts(out.labels)) == 1  # what the larger dataset left is gone


def read_footer_rows(path):
    return label_dataset.read_footer(path)[0].num_rows


def test_thousands_of_names_fit_and_nulls_stay_nulls(tmp_path):
    write_dataset(tmp_path / "ds", subjects=[f"S{i:03d}" for i in range(140)], aus=["AU1"])
    out = run_of(tmp_path / "ds")
    entries = entries_of(tmp_path / "ds", out)
    write_session(out, entries[0].session)
    folder = out.session(entries[0].session.session_id)
    for entry in entries[1:]:  # 140 names are more than a byte counts
        copy_session(folder, out, entry.session)
    consolidate.run(entries=entries, out=out, params=SplitsParams())
    table = read_labels_dataset(out.labels)
    assert len(set(table["session_id"].to_pylist())) == 140
    values, valid = vectors(table, "alpha_au")
    assert np.array_equal(~valid, np.array(table["status"].to_pylist()) == "no_face")
    assert np.isnan(values[~valid]).all()


def copy_session(folder, out, session):
    table = read_table(folder / "labels.parquet", "labels")
    metadata = read_metadata(folder / "labels.parquet")
    for column, name in (("session_id", session.session_id), ("subject_id", session.subject_id)):
        at = table.schema.get_field_index(column)
        words = pa.array([name] * len(table)).dictionary_encode().cast(table.schema.field(at).type)
        table = table.set_column(at, table.schema.field(at), words)
    kept = {k: v for k, v in metadata.items() if k not in ("table", "schema_version", "package")}
    write_table(out.session(session.session_id) / "labels.parquet", "labels", table, kept)


def test_a_dataset_in_which_all_failed_still_has_an_index(dataset):
    out = run_of(dataset)
    entries = [replace(entry, failure="no") for entry in entries_of(dataset, out)]
    found = run(dataset, entries)
    assert (found["rows"], found["failed"]) == (0, 10)
    assert label_parts(out.labels) == []


def test_without_a_person_the_bytes_are_those_of_a_run_that_never_had_them(dataset):
    out = run_of(dataset)
    consolidate.without(subject_id="S1", session_ids=[], out=out)
    left = tree_bytes(out.dataset)
    shutil.rmtree(out.dataset)
    run(dataset, [e for e in entries_of(dataset, out, FAILED) if e.session.subject_id != "S1"])
    assert tree_bytes(out.dataset) == left
    assert not any(b"S1" in data for name, data in left.items() if name.endswith(".json"))
    assert json.loads(left["stage.json"])["stages"]["consolidate"]["summary"]["subjects"] == 3


@pytest.mark.parametrize("version", [1, 2])
def test_older_labels_lack_columns_and_are_put_together_all_the_same(dataset, version):
    lacking = [name for name, since in LATER.items() if since > version]
    path = run_of(dataset).session("S1_AU1_1") / "labels.parquet"
    metadata, table = read_metadata(path), read_table(path, "labels")
    write_table(path, "labels", table.drop_columns(lacking), {**metadata, "schema_version": version})
    info = read_table_info(path)
    assert info.version == version
    assert schema_differences(info) == []
    alpha, _ = vectors(table, "alpha_au")
    sources = [LabelSource(path, len(table), "S1_AU1_1", "S1")]
    (part,) = write_label_parts(dataset / "again", sources, alpha.shape[1], {})
    found = read_table(part, "dataset_labels")
    np.testing.assert_array_equal(vectors(found, "alpha_au")[0], alpha)
    for name in lacking:
        assert found[name].null_count == len(table)


@pytest.mark.parametrize("version", [1, 2])
def test_older_consolidated_labels_are_read_with_nulls_for_what_they_lack(dataset, version):
    lacking = [name for name, since in LATER.items() if since > version]
    part = label_parts(run_of(dataset).labels)[0]
    now, metadata = read_table(part, "dataset_labels"), read_metadata(part)
    k_au = vectors(now, "alpha_au")[0].shape[1]
    write_table(part, "dataset_labels", now.drop_columns(lacking), {**metadata, "schema_version": version})
    assert schema_differences(read_table_info(part)) == []
    then = read_labels_dataset(part.parent)
    assert then.schema.names == dataset_labels_schema(k_au).names
    assert {then[name].null_count for name in lacking} == {len(now)}
    assert then["align"].equals(now["align"])
    (table,) = iter_labels(part.parent, ["confidence", "n_events"], split="train")
    assert table.column_names == ["confidence", "n_events"]
    assert 0 < len(table) == table["confidence"].null_count
