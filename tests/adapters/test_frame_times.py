import pytest

from au3dmm.adapters.frame_times import nominal_times, times_in_names, timestamps_file
from au3dmm.errors import SessionError
from au3dmm.io.timestamps import read_timestamps


@pytest.mark.parametrize(
    ("names", "times"),
    [
        (["frame_0_15:19:28.385380", "frame_1_15:19:28.418713"], [0, 33_333]),
        (["frame_0_15-19-28.385380", "frame_1_15-19-28.418713"], [0, 33_333]),
        (["f_151928.385", "f_151928.418"], [0, 33_000]),
        (["15_19_28_385380", "15_19_28_418713"], [0, 33_333]),
        (["a12h59m59.9s", "a13h00m00.0s"], [0, 100_000]),
        (["2024-05-01T12-30-15.123456", "2024-05-01T12-30-15.156789"], [0, 33_333]),
        (["cam0_20240501_123015_123456789", "cam0_20240501_123015_156789999"], [0, 33_333]),
        (["2024-12-31 23:59:59,98", "2025-01-01 00:00:00,01"], [0, 30_000]),
        (["1714566615.123456", "1714566615.156789"], [0, 33_333]),
        (["img1714566615123", "img1714566615156"], [0, 33_000]),
        (["1714566615123456", "1714566615156789"], [0, 33_333]),
        (["1714566615123456499", "1714566615156789500"], [0, 33_334]),
        (["9_23:59:59.98", "10_00:00:00.01", "11_00:00:00.04"], [0, 30_000, 60_000]),
    ],
)
def test_times_are_read_off_names_in_many_forms_and_count_from_the_first(names, times):
    assert times_in_names(names)[1] == times


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["frame_00", "frame_01"], r"such as 'frame_00', do not all hold a time"),
        (["a_15:19:28.3", "b"], "do not all hold a time"),
        (["a_15:19:28.5", "b_15:19:28.4"], r"b_15:19:28.4 is 100000 us before a_15:19:28.5\) do not increase"),
        (["a_15:19:28", "b_15:19:28"], "at the same time; are there digits below a second"),
        (["a_25:19:28.1"], "do not all hold a time"),
        ([], "no images"),
    ],
)
def test_names_without_usable_times_say_why(names, message):
    with pytest.raises(SessionError, match=message):
        times_in_names(names)


def test_the_csv_is_what_our_reader_reads(tmp_path):
    made = timestamps_file([0, 33_333], [(-4000, 4000), (29_333, 37_333)])
    made.write(tmp_path / made.name)
    stamps = read_timestamps(tmp_path / made.name)
    assert stamps.pts_us.tolist() == [0, 33_333]
    assert stamps.exposure_end_us.tolist() == [4000, 37_333]
    timestamps_file([5]).write(tmp_path / "plain.csv")
    assert read_timestamps(tmp_path / "plain.csv").exposure_start_us is None


def test_a_nominal_rate_does_not_drift():
    assert nominal_times(30_001, 30.0)[-1] == 1_000_000_000
