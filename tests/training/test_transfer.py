"""Weights of one model for another: the trunk is taken over, and heads that mean something else are learnt anew."""

import pytest
import torch

from au3dmm.cli.experiment import run_of
from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import read_training_labels
from au3dmm.models import MODELS, make_model
from au3dmm.training.checkpoints import read_checkpoint, write_checkpoint
from au3dmm.training.clips import class_place
from au3dmm.training.experiments import run_experiment
from au3dmm.training.run import TrainOptions, train
from au3dmm.training.transfer import take_weights
from au3dmm.training_config import DataParams, ExperimentParams, load_training
from training_run import METADATA, Pooled, write_training_run

FELT = {
    "AU1": {"instructed": "Fear", "reported": "None"},
    "AU2": {"instructed": "Anger", "reported": "None"},
    "AU51": {"instructed": "Fear"},
    "AU52": {"instructed": "Contempt", "reported": "Anger"},
}
OTHER_BASIS = {**METADATA, "basis": {**METADATA["basis"], "file_hash": "sha256:" + "b" * 64}}
CPU = TrainOptions(device="cpu")
SIZES = {"frames": {"image_px": 32, "n_frames": 8, "n_alpha": 4}, "alpha": {"n_frames": 8, "n_alpha": 4}}
LABELS = {
    "k_au": 4,
    "basis": "a",
    "classes": ["x", "y", "z"],
    "names_occurrence": ["AU1", "AU2"],
    "representation": None,
}


@pytest.fixture(scope="module", autouse=True)
def pooled():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "pooled", Pooled)
        yield


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("units"), people=2, n=8)


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("emotions"), people=3, n=8, emotions=FELT)


def params(*changes, model="pooled"):
    few = ["data.n_frames=8", "data.image_px=16", "optimise.batch=4", "optimise.epochs=1"]
    return load_training(None, [*few, *changes], model=model)


@pytest.fixture(scope="module")
def checkpoint(units, tmp_path_factory):
    out = tmp_path_factory.mktemp("m")
    train(units, params(), out, CPU)
    return out / "last.pt"


@pytest.mark.parametrize("name", ["st_vit", "alpha_lstm", "alpha_transformer"])
def test_heads_of_other_things_are_learnt_anew_even_if_they_are_as_many(name, tmp_path):
    old, new = (make_model(name, n_classes=3, n_occurrence=2, **SIZES[MODELS[name].INPUT]) for _ in range(2))
    with torch.no_grad():
        for weights in old.parameters():
            weights.fill_(0.25)
    path = tmp_path / "a.pt"
    write(path, old, LABELS)
    assert take_weights(path, new, LABELS) == {}
    assert all((weights == 0.25).all() for weights in new.parameters())
    again = make_model(name, n_classes=3, n_occurrence=2, **SIZES[MODELS[name].INPUT])
    random = torch.random.get_rng_state()
    anew = take_weights(path, again, {**LABELS, "classes": ["x", "y", "w"], "names_occurrence": ["AU1", "AU4"]})
    assert torch.equal(random, torch.random.get_rng_state())
    names = {name for some in anew.values() for name in some}
    assert len(anew) == 2
    assert 3 <= len(names) <= 5
    for key, weights in again.named_parameters():
        assert (weights == 0.25).all() == (key not in names), key
    assert "it tells 3 classes apart (x, y, z), here are 3 (x, y, w)" in anew


def test_coefficients_of_another_basis_are_learnt_anew_and_models_that_read_them_refused(tmp_path):
    for name in ("st_vit", "alpha_lstm"):
        model = make_model(name, n_classes=3, **SIZES[MODELS[name].INPUT])
        path = tmp_path / f"{name}.pt"
        write(path, model, LABELS)
        if name == "st_vit":
            anew = take_weights(path, model, {**LABELS, "basis": "b"})
            assert anew == {
                "its coefficients are of basis a, these of b": ["regress.1.weight", "regress.1.bias"],
            }
        else:
            with pytest.raises(SchemaError, match="with basis a, these have b; alpha_lstm reads them: label both"):
                take_weights(path, model, {**LABELS, "basis": "b"})
            with pytest.raises(SchemaError, match="with coefficients 4, these have 5"):
                take_weights(path, model, {**LABELS, "k_au": 5})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dim": 32}, "st_vit with dim = 64, expected 32; set options.dim alike"),
        ({"heads": 2, "dim_head": 128}, "with heads = 4, expected 2"),
        ({"shift": "cardinal_1px"}, "with shift = diagonal_half, expected cardinal_1px"),
    ],
)
def test_another_network_is_refused_though_its_shapes_may_agree(options, said, tmp_path):
    path = tmp_path / "a.pt"
    write(path, make_model("st_vit", **SIZES["frames"]), LABELS)
    with pytest.raises(SchemaError, match=said):
        take_weights(path, make_model("st_vit", **SIZES["frames"], **options), LABELS)


def test_longer_clips_and_larger_pictures_learn_their_positions_anew(tmp_path):
    path = tmp_path / "a.pt"
    write(path, make_model("st_vit", n_frames=8, image_px=32), LABELS)
    anew = take_weights(path, make_model("st_vit", n_frames=16, image_px=64, dropout=0.0), LABELS)
    ((why, names),) = anew.items()
    assert why == "of another shape, or not in it"
    assert len(names) == 2
    assert all("position" in name for name in names)


def write(path, model, labels):
    content = {"model": model.config, "state_dict": model.state_dict(), "labels": labels}
    write_checkpoint(path, {**content, "progress": {}, "config": {}})


def test_fine_tuning_says_what_is_learnt_anew(checkpoint, emotions, tmp_path, caplog):
    options = TrainOptions(device="cpu", init=checkpoint)
    train(emotions, params("data.classes=emotion", "max_steps=1", "optimise.lr=1e-12"), tmp_path / "b", options)
    told = [record.message for record in caplog.records if "learnt anew" in record.message]
    assert told == [
        f"{checkpoint}: it tells 4 classes apart (AU1, AU2, AU51, ...), here are 3 (Anger, Contempt, Fear): learnt"
        " anew: classify.weight, classify.bias"
    ]
    a, b = (read_checkpoint(path)["state_dict"] for path in (checkpoint, tmp_path / "b" / "last.pt"))
    assert torch.allclose(a["features.0.weight"], b["features.0.weight"], atol=1e-9)
    assert torch.allclose(a["regress.weight"], b["regress.weight"], atol=1e-9)


def test_coefficients_of_another_basis_are_told_and_learnt_anew(checkpoint, tmp_path, caplog):
    other = write_training_run(tmp_path / "other", people=2, n=8, metadata=OTHER_BASIS)
    options = TrainOptions(device="cpu", init=checkpoint)
    train(other, params("seed=1", "max_steps=1", "optimise.lr=1e-12"), tmp_path / "b", options)
    assert "its coefficients are of basis sha256:aaa" in caplog.text
    assert "learnt anew: regress.weight, regress.bias" in caplog.text
    a, b = (read_checkpoint(path)["state_dict"] for path in (checkpoint, tmp_path / "b" / "last.pt"))
    assert torch.allclose(a["classify.weight"], b["classify.weight"], atol=1e-9)
    assert not torch.allclose(a["regress.weight"], b["regress.weight"], atol=1e-3)


def test_a_training_goes_on_with_the_weights_that_it_began_with_and_no_others(checkpoint, units, tmp_path):
    begun = {"device": "cpu", "init": checkpoint, "resume": True}
    train(units, params("max_steps=1"), tmp_path / "m", TrainOptions(**begun))
    train(units, params("max_steps=2"), tmp_path / "m", TrainOptions(**begun))
    train(units, params("max_steps=3"), tmp_path / "m", TrainOptions(device="cpu", resume=True))
    train(units, params("seed=4", "max_steps=1"), tmp_path / "a", CPU)
    with pytest.raises(ConfigError, match="begun with other weights, not with those of --init"):
        train(units, params("max_steps=3"), tmp_path / "m", TrainOptions(**begun | {"init": tmp_path / "a/last.pt"}))
    with pytest.raises(ConfigError, match="begun with new weights"):
        train(units, params("seed=4", "max_steps=2"), tmp_path / "a", TrainOptions(**begun))


def test_emotions_are_classes_and_who_says_none_is_not_who_says_nothing(emotions):
    labels = read_training_labels(emotions, emotions=True)
    first = labels.sessions[:4]
    assert {s.au: s.emotion for s in first} == {au: said["instructed"] for au, said in FELT.items()}
    by_unit = {s.au: s for s in first}
    reported = DataParams(classes="reported_emotion")
    classes = ["Anger", "None"]
    assert [class_place(classes, by_unit[au], reported) for au in FELT] == [1, 1, -1, 0]
    assert read_training_labels(emotions).sessions[0].emotion is None


# experiments of two datasets

TRANSFER = {
    "title": "t",
    "split": "val",
    "seeds": [0, 1],
    "base": {"data": {"n_frames": 8, "image_px": 16, "classes": "emotion"}, "optimise": {"batch": 4, "epochs": 1}},
    "runs": [
        {
            "name": "first",
            "model": "pooled",
            "table": False,
            "dataset": "units",
            "values": {"data": {"classes": "au"}},
        },
        {"name": "scratch", "model": "pooled"},
        {"name": "tuned", "model": "pooled", "init": "first"},
        {"name": "said", "model": "pooled", "init": "first", "values": {"data": {"classes": "reported_emotion"}}},
    ],
}


@pytest.fixture
def experiment(units, emotions):
    where = {None: emotions, "units": units}

    def call(out, asked=None, **how):
        options = TrainOptions(device="cpu", init=how.pop("init", None))
        params = ExperimentParams.model_validate(TRANSFER)
        return run_experiment(params, lambda run: (asked or where)[run.dataset], out, options=options, **how)

    return call


def test_an_experiment_learns_from_one_dataset_and_then_from_another(experiment, tmp_path):
    result = experiment(tmp_path)
    assert [(r["name"], r["seed"]) for r in result.results] == [
        (name, seed) for name in ("scratch", "tuned", "said") for seed in (0, 1)
    ]
    assert "first" not in result.table
    first = read_checkpoint(tmp_path / "first/seed1/best.pt")
    assert first["labels"]["classes"] == ["AU1", "AU2", "AU51", "AU52"]
    tuned = read_checkpoint(tmp_path / "tuned/seed1/best.pt")
    assert tuned["labels"]["classes"] == ["Anger", "Contempt", "Fear"]
    assert tuned["init"] is not None
    assert read_checkpoint(tmp_path / "scratch/seed1/best.pt")["init"] is None
    # one subject did not say what she felt
    assert "4 recordings of 1 subject (val)" in result.table
    assert "3 recordings of 1 subject (val)" in result.table


def test_weights_that_are_there_stand_in_for_those_that_would_be_trained(experiment, tmp_path, units):
    for seed in (0, 1):
        train(units, params(f"seed={seed}"), tmp_path / f"w/{seed}", CPU)
    result = experiment(tmp_path / "o", init=tmp_path / "w/{seed}/last.pt", rows=("tuned",))
    assert {r["name"] for r in result.results} == {"tuned"}
    assert not (tmp_path / "o/first").exists()
    begun = [read_checkpoint(tmp_path / f"o/tuned/seed{seed}/last.pt")["init"] for seed in (0, 1)]
    assert begun[0] != begun[1]


def test_a_row_of_classes_that_nobody_says_is_left_out_and_told_or_refused_by_name(experiment, tmp_path, units):
    few = write_training_run(
        tmp_path / "few", people=2, n=8, emotions={au: {"instructed": said["instructed"]} for au, said in FELT.items()}
    )
    where = {None: few, "units": units}
    result = experiment(tmp_path / "o", where, seeds=(0,))
    assert {r["name"] for r in result.results} == {"scratch", "tuned"}
    assert "Left out: said (no recording says its reported_emotion)." in result.table
    with pytest.raises(ConfigError, match=r"row 'said': .*label: no recording says its reported_emotion$"):
        experiment(tmp_path / "o", where, rows=("said",))
    with pytest.raises(ConfigError, match="row 'scratch': no recording says its emotion, and nobody says"):
        experiment(tmp_path / "p", {None: units, "units": units})
    assert not (tmp_path / "p").exists()


def test_weights_that_do_not_fit_are_refused_before_anything_is_trained(experiment, tmp_path, checkpoint):
    with pytest.raises(SchemaError, match=r"w0\.pt: no such file"):
        experiment(tmp_path / "o", init=tmp_path / "w{seed}.pt")
    with pytest.raises(ConfigError, match="only tuned; said begins with other weights; leave it away"):
        experiment(tmp_path / "o", init=checkpoint, rows=("scratch",))
    write(tmp_path / "lstm.pt", make_model("alpha_lstm"), LABELS)
    with pytest.raises(SchemaError, match=r"row 'tuned' in its full form: .*checkpoint of alpha_lstm, expected one of"):
        experiment(tmp_path / "o", init=tmp_path / "lstm.pt")
    assert not (tmp_path / "o").exists()


def test_a_folder_of_a_run_is_no_other_run(units, tmp_path):
    dataset = units.path.parents[2]
    assert run_of(dataset, None) == run_of(units.path, None) == run_of(units.path, "label") == RunFolder(units.path)
    with pytest.raises(ConfigError, match="no run 'label60' beside it; au3dmm run label60 makes one"):
        run_of(units.path, "label60")
    with pytest.raises(ConfigError, match="no run 'label60' of it; there are: label"):
        run_of(dataset, "label60")
    beside = write_training_run(tmp_path, people=1, n=4, pipeline="label60", val=False)
    write_training_run(tmp_path, people=1, n=4, val=False)
    assert run_of(tmp_path / "derivatives/au3dmm/label", "label60") == beside
