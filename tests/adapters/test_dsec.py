import numpy as np
import pytest

from adapter_trees import write_dsec
from au3dmm.errors import ConfigError
from au3dmm.io.events import open_events
from au3dmm.io.timestamps import read_timestamps


@pytest.fixture
def sequence(tmp_path):
    return write_dsec(tmp_path, n=5)


def test_a_sequence_is_on_the_clock_of_its_events(find, sequence, tmp_path):
    found, left = find("dsec", tmp_path)
    assert not left
    one = found["S1_seq_a"]
    assert one.subject_id == "S1"
    assert one.sections["rgb"]["clock"] == "event"
    assert "sync" not in one.sections
    one.made[0].write(tmp_path / "t.csv")
    stamps = read_timestamps(tmp_path / "t.csv")
    np.testing.assert_array_equal(stamps.exposure_start_us, stamps.pts_us - 4000)
    events = next(iter(open_events(one.sections["events"]["file"]).stream())).events.unpack()
    # the reader adds t_offset: the events are around the frames
    assert events["t"][0] < stamps.pts_us[0] < stamps.pts_us[-1] < events["t"][-1]


def test_exposures_are_optional_and_files_may_be_called_as_they_are_downloaded(find, sequence, tmp_path):
    (sequence / "images/left/exposure_timestamps.txt").unlink()
    (sequence / "images/timestamps.txt").rename(sequence / "seq_a_image_timestamps.txt")
    (sequence / "images/left/rectified").rename(sequence / "images/rectified")
    found, left = find("dsec", tmp_path)
    assert not left
    assert found["S1_seq_a"].sections["rgb"]["folder"] == sequence / "images/rectified"
    assert found["S1_seq_a"].sections["source"]["times"] == "seq_a_image_timestamps.txt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: (s / "images/left/rectified/000004.png").unlink(),
            "4 images in rectified, but timestamps.txt has 5",
        ),
        (lambda s: (s / "images/timestamps.txt").unlink(), "no images/timestamps.txt"),
        (lambda s: (s / "images/timestamps.txt").write_text("1\nx\n"), "line 2: 'x', expected 1 whole numbers, us"),
        (lambda s: (s / "images/left/exposure_timestamps.txt").write_text("1,2\n"), "1 exposures for 5 images"),
        (lambda s: (s / "images/left/exposure_timestamps.txt").write_text("2,1\n" * 5), "ends before it starts"),
    ],
)
def test_what_does_not_fit_is_left_out_with_its_reason(find, sequence, tmp_path, change, message):
    change(sequence)
    found, left = find("dsec", tmp_path)
    assert not found
    assert message in left[sequence]


def test_the_other_camera_is_not_taken(find, sequence, tmp_path):
    with pytest.raises(ConfigError, match=r"no events/right/events\.h5 below it"):
        find("dsec", tmp_path, camera="right")
