from pathlib import Path

import pytest

from au3dmm.adapters.proposal import Made, Proposal
from au3dmm.adapters.writing import was_edited, write_dataset
from au3dmm.errors import ConfigError
from au3dmm.io.dataset import find_sessions, read_dataset


def proposal(session="s01", subject="p01", rgb=Path("/raw/rgb.mp4"), home=None, made=(), **sections):
    about = {"session_id": session, "subject_id": subject}
    return Proposal(session, subject, {"session": about, "rgb": {"file": rgb}, **sections}, home, made)


def write(out, *proposals, **how):
    done = write_dataset(proposals, "pairs", Path("/raw"), out, {"name": "d", "licence": "CC0"}, **how)
    return [one.state for one in done]


def test_a_dataset_is_written_that_our_reader_reads(tmp_path):
    assert write(tmp_path, proposal(), proposal("s02", "p02")) == ["written", "written"]
    dataset = read_dataset(tmp_path)
    assert (dataset.manifest.dataset.name, dataset.manifest.dataset.licence) == ("d", "CC0")
    assert set(dataset.participants) == {"p01", "p02"}
    assert [(s.name, s.problem) for s in find_sessions(dataset)] == [("s01", None), ("s02", None)]
    assert find_sessions(dataset)[0].path == tmp_path / "sessions" / "s01" / "session.toml"


def test_raw_files_elsewhere_are_named_by_their_whole_path_and_those_inside_relative(tmp_path):
    write(tmp_path, proposal(), proposal("s02", rgb=tmp_path / "raw" / "a b.mp4"))
    sessions = find_sessions(read_dataset(tmp_path))
    assert [s.session.manifest.rgb.file for s in sessions] == ["/raw/rgb.mp4", "../../raw/a b.mp4"]


def test_a_second_time_nothing_changes_and_new_facts_are_taken_over(tmp_path):
    write(tmp_path, proposal())
    path = tmp_path / "sessions" / "s01" / "session.toml"
    before = path.stat().st_mtime_ns
    assert write(tmp_path, proposal()) == ["unchanged"]
    assert path.stat().st_mtime_ns == before
    assert write(tmp_path, proposal(rgb=Path("/raw/other.mp4"))) == ["refreshed"]
    assert "other.mp4" in path.read_text()


@pytest.mark.parametrize("change", [lambda t: t + "# mine\n", lambda t: t.replace("\n", "\r\n"), lambda t: t[50:]])
def test_what_a_person_edited_is_left_unless_forced(tmp_path, change):
    write(tmp_path, proposal())
    path = tmp_path / "sessions" / "s01" / "session.toml"
    path.write_bytes(change(path.read_text()).encode())
    edited = path.read_bytes()
    assert was_edited(path)
    assert write(tmp_path, proposal(rgb=Path("/raw/other.mp4"))) == ["edited"]
    assert path.read_bytes() == edited
    assert write(tmp_path, proposal(rgb=Path("/raw/other.mp4")), force=True) == ["refreshed"]
    assert not was_edited(path)


def test_dataset_toml_and_participants_that_are_there_stay(tmp_path):
    (tmp_path / "dataset.toml").write_text('[dataset]\nname = "mine"\n')
    (tmp_path / "participants.tsv").write_text("subject_id\tconsent\np01\twithdrawn\n")
    write(tmp_path, proposal(), proposal("s02", "p02"))
    dataset = read_dataset(tmp_path)
    assert dataset.manifest.dataset.name == "mine"
    assert dataset.excluded("p01")
    assert "p02" in dataset.participants


def test_a_recording_that_cannot_be_described_stops_no_other(tmp_path):
    bad = proposal("s02", events={"file": "a.raw"})  # no word on clocks
    done = write_dataset([bad, proposal()], "pairs", Path("/raw"), tmp_path, {"name": "d"})
    assert [one.state for one in done] == ["failed", "written"]
    assert "[events] needs a [sync]" in done[0].problem
    assert not (tmp_path / "sessions" / "s02" / "session.toml").exists()


def test_a_name_that_is_not_utf8_is_told(tmp_path):
    done = write_dataset([proposal(rgb=Path("/raw/\udcff.mp4"))], "pairs", Path("/raw"), tmp_path, {"name": "d"})
    assert done[0].state == "failed"
    assert "not UTF-8" in done[0].problem


def test_two_recordings_of_one_name_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"2 recordings would be session 's01'; .*add \{subject\}"):
        write(tmp_path, proposal(), proposal("S01"))
    assert list(tmp_path.iterdir()) == []


def test_in_place_the_manifest_lies_beside_the_raw_files(tmp_path):
    home = tmp_path / "S1" / "smile"
    home.mkdir(parents=True)
    assert write(tmp_path, proposal(rgb=home / "rgb.mp4", home=home), in_place=True) == ["written"]
    (session,) = find_sessions(read_dataset(tmp_path))
    assert (session.path, session.session.manifest.rgb.file) == (home / "session.toml", "rgb.mp4")


def test_in_place_never_writes_where_folders_are_marked_as_read_only(tmp_path):
    home = tmp_path / "raw" / "S1"
    home.mkdir(parents=True)
    for folder in (home, home.parent):
        folder.chmod(0o555)
        with pytest.raises(ConfigError, match="marked as read-only, so --in-place must not write there; use --out"):
            write(home.parent, proposal(home=home), in_place=True)
        folder.chmod(0o755)
    assert list((tmp_path / "raw").rglob("*")) == [home]


def test_in_place_begins_no_dataset_where_all_manifests_are_a_persons(tmp_path):
    home = tmp_path / "S1"
    home.mkdir()
    (home / "session.toml").write_text("# mine\n")
    assert write(tmp_path, proposal(home=home), in_place=True) == ["edited"]
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_in_place_needs_a_folder_per_recording(tmp_path):
    with pytest.raises(ConfigError, match="has no folder of its own, so --in-place cannot be; use --out"):
        write(tmp_path, proposal(), in_place=True)
    with pytest.raises(ConfigError, match=r"shares .* with others"):
        write(tmp_path, proposal(home=tmp_path), proposal("s02", home=tmp_path), in_place=True)


def test_what_is_made_is_there_before_the_manifest_and_made_again_only_if_it_must(tmp_path):
    calls = []

    def make(path):
        assert not path.with_name("session.toml").exists() or calls
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        calls.append(path.name)

    parts = (Made("always.csv", make), Made("stated.npz", make, stated=True))
    write(tmp_path, proposal(made=parts))
    write(tmp_path, proposal(made=parts))
    assert calls == ["always.csv", "stated.npz", "always.csv"]
    (tmp_path / "sessions" / "s01" / "stated.npz").unlink()
    write(tmp_path, proposal(made=parts))
    assert calls[3:] == ["always.csv", "stated.npz"]
