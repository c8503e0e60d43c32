import json
import shutil

import pytest
from click.testing import CliRunner

from au3dmm.cli.export import export
from au3dmm.cli.forget import forget
from au3dmm.cli.validate import validate
from au3dmm.errors import ConfigError
from au3dmm.report.dataset_card import write_dataset_card
from dataset_run import tree_bytes, write_dataset, write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "ds"
    write_dataset(folder, subjects=["S1", "S2"])
    write_dataset_card(write_run(folder))
    return folder


@pytest.fixture
def dataset(made, tmp_path):
    shutil.copytree(made, tmp_path / "ds")
    return tmp_path / "ds"


def call(command, *args):
    result = CliRunner().invoke(command, [str(arg) for arg in args], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value or 0, result.stdout


def test_export_says_what_it_wrote_and_warns_of_what_identifies_people(dataset, tmp_path):
    how = ("--dataset", dataset, "--format", "csv", "--out", tmp_path / "out", "--json")
    _, text = call(export, *how)
    said = json.loads(text)
    assert (said["state"], said["sessions"], said["subjects"]) == ("written", 4, 2)
    assert json.loads(call(export, *how)[1])["state"] == "up to date"
    result = CliRunner().invoke(export, [str(arg) for arg in (*how[:-1], "--with-identity")], standalone_mode=False)
    assert "identity coefficients are inside, which identify people" in result.stderr


def test_export_asks_which_run_where_there_are_two(dataset, tmp_path):
    runs = dataset / "derivatives" / "au3dmm"
    shutil.copytree(runs / "label", runs / "other")
    how = ("--dataset", dataset, "--format", "npz", "--out", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"2 runs \(label, other\); expected one; say which with --pipeline"):
        call(export, *how)
    assert call(export, *how, "--pipeline", "other")[0] == 0


def test_validate_checks_a_dataset(dataset):
    code, text = call(validate, "--dataset", dataset)
    assert (code, text.strip().endswith("all is well")) == (0, True)
    (dataset / "derivatives" / "au3dmm" / "label" / "sessions" / "S1_AU1_1" / "clock.json").unlink()
    code, text = call(validate, "--dataset", dataset, "--json", "--workers", "1")
    assert code == 4
    assert "clock.json" in json.loads(text)["problems"][0]["file"]


@pytest.mark.parametrize("args", [(), ("x", "--dataset", "y"), ("x", "--pipeline", "y")])
def test_validate_wants_one_of_two(args):
    with pytest.raises(ConfigError, match="validate: "):
        call(validate, *args)


def test_forget_lists_asks_and_removes(dataset):
    before = tree_bytes(dataset)
    code, text = call(forget, "--subject", "S1", "--dataset", dataset, "--dry-run")
    assert code == 0
    for word in ("subjects/S1", "would be made again", "rawdata/S1_AU1_1"):
        assert word in text
    with pytest.raises(ConfigError, match="nobody to ask"):
        call(forget, "--subject", "S1", "--dataset", dataset)
    assert tree_bytes(dataset) == before
    code, text = call(forget, "--subject", "S1", "--dataset", dataset, "--yes", "--json")
    said = json.loads(text)
    assert (code, said["clean"], said["session_ids"]) == (0, True, ["S1_AU12_1", "S1_AU1_1"])


def test_forget_says_with_its_exit_code_that_something_is_left(dataset):
    (dataset / "derivatives" / "au3dmm" / "notes.txt").write_text("S1 was late")
    code, text = call(forget, "--subject", "S1", "--dataset", dataset, "--yes")
    assert code == 4
    assert "LEFT" in text
    assert "notes.txt: S1 in its text" in text
