import contextlib

import numpy as np
import pytest
import trimesh

from au3dmm.errors import SchemaError
from au3dmm.io.corpora import blocks
from au3dmm.io.mesh import read_mesh
from au3dmm.io.ply import parse_ply
from corpora_trees import head_mesh

VERTICES = np.array([[0, 0, 0], [1, 0.1, 0], [1e-5, 1, 0], [0, 0, -1]])
FACES = [[0, 1, 2], [3, 1, 0]]


def binary(order="<", vertex="fff", extra="", corners="i", texture=False, faces=FACES):
    """A PLY as other programs write them: big-endian, double, with colours or texture coordinates."""
    names = {"f": "float", "d": "double", "i": "int", "I": "uint32", "B": "uchar", "H": "ushort"}
    endian = "little" if order == "<" else "big"
    head = ["ply", f"format binary_{endian}_endian 1.0", "comment by somebody", f"element vertex {len(VERTICES)}"]
    head += [f"property {names[k]} {axis}" for k, axis in zip(vertex, "xyz", strict=True)]
    head += [f"property {names[k]} e{n}" for n, k in enumerate(extra)]
    head += [f"element face {len(faces)}", f"property list uchar {names[corners]} vertex_indices"]
    head += ["property list uchar float texcoord"] if texture else []
    head += ["end_header", ""]
    row = np.dtype([(str(n), order + k) for n, k in enumerate(vertex + extra)])
    data = np.array([tuple(v) + (7,) * len(extra) for v in VERTICES], row).tobytes()
    for face in faces:
        data += bytes([len(face)]) + np.array(face, order + corners).tobytes()
        data += bytes([6]) + np.arange(6).astype(order + "f4").tobytes() if texture else b""
    return "\n".join(head).encode() + data


ASCII = b"ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
ASCII += b"element face 2\nproperty list uchar int vertex_indices\nend_header\n"
ROWS = b"0 0 0\n1 0.1 0\n1e-5 1 0\n0 0 -1\n"
KINDS = {
    "little endian": binary(),
    "big endian": binary(">"),
    "double": binary(vertex="ddd"),
    "colours": binary(extra="BBB"),
    "unsigned": binary(corners="I"),
    "normals": binary(extra="fff", vertex="fdf"),
    "ascii": ASCII + ROWS + b"3 0 1 2\n3 3 1 0\n",
    "ascii, carriage returns": (ASCII + ROWS + b"3 0 1 2\n3 3 1 0\n").replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_way_gives_what_trimesh_gives(tmp_path, kind):
    path = tmp_path / "a.ply"
    path.write_bytes(KINDS[kind])
    fast = parse_ply(KINDS[kind])
    assert fast is not None
    slow = trimesh.load(path, process=False, maintain_order=True)
    np.testing.assert_array_equal(fast.vertices, slow.vertices)
    np.testing.assert_array_equal(fast.faces, slow.faces)
    np.testing.assert_array_equal(fast.faces, FACES)
    np.testing.assert_array_equal(read_mesh(path).vertices, slow.vertices)


def test_texture_coordinates_add_no_vertices(tmp_path):
    mesh = parse_ply(binary(texture=True))
    np.testing.assert_array_equal(mesh.vertices, VERTICES.astype("f4"))
    np.testing.assert_array_equal(mesh.faces, FACES)


@pytest.mark.parametrize("data", [binary(faces=[[0, 1, 2, 3], [3, 1, 0]]), ASCII + ROWS + b"4 0 1 2 3\n3 3 1 0\n"])
def test_polygons_are_left_to_trimesh(tmp_path, data):
    (tmp_path / "a.ply").write_bytes(data)
    assert parse_ply(data) is None


def test_files_without_faces_hold_vertices(tmp_path):
    for data in (binary(faces=[]), ASCII.replace(b"face 2", b"face 0") + ROWS):
        mesh = parse_ply(data)
        np.testing.assert_array_equal(mesh.vertices, VERTICES.astype("f4"))
        assert mesh.faces.shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (binary()[:-1], "cut short: 1 of its 2 faces"),
        (binary()[:-26], "cut short: no faces follow the vertices"),
        (binary()[:-30], "cut short: 3 of its 4 vertices"),
        (ASCII + ROWS + b"3 0 1 2\n3 3 1\n", "cut short: 1 of its 2 faces"),
        (ASCII + ROWS[:-6], "cut short: 3 of its 4 vertices"),
        (binary(faces=[[0, 1, 4]]), "a triangle names vertex 4, but the mesh has 4"),
    ],
)
def test_files_cut_short_say_so(tmp_path, data, message):
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(SchemaError, match=f"a.ply: {message}"):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_damaged_files_give_an_error_or_a_mesh_and_nothing_else(tmp_path, encoding):
    mesh = head_mesh()
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type="ply", encoding=encoding)
    rng, path, errors = np.random.default_rng(0), tmp_path / "a.ply", 0
    for _ in range(150):
        data = bytearray(whole)
        # in the header, where damage misleads, as often as after it
        for at in rng.integers(0, len(data) if rng.random() < 0.3 else 250, rng.integers(1, 4)):
            data[at] = rng.integers(256) if rng.random() < 0.5 else ord(rng.choice(list("0123456789 \n-x")))
        path.write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.2 else data)
        with contextlib.suppress(SchemaError):
            frames, _ = blocks.read_frames(path)
            assert frames.shape[0] == 1
            assert frames.shape[2] == 3
            continue
        errors += 1
    assert errors > 30


def test_obj_files_of_any_encoding_keep_their_vertices(tmp_path):
    text = b"# caf\xe9\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\nf 1/1 2/2 3/1\nf 1/2 3/1 4/1\n"
    (tmp_path / "a.obj").write_bytes(text)
    frames, faces = blocks.read_frames(tmp_path / "a.obj")
    assert frames.shape == (1, 4, 3)
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3]])
