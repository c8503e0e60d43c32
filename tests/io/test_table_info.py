import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.bases import write_bases
from au3dmm.io.inspection import inspect_file
from au3dmm.io.table_info import read_table_info, schema_differences
from planted import small_bases
from run_folder import write_run


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path)


def test_every_table_says_what_it_is_and_follows_its_schema(folder):
    kinds = {}
    for path in folder.glob("*.parquet"):
        info = read_table_info(path)
        assert schema_differences(info) == []
        kinds[info.kind] = info.n_rows
    assert kinds == {"landmarks": 6, "identity": 1, "coefficients": 6, "event_frames": 6, "labels": 6}


def test_a_table_is_inspected_without_its_pictures(folder):
    report = inspect_file(folder / "event_frames.polarity.parquet", rows=2)
    assert (report["kind"], report["rows"], len(report["first_rows"])) == ("event_frames", 6, 2)
    assert "pixels" not in report["first_rows"][0]
    pixels = next(c for c in report["columns"] if c["name"] == "pixels")
    assert pixels == {"name": "pixels", "type": "bytes[4]", "unit": None, "nullable": False, "nulls": 0}


def test_statuses_units_and_nulls_are_counted(folder):
    report = inspect_file(folder / "coefficients.parquet")
    assert report["status"] == {"ok": 5, "no_face": 1}
    columns = {c["name"]: c for c in report["columns"]}
    assert columns["alpha_au"] == {
        "name": "alpha_au", "type": "float[3]", "unit": "standard deviations", "nullable": True, "nulls": 1
    }  # fmt: skip
    assert report["metadata"]["basis"]["k_au"] == 3


def test_a_basis_a_clock_and_a_record_of_stages_are_told_apart(folder, tmp_path):
    write_bases(tmp_path / "bases.npz", small_bases())
    report = inspect_file(tmp_path / "bases.npz")
    assert report["kind"] == "basis"
    assert {"name": "components_au", "dtype": "float32", "shape": [12, 68, 3]} in report["arrays"]
    assert report["metadata"]["basis_kind"] == "user"
    assert inspect_file(folder / "clock.json")["kind"] == "clock"
    assert inspect_file(folder / "stage.json")["kind"] == "stages"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\xff\xd8\xff\xe0", "it starts with ff d8 ff e0"),
        (b'{"a": 1}', "JSON, but not of au3dmm: it holds a"),
        (b"{", "cannot be read as JSON"),
        (b"PAR1", "not a Parquet file"),
        (b"PK\x03\x04", "not an npz file"),
    ],
)
def test_foreign_files_are_named_with_what_was_found(tmp_path, data, said):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=said) as err:
        inspect_file(path)
    assert str(err.value).startswith(str(path))


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="a folder"):
        inspect_file(tmp_path)
    with pytest.raises(SchemaError, match="No such file"):
        inspect_file(tmp_path / "no")
