import json
import pickle

import numpy as np
import pytest

from au3dmm.core.basis import topology_hash
from au3dmm.core.landmarks import landmark_positions
from au3dmm.errors import SchemaError
from au3dmm.io.assets import read_default_head
from au3dmm.io.landmark_embeddings import landmarks_json, read_landmark_embedding, read_landmarks_json
from au3dmm.io.mesh import read_mesh
from old_pickles import dumps2


@pytest.fixture(scope="module")
def head():
    return read_default_head()


@pytest.fixture
def files(head, tmp_path):
    """Write each kind of file as it is handed around, for the shipped head; return its path."""
    index, weights = head.embedding.face_index.astype(np.uint32), head.embedding.barycentric

    def save(name, value):
        np.save(tmp_path / name, np.array(value, object), allow_pickle=True)

    def contours():  # by yaw: 0 to 39 degrees, then -1 to -39; only the first is frontal
        turned = [np.roll(index[:17], -yaw) for yaw in range(79)]
        return {"lmk_face_idx": turned, "lmk_b_coords": [np.roll(weights[:17], -yaw, axis=0) for yaw in range(79)]}

    def write(kind):
        path = tmp_path / kind
        if kind == "flame_static_embedding.pkl":
            path.write_bytes(dumps2({"lmk_face_idx": index[17:], "lmk_b_coords": weights[17:]}))
        elif kind == "flame_static_embedding_68.pkl":
            path.write_bytes(dumps2({"lmk_face_idx": index, "lmk_b_coords": weights}, 0))
        elif kind == "flame_dynamic_embedding.npy":
            save(kind, contours())
        elif kind in ("landmark_embedding.npy", "landmark_embedding_with_eyes.npy"):
            eyes = 2 * kind.endswith("eyes.npy")  # VHAP appends two points
            inner, full = np.r_[index[17:], index[:eyes]], np.r_[index, index[:eyes]]
            save(
                kind,
                {
                    "static_lmk_faces_idx": inner.astype(np.int64),
                    "static_lmk_bary_coords": np.r_[weights[17:], weights[:eyes]],
                    "dynamic_lmk_faces_idx": np.array(contours()["lmk_face_idx"]).astype(np.int64),
                    "dynamic_lmk_bary_coords": np.array(contours()["lmk_b_coords"]),
                    "full_lmk_faces_idx": full[None].astype(np.int64),
                    "full_lmk_bary_coords": np.r_[weights, weights[:eyes]][None].astype(np.float32),
                },
            )
        elif kind == "mediapipe_landmark_embedding.npz":
            chosen = [36, 45, 48, 54, 30]
            np.savez(
                path, lmk_face_idx=index[chosen], lmk_b_coords=weights[chosen], landmark_indices=[33, 263, 61, 291, 1]
            )
        elif kind == "landmarks68.json":
            made = landmarks_json(head.embedding, topology_hash(len(head.vertices), head.faces))
            path.write_text(json.dumps(made))
        return path

    return write


def read(head, *paths):
    return read_landmark_embedding(paths, head.vertices, head.faces)


@pytest.mark.parametrize(
    "kinds",
    [
        ["flame_static_embedding_68.pkl"],
        ["flame_static_embedding.pkl", "flame_dynamic_embedding.npy"],
        ["flame_dynamic_embedding.npy", "flame_static_embedding.pkl"],
        ["landmark_embedding.npy"],
        ["landmark_embedding_with_eyes.npy"],
        ["landmarks68.json"],
    ],
)
def test_every_file_in_use_gives_the_same_68_landmarks(head, files, kinds):
    found = read(head, *map(files, kinds))
    assert found.dense is None
    np.testing.assert_array_equal(found.embedding.face_index, head.embedding.face_index)
    np.testing.assert_allclose(found.embedding.barycentric, head.embedding.barycentric, atol=1e-7)


def test_a_file_with_the_parts_and_not_the_whole_is_enough(head, files):
    path = files("landmark_embedding_with_eyes.npy")
    data = np.load(path, allow_pickle=True).item()
    np.save(path, np.array({k: v for k, v in data.items() if "full" not in k}, object), allow_pickle=True)
    np.testing.assert_array_equal(read(head, path).embedding.face_index, head.embedding.face_index)


def test_decas_tensors_are_passed_over(head, files, tmp_path):
    torch = pytest.importorskip("torch")
    path = files("landmark_embedding.npy")
    data = np.load(path, allow_pickle=True).item()
    for key in ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"):
        data[key] = torch.from_numpy(data[key])
    np.save(path, np.array(data, object), allow_pickle=True)
    np.testing.assert_array_equal(read(head, path).embedding.face_index, head.embedding.face_index)


def test_mediapipes_points_come_beside_the_68(head, files):
    found = read(head, files("mediapipe_landmark_embedding.npz"), files("landmarks68.json"))
    assert found.dense.scheme == "mediapipe"
    np.testing.assert_array_equal(found.dense.landmark_index, [33, 263, 61, 291, 1])
    np.testing.assert_array_equal(found.dense.embedding.face_index[4], head.embedding.face_index[30])
    with pytest.raises(SchemaError, match=r"MediaPipe's landmarks, expected the 68 of iBUG: flame_static"):
        read(head, files("mediapipe_landmark_embedding.npz"))


def test_mediapipes_points_in_another_order_are_refused(head, files):
    path = files("mediapipe_landmark_embedding.npz")
    data = dict(np.load(path))
    np.savez(path, **{**data, "landmark_indices": data["landmark_indices"][::-1]})
    with pytest.raises(SchemaError, match=r"MediaPipe's point \d+ lies .* expected the same corner"):
        read(head, path, files("landmarks68.json"))


@pytest.mark.parametrize("name", ["ids.json", "ids.npy", "ids.txt", "ids.pkl"])
def test_a_list_of_vertices_is_an_embedding(head, tmp_path, name):
    # the corner nearest to each landmark
    corners = head.faces[head.embedding.face_index]
    ids = np.take_along_axis(corners, head.embedding.barycentric.argmax(1)[:, None], 1)[:, 0]
    path = tmp_path / name
    if name.endswith("json"):
        path.write_text(json.dumps(ids.tolist()))
    elif name.endswith("npy"):
        np.save(path, ids)
    elif name.endswith("txt"):
        path.write_text(",\n".join(map(str, ids)))
    else:
        path.write_bytes(pickle.dumps(ids.tolist()))
    found = read(head, path).embedding
    np.testing.assert_array_equal(landmark_positions(head.vertices, head.faces, found), head.vertices[ids])


def test_51_landmarks_say_which_file_completes_them(head, files):
    with pytest.raises(
        SchemaError, match=r"inner 51 landmarks, expected 68; give flame_dynamic_embedding\.npy as well"
    ):
        read(head, files("flame_static_embedding.pkl"))
    with pytest.raises(SchemaError, match=r"17 landmarks of the contour, expected the 68"):
        read(head, files("flame_dynamic_embedding.npy"))
    with pytest.raises(SchemaError, match="no landmarks, expected the 68"):
        read(head)


def test_files_that_say_the_same_twice_are_refused(head, files):
    with pytest.raises(SchemaError, match=r"the 68 landmarks, which landmarks68\.json gives already; leave out one"):
        read(head, files("landmarks68.json"), files("flame_static_embedding_68.pkl"))
    with pytest.raises(SchemaError, match=r"inner 51 landmarks, but landmarks68\.json gives all 68; leave out one"):
        read(head, files("landmarks68.json"), files("flame_static_embedding.pkl"))


@pytest.mark.parametrize(
    ("index", "weights", "message"),
    [
        (lambda i: i[::-1], lambda w: w[::-1], "on this mesh, landmarks: "),
        (lambda i: i + 10**6, lambda w: w, r"names triangle \d+, but the mesh has \d+; it is for another mesh"),
        (lambda i: i.astype(np.int64) - 10**6, lambda w: w, r"names triangle -\d+, but"),
        (lambda i: i.astype(np.int64) + 2**40, lambda w: w, "no mesh has as many"),
        (lambda i: i, lambda w: w * 1.1, "miss a sum of 1 by 0.1"),
        (lambda i: i, lambda w: w * np.nan, "miss a sum of 1"),
        (lambda i: i, lambda w: w + [3, -3, 0], r"landmark \d+ lies outside its triangle"),
        (lambda i: i[:60], lambda w: w[:60], "60 landmarks, expected 68, 51 or 17"),
        (lambda i: i, lambda w: w[:60], r"with weights \(60, 3\)"),
        (lambda i: i * 1.0, lambda w: w, "float64"),
    ],
)
def test_landmarks_that_do_not_fit_the_mesh_are_refused(head, tmp_path, index, weights, message):
    path = tmp_path / "a.pkl"
    data = {"lmk_face_idx": index(head.embedding.face_index), "lmk_b_coords": weights(head.embedding.barycentric)}
    path.write_bytes(dumps2(data))
    with pytest.raises(SchemaError, match=message) as caught:
        read(head, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.ply", b"ply", r"landmarks are read from \.pkl \.npy"),
        ("a.json", b"{", "not a landmark embedding"),
        ("a.json", b"\xff", "not a landmark embedding"),
        ("a.json", b"[" * 100_000, "not a landmark embedding"),
        ("a.json", b"3", "no list of numbers, expected 68 vertex indices"),
        ("a.json", b'["a"]', "expected 68 vertex indices"),
        ("a.json", b"{}", "no landmarks in it, but nothing"),
        ("a.json", b"[1.5, 2]", r"float64 \(2,\), expected 68 vertex indices"),
        ("a.json", json.dumps([10**30] * 68).encode(), "expected 68 vertex indices"),
        ("a.json", json.dumps([6000] * 68).encode(), "names vertex 6000, but the mesh has 5023"),
        ("a.json", json.dumps([-1] * 68).encode(), "names vertex -1, but"),
        ("a.json", json.dumps([7] * 68).encode(), "one point"),
        ("a.txt", b"1 2 x", "not a list of vertex indices"),
        ("a.txt", b"", "expected 68 vertex indices"),
        ("a.pkl", pickle.dumps({"v_template": 1}), "no landmarks in it, but v_template"),
        ("a.npz", b"PK", "not an npz"),
    ],
)
def test_other_files_are_refused(head, tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SchemaError, match=message) as caught:
        read(head, tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("times", [1, 90])
def test_lists_that_share_lists_without_end_are_no_landmarks(head, tmp_path, times):
    """A few hundred bytes can spell 2^90 numbers, or a million times one array."""
    value = np.zeros((1000, 3)) if times == 1 else [0, 1]
    for _ in range(times):
        value = [value] * (10_000 if times == 1 else 2)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"lmk_face_idx": value, "lmk_b_coords": value}))
    with pytest.raises(SchemaError, match="no landmarks in it"):
        read(head, tmp_path / "a.pkl")


def test_a_vertex_of_no_triangle_is_refused(head, tmp_path):
    loose = np.r_[head.vertices, [[0, 0, 0]]]
    (tmp_path / "a.json").write_text(json.dumps([len(head.vertices)] * 68))
    with pytest.raises(SchemaError, match="vertex 5023 is in no triangle"):
        read_landmark_embedding([tmp_path / "a.json"], loose, head.faces)


def test_our_own_file_is_bound_to_its_mesh(head, files):
    path = files("landmarks68.json")
    assert read_landmarks_json(path)[1] == topology_hash(len(head.vertices), head.faces)
    with pytest.raises(SchemaError, match="made for topology"):
        read_landmark_embedding([path], head.vertices, head.faces[::-1])


@pytest.mark.shared
def test_flames_own_files_agree(shared_data):
    folder = shared_data / "flame_format"
    mesh = read_mesh(folder / "template.ply")
    whole = read_landmark_embedding([folder / "flame_static_embedding_68.pkl"], mesh.vertices, mesh.faces).embedding
    with pytest.raises(SchemaError, match="inner 51 landmarks"):
        read_landmark_embedding([folder / "flame_static_embedding.pkl"], mesh.vertices, mesh.faces)
    places = landmark_positions(mesh.vertices, mesh.faces, whole)
    assert 0.08 < np.linalg.norm(places[36] - places[45]) < 0.1  # m, between the outer eye corners
    assert places[30, 2] == pytest.approx(mesh.vertices[:, 2].max(), abs=2e-3)  # the nose tip is the foremost point, m
