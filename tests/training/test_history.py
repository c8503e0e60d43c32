"""What is written down while a model learns."""

import csv

from au3dmm.training.history import COLUMNS, History


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_f1_of_val_has_a_column_and_a_log_of_before_it_is_kept(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,epoch,part,loss,accuracy\n10,0,train,2.5,\n10,0,val,2.25,0.5\n20,1,train,1.5,\n30,1,tra")
    history = History(path, step=20, tensorboard=False)
    history.add(30, 1, "val", {"loss": 1.0, "f1": 0.75})
    history.close()
    found = rows(path)
    assert tuple(found[0]) == COLUMNS
    assert [(row["step"], row["part"]) for row in found] == [
        ("10", "train"),
        ("10", "val"),
        ("20", "train"),
        ("30", "val"),
    ]
    assert (found[1]["accuracy"], found[1]["f1"], found[3]["f1"]) == ("0.5", "", "0.75")
