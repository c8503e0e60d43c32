import json

import pytest

from au3dmm.errors import OutputError
from au3dmm.io.ledger import Ledger

ORDER = ("detect", "fit")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("made")
    return tmp_path


def record(folder, mark="m", version=1, params=None, read=None):
    ledger = Ledger(folder / "stage.json", ORDER)
    ledger.record("fit", version, mark, {"a": folder / "a.txt"}, {"n": 3}, params or {"l1": 2.0}, read or {"x": "1"})
    return Ledger(folder / "stage.json", ORDER)


def why(ledger, folder, mark="m", version=1, params=None, read=None):
    return ledger.why("fit", mark, version, params or {"l1": 2.0}, read or {"x": "1"}, {"a": folder / "a.txt"})


def test_what_was_recorded_is_up_to_date_and_keeps_its_numbers(folder):
    ledger = record(folder)
    assert why(ledger, folder) is None
    assert ledger.is_current("fit", "m", {"a": folder / "a.txt"})
    assert ledger.summary("fit") == {"n": 3}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mark": "n", "version": 2}, "version 1 of the stage made it, now 2"),
        ({"mark": "n", "params": {"l1": 3.0}}, "changed: l1 = 3.0, was 2.0"),
        ({"mark": "n", "read": {"x": "1", "session:rgb": "2"}}, "changed: rgb"),
        ({"mark": "n"}, "changed: "),
    ],
)
def test_the_reason_names_what_has_changed(folder, change, reason):
    assert why(record(folder), folder, **change).startswith(reason.rstrip())


def test_a_stage_that_never_ran_and_files_that_are_not_as_written_are_told(folder):
    assert why(Ledger(folder / "stage.json", ORDER), folder) == "not done yet"
    ledger = record(folder)
    (folder / "a.txt").write_text("edited")
    assert why(ledger, folder) == "a.txt was changed since"
    (folder / "a.txt").unlink()
    assert why(ledger, folder) == "a.txt is missing"


def test_forgetting_removes_what_the_stage_wrote_but_for_what_it_will_write(folder):
    ledger = record(folder)
    ledger.forget("fit", folder, {"a": folder / "a.txt"})
    assert (folder / "a.txt").exists()
    ledger = record(folder)
    ledger.forget("fit", folder)
    assert not (folder / "a.txt").exists()
    assert Ledger(folder / "stage.json", ORDER).entries == {}


def test_an_output_that_is_not_there_is_not_recorded(folder):
    with pytest.raises(OutputError, match=r"stage fit wrote no .*none"):
        Ledger(folder / "stage.json", ORDER).record("fit", 1, "m", {"b": folder / "none"}, {}, {}, {})


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format_version": 2, "stages": {}}', '{"format_version": 1, "stages": 3}']
)
def test_a_ledger_that_cannot_be_read_is_as_good_as_none(folder, text):
    (folder / "stage.json").write_text(text)
    assert Ledger(folder / "stage.json", ORDER).entries == {}


def test_a_broken_entry_is_left_out_and_the_others_stay(folder):
    record(folder)
    data = json.loads((folder / "stage.json").read_text())
    data["stages"]["detect"] = {"outputs": "none"}
    (folder / "stage.json").write_text(json.dumps(data))
    assert set(Ledger(folder / "stage.json", ORDER).entries) == {"fit"}


def test_an_entry_of_an_older_version_without_inputs_gives_a_reason(folder):
    record(folder)
    data = json.loads((folder / "stage.json").read_text())
    for key in ("params", "inputs"):
        del data["stages"]["fit"][key]
    (folder / "stage.json").write_text(json.dumps(data))
    assert why(Ledger(folder / "stage.json", ORDER), folder, mark="n") == "something it is made from has changed"
