import pytest

from au3dmm.adapters.names import below, check_source, ids_at, plain_id, template
from au3dmm.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{subject}/{session}/rgb.mp4", "S1/smile/rgb.mp4", {"subject": "S1", "session": "smile"}),
        ("{subject}_{session}.mp4", "S1_smile_2.mp4", {"subject": "S1", "session": "smile_2"}),
        ("{subject}/{subject}_au{au}_{run}.*", "S1/S1_au12_3.avi", {"subject": "S1", "au": "12", "run": "3"}),
        ("**/{session}.raw", "a/b/x.raw", {"session": "x"}),
        ("**/{session}.raw", "x.raw", {"session": "x"}),
        ("day?/{session}[ab].raw", "day1/xb.raw", {"session": "x"}),
        (r"(?P<subject>[^/]+)/cam0/(?P<session>\w+)\.mp4", "S1/cam0/x.mp4", {"subject": "S1", "session": "x"}),
    ],
)
def test_patterns_read_fields_out_of_paths(pattern, path, fields):
    assert template(pattern, "--rgb").fullmatch(path).groupdict() == fields


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{subject}/{subject}_x.mp4", "S1/S2_x.mp4"),
        ("{session}.mp4", "a/x.mp4"),
        ("{session}.mp4", "xxmp4"),
        ("[!a]{session}", "ax"),
    ],
)
def test_what_a_pattern_does_not_say_does_not_match(pattern, path):
    assert template(pattern, "--rgb").fullmatch(path) is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*/rgb.mp4", r"--rgb '\*/rgb.mp4' names no field; use \{subject\}, \{session\}, \{au\}, \{run\}"),
        ("{person}/{session}.mp4", r"names \{person\}; use"),
        (r"(?P<person>.*)\.mp4", r"names \{person\}; use"),
        (r"(?P<subject>.*", r"not a regular expression"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=message):
        template(pattern, "--rgb")


def test_everything_below_is_listed_once_but_hidden_and_derived_things(tmp_path):
    for name in ("b/x.mp4", "a/y.mp4", ".git/z", "derivatives/labels", "truth/t", "a/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert [name for name, _, _ in below(tmp_path)] == ["a", "b", "a/loop", "a/y.mp4", "b/x.mp4"]


def test_ids_are_made_of_the_whole_path_so_that_others_do_not_rename_them(tmp_path):
    assert ids_at(tmp_path, tmp_path / "S01" / "smile 1") == ("S01_smile_1", "S01", ())
    assert ids_at(tmp_path, tmp_path / "sub-7") == ("sub-7", "sub-7", ())
    session, subject, notes = ids_at(tmp_path, tmp_path / "x" / "y")
    assert (session, subject) == ("x_y", "x_y")
    assert "no subject in its path" in notes[0]


def test_a_source_that_is_no_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ConfigError, match="none: no such folder; expected pictures"):
        check_source(tmp_path / "none", "pictures")


def test_names_in_other_letters_stay_apart():
    names = ["\u5f20\u4e09", "\u674e\u56db", "J\u00f6rg", "J\u00fcrg", "Jorg"]
    assert len({plain_id(name) for name in names}) == len(names)
