import json

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io import head_files, heads
from au3dmm.io.head_files import import_head, read_head_mesh
from au3dmm.io.landmark_embeddings import landmarks_json
from au3dmm.io.mesh import Mesh, write_mesh
from exploits import exploits
from old_pickles import Sum, dumps2, flame_model


@pytest.fixture(scope="module")
def shipped():
    return heads.read_head("procedural")


@pytest.fixture
def pretend_flame(monkeypatch, shipped):
    """Let the shipped head pass for FLAME: it has as many vertices, and is free."""
    for module in (heads, head_files):
        monkeypatch.setattr(module, "FLAME_TOPOLOGY", shipped.topology_hash())
    monkeypatch.setattr(head_files, "FLAME_TRIANGLES", len(shipped.faces))


@pytest.fixture
def marks(shipped, tmp_path):
    path = tmp_path / "landmarks68.json"
    path.write_text(json.dumps(landmarks_json(shipped.embedding, shipped.topology_hash())))
    return path


def save(path, vertices, faces):
    """Write a head as whatever the ending says."""
    if path.suffix == ".pkl":
        path.write_bytes(dumps2(flame_model(vertices, faces)))
    else:
        write_mesh(path, Mesh(np.asarray(vertices), np.asarray(faces)))
    return path


@pytest.mark.parametrize("name", ["generic_model.pkl", "template.ply", "head_template.obj"])
def test_a_head_is_read_from_a_model_and_from_meshes(tmp_path, shipped, marks, pretend_flame, name):
    path = save(tmp_path / name, shipped.vertices, shipped.faces)
    found = import_head(path, [marks], name="flame", flame=True, licence="CC-BY-4.0")
    assert (found.unit, found.moved_m) == ("metres", (0, 0, 0))
    np.testing.assert_allclose(found.head.vertices, shipped.vertices, atol=1e-7)
    np.testing.assert_array_equal(found.head.faces, shipped.faces)
    assert found.head.is_flame_topology
    assert found.head.landmark_hash() == shipped.landmark_hash()
    assert found.head.licence == "CC-BY-4.0"
    assert found.head.source.startswith(f"{name} (sha256 ")
    assert str(tmp_path) not in found.head.source


@pytest.mark.parametrize("protocol", [0, 2])
def test_models_without_chumpy_and_with_a_template_of_chumpy_are_read(tmp_path, shipped, protocol):
    from old_pickles import Ch

    model = flame_model(shipped.vertices, shipped.faces, chumpy=False)
    (tmp_path / "a.pkl").write_bytes(dumps2(model, protocol))
    (tmp_path / "b.pkl").write_bytes(dumps2({**model, "v_template": Ch(shipped.vertices)}, protocol))
    for name in ("a.pkl", "b.pkl"):
        np.testing.assert_array_equal(read_head_mesh(tmp_path / name).vertices, shipped.vertices)


@pytest.mark.parametrize(
    ("unit", "factor"), [("metres", 1), ("centimetres", 100), ("millimetres", 1000), ("micrometres", 1e6)]
)
def test_the_unit_is_recognised_by_the_eyes(tmp_path, shipped, marks, unit, factor):
    path = save(tmp_path / "a.ply", factor * shipped.vertices, shipped.faces)
    found = import_head(path, [marks], name="a", flame=False)
    assert found.unit == unit
    np.testing.assert_allclose(found.head.vertices, shipped.vertices, atol=1e-6)  # m


def test_a_template_that_stands_on_the_floor_is_brought_back(tmp_path, shipped, marks):
    """DECA's, COMA's and VHAP's templates lie 1.5 m up."""
    path = save(tmp_path / "a.obj", 1000 * (shipped.vertices + [0, 1.503, 0.0165]), shipped.faces)
    found = import_head(path, [marks], name="a", flame=False)
    assert found.moved_m[1] == pytest.approx(-1.503, abs=0.05)
    np.testing.assert_allclose(found.head.landmarks()[17:].mean(0), [0, -0.005, 0.048], atol=1e-6)  # m
    shift = found.head.vertices - shipped.vertices
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-6)


@pytest.mark.shared
def test_flames_own_template_is_in_place(shared_data):
    folder = shared_data / "flame_format"
    marks = [folder / "flame_static_embedding_68.pkl"]
    found = import_head(folder / "template.ply", marks, name="flame", flame=True)
    assert (found.unit, found.moved_m) == ("metres", (0, 0, 0))
    assert found.head.is_flame_topology


@pytest.mark.shared
def test_flame_as_a_foreign_obj_keeps_its_vertices(shared_data, tmp_path):
    """5023 v, 5118 vt with seams, two materials, 1.5 m up, as DECA ships it."""
    folder = shared_data / "flame_format"
    mesh = read_head_mesh(folder / "template.ply")
    moved = mesh.vertices + [0, 1.503, 0.0165]
    lines = ["mtllib a.mtl", *(f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in moved), *["vt 0.1 0.2"] * 5118, "usemtl a"]
    for i, (a, b, c) in enumerate(mesh.faces + 1):
        lines += ["usemtl b"] if i == 4000 else []
        lines.append(f"f {a}/{1 + i % 5118} {b}/{1 + 7 * i % 5118} {c}/{1 + 3 * i % 5118}")
    (tmp_path / "head_template.obj").write_text("\n".join(lines))
    marks = [folder / "flame_static_embedding_68.pkl"]
    found = import_head(tmp_path / "head_template.obj", marks, name="flame", flame=True)
    np.testing.assert_allclose(found.moved_m, [0, -1.503, -0.0165], atol=1e-3)  # m
    np.testing.assert_allclose(found.head.vertices, mesh.vertices, atol=1e-3)


def test_what_is_not_flame_is_refused_with_counts_and_hash(tmp_path, shipped, marks, pretend_flame):
    for vertices, faces, message in (
        (shipped.vertices[:4], [[0, 1, 2]], r"4 vertices and 1 triangles; expected FLAME's 5023 and \d+ .* use --mesh"),
        (shipped.vertices, shipped.faces[::-1], "as FLAME has, but not FLAME's triangles in FLAME's order"),
    ):
        with pytest.raises(SchemaError, match=message):
            import_head(save(tmp_path / "a.ply", vertices, faces), [marks], name="a", flame=True)


@pytest.mark.shared
def test_the_shipped_head_does_not_pass_for_flame(tmp_path, shipped, marks):
    path = save(tmp_path / "a.ply", shipped.vertices, shipped.faces)
    with pytest.raises(SchemaError, match=r"expected FLAME's 5023 and 9976 \(hash cf115f997671\)"):
        import_head(path, [marks], name="a", flame=True)


def test_without_landmarks_it_is_said_which_file_to_give(tmp_path, shipped, pretend_flame):
    path = save(tmp_path / "a.ply", shipped.vertices, shipped.faces)
    with pytest.raises(
        SchemaError, match=r"fitted by its 68 landmarks.* give --landmarks: flame_static_embedding_68\.pkl"
    ):
        import_head(path, [], name="a", flame=True)
    (tmp_path / "landmark_embedding.npy").touch()
    with pytest.raises(SchemaError, match=r"lies beside it: add --landmarks .*landmark_embedding\.npy$"):
        import_head(path, [], name="a", flame=True)
    with pytest.raises(SchemaError, match="give --landmarks: a JSON list of 68 vertex indices in iBUG order"):
        import_head(path, [], name="a", flame=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v * 7, "which is no head in metres, centimetres, millimetres, micrometres"),
        (lambda v: v[:, [0, 2, 1]] * [1, -1, 1], "y up|look along z"),
        (lambda v: v * [1, -1, -1], "y up"),
        (lambda v: v * [-1, 1, 1], "mirror image"),
        (lambda v: v * [np.nan, 1, 1], "vertices are not finite"),
    ],
)
@pytest.mark.parametrize("name", ["a.pkl", "a.obj"])
def test_heads_in_another_frame_are_refused(tmp_path, shipped, marks, change, message, name):
    with pytest.raises(SchemaError, match=message):
        import_head(save(tmp_path / name, change(shipped.vertices), shipped.faces), [marks], name="a", flame=False)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"v_template": np.zeros((3, 3))}, "holds v_template, expected a FLAME model with v_template and f"),
        ({"lmk_face_idx": np.arange(3)}, "that is a landmark file: give it with --landmarks"),
        ([1], "holds a list, expected a FLAME model"),
        ({"v_template": "x", "f": np.zeros((1, 3))}, "v_template is a str, expected an array"),
        ({"v_template": np.zeros((3, 2)), "f": np.zeros((1, 3))}, r"v_template is float64 \(3, 2\)"),
        (
            {"v_template": Sum(np.zeros(3)), "f": np.zeros((1, 3))},
            "v_template is chumpy.ch_ops.Sum, which cannot be read",
        ),
        (
            {"v_template": np.zeros((3, 3)), "f": np.array([[0, 1, 3]])},
            "f names vertices that are not there; there are 3",
        ),
        ({"v_template": np.zeros((3, 3)), "f": np.array([[0, 1, 2**32 - 1]], np.uint32)}, "f names vertices"),
        ({"v_template": np.zeros((3, 3)), "f": np.array([[0, 1, 0.5]])}, "f names vertices"),
        ({"v_template": np.zeros((3, 3)), "f": np.zeros((0, 3))}, "3 vertices without triangles"),
    ],
)
def test_models_that_are_none_are_refused(tmp_path, model, message):
    (tmp_path / "a.pkl").write_bytes(dumps2(model))
    with pytest.raises(SchemaError, match=message):
        read_head_mesh(tmp_path / "a.pkl")


def test_an_exploit_dressed_as_flame_is_refused(tmp_path, shipped, marks):
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(exploits(tmp_path / "executed")["os.system"].data)
    with pytest.raises(SchemaError, match=r"asks for os\.system, which is not an array; .* nothing in it was run"):
        import_head(path, [marks], name="flame", flame=True)
    save(tmp_path / "a.ply", shipped.vertices, shipped.faces)
    for name in ("posix.system", "in an object array"):
        (tmp_path / "l.pkl").write_bytes(exploits(tmp_path / "executed")[name].data)
        with pytest.raises(SchemaError, match=r"l\.pkl: asks for posix\.system"):
            import_head(tmp_path / "a.ply", [tmp_path / "l.pkl"], name="flame", flame=False)
    assert not (tmp_path / "executed").exists()
