import numpy as np
import pytest

from au3dmm.core.registration import Similarity
from au3dmm.core.vertex_order import explain_difference, mesh_reference
from au3dmm.errors import SchemaError
from au3dmm.io.mesh import read_mesh
from corpora_trees import head_mesh


@pytest.fixture(params=["triangles", "neighbours"])
def reference(request):
    mesh = head_mesh()
    return mesh_reference(mesh.vertices, mesh.faces if request.param == "triangles" else None)


def test_other_people_poses_and_expressions_are_the_same_topology(reference):
    rng = np.random.default_rng(0)
    for _ in range(20):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        head = head_mesh().vertices * rng.uniform(0.8, 1.2, 3) + rng.normal(0, 0.004, (56, 3))
        assert explain_difference(reference, Similarity(turn, rng.normal(size=3), 1.0).apply(head)) is None


def test_another_order_is_explained(reference):
    vertices, rng = head_mesh().vertices, np.random.default_rng(0)
    for order in (rng.permutation(56), np.arange(56)[::-1], np.roll(np.arange(56), 20)):
        assert "in another order" in explain_difference(reference, vertices[order])


def test_a_mirrored_head_is_explained(reference):
    assert "mirrored" in explain_difference(reference, head_mesh().vertices * [-1, 1, 1])


def test_another_size_is_another_unit(reference):
    assert explain_difference(reference, head_mesh().vertices * 1000) == (
        "it is 1e+03 times as large as the others; another unit?"
    )
    assert "0.01 times" in explain_difference(reference, head_mesh().vertices / 100)


def test_collapsed_and_flat_heads_are_explained(reference):
    assert explain_difference(reference, np.zeros((56, 3))) == "its vertices are all in one place"
    assert "in another order" in explain_difference(reference, head_mesh().vertices * [0, 1, 0])


def test_another_number_of_vertices_is_another_topology(reference):
    assert "another topology" in explain_difference(reference, np.zeros((55, 3)))


def test_a_reference_in_one_place_is_refused():
    with pytest.raises(SchemaError, match="all vertices are in one place"):
        mesh_reference(np.ones((5, 3)))


def test_few_vertices_and_doubled_ones_do_no_harm():
    tetrahedron = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]) * 0.1
    assert explain_difference(mesh_reference(tetrahedron), tetrahedron * 1.1) is None
    assert "another order" in explain_difference(mesh_reference(tetrahedron), tetrahedron[[1, 0, 2, 3, 4]])


@pytest.mark.shared
@pytest.mark.parametrize("with_faces", [True, False])
def test_orders_of_a_real_head(shared_data, with_faces):
    mesh = read_mesh(shared_data / "flame_format" / "template.ply", n_vertices=5023)
    reference = mesh_reference(mesh.vertices, mesh.faces if with_faces else None)
    assert explain_difference(reference, mesh.vertices * 1.1) is None
    eyeballs = np.arange(5023)
    eyeballs[3931:] = eyeballs[3931:][::-1]
    for order in (np.roll(np.arange(5023), 1), eyeballs):
        assert "in another order" in explain_difference(reference, mesh.vertices[order])


@pytest.mark.shared
def test_strong_expressions_of_unusual_people_are_no_other_order(shared_data):
    data = np.load(shared_data / "ict_facekit.npz")
    n = 11248  # face, head and neck
    faces = data["tri"][(data["tri"] < n).all(1)]
    rng = np.random.default_rng(0)
    reference = mesh_reference(data["neutral"][:n], faces)
    for _ in range(3):
        head = data["neutral"][:n] + np.tensordot(rng.normal(0, 1.5, 100), data["identity"][:, :n], 1)
        head += np.tensordot(rng.uniform(0, 1, 57) * (rng.random(57) < 0.5), data["expression"][:, :n], 1)
        assert explain_difference(reference, head) is None
