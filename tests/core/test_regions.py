"""The regions of the head are where the procedural head says they are, on any mesh and in any place."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.landmarks import GROUPS, landmark_positions
from au3dmm.core.regions import REGIONS, head_axes, mirror_vertices, skin_areas, vertex_regions, vertex_sides
from au3dmm.errors import SchemaError
from au3dmm.io.assets import read_default_head


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture(scope="module")
def landmarks(head):
    return landmark_positions(head.vertices, head.faces, head.embedding)


def share(head, landmarks, true, *names):
    """Share of the vertices of a true region that are given one of these names."""
    found = vertex_regions(head.vertices, landmarks)[head.regions[true]]
    return np.isin(found, [REGIONS.index(name) for name in names]).mean()


@pytest.mark.parametrize(
    ("true", "names", "least"),
    [
        ("brows", ("brows",), 0.95),
        ("left_eyeball", ("eyes",), 1),
        ("right_eyeball", ("eyes",), 1),
        ("upper_lids", ("eyes",), 0.9),
        ("lower_lids", ("eyes",), 0.9),
        ("nostrils", ("nose",), 1),
        ("lips", ("lips",), 0.97),
        ("inner_mouth", ("lips", "chin", "jaw"), 0.99),
        ("ears", ("ears",), 0.97),
        ("scalp", ("scalp", "forehead", "ears", "neck"), 1),
        ("clothing", ("neck",), 1),
        ("neck", ("neck",), 0.85),
    ],
)
def test_true_regions_of_the_procedural_head_are_found(head, landmarks, true, names, least):
    assert share(head, landmarks, true, *names) >= least


def test_every_region_is_there_and_landmarks_lie_in_their_own(head, landmarks):
    regions = vertex_regions(head.vertices, landmarks)
    assert set(regions) == set(range(len(REGIONS)))
    at = vertex_regions(landmarks, landmarks)
    for group, name in (("right_brow", "brows"), ("left_eye", "eyes"), ("outer_lips", "lips"), ("nose", "nose")):
        assert [REGIONS[r] for r in at[list(GROUPS[group])]] == [name] * len(GROUPS[group])
    assert REGIONS[at[8]] == "chin"


def test_regions_are_mirror_symmetric_and_do_not_depend_on_size_or_place(head, landmarks):
    regions = vertex_regions(head.vertices, landmarks)
    # the mirrored places tie on the midline, where rounding decides
    assert (regions == regions[head.mirror]).mean() > 0.995
    moved = vertex_regions(head.vertices * 1.7 + [0.3, 1.5, -0.2], landmarks * 1.7 + [0.3, 1.5, -0.2])
    assert (moved == regions).mean() > 0.999


def test_partners_of_a_symmetric_mesh_are_its_own(head, landmarks):
    np.testing.assert_array_equal(head.vertices[mirror_vertices(head.vertices, landmarks)] * [-1, 1, 1], head.vertices)


def test_partners_are_found_on_a_head_that_is_turned_and_shifted(head, landmarks):
    turn = Rotation.from_euler("yz", [12, 4], degrees=True).as_matrix().T
    shift = np.array([0.1, 1.5, 0.02])
    partner = mirror_vertices(head.vertices @ turn + shift, landmarks @ turn + shift)
    distance = np.linalg.norm(head.vertices[partner] - head.vertices[head.mirror], axis=1)
    assert distance.max() < 1e-6  # m; coinciding vertices are interchangeable
    origin, axes = head_axes(landmarks @ turn + shift)
    np.testing.assert_allclose(axes[0], [1, 0, 0] @ turn, atol=1e-6)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose((origin - shift) @ axes[0], 0, atol=1e-6)


def test_left_is_the_subjects_own(head, landmarks):
    sides = vertex_sides(head.vertices, landmarks)
    np.testing.assert_allclose(sides, head.vertices[:, 0], atol=1e-6)
    assert landmarks[45, 0] > 0  # the left eye's outer corner


def test_skin_is_what_can_be_seen(head):
    area = skin_areas(head.vertices, head.faces)
    corners = head.vertices[head.faces]
    whole = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert 0 < area.sum() < whole
    hidden = [*head.regions["teeth"], *head.regions["inner_mouth"]]
    assert (area[hidden] == 0).mean() > 0.8
    assert (area[head.regions["face"]] > 0).mean() > 0.95


def test_the_area_of_a_single_triangle_is_shared_by_its_corners():
    corners = np.array([[0.0, 0, 0], [0.2, 0, 0], [0, 0.1, 0]])
    np.testing.assert_allclose(skin_areas(corners, np.array([[0, 1, 2]])), [0.01 / 3] * 3)
    away = skin_areas(corners, np.array([[0, 2, 1]]))
    assert away.sum() == 0  # seen from behind only


@pytest.mark.parametrize(
    ("landmarks", "said"),
    [
        (np.zeros((51, 3)), r"\(51, 3\), expected 68"),
        (np.full((68, 3), np.nan), "expected 68 finite points"),
        (np.zeros((68, 3)), "the same places"),
    ],
)
def test_what_is_no_face_is_refused(head, landmarks, said):
    with pytest.raises(SchemaError, match=said):
        vertex_regions(head.vertices, landmarks)
