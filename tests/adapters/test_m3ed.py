import h5py
import pytest

from adapter_trees import write_m3ed
from au3dmm.errors import ConfigError


def test_a_file_is_a_recording_whose_images_are_copied_out(find, tmp_path):
    path = write_m3ed(tmp_path / "sub-1" / "talk_data.h5", n=3)
    found, left = find("m3ed", tmp_path)
    assert not left
    one = found["sub-1_talk"]
    assert one.subject_id == "sub-1"
    assert one.sections["rgb"]["clock"] == "event"
    assert one.sections["events"] == {"file": path, "group": "prophesee/left"}
    assert [made.name for made in one.made] == ["rgb_timestamps.csv", "frames"]
    assert find("m3ed", tmp_path, camera="right")[0]["sub-1_talk"].sections["events"]["group"] == "prophesee/right"


def test_one_file_alone_is_a_source_too(find, tmp_path):
    path = write_m3ed(tmp_path / "talk_data.h5", n=3)
    assert list(find("m3ed", path)[0]) == ["talk"]


def test_a_file_whose_clocks_differ_is_left_out(find, tmp_path):
    path = write_m3ed(tmp_path / "a.h5", n=3, wrong_us=50_000)
    write_m3ed(tmp_path / "b.h5", n=3)
    found, left = find("m3ed", tmp_path)
    assert list(found) == ["b"]
    assert "expected one clock" in left[path]


def test_other_hdf5_files_are_passed_over(find, tmp_path):
    with h5py.File(tmp_path / "depth_gt.h5", "w") as file:
        file["depth"] = [1]
    with pytest.raises(ConfigError, match="no HDF5 file with prophesee/left in it"):
        find("m3ed", tmp_path)
    with pytest.raises(ConfigError, match="none: no such file or folder"):
        find("m3ed", tmp_path / "none")
