"""BP4D and DISFA from their own trees to F1 per action unit, in three folds: recordings without events."""

import json

import numpy as np
import pytest

import au3dmm as package
from au3dmm.io.run_folder import RunFolder
from au3dmm.io.training_labels import read_training_labels
from rendered_trees import BP4D_PEOPLE, BP4D_UNITS, DISFA_UNITS, N, add_landmarks, is_there, write_bp4d, write_disfa

PIPELINE = '[detect]\ndetector = "precomputed"\n[splits]\nmethod = "kfold"\nfolds = 3\n'
SMALL = (
    *("options.trunk=resnet18", "options.width=8", "options.n_dynamic=8", "options.k=2", "n_frames=8", "image_px=32"),
    *("batch=2", "epochs=1", "max_steps=1", "options.freeze_trunk=true", "crop=face", "fold=0"),
)
LAYOUTS = {"bp4d": (write_bp4d, BP4D_UNITS), "disfa": (write_disfa, DISFA_UNITS)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_tree_is_described_labelled_learnt_from_and_measured(au3dmm, tmp_path, layout):
    write, numbers = LAYOUTS[layout]
    data, run = tmp_path / "data", RunFolder(tmp_path / "data/derivatives/au3dmm/folds")
    assert au3dmm("init", "--layout", layout, write(tmp_path / "raw"), "--out", data).code == 0
    add_landmarks(data)
    if layout == "bp4d":  # folds as published; else they are drawn
        rows = [f"{subject}\t{fold}\n" for subject, fold in zip(BP4D_PEOPLE, (2, 0, 1), strict=True)]
        (data / "splits.tsv").write_text("subject_id\tfold\n" + "".join(rows))
    (tmp_path / "folds.toml").write_text(PIPELINE)
    answer = au3dmm("run", tmp_path / "folds.toml", "--dataset", data, "--executor", "serial", "--progress", "plain")
    assert answer.code == 0, answer.err
    assert f"{3 * N} rows" in answer.out
    assert au3dmm("validate", run.path).code == 0
    assert "RGB frames with values" in run.report.read_text()

    table = package.read_labels(run.path)
    assert table["n_events"].to_pylist() == [0] * 3 * N
    assert table["rgb_frame_index"].to_pylist() == [*range(N)] * 3
    folds = table["fold"].to_pylist()[::N]  # in the order of people
    assert folds == [2, 0, 1] if layout == "bp4d" else sorted(folds) == [0, 1, 2]
    labels = read_training_labels(run, occurrence=True)
    assert labels.names_occurrence == tuple(f"AU{number}" for number in numbers)
    expected = np.array([[is_there(unit, i) for unit in numbers] for i in range(N)] * 3, float)
    if layout == "bp4d":
        expected.reshape(3, N, -1)[:, :2] = np.nan
        expected.reshape(3, N, -1)[:, 3, numbers.index(12)] = np.nan
    np.testing.assert_array_equal(labels.occurrence, expected)

    sets = [x for change in SMALL for x in ("--set", change)]
    where = ("--labels", data, "--out", tmp_path / "m", "--device", "cpu", "--workers", "0")
    answer = au3dmm("train", f"mdhr_{layout}", *where, *sets)
    assert answer.code == 0, answer.err
    answer = au3dmm("evaluate", "--checkpoint", tmp_path / "m/last.pt", "--labels", data, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert [unit["name"] for unit in said["units"]] == list(labels.names_occurrence)
    assert all(0 <= unit["f1"] <= 1 for unit in said["units"])
    assert sum(unit["positives"] for unit in said["units"]) == np.nansum(expected[:N])  # one person is tested on


def test_a_model_of_events_refuses_such_recordings_by_name(au3dmm, tmp_path):
    data = tmp_path / "data"
    au3dmm("init", "--layout", "disfa", write_disfa(tmp_path / "raw"), "--out", data)
    add_landmarks(data)
    (tmp_path / "folds.toml").write_text(PIPELINE)
    assert au3dmm("run", tmp_path / "folds.toml", "--dataset", data, "--executor", "serial").code == 0
    answer = au3dmm(
        "train", "reduced", "--labels", data, "--set", "fold=0", "--set", "loss.classes=0", "--device", "cpu"
    )
    assert answer.code == 2
    assert "st_vit sees events, and these recordings have none: SN00" in answer.error
    assert "data.modality = 'rgb'" in answer.error
