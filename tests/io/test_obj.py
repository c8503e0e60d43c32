import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.mesh import Mesh, read_mesh, write_mesh

# as modelling programs write it: two materials, seams in the texture, quads between triangles, a vertex nothing uses
AWKWARD = """mtllib head.mtl
o head
v 0 0 0
v 1 0 0 0.5 0.5 0.5
v 1 1 0
v\t0 1 0
vt 0 0
vt 1 0
vt 1 1
vt .5 .5
vn 0 0 1
usemtl skin
s 1
f 4/4/1 1/1/1 2/2/1
f 1//1 2//1 3//1 4//1
usemtl lips
v 0 0 1
v 9 9 9
f 1/3 2/1 5/4
f -2 -6 -5
# f 1 1 1
g eyes
f 3 4 5 1 2
"""


def write(tmp_path, text):
    path = tmp_path / "a.obj"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_vertices_and_polygons_are_those_of_the_file_in_its_order(tmp_path, newline):
    mesh = read_mesh(write(tmp_path, AWKWARD.replace("\n", newline).replace("v\t", "v ")), n_vertices=6)
    np.testing.assert_array_equal(mesh.vertices[[1, 3, 5]], [[1, 0, 0], [0, 1, 0], [9, 9, 9]])
    expected = [[3, 0, 1], [0, 1, 2], [0, 2, 3], [0, 1, 4], [4, 0, 1], [2, 3, 4], [2, 4, 0], [2, 0, 1]]
    np.testing.assert_array_equal(mesh.faces, expected)


def test_what_write_mesh_writes_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    mesh = Mesh(rng.normal(size=(50, 3)), rng.integers(0, 50, (80, 3)).astype(np.int32))
    write_mesh(tmp_path / "a.obj", mesh)
    back = read_mesh(tmp_path / "a.obj")
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-7)
    np.testing.assert_array_equal(back.faces, mesh.faces)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no vertices"),
        (b"\x00\xff\xfe\x80", "no vertices"),
        ("v 1 2\n", "line 1, 'v 1 2', cannot be understood"),
        ("v 1 2 x\n", "could not convert"),
        ("v 0 0 0\nf 1 1\n", "line 2, 'f 1 1', cannot be understood: fewer than three corners"),
        ("v 0 0 0\nf 0 1 1\n", "counted from 1"),
        ("v 0 0 0\nf 1 1 2\n", "names vertex 2, but there are 1"),
        ("v 0 0 0\nf -1 -1 -2\n", "names vertex 0, but there are 1"),
        ("v 0 0 0\nf 1 1 99999999999\n", "names vertex 99999999999, but there are 1"),
        ("v 0 0 nan\n", "1 of 1 vertices are not finite"),
        ("v 0 0 0\nf 1.5 1 1\n", "cannot be understood"),
    ],
)
def test_damaged_files_are_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(SchemaError, match=message):
        read_mesh(write(tmp_path, text))


def test_another_topology_and_missing_files_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="6 vertices, expected 5023; this is another topology"):
        read_mesh(write(tmp_path, AWKWARD.replace("v\t", "v ")), n_vertices=5023)
    with pytest.raises(SchemaError, match="No such file"):
        read_mesh(tmp_path / "none.obj")
