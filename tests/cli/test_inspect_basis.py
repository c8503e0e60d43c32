"""`au3dmm inspect bases.npz`: demo, learned and older files, whole names and whole hashes."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from au3dmm.cli.inspect_basis import BASIS_KEYS
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import bases_fingerprint, write_bases
from demo_basis import few_components, learned
from planted import small_bases


@pytest.fixture
def inspect(au3dmm, tmp_path):
    """Write a basis and inspect it."""

    def call(bases, *options):
        write_bases(tmp_path / "bases.npz", bases)
        answer = au3dmm("inspect", tmp_path / "bases.npz", *options)
        assert answer.code == 0, answer.err
        return answer.out

    return call


def fact(out, name):
    """The value beside a name."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"  {name}  ")]
    return line.removeprefix(f"  {name}").strip()


def row(out, name):
    """The cells of a component's line."""
    lines = out.split("\n  component  ")[1].split("\n\n")[0].splitlines()
    (line,) = [line for line in lines if line.split()[:1] == [name]]
    return re.split(r"\s{2,}", line.strip())


def test_a_learned_basis_tells_its_numbers_corpora_and_components(inspect, tmp_path):
    bases = learned(few_components())
    out = inspect(bases)
    assert fact(out, "AU components") == "3"
    assert fact(out, "variance explained, identity") == "97.5 %"
    assert fact(out, "variance explained, AU") == "98.4 %"
    assert fact(out, "sparsity") == "81.2 % of the codes are zero"
    assert fact(out, "settings") == "l1 0.02, l2 0, seed 3, epochs 4"
    assert fact(out, "objective") == "3 to 1.5 in epochs 1 to 4"
    assert fact(out, "licence") == "MIT"
    assert fact(out, "file hash") == bases_fingerprint(tmp_path / "bases.npz")
    assert fact(out, "topology hash") == bases.topology_hash()
    assert fact(out, "landmark hash") == bases.landmark_hash()
    assert "  two     10        519        4711    unknown     unknown  sha256:" + 64 * "a" in out
    assert row(out, "AU1")[9] == "AU4 (r 0.71, n 31), AU1 (r 0.40, n 9)"
    assert row(out, "AU12_left")[1:5] == ["lips", "left", "AU12_right", "1.00"]
    assert row(out, "AU12_right")[9] == "none"
    assert "warning: subject s03: its neutral head is 4 mm off" in out


def test_factors_of_deviations_are_shown_and_1_where_a_file_has_none(inspect):
    bases = learned(few_components())
    assert row(inspect(bases), "AU1")[8] == "1.00"
    k = bases.names_au.index("AU1")
    assert row(inspect(replace(bases, std_factor_au=np.where(np.arange(3) == k, 1.25, 0.8))), "AU1")[8] == "1.25"


def test_the_shipped_basis_shows_every_component(au3dmm):
    out = au3dmm("inspect", asset_path(DEMO_BASES)).out
    assert fact(out, "kind") == "demo"
    assert fact(out, "sparsity") == "unknown"
    assert fact(out, "corpora") == "unknown"
    assert fact(out, "condition at the landmarks").endswith("34 of 34 components can be told apart")
    names = json.loads(au3dmm("inspect", asset_path(DEMO_BASES), "--json").out)["metadata"]["names_au"]
    assert [row(out, name)[0] for name in names] == names
    assert row(out, "AU43_right")[1:4] == ["eyes", "right", "AU43_left"]
    assert row(out, "AU43_right")[9] == "unknown"
    assert "..." not in out


def test_a_basis_that_says_nothing_of_itself_is_unknown_and_no_more(inspect):
    out = inspect(replace(small_bases(k_au=1), info={}))
    for name in ("kind", "method", "licence", "provenance", "made by", "variance explained, AU", "objective"):
        assert fact(out, name) == "unknown"
    assert fact(out, "coherence over the head") == "no two components to compare"
    assert "None" not in out


def test_json_has_all_of_it(inspect):
    bases = learned(few_components())
    report = json.loads(inspect(bases, "--json"))
    assert {"file", "bytes", "kind", "metadata", "arrays", "basis"} == set(report)
    basis = report["basis"]
    assert set(basis["components"][0]) == {
        "name", "region", "side", "mirror", "mirror_cosine", "partner", "energy", "support", "peak_mm", "action_units",
        "std_factor",
    }  # fmt: skip
    assert basis["components"][0]["action_units"] == [
        {"au": "AU4", "r": 0.71, "n": 31},
        {"au": "AU1", "r": 0.4, "n": 9},
    ]
    assert basis["objective"] == [3.0, 2.0, 2.5, 1.5]
    assert 0 < basis["coherence"]["head"]["mean"] <= basis["coherence"]["head"]["max"] <= 1
    assert basis["condition_landmarks"] > 1


def test_numbers_that_no_json_may_hold_are_null(inspect):
    wrong = {"sparsity": float("nan"), "own": {"list": [1, float("inf")]}}
    report = json.loads(inspect(replace(small_bases(), info=wrong), "--json"))
    assert report["basis"]["sparsity"] is None
    assert report["metadata"]["own"] == {"list": [1, None]}


def test_what_the_summary_has_told_is_not_told_twice(inspect):
    out = inspect(learned(few_components(), own_remark="kept"))
    metadata = out.split("\nmetadata\n")[1]
    assert "own_remark: kept" in metadata
    assert not [line for line in metadata.splitlines() if line.strip().split(":")[0] in BASIS_KEYS]


def test_a_condition_without_end_says_how_many_components_are_told_apart(inspect):
    bases = small_bases(k_au=4)
    twice = bases.components_au.copy()
    twice[3] = twice[0]
    out = inspect(replace(bases, components_au=twice))
    assert fact(out, "condition at the landmarks") == "infinite; 3 of 4 components can be told apart"
    assert fact(out, "coherence over the head").startswith("|cos| 1.000 largest")
