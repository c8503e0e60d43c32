"""Unit masks: where components move the face, parts of the face where none does, and never another mesh."""

from dataclasses import replace

import numpy as np
import pytest

from au3dmm.core.regions import REGIONS, vertex_regions
from au3dmm.core.unit_masks import MASKS_VERSION, UnitMasks, unit_masks
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path
from au3dmm.io.bases import read_bases

FACEMORPHIC = [1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26, 27, 43, 45, 51, 52, 53, 54, 55, 56]


@pytest.fixture(scope="module")
def bases():
    return read_bases(asset_path(DEMO_BASES))


def test_every_unit_of_facemorphic_has_a_mask_on_the_shipped_head(bases):
    made = unit_masks(bases, [f"AU{n}" for n in FACEMORPHIC])
    assert made.masks.shape == (24, 5023)
    assert made.version == MASKS_VERSION
    assert set(made.sources[:18]) == {"components"}
    assert set(made.sources[18:]) == {"head"}
    assert made.masks[18:].all()
    # local ones are local
    assert made.masks[:18].mean(1).max() < 0.15


def test_a_mask_is_the_fewest_vertices_with_nearly_all_of_the_motion(bases):
    made = unit_masks(bases, ["AU12"])
    mine = [k for k, name in enumerate(bases.names_au) if name.startswith("AU12_")]
    energy = (bases.components_au[mine] ** 2).sum((0, 2))
    mask = made.masks[0]
    assert 0.95 <= energy[mask].sum() / energy.sum() < 0.96
    assert energy[mask].min() >= energy[~mask].max()


def test_sides_are_the_subjects_own(bases):
    both, left, right = unit_masks(bases, ["AU12", "AU12_left", "AU12_right"]).masks
    x = bases.template[:, 0]
    assert x[left].mean() > 0.01
    assert x[right].mean() < -0.01
    assert abs((left | right).sum() - both.sum()) < 0.05 * both.sum()
    # AU1 has one component for both sides: its vertices on that side
    whole, half = unit_masks(bases, ["AU1", "AU1_left"]).masks
    assert (bases.template[half, 0] > 0).all()
    assert 0 < half.sum() < whole.sum()


def test_where_no_component_shows_a_unit_parts_of_the_face_do(bases):
    made = unit_masks(bases, ["AU11", "AU13_left"])
    assert made.sources == ("parts", "parts")
    regions = vertex_regions(bases.template, bases.landmarks()[0])
    named = {REGIONS[i] for i in np.unique(regions[made.masks[0]])}
    assert named == {"nose", "cheeks", "lips"}
    assert (bases.template[made.masks[1], 0] > 0).all()


def test_learnt_components_show_the_unit_that_they_go_with_best(bases):
    entries = [{"action_units": []} for _ in bases.names_au]
    entries[3] = {"action_units": [{"au": "AU17", "r": 0.9, "n": 4}, {"au": "AU4", "r": 0.5, "n": 4}]}
    names = tuple(f"c{i + 1:02d}" for i in range(bases.k_au))
    learnt = replace(bases, names_au=names, info={**bases.info, "components": entries})
    found, brows = unit_masks(learnt, ["AU17", "AU4"]).masks
    expected = unit_masks(bases, ["AU4"]).masks[0]  # component 3 of the shipped basis
    np.testing.assert_array_equal(found, expected)
    assert unit_masks(learnt, ["AU4"]).sources == ("parts",)
    assert brows.any()


def test_damaged_words_about_components_are_passed_over(bases):
    names = tuple(f"c{i + 1:02d}" for i in range(bases.k_au))
    for entries in (None, "x", [1] * bases.k_au, [{"action_units": "AU1"}] * bases.k_au, [{"action_units": [3]}]):
        learnt = replace(bases, names_au=names, info={**bases.info, "components": entries})
        assert unit_masks(learnt, ["AU4"]).sources == ("parts",)


def test_masks_of_another_topology_are_refused(bases):
    made = unit_masks(bases, ["AU1"])
    made.check(bases.topology_hash(), 5023)
    with pytest.raises(SchemaError, match=r"of a mesh of 5023 vertices.*; the faces have 7306, topology abc"):
        made.check("abc", 7306)
    with pytest.raises(SchemaError, match="make masks from their own basis"):
        made.check("abc", 5023)


def test_names_that_are_none_and_empty_masks_are_refused(bases):
    with pytest.raises(SchemaError, match="'smile' is no action unit; expected names like AU12"):
        unit_masks(bases, ["smile"])
    with pytest.raises(SchemaError, match="AU1 sees no vertex"):
        UnitMasks(("AU1",), np.zeros((1, 4), bool), ("parts",), "t")
    with pytest.raises(SchemaError, match=r"\(1, 4\) for 2 units"):
        UnitMasks(("AU1", "AU2"), np.ones((1, 4), bool), ("parts",), "t")
