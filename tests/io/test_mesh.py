import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.mesh import Mesh, read_mesh, write_mesh


def awkward_mesh():
    """Duplicate vertices, an unused vertex and a shuffled order: all that a mesh library likes to tidy away."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [9, 9, 9]], float)
    faces = np.array([[3, 2, 0], [1, 4, 2], [0, 4, 3]], np.int32)
    return Mesh(vertices, faces)


@pytest.mark.parametrize("name", ["a.ply", "a.obj"])
def test_vertices_and_triangles_keep_their_order(tmp_path, name):
    mesh = awkward_mesh()
    write_mesh(tmp_path / name, mesh)
    back = read_mesh(tmp_path / name, n_vertices=6)
    np.testing.assert_allclose(back.vertices, mesh.vertices)
    np.testing.assert_array_equal(back.faces, mesh.faces)


def test_quads_and_texture_seams_add_no_vertices(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 2 0 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvt .5 .5\n"
        "f 1/1 2/2 3/3 4/4\nf 2/5 5/1 3/4\n"
    )
    mesh = read_mesh(path)
    assert len(mesh.vertices) == 5
    assert len(mesh.faces) == 3


@pytest.mark.shared
def test_a_head_in_flame_topology_keeps_5023_vertices(shared_data):
    mesh = read_mesh(shared_data / "flame_format" / "template.ply", n_vertices=5023)
    assert len(mesh.faces) == 9976


def test_another_topology_is_refused(tmp_path):
    write_mesh(tmp_path / "a.ply", awkward_mesh())
    with pytest.raises(SchemaError, match=r"a.ply: 6 vertices, expected 5023; this is another topology"):
        read_mesh(tmp_path / "a.ply", n_vertices=5023)


def test_files_that_are_no_mesh_are_refused(tmp_path):
    (tmp_path / "a.ply").write_text("hello")
    (tmp_path / "empty.obj").write_text("")
    for name in ("a.ply", "empty.obj"):
        with pytest.raises(SchemaError, match=f"{name}: "):
            read_mesh(tmp_path / name)
    with pytest.raises(SchemaError, match="No such file"):
        read_mesh(tmp_path / "none.ply")


def test_vertices_that_are_not_finite_are_counted(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(SchemaError, match="1 of 3 vertices are not finite"):
        read_mesh(tmp_path / "a.obj")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"written as .ply or .obj, not as .xyz"):
        write_mesh(tmp_path / "a.xyz", awkward_mesh())
