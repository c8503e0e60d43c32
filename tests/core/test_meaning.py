"""Components that are known say what they are; associations are found where they were planted, and nowhere else."""

import numpy as np
import pytest

from au3dmm.core.landmarks import landmark_positions
from au3dmm.core.meaning import (
    NO_REGION,
    Meaning,
    associate,
    component_names,
    correlate_with_tags,
    describe_components,
)
from au3dmm.core.regions import REGIONS
from au3dmm.errors import SchemaError
from au3dmm.io.assets import DEMO_BASES, asset_path, read_default_head
from au3dmm.io.bases import read_bases

TRUE_REGIONS = {
    "AU1": ("brows", "both"), "AU2_left": ("brows", "left"), "AU2_right": ("brows", "right"), "AU4": ("brows", "both"),
    "AU5_left": ("eyes", "left"), "AU7": ("eyes", "both"), "AU9": ("nose", "both"), "AU12_left": ("lips", "left"),
    "AU12_right": ("lips", "right"), "AU17": ("chin", "both"), "AU18": ("lips", "both"), "AU26": ("chin", "both"),
    "AU30_left": ("jaw", "both"), "AU43_right": ("eyes", "right"),
}  # fmt: skip


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture(scope="module")
def describe(head):
    landmarks = landmark_positions(head.vertices, head.faces, head.embedding)

    def call(components, **options):
        return describe_components(head.vertices, head.faces, np.asarray(components), landmarks, **options)

    return call


def bump(head, centre, direction=(0, 1, 0), reach=0.012):
    """A smooth push of 1 mm around a place."""
    squared = ((head.vertices - centre) ** 2).sum(1, keepdims=True)
    return 1e-3 * np.exp(-squared / (2 * reach**2)) * np.array(direction)


def mirrored(head, component):
    return component[head.mirror] * [-1, 1, 1]


def test_action_units_of_the_demo_basis_are_where_facs_puts_them():
    bases = read_bases(asset_path(DEMO_BASES))
    meanings = describe_components(bases.template, bases.faces, bases.components_au, bases.landmarks()[0])
    found = {name: (m.region, m.side) for name, m in zip(bases.names_au, meanings, strict=True)}
    assert {name: found[name] for name in TRUE_REGIONS} == TRUE_REGIONS
    for name, meaning in zip(bases.names_au, meanings, strict=True):
        swap = {"left": "right", "right": "left"}
        stem, _, side = name.partition("_")
        assert bases.names_au[meaning.mirror] == (f"{stem}_{swap[side]}" if side else name)
        assert meaning.mirror_cosine > 0.99


def test_a_planted_bump_has_its_place_partner_and_size(head, describe):
    brow = head.vertices[head.regions["brows"]]
    left = brow[np.argmax(brow[:, 0])]
    parts = [bump(head, left), 3 * mirrored(head, bump(head, left)), bump(head, [0, -0.07, 0.085])]
    meanings = describe(parts)
    assert [(m.region, m.side, m.mirror) for m in meanings] == [
        ("brows", "left", 1), ("brows", "right", 0), ("lips", "both", 2)
    ]  # fmt: skip
    assert [m.mirror_cosine for m in meanings] == pytest.approx([1, 1, 1], abs=1e-9)
    assert meanings[1].peak_mm == pytest.approx(3 * meanings[0].peak_mm, rel=1e-6)
    assert 0.5 < meanings[0].peak_mm <= 1


def test_support_is_the_smallest_share_of_vertices_with_95_percent_of_the_energy(head, describe):
    moved = np.zeros((3, len(head.vertices), 3))
    moved[0, :100, 0] = 1e-3  # 100 alike: 95 of them hold 95 %
    moved[1, :100, 2] = 1e-3
    moved[1, 0, 2] = 1  # and here one holds nearly all
    moved[2] = 1e-3
    n = len(head.vertices)
    assert [m.support * n for m in describe(moved)] == pytest.approx([95, 1, np.ceil(0.95 * n)])


def test_the_mirror_image_of_opposite_sign_is_a_partner_only_where_signs_are_arbitrary(head, describe):
    left = bump(head, head.vertices[head.regions["brows"]].max(0))
    pair = [left, -mirrored(head, left)]
    assert [(m.mirror, round(m.mirror_cosine, 6)) for m in describe(pair, signed=True)] == [(1, -1), (0, -1)]
    assert all(m.mirror_cosine > -0.01 for m in describe(pair))


def test_a_component_that_moves_nothing_says_so(head, describe):
    moving = bump(head, [0, -0.07, 0.085])
    still, lips = describe([np.zeros_like(moving), moving])
    assert still == Meaning(NO_REGION, "both", 0, 0.0, 0.0, 0.0)
    assert (lips.region, lips.mirror) == ("lips", 1)


def test_what_moves_inside_the_head_only_has_no_region(head, describe):
    hidden = np.zeros((1, len(head.vertices), 3))
    back = head.regions["teeth"][np.argsort(head.vertices[head.regions["teeth"], 2])[:10]]
    hidden[0, back] = 1e-3
    assert describe(hidden)[0].region == NO_REGION


def test_components_of_another_mesh_are_refused(describe):
    with pytest.raises(SchemaError, match=r"components \(2, 7, 3\), expected \(K, 5023, 3\)"):
        describe(np.zeros((2, 7, 3)))


def test_names_are_unique_and_keep_their_order():
    meanings = [Meaning(REGIONS[k % len(REGIONS)], ("left", "both", "right")[k % 3], 0, 0, 0, 0) for k in range(120)]
    names = component_names(meanings)
    assert len(set(names)) == 120
    assert list(names) == sorted(names)
    assert names[:3] == ("c001_left_forehead", "c002_brows", "c003_right_eye")
    assert component_names([Meaning(NO_REGION, "both", 0, 0, 0, 0)]) == ("c01_none",)


def test_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    peaks, tags = rng.random((40, 5)), rng.random((40, 3)) < 0.3
    r, n = correlate_with_tags(peaks, tags)
    expected = np.corrcoef(peaks.T, tags.T.astype(float))[:5, 5:]
    np.testing.assert_allclose(r, expected, atol=1e-12)
    np.testing.assert_array_equal(n, tags.sum(0))


def test_constant_columns_correlate_with_nothing():
    peaks = np.column_stack([np.full(6, 0.1), [0.0, 0, 0, 1, 1, 1]])
    tags = np.column_stack([np.ones(6), np.zeros(6), [0, 0, 0, 1, 1, 1]]).astype(bool)
    r, n = correlate_with_tags(peaks, tags)
    np.testing.assert_allclose(r, [[0, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_array_equal(n, [6, 0, 3])
    r, n = correlate_with_tags(np.zeros((0, 2)), np.zeros((0, 3), bool))
    assert (r.tolist(), n.tolist()) == ([[0, 0, 0], [0, 0, 0]], [0, 0, 0])


@pytest.mark.parametrize(
    ("peaks", "tags", "said"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2), bool), r"peaks \(3, 2\) and tags \(4, 2\)"),
        (np.full((3, 2), np.nan), np.zeros((3, 2), bool), "not finite"),
    ],
)
def test_peaks_that_do_not_fit_the_tags_are_refused(peaks, tags, said):
    with pytest.raises(SchemaError, match=said):
        correlate_with_tags(peaks, tags)


def test_there_must_be_a_name_for_every_tag():
    with pytest.raises(SchemaError, match="1 names for 2 action unit tags"):
        associate(np.zeros((4, 3)), np.zeros((4, 2), bool), ["AU1"])


def planted_tags(seed=0, n=200):
    """Sparse peaks of 8 components; components 0 to 2 follow AUs 0 to 2, component 3 follows AU0 more weakly."""
    rng = np.random.default_rng(seed)
    tags = rng.random((n, 6)) < 0.1
    peaks = rng.random((n, 8)) * (rng.random((n, 8)) < 0.15)
    for a in range(3):
        peaks[:, a] += tags[:, a] * (1 + rng.random(n))
    peaks[:, 3] += 0.5 * tags[:, 0] + 1.5 * tags[:, 1] * (rng.random(n) < 0.9)
    return peaks, tags


def test_planted_associations_are_found_best_first_and_no_others():
    peaks, tags = planted_tags()
    found = associate(peaks, tags, [f"AU{a}" for a in range(6)])
    assert [[item.au for item in items] for items in found] == [["AU0"], ["AU1"], ["AU2"], ["AU1", "AU0"], *[[]] * 4]
    assert [item.n for item in found[0]] == [tags[:, 0].sum()]
    r, _ = correlate_with_tags(peaks, tags)
    assert found[3][0].r == pytest.approx(r[3, 1])
    assert found == associate(peaks, tags, [f"AU{a}" for a in range(6)])


def test_chance_is_not_told_even_where_rare_tags_correlate():
    # rare tags and components that are nearly always off correlate by coincidence, some of them strongly
    coincidences = false = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tags = rng.random((80, 20)) < 0.03
        peaks = rng.random((80, 20)) * (rng.random((80, 20)) < 0.05)
        coincidences += int((correlate_with_tags(peaks, tags)[0] >= 0.5).sum())
        false += sum(map(len, associate(peaks, tags, [f"AU{a}" for a in range(20)], seed=seed)))
    assert coincidences > 10
    assert false <= 1


def test_without_sequences_or_tags_nothing_goes_with_anything():
    assert associate(np.zeros((0, 2)), np.zeros((0, 1), bool), ["AU1"]) == ((), ())
    assert associate(np.ones((5, 2)), np.zeros((5, 0), bool), []) == ((), ())
