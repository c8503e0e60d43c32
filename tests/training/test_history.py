"""What is written down while a model learns: a CSV that a run which goes on cuts back, and the same for TensorBoard."""

import csv

import pytest

from au3dmm.training.history import COLUMNS, History


def write(path, steps, start=0, **how):
    history = History(path, start, **how)
    for step in steps:
        history.add(step, step // 3, "train", {"lr": 1e-3, "loss": step + start / 10})
    history.close()


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_goes_on_takes_back_what_came_after_its_checkpoint(tmp_path):
    path = tmp_path / "log.csv"
    write(path, [1, 2, 3, 4], tensorboard=False)
    write(path, [3, 4], start=2, tensorboard=False)
    rows = rows_of(path)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["step"], row["loss"]) for row in rows] == [("1", "1"), ("2", "2"), ("3", "3.2"), ("4", "4.2")]
    assert {row["accuracy"] for row in rows} == {""}
    assert not (tmp_path / "tensorboard").exists()


def test_tensorboard_shows_the_rows_of_the_csv(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = tmp_path / "log.csv"
    write(path, [1, 2, 3, 4])
    write(path, [3, 4], start=2)
    board = events.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {"train/lr", "train/loss"}
    shown = [(e.step, round(e.value, 3)) for e in board.Scalars("train/loss")]
    assert shown == [(int(row["step"]), float(row["loss"])) for row in rows_of(path)]


def test_f1_of_val_has_a_column_and_a_log_of_before_it_is_kept(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,epoch,part,loss,accuracy\n10,0,train,2.5,\n10,0,val,2.25,0.5\n20,1,train,1.5,\n30,1,tra")
    history = History(path, step=20, tensorboard=False)
    history.add(30, 1, "val", {"loss": 1.0, "f1": 0.75})
    history.close()
    found = rows_of(path)
    assert tuple(found[0]) == COLUMNS
    assert [(row["step"], row["part"]) for row in found] == [
        ("10", "train"),
        ("10", "val"),
        ("20", "train"),
        ("30", "val"),
    ]
    assert (found[1]["accuracy"], found[1]["f1"], found[3]["f1"]) == ("0.5", "", "0.75")
