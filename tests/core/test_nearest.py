import numpy as np

from au3dmm.core.nearest import nearest_on_mesh


def soup(seed, n=200):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(60, 3))
    faces = np.array([rng.choice(60, 3, replace=False) for _ in range(n)])
    return vertices, faces, rng


def test_no_place_on_any_triangle_is_nearer():
    vertices, faces, rng = soup(0)
    points = 1.5 * rng.normal(size=(20, 3))
    index, weights = nearest_on_mesh(points, vertices, faces)
    found = np.einsum("nc,ncd->nd", weights, vertices[faces[index]])
    distance = np.linalg.norm(found - points, axis=1)
    bary = rng.dirichlet(np.ones(3), 3000)
    bary = np.concatenate([bary, np.eye(3), rng.permuted([[0.5, 0.5, 0.0]], axis=1)])
    everywhere = np.einsum("bc,fcd->fbd", bary, vertices[faces]).reshape(-1, 3)
    sampled = np.array([np.linalg.norm(everywhere - p, axis=1).min() for p in points])
    assert (distance <= sampled + 1e-12).all()
    assert (sampled - distance).max() < 0.1, "and the samples are about as near"
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights.min() >= -1e-12


def test_places_on_the_mesh_are_found_again():
    vertices, faces, rng = soup(1)
    which = rng.integers(0, len(faces), 30)
    bary = rng.dirichlet(np.ones(3), 30)
    points = np.einsum("nc,ncd->nd", bary, vertices[faces[which]])
    index, weights = nearest_on_mesh(points, vertices, faces)
    found = np.einsum("nc,ncd->nd", weights, vertices[faces[index]])
    np.testing.assert_allclose(found, points, atol=1e-9)


def test_triangles_that_are_not_allowed_are_not_found():
    vertices, faces, rng = soup(2)
    allowed = np.arange(len(faces)) % 3 == 0
    index, _ = nearest_on_mesh(rng.normal(size=(25, 3)), vertices, faces, allowed)
    assert (index % 3 == 0).all()


def test_triangles_without_area_do_no_harm():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 5]])
    index, weights = nearest_on_mesh(np.array([[1.5, 1.0, 0.0]]), vertices, np.array([[0, 1, 2], [3, 3, 3]]))
    assert index[0] == 0
    np.testing.assert_allclose(weights[0] @ vertices[:3], [1.5, 0, 0], atol=1e-12)
