"""Corpora drawn from face models: ICT-FaceKit in both layouts, and the embedded head."""

import json

import numpy as np
import pytest

from au3dmm.errors import SchemaError
from au3dmm.io.corpora.ict import HEAD_VERTICES, read_ict
from au3dmm.io.corpora.synthetic import read_synthetic
from au3dmm.io.mesh import Mesh, write_mesh

EXPRESSIONS = ["jawOpen", "mouthSmile_L", "mouthSmile_R", "browDown_L", "browDown_R", "eyeLookUp_L", "mouthLeft"]


def small_model(n=90, n_identity=4):
    """Arrays in ICT-FaceKit's layout, cm: a bumpy disc of `n` vertices, of which 68 are landmarks."""
    rng = np.random.default_rng(0)
    neutral = np.concatenate([rng.uniform(-9, 9, (n, 2)), rng.uniform(0, 3, (n, 1))], 1).astype(np.float32)
    return {
        "neutral": neutral,
        "tri": np.array([[i, (i + 1) % n, (i + 2) % n] for i in range(n)], np.int32),
        "identity": rng.standard_normal((n_identity, n, 3)).astype(np.float32) * 0.3,
        "expression": rng.standard_normal((len(EXPRESSIONS), n, 3)).astype(np.float32) * 0.5,
        "names": np.array(EXPRESSIONS),
        "lmk68": np.arange(3, 71),
    }


def write_folder(folder, arrays):
    """Write the public OBJ layout, with texture coordinates as it has them."""
    neutral = arrays["neutral"].astype(np.float64)

    def obj(name, vertices):
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices] + ["vt 0 0", "usemtl M_Face"]
        lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in arrays["tri"]]
        (folder / f"{name}.obj").write_text("\n".join(lines) + "\n")

    folder.mkdir(parents=True)
    obj("generic_neutral_mesh", neutral)
    for i, mode in enumerate(arrays["identity"]):
        obj(f"identity{i:03d}", neutral + mode)
    for name, shape in zip(arrays["names"], arrays["expression"], strict=True):
        obj(name, neutral + shape)
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": arrays["lmk68"].tolist()}))


def test_both_layouts_give_one_corpus(tmp_path):
    arrays = small_model()
    np.savez(tmp_path / "ict.npz", **arrays)
    write_folder(tmp_path / "kit" / "FaceXModel", arrays)
    one, seen = read_ict(tmp_path / "ict.npz", n_subjects=5), []
    other = read_ict(tmp_path / "kit", n_subjects=5, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (11, 11)
    assert one.frames.shape == other.frames.shape
    np.testing.assert_array_equal(one.faces, other.faces)
    # the folder lists expressions by name, so the draws differ; the people are the same
    for subject, neutral in one.neutrals.items():
        np.testing.assert_allclose(other.neutrals[subject], neutral, atol=1e-7)
    assert one.licence == "MIT (ICT-FaceKit)"
    assert one.kind == "learned"


def test_frames_are_neutral_plus_expressions_and_takes_start_neutral(tmp_path):
    arrays = small_model()
    np.savez(tmp_path / "ict.npz", **arrays)
    corpus = read_ict(tmp_path / "ict.npz", n_subjects=8)
    frames = corpus.frames[:]
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(corpus.frames[40:77], frames[40:77])
    shapes = arrays["expression"].reshape(len(EXPRESSIONS), -1) * 0.01
    performed = set()
    for take in corpus.sequences:
        neutral = corpus.neutrals[take.subject_id]
        offsets = (frames[take.rows] - neutral).reshape(len(take.rows), -1)
        np.testing.assert_allclose(offsets[[0, -1]], 0, atol=1e-6)
        codes, *_ = np.linalg.lstsq(shapes.T, offsets.T, rcond=None)
        np.testing.assert_allclose(codes.T @ shapes, offsets, atol=1e-6)  # m
        shown = {EXPRESSIONS[i] for i in np.flatnonzero(np.abs(codes).max(1) > 1e-3)}
        assert "eyeLookUp_L" not in shown  # gaze moves no face
        units = {"jawOpen": "AU26", "mouthSmile_L": "AU12_left", "mouthSmile_R": "AU12_right"}
        units |= {"browDown_L": "AU4_left", "browDown_R": "AU4_right"}
        if take.action_units or shown <= {"mouthLeft"}:
            assert set(take.action_units) == {units[name] for name in shown if name in units}
        performed |= set(take.action_units)
    assert performed == {"AU26", "AU12_left", "AU12_right", "AU4_left", "AU4_right"}


def test_subjects_span_as_many_dimensions_as_they_can_about_the_template(tmp_path):
    arrays = small_model(n_identity=30)
    np.savez(tmp_path / "ict.npz", **arrays)
    corpus = read_ict(tmp_path / "ict.npz", n_subjects=10)
    heads = np.stack(list(corpus.neutrals.values()))
    np.testing.assert_allclose(heads.mean(0), arrays["neutral"] * 0.01, atol=1e-7)
    assert np.linalg.matrix_rank((heads - heads.mean(0)).reshape(10, -1), tol=1e-6) == 9


def test_equal_seeds_give_equal_corpora():
    one, two, other = read_synthetic(3, 2), read_synthetic(3, 2), read_synthetic(4, 2)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    np.testing.assert_array_equal(one.frames[:50], two.frames[:50])
    assert not np.array_equal(one.frames[:50], other.frames[:50])
    assert one.kind == "demo"


def test_lips_are_shut_only_over_an_open_jaw(tmp_path):
    arrays = small_model()
    arrays["names"] = np.array([*EXPRESSIONS[:-1], "mouthClose"])
    np.savez(tmp_path / "ict.npz", **arrays)
    corpus = read_ict(tmp_path / "ict.npz", n_subjects=8)
    activation = corpus.frames.activation
    # gaze is left out, so mouthClose is the sixth
    shut, jaw = activation[:, 5], activation[:, 0]
    assert shut.max() > 0.3
    assert (jaw >= shut).all()
    alone = [t for t in corpus.sequences if "AU8" in t.action_units]
    assert alone
    assert all("AU26" in t.action_units for t in alone)


@pytest.mark.shared
def test_the_real_model_is_read_whole(shared_data):
    corpus = read_ict(shared_data / "ict_facekit.npz", n_subjects=2)
    assert corpus.frames.shape[1:] == (HEAD_VERTICES, 3)
    assert len(corpus.faces) == 22288
    eyes = corpus.embedding.face_index[[36, 45]]
    assert np.isfinite(corpus.frames[:10]).all()
    head = corpus.neutrals["ict001"]
    apart = np.linalg.norm(np.subtract(*[head[corpus.faces[f]].mean(0) for f in eyes]))
    assert 0.07 < apart < 0.11  # m


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": None}, "not ICT-FaceKit's npz: names missing"),
        ({"identity": np.zeros((3, 5, 3))}, r"identity has shape \(3, 5, 3\)"),
        ({"names": np.array(["a"])}, "1 names for 7 expressions"),
        ({"neutral": np.full((90, 3), np.nan)}, "neutral holds values that are not finite"),
        ({"tri": np.array([[0, 1, 90]])}, "a triangle names vertex 90, but there are 90"),
        ({"lmk68": np.arange(5)}, "5 landmarks"),
        ({"lmk68": np.arange(60, 128)}, "lie on no triangle"),
        ({"expression": np.zeros((7, 90, 3))}, "none of its 7 expressions moves the face"),
    ],
)
def test_damaged_models_are_refused(tmp_path, change, message):
    arrays = {name: value for name, value in {**small_model(), **change}.items() if value is not None}
    np.savez(tmp_path / "ict.npz", **arrays)
    with pytest.raises(SchemaError, match=message):
        read_ict(tmp_path / "ict.npz")


def test_folders_that_are_not_the_kit_are_refused(tmp_path):
    with pytest.raises(SchemaError, match=r"no generic_neutral_mesh.obj in it"):
        read_ict(tmp_path)
    folder = tmp_path / "FaceXModel"
    write_folder(folder, small_model())
    (folder / "vertex_indices.json").write_text('{"idx": []}')
    with pytest.raises(SchemaError, match="no list of vertices under idx_to_landmark_verts"):
        read_ict(folder)
    (folder / "vertex_indices.json").unlink()
    with pytest.raises(SchemaError, match=r"vertex_indices.json: cannot be read"):
        read_ict(folder)
    write_folder(tmp_path / "b", small_model())
    write_mesh(tmp_path / "b" / "jawOpen.obj", Mesh(np.zeros((4, 3)), np.array([[0, 1, 2]], np.int32)))
    with pytest.raises(SchemaError, match=r"jawOpen.obj: 4 vertices, expected 90"):
        read_ict(tmp_path / "b")
    for file in (tmp_path / "b").glob("identity*.obj"):
        file.unlink()
    with pytest.raises(SchemaError, match="0 identity and 7 expression OBJ files"):
        read_ict(tmp_path / "b")
