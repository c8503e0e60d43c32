import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.table_schemas import SCHEMA_VERSION, event_frames_schema
from au3dmm.io.tables import read_metadata, read_table, scalar_array, vector_array, vectors, word_array, write_table


def event_table(n=5):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, 12, dtype=np.uint8).tobytes() for _ in range(n)]
    return pa.Table.from_arrays(
        [
            pa.array(np.arange(n), pa.int32()),
            pa.array(np.arange(n) * 10),
            pa.array(np.arange(n) * 10 + 10),
            pa.array(np.arange(n)),
            word_array(["ok"] * n),
            pa.array([0] * n, pa.int32()),
            pa.array(pixels, pa.binary(12)),
        ],
        schema=event_frames_schema(12),
    )


def vector_table(n=7, k=3):
    values = np.arange(n * k, dtype=np.float32).reshape(n, k)
    valid = np.arange(n) % 3 != 1
    return values, valid, pa.table({"alpha_au": vector_array(values, valid)})


def test_a_table_and_its_metadata_survive_a_round_trip(tmp_path):
    path = tmp_path / "event_frames.parquet"
    write_table(path, "event_frames", event_table(), {"shape": [3, 4], "note": "µs"})
    back = read_table(path, "event_frames")
    assert back.replace_schema_metadata(None).equals(event_table())
    metadata = read_metadata(path)
    assert metadata["table"] == "event_frames"
    assert metadata["schema_version"] == SCHEMA_VERSION["event_frames"]
    assert metadata["note"] == "µs"


def test_batches_read_as_one_table_and_as_many_row_groups(tmp_path):
    from au3dmm.io.tables import write_batches

    table = event_table(10)
    parts = [table.slice(0, 4), table.slice(4, 4), table.slice(8, 2)]
    write_batches(tmp_path / "b.parquet", "event_frames", table.schema, iter(parts), {"x": 1}, rows=4)
    assert read_table(tmp_path / "b.parquet").replace_schema_metadata(None).equals(table)
    assert pq.ParquetFile(tmp_path / "b.parquet").num_row_groups == 3
    assert read_metadata(tmp_path / "b.parquet")["x"] == 1


def test_a_batch_that_cannot_be_made_leaves_no_file(tmp_path):
    from au3dmm.io.tables import write_batches

    def batches():
        yield event_table(3)
        raise SchemaError("stop")

    with pytest.raises(SchemaError, match="stop"):
        write_batches(tmp_path / "b.parquet", "event_frames", event_table().schema, batches(), {})
    assert not list(tmp_path.iterdir())


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_table(tmp_path / name, "event_frames", event_table(), {"x": 1, "y": {"b": 2, "a": 3}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_null_rows_keep_their_place(tmp_path):
    values, valid, table = vector_table()
    back, found = vectors(table, "alpha_au")
    np.testing.assert_array_equal(found, valid)
    np.testing.assert_array_equal(back[valid], values[valid])
    assert np.isnan(back[~valid]).all()


def test_vectors_survive_chunks_slices_and_parquet(tmp_path):
    values, valid, table = vector_table(50)
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=7)
    chunked = pq.read_table(path)
    for t, sl in ((chunked, slice(None)), (chunked.slice(5, 20), slice(5, 25)), (table.slice(3), slice(3, None))):
        back, found = vectors(t, "alpha_au")
        np.testing.assert_array_equal(found, valid[sl])
        np.testing.assert_array_equal(back[found], values[sl][valid[sl]])


def test_arrows_own_flatten_would_have_shifted_the_rows():
    values, _, table = vector_table()
    assert len(table["alpha_au"].combine_chunks().flatten()) < values.size  # why `vectors` exists


def test_an_empty_column_reads_as_an_empty_matrix():
    _, _, table = vector_table()
    back, valid = vectors(table.slice(0, 0), "alpha_au")
    assert back.shape == (0, 3)
    assert valid.shape == (0,)


def test_pandas_and_polars_read_the_same_numbers():
    values, valid, table = vector_table()
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    np.testing.assert_array_equal(np.stack(frame["alpha_au"][valid]), values[valid])
    series = pl.from_arrow(table)["alpha_au"]
    assert series.null_count() == (~valid).sum()


def test_scalars_are_null_where_invalid():
    column = scalar_array(np.array([1.0, np.nan, 3.0]), np.array([True, False, True]), pa.float32())
    assert column.to_pylist() == [1.0, None, 3.0]


def test_no_such_column_lists_those_there_are():
    _, _, table = vector_table()
    with pytest.raises(SchemaError, match="no column 'alpha'; there are: alpha_au"):
        vectors(table, "alpha")


def test_a_column_that_holds_no_vectors_is_refused():
    with pytest.raises(SchemaError, match="not a column of vectors"):
        vectors(pa.table({"x": [1, 2]}), "x")


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, "event_frames", event_table(), {})
    with pytest.raises(SchemaError, match="this is a table of event_frames, expected labels"):
        read_table(path, "labels")


def test_a_newer_schema_is_refused_with_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    monkeypatch.setitem(SCHEMA_VERSION, "event_frames", 99)
    write_table(path, "event_frames", event_table(), {})
    monkeypatch.setitem(SCHEMA_VERSION, "event_frames", 1)
    with pytest.raises(SchemaError, match=r"schema version 99.*update au3dmm"):
        read_table(path, "event_frames")


def test_files_that_are_not_ours_are_refused(tmp_path):
    foreign, text, cut = tmp_path / "foreign.parquet", tmp_path / "text.parquet", tmp_path / "cut.parquet"
    pq.write_table(pa.table({"x": [1]}), foreign)
    text.write_text("hello")
    write_table(cut, "event_frames", event_table(), {})
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(SchemaError, match="not written by au3dmm"):
        read_metadata(foreign)
    with pytest.raises(SchemaError, match="not a Parquet file"):
        read_metadata(text)
    with pytest.raises(SchemaError, match="not a Parquet file, or cut short"):
        read_metadata(cut)
    with pytest.raises(SchemaError, match="no such file"):
        read_metadata(tmp_path / "none.parquet")
