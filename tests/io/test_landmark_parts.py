import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import OutputError
from au3dmm.io.landmark_parts import LandmarkParts, Part, parts_folder
from au3dmm.io.table_schemas import landmarks_schema
from au3dmm.io.tables import vector_array, vectors

SCHEMA = landmarks_schema(4, checked=True)


def rows(n, first=0):
    """A table of landmarks; every third row is empty."""
    valid = np.arange(n) % 3 > 0
    rng = np.random.default_rng(first)
    numbers = {"frame_index": np.arange(first, first + n), "t_rgb_us": np.arange(n) * 33, "n_faces": np.ones(n)}
    columns = []
    for field in SCHEMA:
        if field.name in numbers:
            columns.append(pa.array(numbers[field.name]).cast(field.type))
        elif field.name == "status":
            words = pa.array(["ok", "no_face"])
            columns.append(pa.DictionaryArray.from_arrays(pa.array((~valid).astype(np.int8)), words))
        elif field.name == "flags":
            columns.append(pa.array([["small"] if i % 2 else [] for i in range(n)], field.type))
        elif pa.types.is_fixed_size_list(field.type):
            columns.append(vector_array(rng.normal(size=(n, field.type.list_size)), valid))
        else:
            columns.append(pa.array([None] * n, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


@pytest.fixture
def folder(tmp_path):
    return parts_folder(tmp_path / "landmarks.parquet")


def written(folder, n=3, mark="a"):
    parts = LandmarkParts(folder, mark)
    for i in range(n):
        parts.append(Part(rows(5, 5 * i), {"i": i, "box": [0.1, None]}))
    return parts


def loaded(folder, mark="a"):
    parts = LandmarkParts(folder, mark)
    return parts, list(parts.load(SCHEMA))


def test_tables_and_the_last_state_come_back_as_they_were(folder):
    written(folder)
    parts, tables = loaded(folder)
    assert parts.n == 3
    assert parts.last.state == {"i": 2, "box": [0.1, None]}
    assert all(table.equals(rows(5, 5 * i)) for i, table in enumerate(tables))
    assert all(table.schema.equals(SCHEMA, check_metadata=True) for table in parts.tables())
    np.testing.assert_array_equal(vectors(tables[1], "dense_px")[0], vectors(rows(5, 5), "dense_px")[0])


def test_a_reader_goes_on_writing_where_the_writer_was(folder):
    written(folder, 2)
    parts, _ = loaded(folder)
    parts.append(Part(rows(5, 10), {"i": 2}))
    assert [table["frame_index"][0].as_py() for table in loaded(folder)[1]] == [0, 5, 10]
    assert [table["frame_index"][0].as_py() for table in parts.tables()] == [0, 5, 10]


def test_what_another_mark_made_is_removed(folder):
    written(folder)
    parts, tables = loaded(folder, "b")
    assert (parts.n, parts.last, tables, list(folder.iterdir())) == (0, None, [], [])


def test_parts_are_used_as_far_as_they_are_whole_and_follow_each_other(folder):
    written(folder, 4)
    files = sorted(folder.iterdir())
    files[2].rename(files[2].with_name(files[2].name.replace("000002", "000009")))
    parts, tables = loaded(folder)
    assert (parts.n, len(tables)) == (2, 2)
    assert sorted(folder.iterdir()) == files[:2]


def test_of_two_parts_of_one_number_the_one_with_the_mark_is_taken(folder):
    written(folder, 1, "b")
    written(folder, 2, "a")
    assert len(list(folder.iterdir())) == 3
    assert loaded(folder)[0].n == 2
    assert len(list(folder.iterdir())) == 2


def test_a_part_of_another_schema_is_none(folder):
    parts = LandmarkParts(folder, "a")
    parts.append(Part(rows(5).drop_columns(["disagreement_iod"]), {}))
    assert loaded(folder)[0].n == 0


def test_no_folder_is_no_part_and_nothing_is_made(folder):
    parts, tables = loaded(folder)
    assert (parts.n, tables) == (0, [])
    assert not folder.exists()
    parts.remove()


def test_a_folder_that_cannot_be_cleaned_is_an_output_error(folder):
    written(folder)
    (folder / "folder").mkdir()
    with pytest.raises(OutputError, match=r"\.parts: parts of an interrupted detection cannot be read: "):
        loaded(folder)
