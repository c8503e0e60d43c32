import base64
import json
import zlib

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from au3dmm.io.bases import write_npz
from au3dmm.io.traces import Names, find_traces


def found(folder, *names, skip=()):
    return {(t.path.relative_to(folder).as_posix(), t.where) for t in find_traces(folder, Names(names), skip)}


@pytest.mark.parametrize(
    ("text", "hit"),
    [("S01", True), ("s01", True), ("S01_AU12_1", True), ("a-S01.mp4", True), ("S012", False), ("XS01", False)],
)
def test_a_name_is_found_where_it_stands_alone(text, hit):
    assert (Names(["S01"]).find(text) is not None) == hit


def test_a_short_name_counts_only_where_names_belong(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"subject_id": "12", "frames": 12, "text": "12"}))
    (tmp_path / "b.json").write_text(json.dumps({"frames": 12, "split": "12"}))
    (tmp_path / "c.csv").write_text("subject_id,n\n3,12\n")
    (tmp_path / "d.csv").write_text("subject_id,n\n12,3\n")
    (tmp_path / "subjects" / "12").mkdir(parents=True)
    (tmp_path / "other" / "12").mkdir(parents=True)
    assert found(tmp_path, "12") == {("a.json", "text"), ("d.csv", "column subject_id"), ("subjects/12", "name")}


def test_a_word_that_is_a_name_is_found_in_the_cells_of_a_page(tmp_path):
    (tmp_path / "a.html").write_text("<p>anna was here</p><td>anna</td>")
    (tmp_path / "b.md").write_text("| anna | 3 |")
    (tmp_path / "c.md").write_text("anna is a name")
    assert found(tmp_path, "anna") == {("a.html", "text"), ("b.md", "text")}


def test_parquet_is_looked_through_columns_structs_metadata_and_unused_words(tmp_path):
    inside = {
        "plain": pa.array(["x", "S01"]),
        "list": pa.array([["x"], ["S01"]]),
        "struct": pa.array([{"session_id": "x"}, {"session_id": "S01_a"}]),
        "list of structs": pa.array([[{"session_id": "S01_a"}], []]),
        "word": pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), pa.array(["x", "S01"])),
    }
    for name, column in inside.items():
        pq.write_table(pa.table({"c": column, "n": [1.0, 2.0]}), tmp_path / f"{name}.parquet")
    clean = pa.table({"c": ["x"], "n": [1.0]})
    pq.write_table(clean, tmp_path / "clean.parquet")
    pq.write_table(clean.replace_schema_metadata({"k": json.dumps({"a": ["S01"]})}), tmp_path / "meta.parquet")
    hits = found(tmp_path, "S01")
    assert {path for path, _ in hits} == {f"{name}.parquet" for name in (*inside, "meta")}
    assert ("meta.parquet", "metadata") in hits


def test_npz_json_lines_text_and_binary_files_are_looked_through(tmp_path):
    write_npz(tmp_path / "a.npz", {"names": np.array(["x", "S01"])})
    write_npz(tmp_path / "b.npz", {"S01": np.zeros(2)})
    write_npz(tmp_path / "clean.npz", {"n": np.zeros(2)})
    (tmp_path / "c.jsonl").write_text('{"session_id": "x"}\n{"session_id": "S01"}\n')
    (tmp_path / "d.log").write_text("wrote sessions/S01/labels")
    (tmp_path / "e.bin").write_bytes(b"\x00\xffS01_AU12_1\x00")
    (tmp_path / "empty.txt").write_bytes(b"")
    hits = found(tmp_path, "S01", "S01_AU12_1")
    assert {path for path, _ in hits} == {"a.npz", "b.npz", "c.jsonl", "d.log", "e.bin"}


def test_short_names_are_not_found_by_chance_in_pictures_but_in_their_texts(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    (tmp_path / "noise.bin").write_bytes(noise.tobytes() + b" S1 ")
    picture = base64.b64encode(noise.tobytes()).decode()
    (tmp_path / "page.html").write_text(f'<img src="data:image/png;base64,{picture}+S1+{picture}">')
    assert found(tmp_path, "S1") == set()
    data = (tmp_path / "noise.png").read_bytes()
    for kind, body in ((b"tEXt", b"Title\0of S1"), (b"zTXt", b"Title\0\0" + zlib.compress(b"of S1"))):
        chunk = len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        (tmp_path / "told.png").write_bytes(data[:33] + chunk + data[33:])  # behind the header
        assert found(tmp_path, "S1") == {("told.png", "text")}


def test_hidden_files_count_and_names_of_folders_and_what_is_skipped_does_not(tmp_path):
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "x.json").write_text('"S01"')
    (tmp_path / "S01_AU1").mkdir()
    (tmp_path / "journal.json").write_text('"S01"')
    hits = found(tmp_path, "S01", skip=[tmp_path / "journal.json"])
    assert hits == {(".state/x.json", "text"), ("S01_AU1", "name")}


def test_a_damaged_file_is_told_as_nobody_can_say_what_is_in_it(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut short")
    (tmp_path / "b.npz").write_bytes(b"PK not")
    assert found(tmp_path, "S01") == {("a.parquet", "unreadable"), ("b.npz", "unreadable")}
