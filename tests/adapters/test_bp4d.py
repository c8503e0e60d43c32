import shutil

import pytest

from adapter_trees import write_bp4d
from au3dmm.adapters.writing import write_dataset
from au3dmm.errors import ConfigError
from au3dmm.io.annotations import read_annotations
from au3dmm.io.session import read_session


def test_subjects_and_tasks_are_recordings_at_25_frames_a_second(find, tmp_path):
    write_bp4d(tmp_path, "F001", "T1", (1, 2, 4))  # one frame is missing
    write_bp4d(tmp_path, "M002", "T8", (2440, 2441))
    found, left = find("bp4d", tmp_path)
    assert sorted(found) == ["F001_T1", "M002_T8"]
    assert not left
    found["F001_T1"].made[0].write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == ["0,0", "1,40000", "2,120000"]
    assert "events" not in found["F001_T1"].sections


def test_codes_lie_beside_the_frames_that_they_are_of(find, tmp_path):
    raw = write_bp4d(tmp_path / "raw", numbers=range(3, 11), coded=range(5, 15))
    found, _ = find("bp4d", raw)
    write_dataset(found.values(), "bp4d", raw, tmp_path / "out", {"name": "x"})
    rows = read_annotations(read_session(tmp_path / "out/sessions/F001_T1")).to_pylist()
    seen = {(row["kind"], row["label"], row["frame_index"]): row["value"] for row in rows}
    assert {label for _, label, _ in seen} == {"AU1", "AU2", "AU6", "AU12"}  # 95 others were never coded
    # image 0005.jpg is frame 2, 0010.jpg the last
    assert [seen["frame_occurrence", "AU12", i] for i in range(2, 8)] == [0, 0, 0, 0, 0, 1]
    assert seen["frame_occurrence", "AU2", 4] is None  # 9: not coded
    assert [seen["frame_intensity", "AU6", i] for i in range(2, 8)] == [None, 0, 1, 2, 3, 4]
    assert ("frame_occurrence", "AU12", 8) not in seen


def test_codes_without_images_and_images_without_codes_are_told(find, tmp_path):
    write_bp4d(tmp_path, "F001", "T1", (1, 2))
    write_bp4d(tmp_path, "F001", "T2", (1, 2))
    shutil.rmtree(tmp_path / "Sequences/F001/T2")
    (tmp_path / "AUCoding/AU_OCC/F001_T1.csv").unlink()
    (tmp_path / "AUCoding/AU_INT/AU06/F001_T1_AU06.csv").unlink()
    found, left = find("bp4d", tmp_path)
    assert found["F001_T1"].notes == ("no codes in AUCoding",)
    assert left == {tmp_path / "AUCoding/AU_INT/AU06/F001_T2_AU06.csv": "codes of F001/T2, but no images"}


def test_two_copies_of_the_images_are_chosen_from_by_a_pattern(find, tmp_path):
    write_bp4d(tmp_path, numbers=(1, 2))
    shutil.copytree(tmp_path / "Sequences", tmp_path / "2D")
    found, left = find("bp4d", tmp_path)
    assert not found
    assert set(left.values()) == {"one of 2 folders of images of F001/T1; say which with --rgb"}
    found, left = find("bp4d", tmp_path, rgb="2D/{subject}/{session}")
    assert found["F001_T1"].sections["rgb"]["folder"] == tmp_path / "2D/F001/T1"


def test_images_that_do_not_count_are_left_out(find, tmp_path):
    write_bp4d(tmp_path, numbers=(1, 2))
    folder = tmp_path / "Sequences/F001/T1"
    (folder / "0001.jpg").rename(folder / "first.jpg")
    assert "do not count frames" in find("bp4d", tmp_path)[1][folder]


def test_a_tree_that_is_no_bp4d_is_refused(find, tmp_path):
    with pytest.raises(ConfigError, match="no images in folders such as F001/T1"):
        find("bp4d", tmp_path)
