import pytest

from adapter_trees import write_images
from au3dmm.errors import ConfigError
from au3dmm.io.timestamps import read_timestamps

NAMES = ["f_0_15-19-28.385380.png", "f_1_15-19-28.418713.png", "f_2_15-19-28.460000.png"]


@pytest.fixture
def tree(tmp_path):
    for place in ("S01/smile/frames", "S02/smile/frames"):
        write_images(tmp_path / place, NAMES, (8, 6))
        (tmp_path / place).with_name("e.raw").touch()
    return tmp_path


def test_every_folder_of_images_is_a_recording_with_the_times_of_its_names(find, tree, tmp_path):
    found, left = find("images", tree)
    assert sorted(found) == ["S01_smile", "S02_smile"]
    assert not left
    one = found["S01_smile"]
    assert one.subject_id == "S01"
    assert one.sections["rgb"] == {
        "folder": tree / "S01/smile/frames",
        "timestamps": "rgb_timestamps.csv",
        "frames": 3,
        "median_interval_us": 37_310,
    }
    assert one.sections["events"] == {"file": tree / "S01/smile/e.raw"}
    one.made[0].write(tmp_path / "t.csv")
    assert read_timestamps(tmp_path / "t.csv").pts_us.tolist() == [0, 33_333, 74_620]


def test_a_recording_that_is_added_renames_no_other(find, tree):
    before = set(find("images", tree)[0])
    write_images(tree / "S01/frown/frames", NAMES, (8, 6))
    assert before < set(find("images", tree)[0])


def test_several_event_files_are_left_for_a_person_to_choose(find, tree):
    (tree / "S01/smile/f.raw").touch()
    one = find("images", tree)[0]["S01_smile"]
    assert "events" not in one.sections
    assert one.notes == ("2 event files beside it: e.raw, f.raw; say which with --events",)


def test_names_without_times_are_left_out_and_counted_if_a_rate_is_given(find, tree):
    write_images(tree / "S03/a", ["0.png", "1.png"], (8, 6))
    found, left = find("images", tree)
    assert "S03_a" not in found
    assert "do not all hold a time" in left[tree / "S03/a"]
    found, left = find("images", tree, fps=50)
    assert found["S03_a"].sections["rgb"]["median_interval_us"] == 20_000
    assert not left


def test_patterns_choose_among_folders(find, tree):
    assert list(find("images", tree, rgb="S01/{session}/frames")[0]) == ["smile"]


def test_a_tree_without_images_is_refused(find, tmp_path):
    with pytest.raises(ConfigError, match="no images below it"):
        find("images", tmp_path)
