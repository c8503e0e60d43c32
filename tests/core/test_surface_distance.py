"""Surfaces: the nearest place against the search through all triangles, and planted rigid motions undone by ICP."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from au3dmm.core.nearest import nearest_on_mesh
from au3dmm.core.surface_distance import Surface, register_to_surface
from au3dmm.errors import FitError, SchemaError


def hill(n=15):
    """A hill with a ridge, 1 unit per grid line, that no rigid motion leaves as it is."""
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    z = 4 * np.exp(-((x - 5) ** 2 + (y - 9) ** 2) / 18) + 0.2 * x + 2 * np.exp(-((x - 11) ** 2) / 6)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(float)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])
    return vertices, faces


def test_nearest_places_are_those_of_the_search_through_all_triangles():
    vertices, faces = hill()
    rng = np.random.default_rng(0)
    points = vertices[rng.integers(len(vertices), size=60)] + rng.normal(scale=0.6, size=(60, 3))
    found = Surface(vertices, faces).nearest(points)
    index, weights = nearest_on_mesh(points, vertices, faces)
    places = np.einsum("nc,ncd->nd", weights, vertices[faces[index]])
    np.testing.assert_allclose(found.distances(points), np.linalg.norm(points - places, axis=1), atol=1e-9)


def test_the_plane_distance_is_signed_and_that_along_the_normal():
    vertices = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])
    found = Surface(vertices, np.array([[0, 1, 2]])).nearest(points := np.array([[1.0, 1, 2], [1, 1, -3], [-3, 0, 1]]))
    np.testing.assert_allclose(found.normals, [[0, 0, 1]] * 3)
    np.testing.assert_allclose(found.plane_distances(points), [2, -3, 1])
    np.testing.assert_allclose(found.distances(points), [2, 3, np.sqrt(10)])


def test_a_triangle_without_area_is_a_line():
    line = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    points = np.array([[0.5, 3, 0], [1.0, 0, 0]])
    found = Surface(line, np.array([[0, 1, 2]])).nearest(points)
    np.testing.assert_allclose(found.plane_distances(points), [3, 0], atol=1e-12)


def test_icp_undoes_a_planted_motion():
    vertices, faces = hill()
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(3), size=80)
    on_it = np.einsum("nc,ncd->nd", weights, vertices[faces[rng.integers(len(faces), size=80)]])
    rotation = Rotation.from_rotvec([0.04, -0.03, 0.05])
    points = rotation.apply(on_it) + [0.3, -0.2, 0.4]
    motion = register_to_surface(points, Surface(vertices, faces))
    np.testing.assert_allclose(motion.apply(points), on_it, atol=1e-5)
    assert motion.scale == 1.0
    np.testing.assert_allclose(motion.rotation, rotation.inv().as_matrix(), atol=1e-6)


def test_points_on_the_surface_stay_where_they_are():
    vertices, faces = hill()
    motion = register_to_surface(vertices[::3], Surface(vertices, faces))
    np.testing.assert_allclose(motion.apply(vertices), vertices, atol=1e-9)


def test_a_moved_surface_is_a_new_one():
    vertices, faces = hill()
    surface = Surface(vertices, faces)
    moved = surface.moved(vertices + [0, 0, 1.0])
    points = vertices[100:104] + [0, 0, 1.0]
    np.testing.assert_allclose(moved.nearest(points).distances(points), 0, atol=1e-12)
    assert surface.nearest(points).distances(points).min() > 0.3
    with pytest.raises(SchemaError, match="this is another topology"):
        surface.moved(vertices[1:])


def test_what_is_no_surface_or_no_points_is_refused():
    vertices, faces = hill()
    with pytest.raises(SchemaError, match="0 triangles on 225 vertices"):
        Surface(vertices, faces[:0])
    with pytest.raises(SchemaError, match="expected a mesh"):
        Surface(vertices[:5], faces)
    with pytest.raises(FitError, match=r"icp: points \(5, 3\); expected at least six"):
        register_to_surface(vertices[:5], Surface(vertices, faces))
