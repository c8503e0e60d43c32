"""What a trained model says of recordings, against what its parts say by hand."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from au3dmm.errors import ConfigError, SchemaError
from au3dmm.io.training_labels import read_training_labels
from au3dmm.training.checkpoints import read_checkpoint, write_checkpoint
from au3dmm.training.clips import collate
from au3dmm.training.evaluating import evaluate, evaluate_folds, read_trained, rgb_cache, tells_units
from au3dmm.training.evaluation_files import evaluation_folder, grouped_order, write_evaluation, write_folds
from au3dmm.training.loading import to_device
from au3dmm.training.loop import BEST, LAST
from au3dmm.training.run import TrainOptions, train
from au3dmm.training.setup import read_part
from au3dmm.training_config import load_training
from training_run import METADATA, UNITS, K, write_training_run

TINY = [
    "model=st_vit", "n_frames=8", "image_px=16", "batch=4", "epochs=12", "lr=0.01", "crop_min=1.0",
    "options.patch_px=8", "options.dim=16", "options.heads=1", "options.dim_head=16", "options.spatial_depth=1",
    "options.temporal_depth=1", "options.dropout=0.0", "options.emb_dropout=0.0",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_training_run(tmp_path_factory.mktemp("dataset"), people=3, n=12)


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    train(run, load_training(None, TINY), out, TrainOptions(device="cpu"))
    return out


def test_the_planted_classes_are_found_on_a_person_not_learnt_from(run, trained):
    outcome, _ = evaluate(trained / BEST, run, "val", device="cpu")
    assert outcome.sessions == tuple(f"S2_{unit}" for unit in UNITS)
    assert set(outcome.subjects) == {"S2"}
    assert outcome.labels.tolist() == [0, 1, 2, 3]
    assert outcome.probabilities.argmax(1).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(outcome.probabilities.sum(1), 1)


def test_overlapping_clips_are_averaged_as_said(run, trained):
    """By hand: 12 frames are the clips 0 to 7 and 4 to 11; row 3 has no label."""
    outcome, loaded = evaluate(trained / LAST, run, "val", device="cpu")
    labels = read_training_labels(run, occurrence=False)
    place = next(i for i, s in enumerate(labels.sessions) if s.session_id == "S2_AU2")
    from au3dmm.io.event_frame_table import read_clip

    stored = read_clip(labels.sessions[place].event_frames("polarity"), 0, 12)
    x = torch.from_numpy((stored.astype(np.float32) - 128) / 127 / 2 + 0.5)
    with torch.inference_mode():
        one, two = (loaded.model(x[None, a : a + 8]) for a in (0, 4))
    log_p = (torch.log_softmax(one.logits.double(), -1) + torch.log_softmax(two.logits.double(), -1))[0] / 2
    np.testing.assert_allclose(outcome.probabilities[1], torch.softmax(log_p, -1).numpy(), atol=2e-3)
    alpha = np.zeros((12, K))
    alpha[:8] += one.alpha[0].numpy()
    alpha[4:] += two.alpha[0].numpy()
    alpha[4:8] /= 2
    rows = labels.sessions[place].rows
    known = labels.valid[rows]
    assert outcome.alpha.n[1] == known.sum() == 11
    expected = ((alpha - labels.alpha[rows])[known] ** 2).sum(0)
    np.testing.assert_allclose(outcome.alpha.error[1], expected, rtol=2e-2)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_size_of_batches_changes_nothing(run, trained, batch):
    whole, _ = evaluate(trained / BEST, run, "val", device="cpu")
    other, _ = evaluate(trained / BEST, run, "val", device="cpu", batch=batch)
    np.testing.assert_allclose(other.probabilities, whole.probabilities, atol=1e-6)


def test_tables_are_written_and_say_the_same(run, trained, tmp_path):
    outcome, loaded = evaluate(trained / BEST, run, "val", device="cpu")
    found = write_evaluation(tmp_path, trained / BEST, run, "val", outcome, loaded)
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert found["overall"]["top1"]["value"] == 1.0
    assert found["overall"]["top1"]["low"] is None  # one person has no interval
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert [row["said"] for row in rows] == list(UNITS)
    assert [int(row["frames"]) for row in rows] == [11] * 4
    assert (tmp_path / "confusion.csv").read_text().splitlines()[0] == ",".join(["", *UNITS])
    assert "| accuracy, % | 100.0 |" in (tmp_path / "metrics.md").read_text()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_evaluation(tmp_path, trained / BEST, run, "val", outcome, loaded)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_classes_of_one_part_of_the_face_lie_side_by_side():
    summary = {
        "confusion": {
            "names": ["AU51", "AU12", "smile", "AU1"],
            "table": [[i * 4 + j for j in range(4)] for i in range(4)],
        }
    }
    table, names = grouped_order(summary)
    assert names == ["AU1", "AU12", "AU51", "smile"]
    assert table[0] == [15, 13, 12, 14]


def test_a_part_without_recordings_is_refused(run, trained):
    with pytest.raises(ConfigError, match="no recording of it is in test"):
        evaluate(trained / BEST, run, "test", device="cpu")


def test_labels_of_another_basis_are_refused(trained, tmp_path):
    other = {**METADATA, "basis": {**METADATA["basis"], "file_hash": "sha256:" + "b" * 64}}
    run = write_training_run(tmp_path, people=2, n=8, metadata=other)
    with pytest.raises(SchemaError, match="basis"):
        evaluate(trained / BEST, run, "val", device="cpu")


def test_values_that_this_version_does_not_know_are_told(trained, tmp_path):
    content = torch.load(trained / BEST, weights_only=True)
    content["config"]["data"]["tomorrow"] = 1
    torch.save(content, tmp_path / "new.pt")
    with pytest.raises(SchemaError, match="does not know"):
        read_trained(tmp_path / "new.pt")


def test_values_that_older_checkpoints_have_and_nothing_reads_are_passed_over(trained, tmp_path):
    content = torch.load(trained / BEST, weights_only=True)
    content["config"]["mesh"]["occurs_at"] = 1.0
    torch.save(content, tmp_path / "old.pt")
    assert read_trained(tmp_path / "old.pt").params == read_trained(trained / BEST).params


def test_recordings_without_a_labelled_frame_are_classified_all_the_same(trained, tmp_path, caplog):
    run = write_training_run(tmp_path, people=3, n=12, lost=range(12))
    outcome, _ = evaluate(trained / BEST, run, "val", device="cpu")
    assert outcome.probabilities.argmax(1).tolist() == [0, 1, 2, 3]
    assert outcome.alpha.n.sum() == 0
    assert "left out" not in caplog.text


def test_a_limit_of_training_does_not_cut_what_is_measured(run, trained, tmp_path):
    content = torch.load(trained / BEST, weights_only=True)
    content["config"]["data"]["limit"] = 1
    torch.save(content, tmp_path / "few.pt")
    outcome, _ = evaluate(tmp_path / "few.pt", run, "val", device="cpu")
    assert len(outcome.sessions) == 4


def test_of_an_older_checkpoint_another_split_than_the_one_trained_on_is_told(run, trained, tmp_path, caplog):
    content = read_checkpoint(trained / BEST)
    del content["learnt"]
    write_checkpoint(tmp_path / "old.pt", content)
    evaluate(tmp_path / "old.pt", run, "val", device="cpu")
    assert "another split" not in caplog.text
    changed = write_training_run(tmp_path, people=3, n=12, metadata={**METADATA, "fingerprint": "another"})
    evaluate(trained / BEST, changed, "val", device="cpu")
    assert "another split" not in caplog.text, "a newer one knows that it has not learnt from them"
    evaluate(tmp_path / "old.pt", changed, "val", device="cpu")
    assert "may have learnt from recordings that are in val now" in caplog.text


def test_rgb_frames_of_models_in_a_run_lie_where_forgetting_removes_them(run, tmp_path):
    assert rgb_cache(run, run.path / "training" / "m") == run.state / "rgb"
    assert rgb_cache(run, tmp_path / "m") == tmp_path / "m" / "cache" / "rgb"


CODED = ["n_frames=8", "epochs=2", "batch=4", "options.hidden=8", "loss.occurrence=1", "monitor=f1"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A run in three folds with coded frames, and a model for each."""
    run = write_training_run(tmp_path_factory.mktemp("folds"), people=6, n=12, folds=3, coded=True)
    out = [run.path / "training" / f"f{i}" for i in range(3)]
    for i, folder in enumerate(out):
        train(run, load_training(None, [*CODED, f"fold={i}"], "alpha_lstm"), folder, TrainOptions(device="cpu"))
    return run, [folder / LAST for folder in out]


def test_units_of_frames_that_several_clips_show_are_averaged(folds):
    """By hand: 12 frames are the clips 0 to 7 and 4 to 11; every second frame is coded, one unit in a recording."""
    run, (checkpoint, *_) = folds
    outcome, loaded = evaluate(checkpoint, run, "test", device="cpu")
    said = outcome.occurrence
    assert said.names == UNITS
    labels = read_training_labels(run, occurrence=True)
    session = next(s for s in labels.sessions if s.session_id == outcome.sessions[0])
    alpha = torch.from_numpy(labels.alpha[session.rows]).clone()
    alpha[3] = alpha[2]  # the gap is filled with the value before
    with torch.inference_mode():
        one, two = (torch.sigmoid(loaded.model(alpha[None, a : a + 8]).occurrence[0]).numpy() for a in (0, 4))
    expected = np.zeros((12, 4))
    expected[:8] += one
    expected[4:] += two
    expected[4:8] /= 2
    mine = said.video == 0
    np.testing.assert_allclose(said.probability[mine], expected[::2], atol=1e-6)
    assert said.truth[mine].tolist() == [[1 - i % 2, -1, -1, -1] for i in range(6)]


def test_what_was_coded_is_written_per_unit_and_on_average(folds, tmp_path):
    run, (checkpoint, *_) = folds
    outcome, loaded = evaluate(checkpoint, run, "test", device="cpu")
    found = write_evaluation(tmp_path, checkpoint, run, "test", outcome, loaded, threshold=0.0)
    rows = list(csv.DictReader((tmp_path / "occurrence.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == list(UNITS)
    for row in rows:
        assert (int(row["positives"]), int(row["negatives"])) == (6, 6)
        assert float(row["f1"]) == float(row["f1_all_positive"]) == pytest.approx(2 / 3)  # at 0, all is said
    assert found["overall"]["f1"]["value"] == found["f1_all_positive"]
    page = (tmp_path / "metrics.md").read_text()
    assert "| every unit in every frame, % | 66.7 |" in page
    assert "12 coded frames" not in page
    assert "48 coded frames of 2 subjects; a unit counts as said from a probability of 0 on." in page
    assert "| AU51 | 6 | 6 | 66.7 [66.7, 66.7] | 66.7 |" in page


def test_files_of_an_earlier_model_do_not_stay(run, trained, folds, tmp_path):
    coded, (checkpoint, *_) = folds
    outcome, loaded = evaluate(checkpoint, coded, "test", device="cpu")
    write_evaluation(tmp_path, checkpoint, coded, "test", outcome, loaded)
    (tmp_path / "confusion.png").write_bytes(b"drawn")
    outcome, loaded = evaluate(trained / BEST, run, "val", device="cpu")
    outcome = dataclasses.replace(outcome, probabilities=None)  # tells coefficients alone
    write_evaluation(tmp_path, trained / BEST, run, "val", outcome, loaded)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "metrics.md", "predictions.csv"]


def test_one_is_one_recording_of_one_subject(trained, tmp_path):
    run = write_training_run(tmp_path / "ds", people=2, n=8)
    whole, loaded = evaluate(trained / BEST, run, "val", device="cpu")
    first = {"probabilities": whole.probabilities[:1], "alpha": whole.alpha[np.array([0])], "labels": whole.labels[:1]}
    outcome = dataclasses.replace(whole, sessions=whole.sessions[:1], subjects=whole.subjects[:1], **first)
    write_evaluation(tmp_path, trained / BEST, run, "val", outcome, loaded)
    assert "# st_vit on val: 1 recording of 1 subject\n" in (tmp_path / "metrics.md").read_text()


def test_metrics_name_the_labels_that_were_learnt_from(run, trained, tmp_path):
    changed = write_training_run(tmp_path / "ds", people=3, n=12, metadata={**METADATA, "fingerprint": "another"})
    for labels, same in ((run, True), (changed, False)):
        outcome, loaded = evaluate(trained / BEST, labels, "val", device="cpu")
        said = write_evaluation(tmp_path / "out", trained / BEST, labels, "val", outcome, loaded)["labels"]
        assert (said["fingerprint"] == said["trained_fingerprint"]) is same


def test_results_on_other_labels_have_a_folder_of_their_own_and_on_remade_ones_do_not(trained, run, tmp_path):
    def folder(labels, checkpoint=trained / BEST):
        return evaluation_folder(Path("m"), [checkpoint], labels, "val", [read_trained(checkpoint)]).as_posix()

    def labels(place, mark, **more):
        return write_training_run(tmp_path / place, n=12, metadata={**METADATA, "fingerprint": mark}, **more)

    remade, faster = labels("new labels", "a"), labels("Again", "b", pipeline="label60")
    assert folder(run) == folder(remade) == "m/evaluation/val"
    other = labels("Other faces", "c", film="b")
    assert folder(other) == "m/evaluation/val_on_other-faces-label"
    assert folder(faster) == "m/evaluation/val_on_again-label60"
    inside = other.training / "m" / BEST
    inside.parent.mkdir(parents=True)
    shutil.copy(trained / BEST, inside)
    assert folder(other, inside) == "m/evaluation/val"
    assert folder(remade, inside) == "m/evaluation/val_on_new-labels-label"
    outcome, loaded = evaluate(trained / BEST, other, "val", device="cpu")
    found = write_evaluation(tmp_path, trained / BEST, other, "val", outcome, loaded)
    assert found["labels"]["others"] == "other-faces-label"
    title = (tmp_path / "metrics.md").read_text().splitlines()[0]
    assert title == "# st_vit on val of other labels, other-faces-label: 4 recordings of 1 subject"


def test_folds_are_one_table_with_each_beside_it(folds, tmp_path):
    run, checkpoints = folds
    outcome, each = evaluate_folds(checkpoints, run, "test", device="cpu")
    assert sorted(outcome.subjects) == sorted(f"S{p}" for p in range(6) for _ in UNITS)
    found = write_folds(tmp_path, checkpoints, run, "test", outcome, each)
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert found["n_videos"] == 24
    assert [one["fold"] for one in found["folds"]] == [0, 1, 2]
    assert [one["n_subjects"] for one in found["folds"]] == [2, 2, 2]
    alone = [one["overall"]["f1"]["value"] for one in found["folds"]]
    assert found["mean_over_folds"]["f1"] == pytest.approx(np.mean(alone))
    assert found["overall"]["top1"]["value"] == pytest.approx(found["mean_over_folds"]["top1"])  # folds of equal size
    page = (tmp_path / "metrics.md").read_text()
    assert "# alpha_lstm, 3 models on test: 24 recordings of 6 subjects" in page
    assert "| | all | fold 0 | fold 1 | fold 2 | mean of these |" in page


def test_a_model_is_not_asked_twice_about_one_person(folds):
    run, checkpoints = folds
    with pytest.raises(ConfigError, match=r"f0/last\.pt and .*f0/last\.pt were both asked about S0, S3"):
        evaluate_folds([checkpoints[0], checkpoints[0]], run, "test", device="cpu")


def test_units_that_these_labels_do_not_know_are_not_measured(folds, tmp_path):
    _, (checkpoint, *_) = folds
    other = write_training_run(tmp_path, people=6, n=12, folds=3)
    outcome, _ = evaluate(checkpoint, other, "test", device="cpu")
    assert outcome.occurrence.names == UNITS
    assert not len(outcome.occurrence.truth)


@pytest.mark.parametrize("every", [2, 3])
def test_units_are_measured_in_the_same_frames_whatever_clips_were_learnt_from(tmp_path, every):
    run = write_training_run(tmp_path, people=3, n=13, coded=True)
    said = ["n_frames=4", f"every={every}", "epochs=1", "loss.occurrence=1", "monitor=loss", *TINY[8:]]
    params = load_training(None, ["model=st_vit", "image_px=16", "batch=4", *said])
    train(run, params, tmp_path / "m", TrainOptions(device="cpu"))
    outcome, trained = evaluate(tmp_path / "m" / LAST, run, "val", device="cpu")
    assert np.bincount(outcome.occurrence.video).tolist() == [7] * 4  # every second of 13 frames is coded
    # by hand, of the frames 1, 1 + every, ...
    clips, scaling = read_part(run, tmp_path / "m" / LAST, trained.content, "val", cache=tmp_path, all_frames=True)
    number = next(k for k, place in enumerate(clips.places) if place[1] == 1)
    batch = to_device(collate([clips[0, number]]), torch.device("cpu"), scaling)
    with torch.inference_mode():
        answer = torch.sigmoid(trained.model(batch["x"], batch["padding"]).occurrence[0, -1].double())
    at = 1 + every * (clips.places[number][2] - 1)
    alone = sum(at in range(f, f + every * c, every) for i, f, c in clips.places if i == clips.places[number][0])
    if alone == 1 and at % 2 == 0:
        np.testing.assert_allclose(outcome.occurrence.probability[at // 2], answer, atol=1e-6)
    else:
        assert every == 2  # the frames 1, 3, 5, 7 are not coded


def test_units_that_a_model_was_not_taught_are_not_measured(run, trained):
    content = read_trained(trained / BEST)
    assert not tells_units(content)
    assert evaluate(trained / BEST, run, "val", device="cpu")[0].occurrence is None
