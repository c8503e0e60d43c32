"""Weights of action units: from training frames alone, each once; refused where they would be infinite."""

import re

import numpy as np
import pyarrow as pa
import pytest

from au3dmm.errors import Au3dmmError, ConfigError
from au3dmm.io.annotations import annotations_schema
from au3dmm.io.tables import write_table
from au3dmm.training.frequencies import inverse_rates, unit_counts, with_weights
from au3dmm.training.setup import read_setup
from au3dmm.training_config import load_training
from training_run import METADATA, statement, write_training_run

# frames with AU1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24, of the 100 813 that BP4D's first fold trains on: the only
# whole numbers up to there that give the published weights (ME-GraphAU, data/BP4D/list/BP4D_weight_fold1.txt)
COUNTS = (18545, 14740, 19955, 44367, 57513, 57137, 54464, 46036, 17688, 34459, 16680, 14943)
PUBLISHED = (
    *(1.342985, 1.689665, 1.248091, 0.561356, 0.433044, 0.435894),
    *(0.457287, 0.541004, 1.408054, 0.722762, 1.493145, 1.666711),
)
CHANGES = (
    *("n_frames=8", "stride=4", "image_px=32", "loss.classes=0", "loss.alpha=0", "loss.occurrence=1", "monitor=loss"),
    *("occurrence_form=asymmetric", "options.trunk=resnet18", "options.width=8", "options.n_dynamic=8", "options.k=2"),
    "options.regions=face",
)


def test_weights_of_bp4ds_first_fold_are_the_published_ones_to_six_digits():
    weights = inverse_rates(np.array(COUNTS) / 100_813)
    assert np.round(weights, 6).tolist() == list(PUBLISHED)
    assert weights.mean() == pytest.approx(1)


def test_rare_units_weigh_more_and_the_number_of_frames_does_not_matter():
    rates = np.array([0.01, 0.2, 0.5])
    np.testing.assert_allclose(inverse_rates(rates), inverse_rates(rates / 2))
    np.testing.assert_allclose(inverse_rates(rates) * rates, (inverse_rates(rates) * rates)[0])


@pytest.fixture
def run(tmp_path):
    """Return a run of two people, 8 recordings; the second is val. AU12 is there in one of four coded frames."""
    run = write_training_run(tmp_path, people=2, n=12, lost=())
    annotate(run, lambda p, i: {"AU1": i < 6, "AU12": i % 4 == 0 if p == 0 else True, "AU4": None if i % 2 else i == 8})
    return run


def annotate(run, coded):
    rows = []
    for p in range(2):
        for u in ("AU1", "AU2", "AU51", "AU52"):
            for i in range(12):
                for unit, value in coded(p, i).items():
                    if value is not None:
                        rows.append(statement(f"S{p}_{u}", f"S{p}", unit, i, float(value)))
    write_table(run.annotations, "annotations", pa.Table.from_pylist(rows, schema=annotations_schema()), METADATA)


def setup_of(run, *changes, model="mdhr"):
    return read_setup(run, load_training(None, [*CHANGES, *changes], model), cache=run.path / "cache")


def test_frames_of_training_clips_count_once_and_weights_follow(run):
    setup = setup_of(run)
    assert [place[1:] for place in setup.train.places[:2]] == [(0, 8), (4, 8)]  # clips that overlap
    there, coded = unit_counts(setup.train)
    assert (there.tolist(), coded.tolist()) == ([24, 4, 12], [48, 24, 48])  # AU1, AU4, AU12 of four recordings
    rates = np.array([24 / 48, 4 / 24, 12 / 48])
    np.testing.assert_allclose(setup.loss.occurrence_weights, 3 / rates / (1 / rates).sum())
    assert setup.params.loss.occurrence_weights == ()  # in the file as given: it follows from the labels
    model = setup.make_model()
    assert model.units == ("AU1", "AU4", "AU12")
    assert [region.name for region in model.regions] == ["brows", "corners"]


def test_weights_that_are_given_are_taken(run):
    assert setup_of(run, "occurrence_weights=[1, 2, 3]").loss.occurrence_weights == (1, 2, 3)
    binary = setup_of(run, "occurrence_form=binary")
    assert binary.loss.occurrence_weights == ()


@pytest.mark.parametrize(
    ("coded", "changes", "message"),
    [
        (
            lambda p, i: {"AU1": i < 6, "AU12": p == 1},
            (),
            "never there in train: AU12 (of 2); go on without: --set data.units=AU1",
        ),
        (
            lambda p, i: {"AU1": i < 6, "AU12": None if p == 0 else True, "AU4": True},
            (),
            "never there in train: AU12; always there in train: AU4 (of 3); go on without: --set data.units=AU1",
        ),
        (lambda p, i: {"AU1": True, "AU12": p == 1}, (), "AU1 (of 2); no unit is left; split otherwise"),
        (
            lambda p, i: {"AU1": i < 6, **{f"AU{k}": i > 9 for k in (2, 4)}, **{f"AU{k}": False for k in range(5, 20)}},
            (),
            "never there in train: AU5, AU6, AU7, AU8 and 11 more (of 18); go on without: --set data.units=AU1,AU2,AU4",
        ),
        (
            lambda p, i: {"AU1": i < 6},
            ("data.units=AU12,AU1",),
            "data.units: AU12: coded in no recording; there are: AU1",
        ),
        (
            lambda p, i: {"AU1": i < 6, "AU12": i == 0},
            ("data.units=AU1", "occurrence_weights=[1, 2]"),
            "loss.occurrence_weights has 2 numbers, but 1 units are coded: AU1; expected one for each",
        ),
        (lambda p, i: {"AU1": None if p == 0 else True}, (), "no event frame of the 8 clips in train has a coded"),
        (
            lambda p, i: {"AU1": None if p == 0 else True},
            ("occurrence_form=binary",),
            "no event frame of the 8 clips in train has a coded action unit; expected some; split otherwise",
        ),
        (
            lambda p, i: {"AU1": i < 6, "AU12": i == 0},
            ("occurrence_weights=[1, 2, 3]",),
            "loss.occurrence_weights has 3 numbers, but 2 units are coded: AU1, AU12; expected one for each",
        ),
        (lambda p, i: {"AU1": i < 6, "AU80": i == 0}, (), "regions = 'face' has no region for AU80; it knows AU1, "),
        (
            lambda p, i: {"AU1": i < 6, "AU25": i == 0},
            ("options.regions=bp4d",),
            "no region for AU25; it knows AU1, AU2, AU4, AU6, AU7, AU10, AU12, AU14, AU15, AU17, AU23, AU24; disfa and",
        ),
        (
            lambda p, i: {"AU1": i < 6},
            ("options.k=5",),
            "clips of 8 frames are shorter than the temporal window of 2 k",
        ),
        (lambda p, i: {"AU1": i < 6}, ('options.units=["AU1"]',), "options.units: it follows from labels and data"),
        (lambda p, i: {"AU1": i < 6}, ("loss.occurrence=0", "loss.alpha=1"), "and none is asked for; set loss.occurr"),
        (
            lambda p, i: {"AU1": i < 6},
            ("loss.occurrence=0", "loss.alpha=1", "units=AU1"),
            "data.units = AU1, but no unit is learnt: set loss.occurrence above 0, or leave",
        ),
    ],
)
def test_what_cannot_be_weighed_or_recognised_is_refused_in_one_line(tmp_path, coded, changes, message):
    run = write_training_run(tmp_path, people=2, n=12, lost=())
    annotate(run, coded)
    with pytest.raises(Au3dmmError, match=re.escape(message)) as err:
        setup_of(run, *changes).make_model()
    assert isinstance(err.value, ConfigError)
    assert "\n" not in str(err.value)


def test_labels_that_come_late_are_counted_where_they_are_learnt(run):
    there, coded = unit_counts(setup_of(run, "data.shift=6", "occurrence_form=binary").train)
    assert (there[0], coded[0]) == (0, 24)  # AU1 is there in the first six of twelve frames


def test_no_weights_are_sought_where_occurrence_is_not_learnt(run):
    train = setup_of(run).train
    loss = load_training(None, ["occurrence_form=asymmetric"]).loss
    assert with_weights(loss, train) is loss


def test_units_that_are_chosen_are_all_that_the_network_knows_and_weighs(run):
    setup = setup_of(run, "data.units=AU12,AU1")
    assert setup.labels.names_occurrence == ("AU1", "AU12")
    assert setup.described["names_occurrence"] == ["AU1", "AU12"]
    np.testing.assert_allclose(setup.loss.occurrence_weights, [2 / 3, 4 / 3])
    assert setup.make_model().units == ("AU1", "AU12")
    whole, labels = setup_of(run).labels, setup.labels
    np.testing.assert_array_equal(labels.occurrence, whole.occurrence[:, [0, 2]])


def test_what_is_not_weighed_is_warned_of(tmp_path, caplog):
    run = write_training_run(tmp_path, people=2, n=12, lost=())
    annotate(run, lambda p, i: {"AU1": i < 6, "AU2": i < 5, "AU4": False})
    for change in ("occurrence_form=binary", "occurrence_weights=[1, 1, 1]"):
        caplog.clear()
        setup_of(run, change)
        assert "never there in train: AU4 (of 3); go on without: --set data.units=AU1,AU2" in caplog.text


def test_a_unit_that_takes_nearly_all_weight_is_named_and_a_cap_holds_it(tmp_path, caplog):
    run = write_training_run(tmp_path, people=2, n=12, lost=())
    annotate(run, lambda p, i: {"AU1": i < 6, "AU2": i < 5, "AU4": i == 0})
    setup = setup_of(run)
    assert "AU4 is there in 8.3 % of the coded frames in train, and takes 73 % of the weight of 3 units" in caplog.text
    assert setup.loss.occurrence_weights[2] == pytest.approx(3 * 12 / (2 + 12 / 5 + 12))
    caplog.clear()
    weights = setup_of(run, "occurrence_weight_cap=1.5").loss.occurrence_weights
    assert not caplog.messages
    np.testing.assert_allclose(np.divide(weights, weights[1]), [5 / 6, 1, 1.5])
    assert sum(weights) == pytest.approx(3)
    with pytest.raises(ConfigError, match=r"occurrence_weight_cap is 0\.5, expected at least 1, or 0 for none"):
        setup_of(run, "occurrence_weight_cap=0.5")
