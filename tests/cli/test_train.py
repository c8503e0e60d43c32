"""`au3dmm train` as a user types it: a small model on a small run, again, in one line of error, as JSON."""

import json
import os
import stat
from pathlib import Path

import pytest

from au3dmm.cli.train import measured
from au3dmm.training.checkpoints import model_of, read_checkpoint
from au3dmm.training_config import TrainParams, load_training
from training_run import write_training_run

PIPELINES = Path(__file__).parents[2] / "pipelines"
SMALL = (
    "--set",
    "n_frames=8",
    "--set",
    "options.hidden=8",
    "--set",
    "batch=4",
    "--set",
    "epochs=2",
    "--set",
    "lr=0.05",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("dataset"), people=2, n=8)


@pytest.fixture
def train(au3dmm, run, tmp_path):
    def call(*more):
        where = ("--labels", run.path, "--out", tmp_path / "m", "--device", "cpu", "--workers", "0")
        return au3dmm("train", *where, *SMALL, "--model", "alpha_lstm", *more)

    return call


def test_a_model_is_trained_and_what_came_out_is_told(train, tmp_path):
    answer = train()
    assert answer.code == 0, answer.err
    assert f"checkpoint   {tmp_path}/m/best.pt" in answer.out
    assert "(chance: 25.0 %)" in answer.out
    assert "2 of 2, 2 whole epochs: all steps taken" in answer.out
    assert sum(line.startswith("epoch 2: accuracy ") for line in answer.err) == 1
    content = read_checkpoint(tmp_path / "m" / "best.pt")
    model = model_of(tmp_path / "m" / "best.pt", content)
    assert model.config == content["model"]
    assert content["config"]["optimise"]["optimiser"] == "adam"  # of pipelines/train_alpha_lstm.toml
    said = json.loads((tmp_path / "m" / "training.json").read_text())
    assert said["config"] == content["config"]
    assert set(said["versions"]) == {"au3dmm", "python", "torch", "numpy"}


def test_json_holds_what_programs_want_and_a_second_run_goes_on_or_does_nothing(train):
    first = json.loads(train("--json", "--progress", "json").out)
    assert (first["state"], first["steps"], first["classes"], first["clips_train"]) == ("ran", 2, 4, 4)
    assert set(first["val"]) == {"accuracy", "loss"}
    again = train()
    assert again.code == 2
    assert "has a training already; --resume goes on with it" in again.error
    assert json.loads(train("--json", "--resume").out)["state"] == "up to date"
    longer = json.loads(train("--json", "--resume", "--set", "epochs=3").out)
    assert (longer["state"], longer["steps"], longer["epochs"]) == ("ran", 3, 3)


def test_with_anew_other_values_begin_again_and_the_other_form_has_a_folder_of_its_own(au3dmm, run, tmp_path):
    file = tmp_path / "train_two.toml"
    file.write_text(
        'model = "alpha_lstm"\nform = "reduced"\n[optimise]\nepochs = 1\n[data]\nn_frames = 8\n'
        "[reduced.options]\nhidden = 8\n"
    )

    def call(*more):
        where = ("--labels", run.path, "--device", "cpu", "--workers", "0", "--json", "--progress", "none")
        return au3dmm("train", file, *where, *more)

    small = json.loads(call().out)
    assert small["out"] == str(run.path / "training" / "two")
    full = json.loads(call("--set", "form=full").out)
    assert full["out"] == str(run.path / "training" / "two_full")
    assert full["n_parameters"] > small["n_parameters"]
    refused = call("--resume", "--set", "seed=1")
    assert "begun with seed = 0, now 1; keep it" in refused.error
    assert json.loads(call("--resume", "--anew", "--set", "seed=1").out)["state"] == "ran"


def test_progress_as_json_is_one_object_a_line(train):
    events = [json.loads(line) for line in train("--progress", "json").err]
    assert [e["event"] for e in events if e["event"] != "progress"] == ["start", "epoch", "epoch", "done"]
    assert set(events[-2]["val"]) == {"accuracy", "loss"} if events[-2]["event"] == "epoch" else True
    assert train("--progress", "none", "--resume", "--set", "epochs=4").err == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--set", "optimise.btch=3"), r"unknown name 'optimise.btch': did you mean 'batch'?"),
        (("--set", "epoch=3"), "--set epoch: unknown name: did you mean 'epochs'?"),
        (("--set", "classes=au"), "--set classes: in data and in loss; say which: data.classes"),
        (("small",), "small: no such training file, nor one that is shipped (alpha_lstm, "),
        (("--model", "vit"), "no model 'vit'; there are: st_vit, "),
        (("--set", "options.dim=3"), "alpha_lstm has no option 'dim'; it has n_classes, "),
        (("--device", "cuda:9"), "--device cuda:9: "),
        (("--pipeline", "other"), "no run 'other' of it"),
        (("--init", "nowhere.pt"), "nowhere.pt: no such file; expected a checkpoint of au3dmm train"),
    ],
)
def test_mistakes_are_told_in_one_line(train, run, more, says):
    if more[0] == "--pipeline":
        more = (*more, "--labels", run.path.parents[2])
    answer = train(*more)
    assert answer.code == 2
    assert says in answer.error


def test_a_folder_that_cannot_be_written_is_named(train, tmp_path):
    (tmp_path / "m").write_text("a file")
    answer = train()
    assert answer.code == 4
    assert f"{tmp_path}/m" in answer.error
    if os.getuid():  # root may write anywhere
        (tmp_path / "m").unlink()
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert "cannot be written: Permission denied" in train().error


def test_shipped_files_are_valid_and_st_vits_spells_out_every_default():
    shipped = {path.stem: load_training(path) for path in sorted(PIPELINES.glob("train_*.toml"))}
    assert {"train_st_vit", "train_i3d", "train_resnet18_lstm", "train_alpha_transformer"} <= set(shipped)
    assert shipped["train_st_vit"] == TrainParams()
    import tomli

    spelled = tomli.loads((PIPELINES / "train_st_vit.toml").read_text())
    defaults = TrainParams().model_dump(mode="json")
    for section, values in defaults.items():
        known = {k for k, v in values.items() if v is not None} if isinstance(values, dict) else values
        assert (set(spelled[section]) if isinstance(values, dict) else spelled[section]) == known


def test_nothing_measured_is_nothing_said():
    assert measured({}) == ""
