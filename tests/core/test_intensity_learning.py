import numpy as np
import pytest

from au3dmm.core.intensity_learning import TaggedRows, learn_intensities, residual_of
from au3dmm.core.unit_fields import learn_unit_fields, peaks
from au3dmm.errors import FitError, SchemaError

V, FRAMES = 40, 12
UNITS = ("AU1", "AU12", "AU25")


def corpus(*, people=4, seed=0, plans=None, noise_m=2e-5, shapes=None):
    """People show units, alone and together, on the left half (vertices 0 to 19) and the right one."""
    rng = np.random.default_rng(seed)
    shapes = 4e-3 * rng.standard_normal((len(UNITS), V, 3)) if shapes is None else shapes
    left = (np.arange(V) < V // 2).astype(float)
    plans = plans or [
        ("AU1",),
        ("AU12",),
        ("AU25",),
        ("AU1", "AU12"),
        ("AU12", "AU25"),
        ("AU12_left",),
        ("AU12_right",),
    ]
    rows, takes, tags, owner, truth = [], [], [], [], []
    for person in range(people):
        for plan in plans:
            track = np.zeros((FRAMES, len(UNITS), 2))
            for tag in plan:
                unit, _, side = tag.partition("_")
                if unit not in UNITS:
                    continue
                phase = np.linspace(0, np.pi, FRAMES)
                course = rng.uniform(0.5, 1) * np.sin(phase) ** rng.uniform(1, 3)
                track[:, UNITS.index(unit), {"left": [0], "right": [1]}.get(side, [0, 1])] = course[:, None]
            weight = track[:, :, :1] * left + track[:, :, 1:] * (1 - left)
            moved = np.einsum("tuv,uvd->tvd", weight, shapes) + noise_m * rng.standard_normal((FRAMES, V, 3))
            takes.append(np.arange(len(rows) * FRAMES, (len(rows) + 1) * FRAMES))
            rows.append(moved.reshape(FRAMES, -1))
            tags.append(plan)
            owner.append(person)
            truth.append(track)
    x = np.concatenate(rows)
    directions = np.linalg.svd(x, full_matrices=False)[2][:20]
    made = TaggedRows(x @ directions.T, directions, left, tuple(takes), tuple(tags), tuple(owner))
    return made, np.concatenate(truth), shapes


def learn(rows, components, **options):
    stddev = np.linalg.norm(components.reshape(len(components), -1), axis=1)
    return learn_intensities(rows, components, stddev, **{"l1": 0.0, "l2": 0.0, "nonnegative": True, **options})


def test_activations_nobody_told_come_back_from_tags_alone():
    rows, truth, _ = corpus()
    gram = (rows.directions * np.repeat(rows.left, 3)) @ rows.directions.T
    shown = np.array([[bool({u, f"{u}_left"} & set(tags)) for u in UNITS] for tags in rows.tags])
    found = learn_unit_fields(rows.coordinates, gram, rows.takes, shown)
    for u in range(3):
        assert np.corrcoef(found.activation[:, u], truth[:, u, 0])[0, 1] > 0.99
        largest = peaks(found.activation, rows.takes)[shown[:, u], u]
        assert np.isclose(np.quantile(largest, 0.95), 1, atol=0.05)


def test_intensities_of_new_people_follow_the_truth_on_each_side():
    rows, _, shapes = corpus()
    learnt = learn(rows, np.concatenate([shapes * rows.left[:, None], shapes * (1 - rows.left[:, None])]))
    reader = learnt.intensities
    assert reader.units == UNITS
    assert learnt.left_out == {}
    assert (reader.explained > 0.97).all()
    # alpha of the planted components is the truth itself
    found = reader.read(np.array([[0, 0.5, 0, 0, 0.0, 0], [0, 0, 0, 0, 0.5, 0], [0, 0, 0.4, 0, 0, 0.4]]))
    column = {name: found[:, i] for i, name in enumerate(reader.names)}
    assert column["AU12_left"][0] > 2
    assert column["AU12_right"][0] < 0.1
    assert column["AU12_right"][1] > 2
    assert column["AU12_left"][1] < 0.1
    assert column["AU25"][2] > 1.5
    assert column["AU1"].max() < 0.1


def test_units_that_are_always_shown_together_are_one():
    rows, _, shapes = corpus(plans=[("AU1", "AU2"), ("AU12",), ("AU25",)])
    assert learn(rows, shapes).intensities.units == ("AU1/2", "AU12", "AU25")


def test_a_unit_that_too_few_sequences_show_is_named_and_left_out():
    rows, _, shapes = corpus(people=3, plans=[("AU1",), ("AU12",), ("AU12",)])
    learnt = learn(rows, shapes)
    assert learnt.intensities.units == ("AU12",)
    assert learnt.sequences == (6,)
    assert learnt.people == (3,)
    assert learnt.left_out == {"AU1": 3}
    nothing = learn(corpus(people=1)[0], shapes)
    assert nothing.intensities is None
    assert set(nothing.left_out) == set(UNITS)


def test_movements_of_the_head_are_no_units_of_the_face():
    rows, _, shapes = corpus(plans=[("AU12", "AU51"), ("AU12",), ("AU1",)])
    learnt = learn(rows, shapes)
    assert learnt.intensities.units == ("AU1", "AU12")
    assert learnt.left_out == {}


def test_what_a_basis_cannot_show_is_not_explained():
    rows, _, shapes = corpus()
    reader = learn(rows, shapes[1:]).intensities
    told = dict(zip(reader.names, reader.explained, strict=True))
    assert told["AU12"] > 0.9
    assert told["AU1"] < 0.3


def test_motion_that_nobody_tagged_does_not_spoil_the_others():
    rows, _, shapes = corpus(people=6)
    x = rows.coordinates.copy()
    stray = 0.05 * np.random.default_rng(5).standard_normal((2, x.shape[1]))
    for number, more in zip((0, 14), stray, strict=True):  # AU1 of two of six people, with something large on top
        x[rows.takes[number]] += np.sin(np.linspace(0, np.pi, FRAMES))[:, None] * more
    gram = np.eye(x.shape[1])
    shown = np.array([[any(tag.startswith(u) for tag in tags) for u in UNITS] for tags in rows.tags])
    found = learn_unit_fields(x, gram, rows.takes, shown)
    true = (shapes.reshape(3, -1) @ rows.directions.T)[0]
    cosine = found.fields[0] @ true / np.linalg.norm(found.fields[0]) / np.linalg.norm(true)
    assert cosine > 0.8


def test_a_tag_that_is_no_action_unit_is_refused():
    rows, _, shapes = corpus(plans=[("smile",), ("AU12",)])
    with pytest.raises(SchemaError, match="'smile' is no action unit"):
        learn(rows, shapes)


def test_a_unit_that_no_sequence_shows_is_refused():
    with pytest.raises(FitError, match="1 of 1 are shown by no sequence"):
        learn_unit_fields(np.ones((3, 2)), np.eye(2), [np.arange(3)], np.zeros((1, 1), bool))


def test_residuals_are_sorted_by_what_is_read():
    truth = np.array([[0.0], [0], [4], [4]])
    residual, explained = residual_of(np.array([[0.0], [0], [0], [4]]), truth)
    assert np.isclose(residual[0, 0], 4 / np.sqrt(3))  # one of the three where nothing is read
    assert residual[0, 1] == 0
    assert np.isclose(explained[0], 0)
    assert residual_of(truth, truth)[1].tolist() == [1]
