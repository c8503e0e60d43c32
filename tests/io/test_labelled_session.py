import shutil

import pytest

from au3dmm.errors import ConfigError, SchemaError, SessionError
from au3dmm.io.labelled_session import find_labelled
from labelled import label_small
from planted import small_bases


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    return folder / "s01", label_small(folder)


def test_a_recording_leads_to_its_results_and_they_lead_to_the_recording(made):
    recording, result = made
    folder = result.labels.parent
    forth, back = find_labelled(recording), find_labelled(folder)
    assert forth.folder.resolve() == back.folder.resolve() == folder.resolve()
    assert forth.recorded().folder.resolve() == back.recorded().folder.resolve() == recording.resolve()
    assert (forth.session_id, forth.subject_id) == (back.session_id, back.subject_id) == ("s01", "p01")
    for name in ("landmarks", "identity", "coefficients", "clock", "labels", "event_frames"):
        assert forth.file(name) == result.outputs[name]
        assert forth.has(name)


def test_results_elsewhere_are_found_by_the_run_that_is_named(made, tmp_path):
    recording, result = made
    shutil.copytree(result.labels.parents[2], tmp_path / "run")
    found = find_labelled(recording, tmp_path / "run")
    assert found.file("labels") == tmp_path / "run" / "sessions" / "s01" / "labels.parquet"
    alone = find_labelled(tmp_path / "run" / "sessions" / "s01")
    assert alone.subject_id == "p01"
    with pytest.raises(SessionError, match=r"recording was not found.*--run"):
        alone.recorded()
    with pytest.raises(ConfigError, match="no results of session 's01'"):
        find_labelled(recording, tmp_path)


def test_of_several_runs_one_must_be_named(made, tmp_path):
    recording, _ = made
    shutil.copytree(recording, tmp_path / "s01")
    runs = tmp_path / "s01" / "derivatives" / "au3dmm"
    shutil.copytree(runs / "label", runs / "other")
    with pytest.raises(ConfigError, match=r"2 runs .*label.*other.*--run"):
        find_labelled(tmp_path / "s01")


def test_the_basis_is_known_by_its_fingerprint(made, tmp_path):
    from au3dmm.io.bases import write_bases

    recording, _ = made
    right = recording.parent / "bases.npz"
    assert find_labelled(recording, bases=right).bases() == right
    with pytest.raises(SchemaError, match="not beside it; give it with --bases"):
        find_labelled(recording).bases()
    write_bases(tmp_path / "wrong.npz", small_bases(seed=1))
    with pytest.raises(SchemaError, match=r"wrong.npz: .* but 's01' was fitted with"):
        find_labelled(recording, bases=tmp_path / "wrong.npz").bases()
    # a run that learnt its basis has it
    shutil.copytree(recording, tmp_path / "s01")
    learnt = tmp_path / "s01" / "derivatives" / "au3dmm" / "label" / "bases.npz"
    shutil.copy(right, learnt)
    assert find_labelled(tmp_path / "s01").bases().resolve() == learnt.resolve()


def test_what_is_missing_is_said_with_what_makes_it(made, tmp_path):
    recording, _ = made
    shutil.copytree(recording, tmp_path / "s01")
    (tmp_path / "s01" / "derivatives" / "au3dmm" / "label" / "sessions" / "s01" / "labels.parquet").unlink()
    with pytest.raises(SchemaError, match=r"no labels in it; au3dmm label --session .*s01 makes them"):
        find_labelled(tmp_path / "s01").file("labels")
    shutil.rmtree(tmp_path / "s01" / "derivatives")
    with pytest.raises(ConfigError, match="no results of it; au3dmm label --session"):
        find_labelled(tmp_path / "s01")
    with pytest.raises(SessionError, match="no such folder"):
        find_labelled(tmp_path / "nowhere")
    with pytest.raises(SessionError, match=r"neither session\.toml nor results"):
        find_labelled(tmp_path)


def test_a_session_without_events_is_said_to_have_none(made, tmp_path):
    recording, _ = made
    shutil.copytree(recording, tmp_path / "s01")
    manifest = tmp_path / "s01" / "session.toml"
    lines = manifest.read_text().split("[events]")[0]
    manifest.write_text(lines)
    found = find_labelled(tmp_path / "s01")
    found.file("event_frames").unlink()
    with pytest.raises(SchemaError, match="has no events, and so no event frames"):
        found.file("event_frames")
