"""`au3dmm synth dataset` as it is typed."""

import json

import pytest

from au3dmm.cli import run
from au3dmm.io.images import read_image
from au3dmm.synthetic import dataset
from au3dmm.synthetic.session_setup import Setup


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    tiny = Setup(rgb_size=(160, 120), event_size=(160, 90), simulate_fps=40.0, tail_us=10_000)
    monkeypatch.setattr(dataset, "_setup", lambda small: tiny)


def typed(out, *more):
    options = ("--subjects", "1", "--repetitions", "1", "--seconds", "0.5", "--workers", "1")
    return run(["synth", "dataset", "--out", str(out), *options, *more])


def test_a_dataset_is_made_then_up_to_date_and_a_sheet_is_drawn_on_request(tmp_path, capsys):
    out = tmp_path / "data"
    assert typed(out, "--aus", "12,FREE") == 0
    answer = capsys.readouterr()
    assert "2 sessions of 1 subject: 2 made, 0 up to date" in answer.out
    assert "sessions: 2 of 2" in answer.err or "sessions: started" in answer.err
    assert not (out / "contact_sheet.png").exists()
    assert typed(out, "--aus", "AU12", "--json", "--contact-sheet") == 0
    answer = capsys.readouterr()
    result = json.loads(answer.out)
    assert (result["made"], result["up_to_date"], result["others"]) == (0, 1, ["S001_FREE_1"])
    assert "1 session of another dataset, such as S001_FREE_1; left as it was" in answer.err
    assert read_image(out / "contact_sheet.png").shape[1] >= 600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--aus", "AU3"), "no task 'AU3'; there are AU1, AU2, AU4"),
        (("--head", "flame"), "--head: 'flame'; expected demo, or ict:FILE"),
        (("--seconds", "0.1"), "Invalid value for '--seconds'"),
        (("--subjects", "0"), "Invalid value for '--subjects'"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(tmp_path, capsys, options, message):
    assert typed(tmp_path / "data", *options) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (tmp_path / "data").exists()
