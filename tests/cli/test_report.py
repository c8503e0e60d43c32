import json
import shutil

import pytest

from au3dmm.report.session_page import write_session_page
from pages import Checker
from planted_session import write_labelled
from small_dataset import write_dataset


def test_label_writes_a_page_and_names_it_in_its_last_lines(label, folder_of):
    answer = label()
    page = folder_of / "report.html"
    assert answer.out.split("\nnext\n")[1].splitlines()[0].split() == ["look", "at", str(page)]
    checker = Checker()
    checker.feed(page.read_text("utf-8"))
    assert checker.open == []
    assert "holds no biometric data" in page.read_text("utf-8")


def test_label_json_names_the_page(label, folder_of):
    answer = label("--json", "--progress", "none")
    assert json.loads(answer.out)["outputs"]["report"] == str(folder_of / "report.html")


def test_report_makes_the_same_page_again_from_the_recording_or_the_runs_folder(
    label, au3dmm, recording, folder_of, template
):
    label()
    page = folder_of / "report.html"
    first = page.read_bytes()
    for where in (recording, folder_of, folder_of.parent.parent):
        page.unlink()
        answer = au3dmm("report", where, "--bases", template.parent / "bases.npz")
        assert answer.code == 0, answer.err
        assert page.read_bytes() == first
        assert str(page) in answer.out


def test_thumbnails_show_the_face_only_where_they_are_asked_for(label, au3dmm, recording, folder_of, template):
    label()
    answer = au3dmm("report", recording, "--thumbnails", "--bases", template.parent / "bases.npz")
    assert answer.code == 0
    text = (folder_of / "report.html").read_text("utf-8")
    assert "This page holds biometric data" in text
    assert text.count('alt="RGB frame at') == text.count('alt="event frame at') > 1
    label()
    assert 'alt="RGB frame at' not in (folder_of / "report.html").read_text("utf-8")


def test_a_page_that_shows_something_else_than_the_labels_is_removed_when_they_change(
    label, au3dmm, recording, folder_of
):
    label()
    (folder_of / "report.html").write_text("old")
    (folder_of / "clock.json").unlink()
    label("--sync", "start")
    assert "The clock is a guess" in (folder_of / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A labelled dataset of two people with a recording each, whose pages were asked for."""
    from au3dmm.cli import run

    folder = tmp_path_factory.mktemp("pages") / "ds"
    write_dataset(folder, subjects=2, sessions=1)
    argv = ["run", "--dataset", str(folder), "--detector", "precomputed", "--executor", "serial", "--session-pages"]
    assert run([*argv, "--progress", "none"]) == 0
    return folder


@pytest.fixture
def copy(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "ds")
    return tmp_path / "ds"


def test_run_writes_pages_when_asked_and_the_datasets_page_links_to_those_that_are_there(dataset, copy, au3dmm):
    run = copy / "derivatives" / "au3dmm" / "label"
    for name in ("S000_0", "S001_0"):
        assert (run / "sessions" / name / "report.html").is_file()
        assert f'<a href="sessions/{name}/report.html">{name}</a>' in (run / "report.html").read_text()
    (run / "sessions" / "S000_0" / "report.html").unlink()
    assert au3dmm("report", copy).code == 0
    text = (run / "report.html").read_text()
    assert "sessions/S000_0/report.html" not in text
    assert "sessions/S001_0/report.html" in text


def test_report_of_a_dataset_makes_the_pages_that_are_named(copy, au3dmm):
    run = copy / "derivatives" / "au3dmm" / "label"
    pages = {name: run / "sessions" / name / "report.html" for name in ("S000_0", "S001_0")}
    before = {name: path.read_bytes() for name, path in pages.items()}
    for path in pages.values():
        path.unlink()
    answer = au3dmm("report", copy, "--session", "S001_0", "--json")
    assert json.loads(answer.out)["sessions"] == {"S001_0": str(pages["S001_0"])}
    assert not pages["S000_0"].exists()
    assert pages["S001_0"].read_bytes() == before["S001_0"]  # the basis was found, as dataset.toml names it
    assert au3dmm("report", run, "--sessions", "all").code == 0
    assert pages["S000_0"].read_bytes() == before["S000_0"]
    assert "sessions/S000_0/report.html" in (run / "report.html").read_text()


def test_what_cannot_be_shown_is_refused_in_one_line(au3dmm, copy, recording, tmp_path):
    assert "expected a dataset" in au3dmm("report", tmp_path / "none").error
    assert "was not labelled here" in au3dmm("report", recording).error
    assert "not in" in au3dmm("report", copy, "--session", "S009").error
    assert "leave --session away" in au3dmm("report", copy, "--session", "S009", "--sessions", "all").error
    run = copy / "derivatives" / "au3dmm" / "label"
    (run / "failures.jsonl").write_text(
        json.dumps({"session_id": "S9", "stage": "detect", "message": "no video"}) + "\n"
    )
    assert "nothing was made of it" in au3dmm("report", copy, "--session", "S9").error
    (run / "dataset" / "sessions.parquet").unlink()
    assert au3dmm("report", copy).code == 0
    assert "not put together yet" in (run / "report.html").read_text()
    assert "--session-pages" in au3dmm("run", "--dataset", copy, "--thumbnails").error


def test_predictions_beside_the_model_are_compared_and_those_of_another_basis_are_not(tmp_path):
    import numpy as np

    from au3dmm.io.predictions import PredictionRows, write_predictions
    from au3dmm.report.session_page import PageOptions

    made = write_labelled(tmp_path / "run")
    n = 60
    start = 33_333 * np.arange(n, dtype=np.int64) + 5_000_000 - 16_000
    rows = PredictionRows(
        np.arange(n), start, start + 33_000, np.ones(n, np.int64), np.ones(n, np.int32), np.ones(n, bool), None,
        made.alpha.astype(np.float32) / 2, None,
    )  # fmt: skip
    path = tmp_path / "run" / "training" / "small" / "predictions" / "s01" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    for names, told in (
        (list(made.bases.names_au), "from the events, by small (gru)"),
        (["x"] * 3, "of another basis"),
    ):
        write_predictions(path, [rows], [], 3, 0, {"model": {"name": "gru"}, "basis": {"names_au": names}})
        text = write_session_page(made.folder, PageOptions(made.bases_file)).read_text("utf-8")
        assert told in text
        said = json.loads(text.split('id="data">')[1].split("</script>")[0])["regressed"]
        assert (said is None) == (names[0] == "x")
        if said:
            import base64

            steps = np.frombuffer(base64.b64decode(said["data"]), np.uint8).reshape(n, 3)
            assert np.abs(said["low"] + steps * np.array(said["step"]) - made.alpha / 2).max() < 0.01
