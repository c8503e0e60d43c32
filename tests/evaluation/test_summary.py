import csv
import json

import numpy as np
import pytest

from au3dmm.evaluation.regression import stack_sums, sum_frames
from au3dmm.evaluation.summary import Outcome, same_order, summarise
from au3dmm.evaluation.tables import (
    classes_csv,
    classes_markdown,
    confusion_csv,
    confusion_markdown,
    overall_markdown,
)

CLASSES = ("AU1", "AU2", "AU12")


def outcome(seed=0, n=60, classifies=True, regresses=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    labels[0] = -1
    p = rng.dirichlet(np.ones(3), n) + np.eye(3)[labels]
    parts = []
    for _ in range(n):
        y = rng.normal(size=(5, 2))
        parts.append(sum_frames(y, y + 0.1 * rng.normal(size=y.shape), rng.uniform(size=5) < 0.7))
    return Outcome(
        tuple(f"c{i}" for i in range(n)),
        tuple(f"S{i % 6}" for i in range(n)),
        CLASSES,
        labels,
        p / p.sum(1, keepdims=True) if classifies else None,
        stack_sums(parts) if regresses else None,
    )


def test_a_summary_is_plain_json_and_the_same_every_time():
    found = summarise(outcome(), resamples=50)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == summarise(outcome(), resamples=50)


def test_a_video_whose_class_is_unknown_counts_for_coefficients_alone():
    found = summarise(outcome(), resamples=20)
    assert (found["n_videos"], found["n_classified"]) == (60, 59)
    assert sum(c["support"] for c in found["classes"]) == 59
    assert np.array(found["confusion"]["table"]).sum() == 59
    assert found["n_frames"] > 150


def test_every_number_lies_in_its_interval():
    for key, x in summarise(outcome(), resamples=200)["overall"].items():
        # F1 and calibration of a resample are biased; the others are not
        if key not in ("macro_f1", "calibration_error"):
            assert x["low"] <= x["value"] <= x["high"]


def test_a_model_that_does_one_of_both_has_the_numbers_of_that_one():
    only = summarise(outcome(regresses=False), resamples=20)
    assert "components" not in only
    assert "top1" in only["overall"]
    other = summarise(outcome(classifies=False), resamples=20)
    assert "classes" not in other
    assert set(other["overall"]) == {"alpha_mse", "alpha_rmse", "alpha_explained"}
    with pytest.raises(ValueError, match="no video with a class"):
        summarise(outcome(classifies=False, regresses=False))


def test_tables_say_what_the_summary_says():
    found = summarise(outcome(), resamples=20)
    table = overall_markdown({"one": found, "two": summarise(outcome(1, regresses=False), resamples=20)})
    assert f"| accuracy, % | {100 * found['overall']['top1']['value']:.1f} [" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1
    assert len(classes_markdown(found).splitlines()) == 2 + 3
    rows = list(csv.DictReader(classes_csv(found).splitlines()))
    assert [row["name"] for row in rows] == list(CLASSES)
    assert float(rows[0]["recall"]) == found["classes"][0]["recall"]
    lines = [line.split(",") for line in confusion_csv(found["confusion"]).splitlines()]
    assert lines[0] == ["", *CLASSES]
    assert [[int(x) for x in line[1:]] for line in lines[1:]] == found["confusion"]["table"]
    assert "eyes" in confusion_markdown(found["groups"])


def test_rows_of_a_confusion_add_up_to_100():
    for line in confusion_markdown(summarise(outcome(), resamples=5)["confusion"]).splitlines()[2:]:
        assert abs(sum(int(x) for x in line.split("|")[2:-1]) - 100) <= 1


def test_classes_follow_the_numbers_of_action_units():
    assert same_order(["FREE", "AU45", "AU2", "AU10"]) == ("AU2", "AU10", "AU45", "FREE")
