import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.participants import add_participants, read_participants


@pytest.fixture
def path(tmp_path):
    return tmp_path / "participants.tsv"


def test_rows_are_read_by_subject_and_what_is_unknown_is_left_out(path):
    path.write_text("subject_id\tsex\tage_range\nS01\tF\t20-30\nS02\tn/a\t\n")
    assert read_participants(path) == {"S01": {"sex": "F", "age_range": "20-30"}, "S02": {}}


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_marks_windows_lines_and_quotes_are_welcome(path, bom, end):
    lines = ["sex\tsubject_id\tnotes", 'M\tS01\t"says ""hi"", with a\ttab"', "", "F\tS02\tjürgen"]
    path.write_bytes(bom + end.join(lines).encode())
    assert read_participants(path) == {
        "S01": {"sex": "M", "notes": 'says "hi", with a\ttab'},
        "S02": {"sex": "F", "notes": "jürgen"},
    }


def test_no_file_is_nobody(path):
    assert read_participants(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected a header with the column subject_id"),
        ("sub_id\tsex\nS01\tF\n", r"no column 'subject_id'; did you mean it by 'sub_id'\?"),
        ("subject_id,sex\nS01,F\n", r"no column 'subject_id'; .*columns are separated by tabs"),
        ("subject_id\tsex\nS01\n", "line 2 has 1 fields, the header 2"),
        ("subject_id\tsex\nS01\tF\n\nS01\tM\n", "line 4: subject_id 'S01' is in line 2 already"),
        ("subject_id\nS01\ns01\n", "line 3: subject_id 's01' is in line 2 already"),
        ("subject_id\tsex\n\tF\n", "line 2 has no subject_id"),
        ("subject_id\tconsent\nS01\tmaybe\n", "line 2: consent is 'maybe', expected yes, no or withdrawn"),
        ("subject_id\tsex\tsex\nS01\tF\tM\n", "names 'sex' twice"),
        ("subject_id\t\nS01\tF\n", "leaves a column without a name"),
        ('subject_id\tsex\nS01\t"F\n', "not tab-separated values"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(path, text, message):
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as err:
        read_participants(path)
    assert str(path) in str(err.value)


def test_another_encoding_is_told(path):
    path.write_bytes("subject_id\tname\nS01\tJürgen\n".encode("latin1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_participants(path)


def test_new_people_join_and_what_a_person_wrote_stays(path):
    assert add_participants(path, {"S02": {}, "S01": {"sex": "F"}}) == ["S01", "S02"]
    path.write_text("subject_id\tsex\tconsent\nS01\tF\twithdrawn\nS02\t\t\n")
    assert add_participants(path, {"S01": {"sex": "M"}, "S03": {"hand": "left"}}) == ["S03"]
    assert read_participants(path) == {"S01": {"sex": "F", "consent": "withdrawn"}, "S02": {}, "S03": {"hand": "left"}}


def test_nobody_new_writes_nothing(path):
    path.write_bytes(b"subject_id\r\nS01\r\n")
    assert add_participants(path, {"s01": {}}) == []
    assert path.read_bytes() == b"subject_id\r\nS01\r\n"
