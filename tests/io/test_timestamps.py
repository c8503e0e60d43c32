"""The CSV of RGB timestamps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.timestamps import Timestamps, read_timestamps


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rgb_timestamps.csv"
    path.write_text(text)
    return path


FULL = (
    "frame_index,pts_us,exposure_start_us,exposure_end_us\n0,0,-4000,4000\n1,33333,29333,37333\n2,99999,95999,103999\n"
)


def test_all_columns_are_read(tmp_path: Path) -> None:
    stamps = read_timestamps(csv(tmp_path, FULL))
    assert stamps.frame_index.dtype == np.int32
    assert stamps.pts_us.dtype == np.int64
    assert stamps.frame_index.tolist() == [0, 1, 2]
    assert stamps.exposures_us("exposure_start", 5).tolist() == [[-4000, 4000], [29333, 37333], [95999, 103999]]


def test_comments_empty_lines_other_columns_and_a_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    text = "\ufeff# clock: rgb\n\nsource, pts_us ,frame_index\ntrigger,5,0\n\n# later\ntrigger,9,1\n"
    stamps = read_timestamps(csv(tmp_path, text))
    assert stamps.pts_us.tolist() == [5, 9]
    assert stamps.exposure_start_us is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"rgb_timestamps\.csv: empty, expected a CSV with the columns frame_index, pts_us"),
        ("frame_index,pts_us\n", "a header but no rows"),
        ("frame_index,time\n0,1\n", "no column 'pts_us'; found: frame_index, time"),
        ("frame_index,pts\n0,1\n", "no column 'pts_us'; did you mean it by 'pts'"),
        ("frame_index,pts_us,exposure_start_us\n0,1,0\n", "no column 'exposure_end_us'"),
        ("frame_index,pts_us\n0,1\n1,later\n", "line 3: pts_us is 'later', expected a whole number"),
        ("frame_index,pts_us\n0,1\n1\n", "line 3: pts_us is '', expected a whole number"),
        ("frame_index,pts_us\n0,5\n#\n1,5\n", "line 4: pts_us is 5 after 5, expected it to increase"),
        ("frame_index,pts_us\n1,5\n2,9\n", "line 2: frame_index is 1, expected 0; number the rows 0, 1, 2, "),
        ("frame_index,pts_us\n0,5\n\n2,9\n", "line 4: frame_index is 2, expected 1; .* a row for every frame"),
        ("frame_index,pts_us\n0,5\n0,9\n", "line 3: frame_index is 0, expected 1"),
        ("frame_index,pts_us\n-1,5\n0,9\n", "line 2: frame_index is -1, expected 0"),
        (f"frame_index,pts_us\n0,5\n{2**31},9\n", "line 3: frame_index is 2147483648, expected 1"),
        (f"frame_index,pts_us\n0,5\n1,{10**20}\n", r"line 3: pts_us is 1e\+20, expected a number below 2\^62"),
        (f"frame_index,pts_us\n{-(10**30)},5\n", r"line 2: frame_index is -1e\+30, expected a number"),
        (f"frame_index,pts_us\n0,{'9' * 5000}\n", r"line 2: pts_us is '9{40}\.\.\.', expected a whole number"),
        (f"frame_index,pts_us,note\n0,5,{'x' * 131_073}\n", r"not a CSV: field larger than field limit \(131072\)"),
        ('frame_index,pts_us\n0,"5\n1,6\n', "a quoted field goes over several lines"),
        (FULL.replace("29333", "37333"), "line 3: exposure ends at 37333 us, not after its start 37333 us"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(SessionError, match=match):
        read_timestamps(csv(tmp_path, text))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"none\.csv: cannot be read: No such file"):
        read_timestamps(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SessionError, match="not a text file"):
        read_timestamps(tmp_path / "b.csv")


def test_the_time_of_a_frame_is_the_middle_of_its_exposure_by_every_convention() -> None:
    index, pts = np.arange(2, dtype=np.int32), np.array([10_000, 50_000])
    start, end = pts - 3000, pts + 5000
    for convention, stated in (("exposure_midpoint", pts + 1000), ("exposure_start", start), ("exposure_end", end)):
        with_columns = Timestamps(index, stated, start, end)
        assert with_columns.midpoints_us(convention, None).tolist() == (pts + 1000).tolist()
        without = Timestamps(index, stated)
        assert without.midpoints_us(convention, 8000).tolist() == (pts + 1000).tolist()
        assert without.exposures_us(convention, 8000).tolist() == np.stack([start, end], 1).tolist()
        assert without.midpoints_us(convention, None).tolist() == stated.tolist()
        assert without.exposures_us(convention, None) is None


@pytest.mark.shared
def test_the_shared_timestamps_are_read(shared_data: Path) -> None:
    stamps = read_timestamps(shared_data / "sessions" / "pexels_trigger" / "rgb_timestamps.csv")
    assert len(stamps.pts_us) == 472
    assert stamps.pts_us[-1] == 19_644_625
