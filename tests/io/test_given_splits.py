import pytest

from au3dmm.core.splits import Part
from au3dmm.errors import ConfigError
from au3dmm.io.given_splits import read_given_split

PEOPLE = {"S1": {"age": "30"}, "S2": {}}


def write(folder, text, name="splits.tsv"):
    (folder / name).write_text(text)
    return folder


def test_a_dataset_without_a_split_has_none(tmp_path):
    assert read_given_split(tmp_path, PEOPLE) is None


def test_a_split_per_subject_with_words_of_other_people(tmp_path):
    given = read_given_split(write(tmp_path, "\ufeffsubject_id\tsplit\r\nS1\tTraining\r\nS2\tvalidation\r\n"), {})
    assert given.part_of("x", "S1") == Part("train")
    assert given.part_of("y", "S2") == Part("val")


def test_a_split_per_session_and_a_fold(tmp_path):
    given = read_given_split(write(tmp_path, "session_id\tsplit\tfold\na\ttest\t2\nb\tn/a\t3\n"), {})
    assert given.part_of("a", "S1") == Part("test", 2)
    assert given.part_of("b", "S1") == Part(None, 3)


def test_participants_say_it_too_but_the_file_wins(tmp_path):
    people = {"S1": {"split": "test"}, "S2": {"split": "train"}}
    assert read_given_split(tmp_path, people).part_of("a", "S1") == Part("test")
    write(tmp_path, "subject_id\tsplit\nS1\ttrain\nS2\ttrain\n")
    assert read_given_split(tmp_path, people).part_of("a", "S1") == Part("train")


def test_somebody_who_is_not_named_is_told(tmp_path):
    given = read_given_split(write(tmp_path, "subject_id\tsplit\nS1\ttrain\n"), {})
    with pytest.raises(ConfigError, match=r"no split for subject_id 'S2'.*every subject of the dataset"):
        given.part_of("a", "S2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject\tsplit\nS1\ttrain\n", "expected subject_id or session_id, and split or fold"),
        ("subject_id\tpart\nS1\ttrain\n", "expected subject_id or session_id, and split or fold"),
        ("subject_id,split\nS1,train\n", "separated by tabs"),
        ("", "columns nothing"),
        ("subject_id\tsplit\nS1\tdevel\n", "the split of 'S1' is 'devel', expected train, val, test"),
        ("subject_id\tfold\nS1\t-1\n", "the fold of 'S1' is '-1'"),
        ("subject_id\tsplit\nS1\ttrain\nS1\ttest\n", "line 3 has subject_id 'S1' a second time"),
        ("subject_id\tsplit\nS1\ttrain\textra\n", "line 2 has more fields"),
        ("subject_id\tsplit\n\ttrain\n", "line 2 has no subject_id"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as err:
        read_given_split(write(tmp_path, text), {})
    assert "\n" not in str(err.value)
