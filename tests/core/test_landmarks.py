import numpy as np
import pytest

from au3dmm.core.landmarks import GROUPS, MIRROR, LandmarkEmbedding, eye_distance, landmark_positions, mirror_landmarks
from au3dmm.errors import SchemaError


def test_groups_cover_every_landmark_once():
    assert sorted(i for group in GROUPS.values() for i in group) == list(range(68))


def test_mirroring_twice_changes_nothing_and_swaps_left_and_right_groups():
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(68))
    for a, b in (("right_brow", "left_brow"), ("right_eye", "left_eye"), ("jaw", "jaw"), ("outer_lips", "outer_lips")):
        assert sorted(MIRROR[list(GROUPS[a])]) == sorted(GROUPS[b])
    points = np.random.default_rng(0).normal(size=(68, 2))
    np.testing.assert_allclose(mirror_landmarks(mirror_landmarks(points, 640), 640), points)


def test_mirror_of_the_chin_and_nose_tip_is_itself():
    assert [MIRROR[i] for i in (8, 27, 30, 33, 51, 57, 62, 66)] == [8, 27, 30, 33, 51, 57, 62, 66]


def test_landmarks_of_components_are_linear_in_them():
    rng = np.random.default_rng(0)
    v, faces = rng.normal(size=(20, 3)), rng.permuted(np.tile(np.arange(20), (9, 1)), axis=1)[:, :3]
    bary = rng.dirichlet(np.ones(3), 5)
    e = LandmarkEmbedding(np.array([0, 3, 8, 2, 2], np.int32), bary)
    stack = np.stack([v, 2 * v, -v])
    np.testing.assert_allclose(landmark_positions(stack, faces, e)[1], 2 * landmark_positions(v, faces, e))
    np.testing.assert_allclose(landmark_positions(v, faces, e)[1], bary[1] @ v[faces[3]])


def test_eye_distance_is_between_the_outer_corners():
    points = np.zeros((68, 3))
    points[45] = [3, 4, 0]
    assert eye_distance(points) == 5


def test_an_embedding_that_names_a_triangle_beyond_the_mesh_is_refused():
    e = LandmarkEmbedding(np.array([7], np.int32), np.array([[1.0, 0, 0]]))
    with pytest.raises(SchemaError, match="triangle 7, but the mesh has 1"):
        landmark_positions(np.zeros((3, 3)), np.array([[0, 1, 2]]), e)


def test_a_triangle_that_names_a_vertex_beyond_the_mesh_is_refused():
    e = LandmarkEmbedding(np.array([0], np.int32), np.array([[1.0, 0, 0]]))
    with pytest.raises(SchemaError, match="vertex 9, but the mesh has 3"):
        landmark_positions(np.zeros((3, 3)), np.array([[0, 1, 9]]), e)


def test_barycentric_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(SchemaError, match="sum of 1"):
        LandmarkEmbedding(np.array([0], np.int32), np.array([[1.0, 1.0, 0.0]]))
