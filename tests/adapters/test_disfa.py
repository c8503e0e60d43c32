import shutil

import pytest

from adapter_trees import write_disfa
from au3dmm.adapters.writing import write_dataset
from au3dmm.errors import ConfigError
from au3dmm.io.annotations import read_annotations
from au3dmm.io.session import read_session


def test_a_video_and_its_files_of_intensities_are_a_recording(find, tmp_path):
    raw = write_disfa(tmp_path / "raw", n=6, rows=6)
    found, left = find("disfa", raw)
    assert not left
    assert found["SN001_left"].notes == ()
    write_dataset(found.values(), "disfa", raw, tmp_path / "out", {"name": "x"})
    session = read_session(tmp_path / "out/sessions/SN001_left")
    assert session.manifest.rgb.frames == 6
    table = read_annotations(session)
    assert table["label"].to_pylist() == ["AU1"] * 6 + ["AU12"] * 6
    assert table["frame_index"].to_pylist() == [*range(6)] * 2
    assert table["value"].to_pylist() == [(i + 1) % 6 for i in range(6)] + [(i + 12) % 6 for i in range(6)]
    assert set(table["kind"].to_pylist()) == {"frame_intensity"}


def test_labels_of_a_frame_more_are_taken_where_they_match_and_told(find, tmp_path):
    raw = write_disfa(tmp_path / "raw", n=6, rows=7)
    found, _ = find("disfa", raw)
    assert found["SN001_left"].notes == ("2 files of 7 rows for 6 frames: those that match are taken",)
    write_dataset(found.values(), "disfa", raw, tmp_path / "out", {"name": "x"})
    table = read_annotations(read_session(tmp_path / "out/sessions/SN001_left"))
    assert table["frame_index"].to_pylist() == [*range(6)] * 2


def test_labels_of_another_length_are_left_out_and_told(find, tmp_path):
    found, _ = find("disfa", write_disfa(tmp_path, n=6, rows=20, units=(1,)))
    assert "annotations" not in found["SN001_left"].sections
    assert found["SN001_left"].notes == ("SN001_au1.txt left out: 20 rows, the video has 6 frames",)


def test_cameras_are_told_apart_by_file_or_folder(find, tmp_path):
    write_disfa(tmp_path, n=3, rows=3)
    folder = tmp_path / "Video_RightCamera"
    folder.mkdir()
    shutil.copy(next(tmp_path.rglob("*.avi")), folder / "SN001.avi")
    assert list(find("disfa", tmp_path)[0]) == ["SN001_left"]
    assert list(find("disfa", tmp_path, camera="right")[0]) == ["SN001_right"]


def test_what_has_no_partner_is_told(find, tmp_path):
    write_disfa(tmp_path, "SN001", n=3, rows=3)
    write_disfa(tmp_path, "SN002", n=3, rows=3)
    next(tmp_path.rglob("*SN002_comp.avi")).unlink()
    found, left = find("disfa", tmp_path)
    assert list(found) == ["SN001_left"]
    assert left == {tmp_path / "ActionUnit_Labels/SN002": "labels of SN002, but no video"}


def test_a_broken_file_of_labels_leaves_its_recording_out_saying_where(find, tmp_path):
    write_disfa(tmp_path, n=3, rows=3, units=(1,))
    (tmp_path / "ActionUnit_Labels/SN001/SN001_au1.txt").write_text("1,0\n2,7\n3,0\n")
    found, left = find("disfa", tmp_path)
    assert not found
    assert "SN001_au1.txt: line 2: value 7, expected a number from 0 to 5" in next(iter(left.values()))


def test_a_tree_that_is_no_disfa_is_refused(find, tmp_path):
    with pytest.raises(ConfigError, match="no video of the left camera"):
        find("disfa", tmp_path)
