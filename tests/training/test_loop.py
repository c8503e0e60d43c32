"""The loop: it learns, stops, goes on after a kill with the same bits, and says which clips or batch were to blame."""

import csv
import itertools
import multiprocessing
import os
import signal
import socket
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch

from au3dmm.errors import BusyError, ConfigError, FitError, SchemaError
from au3dmm.io.atomic import folder_lock
from au3dmm.models import MODELS
from au3dmm.training.checkpoints import read_checkpoint, write_checkpoint
from au3dmm.training.clips import collate
from au3dmm.training.evaluating import evaluate
from au3dmm.training.loop import LAST
from au3dmm.training.losses import training_loss
from au3dmm.training.optimisers import rate_factor
from au3dmm.training.run import TrainOptions, train
from au3dmm.training.setup import read_setup
from au3dmm.training_config import OptimiseParams, load_training
from mesh_run import write_mesh_run
from training_run import METADATA, UNITS, Pooled, write_training_run

CPU = TrainOptions(device="cpu", checkpoint_every=2, log_every=1)
ON = TrainOptions(device="cpu", checkpoint_every=2, log_every=1, resume=True)
BASE = ("n_frames=8", "image_px=16", "batch=3", "epochs=3", "optimise.lr=0.01", "loss.alpha=0.5", "contrast=0.2")


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(MODELS, "pooled", Pooled)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("run"), people=3, n=12, coded=True)


def params(*changes, model="pooled"):
    return load_training(None, [*BASE, *changes], model)


def rows(out):
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def in_a_process(target, *args):
    """Run `target` in a copy of this process, and return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    process.join(60)
    return process.exitcode


def weights(path):
    content = read_checkpoint(path)
    optimizer = [value for state in content["optimizer"]["state"].values() for value in state.values()]
    return [*content["state_dict"].values(), *optimizer], content


def test_a_model_learns_what_was_planted_and_its_best_is_kept(run, tmp_path):
    result = train(run, params("epochs=8", "monitor=loss", "options.dropout=0.0"), tmp_path / "m", CPU)
    val = result.position.best_measures
    assert val["accuracy"] == 1.0
    assert val["alpha"] < 0.4  # 0.5 without having learnt anything
    assert (result.clips_train, result.clips_val, result.classes) == (16, 8, 4)
    last, best = (read_checkpoint(tmp_path / "m" / name) for name in ("last.pt", "best.pt"))
    assert last["progress"]["step"] == result.total == 8 * 6
    assert best["metrics"]["loss"] == pytest.approx(
        min(float(r["loss"]) for r in rows(tmp_path / "m") if r["part"] == "val")
    )
    assert last["labels"]["classes"] == list(UNITS)
    assert last["labels"]["basis"] == METADATA["basis"]["file_hash"]
    assert last["labels"]["representation"] == {"name": "polarity", "channels": 1, "scale": 1 / 128, "zero": 128.0}


def test_a_killed_training_that_goes_on_ends_with_the_same_bits(run, tmp_path):
    def killed_at(step):
        def watch(event):
            if event["event"] == "progress" and event["done"] == step:
                os.kill(os.getpid(), signal.SIGKILL)

        train(run, params(), tmp_path / "killed", ON, watch)

    train(run, params(), tmp_path / "whole", CPU)
    for step in (3, 6, 11):  # in the middle of an epoch, after its last step, after a checkpoint
        assert in_a_process(killed_at, step) == -signal.SIGKILL
    result = train(run, params(), tmp_path / "killed", ON)
    assert result.position.step == 18
    (whole, said), (killed, again) = weights(tmp_path / "whole" / "last.pt"), weights(tmp_path / "killed" / "last.pt")
    assert len(whole) > 12
    assert all(torch.equal(a, b) for a, b in zip(whole, killed, strict=True))
    assert said["progress"] == again["progress"]
    for name in ("log.csv", "last.pt", "best.pt"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_more_epochs_later_are_as_good_as_all_at_once(run, tmp_path):
    train(run, params("epochs=2"), tmp_path / "m", CPU)
    assert train(run, params("epochs=2"), tmp_path / "m", ON).state == "up to date"
    assert train(run, params("epochs=3"), tmp_path / "m", ON).state == "ran"
    train(run, params("epochs=3"), tmp_path / "whole", CPU)
    for a, b in zip(weights(tmp_path / "m" / "last.pt")[0], weights(tmp_path / "whole" / "last.pt")[0], strict=True):
        assert torch.equal(a, b)


def test_a_training_stops_when_nothing_gets_better(run, tmp_path):
    result = train(run, params("epochs=50", "patience=2", "optimise.lr=1e-9"), tmp_path / "m", CPU)
    assert result.position.finished == "no better model for 2 epochs"
    assert result.position.epoch < 50
    assert result.position.epoch - 1 == result.position.best_epoch + 2


def test_more_patience_later_goes_on_and_less_does_not(run, tmp_path):
    still = ("epochs=6", "optimise.lr=1e-9")
    train(run, params(*still, "patience=1"), tmp_path / "m", CPU)
    assert train(run, params(*still, "patience=1"), tmp_path / "m", ON).state == "up to date"
    result = train(run, params(*still, "patience=3"), tmp_path / "m", ON)
    assert result.position.finished == "no better model for 3 epochs"
    train(run, params(*still, "patience=3"), tmp_path / "whole", CPU)
    for a, b in zip(weights(tmp_path / "m" / "last.pt")[0], weights(tmp_path / "whole" / "last.pt")[0], strict=True):
        assert torch.equal(a, b)
    result = train(run, params(*still, "patience=0"), tmp_path / "m", ON)
    assert result.position.finished == "all steps taken"


def test_max_steps_ends_in_the_middle_of_an_epoch(run, tmp_path):
    result = train(run, params("max_steps=4"), tmp_path / "m", CPU)
    assert (result.position.step, result.position.epoch, result.position.batch) == (4, 0, 4)
    train(run, params("max_steps=9"), tmp_path / "m", ON)
    train(run, params("max_steps=9"), tmp_path / "whole", CPU)
    for a, b in zip(weights(tmp_path / "m" / "last.pt")[0], weights(tmp_path / "whole" / "last.pt")[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "change", ["precision=bf16", "optimiser=sgd", "schedule=cosine", "alpha_by_std=true", "flip=0.5"]
)
def test_every_way_of_learning_takes_finite_steps(run, tmp_path, change):
    train(run, params(change, "max_steps=3", "warmup_steps=2"), tmp_path / "m", CPU)
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "m" / "last.pt")[0])
    assert [float(row["lr"]) for row in rows(tmp_path / "m") if row["part"] == "train"][:2] == pytest.approx(
        [0.005, 0.01]
    )


def test_units_coded_in_frames_are_learnt_where_they_were_coded(run, tmp_path):
    out = tmp_path / "m"
    train(run, params("loss.occurrence=1", "loss.classes=0", "loss.alpha=0", "monitor=loss", "max_steps=3"), out, CPU)
    logged = [row for row in rows(out) if row["part"] == "train"]
    assert all(float(row["occurrence"]) > 0 and not row["alpha"] and not row["classes"] for row in logged)
    assert read_checkpoint(out / "last.pt")["model"]["options"]["n_occurrence"] == 4


def test_models_of_coefficients_learn_classes_alone(run, tmp_path):
    small = ("options.hidden=8", "epochs=6", "optimise.lr=0.05")
    result = train(run, params(*small, model="alpha_lstm"), tmp_path / "m", CPU)
    assert result.position.best_measures["accuracy"] == 1.0
    assert "alpha" not in result.position.best_measures
    assert read_checkpoint(tmp_path / "m" / "last.pt")["labels"]["representation"] is None


def test_nan_stops_with_the_clip_named_and_the_last_good_weights_kept(run, tmp_path):
    train(run, params("max_steps=2"), tmp_path / "m", CPU)
    before = (tmp_path / "m" / "last.pt").read_bytes()
    MODELS["pooled"] = type(
        "Broken", (Pooled,), {"forward": lambda self, x, padding=None: nan_in_second(self, x, padding)}
    )
    with pytest.raises(FitError, match=r"step 3: the loss is not finite, in clips S\d_AU\d+ from frame \d; .*last\.pt"):
        train(run, params("max_steps=9"), tmp_path / "m", ON)
    assert (tmp_path / "m" / "last.pt").read_bytes() == before


def nan_in_second(model, x, padding):
    answer = Pooled.forward(model, x, padding)
    return answer._replace(logits=torch.where(torch.arange(len(x))[:, None] == 1, torch.nan, answer.logits))


def test_a_gradient_that_is_not_finite_does_no_harm(run, tmp_path, monkeypatch):
    train(run, params("max_steps=2"), tmp_path / "m", CPU)
    before = (tmp_path / "m" / "last.pt").read_bytes()
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(torch.inf))
    with pytest.raises(FitError, match=r"step 3: the gradient is not finite"):
        train(run, params("max_steps=9"), tmp_path / "m", ON)
    assert (tmp_path / "m" / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("most", "says"),
    [(3, r"batch of 8 clips does not fit .* cpu; 2 would: --set optimise\.batch=2"), (0, "nor does one clip")],
)
def test_when_memory_runs_out_the_batch_that_fits_is_named(run, tmp_path, most, says):
    def forward(self, x, padding=None):
        if len(x) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return Pooled.forward(self, x, padding)

    MODELS["pooled"] = type("Large", (Pooled,), {"forward": forward})
    with pytest.raises(FitError, match=says):
        train(run, params("batch=8"), tmp_path / "m", CPU)


@pytest.mark.parametrize(("most", "says"), [(3, r"does not fit .* 2 would: --batch 2$"), (0, "nor does one clip")])
def test_memory_that_runs_out_in_an_evaluation_is_told_too(run, tmp_path, most, says):
    train(run, params("max_steps=1"), tmp_path / "m", CPU)

    def forward(self, x, padding=None):
        if len(x) > most and not self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return Pooled.forward(self, x, padding)

    MODELS["pooled"] = type("Large", (Pooled,), {"forward": forward})
    with pytest.raises(FitError, match=says):
        evaluate(tmp_path / "m" / LAST, run, "val", device="cpu", batch=8)
    with pytest.raises(FitError, match=says.replace("--batch ", r"--set optimise\.batch=")):
        train(run, params("batch=8", "max_steps=1"), tmp_path / "n", CPU)


def test_another_error_is_no_lack_of_memory(run, tmp_path):
    def forward(self, x, padding=None):
        raise RuntimeError("shapes do not fit")

    MODELS["pooled"] = type("Wrong", (Pooled,), {"forward": forward})
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(run, params(), tmp_path / "m", CPU)


def test_a_training_is_not_overwritten_nor_gone_on_with_when_something_else_is_wanted(run, tmp_path):
    out = tmp_path / "m"
    train(run, params("max_steps=2"), out, CPU)
    with pytest.raises(
        ConfigError, match=r"has a training already; --resume goes on with it, --anew replaces it, --out"
    ):
        train(run, params(), out, CPU)
    with pytest.raises(ConfigError, match=r"last\.pt: begun with optimise\.lr = 0\.01, now 0\.02; keep it, train anew"):
        train(run, params("optimise.lr=0.02"), out, ON)
    with pytest.raises(ConfigError, match=r"begun with seed = 0, now 1"):
        train(run, params("seed=1"), out, ON)
    with pytest.raises(SchemaError, match=r"last\.pt: checkpoint of pooled, expected one of alpha_lstm"):
        train(run, params("options.hidden=8", model="alpha_lstm"), out, ON)
    with pytest.raises(SchemaError, match=r"checkpoint of pooled with n_frames = 8, expected 7"):
        train(run, params("n_frames=7"), out, ON)


def test_anew_goes_on_where_it_can_and_else_trains_what_is_wanted_now(run, tmp_path, caplog):
    anew = replace(ON, anew=True)
    out = tmp_path / "m"
    train(run, params("max_steps=2"), out, anew)
    assert train(run, params("max_steps=2"), out, anew).state == "up to date"
    assert train(run, params("max_steps=3"), out, anew).position.step == 3
    assert not caplog.records
    result = train(run, params("max_steps=2", "optimise.lr=0.02"), out, anew)
    assert (result.state, result.position.step) == ("ran", 2)
    assert "m: trained anew: " in caplog.text
    assert "begun with optimise.lr = 0.01, now 0.02" in caplog.text
    train(run, params("max_steps=2", "optimise.lr=0.02"), tmp_path / "n", CPU)
    one, two = ((folder / "last.pt").read_bytes() for folder in (out, tmp_path / "n"))
    assert one == two


def test_anew_without_resume_replaces_what_is_there(run, tmp_path, caplog):
    replaced = replace(CPU, anew=True)
    out = tmp_path / "m"
    train(run, params("max_steps=4"), out, replaced)
    assert not caplog.records
    before = rows(out)
    assert train(run, params("max_steps=2"), out, replaced).state == "ran"
    assert "m: trained anew: what was there is replaced, as --anew says" in caplog.text
    assert read_checkpoint(out / "last.pt")["progress"]["step"] == 2
    assert rows(out) == [row for row in before if int(row["step"]) <= 2 and row["part"] == "train"] + rows(out)[-1:]


def test_clips_without_coefficients_are_learnt_from_where_units_were_coded(tmp_path, caplog):
    """By hand: 24 frames are three clips; every second frame is coded, and the fit failed in all of the first clip."""
    lost = write_training_run(tmp_path / "run", people=3, n=24, lost=range(8), coded=True)
    few = ("max_steps=2", "loss.alpha=0.5")
    plain = train(lost, params(*few), tmp_path / "a", CPU)
    assert plain.clips_train == 2 * 4 * 2
    assert "train: 8 clips have no frame with a label and are left out" in caplog.text
    caplog.clear()
    coded = train(lost, params(*few, "loss.occurrence=1"), tmp_path / "b", CPU)
    assert coded.clips_train == 2 * 4 * 3
    assert not caplog.records
    of_alpha = params("loss.occurrence=1", "options.hidden=8", "max_steps=1", model="alpha_lstm")
    assert train(lost, of_alpha, tmp_path / "c", CPU).clips_train == 16, "it would have nothing to read"


def test_where_coefficients_are_missing_they_teach_nothing(tmp_path):
    lost = write_training_run(tmp_path / "run", people=2, n=8, lost=range(8), coded=True)
    setup = read_setup(lost, params("loss.occurrence=1", "alpha_by_std=true"), cache=tmp_path)
    batch = collate([setup.train[0, 0]])
    assert not batch["known"].any()
    with torch.inference_mode():
        prediction = setup.make_model()(batch["pixels"].float(), batch["padding"])
    losses = training_loss(prediction, batch, setup.loss)
    assert float(losses["alpha"]) == 0
    assert float(losses["occurrence"]) > 0


def test_a_checkpoint_of_other_labels_is_refused(run, tmp_path):
    out = tmp_path / "m"
    train(run, params("max_steps=2"), out, CPU)
    basis = {**METADATA, "basis": {**METADATA["basis"], "file_hash": "sha256:other"}}
    other = write_training_run(tmp_path / "other", people=3, n=12, metadata=basis)
    with pytest.raises(
        SchemaError, match=r"trained on labels with basis sha256:a+; these have sha256:other; it cannot be"
    ):
        train(other, params(), out, ON)
    content = read_checkpoint(out / "last.pt")
    content["labels"]["classes"] = ["AU1"]
    write_checkpoint(out / "last.pt", content)
    with pytest.raises(SchemaError, match=r"trained for 1 classes \(AU1\); these labels have AU1, AU2, AU51, AU52"):
        train(run, params(), out, ON)


def test_labels_that_have_changed_since_are_not_gone_on_with(run, tmp_path):
    train(run, params("max_steps=2"), tmp_path / "m", CPU)
    other = write_training_run(tmp_path / "other", people=3, n=12, metadata={**METADATA, "fingerprint": "f" * 64})
    with pytest.raises(SchemaError, match=r"last\.pt: the labels, or who is in which part, have changed since it was"):
        train(other, params("max_steps=4"), tmp_path / "m", ON)


def test_what_a_loader_meets_is_told_in_one_line(tmp_path):
    run = write_training_run(tmp_path, people=3, n=12)
    table = run.session("S1_AU2") / "event_frames.polarity.parquet"
    data = bytearray(table.read_bytes())
    at = pq.read_metadata(table).row_group(0).column(6).data_page_offset
    data[at : at + 40] = bytes(40)  # the pixels; what the file says of itself is at its end
    table.write_bytes(data)
    options = TrainOptions(device="cpu", workers=1)
    with pytest.raises(
        SchemaError, match=r"^[^\n]*S1_AU2/event_frames\.polarity\.parquet: cannot be read as Parquet: [^\n]*$"
    ):
        train(run, params(), tmp_path / "m", options)


def test_damaged_checkpoints_are_refused_in_one_line(run, tmp_path):
    out = tmp_path / "m"
    train(run, params("max_steps=2"), out, CPU)
    whole = (out / "last.pt").read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"no checkpoint at all", b"0.", b"\x80\x5d" + bytes(16), b"K\x01b."):
        (out / "last.pt").write_bytes(data)
        with pytest.raises(SchemaError, match=r"last\.pt: not a checkpoint, or cut short: [^\n]*$"):
            train(run, params(), out, ON)
    with pytest.raises(SchemaError, match=r"m: a folder; expected a checkpoint, such as best\.pt or last\.pt in it$"):
        read_checkpoint(out)
    torch.save({"state_dict": {}}, out / "last.pt")
    with pytest.raises(SchemaError, match=r"not a checkpoint of au3dmm train: no format_version, model, progress"):
        train(run, params(), out, ON)


def test_weights_of_another_task_are_taken_where_they_fit(run, tmp_path, caplog):
    train(run, params("max_steps=2"), tmp_path / "a", CPU)
    few = write_training_run(tmp_path / "few", people=3, n=12)
    options = TrainOptions(device="cpu", init=tmp_path / "a" / "last.pt")
    train(few, params("loss.alpha=0", "max_steps=1", "optimise.lr=1e-12"), tmp_path / "b", options)
    a, b = (read_checkpoint(tmp_path / name / "last.pt")["state_dict"] for name in "ab")
    assert torch.allclose(a["features.0.weight"], b["features.0.weight"], atol=1e-9)
    assert "regress.weight" not in b
    with pytest.raises(SchemaError, match=r"checkpoint of pooled, expected one of alpha_lstm"):
        train(run, params(model="alpha_lstm"), tmp_path / "c", options)
    with pytest.raises(ConfigError, match=r"--trunk x\.pt: pooled has no trunk with published weights"):
        train(run, params(), tmp_path / "d", TrainOptions(device="cpu", trunk="x.pt"))


def test_two_trainings_in_one_folder_are_kept_apart(run, tmp_path):
    with folder_lock(tmp_path / "m"), pytest.raises(BusyError, match="another au3dmm is working on it"):
        train(run, params(), tmp_path / "m", CPU)


def in_two_processes(run, values, out):
    """Train in two processes that share each batch; return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def work(rank):
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        )
        train(run, values, out, CPU)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_two_processes_learn_what_one_does(run, tmp_path):
    two = params("batch=4", "options.dropout=0.0", "max_steps=4", "optimiser=sgd")
    assert in_two_processes(run, two, tmp_path / "two") == [0, 0]
    train(run, two, tmp_path / "one", CPU)
    a, b = (read_checkpoint(tmp_path / name / "last.pt") for name in ("one", "two"))
    # losses of alpha are means over the frames that are known, which are as many in all of these clips but for one
    for name, value in a["state_dict"].items():
        torch.testing.assert_close(b["state_dict"][name], value, atol=2e-4, rtol=1e-2)
    assert b["progress"]["measures"]["loss"] == pytest.approx(a["progress"]["measures"]["loss"], rel=1e-3)


MDHR = (
    *("image_px=32", "loss.alpha=0", "occurrence_form=asymmetric", "options.trunk=resnet10_16", "options.width=8"),
    *("options.n_dynamic=8", "options.k=2", "options.regions=facemorphic"),
)
MESH = (
    *("options.dim=16", "options.depth=1", "options.heads=2", "options.mlp=16", "options.token_hidden=8"),
    *("options.dropout=0.0", "mesh.n_motion=8"),
)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("mdhr", (*MDHR, "loss.classes=0")),
        ("mdhr", (*MDHR, "loss.combinations=0")),
        ("mdhr", (*MDHR, "options.aux=false", "options.crm=false", "options.tcn=false")),
        ("au_d3dface", (*MESH, "loss.classes=0", "loss.mesh=1")),
        ("au_d3dface", (*MESH, "loss.occurrence=0", "loss.smooth=1")),
    ],
    ids=["mdhr, no class", "mdhr, no combinations", "mdhr, no blocks", "au_d3dface, no class", "au_d3dface, no units"],
)
def test_two_processes_train_networks_of_which_some_weights_take_no_gradient(tmp_path, model, changes):
    run = write_mesh_run(tmp_path, people=3, n=8, coded=True) if model == "au_d3dface" else tiny_run(tmp_path)
    said = ("n_frames=8", "batch=4", "max_steps=3", "monitor=loss", "loss.alpha=0", "loss.occurrence=1")
    values = load_training(None, [*said, *changes], model)
    assert in_two_processes(run, values, tmp_path / "two") == [0, 0]
    content = read_checkpoint(tmp_path / "two" / "last.pt")
    assert content["progress"]["step"] == 3
    assert all(torch.isfinite(value).all() for value in content["state_dict"].values())


def tiny_run(folder):
    """Write a run in which each unit is there in some frames of its own recordings alone."""
    return write_training_run(folder, people=3, n=8, coded=True)


def refused(run, tmp_path, *changes, **options):
    out = tmp_path / "a" / "b"
    with pytest.raises((ConfigError, SchemaError)):
        train(run, params(*changes), out, TrainOptions(device="cpu", **options))
    return out


def test_a_training_that_is_refused_leaves_no_folder(run, tmp_path):
    for changes in (("batch=4", "options.fault=3", "options.nothing=1"), ("monitor=f1",), ("data.fold=1",)):
        refused(run, tmp_path, *changes)
        assert not (tmp_path / "a").exists(), changes
    refused(run, tmp_path, init=tmp_path / "none.pt")
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    out = refused(run, tmp_path, "monitor=f1")
    assert (tmp_path / "a").exists()
    assert not out.exists()


def test_a_training_that_is_refused_leaves_what_was_there(run, tmp_path):
    out = tmp_path / "a" / "b"
    train(run, params("epochs=1"), out, CPU)
    before = sorted(path.name for path in out.iterdir())
    refused(run, tmp_path, "monitor=f1")
    assert sorted(path.name for path in out.iterdir()) == before


def test_a_batch_that_processes_cannot_share_is_refused(run, tmp_path, monkeypatch):
    from au3dmm.training import loop
    from au3dmm.training.processes import Processes

    setup = read_setup(run, params(), cache=tmp_path)
    with pytest.raises(ConfigError, match=r"optimise\.batch = 3 cannot be shared by 2 processes alike"):
        loop.Loop(
            setup.make_model(),
            setup.train,
            setup.val,
            params(),
            setup.loss,
            setup.scaling,
            Processes(0, 2, torch.device("cpu")),
        )
    with pytest.raises(ConfigError, match=r"'fp16' needs CUDA, not cpu"):
        train(run, params("precision=fp16"), tmp_path / "m", CPU)
    with pytest.raises(ConfigError, match=r"--device tpu: "):
        train(run, params(), tmp_path / "m", TrainOptions(device="tpu"))


def test_the_rate_rises_stays_or_falls_to_nothing():
    cosine = OptimiseParams(schedule="cosine", warmup_steps=10)
    factors = [rate_factor(step, 110, cosine) for step in range(111)]
    assert factors[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert max(factors) == 1
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))
    assert factors[60] == pytest.approx(0.5)
    assert factors[110] == pytest.approx(0, abs=1e-12)
    assert rate_factor(10**6, 10, OptimiseParams()) == 1
