"""MDHR in the trainer: units by the names of the labels, padded clips, frames that nobody coded."""

import csv

import pyarrow as pa
import torch

from au3dmm.io.annotations import annotations_schema
from au3dmm.io.tables import write_table
from au3dmm.training.checkpoints import model_of, read_checkpoint
from au3dmm.training.run import TrainOptions, train
from au3dmm.training_config import load_training
from training_run import METADATA, UNITS, statement, write_training_run

CHANGES = (
    *("n_frames=8", "image_px=32", "batch=4", "epochs=1", "loss.classes=0", "loss.alpha=0", "loss.occurrence=1"),
    *(
        "monitor=loss",
        "occurrence_form=asymmetric",
        "options.trunk=resnet18",
        "options.freeze_trunk=true",
        "options.width=8",
    ),
    *("options.n_dynamic=8", "options.k=2", "options.regions=facemorphic", "crop_min=1.0"),
)


def test_units_are_learnt_from_event_frames_and_the_checkpoint_knows_their_names(tmp_path):
    # every second frame is coded; recordings of 6 frames are padded
    run = write_training_run(tmp_path, people=2, n=8, size=lambda p, u: 6 if u == 0 else 8)
    coded = [
        statement(f"S{p}_{au}", f"S{p}", unit, i, float(unit == au and i > 2))
        for p in range(2)
        for au in UNITS
        for unit in UNITS
        for i in range(0, 6, 2)
    ]
    write_table(run.annotations, "annotations", pa.Table.from_pylist(coded, annotations_schema()), METADATA)
    result = train(run, load_training(None, CHANGES, "mdhr"), tmp_path / "m", TrainOptions(device="cpu", log_every=1))
    with (tmp_path / "m" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    learnt = [row for row in rows if row["part"] == "train"]
    assert len(learnt) == 1
    for row in learnt:
        total = float(row["occurrence"]) + 0.01 * float(row["combinations"])
        assert abs(float(row["loss"]) - total) < 1e-5 * total
        assert float(row["combinations"]) > 0
    assert result.position.best_measures["loss"] > 0
    model = model_of(tmp_path / "m" / "best.pt", read_checkpoint(tmp_path / "m" / "best.pt"))
    assert model.units == ("AU1", "AU2", "AU51", "AU52")
    assert [region.name for region in model.regions] == ["brows", "head"]
    with torch.no_grad():
        answer = model.eval()(torch.rand(1, 8, 1, 32, 32))
    assert answer.occurrence.shape == (1, 8, 4)
    assert answer.auxiliary is None
    assert train(run, load_training(None, CHANGES, "mdhr"), tmp_path / "m", TrainOptions("cpu", resume=True)).state == (
        "up to date"
    )
