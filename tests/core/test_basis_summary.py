"""A summary tells what the file tells, works out the rest, and never guesses."""

import json
from dataclasses import replace

import numpy as np
import pytest

from au3dmm.core.basis_summary import (
    coherence,
    component_table,
    landmark_condition,
    seen_at_landmarks,
    summarise_basis,
)
from demo_basis import few_components, learned
from planted import small_bases


@pytest.fixture(scope="module")
def demo():
    return few_components()


def test_a_learned_basis_is_summed_up_as_it_was_stored(demo):
    summary = summarise_basis(learned(demo))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["k_id"], summary["k_au"], summary["sparsity"], summary["method"]) == (2, 3, 0.8125, "dictionary")
    assert summary["settings"] == {"l1": 0.02, "l2": 0.0, "seed": 3, "epochs": 4}
    assert summary["corpora"][0] == {
        "name": "one", "subjects": 60, "sequences": 1800, "frames": 54000, "lost_files": 2, "licence": "MIT",
        "fingerprint": None,
    }  # fmt: skip
    assert [len(entry["action_units"]) for entry in summary["components"]] == [2, 0, 0]


def test_an_older_basis_gets_its_meanings_from_its_shape_and_the_rest_is_unknown(demo):
    summary = summarise_basis(demo)
    unknown = ("method", "sparsity", "variance_explained_id", "variance_explained_au", "objective", "corpora")
    assert {summary[key] for key in unknown} == {None}
    first, left, right = summary["components"]
    assert (first["region"], left["side"], left["mirror"], right["mirror"]) == (
        "brows", "left", "AU12_right", "AU12_left"
    )  # fmt: skip
    assert sum(entry["energy"] for entry in summary["components"]) == pytest.approx(1)
    assert first["action_units"] is None
    squared = (demo.components_au**2).sum((1, 2))
    assert left["energy"] == pytest.approx(squared[1] / squared.sum())


def test_the_objective_may_begin_before_the_first_epoch(demo):
    assert summarise_basis(learned(demo))["first_epoch"] == 1
    assert summarise_basis(learned(demo, epochs=3))["first_epoch"] == 0


def test_what_is_stored_wins_over_what_would_be_worked_out(demo):
    basis = learned(demo)
    basis.info["components"][1]["region"] = "chin"
    table = component_table(basis)
    assert [entry["region"] for entry in table] == ["brows", "chin", "lips"]


def test_meanings_in_another_order_than_the_components_are_not_taken_for_theirs(demo):
    basis = learned(demo)
    for entry in basis.info["components"]:
        entry["region"] = "chin"
    basis.info["components"].reverse()
    assert [entry["region"] for entry in component_table(basis)] == ["brows", "chin", "lips"]


@pytest.mark.parametrize(
    "components",
    [
        "none",
        [],
        [1, 2, 3],
        [{}, {}, {}],
        [{"name": "AU1"}] * 3,
        [{"name": "AU1", "energy": float("nan"), "side": 4}] * 3,
    ],
)
def test_meanings_that_are_not_ours_are_worked_out_anew(demo, components):
    broken = replace(demo, info={**demo.info, "components": components})
    assert component_table(broken) == component_table(demo)


def test_values_of_the_wrong_kind_count_as_unknown(demo):
    wrong = {
        "sparsity": "high", "variance_explained_id": [0.5, "all"], "objective": [], "corpora": "ict", "l1": True,
        "licence": ["MIT"], "variance_explained_au": float("inf"), "warnings": [1, "one"],
    }  # fmt: skip
    summary = summarise_basis(replace(demo, info=wrong))
    assert {summary[key] for key in wrong if key not in ("l1", "warnings")} == {None}
    assert summary["settings"]["l1"] is None
    assert summary["warnings"] == ["one"]


def test_a_partner_to_speak_of_needs_a_cosine(demo):
    alone = few_components(("AU1", "AU12_left"))
    first, smile = component_table(alone)
    assert (first["partner"], smile["partner"]) == ("AU1", None)
    assert abs(smile["mirror_cosine"]) < 0.5


def test_signs_are_arbitrary_where_the_basis_says_so(demo):
    flipped = replace(demo, components_au=demo.components_au * np.array([1, 1, -1])[:, None, None])
    assert component_table(flipped)[1]["partner"] is None
    signed = replace(flipped, info={**flipped.info, "codes": "signed"})
    assert component_table(signed)[1]["partner"] == "AU12_right"
    assert component_table(signed)[1]["mirror_cosine"] == pytest.approx(-1, abs=1e-4)


def test_coherence_and_condition_are_those_of_numpy():
    rows = np.random.default_rng(0).normal(size=(7, 30))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [abs(unit[i] @ unit[j]) for i in range(7) for j in range(i)]
    assert coherence(rows) == pytest.approx({"max": max(pairs), "mean": np.mean(pairs)})
    assert coherence(rows[:1]) == {"max": None, "mean": None}
    assert landmark_condition(rows)[0] == pytest.approx(np.linalg.cond(rows))
    assert landmark_condition(np.vstack([rows, rows[:2]])) == (None, 7)
    assert landmark_condition(np.zeros((3, 5))) == (None, 0)


def test_a_component_that_only_shifts_the_head_is_not_seen_at_the_landmarks():
    bases = small_bases(k_au=3)
    shifted = bases.components_au.copy()
    shifted[1] = [0.001, -0.002, 0.003]
    seen = seen_at_landmarks(replace(bases, components_au=shifted))
    assert seen.shape == (3, 136)
    assert np.abs(seen[1]).max() < 1e-15
    summary = summarise_basis(replace(bases, components_au=shifted))
    assert (summary["condition_landmarks"], summary["rank_landmarks"]) == (None, 2)


def test_factors_of_deviations_are_in_the_table_and_1_where_a_file_has_none():
    plain = small_bases(k_au=3)
    assert [entry["std_factor"] for entry in component_table(plain)] == [1.0] * 3
    known = replace(plain, std_factor_au=np.array([0.7, 1.0, 1.4]))
    assert [entry["std_factor"] for entry in component_table(known)] == [0.7, 1.0, 1.4]
