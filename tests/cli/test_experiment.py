"""`au3dmm experiment` as a user types it: what is missing is told in one line, before anything is trained."""

import pytest

from training_run import write_training_run

FELT = {"AU1": {"instructed": "Fear"}, "AU2": {"instructed": "Anger"}}


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    run = write_training_run(tmp_path_factory.mktemp("emotions"), people=2, n=4, emotions=FELT)
    return run.path.parents[2]


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    run = write_training_run(tmp_path_factory.mktemp("units"), people=2, n=4)
    return run.path.parents[2]


def refused(answer):
    assert answer.code == 2
    (line,) = answer.err
    return line


def test_the_dataset_to_begin_with_or_weights_are_asked_for(au3dmm, emotions):
    line = refused(au3dmm("experiment", "table6", "--labels", emotions, "--reduced"))
    assert "row 'pre-training': it learns from another dataset; give it with --also units=DIR, or weights" in line
    assert not (emotions / "derivatives/au3dmm/label/experiments").exists()


def test_what_is_asked_for_and_is_not_there_is_told(au3dmm, emotions, units, tmp_path):
    def say(*more, name="table6", labels=emotions):
        return refused(au3dmm("experiment", name, "--labels", labels, "--out", tmp_path / "o", *more))

    assert "--also 'units': expected NAME=DIR, such as units=DATASET" in say("--also", "units")
    assert "learns from a dataset of that name; it learns from units" in say("--also", f"faces={units}")
    assert "all of it learns from --labels" in say("--also", f"units={units}", name="table2")
    assert "nowhere: no such folder" in say("--also", f"units={tmp_path / 'nowhere'}")
    assert "no row of 'Table 2" in say("--init", tmp_path / "a.pt", name="table2")
    assert "seed0.pt: no such file; expected a checkpoint" in say("--init", tmp_path / "seed{seed}.pt")
    line = say("--also", f"units={units}", labels=units)
    assert "no recording says its emotion, and nobody says the classes of any other row" in line
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("folder", ["", "derivatives/au3dmm/label"])
def test_runs_of_other_frame_rates_that_are_not_there_are_named(au3dmm, units, tmp_path, folder):
    line = refused(au3dmm("experiment", "frame_rates", "--labels", units / folder, "--out", tmp_path / "o"))
    assert "row '30 frames/s': " in line
    assert "no run 'label30'" in line
    assert "au3dmm run" in line
