import errno
import os

import pytest

from au3dmm.errors import ConfigError
from au3dmm.io.dataset import Dataset, DatasetManifest, DatasetSection, find_sessions, read_dataset

DATASET = '[dataset]\nname = "faces"\nlicence = "CC-BY-4.0"\n'


def write_session(folder, session_id="s01", subject_id="p01", text='[rgb]\nfile = "rgb.mp4"\n'):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "session.toml"
    path.write_text(f'[session]\nsession_id = "{session_id}"\nsubject_id = "{subject_id}"\n{text}')
    return path


def found(folder):
    return find_sessions(read_dataset(folder))


def test_a_dataset_is_described_by_its_file(tmp_path):
    (tmp_path / "dataset.toml").write_text(DATASET + 'contacts = ["a@b.org"]\n[bases]\ncorpora = ["synthetic"]\n')
    dataset = read_dataset(tmp_path)
    assert dataset.manifest.dataset.name == "faces"
    assert dataset.manifest.dataset.contacts == ("a@b.org",)
    assert dataset.manifest.bases.corpora == ("synthetic",)
    assert dataset.participants == {}


def test_without_a_file_a_dataset_is_called_after_its_folder(tmp_path):
    assert read_dataset(tmp_path).manifest == DatasetManifest(dataset=DatasetSection(name=tmp_path.name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[dataset]\nnam = 'x'", r"dataset.name: field required; unknown name 'dataset.nam': did you mean 'name'\?"),
        ("[datset]\nname = 'x'", r"unknown name 'datset': did you mean 'dataset'\?"),
        (DATASET + "[bases]\ncorpora = 'synthetic'", r"bases.corpora: input should be a valid tuple"),
        (DATASET + "[defaults.sycn]\nmethod = 'start'", r"unknown name 'defaults.sycn': did you mean 'sync'\?"),
        (DATASET + "[defaults.sync]\nmetod = 'start'", r"unknown name 'defaults.sync.metod': did you mean 'method'\?"),
        (DATASET + "[defaults.sync]\nmethod = 'both'", r"defaults.sync.method: .*found 'both'"),
        (DATASET + "[defaults.events]\nwidth = 0", r"defaults.events.width: .*greater than 0, found 0"),
        (DATASET + "[defaults.session]\nsession_id = 'x'", r"unknown name 'defaults.session.session_id'"),
        (DATASET + "[[defaults.annotations]]\nkind = 'segment'", r"unknown name 'defaults.annotations'"),
        ("name =", "not valid TOML"),
    ],
)
def test_a_wrong_name_or_value_is_told_against_dataset_toml(tmp_path, text, message):
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as err:
        read_dataset(tmp_path)
    assert str(err.value).startswith(str(tmp_path / "dataset.toml"))
    assert "\n" not in str(err.value)


def test_a_folder_that_is_not_there_or_a_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none: no such folder; expected the folder of a dataset"):
        read_dataset(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file: a file; expected"):
        read_dataset(tmp_path / "file")


def test_sessions_are_found_at_any_depth_and_sorted_by_id(tmp_path):
    write_session(tmp_path / "a" / "b" / "c", "z")
    write_session(tmp_path / "raw data" / "ä", "m")
    write_session(tmp_path / "k", "a")
    assert [(s.name, s.problem) for s in found(tmp_path)] == [("a", None), ("m", None), ("z", None)]
    assert [s.session.session_id for s in found(tmp_path)] == ["a", "m", "z"]


def test_a_folder_that_is_itself_a_session_is_a_dataset_of_one(tmp_path):
    path = write_session(tmp_path)
    assert [s.path for s in found(tmp_path)] == [path]


@pytest.mark.parametrize("place", ["derivatives/x", "truth/x", ".hidden/x", "s01/inner", "a/derivatives/x"])
def test_what_was_made_from_sessions_and_what_is_inside_of_one_is_none(tmp_path, place):
    write_session(tmp_path / "s01")
    write_session(tmp_path / place, "other")
    assert [s.name for s in found(tmp_path)] == ["s01"]


def test_a_folder_called_session_toml_is_no_manifest(tmp_path):
    (tmp_path / "x" / "session.toml").mkdir(parents=True)
    write_session(tmp_path / "x" / "inside")
    assert [s.name for s in found(tmp_path)] == ["s01"]


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    dataset, elsewhere = tmp_path / "dataset", tmp_path / "elsewhere"
    write_session(elsewhere / "s02", "s02")
    write_session(dataset / "s01")
    (dataset / "a_link").symlink_to(elsewhere)
    (dataset / "b_link").symlink_to(elsewhere)
    (dataset / "loop").symlink_to(dataset)
    (elsewhere / "up").symlink_to(dataset / "s01")
    (dataset / "broken").symlink_to(tmp_path / "gone")
    assert [(s.name, s.problem) for s in found(dataset)] == [("s01", None), ("s02", None)]
    assert found(dataset)[1].path == dataset / "a_link" / "s02" / "session.toml"


def test_a_session_is_found_where_it_lies_rather_than_by_a_link_to_it(tmp_path):
    path = write_session(tmp_path / "z_real" / "s01")
    (tmp_path / "a_link").symlink_to(tmp_path / "z_real")
    assert [s.path for s in found(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[session", "not valid TOML"),
        ("[session]\nsession_id = 's'", "session.subject_id: field required"),
        ("\x00", "not valid TOML"),
    ],
)
def test_a_broken_session_is_a_problem_and_stops_no_other(tmp_path, text, message):
    write_session(tmp_path / "good")
    bad = write_session(tmp_path / "bad")
    bad.write_text(text)
    broken, good = found(tmp_path)
    assert (good.name, good.problem) == ("s01", None)
    assert (broken.name, broken.session) == ("bad", None)
    assert message in broken.problem
    assert str(bad) in broken.problem
    assert "\n" not in broken.problem


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path, monkeypatch):
    write_session(tmp_path / "good")
    locked = tmp_path / "locked"
    locked.mkdir()
    listed = os.scandir

    def scandir(folder):
        if folder == str(locked):
            raise PermissionError(errno.EACCES, "no", folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [s.problem for s in found(tmp_path)] == [
        f"{locked}: cannot be read: Permission denied; mend that or move it away",
        None,
    ]


def test_two_sessions_of_one_id_both_have_a_problem_that_names_both(tmp_path):
    one, two = write_session(tmp_path / "a"), write_session(tmp_path / "b")
    write_session(tmp_path / "c", "other")
    first, second, _ = sorted(found(tmp_path), key=lambda s: s.path)
    assert [s.problem for s in found(tmp_path)].count(None) == 1
    for session in (first, second):
        assert session.session is None
        assert str(one) in session.problem
        assert str(two) in session.problem
        assert "session_id 's01' is that of" in session.problem


def test_ids_that_differ_only_in_case_are_a_problem(tmp_path):
    write_session(tmp_path / "a", "s01")
    write_session(tmp_path / "b", "S01")
    write_session(tmp_path / "c", "x1", "P01")
    write_session(tmp_path / "d", "x2", "q")
    problems = {s.name: s.problem for s in found(tmp_path)}
    assert "differs only in case from that of" in problems["s01"]
    assert "differs only in case from that of" in problems["S01"]
    # s01 and S01 have left already; P01 stands alone then
    assert problems["x1"] is None
    assert problems["x2"] is None


def test_subjects_that_differ_only_in_case_are_one_person_misspelt(tmp_path):
    write_session(tmp_path / "a", "x1", "P01")
    write_session(tmp_path / "b", "x2", "p01")
    write_session(tmp_path / "c", "x3", "p01")
    problems = [s.problem for s in found(tmp_path)]
    assert "subject_id 'P01' differs only in case from that of" in problems[0]
    assert "and 1 more" in problems[0]
    assert None not in problems


def test_who_withdrew_is_excluded_whatever_the_case(tmp_path):
    (tmp_path / "participants.tsv").write_text("subject_id\tconsent\nS01\tyes\nS02\tWithdrawn\nS03\tno\nS04\tn/a\n")
    dataset = read_dataset(tmp_path)
    assert dataset.excluded("S01") is None
    assert "consent = Withdrawn" in dataset.excluded("S02")
    assert "consent = no" in dataset.excluded("s03")
    assert dataset.excluded("S04") is None
    assert dataset.excluded("unknown") is None


def test_defaults_of_a_dataset_that_was_read_before_they_broke_stop_the_search(tmp_path):
    manifest = DatasetManifest(dataset=DatasetSection(name="x"), defaults={"sycn": {}})
    with pytest.raises(ConfigError, match="did you mean 'sync'"):
        find_sessions(Dataset(tmp_path, manifest, {}))
