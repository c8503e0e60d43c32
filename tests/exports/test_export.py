import csv
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from au3dmm.errors import ConfigError
from au3dmm.exports.export import export_dataset
from au3dmm.exports.folder import beside, read_stamp
from au3dmm.exports.npz_form import _bits
from au3dmm.exports.selection import FORMS, ExportOptions
from au3dmm.io.label_dataset import plain, read_labels_dataset
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.sessions_index import read_index
from au3dmm.io.table_schemas import FLAGS
from au3dmm.io.tables import names_au, read_table, vectors
from dataset_run import tree_bytes, write_dataset, write_manifest, write_run

FAILED = ["S2_AU12_1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "ds"
    write_dataset(folder, subjects=["S1", "S2", "S3", "S4"])
    write_manifest(folder, "S4_free", "S4", None)
    write_manifest(folder, "S4_rgb_only", "S4", "AU1", events=False)
    return write_run(folder, failed=FAILED)


@pytest.fixture(scope="module")
def labels(run):
    return plain(read_labels_dataset(run.labels))


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_csv_holds_every_row_and_every_value(run, labels, tmp_path):
    result = export_dataset(run, tmp_path / "out", ExportOptions("csv"))
    rows = rows_of(tmp_path / "out" / "labels.csv")
    assert result.rows == len(rows) == len(labels)
    alpha, valid = vectors(labels, "alpha_au")
    for i, row in enumerate(rows):
        assert row["session_id"] == labels["session_id"][i].as_py()
        cells = [row[f"alpha_au_{name}"] for name in ("AU1", "AU2", "AU12")]
        if valid[i]:
            assert np.array_equal(np.array(cells, np.float32), alpha[i])
        else:
            assert cells == ["", "", ""]


def test_npz_holds_every_row_and_every_value_without_pickle(run, labels, tmp_path):
    export_dataset(run, tmp_path / "out", ExportOptions("npz"))
    with np.load(tmp_path / "out" / "labels.npz", allow_pickle=False) as file:
        found = dict(file)
    alpha, valid = vectors(labels, "alpha_au")
    assert np.array_equal(found["alpha_au"], alpha, equal_nan=True)
    assert np.array_equal(found["valid"], valid)
    assert found["session_id_names"][found["session_id"]].tolist() == labels["session_id"].to_pylist()
    assert found["t_label_us"].tolist() == labels["t_label_us"].to_pylist()
    assert (found["fold"] == -1).all()
    assert found["names_au"].tolist() == ["AU1", "AU2", "AU12"]
    assert {array.shape[0] for name, array in found.items() if not name.endswith(("_names", "names_au"))} == {
        len(labels)
    }


def test_npz_tells_every_flag_that_there_is():
    rows = [[], list(FLAGS), [FLAGS[-1]]]
    bits = _bits(pa.chunked_array([pa.array(rows, pa.list_(pa.string()))]))
    assert [[flag for i, flag in enumerate(FLAGS) if row >> i & 1] for row in bits.tolist()] == rows


def test_a_huggingface_folder_has_a_file_per_split_and_says_so_in_its_head(run, labels, tmp_path):
    export_dataset(run, tmp_path / "out", ExportOptions("huggingface", identity=True, landmarks=True))
    out = tmp_path / "out"
    files = sorted((out / "data").glob("*.parquet"))
    assert [f.name for f in files] == [f"{s}-00000-of-00001.parquet" for s in ("test", "train", "validation")]
    tables = {f.name.split("-")[0]: pq.read_table(f) for f in files}
    assert sum(map(len, tables.values())) == len(labels)
    for name, split in (("test", "test"), ("train", "train"), ("validation", "val")):
        own = labels.filter(np.array(labels["split"].to_pylist()) == split)
        assert tables[name].to_pylist() == own.to_pylist()
        assert names_au(tables[name]) == ["AU1", "AU2", "AU12"]
        index = pq.read_table(out / "sessions" / f"{name}.parquet").to_pylist()
        for row in index:
            if row["status"] == "ok":
                part = tables[name].slice(row["first_row"], row["frames_event"])
                assert set(part["session_id"].to_pylist()) == {row["session_id"]}
    assert not any("dictionary" in str(field.type) for table in tables.values() for field in table.schema)
    head = (out / "README.md").read_text().split("---")[1]
    for path in (
        "data/validation-*.parquet",
        "sessions/train.parquet",
        "landmarks/test.parquet",
        "identity/everything",
    ):
        assert path in head
    assert len(pq.read_table(out / "identity" / "everything.parquet")) == 4


def test_the_form_of_facemorphic_has_a_row_per_rgb_frame(run, tmp_path):
    export_dataset(run, tmp_path / "out", ExportOptions("facemorphic", landmarks=True, identity=True))
    out = tmp_path / "out"
    clip = out / "recordings" / "S1" / "AU_12" / "frames_1"
    assert sorted(p.name for p in clip.iterdir()) == ["alphas3.npz", "boxes.npz", "landmarks.npz"]
    own = read_table(run.session("S1_AU12_1") / "coefficients.parquet", "coefficients")
    points = read_table(run.session("S1_AU12_1") / "landmarks.parquet", "landmarks")
    alpha, valid = vectors(own, "alpha_au")
    found = np.load(clip / "alphas3.npz")
    assert np.array_equal(found["alphas"], alpha, equal_nan=True)
    assert np.array_equal(found["valid"], valid)
    assert found["identity_alphas"].shape == (2,)
    assert np.array_equal(
        np.load(clip / "landmarks.npz")["landmarks"].reshape(len(own), -1),
        vectors(points, "landmarks_px")[0],
        equal_nan=True,
    )
    assert np.load(clip / "boxes.npz")["valid"].tolist() == valid.tolist()
    assert (out / "recordings" / "S4" / "free" / "frames_1" / "alphas3.npz").is_file()
    both = sorted(p.name for p in (out / "recordings" / "S4" / "AU_1").iterdir())
    assert both == ["frames_S4_AU1_1", "frames_S4_rgb_only"]  # two sessions of one person, unit and repetition
    lines = (out / "index.csv").read_text().splitlines()
    assert len(lines) == 1 + 9


@pytest.mark.parametrize("form", FORMS)
def test_what_identifies_people_is_left_out_unless_asked_for_and_the_card_says_so(run, tmp_path, form):
    identity = vectors(read_table(run.subject("S1") / "identity.parquet", "identity"), "alpha_id")[0]
    assert identity.shape == (1, 2)
    export_dataset(run, tmp_path / "out", ExportOptions(form))
    names = {path.name.split(".")[0] for path in (tmp_path / "out").rglob("*")}
    assert not {"identity", "landmarks"} & names
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix == ".npz":
            assert not {"identity_alphas", "alpha_id", "landmarks"} & set(np.load(path).files)
        elif path.suffix == ".parquet":
            assert not {"alpha_id", "landmarks_px"} & set(pq.read_schema(path).names)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Identity coefficients: not inside" in card
    assert "--with-landmarks" in card
    export_dataset(run, tmp_path / "out", ExportOptions(form, identity=True, landmarks=True))
    assert "Identity coefficients: **inside; they identify people.**" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_exports_hold_no_paths_and_no_messages_of_the_machine(run, tmp_path, form):
    export_dataset(run, tmp_path / "out", ExportOptions(form, identity=True, landmarks=True))
    everything = b"".join(tree_bytes(tmp_path / "out").values())
    assert b"not a video" not in everything
    assert str(run.path).encode() not in everything


@pytest.mark.parametrize("form", FORMS)
def test_equal_datasets_give_equal_bytes_and_what_is_there_is_left(run, tmp_path, form):
    options = ExportOptions(form, identity=True, landmarks=True)
    assert export_dataset(run, tmp_path / "a", options).state == "written"
    export_dataset(run, tmp_path / "b", options)
    assert tree_bytes(tmp_path / "a") == tree_bytes(tmp_path / "b")
    again = export_dataset(run, tmp_path / "a", options)
    assert again.state == "up to date"
    assert again.rows == read_stamp(tmp_path / "a")["rows"]
    next(p for p in (tmp_path / "a").rglob("*") if p.is_file() and p.name != "export.json").write_bytes(b"")
    assert export_dataset(run, tmp_path / "a", options).state == "written"
    assert tree_bytes(tmp_path / "a") == tree_bytes(tmp_path / "b")


def test_one_part_only(run, labels, tmp_path):
    result = export_dataset(run, tmp_path / "out", ExportOptions("csv", "validation"))
    rows = rows_of(tmp_path / "out" / "labels.csv")
    assert {row["split"] for row in rows} == {"val"}
    assert len(rows) == result.rows == labels["split"].to_pylist().count("val")
    people = {row["subject_id"] for row in rows}
    for name in ("sessions", "annotations"):
        there = rows_of(tmp_path / "out" / f"{name}.csv")
        assert {row["subject_id"] for row in there} == people
    with pytest.raises(ConfigError, match="split 'fold 3': no session is in it; there are: test, train, val"):
        export_dataset(run, tmp_path / "out", ExportOptions("csv", "fold 3"))


def test_a_folder_with_something_else_in_it_is_not_replaced(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"holds something that is not an export \(thesis.tex"):
        export_dataset(run, tmp_path, ExportOptions("csv"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="a file; expected a folder"):
        export_dataset(run, tmp_path / "file", ExportOptions("csv"))
    with pytest.raises(ConfigError, match="inside the run"):
        export_dataset(run, run.path / "export", ExportOptions("csv"))


def test_a_run_that_is_not_put_together_is_not_exported(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "dataset" / "stage.json").unlink()
    with pytest.raises(ConfigError, match="not put together"):
        export_dataset(RunFolder(tmp_path / "run"), tmp_path / "out", ExportOptions("csv"))


def test_an_export_that_fails_leaves_the_one_before_and_nothing_else(run, tmp_path, monkeypatch):
    export_dataset(run, tmp_path / "out", ExportOptions("csv"))
    before = tree_bytes(tmp_path)

    def broken(*args):
        raise RuntimeError("no")

    monkeypatch.setattr("au3dmm.exports.export.export_card", broken)
    with pytest.raises(RuntimeError):
        export_dataset(run, tmp_path / "out", ExportOptions("csv", "train"))
    assert tree_bytes(tmp_path) == before


def test_what_a_killed_export_left_beside_is_removed(run, tmp_path):
    for rest in beside(tmp_path / "out"):
        rest.mkdir()
        (rest / "labels.csv").write_text("S1")
    export_dataset(run, tmp_path / "out", ExportOptions("csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_stamp_says_what_it_was_made_of(run, tmp_path):
    export_dataset(run, tmp_path / "out", ExportOptions("npz", "train"))
    stamp = json.loads((tmp_path / "out" / "export.json").read_text())
    assert stamp["export"] == {"form": "npz", "split": "train", "identity": False, "landmarks": False}
    assert (stamp["pipeline"], stamp["dataset"]) == ("label", "tiny")
    assert stamp["fingerprint"] == read_index(run.index)[1]["fingerprint"]
