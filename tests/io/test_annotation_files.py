import numpy as np
import pytest

from au3dmm.errors import SessionError
from au3dmm.io.annotation_files import read_frame_codes

NAN = np.nan


def read(path, text, kind="csv", label=None, vocabulary="au", top=1):
    path = path / "codes.csv"
    path.write_bytes(text.encode())
    return read_frame_codes(path, kind, label, vocabulary, top)


def test_our_own_csv_counts_from_0_and_names_its_columns(tmp_path):
    codes = read(tmp_path, "# coded by A\nframe_index,au06,AU12_left\n0,1,\n1,9,0\n\n2,-1,nan\n")
    assert codes.labels == ("AU6", "AU12_left")
    assert codes.counts_from == 0
    np.testing.assert_array_equal(codes.number, [0, 1, 2])
    np.testing.assert_array_equal(codes.values, np.float32([[1, NAN], [NAN, 0], [NAN, NAN]]))


def test_a_matrix_of_bp4d_has_numbers_of_action_units_above_its_columns(tmp_path):
    codes = read(tmp_path, "0,1,2,12\r\n2440,0,1,9\r\n2441,1,1,0\r\n", "bp4d")
    assert (codes.labels, codes.counts_from) == (("AU1", "AU2", "AU12"), 1)
    np.testing.assert_array_equal(codes.number, [2440, 2441])
    np.testing.assert_array_equal(codes.values, np.float32([[0, 1, NAN], [1, 1, 0]]))


@pytest.mark.parametrize("kind", ["bp4d", "disfa"])
def test_a_file_of_one_action_unit_has_no_header(tmp_path, kind):
    codes = read(tmp_path, "1,0\n2,5\n3,9\n", kind, "AU06", top=5)
    assert codes.labels == ("AU6",)
    np.testing.assert_array_equal(codes.number, [1, 2, 3])
    np.testing.assert_array_equal(codes.values[:, 0], np.float32([0, 5, NAN]))


def test_a_label_chooses_one_of_several_columns(tmp_path):
    codes = read(tmp_path, "frame_index,AU6,AU12\n0,1,0\n", label="12")
    assert codes.labels == ("AU12",)
    assert codes.values.tolist() == [[0]]
    with pytest.raises(SessionError, match="no column 'AU4', found: AU6, AU12"):
        read(tmp_path, "frame_index,AU6,AU12\n0,1,0\n", label="AU4")


def test_other_vocabularies_keep_their_words(tmp_path):
    codes = read(tmp_path, "frame_index,Happiness\n0,2.5\n", vocabulary="emotion", top=5)
    assert (codes.labels, codes.values.tolist()) == (("Happiness",), [[2.5]])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty, expected rows"),
        ("index,AU1\n0,1\n", {}, "no column 'frame_index'; found: index, AU1"),
        ("frame_index,AU1\n", {}, "a header but no rows"),
        ("frame_index\n0\n", {}, "no column besides the frame's number"),
        ("frame_index,AU1\n0,1,1\n", {}, "line 2 has 3 fields, expected 2"),
        ("frame_index,AU1\n0,1\n\n0,1\n", {}, "line 4: frame 0 after frame 0"),
        ("frame_index,AU1\n-1,1\n", {}, "line 2: frame number '-1', expected a whole number"),
        ("frame_index,AU1\n0.5,1\n", {}, "frame number '0.5'"),
        ("frame_index,AU1\n1e300,1\n", {}, "frame number '1e300'"),
        ("frame_index,AU1\n0,2\n", {}, r"line 2: value 2, expected 0, 1 or 9"),
        ("frame_index,AU1\n0,0.5\n", {}, r"value 0.5, expected 0, 1 or 9"),
        ("frame_index,AU1\n0,6\n", {"top": 5}, "value 6, expected a number from 0 to 5"),
        ("frame_index,AU1\n0,yes\n", {}, "line 2: 'yes', expected a number from 0 to 1"),
        ("frame_index,AU1\n0,inf\n", {}, "value inf"),
        ("frame_index,smile\n0,1\n", {}, "column 'smile', which is no action unit"),
        ("frame_index,AU6,au06\n0,1,1\n", {}, "two columns speak of AU6"),
        ("1,0\n", {"kind": "disfa", "top": 5}, "a column without a name; say label"),
    ],
)
def test_what_means_nothing_is_refused_with_its_line(tmp_path, text, options, message):
    with pytest.raises(SessionError, match=message) as err:
        read(tmp_path, text, **options)
    assert str(tmp_path / "codes.csv") in str(err.value)


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path):
    with pytest.raises(SessionError, match="cannot be read: No such file"):
        read_frame_codes(tmp_path / "none.csv", "csv", None, "au", 1)
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SessionError, match="not a text file"):
        read_frame_codes(tmp_path / "b", "csv", None, "au", 1)
