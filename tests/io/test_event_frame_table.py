"""Event frames on disk, and clips of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from au3dmm.core.canvases import Encoding
from au3dmm.core.event_frames import Windows
from au3dmm.core.representations import EventFrame
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io import table_schemas, tables
from au3dmm.io.event_frame_table import (
    read_clip,
    read_event_frame_info,
    rows_per_group,
    write_event_frames,
)
from au3dmm.io.table_info import read_table_info, schema_differences

ENCODING = Encoding("voxel", ("bin_0", "bin_1"), "float16", 0.5, 3.0, "events", "a formula", "somebody")
SHAPE = (2, 100, 300)  # 120 000 bytes: 8 frames per row group


def write(path: Path, n: int = 30, encoding: Encoding = ENCODING, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    pixels = np.random.default_rng(n).integers(0, 200, (n, *shape)).astype(encoding.dtype)
    windows = Windows(10 * np.arange(n), 10 * np.arange(n) + 10)
    frames = (EventFrame(100 + k, pixels[k], k % 3) for k in range(n))
    saturated = write_event_frames(path, windows, frames, np.arange(n) != 4, shape, encoding, {"windows": "periodic"})
    assert saturated == sum(k % 3 for k in range(n))
    return pixels


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("frames") / "event_frames.voxel.parquet"
    return path, write(path)


@given(first=st.integers(0, 30), n=st.integers(0, 30))
@settings(deadline=None)
def test_every_clip_reads_as_it_was_written(table, first, n) -> None:
    path, pixels = table
    n = min(n, 30 - first)
    clip = read_clip(path, first, n)
    assert clip.dtype == np.float16
    assert clip.shape == (n, *SHAPE)
    assert np.array_equal(clip, pixels[first : first + n])


def test_values_are_in_their_unit(table) -> None:
    path, pixels = table
    values = read_clip(path, 5, 4, as_float=True)
    assert values.dtype == np.float32
    assert np.array_equal(values, (pixels[5:9].astype(np.float32) - 3) / 2)


def test_a_clip_may_be_written_to(table) -> None:
    path, pixels = table
    read_clip(path, 0, 2)[:] = 0
    assert np.array_equal(read_clip(path, 0, 2), pixels[:2])


def test_rows_stand_beside_the_frames(table) -> None:
    path, _ = table
    read = tables.read_table(path, "event_frames")
    assert read["event_frame_index"].to_pylist() == list(range(30))
    assert read["t_start_us"].to_pylist() == list(range(0, 300, 10))
    assert read["t_end_us"].to_pylist() == list(range(10, 310, 10))
    assert read["n_events"].to_pylist() == list(range(100, 130))
    assert read["n_saturated"].to_pylist() == [k % 3 for k in range(30)]
    assert [k for k, word in enumerate(read["status"].to_pylist()) if word == "no_events"] == [4]
    assert schema_differences(read_table_info(path)) == []


def test_the_file_says_what_it_holds(table) -> None:
    path, _ = table
    info = read_event_frame_info(path)
    assert (info.n_frames, info.shape, info.dtype, info.scale, info.zero) == (30, SHAPE, np.float16, 0.5, 3.0)
    assert info.metadata["representation"] == {
        "name": "voxel",
        "channels": ["bin_0", "bin_1"],
        "unit": "events",
        "formula": "a formula",
        "source": "somebody",
    }
    assert info.metadata["windows"] == "periodic"


def test_row_groups_are_small_and_pictures_have_neither_statistics_nor_a_dictionary(table) -> None:
    path, _ = table
    footer = pq.read_metadata(path)
    assert [footer.row_group(k).num_rows for k in range(footer.num_row_groups)] == [8, 8, 8, 6]
    pixels = footer.row_group(0).column(footer.schema.names.index("pixels"))
    assert pixels.statistics is None
    assert not pixels.has_dictionary_page
    assert pixels.compression == "LZ4"


def test_a_long_table_has_larger_groups_so_that_its_footer_stays_short() -> None:
    assert rows_per_group(65536, 10**6) == 245  # 4096 groups


def test_a_group_of_large_frames_holds_few() -> None:
    assert [rows_per_group(n, 5) for n in (100_000, 700_000, 2_000_000, 10**9)] == [10, 4, 2, 1]


def test_only_what_is_asked_for_is_read(tmp_path) -> None:
    path = tmp_path / "event_frames.parquet"
    pixels = write(path)
    footer = pq.read_metadata(path)
    damaged = bytearray(path.read_bytes())
    column = footer.row_group(3).column(footer.schema.names.index("pixels"))
    start = column.data_page_offset
    damaged[start : start + 400] = bytes(400)
    path.write_bytes(damaged)
    assert np.array_equal(read_clip(path, 8, 16), pixels[8:24])
    with pytest.raises(SchemaError, match="cannot be read as Parquet"):
        read_clip(path, 23, 2)


@pytest.mark.parametrize(("first", "n"), [(-1, 2), (29, 2), (31, 0), (0, 31), (-5, 1)])
def test_frames_that_are_not_there_are_refused(table, first, n) -> None:
    with pytest.raises(SchemaError, match=f"{n} frames? from number {first} on asked for, there are 0 to 29"):
        read_clip(table[0], first, n)


@pytest.mark.parametrize(
    ("first", "n", "match"),
    [
        (0, -1, "-1 frames from number 0 on asked for, expected 0 or more"),
        (2.0, 3, r"first is 2\.0, expected a whole number"),
        (2, 3.5, r"n is 3\.5, expected a whole number"),
        (True, 3, "first is True, expected a whole number"),
        (0, np.True_, "n is np.True_, expected a whole number"),
        (0, "3", "n is '3', expected a whole number"),
        (None, 3, "first is None, expected a whole number"),
    ],
)
def test_what_is_no_range_of_frames_is_refused(table, first, n, match) -> None:
    with pytest.raises(ConfigError, match=match):
        read_clip(table[0], first, n)


def test_numpys_whole_numbers_name_frames_too(table) -> None:
    assert np.array_equal(read_clip(table[0], np.int32(3), np.uint8(4)), read_clip(table[0], 3, 4))


def test_a_file_that_is_replaced_is_read_anew(tmp_path) -> None:
    path = tmp_path / "event_frames.parquet"
    write(path, 30)
    read_clip(path, 0, 30)
    pixels = write(path, 20)
    assert np.array_equal(read_clip(path, 0, 20), pixels)
    with pytest.raises(SchemaError, match="there are 0 to 19"):
        read_clip(path, 0, 30)
    path.unlink()
    with pytest.raises(SchemaError, match="no such file"):
        read_clip(path, 0, 1)


def test_clips_are_read_by_several_threads(table) -> None:
    path, pixels = table
    with ThreadPoolExecutor(4) as pool:
        clips = list(pool.map(lambda k: read_clip(path, k % 25, 5), range(60)))
    assert all(np.array_equal(clip, pixels[k % 25 : k % 25 + 5]) for k, clip in enumerate(clips))


def test_the_same_frames_give_the_same_bytes(tmp_path) -> None:
    for name in "ab":
        write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_tables_are_refused(tmp_path) -> None:
    path = tmp_path / "labels.parquet"
    tables.write_table(path, "labels", pa.table({"x": [1]}), {})
    with pytest.raises(SchemaError, match="this is a table of labels, expected event_frames"):
        read_clip(path, 0, 1)
    (tmp_path / "text").write_text("no Parquet")
    with pytest.raises(SchemaError, match="not a Parquet file"):
        read_event_frame_info(tmp_path / "text")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"shape": [1, 2, 3], "dtype": "uint8"}, r"4 bytes per frame, expected 6 for shape \[1, 2, 3\]"),
        ({"shape": [1, 2, 2], "dtype": "object"}, "dtype object, expected a shape and one of uint8, uint16, float16"),
        ({"shape": "2x2", "dtype": "uint8"}, "shape 2x2"),
        ({}, "shape None"),
    ],
)
def test_metadata_that_does_not_fit_the_pixels_is_refused(tmp_path, metadata, said) -> None:
    path = tmp_path / "event_frames.parquet"
    tables.write_table(path, "event_frames", pa.table({"pixels": pa.array([b"abcd"], pa.binary(4))}), metadata)
    with pytest.raises(SchemaError, match=said) as err:
        read_clip(path, 0, 1)
    assert "\n" not in str(err.value)


def test_tables_of_version_1_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(table_schemas.SCHEMA_VERSION, "event_frames", 1)
    path, frames = tmp_path / "event_frames.polarity.parquet", [bytes([0, 128, 255, k]) for k in range(3)]
    now = pa.array([1, 2, 3], pa.int64())
    columns = [pa.array([0, 1, 2], pa.int32()), now, now, now, tables.word_array(["ok"] * 3)]
    schema = table_schemas.event_frames_schema(4, 1)
    table = pa.Table.from_arrays([*columns, pa.array(frames, pa.binary(4))], schema=schema)
    tables.write_table(path, "event_frames", table, {"shape": [2, 2], "dtype": "uint8"})
    monkeypatch.undo()
    assert read_clip(path, 1, 2).tolist() == [[[[0, 128], [255, 1]]], [[[0, 128], [255, 2]]]]
    assert read_clip(path, 0, 1, as_float=True)[0, 0, 0].tolist() == [-1, 0]
    assert schema_differences(read_table_info(path)) == []


def test_a_clip_of_small_frames_crosses_many_pages(tmp_path) -> None:
    path = tmp_path / "event_frames.parquet"
    pixels = write(path, 200, replace(ENCODING, dtype="uint8"), (1, 8, 8))
    assert np.array_equal(read_clip(path, 3, 190), pixels[3:193])
    os.utime(path, ns=(1, 1))  # known by its inode, time and size: read anew, and the same
    assert np.array_equal(read_clip(path, 0, 200), pixels)
