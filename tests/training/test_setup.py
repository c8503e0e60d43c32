"""What a training starts from: what cannot work is refused in one line, what is doubtful is said."""

import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from au3dmm.core.canvases import PolarityCanvas
from au3dmm.core.event_frames import Windows
from au3dmm.core.representations import EventFrame
from au3dmm.errors import Au3dmmError, ConfigError, SchemaError
from au3dmm.io.annotations import annotations_schema
from au3dmm.io.event_frame_table import write_event_frames
from au3dmm.io.sessions_index import read_index, write_index
from au3dmm.io.tables import write_table
from au3dmm.models import MODELS
from au3dmm.training.setup import read_part, read_setup
from au3dmm.training_config import load_training
from training_run import METADATA, UNITS, Pooled, statement, write_training_run

BASE = ("n_frames=8", "image_px=16", "batch=3")


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(MODELS, "pooled", Pooled)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("run"), people=2, n=8)


def setup_of(run, *changes, model="pooled"):
    return read_setup(run, load_training(None, [*BASE, *changes], model), cache=run.path / "cache")


def frames_table(path, n=8, shape=(1, 16, 16)):
    start = np.arange(n, dtype=np.int64) * 100
    frames = [EventFrame(0, np.zeros(shape, np.uint8))] * n
    write_event_frames(path, Windows(start, start + 100), frames, np.ones(n, bool), shape, PolarityCanvas.encoding, {})


def test_the_model_fits_the_labels_and_nothing_is_predicted_that_is_not_taught(run):
    setup = setup_of(run)
    options = setup.make_model().config["options"]
    assert options["n_classes"] == 4
    assert (options["n_alpha"], options["n_occurrence"], options["channels"], options["image_px"]) == (4, 0, 1, 16)
    assert setup_of(run, "loss.alpha=0").make_model().config["options"]["n_alpha"] == 0
    alone = setup_of(run, model="alpha_lstm")
    assert alone.scaling is None
    assert alone.loss.alpha == 0
    assert alone.make_model().config["options"]["n_alpha"] == 4


@pytest.mark.parametrize(
    ("changes", "model", "says"),
    [
        ((), "resnet", r"no model 'resnet'; there are: st_vit, "),
        (("options.depth=3",), "pooled", r"pooled has no option 'depth'; it has n_classes, "),
        (("options.n_alpha=3",), "pooled", r"options\.n_alpha: it follows from labels and data \(4\); leave it out"),
        (("representation=voxel",), "pooled", r"S0_AU1/event_frames\.voxel\.parquet: no .*; 8 of 8 .*there: polarity"),
        (("monitor=f1",), "pooled", "'f1', which pooled is not taught here"),
        (("loss.occurrence=1",), "pooled", r"annotations\.parquet has neither frame_occurrence nor frame_int"),
        (("loss.classes=0",), "alpha_lstm", r"alpha_lstm reads alpha and cannot be taught it"),
        (("data.classes=task",), "pooled", r"no recording says its task, so there are no classes; set data"),
        (("fold=0",), "pooled", r"data\.fold = 0, but there are splits, no folds"),
        (("loss.classes=0",), "pooled", r"optimise\.monitor = 'accuracy', which pooled is not taught here"),
        (("monitor=alpha",), "alpha_lstm", r"optimise\.monitor = 'alpha', which alpha_lstm is not taught here"),
        (("modality=rgb",), "pooled", r"S0_AU1: its recording is not below the dataset's folder.*--dataset DIR"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(run, changes, model, says):
    with pytest.raises(Au3dmmError, match=says) as caught:
        setup_of(run, *changes, model=model).make_model()
    assert "\n" not in str(caught.value)


def test_labels_without_a_single_value_are_refused(tmp_path):
    run = write_training_run(tmp_path, people=2, n=4, lost=range(4))
    with pytest.raises(
        ConfigError, match=r"none of the 4 clips in train has a frame with a label; look at report\.html"
    ):
        setup_of(run)


def test_clips_and_classes_that_are_missing_are_named(tmp_path, caplog):
    run = write_training_run(tmp_path, people=2, size=lambda p, u: 8 if (p, u) == (0, 2) else 16, lost=range(8))
    with caplog.at_level(logging.WARNING):
        setup = setup_of(run)
    assert "train: 4 clips have no frame with a label and are left out, the first: S0_AU1 from frame 0" in caplog.text
    assert "1 class never occurs in train and cannot be learnt: AU51" in caplog.text
    assert setup.classes == UNITS


def test_models_of_events_leave_out_recordings_without_events_by_name(tmp_path, caplog):
    run = write_training_run(tmp_path, people=2, n=8)
    rows, metadata = read_index(run.index)
    changed = [replace(row, clock_method=None) if row.session_id == "S0_AU2" else row for row in rows]
    write_index(run.index, changed, metadata)
    (run.session("S0_AU2") / "event_frames.polarity.parquet").unlink()
    with caplog.at_level(logging.WARNING):
        setup = setup_of(run, "n_frames=8")
    assert "recordings without events are left out, as pooled sees events: S0_AU2" in caplog.text
    assert {setup.train.session_of(i) for i in range(len(setup.train))} == {"S0_AU1", "S0_AU51", "S0_AU52"}
    coefficients = setup_of(run, "n_frames=8", model="alpha_lstm")
    assert len(coefficients.train) == 4
    write_index(run.index, [replace(row, clock_method=None) for row in rows], metadata)
    with pytest.raises(
        ConfigError, match=r"pooled sees events, and these recordings have none: S0_AU1, .*modality = 'rgb'"
    ):
        setup_of(run, "n_frames=8")


def test_patience_without_anything_to_measure_on_is_refused(tmp_path):
    run = write_training_run(tmp_path, people=1, n=8, val=False)
    assert len(setup_of(run).val) == 0
    with pytest.raises(
        ConfigError, match=r"optimise\.patience = 3, but val is empty; set it to 0, or label with splits"
    ):
        setup_of(run, "patience=3")


def test_a_run_without_a_train_part_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no recording of it is in train; expected some; see splits"):
        setup_of(write_training_run(tmp_path, people=1, n=8))


def test_folds_are_trained_on_by_number(tmp_path):
    setup = setup_of(write_training_run(tmp_path, people=4, n=8, folds=4), "fold=0")
    assert (len(setup.train), len(setup.val)) == (8, 4)


def test_tables_of_other_frames_are_refused(tmp_path):
    run = write_training_run(tmp_path, people=2, n=8)
    path = run.session("S1_AU2") / "event_frames.polarity.parquet"
    frames_table(path, n=7)
    with pytest.raises(
        SchemaError, match=r"S1_AU2/event_frames\.polarity\.parquet: 7 frames, but 8 labels; expected one"
    ):
        setup_of(run)
    frames_table(path, shape=(2, 16, 16))
    with pytest.raises(
        SchemaError, match=r"\(channels, scale, zero\) are \(2, .*but \(1, 0\.0078125, 128\.0\) in .*S0_AU1"
    ):
        setup_of(run)


def test_frames_of_other_sizes_are_resized_and_that_is_said(tmp_path, caplog):
    run = write_training_run(tmp_path, people=2, n=8)
    frames_table(run.session("S1_AU2") / "event_frames.polarity.parquet", shape=(1, 24, 24))
    with caplog.at_level(logging.WARNING):
        setup = setup_of(run)
    assert "event frames of 2 sizes: (1, 16, 16), (1, 24, 24); all are resized" in caplog.text
    assert setup.val[0, 1]["pixels"].shape == (8, 1, 16, 16)


def test_a_part_is_cut_for_a_checkpoint_as_it_was_trained_and_other_labels_are_refused(run, tmp_path):
    setup = setup_of(run, "crop_min=0.3")
    content = {
        "model": setup.make_model().config,
        "config": setup.params.model_dump(mode="json"),
        "labels": {**setup.described, "classes": ["AU52", "AU1"]},
    }
    clips, scaling = read_part(run, tmp_path / "a.pt", content, "val", cache=tmp_path)
    assert scaling == setup.scaling
    assert [clips.label_of(i) for i in range(len(clips))] == [1, -1, -1, 0]
    assert torch.equal(clips[0, 2]["pixels"], setup.val[0, 2]["pixels"])
    with pytest.raises(ConfigError, match=r"no recording of it is in test; expected some"):
        read_part(run, tmp_path / "a.pt", content, "test", cache=tmp_path)
    content["labels"]["representation"] = {**content["labels"]["representation"], "scale": 1.0}
    with pytest.raises(SchemaError, match=r"a\.pt: trained on frames of .*'scale': 1\.0.*these are"):
        read_part(run, tmp_path / "a.pt", content, "val", cache=tmp_path)
    content["labels"]["detector"] = "face_alignment"
    with pytest.raises(
        SchemaError, match=r"a\.pt: trained on labels with detector face_alignment; these have mediapipe"
    ):
        read_part(run, tmp_path / "a.pt", content, "val", cache=tmp_path)


def test_the_best_model_is_not_chosen_by_units_that_val_does_not_show(tmp_path):
    shown = write_training_run(tmp_path / "shown", n=8, coded=True)
    setup_of(shown, "loss.occurrence=1", "monitor=f1")
    said = [statement(f"S0_{unit}", "S0", unit, 0, 1.0) for unit in UNITS]  # of one who is in train
    table = pa.Table.from_pylist(said, schema=annotations_schema())
    write_table(shown.annotations, "annotations", table, METADATA)
    with pytest.raises(ConfigError, match="no action unit is coded as there in any frame of val"):
        setup_of(shown, "loss.occurrence=1", "monitor=f1")
